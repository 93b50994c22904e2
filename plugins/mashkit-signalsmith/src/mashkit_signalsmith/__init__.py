"""mashkit stretcher on Signalsmith Stretch."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

STRETCHER = ComponentInfo(
    name="signalsmith",
    target="mashkit_signalsmith.stretcher:SignalsmithStretcher",
    summary="Signalsmith Stretch: in process, exact, 30 times faster than real time or better",
    provides={"speed", "semitones", "time_map"},
    requires=("python-stretch>=0.3.1",),
    install="pip install mashkit-signalsmith",
    code_license="MIT",
    citation="Luff, G.: The Design of Signalsmith Stretch, 2022, https://signalsmith-audio.co.uk/writing/2023/stretch-design/",
    engine="Signalsmith Stretch",
    thread_safe=True,
)


@hookimpl
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:
    """Register the stretcher."""
    return [STRETCHER]
