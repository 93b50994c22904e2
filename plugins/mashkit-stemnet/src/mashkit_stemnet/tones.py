"""Synthesizer tones as in electronic music, which soundfonts have few of.

All ranges, shares and probabilities are ours: usual values of pop and electronic music.

Conventions: a tone is float32 of shape (2, frames) at :data:`SAMPLE_RATE`; it is held for its whole length.
"""

from __future__ import annotations

import numpy as np

from mashkit.types import Samples
from mashkit_stemnet.drums import SAMPLE_RATE

LONGEST_S = 3.0


class Patch:
    """One sound of a synthesizer; its tones are cached by pitch.

    Parameters
    ----------
    random : numpy.random.Generator
        Source of the sound's random parameters.
    kind : {"bass", "pluck", "pad", "lead"}
    """

    def __init__(self, random: np.random.Generator, kind: str) -> None:
        self.seed = int(random.integers(1 << 31))
        self.voices = {"bass": 1, "pluck": int(random.integers(1, 3)), "lead": int(random.integers(1, 4))}.get(
            kind, int(random.integers(2, 6))
        )
        self.detuned = random.uniform(2, 18)  # cents
        self.slope = random.uniform(0.7, 2.2)
        self.odd = random.random() < 0.3
        self.seconds = {"pad": LONGEST_S, "lead": 1.5, "bass": 1.2}.get(kind, 1.2)
        self.attack = random.uniform(0.05, 0.5) if kind == "pad" else random.uniform(0.001, 0.012)
        # dulling is the damping of each further partial per second, decay the damping of the whole tone.
        self.dulling = random.uniform(0, 0.2) if kind == "pad" else np.exp(random.uniform(np.log(0.1), np.log(3)))
        self.decay = random.uniform(0, 0.5) if kind in ("pad", "lead") else random.uniform(0, 6)
        self.glide = random.uniform(0, 0.15) if kind == "bass" and random.random() < 0.2 else 0.0
        self.vibrato = random.uniform(0, 0.006) if kind == "lead" else 0.0
        self.drive = np.exp(random.uniform(-1, 1.5)) if random.random() < 0.5 else 0.0
        self.width = 0.0 if kind == "bass" else random.uniform(0, 1)
        self.brightest = float(np.exp(random.uniform(np.log(300), np.log(2000)))) if kind == "bass" else 12_000.0
        self._kept: dict[int, Samples] = {}

    def tone(self, pitch: int) -> Samples:
        """Return the tone of a MIDI pitch."""
        if pitch not in self._kept:
            self._kept[pitch] = self._made(pitch)
        return self._kept[pitch]

    def _made(self, pitch: int) -> Samples:
        random = np.random.default_rng([self.seed, pitch])
        time = np.arange(int(self.seconds * SAMPLE_RATE)) / SAMPLE_RATE
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        sound = np.zeros((2, len(time)))
        for voice in range(self.voices):
            off = 2 ** (self.detuned * (voice - (self.voices - 1) / 2) / 1200)
            phase = hertz * off * (time + self.glide * 0.05 * np.exp(-time / 0.05))
            phase += hertz * self.vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time) + random.random()
            turn = np.exp(2j * np.pi * phase)
            partial = np.ones_like(turn)
            damp = np.exp(-self.dulling * time)
            damped = np.ones_like(time)
            wave = np.zeros(len(time))
            for number in range(1, min(40, int(self.brightest / hertz) + 1) + 1):
                partial *= turn
                damped *= damp
                if number * hertz > 20_000:
                    break
                if self.odd and number % 2 == 0:
                    continue
                wave += partial.imag * damped / number**self.slope
            pan = self.width * (random.random() - 0.5)
            sound += np.array([[0.5 - pan], [0.5 + pan]]) * wave
        sound *= np.exp(-self.decay * time) * np.minimum(1, time / self.attack)
        sound /= max(float(np.abs(sound).max()), 1e-9)
        if self.drive:
            sound = np.tanh(self.drive * sound) / np.tanh(self.drive)
        return sound.astype(np.float32)


def sweep(random: np.random.Generator, frames: int) -> Samples:
    """Return noise whose band rises or falls over its length, like the transition effects of electronic music."""
    noise = random.standard_normal((2, frames))
    spectrum_size, hop = 1024, 512
    low, high = np.sort(np.exp(random.uniform(np.log(300), np.log(12_000), 2)))
    if random.random() < 0.3:
        low, high = high, low
    window = np.hanning(spectrum_size)
    made = np.zeros((2, frames + spectrum_size))
    hertz = np.fft.rfftfreq(spectrum_size, 1 / SAMPLE_RATE)
    for start in range(0, frames - spectrum_size, hop):
        centre = low * (high / low) ** (start / frames)
        weight = np.exp(-(np.log2(np.maximum(hertz, 20) / centre) ** 2) / 2)
        made[:, start : start + spectrum_size] += window * np.fft.irfft(
            np.fft.rfft(noise[:, start : start + spectrum_size]) * weight, spectrum_size
        )
    envelope = np.linspace(0, 1, frames) ** random.uniform(0.5, 3)
    result: Samples = (made[:, :frames] * envelope / max(float(np.abs(made).max()), 1e-9)).astype(np.float32)
    return result
