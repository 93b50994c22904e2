"""`mashkit config` and `mashkit completion`: settings are checked, kept whole, and hold where nothing else is said."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mashkit.builtin.local import LocalExecutor
from mashkit.cli import main, settings
from mashkit.cli.collection import named_database
from mashkit.cli.kits import kit_of, require
from mashkit.cli.main import _add_settings
from mashkit.cli.parser import build
from mashkit.errors import UsageError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("MASHKIT_CONFIG", str(path))
    monkeypatch.delenv("MASHKIT_DB", raising=False)
    return path


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[object, str]]:
    capsys.readouterr()
    assert main(["config", "list", "--json"]) == 0
    return {row["name"]: (row["value"], row["from"]) for row in json.loads(capsys.readouterr().out)["settings"]}


def arguments(*words: str) -> argparse.Namespace:
    found = build()[0].parse_args(words)
    _add_settings(found)
    return found


def test_settings_and_where_they_come_from(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listed(capsys)
    assert set(before) == set(settings.NAMES)
    assert before["generator"] == ("paper", "built in")
    assert before["cache"][1] == "environment MASHKIT_CACHE"
    assert not config.exists()  # looking writes nothing
    assert main(["config", "set", "executor", "local"]) == 0
    assert main(["config", "set", "generator.max_shift", "2"]) == 0
    assert main(["config", "set", "jobs", "3"]) == 0
    assert main(["config", "set", "db", str(tmp_path / 'with "quotes"')]) == 0
    assert tomllib.loads(config.read_text())["generator"] == {"max_shift": 2}
    after = listed(capsys)
    assert after["generator.max_shift"] == (2, str(config))
    assert after["jobs"] == (3, str(config))
    assert after["db"] == (str(tmp_path / 'with "quotes"'), str(config))
    monkeypatch.chdir(tmp_path)  # the next command may run in another folder
    assert main(["config", "set", "db", "here"]) == 0
    assert listed(capsys)["db"] == (str(tmp_path / "here"), str(config))
    monkeypatch.setenv("MASHKIT_DB", "elsewhere")
    assert listed(capsys)["db"] == ("elsewhere", "environment MASHKIT_DB")
    assert main(["config", "get", "jobs"]) == 0
    assert capsys.readouterr().out == "3\n"
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().out == f"{config}\n"
    assert main(["config", "unset", "jobs"]) == 0
    assert listed(capsys)["jobs"] == (None, "built in")


def test_settings_hold_where_the_command_says_nothing(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASHKIT_CACHE")
    settings.write(
        {"scorer": "random", "scorer.seed": 4, "jobs": 2, "cache": "kept", "db": str(tmp_path), "quiet": True}
    )
    said = arguments("mash", "song.wav", "-o", "out")
    kit = kit_of(said)
    assert (kit.chosen["scorer"], kit.scorer.options()["seed"]) == ("random", 4)
    assert kit.executor.options()["jobs"] == 2
    assert (said.cache, said.quiet) == (Path("kept"), True)
    assert named_database(None) == tmp_path
    said = arguments("mash", "song.wav", "-o", "out", "--scorer", "loudness", "--jobs", "1", "--cache", "other")
    kit = kit_of(said)
    assert kit.chosen["scorer"] == "loudness"
    assert kit.scorer.info.name == "loudness"  # the other's option is not given to it
    assert kit.executor.options()["jobs"] == 1
    assert said.cache == Path("other")
    assert named_database(Path("mine")) == Path("mine")
    monkeypatch.setenv("MASHKIT_CACHE", "of-the-environment")
    assert arguments("mash", "song.wav", "-o", "out").cache == Path("of-the-environment")


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "separatr", "librosa"), "did you mean 'separator'"),
        (("set", "scorer", "lodness"), "did you mean 'loudness'"),
        (("set", "generator.max_shft", "2"), "max_shift"),
        (("set", "generator.max_shift", '"far"'), "max_shift"),
        (("set", "mixer.loud", "1"), "no setting 'mixer.loud'"),
        (("set", "jobs", "0"), "whole number of 1 or more"),
        (("set", "quiet", "perhaps"), "true or false"),
        (("set", "scorer.checkpoint", "null"), "cannot be kept as a setting"),
        (("set", "generator.limit_db", "1e400"), "give a finite number"),
        (("unset", "jobs"), "nothing is set"),
        (("get", "nothing"), "no setting 'nothing'"),
    ],
)
def test_what_is_wrong_is_refused_and_not_kept(
    config: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", *words]) == 2
    assert said in capsys.readouterr().err
    assert not config.exists()


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        (("set", "scorer", "loudness"), {"scorer": "random", "scorer.seed": 4}, {"scorer": "loudness"}),
        (("unset", "scorer"), {"scorer": "random", "scorer.seed": 4}, {}),
        (("set", "scorer", "random"), {"scorer": "random", "scorer.seed": 4}, {"scorer": "random", "scorer.seed": 4}),
        (("set", "generator", "paper"), {"generator.max_shift": 2}, {"generator": "paper", "generator.max_shift": 2}),
        (("unset", "generator"), {"generator": "paper", "generator.max_shift": 2}, {"generator.max_shift": 2}),
        (("set", "quiet", "true"), {"scorer": "random", "scorer.seed": 4}, {"quiet": True, "scorer": "random",
                                                                             "scorer.seed": 4}),
    ],
)  # fmt: skip
def test_the_options_of_a_component_go_when_another_is_chosen(
    config: Path, words: tuple[str, ...], before: dict[str, object], after: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    settings.write(before)
    assert main(["config", *words]) == 0
    assert settings.read() == after
    removed = {name for name in before if "." in name and name not in after}
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "removed" in line] == [
        f"removed, because they were set for another component: {name}" for name in removed
    ]


def test_an_option_that_is_kept_and_wrong_is_named_with_the_way_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.write({"generator.max_shft": 2, "scorer": "random", "scorer.seed": "far", "scorer.max_shft": 1})
    way_out = f"it is set in {config}; `mashkit config unset generator.max_shft` removes it"

    def said(*words: str) -> str:
        given = arguments("mash", "song.wav", "-o", "out", *words)
        with pytest.raises(UsageError, match="max_shft") as raised:
            require(kit_of(given), given, "generator")
        return str(raised.value)

    assert said().endswith(f"; {way_out})")
    assert "unset" not in said("-O", "generator.max_shft=1")
    assert "unset" not in said("--generator", "paper", "-O", "generator.max_shft=1")
    assert main(["config", "set", "generator.max_shift", "3"]) == 2  # refused for the one that is in the file already
    assert way_out in capsys.readouterr().err
    assert main(["config", "set", "generator.max_shft", "3"]) == 2
    assert "unset" not in capsys.readouterr().err


def test_a_file_that_is_wrong_is_named_with_the_way_out(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.parent.mkdir()
    config.write_text("jobs = = 2\n")
    assert main(["generate", "nothing.wav"]) == 2
    assert f"{config}: " in (said := capsys.readouterr().err)
    assert "line 1" in said
    config.write_text("colour = 2\n")
    assert main(["plugins", "--json"]) == 2
    assert "`mashkit config unset colour` removes it" in capsys.readouterr().err
    assert main(["config", "unset", "colour"]) == 0
    assert main(["plugins", "--json", "-o", str(config.parent / "plugins.json")]) == 0


def test_unset_keeps_what_it_does_not_know(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.parent.mkdir()
    config.write_text(
        """colour = 2
