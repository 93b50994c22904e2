"""Provide clips of synthetic bands in memory, with exact stems, keys and beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashkit.synthetic import signals
from mashkit.types import Audio, Clip, Key, Role, StemSet


class SyntheticSource:
    """A clip source for tests: clips of synthetic bands in memory.

    Parameters
    ----------
    bands : sequence of (Key, tempo)
        One clip each; the ids of different clips differ, also between sources.
    bars : int
    drift : float
        Share by which a clip's tempo is lower at the beginning and higher at the end; in every second clip the reverse.
    """

    def __init__(self, bands: Sequence[tuple[Key, float]], *, bars: int = 16, drift: float = 0.0) -> None:
        self._stems: dict[str, StemSet] = {}
        self.clips: list[Clip] = []
        for index, (key, tempo) in enumerate(bands):
            stems, analysis = signals.band(
                key, tempo=tempo, bars=bars, seed=index, first_downbeat=0.2 + 0.1 * index, drift=drift * (-1) ** index
            )
            name = f"band-{index}-{key}-{tempo:g}-{bars}-{drift:g}".replace(" ", "-")
            self._stems[name] = stems
            duration = stems.stems["vocals"].duration
            self.clips.append(
                Clip(name, name, name, f"{name}.wav", 0.0, duration, signals.SAMPLE_RATE, analysis, "CC0-1.0",
                     dict.fromkeys(Role, -20.0), dict.fromkeys(Role, 1.0))
            )  # fmt: skip

    def clip(self, clip_id: str) -> Clip:
        """Return the clip called ``clip_id``."""
        return next(clip for clip in self.clips if clip.id == clip_id)

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's true stem."""
        return self._stems[clip_id].role(role)

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return an empty sequence, because no component separated or analysed these clips: they are exact."""
        return ()
