"""What the tests of the core share: songs, collections, and the same examples in every run."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from light import distribution
from mashkit.audio.files import load, save
from mashkit.builtin.local import LocalExecutor
from mashkit.interfaces.executor import Pool
from mashkit.testing import signals
from mashkit.types import Audio, Key

ROOT = Path(__file__).parents[1]

# The same examples in every run, so that a change is judged by what it does and not by chance. Other examples every
# time, to find new faults: HYPOTHESIS_PROFILE=chance.
# How long an example may take is no test: on a busy machine any takes long.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, database=None, **UNTIMED)
settings.register_profile("chance", derandomize=False, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A job in the background of a script ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def demo_songs() -> Path:
    """The six demo songs, with their labels."""
    return ROOT / "examples" / "songs"


@pytest.fixture(scope="session")
def short_songs(demo_songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 s of each of four demo songs: one clip a song, of which 17 matched mashups can be made."""
    folder = tmp_path_factory.mktemp("short") / "songs"
    for name in ("harbour-lights", "mango-season", "pocket-change", "slow-river"):
        save(folder / f"{name}.ogg", load(demo_songs / f"{name}.ogg").excerpt(4.0, 26.0))
        about = json.loads((demo_songs / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps({key: about[key] for key in ("title", "licence")}))
    return folder


@pytest.fixture(scope="session", autouse=True)
def players_rate() -> Iterator[int]:
    """Encode the players of pages at 8 kHz, because at their own rate it takes half of the time of a short mashup.

    The value is their own rate, for the tests of the sound.
    """
    page = importlib.import_module("mashkit.report.page")
    own: int = page.PLAYER_RATE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "PLAYER_RATE", 8000)
        yield own


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the separator "thirds" and the analyzer "grid" of light.py, for other processes too."""
    monkeypatch.syspath_prepend(distribution(tmp_path / "light"))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the local executor start no process where a test names no number of jobs: each would import everything."""
    pool = LocalExecutor._pool

    def _pool(executor: LocalExecutor) -> Pool:
        return pool(attrs.evolve(executor, jobs=0) if executor.jobs is None else executor)

    monkeypatch.setattr(LocalExecutor, "_pool", _pool)


@pytest.fixture(scope="session")
def collections_on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small collections of every kind docs/collections.md describes, of one song of 20 bars at 120 BPM in A minor."""
    root = tmp_path_factory.mktemp("collections")
    stems, truth = signals.band(Key(9, "minor"), tempo=120.0, bars=20, seed=3)
    parts = {name: Audio(np.float32(0.4) * audio.samples, audio.sample_rate) for name, audio in stems.stems.items()}
    mix = Audio(np.sum([part.samples for part in parts.values()], axis=0, dtype=np.float32), signals.SAMPLE_RATE)
    about = {"title": "Tune", "artist": "Band", "licence": "CC0-1.0", "key": "A minor", "bpm": 120}
    assert truth.beats is not None
    beats = [(moment, index % 4 + 1, index // 4 + 1) for index, moment in enumerate(truth.beats.tolist())]

    song = root / "multitracks" / "Band - Tune"
    for name, part in parts.items():
        save(song / f"{name}.flac", part)
    save(song / "mixture.flac", mix)
    (song / "song.json").write_text(json.dumps(about))
    (song / "mixture.beats").write_text("".join(f"{moment:.6f}\t{place}\n" for moment, place, _ in beats))

    song = root / "ayumix" / "Band - Tune"
    save(song / "vocal.flac", parts["vocals"])
    save(song / "original.flac", mix)
    (song / "chorus.txt").write_text("8.25\t36.25\tchorus\n")

    dataset = root / "harmonixset" / "dataset"
    for folder in ("beats_and_downbeats", "segments"):
        (dataset / folder).mkdir(parents=True)
    lines = (f"{moment:.6f}\t{place}\t{bar}\n" for moment, place, bar in beats)
    (dataset / "beats_and_downbeats" / "0001_tune.txt").write_text("".join(lines))
    (dataset / "segments" / "0001_tune.txt").write_text("0.0 intro\n4.25 verse\n20.25 chorus2\n40.0 end\n")
    (dataset / "metadata.csv").write_text(
        "File,Title,Artist,Release,Duration,BPM,MusicBrainz Id\n"
        f'0001_tune,"Tune, Part 1",Band,,{mix.duration:.3f},120,0408655f\n'
        "0002_other,Other,Band,,200,90,\n"
    )
    save(root / "recordings" / "0001_tune.flac", mix)
    save(root / "elsewhere" / "tune.flac", mix)
    (root / "index.csv").write_text("File,path\n0001_tune,elsewhere/tune.flac\n")
    save(root / "previews" / "tune.flac", mix.excerpt(2.0, 30.0))
    return root
