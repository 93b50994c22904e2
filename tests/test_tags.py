"""`mashkit tag`: tempo and key go into the tags on request, the sound stays, and nothing is half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mashkit as mk
from mashkit.audio import tags
from mashkit.cli import main
from mashkit.errors import AudioFileError
from mashkit.synthetic import signals

mutagen = pytest.importorskip("mutagen", reason="pip install 'mashkit[tags]'")

FORMATS = ("flac", "ogg", "mp3", "wav", "aiff")


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    tone = signals.tone(440.0, 3.0)
    for suffix in FORMATS[:-1]:
        mk.save(folder / f"{suffix}-song.{suffix}", mk.Audio(tone.samples, 44_100))
    soundfile.write(folder / "aiff-song.aiff", tone.samples.T, 44_100)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, dict[str, object]]:
    assert main(["tag", *map(str, words), "--analyzer", "grid", "--json", "--quiet"]) == 0
    return {Path(one["path"]).suffix[1:]: one for one in json.loads(capsys.readouterr().out)["results"]}


def test_nothing_is_written_without_being_asked(songs: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in songs.iterdir()}
    shown = run(capsys, songs)
    assert {path: path.read_bytes() for path in songs.iterdir()} == before
    assert set(shown) == set(FORMATS)
    for suffix, one in shown.items():
        bpm = "120.00" if suffix in ("flac", "ogg") else "120"
        assert (one["before"], one["after"], one["written"]) == ({}, {"bpm": bpm, "key": "Am"}, False)


def test_tags_are_written_and_all_else_stays(songs: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    sound = {path.name: mk.load(path).samples for path in songs.iterdir()}
    flac = mutagen.File(songs / "flac-song.flac")
    flac["TITLE"] = ["Mine"]
    flac.save()
    (songs / "mp3-song.mp3").chmod(0o640)
    assert all(one["written"] for one in run(capsys, songs, "--write", "--key-as", "camelot").values())
    for path in songs.iterdir():
        assert tags.read_tags(path)["key"] == "8A"
        assert np.array_equal(mk.load(path).samples, sound[path.name])
    assert mutagen.File(songs / "flac-song.flac")["TITLE"] == ["Mine"]
    assert (songs / "mp3-song.mp3").stat().st_mode & 0o777 == 0o640
    assert not any(path.name.startswith(".") for path in songs.iterdir())
    again = run(capsys, songs, "--write", "--key-as", "open-key")  # what is there is kept
    assert all((one["written"], one["after"]["key"]) == (False, "8A") for one in again.values())
    again = run(capsys, songs, "--write", "--replace", "--key-as", "open-key")
    assert all((one["written"], one["after"]["key"]) == (True, "1m") for one in again.values())


@pytest.mark.parametrize("bpm", ["", " ", "0", "0.00", "unknown", "nan", "-1"])
def test_a_tag_that_says_nothing_is_missing(
    songs: Path, light: None, capsys: pytest.CaptureFixture[str], bpm: str
) -> None:
    flac = mutagen.File(songs / "flac-song.flac")
    flac.update({"BPM": [bpm], "INITIALKEY": [""], "TITLE": ["Mine"]})
    flac.save()
    mp3 = mutagen.File(songs / "mp3-song.mp3")
    mp3.add_tags()
    mp3.tags.add(mutagen.id3.TBPM(encoding=3, text=[bpm]))
    mp3.tags.add(mutagen.id3.TKEY(encoding=3, text=[" "]))
    mp3.save()
    named = [songs / "flac-song.flac", songs / "mp3-song.mp3"]
    assert [tags.read_tags(path) for path in named] == [{}, {}]
    tags.write_tags(named[0], {"key": "Am"})  # what is not written stays
    assert mutagen.File(named[0])["BPM"] == [bpm]
    assert all(one["written"] for one in run(capsys, *named, "--write").values())
    assert [tags.read_tags(path) for path in named] == [{"bpm": "120.00", "key": "Am"}, {"bpm": "120", "key": "Am"}]
    assert mutagen.File(named[0])["TITLE"] == ["Mine"]


@pytest.mark.parametrize("texts", [["128"], ["127,5"], [" 92.00"], ["", "128"]])
def test_a_tag_that_says_something_is_kept(songs: Path, texts: list[str]) -> None:
    flac = mutagen.File(songs / "flac-song.flac")
    flac["BPM"] = texts
    flac.save()
    assert tags.read_tags(songs / "flac-song.flac") == {"bpm": texts[-1]}


FRAMES = {
    2: {"TT2": "TIT2", "TYE": "TYER", "TDA": "TDAT", "TSI": "TSIZ"},
    3: {name: name for name in ("TIT2", "TYER", "TDAT", "TSIZ", "TORY", "XABC")},
    4: {name: name for name in ("TIT2", "TDRC", "TDOR", "TSOA")},
}
"""Names of text frames by version of ID3v2, with their names in the tag that is written. XABC is a program's own."""


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_tag_keeps_its_version_and_all_other_frames(songs: Path, version: int) -> None:
    path = songs / "mp3-song.mp3"
    text = b"\x001999\x002000"  # two values
    sizes = {2: b"\x00\x00\x0a", 3: b"\x00\x00\x00\x0a\x00\x00", 4: b"\x00\x00\x00\x0a\x00\x00"}
    body = b"".join(name.encode() + sizes[version] + text for name in FRAMES[version])
    head = b"ID3" + bytes([version, 0, 0, 0, 0, len(body) >> 7, len(body) & 0x7F])
    path.write_bytes(head + body + path.read_bytes())
    before = mutagen.id3.ID3(path, translate=False)
    tags.write_tags(path, {"bpm": "92", "key": "Am"})
    assert tags.read_tags(path) == {"bpm": "92", "key": "Am"}
    after = mutagen.id3.ID3(path, translate=False)
    assert after.version == (2, max(version, 3), 0)
    assert set(after) == {*FRAMES[version].values(), "TBPM", "TKEY"} - {"XABC"}
    assert all(after[name].text == before[name].text for name in before)
    assert len(after.unknown_frames) == len(before.unknown_frames) == (version == 3)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_a_tag_in_a_chunk_keeps_its_version(songs: Path, suffix: str) -> None:
    path = songs / f"{suffix}-song.{suffix}"
    opened = mutagen.File(path)
    opened.add_tags()
    opened.tags.add(mutagen.id3.TYER(encoding=0, text="1999"))
    opened.save(v2_version=3)
    tags.write_tags(path, {"bpm": "92"})
    after = type(opened.tags)(path, translate=False)
    assert (after.version, str(after["TYER"]), str(after["TBPM"])) == ((2, 3, 0), "1999", "92")


