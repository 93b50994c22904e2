"""Filtering in blocks: exact to the last sample, and the same however the blocks are cut."""

import librosa
import numpy as np
import pytest
import torch

from mashkit.testing import signals
from mashkit_spleeter_torch.masking import HOP, WINDOW, apply_mask

CPU = torch.device("cpu")


@pytest.mark.parametrize("frames", [1, 2, HOP - 1, HOP, HOP + 1, WINDOW, 50_000])
@pytest.mark.parametrize("block", [1, 5, 512])
def test_a_mask_of_ones_returns_the_input(frames: int, block: int) -> None:
    samples = signals.noise(2.0).samples[:, :frames]
    filtered = apply_mask(samples, lambda spectra: torch.ones(1), block=block, device=CPU)
    assert filtered.shape == samples.shape
    np.testing.assert_allclose(filtered, samples, atol=1e-6)


def test_agrees_with_librosa() -> None:
    samples = signals.noise(2.0, channels=1).samples
    gains = np.random.default_rng(1).random(WINDOW // 2 + 1).astype(np.float32)
    filtered = apply_mask(samples, lambda spectra: torch.from_numpy(gains).expand(spectra.shape), block=9, device=CPU)
    spectra = librosa.stft(samples, n_fft=WINDOW, hop_length=HOP)
    expected = librosa.istft(spectra * gains[:, None], n_fft=WINDOW, hop_length=HOP, length=samples.shape[1])
    inside = slice(WINDOW, -WINDOW)  # at the ends librosa has fewer frames
    np.testing.assert_allclose(filtered[:, inside], expected[:, inside], atol=1e-6)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_with_context_the_cut_into_blocks_leaves_no_mark(block: int) -> None:
    samples = signals.noise(3.0).samples

    def relative_to_neighbours(spectra: torch.Tensor) -> torch.Tensor:
        power = spectra.abs().square()
        around = torch.nn.functional.pad(power.transpose(1, 2), (3, 3)).unfold(2, 7, 1).sum(3).transpose(1, 2)
        return power / around

    whole = apply_mask(samples, relative_to_neighbours, block=10_000, device=CPU)
    in_blocks = apply_mask(samples, relative_to_neighbours, block=block, context=3, device=CPU)
    np.testing.assert_allclose(in_blocks, whole, atol=1e-6)
    # Without context the mark is plain: the check above can fail.
    cut = apply_mask(samples, relative_to_neighbours, block=block, device=CPU)
    assert np.abs(cut - whole).max() > 1e-3
