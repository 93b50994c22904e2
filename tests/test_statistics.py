"""The statistics of a database, against counting by hand, and the page that shows them."""

from __future__ import annotations

import html.parser
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import mashkit as mk
from mashkit.audio.files import save
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog import Adder, MashupDB
from mashkit.catalog.songs import describe_song
from mashkit.catalog.upkeep import edit
from mashkit.cli import main
from mashkit.interfaces import Analyzer, Separator
from mashkit.report import statistics as collecting
from mashkit.report.collection import page
from mashkit.report.statistics import DECADES, statistics
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Clip, Key, Role, StemSet

pytestmark = pytest.mark.whole  # of a database of three minutes of sound

FACTS: list[tuple[Key | None, float | None]] = [
    (Key(0, "major"), 100.0), (Key(9, "minor"), 104.0), (Key(2, "major"), 95.0), (Key(6, "major"), 118.0),
    (Key(0, "major"), 203.0), (None, 100.0), (Key(3, "minor"), 101.0),
]  # fmt: skip
"""Of songs that last 25, 26, … s."""


@attrs.define(kw_only=True, eq=False)
class Lengths(Analyzer):
    """Knows songs by how long they last."""

    info = mk.ComponentInfo(
        name="lengths", target="x:X", summary="s", provides=["key", "tempo", "beats", "downbeats"], code_license="MIT"
    )

    def _analyze(self, mix: Audio) -> Analysis:
        key, tempo = FACTS[round(mix.duration) - 25]
        beats = np.arange(0, mix.duration, 60 / (tempo or 100))
        return Analysis(key=key, tempo=tempo, beats=beats, downbeats=beats[:1])


@attrs.define(kw_only=True, eq=False)
class Muting(Separator):
    """Leaves no drums in the song of 27 s."""

    info = mk.ComponentInfo(
        name="muting", target="x:X", summary="s", provides=["vocals", "drums", "other"], code_license="MIT"
    )

    def _separate(self, mix: Audio) -> StemSet:
        gains = {"vocals": 0.5, "drums": 0.0 if round(mix.duration) == 27 else 0.3, "other": 0.4}
        return StemSet({name: Audio(mix.samples * np.float32(gain), 44_100) for name, gain in gains.items()})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> MashupDB:
    folder = tmp_path_factory.mktemp("collection")
    songs = [
        save(folder / f"{title}.flac", signals.tone(220.0 * 2 ** (index / 12), 25.0 + index))
        for index, title in enumerate(["a", "b", "c", "d", "<script>alert(1)", "f", "g"])
    ]
    (folder / "b.json").write_text('{"licence": "CC0-1.0"}')
    database = MashupDB(folder / "database")
    assert all(added.error is None for added in Adder(database, Muting(), Lengths()).add(map_songs(songs)))
    return database


def map_songs(paths: list[Path]) -> list[Any]:
    return [describe_song(path) for path in paths]


@pytest.fixture(scope="module")
def found(database: MashupDB) -> dict[str, Any]:
    return statistics(database)


def test_totals(database: MashupDB, found: dict[str, Any]) -> None:
    clips = list(database.table())
    totals = found["totals"]
    assert (totals["songs"], totals["clips"]) == (len(FACTS), len(clips)) == (7, 7)
    assert totals["clips_s"] == pytest.approx(sum(clip.duration for clip in clips))
    assert totals["files_bytes"] == sum(path.stat().st_size for path in database.objects.files())
    assert {one["name"]: one["clips"] for one in found["licences"]} == {"CC0-1.0": 1, "unknown": 6}
    assert found["unknown"] == {"key": 1, "tempo": 0, "downbeats": 0}
    assert [(one["kind"], one["description"]["name"], one["clips"]) for one in found["components"]] == [
        ("separator", "muting", 7), ("analyzer", "lengths", 7),
    ]  # fmt: skip
    assert found["activity"]["percussion"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 6]
    json.dumps(found, allow_nan=False)


def test_each_clip_is_in_its_field_of_the_map(found: dict[str, Any]) -> None:
    edges, counts = found["map"]["tempo_edges"], {mode: np.array(found["map"][mode]) for mode in ("major", "minor")}
    known = [(key, tempo) for key, tempo in FACTS if key is not None and tempo is not None]
    for key, tempo in known:
        column = max(index for index, edge in enumerate(edges) if edge <= tempo)
        assert counts[key.mode][key.relative_major_tonic, column] >= 1
    assert sum(int(one.sum()) for one in counts.values()) == len(known)


# ------------------------------------------------------------------------------------- candidates, counted by hand
def fits(seed: Clip, other: Clip, role: Role, condition: str, *, mismatch: str) -> bool:
    if other.song == seed.song or other.analysis.key is None or other.activity[role] < 0.25:
        return False
    assert seed.analysis.key is not None
    assert seed.analysis.tempo is not None
    assert other.analysis.tempo is not None
    distance = abs(other.analysis.key.semitones_to(seed.analysis.key))
    speed = seed.analysis.tempo / other.analysis.tempo
    clash = min(max(speed * factor, 1 / (speed * factor)) for factor in (0.25, 0.5, 1, 2, 4)) < 1.04
    kept = 0.8 <= speed <= 1.2
    in_time = (mismatch == "literal" or not clash) if "tempo" in condition else kept
    if role is Role.PERCUSSION:
        return in_time
    in_key = (mismatch == "literal" or distance >= 1) if "key" in condition else distance <= 3
    return in_time and in_key


