"""What a studio does to stems: breaths, echoes, rooms, tone, compression and levels, drawn anew for each stem.

Every stem has draws of its own, because a room or a tone that the stems of a song had in common would tell a network
without music which stems belong together. All ranges are ours: what is usual in pop mixes.

Conventions: samples are mono float32 and are never changed; effects keep their length.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import scipy.signal

from mashkit.types import Role, Samples
from mashkit_mashnet_train.recipes.scores import Note

Facts = dict[str, Any]


def _share(default: float) -> Any:
    return attrs.field(default=default, validator=[attrs.validators.ge(0), attrs.validators.le(1)])


@attrs.frozen(kw_only=True)
class Production:
    """Shares of songs that have an effect, 0 to 1.

    Parameters
    ----------
    breaths : float
        A sung melody has breaths before its phrases.
    backing : float
        A sung melody has backing vocals: the same words an octave or a third higher, or the same notes again.
    echoes : float
        The vocal has echoes in time with the beats.
    rooms : float
        A stem has reverberation.
    mastering : float
        A stem has a tone, compression, saturation and a level of its own.
    """

    breaths: float = _share(0.8)
    backing: float = _share(0.3)
    echoes: float = _share(0.3)
    rooms: float = _share(0.8)
    mastering: float = _share(0.9)


DRY = Production(breaths=0.0, backing=0.0, echoes=0.0, rooms=0.0, mastering=0.0)
"""Stems as they are played and sung."""


def generator(seed: int, effect: str) -> np.random.Generator:
    """Return an effect's own random numbers, which no other effect changes by being on or off."""
    return np.random.default_rng([seed, zlib.crc32(effect.encode())])


