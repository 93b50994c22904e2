"""Recordings as people have them: silence, odd levels and channels, lengths that round badly, voices alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mashkit.audio.files import save
from mashkit.testing import signals
from mashkit.types import Audio

RATE = signals.SAMPLE_RATE


def _music(seconds: float, *, seed: int = 0, sample_rate: int = RATE) -> npt.NDArray[np.float32]:
    """Return a band that plays for so long, peak 0.8, shape (2, frames)."""
    bars = int(np.ceil(seconds / 2)) + 1
    mix = signals.mix(signals.band(bars=min(bars, 16), seed=seed, sample_rate=sample_rate)[0]).samples
    frames = round(seconds * sample_rate)
    looped = np.tile(mix, (1, frames // mix.shape[1] + 1))[:, :frames]
    return np.asarray(looped * (0.8 / np.abs(looped).max()), dtype=np.float32)


def _saved(path: Path, samples: npt.NDArray[np.float32], sample_rate: int = RATE) -> Path:
    save(path, Audio(samples, sample_rate))
    return path


def _music_then(folder: Path, name: str, rest: npt.NDArray[np.float32]) -> Path:
    return _saved(folder / name, np.concatenate([_music(40.0, sample_rate=8_000), rest], axis=1), 8_000)


def silent_second_half(folder: Path) -> Path:
    """40 s of music, then 150 s of zeros."""
    return _music_then(folder, "silent-second-half.flac", np.zeros((2, 150 * 8_000), np.float32))


def noise_for_silence(folder: Path) -> Path:
    """40 s of music, then 150 s of noise at −90 dB."""
    rest = np.random.default_rng(1).normal(0, 10 ** (-90 / 20), (2, 150 * 8_000)).astype(np.float32)
    return _music_then(folder, "noise-for-silence.flac", rest)


def silent_first_half(folder: Path) -> Path:
    """150 s of zeros before 40 s of music: a hidden track."""
    samples = np.concatenate([np.zeros((2, 150 * 8_000), np.float32), _music(40.0, sample_rate=8_000)], axis=1)
    return _saved(folder / "silent-first-half.flac", samples, 8_000)


def silent_middle(folder: Path) -> Path:
    """Two songs of 60 s with two minutes of nothing between."""
    music = _music(60.0, sample_rate=8_000)
    samples = np.concatenate([music, np.zeros((2, 120 * 8_000), np.float32), music], axis=1)
    return _saved(folder / "silent-middle.flac", samples, 8_000)


def a_burst_alone(folder: Path) -> Path:
    """3 s of music, then 120 s of zeros: one excerpt, which is mostly silent."""
    samples = np.concatenate([_music(3.0, sample_rate=8_000), np.zeros((2, 120 * 8_000), np.float32)], axis=1)
    return _saved(folder / "a-burst-alone.flac", samples, 8_000)


def nothing_but_hiss(folder: Path) -> Path:
    """Noise at −90 dB from beginning to end: no song."""
    hiss = np.random.default_rng(2).normal(0, 10 ** (-90 / 20), (2, 40 * 8_000)).astype(np.float32)
    return _saved(folder / "nothing-but-hiss.flac", hiss, 8_000)


def rounded_past_the_end(folder: Path) -> Path:
    """A song of 79.516667 s: excerpts of a minute in it begin at 19.516667 s, which is rounded up."""
    frames = round(79.516667 * 48_000)
    return _saved(folder / "rounded-past-the-end.flac", _music(80.0, sample_rate=48_000)[:, :frames], 48_000)


def opposite_phases(folder: Path) -> Path:
    """The right channel is the left one turned over: together they are silent."""
    left = _music(30.0)[:1]
    return _saved(folder / "opposite-phases.flac", np.concatenate([left, -left]))


def nearly_opposite_phases(folder: Path) -> Path:
    """As before, with one channel a little softer, so that 26 dB less is left of the sum."""
    left = _music(30.0)[:1]
    return _saved(folder / "nearly-opposite-phases.flac", np.concatenate([left, np.float32(-0.9) * left]))


def very_quiet(folder: Path) -> Path:
    """Music whose peak is −62 dB."""
    return _saved(folder / "very-quiet.wav", _music(30.0) * np.float32(0.001))


def far_above_full_scale(folder: Path) -> Path:
    """A float file with a peak of 8."""
    return _saved(folder / "far-above-full-scale.wav", _music(30.0) * np.float32(10))


def one_channel_dead(folder: Path) -> Path:
    """Music in the left channel, zeros in the right one."""
    music = _music(30.0)
    music[1] = 0
    return _saved(folder / "one-channel-dead.flac", music)


def with_an_offset(folder: Path) -> Path:
    """Music on a direct current of a tenth of full scale."""
    return _saved(folder / "with-an-offset.flac", np.float32(0.8) * _music(30.0) + np.float32(0.1))


def clipped(folder: Path) -> Path:
    """Music with its upper 20 dB cut off."""
    return _saved(folder / "clipped.flac", np.clip(10 * _music(30.0), -0.99, 0.99))


def of_eight_bits(folder: Path) -> Path:
    """Music in 256 steps."""
    return _saved(folder / "of-eight-bits.flac", (np.round(_music(30.0) * 127) / 128).astype(np.float32))


def one_channel_late(folder: Path) -> Path:
    """The right channel is the left one 10 ms later: a comb, and nothing wrong with it."""
    left = _music(30.0)[0]
    return _saved(folder / "one-channel-late.flac", np.stack([left, np.roll(left, round(0.01 * RATE))]))


def voice_alone(folder: Path) -> Path:
    """The lead of a band without the band: 100 BPM, C major, first bar at 0.25 s."""
    stems, _ = signals.band(bars=16, tempo=100.0, seed=5)
    return _saved(folder / "voice-alone.flac", np.array(stems.stems["vocals"].samples))
