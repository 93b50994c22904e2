"""mashkit stretcher on the rubberband program."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

STRETCHER = ComponentInfo(
    name="rubberband",
    target="mashkit_rubberband.stretcher:RubberbandStretcher",
    summary="the rubberband program through pyrubberband: the best timing and sound of the stretchers, and the slowest",
    provides={"speed", "semitones", "time_map"},
    requires=("pyrubberband>=0.4.0",),
    binaries=("rubberband",),
    install="apt install rubberband-cli && pip install mashkit-rubberband",
    code_license="ISC AND GPL-2.0-or-later",
    citation="Cannam, C.: Rubber Band Library, https://breakfastquay.com/rubberband/; McFee, B.: pyrubberband",
    engine="Rubber Band",
    thread_safe=True,
)


@hookimpl
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:
    """Register the stretcher."""
    return [STRETCHER]
