"""Drum kits: one-shots from soundfonts, from a folder's files, or synthesized from noise and falling tones.

All ranges, shares and probabilities are ours: usual values of pop and electronic music.

Conventions: a one-shot is float32 of shape (2, frames) at :data:`SAMPLE_RATE`; its piece is one of :data:`PIECES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr

from mashkit.errors import UsageError
from mashkit.types import Samples
from mashkit_mashnet_train.recipes.sound import load_soundfont, silence

SAMPLE_RATE = 44_100
PIECES: Mapping[str, tuple[int, ...]] = {
    "kick": (35, 36), "snare": (38, 40), "clap": (39,), "rim": (37,), "hat": (42, 44), "open": (46,),
    "crash": (49, 57, 52, 55), "ride": (51, 53, 59), "tom": (41, 43, 45, 47, 48, 50), "shaker": (54, 69, 70, 82),
    "percussion": (56, 60, 61, 62, 63, 64, 75, 76, 77, 78),
}  # fmt: skip
"""Pieces of a kit → the General MIDI notes that play them."""
PIECE_OF: Mapping[int, str] = {note: piece for piece, notes in PIECES.items() for note in notes}
_NAMES = (
    ("clap", "clap"), ("rim|stick", "rim"), ("snare|sn[_ .0-9]|[_ ]sd", "snare"), ("kick|bd|hse_k|bass ?drum", "kick"),
    ("ohh|open|hat.*op|op.*hat", "open"), ("hat|chh|hh|hht", "hat"), ("crash|cym", "crash"), ("ride", "ride"),
    ("tom", "tom"), ("shak|tamb|caba|maraca", "shaker"), ("conga|perc|bongo|cow|block|drum", "percussion"),
)  # fmt: skip

Kit: TypeAlias = dict[str, list[Samples]]


def piece_called(name: str) -> str | None:
    """Return the piece that a file's name describes; None if it describes no piece."""
    for pattern, piece in _NAMES:
        if re.search(pattern, name.lower()):
            return piece
    return None


def read_kit(folder: Path) -> Kit:
    """Return the one-shots of a folder; file names give their pieces: ``kick 1.wav``, ``snare-soft.flac``.

    Raises
    ------
    UsageError
        If there is no such folder, or it has no kick or no snare.
    """
    kit: Kit = {}
    for path, piece in kit_files(folder).items():
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        samples = soxr.resample(samples[:, :2], rate, SAMPLE_RATE)
        kit.setdefault(piece, []).append(_shot(np.broadcast_to(samples.T, (2, len(samples)))))
    if "kick" not in kit or "snare" not in kit:
        raise UsageError(
            f"{folder} is not a drum kit: it has no kick or no snare", "name its files after the drums: kick.wav"
        )
    return kit


def kit_files(folder: Path) -> dict[Path, str]:
    """Return the sound files of a kit and the piece of each; files with other names are left out.

    Raises
    ------
    UsageError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "give a folder of one-shots, such as kick.wav and snare.wav")
    found = {}
    for path in sorted(folder.iterdir()):
        piece = piece_called(path.stem)
        if piece is not None and path.suffix.lower() in (".wav", ".flac", ".ogg", ".opus"):
            found[path] = piece
    return found


def soundfont_kits(soundfont: Path) -> Iterator[tuple[str, dict[str, Samples]]]:
    """Yield each kit of a soundfont: its name, and its one-shots by file name ("kick-36").

    Raises
    ------
    UsageError
        If tinysoundfont is not installed, or the file is not a soundfont.
    """
    synthesizer, number = load_soundfont(soundfont, SAMPLE_RATE)
    for program in range(128):
        name = synthesizer.sfpreset_name(number, 128, program)
        if not name:
            continue
        shots = {}
        for piece, notes in PIECES.items():
            for note in notes[:4]:
                silence(synthesizer, SAMPLE_RATE)
                synthesizer.program_select(9, number, 128, program, True)
                synthesizer.noteon(9, note, 110)
                sound = np.frombuffer(synthesizer.generate(2 * SAMPLE_RATE), np.float32).reshape(-1, 2).T
                synthesizer.noteoff(9, note)
                if np.abs(sound).max(initial=0) > 1e-3:
                    shots[f"{piece}-{note}"] = _shot(sound)
        yield name, shots


def _shot(sound: Samples) -> Samples:
    """Return a one-shot cut to its audible part, at most 2 s from its onset on, with peak 1."""
    envelope = np.abs(sound).max(axis=0)
    peak = float(envelope.max(initial=0))
    if peak == 0:
        return np.zeros((2, 1), np.float32)
    loud = np.flatnonzero(envelope > 1e-3 * peak)
    cut = np.array(sound[:, max(0, loud[0] - 20) : min(loud[-1], loud[0] + 2 * SAMPLE_RATE)] / peak, np.float32)
    fade = min(cut.shape[1], 500)
    if fade:
        cut[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


# --------------------------------------------------------------------------------------------------- synthesized
def invented_kit(random: np.random.Generator) -> Kit:
    """Return a kit like a drum machine's: falling tones, bursts of noise, and metal sounds from square waves."""
    kit: Kit = {
        "kick": [_kick(random)], "snare": [_snare(random)], "clap": [_clap(random)], "rim": [_blip(random, 0.03)],
        "hat": [_metal(random, random.uniform(0.015, 0.07))], "open": [_metal(random, random.uniform(0.12, 0.4))],
        "crash": [_metal(random, random.uniform(0.5, 1.0))], "ride": [_metal(random, random.uniform(0.2, 0.6))],
        "tom": [_tom(random) for _ in range(3)], "shaker": [_metal(random, random.uniform(0.02, 0.08))],
        "percussion": [_blip(random, random.uniform(0.03, 0.2)) for _ in range(2)],
    }  # fmt: skip
    return kit


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _mono(sound: np.ndarray) -> Samples:
    return _shot(np.broadcast_to(sound.astype(np.float32), (2, len(sound))))