"a.b c" = "caf\\u00e9 \\u007f"
when = [1979-05-27T07:32:00Z, 1979-05-27, 07:32:00]
far = inf
[future]
x = 1
"in it" = {y = [true, {z = -0.5}]}
[stretcher]
"odd key" = "\\"quoted\\""
"""
    )
    due = tomllib.loads(config.read_text())
    assert main(["config", "unset", "colour", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["far"] == "inf"
    del due["colour"]
    assert tomllib.loads(config.read_text()) == due
    for name in ("future", "a.b c", "stretcher.odd key"):
        assert main(["config", "unset", name]) == 0
    assert set(tomllib.loads(config.read_text())) == {"when", "far"}


@pytest.mark.usefixtures("config")
def test_jobs_are_only_for_executors_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.write({"jobs": 2})
    monkeypatch.setattr(LocalExecutor, "options", lambda _: {"num_cpus": None})
    kit = kit_of(arguments("mash", "song.wav", "-o", "out"))
    assert isinstance(kit.executor, LocalExecutor)
    assert kit.executor.jobs is None
    with pytest.raises(UsageError, match=r"--jobs 3: executor 'local' has no option 'jobs' .*num_cpus"):
        kit_of(arguments("mash", "song.wav", "-o", "out", "--jobs", "3"))


def test_what_toml_cannot_hold_leaves_the_file(config: Path) -> None:
    settings.write({"jobs": 2})
    before = config.read_text()
    for value in (None, [None], "\udce9"):
        with pytest.raises(UsageError, match="cannot be kept as a setting"):
            settings.write({"scorer.mode": value})
    assert config.read_text() == before


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("where", ["environment", "file"])
def test_folders_may_be_below_the_home_folder(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MASHKIT_CACHE")
    if where == "file":
        settings.write({"cache": "~/kept", "db": "~/clips"})
    else:
        monkeypatch.setenv("MASHKIT_CACHE", "~/kept")
        monkeypatch.setenv("MASHKIT_DB", "~/clips")
    assert arguments("mash", "song.wav", "-o", "out").cache == tmp_path / "kept"
    assert named_database(None) == tmp_path / "clips"
    assert settings.default("db") == str(tmp_path / "clips")  # `audition` looks there


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_its_shell_reads(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="pip install 'mashkit[completion]'")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("mash", "analyze", "--stretcher", "config"):
        assert word in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(script)
    subprocess.run([program, "-n", str(tmp_path / "script")], check=True)
    if shell == "bash":
        asked = "COMP_WORDS=(mashkit analy); COMP_CWORD=1; _shtab_mashkit; echo ${COMPREPLY[@]}"
        asked = f"source {tmp_path}/script; {asked}"
        done = subprocess.run([program, "-c", asked], check=True, capture_output=True, text=True)
        assert done.stdout.split() == ["analyze"]


def test_without_shtab_the_fix_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'mashkit[completion]'" in capsys.readouterr().err


def test_unset_makes_no_folder(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "unset", "jobs"]) == 2
    assert "'jobs' is not set (nothing is set)" in capsys.readouterr().err
    assert not config.parent.exists()


def test_changes_of_several_commands_at_once_are_all_kept(config: Path) -> None:
    changes = {"jobs": 2, "quiet": True, "licences": "any"}
    started = [
        subprocess.Popen([sys.executable, "-m", "mashkit", "config", "set", name, json.dumps(value).strip('"')])
        for name, value in changes.items()
    ]
    assert [one.wait(60) for one in started] == [0, 0, 0]
    assert tomllib.loads(config.read_text()) == changes
