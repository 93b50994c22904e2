"""Filtering in blocks: exact to the last sample, and the same however the blocks are cut."""

import librosa
import numpy as np
import pytest
import torch

from mashkit.testing import signals
from mashkit.types import Audio, Samples
from mashkit_spleeter_torch.masking import HOP, WINDOW, Mask, apply_mask

CPU = torch.device("cpu")


def filtered_by(mask: Mask, samples: Samples, *, block: int, context: int = 0) -> Samples:
    return apply_mask(Audio(samples, 44_100), mask, block=block, context=context, device=CPU).samples


@pytest.mark.parametrize("frames", [1, 2, HOP - 1, HOP, HOP + 1, WINDOW, 50_000])
@pytest.mark.parametrize("block", [1, 5, 512])
def test_a_mask_of_ones_returns_the_input(frames: int, block: int) -> None:
    samples = signals.noise(2.0).samples[:, :frames]
    filtered = filtered_by(lambda spectra: torch.ones(1), samples, block=block)
    assert filtered.shape == samples.shape
    np.testing.assert_allclose(filtered, samples, atol=1e-6)


def test_agrees_with_librosa() -> None:
    samples = signals.noise(2.0, channels=1).samples
    gains = np.random.default_rng(1).random(WINDOW // 2 + 1).astype(np.float32)
    filtered = filtered_by(lambda spectra: torch.from_numpy(gains).expand(spectra.shape), samples, block=9)
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

    whole = filtered_by(relative_to_neighbours, samples, block=10_000)
    in_blocks = filtered_by(relative_to_neighbours, samples, block=block, context=3)
    np.testing.assert_allclose(in_blocks, whole, atol=1e-6)
    # Without context the mark is plain: the check above can fail.
    cut = filtered_by(relative_to_neighbours, samples, block=block)
    assert np.abs(cut - whole).max() > 1e-3
