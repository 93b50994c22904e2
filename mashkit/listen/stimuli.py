"""Sounds of a study: bring them to one loudness and write them, and make the sounds of the checks."""

from __future__ import annotations

import itertools
import math
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from mashkit.audio.files import load, resample, save
from mashkit.audio.levels import loudness
from mashkit.audio.mixing import PEAK_CEILING_DB
from mashkit.listen.study import STIMULI, StudyError
from mashkit.models import sha256_of
from mashkit.types import Audio, Samples

LOUDNESS_LUFS = -23.0
"""Loudness of every sample (EBU R 128), unless a sample's peaks force all to be quieter."""
SAMPLE_RATE = 44_100
TONE_HZ, TONE_S, RAMP_S, GAP_S, QUIETER_DB = 200.0, 1.0, 0.1, 0.5, 6.0
"""Tones of the headphone check (Woods et al. 2017, "Headphone screening to facilitate web-based auditory experiments",
Attention, Perception, & Psychophysics 79): over loudspeakers the tone whose channels have opposite phases is the
quietest, so the really quieter one is found with headphones only. The gap is ours."""
LEVEL_BELOW_DB = 36.0
"""Tones of the level check lie so far below the noise before them (ours): quiet passages of music do, too."""
FADE_S = 0.01


class Sounds:
    """Sounds on their way into a study, kept in a folder of their own until all are known.

    All get one loudness. It is :data:`LOUDNESS_LUFS`, or as much less as the sample with the highest peaks needs: no
    sample is limited, because a limiter would change some samples and not others.

    Parameters
    ----------
    folder : Path
        The study's folder.
    chance : random.Random
        Draws the names of the files.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder = folder
        self._chance = chance
        self._kept = tempfile.TemporaryDirectory(prefix=".sounds-", dir=folder)
        self._places: dict[str, Path] = {}

    def __enter__(self) -> Sounds:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.cleanup()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, key: str, audio: Audio) -> None:
        """Keep a sound.

        Raises
        ------
        StudyError
            If it is too short or too quiet to have a loudness.
        """
        if loudness(audio) is None:
            raise StudyError(f"{key}: the sound is silent or shorter than 0.4 s", "leave it out")
        place = Path(self._kept.name) / f"{len(self._places)}.wav"
        save(place, audio if audio.sample_rate == SAMPLE_RATE else resample(audio, SAMPLE_RATE))
        self._places[key] = place

    def finish(self, starts: Mapping[str, float]) -> tuple[dict[str, tuple[str, str]], float]:
        """Write sounds as FLAC at one loudness.

        Parameters
        ----------
        starts : mapping of str to float
            Keys of the sounds to write, each with the seconds to leave out at its beginning.

        Returns
        -------
        files : dict of str to (str, str)
            Key → file inside the study's folder and its SHA-256.
        loudness : float
            The common loudness, LUFS.

        Raises
        ------
        StudyError
            If a sound is too short or too quiet without its beginning.
        OutputError
            If a file cannot be written.
        """
        levels: dict[str, float] = {}
        common = LOUDNESS_LUFS
        for key, start in starts.items():
            audio = from_start(load(self._places[key]), start)
            level = loudness(audio)
            if level is None:
                raise StudyError(f"{key}: the sound is silent without its first {start:.2f} s", "leave it out")
            levels[key] = level
            common = min(common, level + PEAK_CEILING_DB - 20 * math.log10(audio.peak))
        files = {}
        for key, start in starts.items():
            audio = from_start(load(self._places[key]), start)
            gain = np.float32(10 ** ((common - levels[key]) / 20))
            files[key] = self.write(Audio(audio.samples * gain, audio.sample_rate))
        return files, common

    def write(self, audio: Audio) -> tuple[str, str]:
        """Write a sound as it is; return its file inside the study's folder, whose name tells nothing, and its hash."""
        name = f"{STIMULI}/{self._chance.getrandbits(64):016x}.flac"
        return name, sha256_of(save(self._folder / name, audio))


