"""Rendering of notes with soundfonts; instruments and playing are drawn at random, so that excerpts sound different.

Conventions: samples are mono float32 at :data:`SAMPLE_RATE`, positions are in quarters; an arrangement's first downbeat
is at sample 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.errors import UsageError
from mashkit.types import Key, Role, Samples
from mashkit_mashnet_train.recipes.production import Facts, Production, breaths, generator, levelled, produced
from mashkit_mashnet_train.recipes.scores import Chord, Drumming, Excerpt, Note, chord_at, transposed
from mashkit_mashnet_train.recipes.singers import SINGERS, backing, pitch_curve, take, voice

SAMPLE_RATE = 22_050
"""Hz: the front ends' sample rate."""
LEADS = (40, 41, 42, 52, 53, 54, 56, 59, 60, 64, 65, 66, 67, 68, 69, 71, 72, 73, 75, 80, 81, 82, 85, 22)
"""General MIDI programs (from 0) for the melody: strings, voices, brass, reeds, pipes, leads."""
COMPS = (
    0,
    1,
    2,
    4,
    5,
    6,
    7,
    11,
    16,
    17,
    18,
    19,
    21,
    24,
    25,
    26,
    27,
    28,
    29,
    30,
    46,
    48,
    50,
    51,
    61,
    62,
    88,
    89,
    90,
    91,
)
"""General MIDI programs for the accompaniment: pianos, organs, guitars, ensembles, pads."""
# Programs of basses, kits of drums, and programs of pads, in General MIDI.
BASSES = (32, 33, 34, 35, 36, 37, 38, 39, 43, 58)
KITS = (0, 8, 16, 24, 25, 32, 40)
PADS = (48, 49, 50, 51, 52, 89, 90, 91, 94, 95)
SUNG = 0.35
"""Share of melodies that are sung, if a singer can reach their notes."""
_BASS_FIGURES = (
    ((0, 4),),
    ((0, 2), (2, 2)),
    ((0, 1.5), (1.5, 0.5), (2, 2)),
    ((0, 1), (1, 1), (2, 1), (3, 1)),
    tuple((k / 2, 0.5) for k in range(8)),
    ((0, 1.5), (1.5, 1), (2.5, 1.5)),
    ((0, 0.75), (2, 0.75), (3.5, 0.5)),
)
_FOUR = ("1000100010001000", "1000100010001010")
_BROKEN = ("1000001010000000", "1001001000100000", "1000000100100000", "1010000010010000")
_CLAPS = ("0000100000001000", "0000100100001000", "0000100000001001")
_HATS = ("0010001000100010", "1010101010101010", "1111111111111111", "1011101010111010", "1101101011011010")


@attrs.frozen
class Arrangement:
    """A rendered excerpt: its stems, tempo and transposition, the names of its voice and drums, what effects it has."""

    stems: dict[Role, Samples]
    tempo: float
    transposed: int
    voice: str
    drums: str
    production: Facts


def arrange(
    excerpt: Excerpt, drummings: Sequence[Drumming], soundfonts: Sequence[Path], seed: int, *, sung: float = SUNG,
    production: Production | None = None,
) -> Arrangement:  # fmt: skip
    """Return the excerpt played with random instruments, in a random key near its own, near its own tempo.

    Parameters
    ----------
    excerpt : Excerpt
    drummings : sequence of Drumming
        Drum parts to draw from.
    soundfonts : sequence of Path
        Soundfonts as .sf2 files; each part may use another one.
    seed : int
        Seed of all draws.
    sung : float
        Share of melodies that are sung if a singer can reach their notes, 0 to 1.
    production : Production, optional
        How often stems have effects; by default as :class:`Production` has it.

    Raises
    ------
    UsageError
        If the synthesizer or the singing voice is not installed.
    """
    production = production or Production()
    random = np.random.default_rng(seed)
    tempo = float(np.clip(excerpt.tempo * random.uniform(0.92, 1.08), 62, 170))
    shift = int(random.integers(-3, 4))
    seconds = excerpt.bars * 240 / tempo
    cents = float(random.normal(0, 6))
    quarter, frames = 60 / tempo, round(seconds * SAMPLE_RATE)

    def font() -> Path:
        return soundfonts[int(random.integers(len(soundfonts)))]

    def play(notes: Sequence[Note], soundfont: Path, program: int, *, drums: bool = False) -> Samples:
        timed = [attrs.evolve(note, start=note.start * quarter, end=note.end * quarter) for note in notes]
        stereo = played(timed, soundfont, program, SAMPLE_RATE, frames, cents=cents, drums=drums)
        mono: Samples = stereo.mean(axis=0)
        return mono

    melody = monophonic(excerpt.melody)
    vocal, name, effects = None, "", Facts()
    if random.random() < sung:
        key = None if excerpt.key is None else excerpt.key.transposed(shift)
        vocal, name, effects = _sung(transposed(melody, shift), key, tempo, cents, seconds, random, production, seed)
    if vocal is None:
        program, octave = int(random.choice(LEADS)), 12 * int(random.choice((-1, 0, 0)))
        vocal = play(transposed(melody, shift + octave), font(), program)
        name = f"program {program}"
    comp = play(transposed(excerpt.piano, shift), font(), int(random.choice(COMPS)))
    bass = _bass(excerpt.chords, excerpt.bars, shift, random)
    harmonic = levelled(comp) + random.uniform(0.3, 1.0) * levelled(play(bass, font(), int(random.choice(BASSES))))
    if random.random() < 0.5 and excerpt.bridge:
        harmonic += random.uniform(0.2, 0.6) * levelled(
            play(transposed(excerpt.bridge, shift), font(), int(random.choice(COMPS)))
        )
    if random.random() < 0.35:
        pad = [Note(c.start, c.end, 48 + (c.root + tone + shift) % 12, 70) for c in excerpt.chords for tone in c.tones]
        harmonic += random.uniform(0.2, 0.6) * levelled(play(pad, font(), int(random.choice(PADS))))
    if random.random() < 0.3:
        hits, drums = machine(excerpt.bars, random), "machine"
    else:
        drumming = drummings[int(random.integers(len(drummings)))]
        hits, drums = drummed(drumming, excerpt.bars, random), drumming.id
    percussion = play(hits, font(), int(random.choice(KITS)), drums=True)
    stems: dict[Role, Samples] = {}
    made: Facts = {}
    for role, raw in ((Role.VOCAL, vocal), (Role.HARMONIC, harmonic), (Role.PERCUSSION, percussion)):
        stems[role], made[role] = produced(_fitted(raw, seconds), role, 60 / tempo, SAMPLE_RATE, production, seed)
    made[Role.VOCAL] = {**effects, **made[Role.VOCAL]}
    return Arrangement(stems, tempo, shift, name, drums, made)


