"""The separator keeps its contract, computes what Spleeter computes, and separates real music."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import torch

from mashkit.audio.files import resample
from mashkit.bench.separator_metrics import sdr
from mashkit.errors import OptionError
from mashkit.interfaces import Separator
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio, Samples
from mashkit_spleeter_torch.masking import HOP, OVERLAP, WINDOW, analysed
from mashkit_spleeter_torch.percussion import CONTEXT
from mashkit_spleeter_torch.separator import VocalMask
from mashkit_spleeter_torch.unet import FRAMES
from mashkit_spleeter_torch.weights import networks

SEGMENT = FRAMES * HOP
"""Samples from one of Spleeter's segments to the next."""

LEAD = WINDOW
"""Samples by which a segment's first frame begins before the segment's own."""


class TestSpleeterTorch(SeparatorContract):
    component = "spleeter-torch"


def create(**options: Any) -> Separator:
    component = Registry().create("separator", "spleeter-torch", options)
    assert isinstance(component, Separator)
    return component


@pytest.fixture(scope="module")
def song() -> Audio:
    """A voice with vibrato and two formants, a chord and noise hits: 13 s, so that it crosses a segment's end."""
    time = np.arange(13 * 44_100) / 44_100
    pitch = 220 * 2 ** (np.floor(time / 0.4) % 5 / 6 + 0.03 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / 44_100
    voice = np.zeros_like(time)
    for partial in range(1, 14):
        formants = np.exp(-(((partial * pitch - 700) / 300) ** 2)) + 0.6 * np.exp(
            -(((partial * pitch - 1800) / 500) ** 2)
        )
        voice += np.sin(partial * phase) * formants
    chord = sum(np.sin(2 * np.pi * frequency * time) for frequency in (110.0, 164.8, 277.2, 440.0))
    hits = np.random.default_rng(0).standard_normal((2, len(time))) * np.exp(-(time % 0.5) / 0.03)
    return Audio(0.2 * voice + 0.05 * chord + 0.15 * hits, 44_100)


# ------------------------------------------------------------------------------------------------------- Spleeter
def test_vocals_are_those_of_spleeter(song: Audio) -> None:
    # Every 997th sample of what spleeter 2.4.2 (TensorFlow 2.12.1, its 2stems model) gives for this very signal:
    # Separator("spleeter:2stems", multiprocess=False).separate(song.samples.T)["vocals"].T[:, ::997].
    expected = np.load(Path(__file__).with_name("spleeter_2.4.2_vocals.npy"))
    vocals = create(mask_extension="zeros").separate(song).stems["vocals"].samples[:, ::997]
    assert sdr(expected, vocals) > 90


def test_segments_know_nothing_of_each_other(song: Audio) -> None:
    alone = song.excerpt(0, 3.0)
    # A segment before it, silent where the excerpt's own first frames listen; whatever else it holds.
    before = np.pad(signals.noise(13.0).samples[:, : SEGMENT - LEAD], ((0, 0), (0, LEAD)))
    later = Audio(np.concatenate([before, alone.samples], axis=1), 44_100)
    now, then = (create().separate(audio).stems for audio in (alone, later))
    np.testing.assert_allclose(then["vocals"].samples[:, SEGMENT:], now["vocals"].samples, atol=1e-6)
    # The drums' median looks back over the seam.
    settled = (CONTEXT + OVERLAP) * HOP
    np.testing.assert_allclose(
        then["drums"].samples[:, SEGMENT + settled :], now["drums"].samples[:, settled:], atol=1e-5
    )


def test_the_end_of_a_song_does_not_change_its_beginning(song: Audio) -> None:
    whole, part = (create().separate(audio).stems for audio in (song, song.excerpt(0, 12.5)))
    own = SEGMENT - LEAD  # where the first segment alone decides
    assert np.array_equal(whole["vocals"].samples[:, :own], part["vocals"].samples[:, :own])
    settled = own - (CONTEXT + OVERLAP) * HOP
    assert np.array_equal(whole["drums"].samples[:, :settled], part["drums"].samples[:, :settled])


@pytest.mark.parametrize("mask_extension", ["average", "zeros"])
def test_masks_of_a_batch_are_those_of_its_items(song: Audio, mask_extension: Literal["average", "zeros"]) -> None:
    mask = VocalMask(*networks(torch.device("cpu")), mask_extension=mask_extension)
    samples = torch.from_numpy(song.samples[:, : (FRAMES - 1) * HOP + WINDOW].copy())
    spectra = analysed(torch.stack([samples, samples.flip(1)]), torch.hann_window(WINDOW, periodic=True))
    with torch.no_grad():
        masks = mask.of_batch(spectra)
        alone = torch.stack([mask(one) for one in spectra])
    assert masks.shape == spectra.shape
    torch.testing.assert_close(masks, alone, atol=1e-5, rtol=0)
    assert float(masks.max()) > 0.5


# -------------------------------------------------------------------------------------------------- formats, options
def test_another_rate_gives_the_same_stems(song: Audio) -> None:
    # Without what no resampling keeps, just below 22.05 kHz.
    excerpt = resample(resample(song.excerpt(0, 3.0), 32_000), 44_100)
    elsewhere = resample(excerpt, 48_000)
    here, there = (create().separate(mix).stems for mix in (excerpt, elsewhere))
    for name in here:
        again = resample(there[name], 44_100).samples
        assert sdr(here[name].samples, again[:, : excerpt.frames]) > 30, name
    np.testing.assert_allclose(sum(stem.samples for stem in there.values()), elsewhere.samples, atol=1e-6)


def test_mono_is_heard_as_two_equal_channels(song: Audio) -> None:
    left = song.excerpt(0, 3.0).samples[:1]
    mono, stereo = (
        create().separate(Audio(samples, 44_100)).stems["vocals"].samples
        for samples in (left, np.repeat(left, 2, axis=0))
    )
    np.testing.assert_allclose(mono[0], stereo.mean(axis=0), atol=1e-6)


def test_silence_gives_exact_silence() -> None:
    for stem in create().separate(signals.silence(1.0, sample_rate=48_000)).stems.values():
        assert stem.peak == 0.0


@pytest.mark.parametrize(("mask_extension", "heard"), [("zeros", False), ("average", True)])
def test_mask_extension(song: Audio, mask_extension: str, heard: bool) -> None:
    excerpt = song.excerpt(0, 3.0)
    vocals = create(mask_extension=mask_extension).separate(excerpt).stems["vocals"].samples
    spectrum = np.abs(np.fft.rfft(vocals * np.hanning(vocals.shape[1])))
    above = round(11_100 * excerpt.duration)  # Hz; a little beyond bin 1024, for the window's sake
    assert (np.sum(spectrum[:, above:] ** 2) > 1e-5 * np.sum(spectrum**2)) == heard


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing_and_is_put_back(song: Audio) -> None:
    # Two segments, the last one short, and the blocks of the median filter.
    due = create(threads=1).separate(song).stems
    before = torch.get_num_threads()
    try:
        for threads in (2, 3, 4, 6):
            torch.set_num_threads(threads)  # as the local executor does for its processes
            found = create().separate(song).stems
            assert torch.get_num_threads() == threads
            for name in due:
                assert np.array_equal(due[name].samples, found[name].samples), (threads, name)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "options",
    [
        {"device": "gpu"},
        {"device": "cpu:1"},
        {"device": None},
        {"threads": 0},
        {"threads": 1.5},
        {"mask_extension": "one"},
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        create(**options)


def test_a_device_that_is_not_there_is_refused() -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(OptionError, match=absent) as raised:
        create(device=absent)
    assert raised.value.fix is not None
    assert '"cpu"' in raised.value.fix


# ------------------------------------------------------------------------------------------------------ real music
EXCERPTS = [
    # Where, seconds, and the least gain in SDR over taking the mix for the stem, dB: vocals, drums, bass + other.
    ("MusicDelta - Hendrix", 0.0, 12.0, 6.0, 6.0),
    ("MusicDelta - Reggae", 0.0, 14.0, 5.0, 6.0),
    ("Software-Entwicklungskit - Lithium", 110.0, 6.0, 4.0, 2.0),
]


@pytest.mark.parametrize(("name", "start", "vocals", "drums", "other"), EXCERPTS)
def test_real_music_is_separated(
    shared_data: Path, name: str, start: float, vocals: float, drums: float, other: float
) -> None:
    truth: dict[str, Samples] = {}
    for path in sorted((shared_data / "multitracks" / name).iterdir()):
        if path.stem in ("vocals", "drums", "bass", "other"):
            rate = soundfile.info(path).samplerate
            samples, _ = soundfile.read(path, round(11 * rate), round(start * rate), dtype="float32", always_2d=True)
            truth[path.stem] = samples.T
    truth["other"] = truth["other"] + truth.pop("bass")
    mix = np.sum(list(truth.values()), axis=0)
    stems = create().separate(Audio(mix, rate)).stems
    gains = {stem: sdr(truth[stem], stems[stem].samples) - sdr(truth[stem], mix) for stem in truth}
    assert gains["vocals"] > vocals
    assert gains["drums"] > drums
    assert gains["other"] > other
