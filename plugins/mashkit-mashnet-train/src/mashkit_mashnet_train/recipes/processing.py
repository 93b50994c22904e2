"""Stems as mashups have them: a separator took them from a mix, and a stretcher may have played them.

The stems of a song are taken from different mixes, each with stems of other songs. What a separator leaves of the other
stems is then of other songs. Residue of the same song would show a network which stems belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from mashkit.interfaces import Separator, Stretcher
from mashkit.types import Audio, Role, Samples
from mashkit_mashnet_train.recipes.mixing import mixed

MIXED = 3
"""Least number of songs whose stems are mixed: each stem of a mix is of another song."""
STRETCHED = 0.5
"""Share of the stems that a stretcher plays, drawn for each stem, so that it does not tell which stems fit (ours)."""
SPEEDS, SEMITONES = (0.9, 1.1), (-3.0, 3.0)
"""Ranges of speed and transposition of such stems (ours)."""


@attrs.frozen(kw_only=True, eq=False)
class Processing:
    """Makes rendered stems sound as those of mashups.

    Parameters
    ----------
    separator : Separator, optional
        Takes each stem from a mix with stems of other songs; by default stems stay as they were rendered.
    stretcher : Stretcher, optional
        Plays half of the stems faster or slower, and higher or lower, and takes both back; by default none.
    """

    separator: Separator | None = None
    stretcher: Stretcher | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the descriptions of the components, for the source of a store; empty without any."""
        named = {"separator": self.separator, "stretcher": self.stretcher}
        return {kind: dict(one.describe()) for kind, one in named.items() if one is not None}

    def of(
        self, songs: Sequence[Mapping[Role, Samples]], sample_rate: int, random: np.random.Generator
    ) -> list[dict[Role, Samples]]:
        """Return the stems of songs, processed, each as long as it was.

        Parameters
        ----------
        songs : sequence of mapping of Role to array of float32, shape (frames,)
            With a separator, :data:`MIXED` or more.
        sample_rate : int
            In Hz.
        random : numpy.random.Generator
            Of every draw.
        """
        made = [dict(stems) for stems in songs]
        if self.separator is not None:
            made = _separated(self.separator, songs, sample_rate)
        if self.stretcher is not None:
            for stems in made:
                for role in Role:
                    if random.random() < STRETCHED:
                        speed, semitones = float(random.uniform(*SPEEDS)), float(random.uniform(*SEMITONES))
                        stems[role] = _there_and_back(self.stretcher, stems[role], sample_rate, speed, semitones)
        return made


def _separated(
    separator: Separator, songs: Sequence[Mapping[Role, Samples]], sample_rate: int
) -> list[dict[Role, Samples]]:
    """Return the stems that a separator takes from mixes in which each stem is of another song."""
    made: list[dict[Role, Samples]] = [{} for _ in songs]
    for first in range(len(songs)):
        song_of = {role: (first + place) % len(songs) for place, role in enumerate(Role)}
        mix = mixed([Audio(songs[song][role][None], sample_rate) for role, song in song_of.items()])
        stems = separator.separate(mix)
        for role, song in song_of.items():
            made[song][role] = stems.role(role).samples[0, : len(songs[song][role])]
    return made


def _there_and_back(
    stretcher: Stretcher, samples: Samples, sample_rate: int, speed: float, semitones: float
) -> Samples:
    """Return a stem that was stretched and shifted, and back, as long as it was."""
    away = stretcher.stretch(Audio(samples[None], sample_rate), speed=speed, semitones=semitones)
    back = stretcher.stretch(away, speed=1 / speed, semitones=-semitones).samples[0, : len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))
