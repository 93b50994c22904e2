"""Long sound is held outside of memory, and pieces join without a trace."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mashkit.audio import buffers as audiobuffer
from mashkit.audio.buffers import AudioBuffer, overlap_add, resampled, settle, weighted_sum
from mashkit.audio.files import resample
from mashkit.errors import AudioError, OutputError, UsageError
from mashkit.testing import signals
from mashkit.types import Samples


@pytest.fixture(params=["in memory", "mapped"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "mapped":
        monkeypatch.setattr(audiobuffer, "IN_MEMORY", 0)


def mapped_files() -> int:
    """Return how many nameless files of ours this process has mapped."""
    return Path("/proc/self/maps").read_text().count("(deleted)")


@pytest.mark.usefixtures("_either_way")
def test_what_was_written_becomes_audio_without_a_copy() -> None:
    truth = signals.noise(2.0).samples
    buffer = AudioBuffer(*truth.shape)
    assert not buffer.samples.any()
    for start in range(0, truth.shape[1], 10_000):
        buffer.samples[:, start : start + 10_000] = truth[:, start : start + 10_000]
        buffer.settle()
    audio = buffer.audio(44_100)
    assert audio.samples is buffer.samples
    np.testing.assert_array_equal(audio.samples, truth)
    with pytest.raises(ValueError, match="read-only"):
        audio.samples[0, 0] = 1


@pytest.mark.usefixtures("_either_way")
def test_what_is_no_sound_is_refused() -> None:
    buffer = AudioBuffer(1, 10)
    buffer.samples[0, 3] = np.nan
    with pytest.raises(AudioError, match="1 of 10 samples"):
        buffer.audio(44_100)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_long_sound_lies_in_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frames = audiobuffer.IN_MEMORY // 8
    short, before = AudioBuffer(2, frames), mapped_files()
    assert not short.samples.any()
    long = AudioBuffer(2, frames + 1)
    assert mapped_files() == before + 1
    assert list(tmp_path.iterdir()) == []
    audio = long.audio(44_100)
    del long
    gc.collect()
    assert mapped_files() == before + 1
    assert audio.peak == 0
    del audio
    gc.collect()
    assert mapped_files() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_settled_samples_take_no_memory() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    frames = audiobuffer.IN_MEMORY // 8 + 1
    buffer = AudioBuffer(2, frames)
    before = resident()
    for start in range(0, frames, 1 << 20):
        buffer.samples[:, start : start + (1 << 20)] = 0.5
        buffer.settle()
    assert resident() - before < audiobuffer.IN_MEMORY / 4
    audio = buffer.audio(44_100)
    assert resident() - before < audiobuffer.IN_MEMORY / 4
    assert float(audio.samples.sum(dtype=np.float64)) == frames
    assert resident() - before > audiobuffer.IN_MEMORY / 2
    settle(audio.samples)
    assert resident() - before < audiobuffer.IN_MEMORY / 4
    assert audio.samples[1, -1] == 0.5


def test_what_others_mapped_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "samples").write_bytes(bytes(4096))
    theirs = np.memmap(tmp_path / "samples", np.float32, "c", shape=(1, 1024))
    theirs[:] = 1  # in memory alone: copy on write
    settle(theirs)
    assert theirs.sum() == 1024


def test_no_room_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OutputError, match="no temporary file of 8000000000") as raised:
        AudioBuffer(2, 10**18)
    assert raised.value.problem.startswith(str(tmp_path))


# ----------------------------------------------------------------------------------------------------- overlap-add
def cut(signal: Samples, length: int, stride: int) -> Iterator[Samples]:
    for start in range(0, signal.shape[-1], stride):
        yield signal[..., start : start + length]


@pytest.mark.parametrize("stride", [1, 3, 7, 10])
@pytest.mark.parametrize("frames", [1, 9, 10, 11, 100])
def test_pieces_of_a_signal_join_to_it(stride: int, frames: int) -> None:
    signal = signals.noise(1.0).samples[:, :frames]
    weight = np.arange(1, 11, dtype=np.float32)
    joined = np.concatenate(list(overlap_add(cut(signal, 10, stride), weight, stride)), axis=-1)
    np.testing.assert_allclose(joined, signal, rtol=1e-6)


def test_where_pieces_overlap_their_weights_decide() -> None:
    pieces = [np.full(4, value, np.float32) for value in (0.0, 4.0)]
    joined = np.concatenate(list(overlap_add(pieces, np.array([1, 3, 3, 1], np.float32), 2)))
    np.testing.assert_allclose(joined, [0, 0, 1, 3, 4, 4])


def test_no_pieces_give_nothing() -> None:
    assert list(overlap_add([], np.ones(4, np.float32), 2)) == []


@pytest.mark.parametrize("stride", [0, 5])
def test_a_stride_that_leaves_gaps_is_refused(stride: int) -> None:
    with pytest.raises(UsageError, match="stride"):
        list(overlap_add([], np.ones(4, np.float32), stride))


# ------------------------------------------------------------------------------------------------------ resampling
@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(("source", "target"), [(48_000, 44_100), (8_000, 44_100), (44_100, 22_050)])
def test_resampling_in_pieces_is_resampling(source: int, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiobuffer, "_BLOCK", 10_000)
    audio = signals.noise(2.345, sample_rate=source)
    whole, pieces = resample(audio, target).samples, resampled(audio, target).samples
    assert abs(whole.shape[1] - pieces.shape[1]) <= 1
    frames = min(whole.shape[1], pieces.shape[1])
    np.testing.assert_allclose(pieces[:, :frames], whole[:, :frames], atol=1e-6)


def test_length_of_what_is_resampled_can_be_asked_for() -> None:
    audio = signals.noise(0.5, sample_rate=48_000)
    longer, shorter = (resampled(audio, 44_100, frames=frames).samples for frames in (22_060, 22_000))
    assert not longer[:, 22_051:].any()
    np.testing.assert_array_equal(longer[:, :22_000], shorter)


def test_what_has_that_rate_stays_what_it_is() -> None:
    audio = signals.noise(0.1)
    assert resampled(audio, audio.sample_rate) is audio


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="sample rate"):
        resampled(signals.noise(0.1), 0)


# ------------------------------------------------------------------------------------------------------------ sums
@pytest.mark.usefixtures("_either_way")
def test_a_sum_of_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiobuffer, "_BLOCK", 10_000)
    one, other = (signals.noise(0.7, seed=seed) for seed in (0, 1))
    total = weighted_sum([(1, one), (-0.5, other), (1, other)])
    np.testing.assert_allclose(total.samples, one.samples + other.samples / 2, atol=1e-7)
    assert total.sample_rate == one.sample_rate


@pytest.mark.parametrize("seconds", [[], [0.1, 0.2]])
def test_a_sum_of_nothing_or_of_different_lengths_is_refused(seconds: list[float]) -> None:
    with pytest.raises(UsageError, match="sounds to add"):
        weighted_sum([(1, signals.noise(length)) for length in seconds])