def from_start(audio: Audio, start_s: float) -> Audio:
    """Return a sound without its first ``start_s`` seconds, with a short fade in, so that it does not click."""
    first = round(start_s * audio.sample_rate)
    if first <= 0:
        return audio
    samples = audio.samples[:, first:].copy()
    ramp = np.linspace(0, 1, min(round(FADE_S * audio.sample_rate), samples.shape[1]), dtype=np.float32)
    samples[:, : len(ramp)] *= ramp
    return Audio(samples, audio.sample_rate)


def headphone_trials(chance: random.Random) -> Iterator[tuple[Audio, int]]:
    """Yield the six trials of the headphone check, each with the place, 1 to 3, of the quietest tone.

    Each order of the three tones (quieter, opposite phase, plain) occurs once; ``chance`` draws the order of trials.
    """
    time = np.arange(round(TONE_S * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.minimum(1, np.minimum(time, TONE_S - time) / RAMP_S)
    tone = (0.08 * envelope * np.sin(2 * np.pi * TONE_HZ * time)).astype(np.float32)
    kinds = {
        "quiet": np.stack([tone, tone]) * np.float32(10 ** (-QUIETER_DB / 20)),
        "phase": np.stack([tone, -tone]),
        "plain": np.stack([tone, tone]),
    }
    gap = np.zeros((2, round(GAP_S * SAMPLE_RATE)), np.float32)
    orders = list(itertools.permutations(kinds))
    chance.shuffle(orders)
    for order in orders:
        parts = [part for kind in order for part in (kinds[kind], gap)][:-1]
        yield Audio(np.concatenate(parts, axis=1), SAMPLE_RATE), order.index("quiet") + 1


def level_trials(chance: random.Random, lufs: float, count: int) -> Iterator[tuple[Audio, int]]:
    """Yield sounds of the level check, each with the number of its quiet tones: noise at ``lufs``, then two to five."""
    generator = np.random.default_rng(chance.getrandbits(32))
    numbers = chance.sample(range(2, 6), count)
    for number in numbers:
        noise = _pink(generator, 2.0)
        level = loudness(Audio(noise, SAMPLE_RATE))
        assert level is not None  # noqa: S101 — two seconds of noise have a loudness
        noise *= np.float32(10 ** ((lufs - level) / 20))
        time = np.arange(round(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
        envelope = np.minimum(1, np.minimum(time, 0.25 - time) / 0.02)
        power = float(np.sqrt(np.mean(np.square(noise)))) * 10 ** (-LEVEL_BELOW_DB / 20)
        tone = (np.sqrt(2) * power * envelope * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
        beep = np.concatenate([tone, np.zeros(round(0.45 * SAMPLE_RATE), np.float32)])
        pause = np.zeros((2, SAMPLE_RATE), np.float32)
        beeps = np.tile(np.concatenate([beep] * number), (2, 1))
        yield Audio(np.concatenate([noise, pause, beeps], axis=1), SAMPLE_RATE), number


def _pink(generator: np.random.Generator, seconds: float) -> Samples:
    """Return noise with equal power per octave above 40 Hz, the same in both channels, with short fades."""
    frames = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(generator.standard_normal(frames))
    frequencies = np.fft.rfftfreq(frames, 1 / SAMPLE_RATE)
    spectrum[frequencies < 40] = 0
    spectrum[1:] /= np.sqrt(frequencies[1:])
    noise = np.fft.irfft(spectrum, frames)
    ramp = np.linspace(0, 1, round(0.05 * SAMPLE_RATE))
    noise[: len(ramp)] *= ramp
    noise[-len(ramp) :] *= ramp[::-1]
    noise *= 0.1 / np.sqrt(np.mean(noise**2))
    samples: Samples = np.tile(noise, (2, 1)).astype(np.float32)
    return samples