def by_hand(
    database: MashupDB, condition: str, role: Role, *, mismatch: str = "strict"
) -> tuple[list[Clip], list[list[Clip]]]:
    clips = list(database.table())
    seeds = [clip for clip in clips if clip.analysis.key is not None]
    return seeds, [[one for one in clips if fits(seed, one, role, condition, mismatch=mismatch)] for seed in seeds]


def test_candidates_are_counted_right(database: MashupDB, found: dict[str, Any]) -> None:
    rows = found["candidates"]["rows"]
    assert found["candidates"]["vocals"] == found["candidates"]["looked_at"] == 6
    assert len(rows) == 8
    for row in rows:
        counts = [len(one) for one in by_hand(database, row["condition"], Role(row["role"]))[1]]
        assert (row["least"], row["median"], row["most"]) == (min(counts), np.median(counts), max(counts))
        assert row["by_decade"][0] == counts.count(0)
        assert sum(row["by_decade"]) == len(counts)
        assert row["by_decade"][1] == sum(1 <= count < DECADES[1] for count in counts)


def test_vocals_that_nothing_fits_are_named(database: MashupDB, found: dict[str, Any]) -> None:
    expected = set()
    for condition, role in itertools.product(("matched", "unmatched-key"), (Role.HARMONIC, Role.PERCUSSION)):
        seeds, candidates = by_hand(database, condition, role)
        expected |= {(seed.id, condition, str(role)) for seed, some in zip(seeds, candidates, strict=True) if not some}
    assert expected  # nothing is near 203 BPM
    named = {
        (one["id"], one["condition"], role)
        for one in found["candidates"]["without"]
        for role in one["lacks"]
        if one["condition"] in ("matched", "unmatched-key")
    }
    assert named == expected


@pytest.mark.parametrize("condition", ["unmatched-key", "unmatched-tempo", "unmatched-key-tempo"])
def test_chance_matches_are_what_strict_leaves_out(condition: str, database: MashupDB, found: dict[str, Any]) -> None:
    shares = []
    pools = {
        mismatch: [
            by_hand(database, condition, role, mismatch=mismatch)[1] for role in (Role.HARMONIC, Role.PERCUSSION)
        ]
        for mismatch in ("strict", "literal")
    }
    for strict, literal in zip(zip(*pools["strict"], strict=True), zip(*pools["literal"], strict=True), strict=True):
        pairs = [(one.id, other.id) for one, other in itertools.product(*literal)]
        kept = {(one.id, other.id) for one, other in itertools.product(*strict)}
        if pairs:
            shares.append(sum(pair not in kept for pair in pairs) / len(pairs))
    assert found["chance"][condition] == pytest.approx(np.mean(shares))
    assert 0 < found["chance"][condition] < 1


def test_options_count(database: MashupDB, found: dict[str, Any]) -> None:
    wide = statistics(database, PaperGenerator(max_shift=6, min_speed=0.1, max_speed=10.0, min_activity=0.0))
    assert wide["candidates"]["rows"][0]["least"] == 5  # every clip whose key is known but its own
    assert wide["candidates"]["rows"][0]["least"] > found["candidates"]["rows"][0]["least"]


def test_of_many_vocals_some_are_looked_at(
    database: MashupDB, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MOST_SEEDS", 3)
    some = statistics(database)["candidates"]
    assert (some["looked_at"], some["vocals"]) == (3, 6)
    assert sum(some["rows"][0]["by_decade"]) == 3


# --------------------------------------------------------------------------------------------------------- the page
class Tags(html.parser.HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {"src", "href"} & {name for name, _ in attributes}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("state", ["full", "edited", "empty"])
def test_the_page_is_whole_and_asks_nobody(state: str, database: MashupDB, tmp_path: Path) -> None:
    def copy(folder: Path) -> MashupDB:
        shutil.copytree(database.root, folder)
        return MashupDB(folder)

    opened: dict[str, Callable[[], MashupDB]] = {
        "full": lambda: database,
        "edited": lambda: copy(tmp_path / "copy"),
        "empty": lambda: MashupDB(tmp_path / "empty"),
    }
    one = opened[state]()
    if state == "edited":
        edit(one, one.table()[0].id, {"key": "Bb minor"})
    text = page(statistics(one), title="Mine & yours")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert "Mine &amp; yours" in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert ("Corrected by hand: key of 1." in text) == (state == "edited")
    if state == "full":
        assert "&lt;script&gt;alert(1)" in text  # a vocal that nothing fits under some condition
        assert text == page(statistics(one), title="Mine & yours")


@pytest.mark.parametrize(
    ("mismatch", "said"), [("strict", "none of these is drawn"), ("literal", "these are among what is drawn")]
)
def test_the_page_says_what_would_fit_by_chance(mismatch: Any, said: str, database: MashupDB) -> None:
    text = page(statistics(database, PaperGenerator(mismatch=mismatch)), title="Mine")
    told = re.sub("<[^>]*>", "", text)
    assert "drawn without a look at key or tempo (option mismatch=literal)" in told
    assert f"{mismatch}, " in told
    assert said in told


def test_the_command(
    database: MashupDB, found: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["db", "stats", "--db", str(database.root)]
    assert main([*arguments, "-o", str(tmp_path / "page.html"), "--title", "Mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page(found, title="Mine")
    assert main([*arguments, "-O", "generator.max_shift=0"]) == 0
    assert "7 songs, 7 clips" in capsys.readouterr().out
