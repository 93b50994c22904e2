"""mashkit stretcher on pedalboard."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

STRETCHER = ComponentInfo(
    name="pedalboard",
    target="mashkit_pedalboard.stretcher:PedalboardStretcher",
    summary="pedalboard's build of Rubber Band: in process, no program to install, its faster engine by default",
    provides={"speed", "semitones", "time_map"},
    requires=("pedalboard>=0.9.8",),
    install="pip install mashkit-pedalboard",
    code_license="GPL-3.0-only",
    citation="Sobot, P.: Pedalboard, 2021, https://doi.org/10.5281/zenodo.7817838; Cannam, C.: Rubber Band Library",
    engine="Rubber Band",
    thread_safe=True,
)


@hookimpl
def mashkit_register_stretchers() -> Iterable[ComponentInfo]:
    """Register the stretcher."""
    return [STRETCHER]
