"""What mashkit writes is marked, and replaced as a set; what is the user's stays whatever happens."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mashkit import pages
from mashkit.atomicfile import replacing, write_text
from mashkit.audio.files import load, save
from mashkit.errors import OutputError
from mashkit.products import (
    LIST,
    MARK,
    OUR_PAGE,
    FileList,
    Keys,
    OutputSet,
    folder_for,
    is_product,
    require_replaceable,
    require_replaceable_text,
)
from mashkit.testing import signals

NAMES = ("mix.flac", "plan.json", "stems/vocal.flac", "stems/harmonic.flac", "mashup-2/mix.flac", "a b/ü.txt")


def write(folder: Path, files: dict[str, str], *, made_of: str = "test") -> None:
    with OutputSet(folder, made_of=made_of) as output:
        for name, text in files.items():
            path = output.staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder but the list, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LIST
    }


def drawn(seed: int) -> dict[str, str]:
    draw = np.random.default_rng(seed)
    return {str(name): f"{name} {seed}" for name in draw.choice(NAMES, draw.integers(1, len(NAMES) + 1), replace=False)}


@pytest.mark.parametrize("seed", range(10))
def test_a_folder_holds_the_last_set_and_the_users_files(tmp_path: Path, seed: int) -> None:
    users = {"notes.txt": "mine", "stems/cover.jpg": "mine", "mashup-9/mix.flac": "mine"}
    for name, text in users.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for run in range(4):
        files = drawn(100 * seed + run)
        write(tmp_path, files)
        assert contents(tmp_path) == files | users
    write(tmp_path, {})
    assert contents(tmp_path) == users
    assert not (tmp_path / "mashup-2").exists()  # a folder that held nothing else goes too
    assert (tmp_path / "stems").is_dir()


def test_a_set_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    old = drawn(1)
    write(tmp_path, old)
    before = (tmp_path / LIST).read_text()
    with pytest.raises(KeyError, match=r"mix\.flac"), OutputSet(tmp_path, made_of="test") as output:
        raise KeyError((output.staging / "mix.flac").write_text("half") and "mix.flac")
    assert contents(tmp_path) == old
    assert (tmp_path / LIST).read_text() == before


def test_a_set_that_fails_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine" / "new" / "newer"
    with pytest.raises(KeyError, match="half"), OutputSet(folder, made_of="test"):
        raise KeyError("half")
    assert contents(tmp_path) == {}
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.whole
@pytest.mark.parametrize("killed_at", range(1, 14))
def test_after_a_kill_at_any_moment_the_next_run_leaves_one_set(tmp_path: Path, killed_at: int) -> None:
    old, new, next_ = drawn(3), drawn(7), drawn(8)
    write(tmp_path, old)
    (tmp_path / "notes.txt").write_text("mine")
    code = f"""
from pathlib import Path
from mashkit.products import OutputSet
left = {killed_at}
def counted(function):
    def call(*given, **named):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return function(*given, **named)
    return call
