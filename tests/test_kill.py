"""kill -9 at any moment: a song is in the database whole or not at all, and the next run goes on from there."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mashkit.audio.files import save
from mashkit.catalog.database import MashupDB
from mashkit.catalog.upkeep import content_digest, verify
from mashkit.testing import signals
from mashkit.workers.processes import family

KILLS = 60
SONGS = 10  # a log holds a line for each of so many

PLUGIN = """
import attrs, numpy as np
from mashkit import Analysis, Analyzer, Audio, ComponentInfo, Key, Separator, StemSet, hookimpl

SEPARATOR = ComponentInfo(name="thirds", target="mashkit_light:Thirds", summary="a third of the mix to each stem",
                          provides=["vocals", "drums", "other"], code_license="MIT")
ANALYZER = ComponentInfo(name="grid", target="mashkit_light:Grid", summary="bars of four at 120",
                         provides=["key", "tempo", "beats", "downbeats"], code_license="MIT")

@hookimpl
def mashkit_register_separators():
    return [SEPARATOR]

@hookimpl
def mashkit_register_analyzers():
    return [ANALYZER]

@attrs.define(kw_only=True, eq=False)
class Thirds(Separator):
    info = SEPARATOR
    def _separate(self, mix):
        third = Audio(mix.samples / np.float32(3), mix.sample_rate)
        return StemSet(dict.fromkeys(("vocals", "drums", "other"), third))

@attrs.define(kw_only=True, eq=False)
class Grid(Analyzer):
    info = ANALYZER
    def _analyze(self, mix):
        beats = np.arange(0.3, mix.duration, 0.5)
        return Analysis(key=Key(0, "major"), tempo=120.0, beats=beats, downbeats=beats[::4])
"""


def install_plugin(folder: Path) -> None:
    """Write an importable plugin with a light separator and analyzer, for other processes too."""
    info = folder / "mashkit_light-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "mashkit_light.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mashkit_light\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mashkit]\nlight = mashkit_light\n")


def start(root: Path, songs: Path, plugin: Path, log: Path) -> subprocess.Popen[bytes]:
    arguments = ["db", "add", songs, "--db", root, "--separator", "thirds", "--analyzer", "grid", "--jobs", "2"]
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; from mashkit.cli import main; sys.exit(main())", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(plugin), "MASHKIT_PLUGINS": "mashkit_light", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def finished(log: Path) -> list[str]:
    """Return the songs a log says are done."""
    return re.findall(r"catalog \d+/\d+ (?:done|cached): .*?(\d+)\.flac", log.read_text(errors="replace"))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_kill_9_at_random_moments_loses_at_most_what_was_in_flight(tmp_path: Path) -> None:
    songs, plugin, log = tmp_path / "songs", tmp_path / "plugin", tmp_path / "log"
    install_plugin(plugin)
    for index in range(SONGS):
        save(songs / f"{index}.flac", signals.tone(220.0 + 20 * index, 26.0 + 0.1 * index, amplitude=0.3))
    assert start(tmp_path / "whole", songs, plugin, log).wait(300) == 0
    with MashupDB(tmp_path / "whole", write=False) as database:
        whole = content_digest(database)
        assert len(database) == SONGS
    moments = random.Random(1)  # noqa: S311 — when to kill is no secret
    kills = completed = caught_at_work = 0
    root, kept = tmp_path / "db-0", 0
    while kills < KILLS:
        process = start(root, songs, plugin, log)
        # When so many songs are done, and a moment later: between two, within any. Now and then never.
        after = SONGS + 1 if moments.random() < 0.2 else moments.randrange(-1, SONGS)
        while process.poll() is None and len(finished(log)) < after:
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 1.0) if process.poll() is None else 0.0)
        status = process.poll()
        if status is None:
            workers = family(process.pid)[1:]
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            deadline = time.monotonic() + 10
            while any(map(is_running, workers)):
                assert time.monotonic() < deadline, "workers outlive the process that started them"
                time.sleep(0.05)
        if not (root / "index.sqlite").exists():
            continue  # killed before it had begun
        with MashupDB(root) as database:
            assert not [finding for finding in verify(database) if not finding.harmless]
            names = {title for (title,) in database.rows("SELECT title FROM songs JOIN clips ON song = songs.number")}
            # What the log calls done is there, and so is what was there before.
            assert set(finished(log)) <= names
            assert len(names) >= kept
            caught_at_work += kept < len(names) < SONGS
            kept = len(names)
            if status == 0:
                completed += 1
                assert content_digest(database) == whole
                root, kept = tmp_path / f"db-{completed}", 0
    assert completed >= 1
    assert caught_at_work >= 10
