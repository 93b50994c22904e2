"""Rendered songs with exact stems: POP909's notes on soundfonts and synthesizers, drums on many kits, sung melodies.

A song is a file of int16, shape (4 stems, 2, frames) at 44.1 kHz, in the order of :data:`STEMS`. Stems are dry and have
equal loudness, because :mod:`mashkit_stemnet.mixing` draws balance, room and other effects for every example.

All ranges, shares and probabilities are ours: usual values of pop and electronic music.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.arguments import named_json
from mashkit.atomicfile import replacing, require_writable_folder, write_json, writing_alone
from mashkit.errors import UsageError
from mashkit.types import Samples
from mashkit_mashnet_train.recipes.processes import in_processes, seed_of
from mashkit_mashnet_train.recipes.production import levelled
from mashkit_mashnet_train.recipes.rendered import described_files
from mashkit_mashnet_train.recipes.scores import Drumming, Excerpt, Note, chord_at, transposed
from mashkit_mashnet_train.recipes.singing import HIGHEST, LOWEST, sing
from mashkit_mashnet_train.recipes.sound import BASSES, COMPS, LEADS, PADS, drummed, machine, monophonic, played
from mashkit_stemnet.drums import PIECE_OF, SAMPLE_RATE, Kit, invented_kit, kit_files, read_kit
from mashkit_stemnet.tones import Patch, sweep

STEMS = ("vocals", "drums", "bass", "other")
LEVEL = 0.1
"""Root mean square of each stem; it is lower if a peak would exceed full scale."""
CONTENTS = "corpus.json"
_BASS_RHYTHMS = (
    "1000100010001000", "1010101010101010", "0010001000100010", "1111111111111111", "1001001000101000",
    "1000001010000010", "0111011101110111", "1000000010000000", "1001001010010010",
)  # fmt: skip
_CHORD_RHYTHMS = ("1000000000000000", "1000100010001000", "0010001000100010", "1001001000100100", "1000001000001000")


def render_song(
    excerpt: Excerpt, drummings: Sequence[Drumming], kits: Sequence[Path], soundfonts: Sequence[Path], seed: int,
    *, sung: float,
) -> np.ndarray:  # fmt: skip
    """Return a song's stems, int16 of shape (4, 2, frames); ``seed`` draws instruments, kit and tempo.

    Parameters
    ----------
    excerpt : Excerpt
    drummings : sequence of Drumming
        Drum parts to draw from.
    kits : sequence of Path
        Folders of one-shots; a third of the songs uses a synthesized kit.
    soundfonts : sequence of Path
    seed : int
    sung : float
        Share of melodies that are sung, which needs pysinsy; instruments play the others, into the stem "other".

    Raises
    ------
    UsageError
        If a kit has no kick or no snare, a file is not a soundfont, or tinysoundfont or pysinsy is not installed.
    """
    random = np.random.default_rng(seed)
    tempo = float(np.clip(excerpt.tempo * random.uniform(0.85, 1.35), 65, 172))
    seconds = excerpt.bars * 240 / tempo
    frames = round(seconds * SAMPLE_RATE)
    shift = int(random.integers(-5, 6))
    electronic = random.random() < 0.55
    band = _Band(random, soundfonts, tempo, frames)
    other = _accompaniment(excerpt, shift, band, electronic=electronic)
    melody = transposed(monophonic(excerpt.melody), shift)
    vocals = _sung(melody, tempo, random) if random.random() < sung else None
    if vocals is None and random.random() < 0.7:
        octave = 12 * int(random.choice((-1, 0, 0, 1)))
        if electronic:
            other += random.uniform(0.3, 1) * band.synthesized(transposed(melody, octave), Patch(random, "lead"))
        else:
            other += random.uniform(0.3, 1) * band.played(transposed(melody, octave), int(random.choice(LEADS)))
    if electronic and random.random() < 0.3:
        length = int(min(frames, random.uniform(1, 8) * SAMPLE_RATE))
        start = int(random.integers(0, frames - length + 1))
        other[:, start : start + length] += random.uniform(0.05, 0.5) * sweep(random, length)
    line = _bass(excerpt, shift, random)
    if electronic and random.random() < 0.8:
        bass = band.synthesized(line, Patch(random, "bass"))
    else:
        bass = band.played(line, int(random.choice(BASSES)))
    drums = _drums(drummings, kits, excerpt.bars, band, electronic=electronic)
    if vocals is None:
        vocals = np.zeros(0, np.float32)
    voice = np.pad(vocals[:frames], (0, max(0, frames - len(vocals))))
    return np.stack([_int16(stem) for stem in (np.stack([voice, voice]), drums, bass, other)])


def _accompaniment(excerpt: Excerpt, shift: int, band: _Band, *, electronic: bool) -> Samples:
    """Return what plays besides melody and bass: the piano's part, chords and arpeggios, pads, and the bridge."""
    random = band.random
    other = np.zeros((2, band.frames), np.float32)
    piano = transposed(excerpt.piano, shift)
    if not electronic or random.random() < 0.4:
        other += random.uniform(0.4, 1) * band.played(piano, int(random.choice(COMPS)))
    if electronic:
        other += random.uniform(0.4, 1) * band.synthesized(
            _chords(excerpt, shift, random), Patch(random, "pluck" if random.random() < 0.5 else "pad")
        )
        if random.random() < 0.5:
            other += random.uniform(0.2, 0.8) * band.synthesized(
                _arpeggio(excerpt, shift, random), Patch(random, "pluck")
            )
    if random.random() < 0.4:
        other += random.uniform(0.2, 0.7) * band.played(_chords(excerpt, shift, random), int(random.choice(PADS)))
    if excerpt.bridge and random.random() < 0.5:
        other += random.uniform(0.2, 0.7) * band.played(transposed(excerpt.bridge, shift), int(random.choice(COMPS)))
    return other