with OutputSet(Path({str(tmp_path)!r}), made_of="test") as output:
    for name, text in {new!r}.items():
        (output.staging / name).parent.mkdir(parents=True, exist_ok=True)
        (output.staging / name).write_text(text)
    for name in ("replace", "unlink", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    found = contents(tmp_path)
    assert found.pop("notes.txt") == "mine"
    if done.returncode == 0:
        assert found == new
    write(tmp_path, next_)
    assert contents(tmp_path) == next_ | {"notes.txt": "mine"}
    assert not list(tmp_path.glob(".mashkit-unfinished-*"))


@pytest.mark.parametrize("first_fails", [True, False])
def test_a_second_run_at_once_into_one_folder_is_refused(tmp_path: Path, first_fails: bool) -> None:
    folder = tmp_path / "out"
    code = f"""
import sys
from pathlib import Path
from mashkit.products import OutputSet
with OutputSet(Path({str(folder)!r}), made_of="test") as output:
    (output.staging / "mix.flac").write_text("first")
    print("working", flush=True)
    sys.stdin.readline()
    {"raise SystemExit(1)" if first_fails else ""}
"""
    first = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "working\n"
    with pytest.raises(OutputError, match=r"another run is writing into .*out \(wait until it ends, or name another"):
        write(folder, {"mix.flac": "second"})
    first.communicate("\n", timeout=60)
    assert {path.name for path in folder.rglob("*")} == (set() if first_fails else {LIST, "mix.flac"})
    write(folder, {"mix.flac": "third"})
    assert contents(folder) == {"mix.flac": "third"}
    with OutputSet(folder, made_of="test"), pytest.raises(OutputError, match="another run"):
        write(folder, {})


@pytest.mark.parametrize("name", ["mix.flac", "stems/vocal.flac"])
def test_a_file_of_the_users_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="in the way: mashkit did not write it") as caught:
        OutputSet(tmp_path, made_of="test", names=[name])
    assert name in str(caught.value)
    with pytest.raises(OutputError, match="in the way"):
        write(tmp_path, {name: "ours", "other.txt": "ours"})
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "other.txt").exists()


def test_files_that_find_no_place_at_the_end_are_told(tmp_path: Path) -> None:
    output = OutputSet(tmp_path, made_of="test").__enter__()
    (output.staging / "mix.flac").write_text("ours")
    (tmp_path / "mix.flac").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot finish .*mix\.flac is in the way.*the new files are in") as caught:
        output.__exit__(None, None, None)
    (staging,) = tmp_path.glob(".mashkit-unfinished-*")
    assert str(staging) in str(caught.value)
    assert (staging / "mix.flac").read_text() == "ours"


def test_a_folder_of_the_earlier_set_is_kept_where_the_user_did_not_change_it(tmp_path: Path) -> None:
    write(tmp_path, {"one/mix.flac": "first", "one/plan.json": "first", "two/mix.flac": "first"})
    (tmp_path / "one" / "plan.json").unlink()
    with OutputSet(tmp_path, made_of="test") as output:
        assert output.keep("one")
        assert not output.keep("three")
    assert {name: text for name, text in contents(tmp_path).items() if "flac" in name} == {"one/mix.flac": "first"}


def test_what_the_user_changed_is_the_users(tmp_path: Path) -> None:
    write(tmp_path, {"plan.json": "ours", "mix.flac": "ours"})
    (tmp_path / "plan.json").write_text("edited")
    with pytest.raises(OutputError, match=r"plan.json is in the way: it has changed since"):
        OutputSet(tmp_path, made_of="test")
    (tmp_path / "plan.json").rename(tmp_path / "my-plan.json")
    write(tmp_path, {"mix.flac": "new"})
    assert contents(tmp_path) == {"mix.flac": "new", "my-plan.json": "edited"}


def test_links_and_folders_in_the_way_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mix.flac").symlink_to(outside)
    (folder / "gone.flac").symlink_to(tmp_path / "nothing")
    (folder / "index.html").mkdir()
    for name in ("mix.flac", "gone.flac", "index.html"):
        with pytest.raises(OutputError, match="in the way"):
            OutputSet(folder, made_of="test", names=[name])
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing", "link to a folder elsewhere"])
def test_what_stands_where_a_folder_is_needed_is_told_before_the_work(tmp_path: Path, kind: str) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write(folder, {"mix.flac": "old"})
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    to = {"file": None, "link to a file": elsewhere / "mine.txt", "link to nothing": tmp_path / "nothing"}
    target = to.get(kind, elsewhere)
    stems = folder / "stems"
    stems.write_text("mine") if target is None else stems.symlink_to(target)
    with pytest.raises(OutputError, match="stems is in the way"):
        OutputSet(folder, made_of="test", names=["stems/vocal.flac"])
    with pytest.raises(OutputError, match="stems is in the way"):
        write(folder, {"mix.flac": "new", "stems/vocal.flac": "new"})
    assert (folder / "mix.flac").read_text() == "old"
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]


