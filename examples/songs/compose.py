"""Compose the demo songs: render ``songs.py`` to Ogg Vorbis with exact labels beside it.

Usage: ``python compose.py [--out DIR] [--stems] [SLUG ...]``.  Instruments come from a
General MIDI soundfont, the voice from Sinsy; every random choice is seeded, so the same
packages give the same audio again.
"""

import argparse
import itertools
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pysinsy  # type: ignore[import-untyped]
import pyworld  # type: ignore[import-untyped]
import soundfile
import tinysoundfont  # type: ignore[import-untyped]
from scipy import ndimage, signal
from songs import SONGS, Drums, Part, Section, Song

Audio = npt.NDArray[np.float64]

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
RATE = 44100
STEPS = 16
"""Steps in a bar of 4/4."""
LEAD_IN = 0.25
"""Silence before the first downbeat, in seconds: beat trackers miss a beat at zero."""
TAIL = 1.8
"""Seconds that the last chord may ring beyond the last bar."""
LOUDNESS = -16.0
"""Integrated loudness of a finished song, in LUFS."""
DRUM_ATTACK = round(0.002 * RATE)
"""Samples that the kits' kicks take to speak; drums start this much before the beat."""
CEILING = 10 ** (-2.0 / 20)
"""Limiter ceiling: a decibel below the promised -1 dBFS, as Vorbis overshoots."""
VOICE_LEVEL = -16.5
"""Loudness of the voice before mastering, on the scale of ``Part.level``."""
REVERB_SEND = {"vocals": 0.16, "drums": 0.06, "bass": 0.0, "other": 0.14}
STEMS = tuple(REVERB_SEND)

NOTE = re.compile(r"([A-G])([#b]?)(-?\d+)")
CHORD = re.compile(r"([A-G][#b]?)(maj7|m7|m|7|)(?:/([A-G][#b]?))?")
NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
}
DRUM_KEYS = {
    "kick": 36,
    "stick": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "tom3": 43,
    "openhat": 46,
    "tom2": 47,
    "crash": 49,
    "tom1": 50,
    "ride": 51,
    "conga": 63,
}
STRENGTHS = {"X": 112, "x": 90, "o": 58}
SILENT = "." * STEPS

CREDITS = {
    "composition": "mashkit contributors, CC0-1.0",
    "instruments": "FluidR3 GM soundfont, copyright 2000-2002, 2008 Frank Wen, MIT licence",
    "singing voice": (
        'HTS voice "NIT SONG070 F001", copyright 2004-2015 Nagoya Institute of Technology, '
        "Department of Computer Science, released by the HTS Working Group "
        "(http://hts.sp.nitech.ac.jp/), CC BY 3.0 "
        "(https://creativecommons.org/licenses/by/3.0/), sung by Sinsy through pysinsy; "
        "tuned, levelled and mixed with reverberation"
    ),
}


@dataclass(frozen=True)
class Chord:
    """A chord symbol, resolved, and the span of steps it sounds for."""

    name: str
    start: int
    end: int
    root: int
    tones: tuple[int, ...]
    bass: int

    @classmethod
    def parse(cls, name: str, start: int, end: int) -> "Chord":
        """Resolve a symbol such as ``F#m7`` or ``E/G#`` into pitch classes."""
        match = CHORD.fullmatch(name)
        if match is None:
            raise ValueError(f"unknown chord {name!r}")
        root = pitch_class(match[1])
        bass = pitch_class(match[3]) if match[3] else root
        tones = tuple((root + interval) % 12 for interval in QUALITIES[match[2]])
        return cls(name, start, end, root, tones, bass)


@dataclass(frozen=True)
class Event:
    """A note to play, in steps; ``velocity`` is 1-127."""

    start: int
    end: int
    key: int
    velocity: int


def pitch_class(name: str) -> int:
    """Return 0-11 for a note name without an octave, C being 0."""
    return (NATURALS[name[0]] + name.count("#") - name[1:].count("b")) % 12


def bars(text: str) -> list[str]:
    """Split a ``|``-separated line into its bars."""
    return [bar.strip() for bar in text.split("|")]


def layout(song: Song) -> Iterator[tuple[Section, int, int]]:
    """Yield each section with its first bar and the bar after its last."""
    first = 0
    for section in song.sections:
        last = first + len(bars(section.chords))
        yield section, first, last
        first = last


def bar_count(song: Song) -> int:
    """Return the number of bars in a song."""
    return sum(len(bars(section.chords)) for section in song.sections)


