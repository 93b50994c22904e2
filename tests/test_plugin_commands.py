"""Commands of plugins: listed, run, kept from harming, and told apart when names clash."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from mashkit.cli import main
from mashkit.cli.parser import own_commands

PLUGIN = """
from mashkit import Command, hookimpl
from mashkit.errors import CatalogError, UsageError

def configure(parser):
    parser.add_argument("word")
    parser.add_argument("--times", type=int, default=1)

def run(arguments):
    if arguments.word == "usage":
        raise UsageError("that word", "say another")
    if arguments.word == "catalog":
        raise CatalogError("no clips", "add some")
    if arguments.word == "bug":
        return {{}}["missing"]
    if arguments.word == "nothing":
        return None
    print(arguments.word * arguments.times, arguments.json, arguments.quiet)
    return 3

@hookimpl
def mashkit_register_commands():
    return [Command(name={name!r}, summary="Say a word.", configure=configure, run=run)]
"""


class Installer:
    """Puts distributions with an entry point on the path, as pip would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, module: str, name: str = "echo", code: str = PLUGIN) -> None:
        (self.folder / f"{module}.py").write_text(code.format(name=name))
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mashkit]\n{module} = {module}\n")
        # A module of that name from another test would be found before ours.
        sys.modules.pop(module, None)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    monkeypatch.syspath_prepend(tmp_path)
    return Installer(tmp_path)


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def test_it_is_listed_and_runs(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme_says")
    assert run("--help") == 0
    help_ = capsys.readouterr().out
    assert "echo" in help_
    assert "Say a word." in help_
    assert run("echo", "--help") == 0
    assert "--times" in capsys.readouterr().out
    assert run("echo", "ab", "--times", "2", "--json") == 3
    assert capsys.readouterr().out == "abab True False\n"
    assert run("plugins", "--json") == 0
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert {"name": "echo", "summary": "Say a word.", "distribution": "acme_says", "version": "1.0"} in commands
    assert run("plugins") == 0
    assert "Say a word." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("usage", 2, "mashkit echo: that word (say another)\n"),
        ("catalog", 1, "mashkit echo: no clips (add some)\n"),
        ("bug", 1, "mashkit echo: command 'echo' of acme_fails failed: KeyError: 'missing' (tell its authors: "),
        ("nothing", 1, "mashkit echo: command 'echo' of acme_fails failed: TypeError: "),
    ],
)
def test_its_errors_are_told_in_a_line(
    install: Installer, capsys: pytest.CaptureFixture[str], word: str, status: int, said: str
) -> None:
    install("acme_fails")
    assert run("echo", word) == status
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == 1
    assert word != "bug" or "acme_fails.py, line 15" in told


