"""Songs in many metres, and songs whose labels do not fit them: made by code, a folder or file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mashkit.audio.files import save
from mashkit.testing import signals
from mashkit.types import Audio, Key, Times

RATE = 44_100
GROUPS = {3: (3,), 4: (2, 2), 5: (3, 2), 6: (3, 3), 7: (2, 2, 3)}
"""How the beats of a bar are grouped: a group begins with a kick and ends with a snare."""


def in_metre(beats_per_bar: int, *, tempo: float = 120.0, seconds: float = 36.0) -> tuple[Audio, Times]:
    """Return drums, bass and chords in bars of so many beats, and where the bars begin."""
    random = np.random.default_rng(beats_per_bar)
    sound = np.zeros((2, round(seconds * RATE)), np.float32)

    def add(at: float, part: npt.NDArray[np.floating]) -> None:
        first = round(at * RATE)
        part = part[: max(sound.shape[1] - first, 0)]
        sound[:, first : first + len(part)] += part.astype(np.float32)

    time = np.arange(round(0.15 * RATE)) / RATE
    kick = 0.5 * np.sin(2 * np.pi * (50 + 60 * np.exp(-40 * time)) * time) * np.exp(-18 * time)
    snare = 0.25 * random.standard_normal(len(time)) * np.exp(-25 * time)
    hat = 0.08 * np.diff(random.standard_normal(len(time) + 1)) * np.exp(-80 * time)
    begins = np.concatenate([[0], np.cumsum(GROUPS[beats_per_bar])])
    beat = 60 / tempo
    bars = np.arange(0.4, seconds - 1, beats_per_bar * beat)
    for number, bar in enumerate(bars):
        degrees = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))[number % 4]
        held = np.arange(round(0.95 * beats_per_bar * beat * RATE)) / RATE
        for pitch, level in ((36 + degrees[0], 0.2), *((60 + degree, 0.06) for degree in degrees)):
            hertz = 440 * 2 ** ((pitch - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hertz * partial * held) / partial**1.5 for partial in range(1, 6))
            add(bar, level * np.minimum(1, held / 0.01) * np.exp(-1.2 * held) * tone)
        for place in range(beats_per_bar):
            at = bar + place * beat
            if place in begins:
                add(at, kick)
            if place + 1 in begins:
                add(at, snare)
            add(at, hat)
            add(at + beat / 2, hat)
    return Audio(sound, RATE), bars


def five_four(folder: Path) -> Path:
    """A song in 5/4."""
    return save(folder / "five-four.flac", in_metre(5)[0])


def seven_four(folder: Path) -> Path:
    """A song in 7/4."""
    return save(folder / "seven-four.flac", in_metre(7, tempo=150.0)[0])


def three_four(folder: Path) -> Path:
    """A waltz."""
    return save(folder / "waltz.flac", in_metre(3)[0])


def four_four(folder: Path) -> Path:
    """A song in 4/4, as most are."""
    return save(folder / "four-four.flac", in_metre(4)[0])


def no_metre(folder: Path) -> Path:
    """A pulse at 120 BPM with nothing on it that repeats: no bar can be heard."""
    clicks = signals.click_train(signals.click_times(36.0, 120.0), 36.0, channels=2)
    return save(folder / "pulse.flac", clicks)


# ----------------------------------------------------------------------------------------------------------- labels
def _multitrack(folder: Path, *, bpm: object, beats: Times) -> Path:
    """Write stems of a song at 140 BPM, another one for each name, with key, tempo and beats labelled."""
    seed = sum(folder.name.encode())
    key = Key(seed % 12, "minor")
    stems, _ = signals.band(key, tempo=140.0, bars=16, seed=seed)
    for name, audio in stems.stems.items():
        save(folder / f"{name}.flac", Audio(np.float32(0.4) * audio.samples, audio.sample_rate))
    about = {"title": folder.name, "key": str(key)} | ({} if bpm is None else {"bpm": bpm})
    (folder / "song.json").write_text(json.dumps(about))
    lines = (f"{moment:.6f}\t{number % 4 + 1}\n" for number, moment in enumerate(beats.tolist()))
    if len(beats):
        (folder / "mixture.beats").write_text("".join(lines))
    return folder


def _grid(tempo: float, *, first: float = 0.25) -> Times:
    return np.arange(first, 27.2, 60 / tempo)


def labels_that_fit(folder: Path) -> Path:
    """A song at 140 BPM, labelled so."""
    return _multitrack(folder / "fits", bpm=140, beats=_grid(140))


def labels_30_ms_late(folder: Path) -> Path:
    """The same, labelled on a copy that an encoder padded by 30 ms: that is let pass."""
    return _multitrack(folder / "padded", bpm=140, beats=_grid(140, first=0.28))


def labels_at_another_tempo(folder: Path) -> Path:
    """A song at 140 BPM with the grid, and the BPM, of one at 124."""
    return _multitrack(folder / "grid of 124", bpm=124, beats=_grid(124))


def labels_a_quarter_beat_late(folder: Path) -> Path:
    """The right tempo, a quarter of a beat late: labels of another edit."""
    return _multitrack(folder / "late", bpm=140, beats=_grid(140, first=0.25 + 60 / 140 / 4))


def labels_cut_differently(folder: Path) -> Path:
    """The first half fits; from the middle on what was labelled has 0.3 s more."""
    beats = _grid(140)
    return _multitrack(folder / "cut", bpm=140, beats=np.where(beats < 13.6, beats, beats + 0.3))


def labels_that_contradict(folder: Path) -> Path:
    """Beats that fit, beside a BPM that is not theirs."""
    return _multitrack(folder / "contradicts", bpm=118, beats=_grid(140))


def labels_in_milliseconds(folder: Path) -> Path:
    """Beats in milliseconds."""
    return _multitrack(folder / "milliseconds", bpm=140, beats=1000 * _grid(140))


def bpm_of_another_song(folder: Path) -> Path:
    """No beats labelled, and the BPM of another song."""
    return _multitrack(folder / "bpm of 118", bpm=118, beats=np.zeros(0))


def misfits(folder: Path) -> Iterator[Path]:
    """Make every song whose labels must be refused."""
    for make in (
        labels_at_another_tempo, labels_a_quarter_beat_late, labels_cut_differently, labels_that_contradict,
        labels_in_milliseconds, bpm_of_another_song,
    ):  # fmt: skip
        yield make(folder)
