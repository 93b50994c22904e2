"""A folder as people have it: sixty good songs in all formats, and every bad file at hand; each command takes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from light import QUICKEST
from mashkit.audio.files import AUDIO_SUFFIXES, load, resample, save
from mashkit.catalog.scanning import is_sound
from mashkit.paths import path_text
from mashkit.products import MARK
from mashkit.testing import signals
from mashkit.types import Audio
from real_inputs import door, vocal

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data"
GOOD = 60
LENGTH_S = 32.0
APART_S = 36.0
SUFFIXES = (".flac", ".ogg", ".mp3", ".wav")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.songs,
    pytest.mark.skipif(not (SHARED / "songs").is_dir(), reason="needs the real songs of ../shared/data"),
]


def _recordings() -> Iterator[tuple[str, Audio]]:
    """Yield songs, and mixes of multitracks, by title."""
    for folder in sorted((SHARED / "songs").iterdir()):
        sound = next(path for path in sorted(folder.iterdir()) if path.suffix in AUDIO_SUFFIXES)
        yield folder.name, load(sound)
    for folder in sorted((SHARED / "multitracks").glob("Software*")):
        parts = [resample(load(path), signals.SAMPLE_RATE) for path in sorted(folder.glob("*.opus"))]
        mix = np.zeros((2, max(part.frames for part in parts)), np.float32)
        for part in parts:
            mix[:, : part.frames] += part.samples
        yield folder.name, Audio(mix * np.float32(0.9 / np.abs(mix).max()), signals.SAMPLE_RATE)


def _good_songs(folder: Path) -> list[Path]:
    """Excerpts of different places of real songs, none of which overlap, one format after the other."""
    written: list[Path] = []
    titles = []
    for title, audio in _recordings():
        starts = np.arange(20.0, audio.duration - LENGTH_S - 10, APART_S)
        titles += [(title, audio, float(start)) for start in starts[:6]]
    assert len(titles) >= GOOD
    for number, (title, audio, start) in enumerate(titles[:GOOD]):
        part = audio.excerpt(start, LENGTH_S)
        part = Audio(part.samples * np.float32(0.98 / max(part.peak, 0.98)), part.sample_rate)
        path = folder / title / f"{title} at {start:.0f} s{SUFFIXES[number % len(SUFFIXES)]}"
        written.append(save(path, part))
    return written


@attrs.frozen
class Folder:
    """What is in the folder.

    Parameters
    ----------
    root : Path
    good, odd : tuple of Path
        Songs: excerpts of real ones, and whole files of strange forms.
    bad : tuple of Path
        Files that cannot be used.
    causes : mapping of Path to str
        What is said of some of them, as a regular expression.
    """

    root: Path
    good: tuple[Path, ...]
    odd: tuple[Path, ...]
    bad: tuple[Path, ...]
    causes: Mapping[Path, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("real") / "music"
    for name in ("odd", "bad", "named", ".Trash-1000", "@eaDir", "ours"):
        (root / name).mkdir(parents=True)
    good = _good_songs(root)
    odd = [maker(root / "odd", LENGTH_S) for maker in door.WHOLE]
    odd += door.oddly_named(root / "named", LENGTH_S)
    odd += [maker(root / "odd") for maker in (vocal.silent_second_half, vocal.noise_for_silence, vocal.very_quiet)]
    refused = {maker: maker(root / "bad") for maker in door.REFUSED}
    # Formats that nobody keeps music in (.mat, .voc, …) are other files to a scan.
    causes = {path: door.REFUSED[maker] for maker, path in refused.items() if is_sound(path)}
    bad = [*causes, vocal.nothing_but_hiss(root / "bad")]
    short = root / "bad" / "short.wav"
    bad.append(save(short, Audio(good_part(good[0], 6.0), signals.SAMPLE_RATE)))
    (root / "bad" / "empty.mp3").touch()
    (root / "bad" / "text.flac").write_text("this is no sound")
    bad += [root / "bad" / "empty.mp3", root / "bad" / "text.flac"]
    # What must not be looked at.
    shutil.copy(good[0], root / ".Trash-1000" / f"thrown away{good[0].suffix}")
    shutil.copy(good[1], root / "@eaDir" / f"preview{good[1].suffix}")
    save(root / "ours" / "vocal.flac", signals.tone(440, LENGTH_S), comment=MARK)
    return Folder(root, tuple(good), tuple(odd), tuple(bad), causes)


def good_part(path: Path, seconds: float) -> np.ndarray:
    """Return the beginning of a file, shape (channels, frames)."""
    audio = load(path)
    return audio.excerpt(0.0, seconds).samples


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collection")


def _run(*arguments: object) -> tuple[int, dict[str, object], str]:
    """Run a command with --json; return its status, what it printed as data, and what it said."""
    command = [sys.executable, "-m", "mashkit", *map(str, arguments), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, timeout=7200, env={**os.environ, "OMP_NUM_THREADS": "1"})
    said = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in said, said[-3000:]
    return done.returncode, json.loads(done.stdout), said


def _require_named_once(folder: Folder, failures: Sequence[dict[str, str]], *, besides: Sequence[Path] = ()) -> None:
    """Every bad file is among the failures, once and with its cause, and no other file is."""
    paths = sorted(failure["path"] for failure in failures)
    assert paths == sorted(path_text(path) for path in [*folder.bad, *besides])
    for failure in failures:
        assert len(failure["error"]) > len(failure["path"]) + 10, failure
    for path, cause in folder.causes.items():
        error = next(one["error"] for one in failures if one["path"] == path_text(path))
        assert re.search(cause, error), (path, error)


def test_mash_uses_every_good_song_and_names_every_bad_one(folder: Folder, cache: Path, tmp_path: Path) -> None:
    status, told, said = _run(
        "mash", folder.root, "-o", tmp_path / "out", "--cache", cache, "--count", 60, "--top", 3, "--seed", 1, *QUICKEST
    )
    assert status == 3, said
    _require_named_once(folder, told["failures"])
    assert len(told["mashups"]) == 3
    for one in told["mashups"]:
        clips = json.loads((Path(one["folder"]) / "plan.json").read_text())["clips"]
        assert len({clip["song"] for clip in clips.values()}) >= 2
    notes = "\n".join(told["notes"])
    for passed in ("system folder", "hidden folder", "mashkit made"):
        assert passed in notes


def test_db_add_keeps_clips_of_every_good_song(folder: Folder, cache: Path) -> None:
    status, told, said = _run("db", "add", folder.root, "--db", cache, *QUICKEST)
    assert status == 3, said
    _require_named_once(folder, told["failures"])
    _, listed, _ = _run("db", "list", "--db", cache)
    sources = {clip["source"] for clip in listed["clips"]}
    passed = [note for note in told["notes"] if "passed over" in note]
    unused = [path for path in folder.good if path_text(path) not in sources]
    # Two parts of a song that repeats itself to the sample are one recording: said of each, and of no other.
    assert all(any(note.startswith(path_text(path)) for note in passed) for path in unused), unused
    assert len(unused) <= 3
    odd = [path for path in folder.odd if path_text(path) not in sources]
    assert all(any(note.startswith(path_text(path)) for note in passed) for path in odd), odd


def test_generate_draws_from_it(folder: Folder, cache: Path, tmp_path: Path) -> None:
    status, told, said = _run(
        "generate",
        folder.root,
        "--cache",
        cache,
        "--count",
        50,
        "--seed",
        3,
        "-o",
        tmp_path / "plans.jsonl",
        *QUICKEST,
    )
    assert status == 3, said
    _require_named_once(folder, told["failures"])
    assert len((tmp_path / "plans.jsonl").read_text().splitlines()) == 50


def test_analyze_says_something_of_every_good_song(folder: Folder) -> None:
    status, told, said = _run("analyze", folder.root)
    assert status == 3, said
    silent = [path for path in folder.bad if path.name == "short.wav" or "hiss" in path.name]
    loadable = [path for path in folder.bad if path not in silent]
    named = {failure["path"] for failure in told["failures"]}
    assert named >= {path_text(path) for path in loadable}
    assert {result["path"] for result in told["results"]} >= {path_text(path) for path in [*folder.good, *folder.odd]}
    found = {result["path"]: result for result in told["results"]}
    assert all(found[path_text(path)]["tempo"] for path in folder.good)


def test_separate_writes_stems_of_every_good_song(folder: Folder, tmp_path: Path) -> None:
    status, told, said = _run("separate", folder.root, "-o", tmp_path, *QUICKEST)
    assert status == 3, said
    separated = {result["path"] for result in told["results"]}
    assert separated >= {path_text(path) for path in [*folder.good, *folder.odd]}
    named = {failure["path"] for failure in told["failures"]}
    assert not named & separated
    assert named | separated == {path_text(path) for path in [*folder.good, *folder.odd, *folder.bad]}
    folders = [Path(next(iter(result["stems"].values()))).parent for result in told["results"]]
    assert len(set(folders)) == len(folders)