def levelled(samples: Samples, level: float = 0.1, *, silence: float = 0.0) -> Samples:
    """Return samples scaled to a root mean square of ``level``; those of at most ``silence`` stay as they are."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
    return samples * np.float32(level / rms) if rms > silence else samples


def produced(
    samples: Samples, role: Role, quarter: float, sample_rate: int, production: Production, seed: int
) -> tuple[Samples, Facts]:
    """Return a stem with echoes, room and mastering, and what was drawn for each effect that it has.

    Parameters
    ----------
    samples : array of float32, shape (frames,)
    role : Role
    quarter : float
        Seconds of a quarter note.
    sample_rate : int
        Hz.
    production : Production
    seed : int
    """
    facts: Facts = {}
    chain: tuple[tuple[str, float, Callable[..., tuple[Samples, Facts]]], ...] = (
        ("echoes", production.echoes if role is Role.VOCAL else 0.0, _echoed),
        ("room", production.rooms, _in_a_room),
        ("mastering", production.mastering, _mastered),
    )
    for name, share, effect in chain:
        random = generator(seed, f"{role} {name}")
        if random.random() < share:
            samples, facts[name] = effect(samples, role, quarter, sample_rate, random)
    return samples, facts


def breaths(
    notes: Sequence[Note], quarter: float, frames: int, sample_rate: int, random: np.random.Generator
) -> Samples:
    """Return breaths before phrases, at a level fit for a voice of root mean square 0.1.

    A phrase begins after a rest of 0.3 s or more. A breath is noise from 1 to 6 kHz that swells for 0.15 to 0.5 s and
    ends where the phrase begins.
    """
    sound = np.zeros(frames, np.float32)
    band = scipy.signal.butter(2, (1000, 6000), "bandpass", fs=sample_rate, output="sos")
    level = 0.1 * 10 ** (random.uniform(-24, -12) / 20)
    for before, after in itertools.pairwise(notes):
        rest = (after.start - before.end) * quarter
        length = round(min(rest - 0.05, random.uniform(0.15, 0.5)) * sample_rate)
        end = round((after.start * quarter - 0.03) * sample_rate)
        if rest < 0.3 or not length <= end <= frames:
            continue
        noise = scipy.signal.sosfilt(band, random.normal(size=length)) * np.hanning(length)
        sound[end - length : end] += (level / float(np.sqrt(np.mean(noise**2))) * noise).astype(np.float32)
    return sound


def _echoed(
    samples: Samples, role: Role, quarter: float, sample_rate: int, random: np.random.Generator
) -> tuple[Samples, Facts]:
    """Repeat sound after a half to a whole quarter note, each time softer and darker."""
    quarters = float(random.choice((0.5, 0.75, 1.0)))
    level, repeats = float(random.uniform(-18, -9)), int(random.integers(1, 4))
    delay = round(quarters * quarter * sample_rate)
    dark = scipy.signal.butter(1, float(random.uniform(2000, 5000)), fs=sample_rate, output="sos")
    made, echo, gain = samples.copy(), samples, np.float32(10 ** (level / 20))
    for _ in range(repeats):
        echo = _later(gain * scipy.signal.sosfilt(dark, echo).astype(np.float32), delay)
        made += echo
    return made, {"quarters": quarters, "level_db": round(level, 1), "repeats": repeats}


def _later(samples: Samples, delay: int) -> Samples:
    return np.pad(samples, (delay, 0))[: len(samples)]


def _in_a_room(
    samples: Samples, role: Role, quarter: float, sample_rate: int, random: np.random.Generator
) -> tuple[Samples, Facts]:
    """Add reverberation: noise that decays by 60 dB in the drawn time, without bass; drums get less of it."""
    seconds = float(random.uniform(0.3, 0.9 if role is Role.PERCUSSION else 2.2))
    level = float(random.uniform(-24, -12 if role is Role.PERCUSSION else -8))
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    band = (200, float(random.uniform(3000, 9000)))
    tail = scipy.signal.sosfilt(
        scipy.signal.butter(1, band, "bandpass", fs=sample_rate, output="sos"),
        random.normal(size=len(times)) * 10 ** (-3 * times / seconds),
    )
    tail *= 10 ** (level / 20) / np.sqrt(np.sum(tail**2))
    wet = scipy.signal.oaconvolve(samples, tail.astype(np.float32))[: len(samples)]
    made: Samples = samples + _later(wet.astype(np.float32), round(random.uniform(0, 0.04) * sample_rate))
    return made, {"seconds": round(seconds, 2), "level_db": round(level, 1)}


def _mastered(
    samples: Samples, role: Role, quarter: float, sample_rate: int, random: np.random.Generator
) -> tuple[Samples, Facts]:
    """Change tone, loudness differences, peaks and level."""
    tilt, bell, centre = random.uniform(-1.5, 1.5), random.uniform(-5, 5), 2 ** random.uniform(7.5, 12.3)
    over, ratio, react = random.uniform(-8, 4), random.uniform(1.2, 6), random.uniform(0.01, 0.2)
    ceiling, level = random.uniform(2, 6), random.normal(0, 2)
    # Tone: a line and a bell of one octave over the logarithm of frequency, as a symmetric filter of 2047 taps.
    octaves = np.log2(np.clip(np.fft.rfftfreq(2048, 1 / sample_rate), 40, None))
    gain_db = tilt * (octaves - np.log2(1000)) + bell * np.exp(-((octaves - np.log2(centre)) ** 2))
    taps = np.roll(np.fft.irfft(10 ** (gain_db / 20)), 1023)[:2047] * np.hanning(2047)
    toned = levelled(scipy.signal.oaconvolve(samples, taps.astype(np.float32), mode="same"))
    # Compression: what is louder than the threshold gets a part of its excess only. Loudness is followed in steps of
    # 32 samples, because it changes slowly.
    pole = np.exp(-32 / (react * sample_rate))
    steps = np.square(np.pad(toned, (0, -len(toned) % 32))).reshape(-1, 32).mean(axis=1)
    power = scipy.signal.lfilter([1 - pole], [1, -pole], steps)
    threshold = (0.1 * 10 ** (over / 20)) ** 2
    gains = (np.maximum(power / threshold, 1) ** (0.5 / ratio - 0.5)).astype(np.float32)
    pressed = levelled(toned * np.repeat(gains, 32)[: len(toned)])
    # Saturation: peaks are bent to stay below the ceiling.
    limit = np.float32(0.1 * ceiling)
    made = levelled(limit * np.tanh(pressed / limit)) * np.float32(10 ** (level / 20))
    return made, {
        "tilt_db_per_octave": round(tilt, 2), "bell_db": round(bell, 1), "bell_hz": round(centre),
        "threshold_db": round(over, 1), "ratio": round(ratio, 1), "react_s": round(react, 3),
        "ceiling": round(ceiling, 1), "level_db": round(level, 1),
    }  # fmt: skip
