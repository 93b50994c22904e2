"""What all tests share: a cache of their own, so that no test depends on what the user computed before."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from mashkit.audiofile import save
from mashkit.testing import signals
from mashkit.types import Audio, Key

ROOT = Path(__file__).parents[1]

# The same examples in every run, so that a change is judged by what it does and not by chance. Other examples every
# time, to find new faults: HYPOTHESIS_PROFILE=chance.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("chance", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A job in the background of a script ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the session, all its processes: the demo songs are separated and analysed once."""
    folder = tmp_path_factory.mktemp("cache")
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.getbasetemp().parent / "cache"
        folder.mkdir(exist_ok=True)
    before = os.environ.get("MASHKIT_CACHE")
    os.environ["MASHKIT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MASHKIT_CACHE"]
    else:
        os.environ["MASHKIT_CACHE"] = before


@pytest.fixture(scope="session")
def demo_songs() -> Path:
    """The six demo songs, with their labels."""
    return ROOT / "examples" / "songs"


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