def test_a_list_cannot_have_files_elsewhere_removed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside.txt", tmp_path / "out"
    write(folder, {"mix.flac": "ours"})
    outside.write_text("ours")
    known = FileList.read(folder)
    assert known is not None
    (folder / "link").symlink_to(tmp_path)
    digests = known.files["mix.flac"]
    names = ["../outside.txt", str(outside), "stems/../../outside.txt", "link/outside.txt", "", "."]
    data = {"format": 1, "made_of": "test", "files": dict.fromkeys([*names, "mix.flac"], digests)}
    (folder / LIST).write_text(json.dumps(data))
    write(folder, {"new.txt": "ours"})
    assert outside.read_text() == "ours"
    assert not (folder / "mix.flac").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99, "made_of": "", "files": {}}', '{"files": 3}', "\x00"])
def test_a_list_that_cannot_be_read_makes_nothing_ours(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"mix.flac": "ours"})
    (tmp_path / LIST).write_text(text)
    with pytest.raises(OutputError, match="in the way"):
        write(tmp_path, {"mix.flac": "new"})


def test_another_set_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"mix.flac": "ours"}, made_of="mashkit mash")
    with pytest.raises(OutputError, match="mashkit mash made"):
        OutputSet(tmp_path, made_of="Mashup.save")
    (tmp_path / "mix.flac").unlink()
    write(tmp_path, {"mix.flac": "new"}, made_of="Mashup.save")


def test_another_set_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    first, second = OutputSet(tmp_path, made_of="first"), OutputSet(tmp_path, made_of="second")
    with first:
        (first.staging / "mix.flac").write_text("first")
    with pytest.raises(OutputError, match="holds a set of files that first made"), second:
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"mix.flac": "first"}


def test_each_song_has_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "tune 2").mkdir()
    (tmp_path / "tune 2" / "cover.jpg").write_text("mine")
    for song, expected in (("a/tune", "tune"), ("b/tune", "tune 3"), ("a/tune", "tune"), ("b/tune", "tune 3")):
        folder = folder_for(tmp_path, "tune", song)
        assert folder.name == expected
        write(folder, {"vocals.flac": song}, made_of=song)


# ------------------------------------------------------------------------------------------------------- the mark
@pytest.mark.parametrize("suffix", [".flac", ".wav", ".ogg", ".mp3"])
def test_sound_is_known_to_be_ours_by_its_comment(tmp_path: Path, suffix: str) -> None:
    audio = signals.tone(440, 1.0)
    assert is_product(save(tmp_path / f"ours{suffix}", audio, comment=MARK))
    assert not is_product(save(tmp_path / f"theirs{suffix}", audio))
    assert not is_product(save(tmp_path / f"noted{suffix}", audio, comment="made by mash kit"))
    shutil.copy(tmp_path / f"ours{suffix}", tmp_path / f"renamed{suffix}")
    assert is_product(tmp_path / f"renamed{suffix}")