def _kick(random: np.random.Generator) -> Samples:
    decay = float(np.exp(random.uniform(np.log(0.06), np.log(0.35))))
    time = _time(min(1.5, 6 * decay))
    low, high = random.uniform(36, 65), np.exp(random.uniform(np.log(90), np.log(900)))
    fall = random.uniform(0.006, 0.045)
    phase = 2 * np.pi * (low * time + (high - low) * fall * (1 - np.exp(-time / fall)))
    sound = np.sin(phase) * np.exp(-time / decay)
    sound += random.uniform(0, 0.4) * random.standard_normal(len(time)) * np.exp(-time / random.uniform(0.001, 0.01))
    drive = np.exp(random.uniform(0, 2))
    return _mono(np.tanh(drive * sound) * np.minimum(1, time / 0.0005))


def _snare(random: np.random.Generator) -> Samples:
    time = _time(0.7)
    pitch = random.uniform(140, 280)
    body = np.sin(2 * np.pi * pitch * (time + 0.02 * (1 - np.exp(-time / 0.02)))) * np.exp(
        -time / random.uniform(0.02, 0.12)
    )
    noise = _coloured(random, len(time)) * np.exp(-time / random.uniform(0.03, 0.2))
    return _mono(np.tanh(random.uniform(0.5, 3) * (random.uniform(0.1, 1) * body + random.uniform(0.3, 1) * noise)))


def _clap(random: np.random.Generator) -> Samples:
    time = _time(0.6)
    envelope = np.exp(-time / random.uniform(0.04, 0.15)) * 0.6
    for burst in range(int(random.integers(2, 5))):
        since = time - burst * random.uniform(0.007, 0.014)
        envelope += np.where(since >= 0, np.exp(-np.maximum(since, 0) / 0.004), 0)
    spread = np.stack([_coloured(random, len(time)) for _ in range(2)])
    width = random.uniform(0, 1)
    sound = (1 - width) * spread[:1] + width * spread
    return _shot((sound * envelope).astype(np.float32))


def _coloured(random: np.random.Generator, frames: int) -> np.ndarray:
    """Return noise with a random spectral peak between about 0.8 and 8 kHz and random slopes."""
    spectrum = np.fft.rfft(random.standard_normal(frames))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(frames, 1 / SAMPLE_RATE), 10) / np.exp(random.uniform(6.7, 9)))
    weight = np.where(
        octaves < 0, 10 ** (octaves * random.uniform(0.2, 0.9)), 10 ** (-octaves * random.uniform(0, 0.5))
    )
    noise = np.fft.irfft(spectrum * weight, frames)
    return noise / max(float(np.abs(noise).max()), 1e-9)


def _metal(random: np.random.Generator, decay: float) -> Samples:
    time = _time(min(2.0, 6 * decay))
    base = random.uniform(250, 700)
    square = sum(np.sign(np.sin(2 * np.pi * base * ratio * time)) for ratio in random.uniform(1, 4, 6))
    noise = random.standard_normal(len(time))
    share = random.uniform(0, 1)
    spectrum = np.fft.rfft(share * square / 6 + (1 - share) * noise)
    hertz = np.fft.rfftfreq(len(time), 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (np.exp(random.uniform(8, 9.2)) / np.maximum(hertz, 1)) ** random.integers(2, 7))
    return _mono(np.fft.irfft(spectrum, len(time)) * np.exp(-time / decay))


def _tom(random: np.random.Generator) -> Samples:
    time = _time(0.8)
    pitch = np.exp(random.uniform(np.log(70), np.log(260)))
    fall = pitch * (time + random.uniform(0, 0.05) * (1 - np.exp(-time / 0.05)))
    sound = np.sin(2 * np.pi * fall) * np.exp(-time / random.uniform(0.06, 0.25))
    return _mono(sound + 0.1 * random.standard_normal(len(time)) * np.exp(-time / 0.01))


def _blip(random: np.random.Generator, decay: float) -> Samples:
    time = _time(min(1.0, 6 * decay))
    pitch = np.exp(random.uniform(np.log(300), np.log(2500)))
    index = random.uniform(0, 4) * np.exp(-time / (decay / 2))
    sound = np.sin(2 * np.pi * pitch * time + index * np.sin(2 * np.pi * pitch * random.uniform(1, 3) * time))
    return _mono(sound * np.exp(-time / decay))
