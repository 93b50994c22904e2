"""A command's file replaces an earlier output of the same command, and no other file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import mashkit as mk
import studies
from mashkit.audio.files import save
from mashkit.bench.results import read_result
from mashkit.cli import main
from mashkit.errors import UsageError
from mashkit.listen.data import read_answered, read_data, write_data
from mashkit.listen.study import STUDY_FILE, StudyError, load, read, write
from mashkit.preferences import Preference, read_preferences, write_preferences
from mashkit.testing import signals

LABELS = '{"licence": "CC-BY-4.0", "title": "Slow River"}'


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def plan(seed: int) -> mk.MashupPlan:
    layer = mk.Layer(clip_id=f"clip {seed}", role=mk.Role.VOCAL)
    return mk.MashupPlan(condition="original", layers=[layer], duration_s=2.0, seed=seed)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return save(tmp_path / "song.flac", signals.tone(440, 8.0))


@pytest.mark.plugins
@pytest.mark.parametrize("kind", ["analyze", "tag", "plugins", "doctor", "generate"])
def test_a_users_json_stays(kind: str, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [song] if kind in ("analyze", "tag", "generate") else []
    labels = song.with_suffix(".json")
    for text in (LABELS, json.dumps(json.loads(LABELS), indent=2), '{"results": []}'):
        labels.write_text(text)
        assert run(kind, *given, "-o", labels, *(["--dry-run"] if kind in ("analyze", "generate") else [])) == 1
        assert "exists already, and holds something else than it will" in capsys.readouterr().err
        assert labels.read_text() == text
    labels.unlink()
    assert run(kind, *given, "-o", labels) == 1
    assert f"song.json: it would be read as the labels of {song.name}" in capsys.readouterr().err
    assert not labels.exists()


@pytest.mark.plugins
def test_a_command_replaces_its_own_output_and_not_that_of_another(song: Path, tmp_path: Path) -> None:
    analyses, tags, listed, plans = (tmp_path / name for name in ("a.json", "t.json", "p.json", "g.jsonl"))
    listed.write_text("")  # an empty file holds nothing that could be lost
    plans.write_text("".join(f"{plan(seed).to_json()}\n" for seed in range(2)))
    for _ in range(2):
        assert run("analyze", song, "--analyzer", "librosa", "-o", analyses, "--quiet") == 0
        assert run("tag", song, "--analyzer", "librosa", "-o", tags, "--quiet") == 0
        assert run("plugins", "-o", listed) == 0
    assert run("generate", song, "-o", plans, "--dry-run") == 0
    scores = tmp_path / "s.json"
    scores.write_text(json.dumps(dict.fromkeys(("scores", "failures", "notes", "components", "environment"))))
    assert run("score", plans, "--songs", song, "-o", scores, "--dry-run") == 0
    assert run("score", plans, "--songs", song, "-o", analyses, "--dry-run") == 1
    record = tmp_path / "plan.json"  # as `mash` writes it: a plan, and what it was made of
    record.write_text(json.dumps({"plan": plan(0).to_dict(), "environment": {}}, indent=2))
    for command, own in (("analyze", analyses), ("tag", tags), ("generate", plans)):
        for other in {analyses, tags, listed, plans, record} - {own}:
            before = other.read_bytes()
            more = [] if command == "tag" else ["--dry-run"]
            assert run(command, song, "-o", other, *more) == 1
            assert other.read_bytes() == before


# ----------------------------------------------------------------------------------------------- a study stays as it is
@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "study"
    studies.designed(folder, "retrieval")
    return folder


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [("simulate", "-o", "study.json"), ("simulate", "-o", "new.json"), ("export", "--preferences", "study.json"),
     ("export", "--preferences", "new.jsonl"), ("export", "-o", "."), ("export", "-o", "new"), ("report", "-o", "new")],
    ids=" ".join,
)  # fmt: skip
def test_nothing_is_written_into_a_study_that_is_read(
    command: tuple[str, ...], study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(study)
    (tmp_path / "link").symlink_to(study)
    action, option, name = command
    for named, where in ((study, study), (study, tmp_path / "link"), (tmp_path / "link", study)):
        assert run("listen", action, named, option, where / name) == 1
        assert "is a study, which is never changed (name a place outside it)" in capsys.readouterr().err
        assert files(study) == before
    assert load(study)


def test_answers_replace_only_answers(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, made, theirs = tmp_path / "data.json", tmp_path / "made", tmp_path / "plan.json"
    for _ in range(2):
        assert run("listen", "simulate", study, "-o", data) == 0
    theirs.write_text(json.dumps({"plan": plan(0).to_dict()}))
    for words in (("simulate", study, "-o", theirs), ("export", data, "--preferences", theirs)):
        assert run("listen", *words) == 1
        assert "plan.json exists already, and holds something else" in capsys.readouterr().err
    preferred = tmp_path / "preferred.jsonl"
    write_preferences(preferred, [Preference(better=plan(0), worse=plan(1), source="listen")])
    assert run("listen", "export", data, "-o", made, "--preferences", preferred) == 1
    assert "the study holds no plans" in capsys.readouterr().err  # not that the file is another's
    assert run("listen", "export", data, "-o", made) == 0
    assert run("listen", "export", made / "records.json", "-o", made) == 1
    assert "the command reads it" in capsys.readouterr().err
    (made / "records.json").write_text(LABELS)
    assert run("listen", "export", data, "-o", made) == 1
    assert (made / "records.json").read_text() == LABELS


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda data: data.pop("protocol"), "it has no 'protocol'"), (lambda data: data.update(texts=[]), ""),
     (lambda data: data.update(format=99), "a study of format 99"),
     (lambda data: data["samples"].append(3), ""), (lambda data: data["pages"][0].update(samples=[[]]), "")],
)  # fmt: skip
def test_a_damaged_study_is_named(change: Any, said: str, study: Path, tmp_path: Path) -> None:
    data = json.loads((study / STUDY_FILE).read_text())
    change(data)
    (tmp_path / STUDY_FILE).write_text(json.dumps(data))
    with pytest.raises(StudyError) as caught:
        read(tmp_path)
    assert caught.value.problem.startswith(f"{tmp_path / STUDY_FILE}: ")
    assert said in caught.value.problem
    assert re.search("restore it from a copy|reads formats", str(caught.value.fix))


# -------------------------------------------------------------------------------------------------------- paths as text
def test_functions_that_read_files_back_take_text(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    preference = Preference(better=plan(0), worse=plan(1), source="listen")
    write_preferences("x.jsonl", [preference])
    assert read_preferences("x.jsonl") == [preference]
    assert read(str(study)).hash == load(str(study)).hash
    assert run("listen", "simulate", study, "-o", "data.json") == 0
    data = read_answered("data.json")
    write_data(data, "again.json")
    assert read_data("again.json").study.hash == data.study.hash
    with pytest.raises(UsageError, match=r"x.jsonl is not a benchmark result"):
        read_result("x.jsonl")
    no_path: Any = 3
    for call in (
        *(read_preferences, read_answered, read_data, read_result, read, load),
        *(lambda path: write_preferences(path, []), lambda path: write_data(data, path)),
        lambda path: write(data.study, path),
    ):
        with pytest.raises(UsageError, match="is 3, of type int"):
            call(no_path)