def _drums(drummings: Sequence[Drumming], kits: Sequence[Path], bars: int, band: _Band, *, electronic: bool) -> Samples:
    """Return a drum machine's or a drummer's part, on a random kit."""
    random = band.random
    kit = invented_kit(random) if random.random() < 1 / 3 or not kits else _kit(kits[int(random.integers(len(kits)))])
    if random.random() < (0.75 if electronic else 0.25) or not drummings:
        hits = machine(bars, random)
    else:
        hits = drummed(drummings[int(random.integers(len(drummings)))], bars, random)
    return band.drummed(hits, kit)


class _Band:
    """Renders notes with times in quarters into samples of one length."""

    def __init__(self, random: np.random.Generator, soundfonts: Sequence[Path], tempo: float, frames: int) -> None:
        self.random, self.soundfonts, self.frames = random, soundfonts, frames
        self.quarter = 60 / tempo * SAMPLE_RATE
        self.cents = float(random.normal(0, 12))

    def played(self, notes: Sequence[Note], program: int) -> Samples:
        """Return notes played by a program of a random soundfont, at a root mean square of 1."""
        soundfont = self.soundfonts[int(self.random.integers(len(self.soundfonts)))]
        # Times of whole samples, because a note that ends less than a sample after the next one begins must end first.
        timed = [
            attrs.evolve(
                note,
                start=round(note.start * self.quarter) / SAMPLE_RATE,
                end=round(note.end * self.quarter) / SAMPLE_RATE,
            )
            for note in notes
        ]
        samples = played(timed, soundfont, program, SAMPLE_RATE, self.frames, cents=self.cents)
        return _level(self._panned(samples))

    def synthesized(self, notes: Sequence[Note], patch: Patch) -> Samples:
        """Return notes played by a patch, at a root mean square of 1."""
        samples = np.zeros((2, self.frames), np.float32)
        release = round(0.02 * SAMPLE_RATE)
        for note in notes:
            start = round(note.start * self.quarter)
            tone = patch.tone(note.pitch)
            length = min(round((note.end - note.start) * self.quarter) + release, tone.shape[1], self.frames - start)
            if length <= release:
                continue
            piece = tone[:, :length] * np.float32(note.velocity / 100)
            piece[:, -release:] *= np.linspace(1, 0, release, dtype=np.float32)
            samples[:, start : start + length] += piece
        return _level(self._panned(samples))

    def drummed(self, hits: Sequence[Note], kit: Kit) -> Samples:
        """Return drums; each piece has its own level and position, and sometimes changes its one-shot."""
        random = self.random
        samples = np.zeros((2, self.frames), np.float32)
        levels = {"kick": 1.0, "snare": 0.8, "clap": 0.7, "hat": 0.3, "open": 0.3, "ride": 0.25, "crash": 0.4}
        chosen: dict[str, tuple[Samples, Samples]] = {}
        for hit in hits:
            piece = PIECE_OF.get(hit.pitch, "percussion")
            piece = piece if piece in kit else {"open": "hat", "clap": "snare", "rim": "snare"}.get(piece, piece)
            if piece not in kit:
                continue
            if piece not in chosen or random.random() < 0.02:
                shot = kit[piece][int(random.integers(len(kit[piece])))]
                pan = 0.0 if piece in ("kick", "snare") else random.uniform(-0.6, 0.6)
                level = levels.get(piece, 0.5) * np.exp(random.normal(0, 0.35))
                chosen[piece] = (shot, (level * np.array([[1 - pan], [1 + pan]])).astype(np.float32))
            shot, gains = chosen[piece]
            start = round(hit.start * self.quarter)
            length = min(shot.shape[1], self.frames - start)
            if length > 0:
                samples[:, start : start + length] += shot[:, :length] * gains * np.float32((hit.velocity / 110) ** 1.5)
        return samples

    def _panned(self, samples: Samples) -> Samples:
        pan, width = self.random.uniform(-0.7, 0.7), self.random.uniform(0, 1)
        if self.random.random() < 0.4:
            return samples
        middle = samples.mean(axis=0)
        gains = np.array([[1 - pan], [1 + pan]], np.float32)
        placed: Samples = (np.float32(width) * samples + np.float32(1 - width) * middle) * gains
        return placed


