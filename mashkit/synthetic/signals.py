"""Make synthetic music with known properties: clicks at known times, chords in a known key, stems that sum to a mix.

All signals are deterministic, because noise comes from a seeded generator.

Examples
--------
>>> import mashkit as mk
>>> from mashkit.testing import signals
>>> stems, truth = signals.band(mk.Key(9, "minor"), tempo=120, bars=2)
>>> truth.tempo, len(truth.beats), signals.mix(stems).duration
(120.0, 8, 4.25)
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from mashkit.features.tuner import retuned as retuned  # re-exported for tests of pitch
from mashkit.types import Analysis, Audio, Chords, Key, Samples, StemSet, Times
from mashkit.types.chords import ROOT_NAMES
from mashkit.types.timemap import TimeMap

SAMPLE_RATE = 44_100


def tone(frequency: float, seconds: float, *, sample_rate: int = SAMPLE_RATE, amplitude: float = 0.5) -> Audio:
    """Return a mono sine of ``frequency`` Hz.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> audio = signals.tone(440, 0.5)
    >>> audio.samples.shape, round(audio.peak, 3)
    ((1, 22050), 0.5)
    """
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return Audio((amplitude * np.sin(2 * np.pi * frequency * time))[None], sample_rate)


def noise(seconds: float, *, seed: int = 0, channels: int = 2, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Return white noise, RMS 0.1.

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.testing import signals
    >>> audio = signals.noise(2.0, seed=1)
    >>> audio.channels, round(float(audio.samples.std()), 3)
    (2, 0.1)
    >>> bool(np.array_equal(audio.samples, signals.noise(2.0, seed=1).samples))
    True
    """
    generator = np.random.default_rng(seed)
    return Audio(0.1 * generator.standard_normal((channels, round(seconds * sample_rate))), sample_rate)