def sample_at(song: Song, step: float) -> int:
    """Return the sample on which a step falls."""
    return round(RATE * (LEAD_IN + step * 60 / song.tempo / 4))


def chords_of(song: Song) -> list[Chord]:
    """Return the chords of a song in order."""
    chords = []
    for number, bar in enumerate(bar for section in song.sections for bar in bars(section.chords)):
        names = bar.split()
        length = STEPS // len(names)
        for index, name in enumerate(names):
            start = number * STEPS + index * length
            chords.append(Chord.parse(name, start, start + length))
    return chords


def nearest(pitch: int, centre: int) -> int:
    """Return the pitch of the same class that lies closest to ``centre``."""
    return centre + (pitch - centre + 5) % 12 - 5


def voicings(chords: list[Chord], centre: int) -> list[tuple[int, ...]]:
    """Lead the voices of a chord sequence.

    Parameters
    ----------
    chords : list of Chord
        The sequence.
    centre : int
        MIDI pitch around which the voicings stay.

    Returns
    -------
    list of tuple of int
        For each chord the inversion that moves least from the one before it, with a
        gentle pull towards ``centre`` so that the line does not drift away.
    """
    result: list[tuple[int, ...]] = []
    previous: tuple[int, ...] = (centre - 4, centre, centre + 4)
    for chord in chords:
        candidates = []
        for turn in range(len(chord.tones)):
            order = chord.tones[turn:] + chord.tones[:turn]
            pitches = [nearest(order[0], centre - 5)]
            for tone in order[1:]:
                pitches.append(pitches[-1] + (tone - pitches[-1]) % 12)
            candidates.append(tuple(pitches))

        def cost(pitches: tuple[int, ...], before: tuple[int, ...] = previous) -> float:
            movement = sum(min(abs(p - q) for q in before) for p in pitches)
            return movement + 0.5 * abs(sum(pitches) / len(pitches) - centre)

        previous = min(candidates, key=cost)
        result.append(previous)
    return result


def bass_key(symbol: str, chord: Chord, following: Chord, centre: int) -> int:
    """Return the pitch that a bass symbol stands for."""
    low = nearest(chord.bass, centre)
    if symbol == "a":
        return nearest(following.bass, centre) - 1
    if symbol == "8":
        return low + 12
    if symbol in ("3", "5"):
        return low + (chord.tones[1 if symbol == "3" else 2] - low) % 12
    return low


def step_symbols(song: Song, patterns: dict[str, str]) -> str:
    """Spell a part's patterns out over the whole song, one symbol for each step."""
    symbols: list[str] = []
    for section, first, last in layout(song):
        pattern = patterns.get(section.name, SILENT)
        if len(pattern) % STEPS:
            raise ValueError(f"{song.slug}: {pattern!r} is not made of whole bars")
        length = (last - first) * STEPS
        symbols.extend(itertools.islice(itertools.cycle(pattern), length))
    return "".join(symbols)


def humanise(strength: int, rng: np.random.Generator) -> int:
    """Vary a velocity a little, as a hand would."""
    return int(np.clip(strength + rng.normal(0, 4), 20, 127))


def part_events(song: Song, part: Part, rng: np.random.Generator) -> list[Event]:
    """Turn a part's patterns into notes over the song's chords."""
    chords = chords_of(song)
    shapes = voicings(chords, part.centre)
    following = [*chords[1:], chords[-1]]
    symbols = step_symbols(song, part.patterns)
    events = []
    for chord, shape, after in zip(chords, shapes, following, strict=True):
        for step in range(chord.start, chord.end):
            symbol = symbols[step]
            # A chord that changes under a held note is struck again, or it would clash.
            if symbol == "-" and step == chord.start:
                symbol = symbols[:step].rstrip("-")[-1:]
                symbol = "o" if symbol in STRENGTHS else symbol
            if symbol in ".-":
                continue
            end = step + 1
            while end < chord.end and symbols[end] == "-":
                end += 1
            if part.stem == "bass":
                keys: tuple[int, ...] = (bass_key(symbol, chord, after, part.centre),)
            elif symbol.isdigit():
                octave, tone = divmod(int(symbol), len(shape))
                keys = (shape[tone] + 12 * octave,)
            else:
                keys = shape
            strength = STRENGTHS.get(symbol, 104 if step % STEPS == 0 else 90)
            events += [Event(step, end, key, humanise(strength, rng)) for key in keys]
    return events


