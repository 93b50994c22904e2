"""Long sound in pieces is what it would be in one: shown on a filter that hears segments as Spleeter's networks do."""

import numpy as np
import pytest
import torch

from mashkit.remote import progress
from mashkit.testing import signals
from mashkit.types import Audio, Samples
from mashkit_spleeter import pieces
from mashkit_spleeter.pieces import SEGMENT, separate

masking = pytest.importorskip("mashkit_spleeter_torch.masking", reason="its frames are Spleeter's")

FRAMES = SEGMENT // masking.HOP


class Segmented:
    """Gives "vocals", whose mask depends on all of a segment, as a network's does, and is another where it is quiet."""

    def separate(self, waveform: Samples) -> dict[str, Samples]:
        """Return stems of shape (frames, 2)."""
        assert waveform.shape[1] == 2
        assert waveform.flags.c_contiguous
        audio = Audio(waveform.T, 44_100)
        vocals = masking.apply_mask(audio, self.mask, block=FRAMES, device=torch.device("cpu")).samples.T
        return {"vocals": vocals, "accompaniment": waveform - vocals}

    @staticmethod
    def mask(spectra: torch.Tensor) -> torch.Tensor:
        power = spectra.abs().square()
        return power / (power + power.mean() * torch.arange(1, power.shape[1] + 1)[:, None] / 100)


def song(seconds: float, channels: int = 2) -> Audio:
    noise = signals.noise(seconds, channels=channels)
    swell = np.sin(np.arange(noise.frames) / 44_100, dtype=np.float32)
    return Audio(noise.samples * swell, 44_100)


@pytest.mark.parametrize("segments", [2.5, 3.0, 4.0, 4.1, 5.0, 6.9])
def test_pieces_join_to_the_whole(segments: float, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = song(segments * SEGMENT / 44_100)
    whole = Segmented().separate(np.ascontiguousarray(mix.samples.T))
    monkeypatch.setattr(pieces, "PIECE_SEGMENTS", 3)
    for name, buffer in separate(Segmented(), mix, ["vocals", "accompaniment"]).items():
        np.testing.assert_allclose(buffer.samples, whole[name].T, atol=1e-6, err_msg=name)


def test_without_the_fade_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    # The check above can fail: heard from its first sample on, a piece is wrong.
    mix = song(4 * SEGMENT / 44_100)
    whole = Segmented().separate(np.ascontiguousarray(mix.samples.T))
    monkeypatch.setattr(pieces, "PIECE_SEGMENTS", 3)
    monkeypatch.setattr(pieces, "_weight", lambda frames, *, first, last: np.full(frames, 0.5, np.float32))
    stems = separate(Segmented(), mix, ["vocals"])
    assert np.abs(stems["vocals"].samples - whole["vocals"].T).max() > 1e-3


def test_mono_is_two_equal_channels() -> None:
    mix = song(1.0, channels=1)
    stems = separate(Segmented(), mix, ["vocals", "accompaniment"])
    total = sum(buffer.samples for buffer in stems.values())
    np.testing.assert_allclose(total, mix.samples, atol=1e-6)


def test_pieces_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_SEGMENTS", 3)
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(progress, "_listeners", [lambda event: heard.append((event.done, event.total))])
    separate(Segmented(), song(4.5 * SEGMENT / 44_100), ["vocals"])
    assert heard == [(1, 3), (2, 3), (3, 3)]
    separate(Segmented(), song(1.0), ["vocals"])
    assert len(heard) == 3
