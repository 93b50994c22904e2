"""The percussion mask: librosa's, and what it does to a tone and a click."""

import librosa
import numpy as np
import pytest
import torch

from mashkit.testing import signals
from mashkit.types import Audio, Samples
from mashkit_spleeter_torch.masking import apply_mask
from mashkit_spleeter_torch.percussion import CONTEXT, FREQUENCY_KERNEL, TIME_KERNEL, percussion_mask


def percussion(samples: Samples) -> Samples:
    audio = Audio(samples, 44_100)
    return apply_mask(audio, percussion_mask, block=64, context=CONTEXT, device=torch.device("cpu")).samples


def energy(samples: Samples) -> float:
    return float(np.sum(np.square(samples, dtype=np.float64)))


@pytest.mark.parametrize("frames", [5, 22, 90])  # fewer than the kernel's 23 too
def test_agrees_with_librosa(frames: int) -> None:
    generator = np.random.default_rng(frames)
    spectra = generator.standard_normal((1, frames, 60)) + 1j * generator.standard_normal((1, frames, 60))
    mask = percussion_mask(torch.from_numpy(spectra.astype(np.complex64)))
    _, expected = librosa.decompose.hpss(
        np.abs(spectra[0].T), kernel_size=(TIME_KERNEL, FREQUENCY_KERNEL), power=2.0, mask=True
    )
    np.testing.assert_allclose(mask[0].numpy(), expected.T, atol=1e-5)


def test_where_there_is_nothing_the_mask_is_one_half() -> None:
    assert torch.all(percussion_mask(torch.zeros(2, 30, 40, dtype=torch.complex64)) == 0.5)


def test_loudness_does_not_change_the_mask() -> None:
    samples = signals.noise(1.0).samples
    assert np.array_equal(percussion(samples * np.float32(0.25)), percussion(samples) * np.float32(0.25))


def test_a_tone_is_sustained() -> None:
    tone = signals.tone(440.0, 3.0).samples
    middle = slice(44_100, -44_100)  # where it starts and stops it is a click too
    assert energy(percussion(tone)[:, middle]) < 1e-3 * energy(tone[:, middle])


def test_clicks_are_percussion() -> None:
    clicks = signals.click_train(signals.click_times(4.0, 90.0), 4.0).samples
    assert energy(clicks - percussion(clicks)) < 0.03 * energy(clicks)


def test_the_stereo_image_stays() -> None:
    one = signals.band(bars=1)[0].stems["drums"].samples[:1]
    panned = np.concatenate([one, 0.5 * one])
    split = percussion(panned)
    np.testing.assert_allclose(split[1], 0.5 * split[0], atol=1e-6)