def drum_events(song: Song, drums: Drums, rng: np.random.Generator) -> list[Event]:
    """Play the grooves, a fill in every fourth bar and a crash as each section opens."""
    events = []
    for section, first, last in layout(song):
        groove = drums.grooves[section.name]
        opening = first * STEPS
        events.append(Event(opening, opening + 8, DRUM_KEYS["crash"], 84))
        for bar in range(first, last):
            filling = (bar - first) % 4 == 3 or (bar == last - 1 and last - first > 1)
            for drum, pattern in (drums.fill if filling else groove).items():
                offset = (bar - first) * STEPS % len(pattern)
                for step, symbol in enumerate(pattern[offset : offset + STEPS]):
                    if symbol in STRENGTHS:
                        start = bar * STEPS + step
                        velocity = humanise(STRENGTHS[symbol], rng)
                        events.append(Event(start, start + 1, DRUM_KEYS[drum], velocity))
    return events


def play(synth: Any, soundfont: int, program: int, events: list[Event], song: Song, *, drums: bool) -> Audio:
    """Render notes with the soundfont.

    The synthesiser starts a voice on the first sample of the block it renders next, so
    rendering from one event to the next puts every note on its exact sample.
    """
    synth.program_select(0, soundfont, 128 if drums else 0, program, drums)
    early = DRUM_ATTACK if drums else 0
    switches = [(sample_at(song, e.end) - early, 0, e.key, 0) for e in events]
    switches += [(sample_at(song, e.start) - early, 1, e.key, e.velocity) for e in events]
    total = song_length(song)
    audio = np.zeros((total, 2), np.float32)
    position = 0
    for moment, on, key, velocity in [*sorted(switches), (total, 0, 0, 0)]:
        if moment > position:
            block = synth.generate_simple(moment - position)
            audio[position:moment] = np.frombuffer(block, np.float32).reshape(-1, 2)
            position = moment
        if on:
            synth.noteon(0, key, velocity)
        else:
            synth.noteoff(0, key)
    synth.sounds_off(0)
    return audio.astype(np.float64)


def song_length(song: Song) -> int:
    """Return the length of a rendered song in samples."""
    return sample_at(song, bar_count(song) * STEPS) + round(TAIL * RATE)


def sung_bars(song: Song) -> Iterator[list[tuple[str, int, str]]]:
    """Yield each bar of the voice as ``(note or "r", steps, kana)``."""
    for section, first, last in layout(song):
        kana = list(section.words.replace(" ", ""))
        melody = bars(section.melody) if section.melody else [""] * (last - first)
        tokens = [[t.split(":") for t in bar.split()] or [["r", "16"]] for bar in melody]
        sung = sum(note != "r" for bar in tokens for note, _ in bar)
        if len(kana) != sung or len(melody) != last - first:
            raise ValueError(f"{song.slug}, {section.name}: {sung} notes, {len(kana)} kana")
        for bar in tokens:
            if sum(int(steps) for _, steps in bar) != STEPS:
                raise ValueError(f"{song.slug}: {bar} is not one bar")
            yield [(n, int(steps), "" if n == "r" else kana.pop(0)) for n, steps in bar]


def musicxml(song: Song) -> str:
    """Write the voice as MusicXML, a quarter note being four divisions."""
    measures = []
    for bar in sung_bars(song):
        notes = []
        for note, steps, kana in bar:
            match = NOTE.fullmatch(note)
            pitch, lyric = "<rest/>", ""
            if match:
                alter = {"#": 1, "b": -1, "": 0}[match[2]]
                pitch = f"<pitch><step>{match[1]}</step><alter>{alter}</alter><octave>{match[3]}</octave></pitch>"
                lyric = f"<lyric><text>{kana}</text></lyric>"
            notes.append(f"<note>{pitch}<duration>{steps}</duration>{lyric}</note>")
        measures.append("".join(notes))
    measures[0] = (
        "<attributes><divisions>4</divisions><time><beats>4</beats>"
        "<beat-type>4</beat-type></time></attributes>"
        f'<direction><sound tempo="{song.tempo}"/></direction>{measures[0]}'
    )
    numbered = "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(measures, 1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="2.0"><part-list>'
        '<score-part id="P1"><part-name>Voice</part-name></score-part></part-list>'
        f'<part id="P1">{numbered}</part></score-partwise>'
    )


