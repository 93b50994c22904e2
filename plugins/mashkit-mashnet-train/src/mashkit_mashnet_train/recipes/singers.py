"""Singers: Sinsy's one voice, taken apart by WORLD and put together as eight voices that are in tune.

WORLD (Morise, Yokomori, Ozawa: WORLD, a vocoder-based high-quality speech synthesis system, IEICE Transactions E99-D
(7), 2016) describes a voice by its fundamental, its spectral envelope and the share of noise in each band. The
fundamental is replaced by the score's, so that every singer is in tune. A shorter or longer vocal tract moves all
formants by one factor, which here stretches the envelope. Consonants are Sinsy's, in the singer's colour.

Conventions: times are in seconds, pitches are MIDI numbers, the frames of a :class:`Take` are 7.5 ms apart.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from mashkit.types import Key, Samples
from mashkit_mashnet_train.recipes.scores import Note
from mashkit_mashnet_train.recipes.singing import HIGHEST, LOWEST, require_sinsy, sing, sing_package

Floats = npt.NDArray[np.float64]
_RATE = 32_000
"""Hz at which a take is analysed: formants that move down by a quarter still fill a spectrum of 12 kHz (ours)."""
_FRAME_S = 0.0075
_FASTER = 1.5
"""Sinsy sings that much faster, and WORLD slows it down, because both cost as much as the sound is long (ours)."""
_CONTRAST_DB, _QUIET_DB = 10.0, 40.0
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@attrs.frozen(kw_only=True)
class Singer:
    """A voice. The values of :data:`SINGERS` are ours: tracts of children to large men, and styles of pop singing.

    Parameters
    ----------
    name : str
    lowest, highest : int
        Range of pitches.
    formants : float
        Factor of all formant frequencies; Sinsy's own voice has 1.
    tilt_db : float
        dB per octave that are added to the envelope above 500 Hz: a bright or a dark voice.
    breath : float
        Share of what is voiced above 1 kHz that becomes noise, 0 to 1.
    vibrato_hz, vibrato_cents : float
        Rate, and largest deviation from the note's pitch.
    """

    name: str
    lowest: int
    highest: int
    formants: float
    tilt_db: float = 0.0
    breath: float = 0.1
    vibrato_hz: float = 5.5
    vibrato_cents: float = 0.0


SINGERS = (
    Singer(name="child", lowest=60, highest=84, formants=1.25, tilt_db=-1.5, vibrato_cents=5),
    Singer(name="soprano", lowest=60, highest=84, formants=1.12, tilt_db=3, vibrato_hz=6.2, vibrato_cents=35),
    Singer(name="breathy mezzo", lowest=57, highest=80, formants=1.0, tilt_db=-2, breath=0.6, vibrato_cents=12),
    Singer(name="alto", lowest=53, highest=76, formants=0.93, tilt_db=2.5, vibrato_hz=5.6, vibrato_cents=25),
    Singer(name="tenor", lowest=48, highest=72, formants=0.86, tilt_db=3.5, vibrato_hz=5.8, vibrato_cents=30),
    Singer(name="breathy tenor", lowest=47, highest=71, formants=0.82, tilt_db=-2.5, breath=0.7, vibrato_cents=8),
    Singer(name="baritone", lowest=43, highest=67, formants=0.77, tilt_db=1, vibrato_hz=5.2, vibrato_cents=25),
    Singer(name="bass", lowest=39, highest=63, formants=0.71, tilt_db=-1, vibrato_hz=4.8, vibrato_cents=30),
)


@attrs.frozen(eq=False)
class Take:
    """A melody that Sinsy sang, taken apart.

    Parameters
    ----------
    voiced : array of bool, shape (frames,)
    envelope : array of float64, shape (frames, bins)
        Power spectra, 0 to 16 kHz.
    """

    voiced: npt.NDArray[np.bool_]
    envelope: Floats


def require_singers() -> None:
    """Raise UsageError, with the fix, if pysinsy or pyworld is missing."""
    require_sinsy()
    _world()


@functools.cache
def _world() -> Any:
    return sing_package("pyworld", "g++")


def take(notes: Sequence[Note], tempo: float, seed: int) -> Take | None:
    """Return a melody as Sinsy sings it, in the lowest key that it sings well; None if the melody's range is too wide.

    Parameters
    ----------
    notes : sequence of Note
        One at a time.
    tempo : float
        BPM.
    seed : int
        Seed of the syllables.

    Raises
    ------
    UsageError
        If pysinsy or pyworld is not installed.
    """
    world = _world()
    pitches = [note.pitch for note in notes]
    # A low voice has its harmonics close together, which show its formants best.
    if not pitches or max(pitches) - min(pitches) > HIGHEST - LOWEST:
        return None
    up = LOWEST - min(pitches)
    sung = sing([attrs.evolve(note, pitch=note.pitch + up) for note in notes], _FASTER * tempo, 0, seed, _RATE)
    if sung is None:
        return None
    samples = sung.astype(np.float64)
    # Sinsy may stray by two semitones from the score.
    floor, ceiling = (440 * 2 ** ((pitch - 69) / 12) for pitch in (LOWEST - 3, max(pitches) + up + 3))
    period_ms = 1000 * _FRAME_S / _FASTER
    found, times = world.dio(samples, _RATE, f0_floor=floor, f0_ceil=ceiling, frame_period=period_ms)
    sure = np.flatnonzero(found)
    if not len(sure):
        return None
    # DIO misses the edges of notes. The fundamental does not change much there; what is voiced is told by the envelope.
    hertz = np.interp(np.arange(len(found)), sure, found[sure])
    envelope = world.cheaptrick(samples, hertz, times, _RATE, f0_floor=floor)
    return Take(_voiced(envelope), envelope)


def _voiced(envelope: Floats) -> npt.NDArray[np.bool_]:
    """Return which frames have a voice's spectrum: loud, and louder from 200 Hz to 1 kHz than from 4 to 10 kHz."""
    hertz = np.linspace(0, _RATE / 2, envelope.shape[1])
    low, high, whole = (
        10 * np.log10(envelope[:, (hertz >= first) & (hertz < last)].mean(axis=1))
        for first, last in ((200, 1000), (4000, 10_000), (0, _RATE))
    )
    voiced: npt.NDArray[np.bool_] = (low - high > _CONTRAST_DB) & (whole > np.percentile(whole, 95) - _QUIET_DB)
    return voiced


