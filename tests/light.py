"""A separator, an analyzer and a stretcher that cost next to nothing: for tests of what is done with their results.

As a plugin (the fixture ``light``) they are there by name too, and in other processes.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

import mashkit as mk
from mashkit import hookimpl
from mashkit.interfaces import Analyzer, Separator, Stretcher
from mashkit.types import Analysis, Audio, Key, StemSet
from mashkit.types.timemap import TimeMap

QUICKEST = ("--separator", "spleeter-torch")
"""Choose the quickest trained separator, for tests of what is done with songs; the default takes thrice as long."""


@attrs.define(kw_only=True, eq=False)
class Thirds(Separator):
    """A real, if poor, separator: a third of the mix to each stem. It counts its work."""

    info = mk.ComponentInfo(
        name="thirds", target="light:Thirds", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )
    calls: list[int] = attrs.field(factory=list, init=False)

    def _separate(self, mix: Audio) -> StemSet:
        self.calls.append(mix.frames)
        third = Audio(mix.samples / np.float32(3), mix.sample_rate)
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), third))


@attrs.define(kw_only=True, eq=False)
class Grid(Analyzer):
    """Finds A minor and bars of four at one tempo, from a given moment on, in everything. It counts its work."""

    info = mk.ComponentInfo(
        name="grid", target="light:Grid", summary="s", provides=["key", "tempo", "beats", "downbeats"],
        code_license="MIT",
    )  # fmt: skip
    tempo: float = 120.0
    first: float = 0.3
    calls: list[int] = attrs.field(factory=list, init=False)

    def _analyze(self, mix: Audio) -> Analysis:
        self.calls.append(mix.frames)
        beats = np.arange(self.first, mix.duration, 60 / self.tempo)
        return Analysis(
            key=Key(9, "minor"), tempo=self.tempo, beats=beats, downbeats=beats[::4], confidence={"beats": 0.5},
            tempo_candidates=((self.tempo, 0.7), (self.tempo / 2, 0.3)),
        )  # fmt: skip


@attrs.define(kw_only=True, eq=False)
class Turntable(Stretcher):
    """Changes pitch with speed, as a record does: right in time and length, wrong in pitch."""

    info = mk.ComponentInfo(
        name="turntable", target="light:Turntable", summary="s", provides=["speed", "semitones", "time_map"],
        code_license="BSD-3-Clause", engine="linear interpolation",
    )  # fmt: skip

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        return self._read(audio, np.arange(frames) * speed)

    def _stretch_along(self, audio: Audio, time_map: TimeMap, *, semitones: float, frames: int) -> Audio:
        return self._read(audio, time_map.to_source(np.arange(frames) / audio.sample_rate) * audio.sample_rate)

    def _read(self, audio: Audio, at: npt.NDArray[np.float64]) -> Audio:
        return Audio(
            np.stack([np.interp(at, np.arange(audio.frames), row) for row in audio.samples]), audio.sample_rate
        )


@attrs.define(kw_only=True, eq=False)
class SteadyTurntable(Turntable):
    """A turntable that follows no time map."""

    info = attrs.evolve(
        Turntable.info,
        name="steady-turntable",
        target="light:SteadyTurntable",
        provides=frozenset({"speed", "semitones"}),
    )


@hookimpl
def mashkit_register_separators() -> list[mk.ComponentInfo]:
    """Name the separator."""
    return [Thirds.info]


@hookimpl
def mashkit_register_analyzers() -> list[mk.ComponentInfo]:
    """Name the analyzer."""
    return [Grid.info]


@hookimpl
def mashkit_register_stretchers() -> list[mk.ComponentInfo]:
    """Name the stretchers."""
    return [Turntable.info, SteadyTurntable.info]


def distribution(folder: Path) -> Path:
    """Write what an installer writes beside a plugin whose module is this one, into a folder to put on the path."""
    info = folder / "mashkit_light-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mashkit_light\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mashkit]\nlight = light\n")
    return folder
