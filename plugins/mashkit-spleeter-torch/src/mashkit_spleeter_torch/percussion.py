"""A mask for percussion in a spectrogram: sound that is short in time and broad in frequency."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import torch
from torch import Tensor

TIME_KERNEL = 23
"""Length of the median along time, which keeps sustained sounds, frames: 0.53 s at 44.1 kHz."""

FREQUENCY_KERNEL = 7
"""Length of the median along frequency, which keeps broad-band sounds, bins: 75 Hz at 44.1 kHz."""

CONTEXT = TIME_KERNEL // 2
"""Number of frames on each side that the mask of a frame depends on."""


def percussion_mask(spectra: Tensor) -> Tensor:
    """Return the soft mask of percussion, shape (1, frames, bins), 0–1, for spectra of shape (channels, frames, bins).

    Medians along time keep sustained sound, H, and medians along frequency keep broad sound, P [1]_. The mask is the
    Wiener-like P² / (H² + P²) [2]_, and one half where both are zero. All channels share one mask, computed from their
    mean power, so that the stereo image does not move. The kernels have the best mean SDR of drums and of the rest over
    eight multitrack excerpts (see the README). The usual kernels, with less resolution in frequency, confuse kick drums
    and bass.

    References
    ----------
    .. [1] Fitzgerald: Harmonic/percussive separation using median filtering, DAFx 2010.
    .. [2] Driedger, Müller and Disch: Extending harmonic-percussive separation of audio signals, ISMIR 2014.
    """
    power = (spectra.real.square() + spectra.imag.square()).mean(dim=0)
    magnitudes = power.sqrt().cpu().numpy()
    sustained = _running_median(magnitudes.T, TIME_KERNEL).T ** 2
    broad = _running_median(magnitudes, FREQUENCY_KERNEL) ** 2
    both = sustained + broad
    mask = np.divide(broad, both, out=np.full_like(both, 0.5), where=both > 0)
    return torch.from_numpy(mask)[None].to(spectra.device)


def _running_median(rows: npt.NDArray[np.float32], kernel: int) -> npt.NDArray[np.float32]:
    """Return the running median along each row, reflected at its ends."""
    reach = kernel // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="symmetric")
    # All rows are joined to one, because scipy's median of one dimension is nine times faster than along one of two.
    medians = scipy.ndimage.median_filter(padded.ravel(), size=kernel).reshape(padded.shape)
    result: npt.NDArray[np.float32] = medians[:, reach:-reach]
    return result