def pitch_curve(
    frames: int, notes: Sequence[Note], tempo: float, singer: Singer, random: np.random.Generator
) -> Floats:
    """Return the pitch that a singer sings at each frame: the score, slides between notes, vibrato and drift.

    A slide lasts about 50 ms, vibrato begins 0.2 s after a note and is whole after 0.5 s, and the pitch drifts by 4
    cents (standard deviation): ours.
    """
    times = _FRAME_S * np.arange(frames)
    starts = np.array([note.start for note in notes]) * 60 / tempo
    latest = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    swell = np.clip((times - starts[latest] - 0.2) / 0.3, 0, 1)
    score, swell = (
        gaussian_filter1d(values, 0.02 / _FRAME_S)
        for values in (np.array([note.pitch for note in notes], np.float64)[latest], swell)
    )
    vibrato = np.sin(2 * np.pi * (singer.vibrato_hz * times + random.random()))
    drift = gaussian_filter1d(random.normal(size=frames), 0.2 / _FRAME_S)
    drift *= 4 / max(1e-9, float(drift.std()))
    curve: Floats = score + (singer.vibrato_cents * swell * vibrato + drift) / 100
    return curve


def voice(taken: Take, pitch: Floats, singer: Singer, sample_rate: int) -> Samples:
    """Return a take sung by a singer, mono; ``pitch`` has a MIDI number for each frame."""
    sounding = np.where(taken.voiced, 440 * 2 ** ((pitch - 69) / 12), 0.0)
    # WORLD's spectra must be longer than any period.
    longest = sample_rate / sounding.min(initial=440, where=taken.voiced)
    size = 1 << max(9, int(1.1 * longest).bit_length())
    hertz = np.arange(size // 2 + 1) * sample_rate / size
    bins = taken.envelope.shape[1] - 1
    # The formant at a frequency of the new voice stood at frequency / formants in the take.
    place = np.minimum(hertz / singer.formants * 2 * bins / _RATE, bins)
    lower = np.minimum(place.astype(np.int64), bins - 1)
    share = place - lower

    spectra = np.log(taken.envelope)
    tilt = singer.tilt_db * np.log2(np.maximum(hertz, 500) / 500) * np.log(10) / 10
    envelope = np.exp(spectra[:, lower] * (1 - share) + spectra[:, lower + 1] * share + tilt)
    # Sinsy's voice has no noise of its own where it is voiced.
    noise = np.tile(singer.breath * np.clip((hertz - 1000) / 2000, 0, 1), (len(envelope), 1))
    made: Samples = (
        _world()
        .synthesize(sounding, np.ascontiguousarray(envelope), noise, sample_rate, 1000 * _FRAME_S)
        .astype(np.float32)
    )
    return made


def third_above(notes: Sequence[Note], key: Key) -> list[Note]:
    """Return the third above each note that the key has; a minor one where it has both or none."""
    tones = {(key.tonic + step) % 12 for step in _SCALES[key.mode]}

    def step(pitch: int) -> int:
        return 4 if (pitch + 4) % 12 in tones and (pitch + 3) % 12 not in tones else 3

    return [attrs.evolve(note, pitch=note.pitch + step(note.pitch)) for note in notes]


def backing(
    taken: Take, notes: Sequence[Note], tempo: float, singer: Singer, key: Key | None, sample_rate: int,
    random: np.random.Generator,
) -> tuple[Samples, dict[str, Any]]:  # fmt: skip
    """Return a second voice with the lead's words, and what was drawn for it.

    It sings the same notes, an octave above or below, or a third above; it comes 10 to 40 ms later and is out of tune
    by 6 cents (standard deviation): ours.
    """
    kinds = ["double", "octave above", *(["third"] if key else [])]
    if singer.lowest >= 48:
        kinds.append("octave below")
    kind = str(random.choice(kinds))
    later, cents = float(random.uniform(0.01, 0.04)), float(random.normal(0, 6))
    moved = {"octave above": 12, "octave below": -12}.get(kind, 0) + cents / 100
    part = third_above(notes, key) if kind == "third" and key else notes
    pitch = moved + pitch_curve(len(taken.voiced), part, tempo, singer, random)
    made = voice(taken, pitch, singer, sample_rate)
    return np.pad(made, (round(later * sample_rate), 0)), {"kind": kind, "later_s": round(later, 3)}