def sing(song: Song) -> Audio:
    """Sing the melody; returns stereo audio of the song's length."""
    with tempfile.TemporaryDirectory() as folder:
        score = Path(folder, "voice.musicxml")
        score.write_text(musicxml(song), encoding="utf-8")
        raw, rate = pysinsy.synthesize(str(score))
    voice = even_out(tuned(np.asarray(raw, np.float64), rate, song), rate)
    common = np.gcd(RATE, rate)
    voice = signal.resample_poly(voice, RATE // common, rate // common)
    voice = signal.sosfiltfilt(signal.butter(2, 120, "highpass", fs=RATE, output="sos"), voice)
    start, total = sample_at(song, 0), song_length(song)
    voice = np.pad(voice, (start, total))[:total]
    return np.asarray(np.stack([voice, voice], axis=1), np.float64)


def tuned(voice: Audio, rate: int, song: Song) -> Audio:
    """Bring each sung note into tune.

    The voice's pitch model strays by up to two semitones.  The voice is taken apart by
    WORLD, every note is shifted by its median deviation, which leaves slides and vibrato
    alone, and it is put together again.
    """
    pitch, times = pyworld.harvest(voice, rate, f0_floor=180, f0_ceil=900)
    envelope = pyworld.cheaptrick(voice, pitch, times, rate)
    noise = pyworld.d4c(voice, pitch, times, rate)
    seconds_per_step = 60 / song.tempo / 4
    shift = np.zeros(len(pitch))
    step = 0
    for note, length, _ in itertools.chain.from_iterable(sung_bars(song)):
        match = NOTE.fullmatch(note)
        if match:
            key = 12 * (int(match[3]) + 1) + pitch_class(match[1] + match[2])
            # Each note's own start is a slide from the note before it.
            settled = [(step + part * length) * seconds_per_step for part in (0.3, 0.9)]
            held = pitch[np.searchsorted(times, settled[0]) : np.searchsorted(times, settled[1])]
            sounding = held[held > 0]
            first, last = np.searchsorted(times, np.array([step, step + length]) * seconds_per_step)
            if len(sounding):
                shift[first:last] = key - 69 - 12 * np.median(np.log2(sounding / 440))
        step += length
    shift = ndimage.uniform_filter1d(shift, 9)
    sung = pyworld.synthesize(pitch * 2 ** (shift / 12), envelope, noise, rate)
    return np.asarray(sung[: len(voice)], np.float64)


def even_out(voice: Audio, rate: int) -> Audio:
    """Level a synthesised voice.

    The voice's vowels differ by 20 dB, and its synthesis filter now and then bursts for a
    few milliseconds at a change of sound.  Peaks well above the usual are pulled down to
    it, then a slow leveller brings the notes towards one loudness.
    """
    peak = ndimage.maximum_filter1d(np.abs(voice), rate // 100)
    usual = float(np.median(peak[peak > 300]))
    burst = ndimage.uniform_filter1d(np.maximum(peak / (3 * usual), 1), rate // 200)
    calm = voice / np.maximum(burst, peak / (3 * usual))
    power = ndimage.uniform_filter1d(calm**2, rate // 5)
    # The floor keeps the leveller from lifting the breath between phrases.
    level = np.sqrt(np.maximum(power, 0)) + 0.1 * usual
    return np.asarray(calm / level**0.8, np.float64)


def loudness(audio: Audio) -> float:
    """Return integrated loudness in LUFS."""
    return float(pyloudnorm.Meter(RATE).integrated_loudness(audio))


def at_level(audio: Audio, level: float) -> Audio:
    """Scale audio to a loudness in LUFS."""
    return audio * 10 ** ((level - loudness(audio)) / 20)


def panned(audio: Audio, pan: float) -> Audio:
    """Balance a stereo signal at constant power."""
    angle = (pan + 1) * np.pi / 4
    gains = np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])
    return np.asarray(audio * gains, np.float64)


def reverberated(audio: Audio, send: float) -> Audio:
    """Add the room: one second of seeded, decaying, high-passed noise."""
    if not send:
        return audio
    time = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).normal(size=(RATE, 2))
    room = noise * np.exp(-time / 0.22)[:, None] * np.minimum(time / 0.02, 1)[:, None]
    high = signal.butter(2, 250, "highpass", fs=RATE, output="sos")
    room = signal.sosfilt(high, room, axis=0)
    room /= np.sqrt(np.sum(room**2, axis=0))
    wet = signal.fftconvolve(audio, room, axes=0)[: len(audio)]
    return np.asarray(audio + send * wet, np.float64)


def mastered(stems: dict[str, Audio]) -> dict[str, Audio]:
    """Bring a mix to its loudness under the ceiling.

    Every stem is multiplied by the same gain, so the stems still add up to the mix.
    """
    mix = sum_of(stems)
    total = np.full(len(mix), 10 ** ((LOUDNESS - loudness(mix)) / 20))
    fade = round(0.4 * RATE)
    total[-fade:] *= np.linspace(1, 0, fade)
    window = round(0.006 * RATE)
    # Limiting costs a little loudness; a second pass makes it up.
    for _ in range(2):
        peaks = np.max(np.abs(mix), axis=1) * total
        need = ndimage.minimum_filter1d(np.minimum(1, CEILING / np.maximum(peaks, 1e-9)), window)
        limited = total * ndimage.uniform_filter1d(need, window)
        total *= 10 ** ((LOUDNESS - loudness(mix * limited[:, None])) / 20)
    return {name: audio * limited[:, None] for name, audio in stems.items()}


def sum_of(stems: dict[str, Audio]) -> Audio:
    """Add stems up."""
    return np.asarray(np.sum(list(stems.values()), axis=0), np.float64)


def render(song: Song, synth: Any, soundfont: int) -> dict[str, Audio]:
    """Render a song's finished stems."""
    rng = np.random.default_rng(song.seed)
    stems = {name: np.zeros((song_length(song), 2)) for name in STEMS}
    stems["vocals"] += at_level(sing(song), VOICE_LEVEL)
    kit = drum_events(song, song.drums, rng)
    beaten = play(synth, soundfont, song.drums.program, kit, song, drums=True)
    stems["drums"] += at_level(beaten, song.drums.level)
    for part in song.parts:
        events = part_events(song, part, rng)
        audio = play(synth, soundfont, part.program, events, song, drums=False)
        stems[part.stem] += panned(at_level(audio, part.level), part.pan)
    wet = {name: reverberated(audio, REVERB_SEND[name]) for name, audio in stems.items()}
    return mastered(wet)


def labels(song: Song, stems: dict[str, Audio]) -> dict[str, object]:
    """Return what is true of a rendered song; times are in seconds."""

    def seconds(step: int) -> float:
        return round(sample_at(song, step) / RATE, 6)

    voice = np.max(np.abs(stems["vocals"]), axis=1)
    beats = [seconds(step) for step in range(0, bar_count(song) * STEPS, 4)]
    return {
        "title": song.title,
        "key": f"{song.tonic} {song.mode}",
        "tonic": pitch_class(song.tonic),
        "mode": song.mode,
        "tempo": song.tempo,
        "time_signature": "4/4",
        "bars": bar_count(song),
        "duration": round(song_length(song) / RATE, 6),
        "vocal_start": round(int(np.argmax(voice > 0.05 * voice.max())) / RATE, 3),
        "beats": beats,
        "downbeats": beats[::4],
        "chords": [[seconds(c.start), seconds(c.end), c.name] for c in chords_of(song)],
        "licence": "CC0-1.0; singing voice NIT SONG070 F001: CC-BY-3.0",
        "credits": CREDITS,
    }


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write labels with one line to each field, so that long lists stay short to scroll."""
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    path.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


def write_ogg(path: Path, audio: Audio) -> None:
    """Encode Ogg Vorbis at about 110 kbit/s."""
    with soundfile.SoundFile(path, "w", RATE, 2, format="OGG", subtype="VORBIS", compression_level=0.67) as file:
        # libsndfile's Vorbis encoder overruns the stack on one very long write.
        for block in np.array_split(audio, len(audio) // RATE):
            file.write(block)


def main() -> None:
    """Render the songs named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description="Render the demo songs.")
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help="songs to make (all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--stems", action="store_true", help="write stems as FLAC too")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    synth = tinysoundfont.Synth(samplerate=RATE, gain=-12)
    soundfont = synth.sfload(str(SOUNDFONT))
    for song in SONGS:
        if args.slugs and song.slug not in args.slugs:
            continue
        stems = render(song, synth, soundfont)
        write_ogg(args.out / f"{song.slug}.ogg", sum_of(stems))
        write_json(args.out / f"{song.slug}.json", labels(song, stems))
        if args.stems:
            for name, audio in stems.items():
                soundfile.write(args.out / f"{song.slug}.{name}.flac", audio, RATE)
        print(song.slug)


if __name__ == "__main__":
    main()
