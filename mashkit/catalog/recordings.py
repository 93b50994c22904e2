"""Find the songs that are the same recording, and choose the file of each recording that is used.

Two files of one recording count as one song, for two reasons: a recording over itself is not a mashup, and the test of
a network is worthless on recordings that the network was trained on. :mod:`mashkit.features.soundprint` decides which
files are the same recording; this module chooses between them:

- a song stays if the database has clips of it already;
- a file that consists of several other given songs (a mix, two songs joined) is not used, but these songs are;
- otherwise a whole song is preferred to a part of it, then a song with true stems to a song without, then the higher
  sample rate (up to 44.1 kHz) to the lower, then stereo to mono, and then the song that was given first.

The choice depends on the given songs and their order. It does not depend on the number of processes, nor on the order
in which they finish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.features.soundprint import Likeness, Shelf, Soundprint, likeness, shelved
from mashkit.paths import path_text

SameRecording = Literal["once", "separate"]
"""Treatment of songs that are the same recording: use one of them, or use each as a separate song."""

PART = 2 / 3
"""Least share of a song that lies inside another for the song to be a part of the other, such as a preview (ours)."""
SHORTER = 0.8
"""A part is at most this share as long as the whole (ours): padded or trimmed ends leave more of a song."""
MADE_UP = 0.8
"""Least share of a file that consists of other given songs, for these songs to be used instead of it (ours)."""
WELL_SAMPLED_HZ = 44_100
"""Sample rate of the clips, Hz; a higher sample rate of the file is no advantage."""


def require_choice(choice: str | None) -> SameRecording | None:
    """Return the choice; raises UsageError if it is not a :data:`SameRecording`."""
    for one in get_args(SameRecording):
        if choice == one:
            found: SameRecording = one
            return found
    if choice is None:
        return None
    raise UsageError(f"same recordings {choice!r}", f"give {' or '.join(get_args(SameRecording))}")


@attrs.frozen(eq=False)
class Candidate:
    """A song that may be the same recording as another song.

    Parameters
    ----------
    song : str
        The song's sha256.
    sound : Soundprint
    true_stems : bool
        Whether the song has true stems.
    sample_rate, channels : int
        Sample rate (Hz) and channels of the song's first file.
    """

    song: str
    sound: Soundprint
    true_stems: bool
    sample_rate: int
    channels: int


@attrs.frozen
class Match:
    """Two songs of one recording; one of them may be a part of the other.

    Parameters
    ----------
    song, of : str
        Sha256 of the song that is not used, and of the song that is used instead.
    how : Likeness
        Comparison of ``song`` (first) with ``of`` (second).
    """

    song: str
    of: str
    how: Likeness


class Recordings:
    """Finds songs that are the same recording.

    Parameters
    ----------
    present : sequence of (str, array of uint16)
        Songs that are in the database already, and the words of their soundprints.
    print_of : callable
        Returns the soundprint of a song in ``present``.
    """

    def __init__(
        self, present: Sequence[tuple[str, npt.NDArray[np.uint16]]], print_of: Callable[[str], Soundprint]
    ) -> None:
        self._present = list(present)
        self._print_of = print_of

    def matches(self, songs: Sequence[Candidate]) -> list[Match]:
        """Return the songs that are not used, each with the song of the same recording that is used instead.

        Each song is compared with the other given songs and with the songs that are present. A given song may be
        present already; it is then compared with all songs but itself.
        """
        new = {one.song: one for one in songs}
        shelf_of = [song for song, _ in self._present if song not in new]
        words = [words for song, words in self._present if song not in new]
        shelf = Shelf([*words, *(shelved(one.sound) for one in new.values())])
        names = [*shelf_of, *new]
        alike: dict[str, dict[str, Likeness]] = {song: {} for song in new}
        for song, one in new.items():
            for number in shelf.candidates(one.sound):
                other = names[number]
                if other == song or other in alike[song]:
                    continue
                how = likeness(one.sound, new[other].sound if other in new else self._print_of(other))
                if how is not None and how.same:
                    alike[song][other] = how
                    if other in new:
                        alike[other][song] = how.reversed()
        there = {song for song, _ in self._present}
        return _chosen(list(new.values()), alike, there)


def _chosen(songs: Sequence[Candidate], alike: Mapping[str, Mapping[str, Likeness]], there: set[str]) -> list[Match]:
    """Return the songs that are not used, each with the song that is used instead."""
    made_up = {one.song for one in songs if _is_made_up(one.song, alike)}

    def rank(one: Candidate) -> tuple[bool, bool, bool, bool, int, int]:
        others = [how for other, how in alike[one.song].items() if other not in made_up]
        return (
            one.song not in there,
            one.song in made_up,
            any(is_part(how) for how in others),
            not one.true_stems,
            -min(one.sample_rate, WELL_SAMPLED_HZ),
            -min(one.channels, 2),
        )

    used: set[str] = {song for song in there if song not in alike}
    passed = []
    for one in sorted(songs, key=rank):
        found = [(-how.agreement, other) for other, how in alike[one.song].items() if other in used]
        if found:
            other = min(found)[1]
            passed.append(Match(one.song, other, alike[one.song][other]))
        else:
            used.add(one.song)
    order = {one.song: number for number, one in enumerate(songs)}
    return sorted(passed, key=lambda match: order[match.song])


def is_part(how: Likeness) -> bool:
    """Return whether the first song is a part of the second."""
    return how.of_first >= PART and how.of_second < SHORTER * how.of_first


def _is_made_up(song: str, alike: Mapping[str, Mapping[str, Likeness]]) -> bool:
    """Return whether this song consists almost wholly of two or more different songs, each whole inside it."""
    parts: list[str] = []
    covered = 0.0
    for other, how in alike[song].items():
        if how.of_second < PART or how.of_first >= PART:
            continue
        if all(part not in alike.get(other, {}) and other not in alike.get(part, {}) for part in parts):
            parts.append(other)
            covered += how.of_first
    return len(parts) >= 2 and covered >= MADE_UP


def told(match: Match, path: Path, other: Path) -> str:
    """Return a note for the user on a song that is not used."""
    how = match.how
    if is_part(how):
        what = f"a part of the same recording as {path_text(other)}"
    elif is_part(how.reversed()):
        what = f"holds the recording {path_text(other)}"
    else:
        what = f"the same recording as {path_text(other)}"
    return (
        f"{path_text(path)}: {what} (agreement {how.agreement:.2f}): passed over; --same-recording separate uses both"
    )