def _fitted(samples: Samples, seconds: float) -> Samples:
    frames = round(seconds * SAMPLE_RATE)
    return levelled(np.pad(samples[:frames], (0, max(0, frames - len(samples)))))


def monophonic(notes: Sequence[Note]) -> list[Note]:
    """Return notes one at a time: each ends where the next begins; of two at the same time the higher one stays."""
    kept: list[Note] = []
    for note in sorted(notes, key=lambda note: (note.start, -note.pitch)):
        if kept and note.start - kept[-1].start < 0.05:
            continue
        if kept and kept[-1].end > note.start:
            kept[-1] = attrs.evolve(kept[-1], end=note.start)
        kept.append(note)
    return kept


def _sung(
    melody: Sequence[Note], key: Key | None, tempo: float, cents: float, seconds: float, random: np.random.Generator,
    production: Production, seed: int,
) -> tuple[Samples | None, str, Facts]:  # fmt: skip
    """Return the melody sung in a singer's octave, the singer's name and what was added; None if nobody reaches it."""
    pitches = [note.pitch for note in melody]
    ways = [
        (singer, octave)
        for singer in SINGERS
        for octave in (-24, -12, 0, 12)
        if pitches and min(pitches) + octave >= singer.lowest and max(pitches) + octave <= singer.highest
    ]
    if not ways:
        return None, "", {}
    singer, octave = ways[random.integers(len(ways))]
    notes = transposed(melody, octave)
    taken = take(notes, tempo, int(random.integers(1 << 31)))
    if taken is None:
        return None, "", {}
    pitch = cents / 100 + pitch_curve(len(taken.voiced), notes, tempo, singer, generator(seed, "singer"))
    vocal = _fitted(voice(taken, pitch, singer, SAMPLE_RATE), seconds)
    effects: Facts = {}
    own = generator(seed, "backing")
    if own.random() < production.backing:
        level = float(own.uniform(-16, -6))
        second, drawn = backing(taken, notes, tempo, singer, key, SAMPLE_RATE, own)
        effects["backing"] = {**drawn, "level_db": round(level, 1)}
        vocal = vocal + np.float32(10 ** (level / 20)) * _fitted(second, seconds)
    own = generator(seed, "breaths")
    if own.random() < production.breaths:
        effects["breaths"] = True
        vocal = vocal + breaths(notes, 60 / tempo, len(vocal), SAMPLE_RATE, own)
    return vocal, singer.name, effects


def _bass(chords: Sequence[Chord], bars: int, shift: int, random: np.random.Generator) -> list[Note]:
    """Return a bass line: one figure on each chord's bass, sometimes on its fifth."""
    figure = _BASS_FIGURES[random.integers(len(_BASS_FIGURES))]
    notes = []
    for bar in range(bars):
        for start, length in figure:
            at = 4 * bar + start
            chord = chord_at(chords, at)
            if chord is None:
                continue
            pitch = chord.bass if start == 0 or random.random() < 0.8 else chord.root + chord.tones[2]
            notes.append(Note(at, at + 0.95 * length, 33 + (pitch + shift - 33) % 12, int(random.integers(80, 110))))
    return notes


