"""Which of the songs given are one recording, and which file of it is used.

Two files of one recording are one song: a mashup of a recording with itself is none, and a network that is tested on
what it was trained on says nothing. What counts as the same is in :mod:`mashkit.soundprint`; here is the choice:

- what a database has clips of already, stays;
- a file that is made up of several other songs given (a mix, two songs joined) is passed over for them;
- otherwise the whole song goes before a part of it, one with true stems before one without, the higher sample rate (up
  to 44.1 kHz) before the lower, stereo before mono, and then the one that comes first.

It depends on which songs are given and in which order, not on how many processes work, nor on which ends first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.paths import path_text
from mashkit.soundprint import Likeness, Shelf, Soundprint, likeness, shelved

SameRecording = Literal["once", "separate"]
"""What is done with songs that are the same recording: use one of them, or take each as a song of its own."""

PART = 3 / 4
"""A song is a part of another if less of that one lies inside it (ours): an excerpt, a preview of 30 s of one of 44."""
MADE_UP = 0.8
"""A file of which other songs make up so much is passed over for them (ours): what lies between them is little."""
WELL_SAMPLED_HZ = 44_100
"""Rates above are as good as this one: it is that of the clips."""


def require_choice(choice: str | None) -> SameRecording | None:
    """Return the choice; raises UsageError if it is none."""
    for one in get_args(SameRecording):
        if choice == one:
            found: SameRecording = one
            return found
    if choice is None:
        return None
    raise UsageError(f"same recordings {choice!r}", f"give {' or '.join(get_args(SameRecording))}")


@attrs.frozen(eq=False)
class Candidate:
    """A song that may be the recording of another.

    Parameters
    ----------
    song : str
        Its sha256.
    sound : Soundprint
    true_stems : bool
    sample_rate, channels : int
        Of its first file.
    """

    song: str
    sound: Soundprint
    true_stems: bool
    sample_rate: int
    channels: int


@attrs.frozen
class Match:
    """A song that is another's recording, or a part of it, or holds it.

    Parameters
    ----------
    song, of : str
        Their sha256; ``of`` is the one that is used.
    how : Likeness
        The first is ``song``.
    """

    song: str
    of: str
    how: Likeness


class Recordings:
    """Finds which songs are one recording.

    Parameters
    ----------
    present : sequence of (str, array of uint16)
        Songs that are there already, and the words of their prints.
    print_of : callable
        The print of one of these.
    """

    def __init__(
        self, present: Sequence[tuple[str, npt.NDArray[np.uint16]]], print_of: Callable[[str], Soundprint]
    ) -> None:
        self._present = list(present)
        self._print_of = print_of

    def matches(self, songs: Sequence[Candidate]) -> list[Match]:
        """Return which of some songs are a recording that is there, or that another of them is.

        A song may be among those that are there; it is compared with the others then.
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
    """Return the songs that are passed over, and for which."""
    made_up = {one.song for one in songs if _is_made_up(one.song, alike)}

    def rank(one: Candidate) -> tuple[bool, bool, bool, bool, int, int]:
        others = [how for other, how in alike[one.song].items() if other not in made_up]
        return (
            one.song not in there,
            one.song in made_up,
            any(how.of_first >= PART > how.of_second for how in others),
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


def _is_made_up(song: str, alike: Mapping[str, Mapping[str, Likeness]]) -> bool:
    """Tell whether two or more different songs, each whole inside this one, make up nearly all of it."""
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
    """Return a note on a song that is passed over."""
    how = match.how
    if how.of_first >= PART > how.of_second:
        what = f"a part of the same recording as {path_text(other)}"
    elif how.of_second >= PART > how.of_first:
        what = f"holds the recording {path_text(other)}"
    else:
        what = f"the same recording as {path_text(other)}"
    return (
        f"{path_text(path)}: {what} (agreement {how.agreement:.2f}): passed over; --same-recording separate uses both"
    )