def _strokes(rhythm: str, bars: int) -> list[tuple[float, float]]:
    """Return (time, length) in quarters of each stroke of a bar's rhythm, repeated for all bars."""
    steps = [step / 4 for step, stroke in enumerate(rhythm) if stroke == "1"]
    ends = [*steps[1:], 4.0]
    return [(4 * bar + one, two - one) for bar in range(bars) for one, two in zip(steps, ends, strict=True)]


def _chords(excerpt: Excerpt, shift: int, random: np.random.Generator) -> list[Note]:
    rhythm = str(random.choice(_CHORD_RHYTHMS))
    short = random.uniform(0.3, 1)
    low = int(random.integers(45, 62))
    notes = []
    for start, length in _strokes(rhythm, excerpt.bars):
        chord = chord_at(excerpt.chords, start)
        if chord is not None:
            notes += [
                Note(start, start + short * length, low + (chord.root + tone + shift - low) % 12, 85)
                for tone in chord.tones
            ]
    return notes


def _arpeggio(excerpt: Excerpt, shift: int, random: np.random.Generator) -> list[Note]:
    step = float(random.choice((0.25, 0.5)))
    low = int(random.integers(55, 74))
    notes = []
    for number in range(int(4 * excerpt.bars / step)):
        start = number * step
        chord = chord_at(excerpt.chords, start)
        if chord is not None and random.random() < 0.9:
            tone = chord.tones[number % len(chord.tones)]
            pitch = low + (chord.root + tone + shift - low) % 12 + 12 * (number // len(chord.tones) % 2)
            notes.append(Note(start, start + 0.9 * step, pitch, 80))
    return notes


def _bass(excerpt: Excerpt, shift: int, random: np.random.Generator) -> list[Note]:
    rhythm = str(random.choice(_BASS_RHYTHMS))
    low = int(random.integers(28, 36))
    short = random.uniform(0.5, 1)
    notes = []
    for start, length in _strokes(rhythm, excerpt.bars):
        chord = chord_at(excerpt.chords, start)
        if chord is not None:
            pitch = chord.bass if random.random() < 0.85 else chord.root + chord.tones[2]
            octave = 12 * int(random.random() < 0.15)
            notes.append(Note(start, start + short * length, low + (pitch + shift - low) % 12 + octave, 95))
    return notes


def _sung(melody: Sequence[Note], tempo: float, random: np.random.Generator) -> Samples | None:
    """Return the melody sung in an octave that the voice can reach; None if there is none."""
    pitches = [note.pitch for note in melody]
    ways = [
        (octave, lower)
        for octave in (-12, 0, 12)
        for lower in range(10)
        if pitches and min(pitches) + octave + lower >= LOWEST and max(pitches) + octave + lower <= HIGHEST
    ]
    if not ways:
        return None
    octave, lower = ways[random.integers(len(ways))]
    return sing(transposed(melody, octave), tempo, lower, int(random.integers(1 << 31)), SAMPLE_RATE)


def _level(samples: Samples) -> Samples:
    return levelled(samples, 1.0, silence=1e-6)


def _int16(samples: Samples) -> np.ndarray:
    levelled = _level(samples) * LEVEL
    peak = float(np.abs(levelled).max(initial=0))
    return np.round(levelled * (32_767 / max(1.0, peak))).astype(np.int16)


_kit = functools.lru_cache(maxsize=64)(read_kit)


# ------------------------------------------------------------------------------------------------------- a corpus
def render(
    folder: Path, excerpts: Sequence[Excerpt], drummings: Sequence[Drumming], kits: Sequence[Path],
    soundfonts: Sequence[Path], *, read: Sequence[Path] = (), sung: float = 0.25, seed: int = 0, jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:  # fmt: skip
    """Render a song of each excerpt that is not yet in ``folder``, and return the number of songs in ``folder``.

    Parameters
    ----------
    folder : Path
    excerpts, drummings, kits, soundfonts
        As for :func:`render_song`; at least one soundfont.
    read : sequence of Path
        Files that excerpts and drummings were read from. A folder of songs rendered from other files is refused.
    sung : float
    seed : int
        The same seed makes the same songs, in any order, with any number of jobs.
    jobs : int
        Number of processes.
    progress : callable
        Called with (done, total) after each song.

    Raises
    ------
    UsageError
        If there is no soundfont, a file cannot be read, or ``folder`` holds songs that were rendered from other files
        or with other options.
    OutputError
        If ``folder`` cannot be written to, or another run is writing into it.
    """
    if not soundfonts:
        raise UsageError("no soundfont", "give one or more .sf2 or .sf3 files")
    options = {
        "stems": list(STEMS), "sample_rate": SAMPLE_RATE, "seed": seed, "sung": sung,
        "kits": [kit.name for kit in kits], "soundfonts": [font.name for font in soundfonts],
        # Names do not tell that the content is the same.
        "files": described_files([*read, *soundfonts]),
        "kit_files": [described_files(kit_files(kit)) for kit in kits],
    }  # fmt: skip
    with writing_alone(require_writable_folder(folder)):
        if any(folder.glob("*.npy")):
            require_same(folder / CONTENTS, options)
        write_json(folder / CONTENTS, options)
        missing = [excerpt for excerpt in excerpts if not song_file(folder, excerpt).exists()]
        done = len(excerpts) - len(missing)
        work = functools.partial(_make, folder, drummings, tuple(kits), tuple(soundfonts), seed, sung)
        for number, _ in enumerate(in_processes(work, missing, jobs), 1):
            progress(done + number, len(excerpts))
        return done + len(missing)


def require_same(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the file with which a folder was begun; UsageError if these are others.

    An option that the file does not have is not compared, so what was begun before there was the option goes on.
    """
    fix = "give the same options to go on with it, or another folder"
    begun: dict[str, Any] = named_json(path, fix)
    other = [name for name, value in options.items() if name in begun and begun[name] != value]
    if other:
        raise UsageError(f"{path.parent} was begun otherwise: not the same {', '.join(other)}", fix)
    return begun


def song_file(folder: Path, excerpt: Excerpt) -> Path:
    """Return the path of an excerpt's song."""
    return folder / f"{excerpt.song.replace('/', '-')}.{excerpt.number}.npy"


def _make(
    folder: Path, drummings: Sequence[Drumming], kits: Sequence[Path], soundfonts: Sequence[Path], seed: int,
    sung: float, excerpt: Excerpt,
) -> None:  # fmt: skip
    path = song_file(folder, excerpt)
    made = render_song(excerpt, drummings, kits, soundfonts, seed_of(seed, path.name), sung=sung)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, made)