def test_wrong_usage_is_argparses(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme_usage")
    assert run("echo") == 2
    assert "required: word" in capsys.readouterr().err


def test_a_command_that_cannot_be_configured_harms_no_other(
    install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme_good")
    install("acme_unusual", "odd", PLUGIN.replace('add_argument("word")', 'add_argument("word", nonsense=1)'))
    assert run("odd") == 1
    assert "command 'odd' of acme_unusual failed: TypeError" in capsys.readouterr().err
    assert run("echo", "a") == 3
    assert run("--help") == 0


@pytest.mark.plugins  # without them `doctor` has something to find fault with
def test_mashkits_own_commands_stay_its_own(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme_takes_over", "plugins")
    assert run("plugins", "--json") == 0
    assert json.loads(capsys.readouterr().out)["components"]
    assert run("--help") == 0
    assert "Say a word." not in capsys.readouterr().out
    assert run("doctor", "--json") == 0
    checks = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["command plugins"]["problem"] == "mashkit has this command; the command of acme_takes_over is ignored"


def test_an_option_chooses_among_commands_that_share_a_word(
    install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = PLUGIN.replace('add_argument("word")', 'add_argument("--{name}", dest="word")').replace(
        "{name!r}", '"echo --{name}"'
    )
    install("acme_loud", "loud", said)
    install("acme_soft", "soft", said.replace("Say a word", "Hum 100 % of a word"))
    assert run("echo", "--soft", "ab", "--times", "2") == 3
    assert run("echo", "--loud=ab") == 3
    assert capsys.readouterr().out == "abab False False\nab False False\n"
    fix = "(give one: --loud to say a word, or --soft to hum 100 % of a word)\n"
    assert run("echo", "--times", "2") == 2
    assert capsys.readouterr().err == f"mashkit echo: neither --loud nor --soft is given {fix}"
    assert run("echo", "--soft", "a", "--loud", "a") == 2
    assert capsys.readouterr().err == f"mashkit echo: --loud and --soft are given {fix}"
    assert run("echo", "--help") == 0
    help_ = capsys.readouterr().out
    assert "usage: mashkit echo [-h] [--json] [--quiet] [--loud WORD]" in help_
    assert "Hum 100 % of a word." in help_
    assert run("--help") == 0
    assert "echo --soft" in capsys.readouterr().out
    install("acme_whisper", "soft", said)
    assert run("echo", "--soft", "a") == 1
    assert "'echo --soft' is registered by acme_soft and acme_whisper" in capsys.readouterr().err
    assert run("echo", "--loud", "a") == 3


@pytest.mark.plugins  # without them `doctor` has something to find fault with
def test_two_plugins_with_one_command(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme_first")
    install("acme_second")
    install("acme_third", "other")
    assert run("echo", "a") == 1
    assert "registered by acme_first and acme_second (uninstall one of them)" in capsys.readouterr().err
    assert run("other", "a") == 3
    capsys.readouterr()
    assert run("doctor", "--json") == 0
    checks = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["command echo"]["problem"] == "it is registered by acme_first and acme_second"
    assert checks["command other"]["ok"]


@pytest.mark.parametrize("name", ["Echo", "e cho", "--echo", ""])
def test_a_name_that_cannot_be_typed_breaks_the_plugin(
    install: Installer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    install("acme_misnamed", name)
    assert run("plugins", "--json") == 0
    (broken,) = json.loads(capsys.readouterr().out)["broken"]
    assert "a command cannot be called" in broken["reason"]


def test_a_command_that_is_none_breaks_the_plugin(install: Installer, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme_none", code="from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_commands(): return [len]")
    assert run("plugins", "--json") == 0
    assert "not a Command" in json.loads(capsys.readouterr().out)["broken"][0]["reason"]


def test_an_unknown_command_names_the_plugin_that_may_have_brought_it(
    install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme_out_of_order", code="raise RuntimeError('out of order')")
    assert run("echo") == 2
    told = capsys.readouterr().err
    assert "broken plugin: acme_out_of_order" in told
    assert "invalid choice: 'echo'" in told


def test_a_published_command_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MASHKIT_PLUGINS", raising=False)
    entries = importlib.metadata.entry_points(group="mashkit")
    core = [one for one in entries if one.dist is not None and one.dist.name == "mashkit"]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: core)
    for command, option, plugin in (
        ("features", "", "mashkit-mashnet-train"),
        ("train", " --data", "mashkit-mashnet-train"),
        ("train", " --preferences", "mashkit-taste"),
    ):
        assert run(command, *option.split(), "store") == 2
        told = f"mashkit {command}: command {command + option!r} is not installed: {plugin} brings it"
        assert capsys.readouterr().err == f"{told} (pip install {plugin})\n"


def test_a_published_command_names_its_plugin_that_is_broken_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MASHKIT_PLUGINS", raising=False)
    info = tmp_path / "mashkit_mashnet_train-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mashkit-mashnet-train\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mashkit]\nmashnet-train = acme_nowhere\n")
    (broken,) = importlib.metadata.Distribution.at(info).entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    assert run("features") == 1
    told = capsys.readouterr().err
    assert "command 'features': its plugin mashkit-mashnet-train could not be loaded" in told
    assert "acme_nowhere" in told
    monkeypatch.setenv("MASHKIT_PLUGINS", "")
    assert run("features") == 2
    told = capsys.readouterr().err
    assert "mashkit-mashnet-train is not among the plugins to load" in told
    assert "(add to MASHKIT_PLUGINS: mashkit-mashnet-train)" in told


def test_plugins_that_are_not_allowed_add_nothing(
    install: Installer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme_shut_out")
    monkeypatch.setenv("MASHKIT_PLUGINS", "")
    assert run("echo", "a") == 2
    assert "invalid choice" in capsys.readouterr().err


def test_own_commands_are_known() -> None:
    assert {"mash", "plugins", "doctor", "db"} <= own_commands()
