"""Spleeter's short-time spectra of a batch, and their inverse: frames of 4096 samples, hop 1024, periodic Hann.

Conventions: samples have shape (..., n); spectra are complex, shape (..., frames, 2049).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mashkit_spleeter_torch import masking
from mashkit_spleeter_torch.masking import OVERLAP, WINDOW


def analysed(samples: Tensor) -> Tensor:
    """Return the spectra of all whole frames of the samples: (n − WINDOW) / HOP + 1 frames."""
    window = torch.hann_window(WINDOW, periodic=True, device=samples.device)
    return masking.analysed(samples, window)


def synthesized(spectra: Tensor) -> Tensor:
    """Return the samples that four frames cover: (frames − 3) · HOP samples, from the start of the fourth frame on."""
    window = torch.hann_window(WINDOW, periodic=True, device=spectra.device)
    frames = spectra.shape[-2]
    pieces = masking.synthesized(spectra, window)
    first = OVERLAP - 1
    # A hop of samples is the sum of four parts: part number k of the frame that begins k hops earlier.
    parts = [pieces[..., first - part : frames - part, part, :] for part in range(OVERLAP)]
    return torch.stack(parts).sum(dim=0).flatten(-2)