def test_other_tags_that_would_be_lost_stay(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = songs / "flac-song.flac"
    flac = mutagen.File(path)
    flac["TITLE"] = ["Mine"]
    flac.save()
    before = path.read_bytes()
    change = tags._change

    def losing(copy: Path, values: dict[str, str]) -> None:
        change(copy, values)
        opened = mutagen.File(copy)
        del opened["TITLE"]
        opened.save()

    monkeypatch.setattr(tags, "_change", losing)
    with pytest.raises(AudioFileError, match="the copy differs"):
        tags.write_tags(path, {"bpm": "120"})
    assert path.read_bytes() == before


def test_a_copy_that_went_wrong_replaces_nothing(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = songs / "flac-song.flac"
    before = path.read_bytes()
    change = tags._change

    def shortened(copy: Path, values: dict[str, str]) -> None:
        mk.save(copy, mk.load(copy).excerpt(0, 1))
        change(copy, values)

    monkeypatch.setattr(tags, "_change", shortened)
    with pytest.raises(AudioFileError, match="the copy differs"):
        tags.write_tags(path, {"bpm": "120"})
    assert path.read_bytes() == before
    assert len(list(songs.iterdir())) == len(FORMATS)


def test_one_bad_file_costs_no_other(songs: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    (songs / "broken.flac").write_bytes(b"fLaC and no more")
    assert main(["tag", str(songs), "--analyzer", "grid", "--write", "--quiet"]) == 3
    told = capsys.readouterr()
    assert "broken.flac" in told.err
    assert "Traceback" not in told.err
    assert told.out.count("written") == len(FORMATS)


def test_without_mutagen_the_fix_is_named(
    songs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    monkeypatch.setitem(sys.modules, "mutagen.id3", None)
    assert main(["tag", str(songs)]) == 2
    assert "pip install 'mashkit[tags]'" in capsys.readouterr().err
