"""Songs off A = 440 Hz, and sounds of which no tuning can be told; each made by code and written into a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mashkit.audio.files import save
from mashkit.testing import signals
from mashkit.types import Audio, Key

A_MAJOR = Key(9, "major")
SECONDS = 30.0


def _song(cents: float, *, key: Key = A_MAJOR, seed: int = 0) -> Audio:
    stems, _ = signals.band(key, tempo=112.0, bars=14, seed=seed)
    mix = signals.mix(stems)
    return signals.retuned(Audio(mix.samples / np.float32(2), mix.sample_rate), cents)


def flat_by_45_cents(folder: Path) -> Path:
    """Write a song in A major, recorded 45 cents flat."""
    return save(folder / "flat by 45 cents.flac", _song(-45))


def sharp_by_48_cents(folder: Path) -> Path:
    """Write a song in A major, recorded 48 cents sharp: 4 cents below one in Bb that is 48 cents flat."""
    return save(folder / "sharp by 48 cents.flac", _song(48))


def bb_flat_by_48_cents(folder: Path) -> Path:
    """Write a song in Bb major, recorded 48 cents flat."""
    return save(folder / "Bb flat by 48 cents.flac", _song(-48, key=Key(10, "major"), seed=1))


def detuned_synthesizers(folder: Path) -> Path:
    """Write a song 30 cents flat whose every sound is two, 10 cents above and below."""
    one, other = _song(-40), _song(-20)
    frames = min(one.frames, other.frames)
    both = (one.samples[:, :frames] + other.samples[:, :frames]) / np.float32(2)
    return save(folder / "detuned synthesizers.flac", Audio(both, one.sample_rate))


def tape_that_slows(folder: Path) -> Path:
    """Write a song that falls by a whole tone from its beginning to its end: it has no one tuning."""
    song = _song(0)
    speed = 2 ** (-np.linspace(0, 200, song.frames) / 1200)
    at = np.cumsum(speed)
    at = at[at < song.frames - 1]
    samples = [np.interp(at, np.arange(song.frames), row) for row in song.samples]
    return save(folder / "tape that slows.flac", Audio(np.array(samples), song.sample_rate))


def drums_alone(folder: Path) -> Path:
    """Write the drums of a song."""
    stems, _ = signals.band(A_MAJOR, tempo=112.0, bars=14)
    return save(folder / "drums alone.flac", stems.stems["drums"])


def voice_that_slides(folder: Path) -> Path:
    """Write a voice that slides slowly up and down through more than an octave, on no pitch for long."""
    time = np.arange(round(SECONDS * signals.SAMPLE_RATE)) / signals.SAMPLE_RATE
    frequency = 300 * 2 ** (0.7 * np.sin(2 * np.pi * 0.31 * time) + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(frequency) / signals.SAMPLE_RATE
    voice = sum(np.sin(partial * phase) / partial for partial in range(1, 7))
    return save(folder / "voice that slides.flac", Audio(0.2 * voice[None], signals.SAMPLE_RATE))


def hiss_at_minus_90_db(folder: Path) -> Path:
    """Write noise at −90 dB."""
    return save(folder / "hiss.wav", Audio(signals.noise(SECONDS).samples * np.float32(3e-4), signals.SAMPLE_RATE))


TUNED = {
    flat_by_45_cents: -45.0,
    sharp_by_48_cents: 48.0,
    bb_flat_by_48_cents: -48.0,
    detuned_synthesizers: -30.0,
}
"""Makers of songs → their tunings, cents."""
UNTUNED = (tape_that_slows, drums_alone, voice_that_slides, hiss_at_minus_90_db)
"""Makers of what has no tuning."""
