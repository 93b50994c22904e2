"""Locks of files: one holder at a time, whatever becomes of it."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mashkit.errors import MashkitError, OutputError
from mashkit.locks import held, held_folder, lock

TAKEN = MashkitError("somebody else has it", "wait")
HOLDER = """
import sys
import threading
from pathlib import Path
from mashkit.errors import MashkitError
from mashkit.locks import lock
held = lock(Path(sys.argv[1]), MashkitError("taken"), forks=sys.argv[2] == "True")
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: Path, forks: bool) -> subprocess.Popen[str]:
    """Return a process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(forks)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize("killed", [True, False])
def test_a_lock_has_one_holder_and_ends_with_it(tmp_path: Path, forks: bool, killed: bool) -> None:
    path = tmp_path / "lock"
    path.write_text("not ours")
    with holder(path, forks) as other:
        with pytest.raises(MashkitError) as raised:
            lock(path, TAKEN, forks=forks)
        assert raised.value is TAKEN
        if killed:
            other.kill()
        else:
            other.communicate()
    with lock(path, TAKEN, forks=forks):
        assert path.read_text() == "not ours"


def test_within_a_process_and_over_a_fork(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, TAKEN), pytest.raises(MashkitError, match="somebody else"):
        lock(path, TAKEN)
    for forks in (True, False):
        held = lock(path, TAKEN, forks=forks)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # it has the file open until it is told to end
            os.read(read, 1)
            os._exit(0)
        held.close()
        if forks:
            with pytest.raises(MashkitError, match="somebody else"):
                lock(path, TAKEN)
        else:
            lock(path, TAKEN, forks=False).close()
        os.write(write, b"x")
        os.waitpid(child, 0)
        for end in (read, write):
            os.close(end)


def test_what_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        lock(tmp_path / "no folder" / "lock", TAKEN)
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with pytest.raises(MashkitError, match="use Linux or macOS"):
        lock(tmp_path / "lock", TAKEN)


def test_a_folder_is_waited_for(tmp_path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with held_folder(tmp_path, TAKEN, wait_s=60.0):
            got.set()

    with concurrent.futures.ThreadPoolExecutor() as threads:
        with held_folder(tmp_path, TAKEN):
            waiting = threads.submit(wait)
            assert not got.wait(0.2)
        waiting.result(timeout=60)
    assert got.is_set()


def test_a_folder_is_held_without_a_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_folder(tmp_path, TAKEN), pytest.raises(MashkitError, match="somebody else"), held_folder(tmp_path, TAKEN):
        pass
    with held_folder(tmp_path, TAKEN):
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows: there is no lock, and the work goes on
    with held_folder(tmp_path, TAKEN), held_folder(tmp_path, TAKEN):
        pass


def test_held_for_a_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, TAKEN), pytest.raises(MashkitError, match="somebody else"), held(path, TAKEN):
        pass
    with held(path, TAKEN):
        pass
    with pytest.raises(OutputError, match=r"lock cannot be opened: No such file.*\(check its permissions\)"):  # noqa: SIM117
        with held(tmp_path / "no folder" / "lock", TAKEN):
            pass