def drummed(drumming: Drumming, bars: int, random: np.random.Generator) -> list[Note]:
    """Return a drummer's bars from a random bar on; they repeat when the recording ends."""
    length = 4 * max(1, int(max(hit.start for hit in drumming.hits) // 4))
    first = 4 * int(random.integers(max(1, length // 4 - bars + 1)))
    hits = []
    for turn in range(4 * bars // (length - first) + 1):
        moved = turn * (length - first) - first
        hits += [
            attrs.evolve(hit, start=max(0.0, hit.start + moved), end=max(0.0, hit.start + moved) + 0.25)
            for hit in drumming.hits
            if first - 0.05 <= hit.start < length - 0.05 and hit.start + moved < 4 * bars - 0.05
        ]
    return hits


def machine(bars: int, random: np.random.Generator) -> list[Note]:
    """Return one bar of a drum machine, repeated; in every eighth bar the kick stops for the last quarter."""
    kicks = str(random.choice(_FOUR if random.random() < 0.5 else _BROKEN))
    clap, hat = str(random.choice(_CLAPS)), str(random.choice(_HATS))
    sounds = (
        (36, kicks, 110),
        (int(random.choice((38, 39, 40))), clap, 100),
        (int(random.choice((42, 44, 54))), hat, 75),
    )
    swing = float(random.choice((0, 0, 0.04, 0.08)))
    hits = []
    for bar in range(bars):
        for pitch, pattern, velocity in sounds:
            for step, stroke in enumerate(pattern):
                if stroke == "1" and not (bar % 8 == 7 and step >= 12 and pitch == 36):
                    at = 4 * bar + step / 4 + swing * (step % 2)
                    hits.append(Note(at, at + 0.2, pitch, int(velocity + random.integers(-8, 8))))
    return hits


# ----------------------------------------------------------------------------------------------------- soundfonts
@functools.lru_cache(maxsize=4)
def load_soundfont(soundfont: Path, sample_rate: int) -> tuple[Any, int]:
    """Return a synthesizer, and the number that a soundfont has in it; later calls return the same synthesizer.

    Raises
    ------
    UsageError
        If tinysoundfont is not installed, or the file is not a soundfont.
    """
    try:
        import tinysoundfont
    except ImportError as error:
        # --no-deps, because tinysoundfont requires pyaudio, which only live playback needs and which must be compiled.
        raise UsageError("rendering needs tinysoundfont", "pip install --no-deps tinysoundfont") from error
    synthesizer = tinysoundfont.Synth(samplerate=sample_rate)
    number = synthesizer.sfload(str(soundfont))
    if number < 0:
        raise UsageError(f"{soundfont} is not a soundfont", "give an .sf2 or .sf3 file")
    return synthesizer, number


def silence(synthesizer: Any, sample_rate: int) -> None:
    """End all notes of a synthesizer, and wait until they have faded out, because the next ones must sound alone."""
    synthesizer.sounds_off()
    synthesizer.generate(sample_rate // 4)


def played(
    notes: Sequence[Note], soundfont: Path, program: int, sample_rate: int, frames: int, *, cents: float,
    drums: bool = False,
) -> Samples:  # fmt: skip
    """Return notes played by one program of a soundfont, float32 of shape (2, frames).

    Parameters
    ----------
    notes : sequence of Note
        Their times are in seconds.
    soundfont : Path
    program : int
        General MIDI program; for drums, the kit.
    sample_rate, frames : int
    cents : float
        Tuning of all notes; drums are not tuned.
    drums : bool

    Raises
    ------
    UsageError
        As for :func:`load_soundfont`.
    """
    synthesizer, number = load_soundfont(soundfont, sample_rate)
    silence(synthesizer, sample_rate)
    channel = 9 if drums else 0
    synthesizer.program_select(channel, number, 128 if drums else 0, program, drums)
    if not drums:
        synthesizer.set_tuning(channel, cents / 100)
    # At equal times, off comes before on, so that a repeated note is struck again.
    struck = [(note.start, 1, note.pitch, note.velocity) for note in notes]
    events = sorted(struck + [(note.end, 0, note.pitch, 0) for note in notes])
    samples = np.zeros((2, frames), np.float32)
    done = 0
    for time, on, pitch, velocity in events:
        until = min(frames, round(time * sample_rate))
        if until > done:
            samples[:, done:until] = _generated(synthesizer, until - done)
            done = until
        if on:
            synthesizer.noteon(channel, pitch, velocity)
        else:
            synthesizer.noteoff(channel, pitch)
    if frames > done:
        samples[:, done:] = _generated(synthesizer, frames - done)
    return samples


def _generated(synthesizer: Any, frames: int) -> Samples:
    return np.frombuffer(synthesizer.generate(frames), np.float32).reshape(-1, 2).T
