"""Mix placed layers: fades, ducking, limiting, and one gain that keeps the peaks below the ceiling.

Every step multiplies all channels of a layer, or of all layers, by one gain over time, so the stems still sum to the
mix. The plan (:class:`mashkit.types.Mixing`) defines the steps; by default only the peaks are kept.

Conventions: layers are float32 of shape (channels, frames), all of the same frames; gains are linear unless in dB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.types import Mixing, Role, Samples, frozen_mapping

SHORTEST_FADE_S = 0.02
"""Length of the shortest fade, seconds. It prevents a click where something begins or ends in the middle of a sound."""
AT_THE_END_S = 0.001
"""A layer that begins or ends this near to an end of the mashup reaches it, seconds, because offsets and lengths of
stretched sound are rounded to frames."""

PEAK_CEILING_DB = -1.0
"""Highest peak of a mix or stem, dBFS, from EBU R 128, because lossy encoders raise peaks."""

LOOK_AHEAD_S = 0.005
"""Time before a peak at which the limiter begins to lower the gain, seconds; a longer time would be heard as a dip
before a drum."""
RELEASE_S = 0.1
"""Time constant with which the limiter's gain returns, seconds; longer than a period of the lowest bass, because a
shorter one would distort the bass."""
SETTLED = 0.01
"""Share of the limiter's change of gain still missing when the peak arrives; the gain of the whole mix corrects it."""

DUCK_FRAME_S = 0.02
DUCK_ATTACK_S = 0.05
DUCK_RELEASE_S = 0.4
"""Frame and time constants of ducking, seconds. The harmonic layer gets quieter within a syllable and returns over a
few, because faster changes are heard as pumping."""
DUCK_SOUNDING_DB = 40.0
"""A vocal this far below its loudest frame, dB, does not sound; so a vocal that pauses most of the time has the same
loud passages as one that never pauses (ours)."""
DUCK_RANGE_DB = 20.0
"""A vocal this far below its loud passages, dB, counts as silent."""

Gain = npt.NDArray[np.float32]


@attrs.frozen(eq=False)
class Mixed:
    """The result of mixing.

    Parameters
    ----------
    stems : mapping of Role to array
        Each stem's peak is at most −1 dBFS.
    mix : array
        Sum of the stems; its peak is at most −1 dBFS.
    gain_db : float
        Gain of the whole mix, ≤ 0 dB.
    limited_db : float
        The limiter's largest attenuation at any time, ≥ 0 dB.
    """

    stems: Mapping[Role, Samples] = attrs.field(converter=frozen_mapping)
    mix: Samples
    gain_db: float
    limited_db: float


def mix(layers: Mapping[Role, Samples], sample_rate: int, mixing: Mixing) -> Mixed:
    """Mix layers with the settings of ``mixing``.

    Parameters
    ----------
    layers : mapping of Role to array
        Placed layers with their own gains; this function writes into them. A mono layer goes to every channel of the
        mix.
    sample_rate : int
        Hz.
    mixing : Mixing

    Returns
    -------
    Mixed
    """
    if mixing.duck_db > 0 and Role.VOCAL in layers and Role.HARMONIC in layers:
        layers[Role.HARMONIC][:] *= duck(layers[Role.VOCAL], sample_rate, mixing.duck_db)
    if mixing.fade_in_s > 0 or mixing.fade_out_s > 0:
        faded = fades(next(iter(layers.values())).shape[1], sample_rate, mixing)  # all layers are as long as the mashup
        for samples in layers.values():
            samples *= faded
    total = _sum(list(layers.values()))
    # A stem may have a higher peak than the mix if another stem cancels it. Stems are saved too, so their peaks count.
    everything = (total, *layers.values())
    limited_db = 0.0
    highest = max(_peak(samples) for samples in everything)
    ceiling = 10 ** (PEAK_CEILING_DB / 20)
    lowered = 1.0
    if highest > ceiling and mixing.limit_db > 0:
        # First the whole mix is lowered by the part that exceeds the limiter's largest attenuation.
        lowered = min(1.0, ceiling * 10 ** (mixing.limit_db / 20) / highest)
        limited = limit([samples * np.float32(lowered) for samples in everything], sample_rate, ceiling)
        limited_db = float(-20 * np.log10(limited.min()))
        _scale(everything, limited * np.float32(lowered))
        highest = max(_peak(samples) for samples in everything)
    if highest > ceiling:
        _scale(everything, np.float32(ceiling / highest))
        lowered *= ceiling / highest
    return Mixed(layers, total, float(20 * np.log10(lowered)), limited_db)


def fades(frames: int, sample_rate: int, mixing: Mixing) -> Gain:
    """Return the gain of the fades of a mashup, shape (frames,): raised cosines, each at most half the mashup long."""
    return _faded(frames, round(mixing.fade_in_s * sample_rate), round(mixing.fade_out_s * sample_rate))


