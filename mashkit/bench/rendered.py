"""Compose and render songs from a seed, with exact stems, key, tempo and beats, for benchmarks without any music.

Each song has its own chords, melody, bass and drum patterns and its own instruments. Melody and chords fit each other,
so that a scorer can find a misfit. The music is simple: how well a component does on it predicts little for records.

Conventions: a step is a sixteenth of a 4/4 bar, a pitch a MIDI number.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.types import Analysis, Audio, Chords, Key, Melody, Samples, StemSet, Times
from mashkit.types.chords import ROOT_NAMES

SAMPLE_RATE = 44_100
STEPS = 16
DURATION_S = 34.0
"""Shortest length of a song, seconds; a plan of the ``controlled`` experiment protocol needs as much."""
LEAD_S = 0.25
"""Silence before the first downbeat, seconds."""
MELODY_HOP_S = 0.01
SUNG = 0.95
"""Share of a melody note's length in which it sounds."""

TEMPI = (88.0, 132.0)
SCALES: Mapping[str, tuple[int, ...]] = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_FOLLOWING = {0: (3, 4, 5, 1, 2), 1: (4, 3), 2: (5, 3), 3: (4, 0, 1), 4: (0, 5, 3), 5: (3, 1, 4)}
"""The diatonic chords that follow a chord, the commonest first (degrees from 0, without the diminished seventh)."""
_TRIADS = {(4, 3): "maj", (3, 4): "min", (3, 3): "dim"}
"""Semitones from root to third and from third to fifth → quality of the triads of major and minor scales."""
_RHYTHMS = ("1000100010001000", "1010100010001010", "1000101010100000", "0010101010001000", "1001001010010010")
_KICKS = ("1000000010000000", "1000001010000000", "1000100010001000", "1001000010100000", "1000000110100000")
_SNARES = ("0000100000001000", "0000100000001001", "0000000010000000")
_HATS = ("1010101010101010", "0010001000100010", "1111111111111111", "1011101110111011")
_COMPS = ("1000000000000000", "1000100010001000", "0010001000100010", "1001001000100100")
_BASSES = ("1000000010000000", "1000001010000000", "1010101010101010", "1001001000101000")


@attrs.frozen
class Note:
    """One note: its start and length, in steps, and its pitch."""

    step: int
    steps: int
    pitch: int


@attrs.frozen(kw_only=True)
class Composition:
    """A song before any sound.

    Parameters
    ----------
    key : Key
    tempo : float
        BPM, constant.
    bars : int
    melody, bass, chords : tuple of Note
    harmony : tuple of str
        Label of each bar's chord, as :func:`mashkit.types.chord_tones` reads it.
    drums : mapping of str to tuple of int
        Steps at which kick, snare and hat sound.
    sounds : mapping of str to float
        Parameters of its instruments.
    """

    key: Key
    tempo: float
    bars: int
    melody: tuple[Note, ...] = attrs.field(repr=False)
    bass: tuple[Note, ...] = attrs.field(repr=False)
    chords: tuple[Note, ...] = attrs.field(repr=False)
    harmony: tuple[str, ...] = attrs.field(repr=False)
    drums: Mapping[str, tuple[int, ...]] = attrs.field(repr=False)
    sounds: Mapping[str, float] = attrs.field(repr=False)

    @property
    def step_s(self) -> float:
        """Length of a step, seconds."""
        return 60 / self.tempo / 4

    @property
    def duration_s(self) -> float:
        """Length of the song, seconds."""
        return LEAD_S + self.bars * STEPS * self.step_s

    @property
    def analysis(self) -> Analysis:
        """Its key, tempo, beats and downbeats, exact."""
        beats = LEAD_S + np.arange(4 * self.bars) * 4 * self.step_s
        return Analysis(key=self.key, tempo=self.tempo, beats=beats, downbeats=beats[::4])

    @property
    def everything(self) -> Analysis:
        """Its analysis with chords and melody (a frame every 10 ms, as mir_eval compares them), exact."""
        bars = LEAD_S + np.arange(self.bars + 1) * STEPS * self.step_s
        hertz = self.sung_hz(np.arange(0.0, self.duration_s, MELODY_HOP_S))
        return attrs.evolve(
            self.analysis, chords=Chords(bars, self.harmony), melody=Melody(hertz, np.ones(len(hertz)), MELODY_HOP_S)
        )

    def sung_hz(self, times: Times) -> npt.NDArray[np.float64]:
        """Return the frequency that is sung at each of ``times`` (seconds), Hz, 0 between notes."""
        hertz = np.zeros(len(times))
        for note in self.melody:
            start = LEAD_S + note.step * self.step_s
            hertz[(times >= start) & (times < start + SUNG * note.steps * self.step_s)] = _hertz(note.pitch)
        return hertz