def silence(seconds: float, *, channels: int = 2, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Return zeros.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> signals.silence(1.5, channels=1).samples.shape, signals.silence(1.5).peak
    ((1, 66150), 0.0)
    """
    return Audio(np.zeros((channels, round(seconds * sample_rate)), np.float32), sample_rate)


def click_times(seconds: float, tempo: float, *, first: float = 0.5) -> Times:
    """Return the beat times of a steady ``tempo`` (BPM) from ``first`` until half a second before the end.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> signals.click_times(3.0, 120).tolist()
    [0.5, 1.0, 1.5, 2.0]
    """
    return np.arange(first, seconds - 0.5, 60 / tempo, dtype=np.float64)


def drift(seconds: float = 60.0, *, tempo: float = 120.0, depth: float = 0.03) -> tuple[Times, TimeMap]:
    """Return beats whose tempo swings by ± ``depth`` about ``tempo`` every 20 beats, and the map that makes it steady.

    Returns
    -------
    beats : array of float64
        Times from 0.5 s until half a second before the end of ``seconds``.
    time_map : TimeMap
        Moves every beat to 60 / ``tempo`` seconds after the one before.

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.testing import signals
    >>> beats, steady = signals.drift(20.0, tempo=120, depth=0.03)
    >>> tempi = 60 / np.diff(beats)
    >>> tempi.min().round(1).item(), tempi.max().round(1).item()
    (116.4, 123.6)
    >>> float(np.ptp(np.diff(steady.to_target(beats)))) < 1e-5
    True
    """
    period = 60 / tempo
    count = np.arange(int(seconds / period))
    beats = 0.5 + np.concatenate([[0.0], np.cumsum(period / (1 + depth * np.sin(2 * np.pi * count / 20)))])
    beats = beats[beats < seconds - 0.5]
    return beats, TimeMap.through(beats, period * np.arange(len(beats)), duration_s=seconds)[0]


def click_train(times: npt.ArrayLike, seconds: float, *, channels: int = 1, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Return clicks at ``times``: each is a 2 kHz burst that starts at full amplitude and decays within 20 ms.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> clicks = signals.click_train([0.5, 1.0], 2.0)
    >>> clicks.duration, round(clicks.peak, 2)
    (2.0, 0.8)
    """
    samples = np.zeros((channels, round(seconds * sample_rate)), np.float32)
    time = np.arange(round(0.02 * sample_rate)) / sample_rate
    burst = (0.8 * np.cos(2 * np.pi * 2000 * time) * np.exp(-time / 0.003)).astype(np.float32)
    for moment in np.asarray(times, dtype=np.float64):
        start = round(float(moment) * sample_rate)
        stop = min(start + len(burst), samples.shape[1])
        samples[:, start:stop] += burst[: stop - start]
    return Audio(samples, sample_rate)


def click_positions(audio: Audio, expected: npt.ArrayLike, *, window: float = 0.15) -> Times:
    """Return the real times of the clicks near the ``expected`` times, seconds: peaks of the smoothed energy.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> clicks = signals.click_train([0.5, 1.01], 2.0)
    >>> signals.click_positions(clicks, [0.5, 1.0]).round(2).tolist()
    [0.5, 1.01]
    """
    energy = np.convolve(audio.mono().astype(np.float64) ** 2, np.hanning(round(0.004 * audio.sample_rate)), "same")
    half = round(window * audio.sample_rate)
    found = []
    for moment in np.asarray(expected, dtype=np.float64):
        centre = round(float(moment) * audio.sample_rate)
        start = max(centre - half, 0)
        found.append((start + int(np.argmax(energy[start : centre + half]))) / audio.sample_rate)
    return np.array(found)


def cents_off(audio: Audio, frequency: float) -> float:
    """Return how far the strongest frequency of the middle half of an audio is above ``frequency``, cents.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> round(signals.cents_off(signals.tone(443, 4.0), 440))
    12
    """
    middle = audio.mono()[audio.frames // 4 : -audio.frames // 4]
    size = max(1 << 20, len(middle))  # zeros at the end make the steps from bin to bin small
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    return float(1200 * np.log2(np.argmax(spectrum) * audio.sample_rate / size / frequency))


@functools.lru_cache(maxsize=64)  # a band plays few different notes, each many times
def _notes(pitches: tuple[int, ...], seconds: float, sample_rate: int, partials: int = 6) -> Samples:
    """Return a chord of decaying harmonic tones; ``pitches`` are MIDI numbers."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    envelope = np.minimum(1, time / 0.01) * np.exp(-1.5 * time) * np.minimum(1, (seconds - time) / 0.02)
    chord = np.zeros_like(time)
    for pitch in pitches:
        frequency = 440 * 2 ** ((pitch - 69) / 12)
        for partial in range(1, partials + 1):
            chord += np.sin(2 * np.pi * frequency * partial * time) / partial**1.5
    result: Samples = (0.08 * envelope * chord).astype(np.float32)
    result.flags.writeable = False  # the next caller gets the same
    return result


_DEGREES = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
}


def chord_progression(
    key: Key | None = None, *, seconds: float = 16.0, tempo: float = 120.0, sample_rate: int = SAMPLE_RATE
) -> Audio:
    """Return I–IV–V–I in ``key`` (default C major), a chord every two beats, in stereo, so that its key is clear.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> signals.chord_progression(mk.Key.parse("E minor"), seconds=4.0)
    Audio(sample_rate=44100)
    """
    key = key or Key(0, "major")
    step = 120 / tempo
    samples = np.zeros((2, round(seconds * sample_rate)), np.float32)
    for index in range(int(seconds / step)):
        degrees = _DEGREES[key.mode][index % 4]
        chord = _notes(tuple(48 + key.tonic + degree for degree in degrees), step, sample_rate)
        start = round(index * step * sample_rate)
        samples[:, start : start + len(chord)] += chord[: samples.shape[1] - start]
    return Audio(samples, sample_rate)


def band(
    key: Key | None = None,
    *,
    tempo: float = 120.0,
    bars: int = 16,
    first_downbeat: float = 0.25,
    drift: float = 0.0,
    seed: int = 0,
    sample_rate: int = SAMPLE_RATE,
) -> tuple[StemSet, Analysis]:
    """Return the true stems of a small song and its exact analysis.

    The vocals are a lead voice with vibrato, the drums are kick, snare and hats, and bass and other play chords of
    ``key``. The tempo rises evenly from ``1 − drift`` to ``1 + drift`` times ``tempo``.

    Returns
    -------
    stems : StemSet
        vocals, drums, bass, other; stereo; 4/4 for ``bars`` bars after ``first_downbeat`` seconds.
    analysis : Analysis
        Its key, tempo, beats, downbeats and chords.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> stems, truth = signals.band(mk.Key.parse("A minor"), tempo=120, bars=2)
    >>> sorted(stems.stems), truth.downbeats.tolist()
    (['bass', 'drums', 'other', 'vocals'], [0.25, 2.25])
    """
    key = key or Key(0, "major")
    generator = np.random.default_rng(seed)
    beat = 60 / tempo
    periods = beat / (1 + drift * np.linspace(-1, 1, 4 * bars))
    beats = first_downbeat + np.concatenate([[0.0], np.cumsum(periods[:-1])])
    frames = round((beats[-1] + periods[-1]) * sample_rate)
    parts = {name: np.zeros((2, frames), np.float32) for name in ("vocals", "drums", "bass", "other")}

    def add(name: str, start: float, sound: Samples, pan: float = 0.5) -> None:
        first = round(start * sample_rate)
        sound = sound[: frames - first]
        parts[name][0, first : first + len(sound)] += np.float32(2 * (1 - pan)) * sound
        parts[name][1, first : first + len(sound)] += np.float32(2 * pan) * sound

    time = np.arange(round(0.2 * sample_rate)) / sample_rate
    kick = (0.5 * np.sin(2 * np.pi * (50 + 60 * np.exp(-time * 40)) * time) * np.exp(-time * 18)).astype(np.float32)
    snare = (0.25 * generator.standard_normal(len(time)) * np.exp(-time * 25)).astype(np.float32)
    hat = (0.08 * np.diff(generator.standard_normal(len(time) + 1)) * np.exp(-time * 80)).astype(np.float32)
    scale = [0, 2, 4, 5, 7, 9, 11] if key.mode == "major" else [0, 2, 3, 5, 7, 8, 10]
    for index, (moment, beat) in enumerate(zip(beats.tolist(), periods.tolist(), strict=True)):
        degrees = _DEGREES[key.mode][(index // 4) % 4]
        add("drums", moment, kick if index % 2 == 0 else snare)
        add("drums", moment, hat, 0.7)
        add("drums", moment + beat / 2, hat, 0.7)
        add("bass", moment, _notes((36 + key.tonic + degrees[0],), beat, sample_rate, 3))
        add("other", moment, _notes(tuple(60 + key.tonic + degree for degree in degrees), beat, sample_rate), 0.35)
        chord_tones = [note for note in scale if note in {degree % 12 for degree in degrees}]
        lead = int(generator.choice(chord_tones if index % 2 == 0 else scale))
        add("vocals", moment, _lead(72 + key.tonic + lead, 0.95 * beat, sample_rate))
    stems = StemSet({name: Audio(samples, sample_rate) for name, samples in parts.items()})
    chords = Chords([*beats[::4], beats[-1] + periods[-1]], [_chord(key, bar) for bar in range(bars)])
    return stems, Analysis(key=key, tempo=tempo, beats=beats, downbeats=beats[::4], chords=chords)


def _chord(key: Key, number: int) -> str:
    """Return the label of the chord of a bar, or of another part, that has this number."""
    low, third, _ = _DEGREES[key.mode][number % 4]
    return f"{ROOT_NAMES[(key.tonic + low) % 12]}:{'maj' if third - low == 4 else 'min'}"


@functools.lru_cache(maxsize=64)
def _lead(pitch: int, seconds: float, sample_rate: int) -> Samples:
    """Return a note like a sung one: harmonics with vibrato and a formant around 900 Hz."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    frequency = 440 * 2 ** ((pitch - 69) / 12) * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    voice = np.zeros_like(time)
    for partial in range(1, 9):
        weight = np.exp(-(((partial * frequency.mean() - 900) / 900) ** 2))
        voice += weight * np.sin(partial * phase)
    envelope = np.minimum(1, time / 0.03) * np.minimum(1, (seconds - time) / 0.05)
    result: Samples = (0.12 * envelope * voice).astype(np.float32)
    result.flags.writeable = False
    return result


def mix(stems: StemSet) -> Audio:
    """Return the sum of the stems.

    Examples
    --------
    >>> from mashkit.testing import signals
    >>> stems, _ = signals.band(bars=2)
    >>> audio = signals.mix(stems)
    >>> audio.frames == stems.stems["vocals"].frames, round(audio.peak, 2)
    (True, 1.06)
    """
    parts = list(stems.stems.values())
    return Audio(np.sum([part.samples for part in parts], axis=0, dtype=np.float32), parts[0].sample_rate)