def soften_edges(placed: Samples, first: int, last: int, sample_rate: int) -> None:
    """Fade a placed layer in and out where it begins or ends inside the mashup, because a hard cut is heard as a click.

    The fades are raised cosines of :data:`SHORTEST_FADE_S` at most. A layer that reaches the ends of the mashup keeps
    its samples: :class:`mashkit.types.Mixing` defines the fades there.

    Parameters
    ----------
    placed : array
        The layer with silence around it, shape (channels, frames). This function writes into it.
    first, last : int
        The layer sounds from frame ``first`` to before frame ``last``.
    sample_rate : int
        Hz.
    """
    nearest, count = AT_THE_END_S * sample_rate, round(SHORTEST_FADE_S * sample_rate)
    begins, ends = first > nearest, placed.shape[1] - last > nearest
    if first < last and (begins or ends):
        placed[:, first:last] *= _faded(last - first, begins * count, ends * count)


def _faded(frames: int, first: int, last: int) -> Gain:
    """Return a gain that rises over ``first`` frames and falls over the ``last``, each at most half of all frames."""
    gain = np.ones(frames, np.float32)
    for wanted, part in ((first, gain), (last, gain[::-1])):
        count = min(wanted, frames // 2)
        part[:count] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return gain


def duck(vocal: Samples, sample_rate: int, depth_db: float) -> Gain:
    """Return the gain of the harmonic layer under a vocal, shape (frames,): −``depth_db`` while the vocal sounds.

    The vocal's level is its RMS in frames of 20 ms, relative to the 95th percentile of those that sound (less than
    :data:`DUCK_SOUNDING_DB` below the loudest). It rises with a time constant of 50 ms and falls with one of 400 ms.
    """
    if vocal.shape[1] == 0:
        return np.ones(0, np.float32)
    hop = max(round(DUCK_FRAME_S * sample_rate), 1)
    count = -(-vocal.shape[1] // hop)
    power = np.zeros(count * hop, np.float64)
    power[: vocal.shape[1]] = np.mean(np.square(vocal, dtype=np.float64), axis=0)
    level = 10 * np.log10(power.reshape(count, hop).mean(axis=1) + 1e-12)
    loud = np.percentile(level[level > level.max() - DUCK_SOUNDING_DB], 95)
    sounding = np.clip((level - loud) / DUCK_RANGE_DB + 1, 0, 1)
    if not level.max() > 10 * math.log10(2e-12):
        sounding[:] = 0.0
    smoothed = np.empty(count)
    held = 0.0
    attack, release = (math.exp(-DUCK_FRAME_S / seconds) for seconds in (DUCK_ATTACK_S, DUCK_RELEASE_S))
    for index, target in enumerate(sounding.tolist()):
        held = target + (held - target) * (attack if target > held else release)
        smoothed[index] = held
    at = np.interp(np.arange(vocal.shape[1]), (np.arange(count) + 0.5) * hop, smoothed)
    gain: Gain = (10 ** (-depth_db / 20 * at)).astype(np.float32)
    return gain


def limit(signals: list[Samples], sample_rate: int, ceiling: float) -> Gain:
    """Return one gain over time, shape (frames,), that keeps the peaks of all signals near a ceiling.

    The library limits the largest sample of all signals and channels. Its gain is computed from the result and is the
    same for all signals, so that neither the balance nor the stereo image changes.
    """
    import numpy_audio_limiter  # imported here, because only a mix with high peaks needs it

    peaks = np.max([np.abs(samples).max(axis=0) for samples in signals], axis=0).astype(np.float32)
    delay = max(round(LOOK_AHEAD_S * sample_rate), 1)
    # The detector is a divisor, so it is at least −120 dBFS, which never needs limiting.
    detector = np.maximum(peaks, np.float32(1e-6))
    limited = numpy_audio_limiter.limit(
        signal=detector[None],
        attack_coeff=SETTLED ** (1 / delay),
        release_coeff=math.exp(-1 / (RELEASE_S * sample_rate)),
        delay=delay,
        threshold=ceiling,
    )
    gain: Gain = np.minimum(limited[0] / detector, np.float32(1.0))
    return gain


def _peak(samples: Samples) -> float:
    return float(np.max(np.abs(samples), initial=0.0))


def _scale(signals: tuple[Samples, ...], gain: Gain | np.float32) -> None:
    for samples in signals:
        samples *= gain


def _sum(parts: list[Samples]) -> Samples:
    """Sum (channels, frames) arrays of equal frames; a mono part goes to every channel."""
    total = np.zeros((max(part.shape[0] for part in parts), parts[0].shape[1]), dtype=np.float32)
    for part in parts:
        total += part
    return total