def test_what_is_no_sound_is_not_ours(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.flac")  # opening it would wait for a writer
    (tmp_path / "empty.flac").touch()
    for name in ("pipe.flac", "empty.flac", "missing.flac", ".", "no\udce9.wav"):
        assert not is_product(tmp_path / name)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")
@pytest.mark.parametrize("target", ["x.mp3", "x.ogg", "x.wav", "x.flac"])
def test_the_mark_survives_a_conversion(tmp_path: Path, target: str) -> None:
    ours = save(tmp_path / "ours.flac", signals.tone(440, 1.0), comment=MARK)
    subprocess.run(["ffmpeg", "-v", "error", "-i", ours, tmp_path / target], check=True, timeout=60)
    assert is_product(tmp_path / target)


def test_only_our_sound_is_replaced(tmp_path: Path) -> None:
    theirs = save(tmp_path / "song.flac", signals.tone(440, 0.5))
    with pytest.raises(OutputError, match="mashkit did not make it"):
        require_replaceable(theirs)
    require_replaceable(tmp_path / "new.flac")
    require_replaceable(save(tmp_path / "ours.flac", signals.tone(440, 0.5), comment=MARK))
    assert load(theirs).duration == 0.5


DATA = r"\{|\[|<!doctype html"


@pytest.mark.parametrize(
    "content", [b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\0", b"Dear diary", b"{\0}", b"\xff\xfe{\0", b"<html>"]
)
def test_data_replace_no_other_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(content)
    with pytest.raises(OutputError, match="mine exists already, and holds something else than it will"):
        require_replaceable_text(tmp_path / "mine", DATA)


@pytest.mark.parametrize("content", [b"", b" \n", b'{"old": 1}', b"\xef\xbb\xbf [1]", b"<!DOCTYPE html><p>old"])
def test_data_replace_data(content: bytes, tmp_path: Path) -> None:
    require_replaceable_text(tmp_path / "new", DATA)
    (tmp_path / "old").write_bytes(content)
    require_replaceable_text(tmp_path / "old", DATA)
    assert (tmp_path / "old").read_bytes() == content
    assert not (tmp_path / "new").exists()


THEIRS = {"licence": "CC0-1.0", "title": "mine"}


def test_json_replaces_only_json_of_the_same_keys(tmp_path: Path) -> None:
    path, keys = tmp_path / "x.json", Keys(["b", "a"], ["more"])
    for data in ({"a": 1, "b": [{"c": 1}]}, {"more": 0, "b": None, "a": 1}):
        for text in (json.dumps(data), json.dumps(data, indent=2), f"{json.dumps(data)}\n{json.dumps(THEIRS)}\n"):
            path.write_text(f"\ufeff{text}", encoding="utf-8")
            require_replaceable_text(path, keys)
    for data in (THEIRS, {"a": 1}, {"a": 1, "b": 2, "licence": "mine"}, [{"a": 1, "b": 2}], {}):
        for indent in (None, 2):
            path.write_text(json.dumps(data, indent=indent))
            with pytest.raises(OutputError, match="holds something else than it will"):
                require_replaceable_text(path, keys)
    for text in ('{"a": 1, "b": 2', "{" * 100_000, '{"a": \xff'):  # cut off, too deep, no text
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(OutputError, match="this command of mashkit did not write it"):
            require_replaceable_text(path, keys)


def test_a_page_replaces_only_a_page_of_mashkit(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text(pages.document("Some title", top="", main="", styles=[], sources="media-src data:"))
    require_replaceable_text(path, OUR_PAGE)
    for text in ('<!DOCTYPE html>\n<html lang="en"><head><title>My thesis</title>', json.dumps(THEIRS)):
        path.write_text(text)
        with pytest.raises(OutputError, match="holds something else than it will"):
            require_replaceable_text(path, OUR_PAGE)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    link, target = tmp_path / "link.json", tmp_path / "elsewhere" / "target.json"
    link.symlink_to(target)
    for text in ("made", "replaced"):
        write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert [path.name for path in (*tmp_path.iterdir(), *target.parent.iterdir()) if path.suffix == ".part"] == []


def test_a_pipe_and_a_folder_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name, kind in (("pipe", "a device or a pipe"), ("link", "a device or a pipe"), (".", "a folder")):
        with pytest.raises(OutputError, match=f"it is {kind}"):
            write_text(tmp_path / name, "lost")
        with pytest.raises(OutputError, match=f"it is {kind}"):
            require_replaceable_text(tmp_path / name, DATA)
    assert (tmp_path / "pipe").is_fifo()


def test_only_errors_about_the_written_file_are_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), replacing(tmp_path / "made"):
        (tmp_path / "nowhere").read_text()
    with pytest.raises(OutputError, match=r"cannot write .*made: No space left"), replacing(tmp_path / "made"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match=r"cannot write .*made: Is a dir"), replacing(tmp_path / "made") as part:
        raise OSError(errno.EISDIR, "Is a directory", str(part))
    assert list(tmp_path.iterdir()) == []
