"""Files on a disk that gets full, and folders into which one run writes at a time."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mashkit.atomicfile import allocate, append_line, writing_alone
from mashkit.errors import OutputError


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file grow beyond a size in bytes, as on a disk that gets full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, "Größe")
    with (
        files_up_to(path.stat().st_size + 3),
        pytest.raises(OutputError, match=r"cannot write .*lines: File too large"),
    ):
        append_line(path, "a second line")
    assert path.read_text(encoding="utf-8") == "Größe\n"
    append_line(path, "a third \udce9")
    assert path.read_text(encoding="utf-8") == "Größe\na third \\xe9\n"


def test_a_line_in_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        append_line(tmp_path / "none" / "lines", "one")


def test_room_is_reserved(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb+") as file:
        allocate(file, 1_000_000)
        status = (tmp_path / "file").stat()
        assert (status.st_size, status.st_blocks * 512 >= 1_000_000) == (1_000_000, True)
        with files_up_to(2_000_000), pytest.raises(OSError, match="File too large"):
            allocate(file, 3_000_000)


def test_one_run_writes_into_a_folder(tmp_path: Path) -> None:
    with writing_alone(tmp_path):
        with pytest.raises(OutputError, match=f"another run is writing into {tmp_path}"), writing_alone(tmp_path):
            pass
        with writing_alone(tmp_path / "none"):  # nothing is there yet that another run could be writing
            pass
    with writing_alone(tmp_path):
        pass
    assert not any(tmp_path.iterdir())