def compose(seed: int, number: int) -> Composition:
    """Compose the song of a number; it depends on seed and number alone."""
    random = np.random.default_rng([seed, number])
    key = Key(int(random.integers(12)), "major" if random.random() < 0.6 else "minor")
    tempo = round(float(random.uniform(*TEMPI)), 1)
    bars = int(np.ceil((DURATION_S - LEAD_S) / (240 / tempo)))
    degrees = [0]
    while len(degrees) < 4:
        choices = _FOLLOWING[degrees[-1]]
        degrees.append(int(random.choice(choices[:3])))
    second = [*degrees[:2], int(random.choice((3, 5, 1))), 4]
    progression = (degrees + second) * (bars // 8 + 1)
    rhythms, comp, bass = random.choice(_RHYTHMS, 2, replace=False), random.choice(_COMPS), random.choice(_BASSES)
    motif = {section: _motif(str(rhythms[section]), random) for section in (0, 1)}
    melody, low, chords, harmony = list[Note](), list[Note](), list[Note](), list[str]()
    register = int(random.integers(62, 70))
    for bar in range(bars):
        start, degree = bar * STEPS, progression[bar]
        triad = [_pitch(key, degree + third) for third in (0, 2, 4)]
        harmony.append(_label(triad))
        # Every eighth bar is without vocals, because real voices pause.
        if bar % 4 != 3 or bar % 8 == 3:
            melody += _sung(motif[bar // 2 % 2], start, key, degree, register)
        low += [Note(start + step, length, 36 + triad[0] % 12) for step, length in _held(str(bass))]
        for step, length in _held(str(comp)):
            chords += [Note(start + step, length, _near(pitch, 60)) for pitch in triad]
    hits = {"kick": random.choice(_KICKS), "snare": random.choice(_SNARES), "hat": random.choice(_HATS)}
    drums = {
        name: tuple(bar * STEPS + step for bar in range(bars) for step in range(STEPS) if str(pattern)[step] == "1")
        for name, pattern in hits.items()
    }
    sounds = {
        "chord_decay": float(random.uniform(0.6, 3.0)),
        "chord_slope": float(random.uniform(1.2, 2.2)),
        "bass_slope": float(random.uniform(1.0, 2.0)),
        "formant_hz": float(random.uniform(550, 1100)),
        "vibrato_hz": float(random.uniform(4.8, 6.2)),
        "kick_hz": float(random.uniform(42, 60)),
        "snare_decay": float(random.uniform(14, 34)),
        "width": float(random.uniform(0.1, 0.4)),
    }
    return Composition(
        key=key, tempo=tempo, bars=bars, melody=tuple(melody), bass=tuple(low), chords=tuple(chords),
        harmony=tuple(harmony), drums=drums, sounds=sounds,
    )  # fmt: skip


def _pitch(key: Key, degree: int) -> int:
    scale = SCALES[key.mode]
    return key.tonic + scale[degree % 7] + 12 * (degree // 7)


def _label(triad: Sequence[int]) -> str:
    thirds = (triad[1] - triad[0], triad[2] - triad[1])
    return f"{ROOT_NAMES[triad[0] % 12]}:{_TRIADS[thirds]}"


def _near(pitch: int, centre: int) -> int:
    """Return the pitch in the octave around ``centre``."""
    return centre - 6 + (pitch - centre + 6) % 12


def _held(pattern: str) -> list[tuple[int, int]]:
    """Return (step, length) of each stroke of a bar's pattern; each lasts until the next."""
    steps = [step for step, stroke in enumerate(pattern) if stroke == "1"]
    return [(step, after - step) for step, after in zip(steps, [*steps[1:], STEPS], strict=True)]


def _motif(rhythm: str, random: np.random.Generator) -> list[tuple[int, int, int]]:
    """Return (step, length, degrees above the chord's root) of each note of a bar of melody.

    Notes on a beat belong to the chord; notes between beats may pass from one to the next.
    """
    motif = []
    for step, length in _held(rhythm):
        above = random.choice((0, 2, 4, 7) if step % 4 == 0 else (0, 1, 2, 3, 4, 5))
        motif.append((step, length, int(above)))
    return motif


def _sung(motif: list[tuple[int, int, int]], start: int, key: Key, degree: int, register: int) -> list[Note]:
    return [Note(start + step, length, _near(_pitch(key, degree + above), register)) for step, length, above in motif]


# ------------------------------------------------------------------------------------------------------------ sound
def render(song: Composition) -> StemSet:
    """Return the song's stems: vocals, drums, bass, other; stereo, 44.1 kHz."""
    frames = round(song.duration_s * SAMPLE_RATE)
    sounds = song.sounds
    parts = {name: np.zeros((2, frames), np.float32) for name in ("vocals", "drums", "bass", "other")}

    def add(name: str, step: int, sound: Samples, pan: float = 0.0) -> None:
        first = round((LEAD_S + step * song.step_s) * SAMPLE_RATE)
        sound = sound[: frames - first]
        parts[name][0, first : first + len(sound)] += np.float32(1 - pan) * sound
        parts[name][1, first : first + len(sound)] += np.float32(1 + pan) * sound

    for note in song.melody:
        seconds = SUNG * note.steps * song.step_s
        add("vocals", note.step, _voice(note.pitch, seconds, sounds["vibrato_hz"], sounds["formant_hz"]))
    for note in song.bass:
        add("bass", note.step, 0.16 * _string(note.pitch, note.steps * song.step_s, 1.5, sounds["bass_slope"], 5))
    for place, note in enumerate(song.chords):
        sound = _string(note.pitch, note.steps * song.step_s, sounds["chord_decay"], sounds["chord_slope"], 8)
        add("other", note.step, 0.07 * sound, sounds["width"] * (place % 3 - 1))
    drums = _drum_sounds(sounds)
    for name, steps in song.drums.items():
        for step in steps:
            add("drums", step, drums[name], 0.3 if name == "hat" else 0.0)
    return StemSet({name: Audio(samples, SAMPLE_RATE) for name, samples in parts.items()})


def voice_left(stems: StemSet, residue_db: float) -> Audio:
    """Return the vocals as a separator may leave them: with the accompaniment ``residue_db`` above them (below 0)."""
    voice = stems.stems["vocals"].samples
    rest = np.sum([stem.samples for name, stem in stems.stems.items() if name != "vocals"], axis=0)
    factor = 10 ** (residue_db / 20) * np.sqrt(np.mean(voice**2) / np.mean(rest**2))
    return Audio(voice + np.float32(factor) * rest, SAMPLE_RATE)


def _time(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _hertz(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


@functools.lru_cache(maxsize=256)
def _string(pitch: int, seconds: float, decay: float, slope: float, partials: int) -> Samples:
    """Return a decaying tone; its partials become weaker by ``slope``."""
    time = _time(seconds)
    envelope = np.minimum(1, time / 0.008) * np.exp(-decay * time) * np.minimum(1, (seconds - time) / 0.02)
    waves = [np.sin(2 * np.pi * _hertz(pitch) * n * time) / n**slope for n in range(1, partials + 1)]
    sound: Samples = (envelope * np.sum(waves, axis=0)).astype(np.float32)
    return sound


@functools.lru_cache(maxsize=64)  # because the motifs of a song repeat
def _voice(pitch: int, seconds: float, vibrato_hz: float, formant_hz: float) -> Samples:
    """Return a sung note: harmonics under a formant, with a vibrato that begins gradually."""
    time = _time(seconds)
    vibrato = 0.006 * np.minimum(1, time / 0.3) * np.sin(2 * np.pi * vibrato_hz * time)
    phase = 2 * np.pi * np.cumsum(_hertz(pitch) * (1 + vibrato)) / SAMPLE_RATE
    weights = [np.exp(-(((n * _hertz(pitch) - formant_hz) / 700) ** 2)) + 0.1 / n for n in range(1, 11)]
    wave = np.sum([weight * np.sin(n * phase) for n, weight in enumerate(weights, 1)], axis=0)
    envelope = np.minimum(1, time / 0.03) * np.minimum(1, (seconds - time) / 0.05)
    sound: Samples = (0.12 * envelope * wave).astype(np.float32)
    return sound


def _drum_sounds(sounds: Mapping[str, float]) -> dict[str, Samples]:
    random = np.random.default_rng(0)  # the snares of all songs may have the same noise
    time = _time(0.25)
    kick = np.sin(2 * np.pi * sounds["kick_hz"] * (time + 0.03 * (1 - np.exp(-40 * time)))) * np.exp(-14 * time)
    snare = random.standard_normal(len(time)) * np.exp(-sounds["snare_decay"] * time)
    hat = np.diff(random.standard_normal(len(time) + 1)) * np.exp(-90 * time)
    return {
        "kick": (0.5 * kick).astype(np.float32),
        "snare": (0.18 * snare).astype(np.float32),
        "hat": (0.06 * hat).astype(np.float32),
    }
