"""What is written, or why not: every format's rates, disks that fill up, comments, files too large for RIFF."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mashkit.audio.files import load, require_encodable, save
from mashkit.errors import AudioFileError, OutputError
from mashkit.testing import signals
from mashkit.types import Audio

SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")
RATES = (1, 999, 7_999, 8_000, 11_025, 44_100, 48_000, 88_200, 96_000, 192_000, 200_000, 200_001, 655_350, 655_351)


def noise(sample_rate: int = 44_100, frames: int = 4_000, channels: int = 2) -> Audio:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)
    return Audio(samples, sample_rate)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("sample_rate", RATES)
def test_what_is_said_to_be_writable_is_and_the_rest_is_refused_before(
    tmp_path: Path, suffix: str, sample_rate: int
) -> None:
    path = tmp_path / f"song{suffix}"
    with contextlib.suppress(AudioFileError):
        require_encodable(path, sample_rate)
        save(path, noise(sample_rate))
        with soundfile.SoundFile(path) as file:
            assert file.samplerate == sample_rate
        return
    with pytest.raises(AudioFileError, match=f"{sample_rate:,} Hz.*resample first"):
        save(path, noise(sample_rate))
    assert not path.exists()


def test_an_encoder_that_would_end_the_process_is_not_asked(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from mashkit.audio.files import save; from mashkit.types import Audio; "
        f"save({str(tmp_path / 'x.ogg')!r}, Audio(np.zeros((2, 100), np.float32), 384_000))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot be written at 384,000 Hz" in done.stderr


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may become larger than 20 kB, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_fills_up_is_said_and_the_old_file_stays(tmp_path: Path, suffix: str, small_disk: None) -> None:
    path = tmp_path / f"song{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="File too large") as caught:
        save(path, noise(frames=200_000))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_comment_is_kept_and_changes_no_sample(tmp_path: Path, suffix: str) -> None:
    audio = signals.chord_progression(seconds=1.0)
    plain, noted = (
        save(tmp_path / f"{name}{suffix}", audio, comment=name if name == "noted" else "")
        for name in ("plain", "noted")
    )
    with soundfile.SoundFile(noted) as file:
        assert file.comment == "noted"
    with soundfile.SoundFile(plain) as file:
        assert file.comment == ""
    np.testing.assert_array_equal(load(plain).samples, load(noted).samples)


def test_more_than_riff_can_count_becomes_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashkit.audio.files._RIFF_BYTES", 10_000)
    audio = noise(frames=2_000)
    path = save(tmp_path / "long.wav", audio)
    assert path.read_bytes()[:4] == b"RF64"
    np.testing.assert_array_equal(load(path).samples, audio.samples)
    assert save(tmp_path / "short.wav", noise(frames=100)).read_bytes()[:4] == b"RIFF"
