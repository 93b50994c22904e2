"""`--licences` and `--preset`: what does not fit is refused before work begins, and what fits is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import mashkit as mk
from installing import install
from mashkit.cli import main
from mashkit.cli.kits import PRESETS
from mashkit.licences import POLICIES, fits
from mashkit.synthetic import signals


@pytest.mark.parametrize(
    ("licence", "fitting"),
    [("MIT", True), ("mit or apache-2.0", True), ("gpl-3.0-only", False), ("none", True),
     ("CC0-1.0", True), ("GPL-3.0-only", False), ("AGPL-3.0-only", False),
     ("CC-BY-NC-SA-4.0", False), ("MIT AND Apache-2.0", True), ("ISC AND GPL-2.0-or-later", False),
     ("MIT OR GPL-3.0-only", True), ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", False),
     ("GPL-2.0-only AND (MIT OR ISC)", False), ("MIT OR GPL-2.0-only AND AGPL-3.0-only", True), ("unknown", False),
     ("", False), ("MIT AND", False), ("(MIT", False), ("MIT, disputed", False), ("MIT)", False)],
)  # fmt: skip
def test_what_is_permissive(licence: str, fitting: bool) -> None:
    assert fits(licence, "permissive") is fitting
    assert fits(licence, "any")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return mk.save(tmp_path / "song.wav", signals.tone(220.0, 3.0))


@pytest.mark.plugins
def test_what_does_not_fit_is_refused_before_the_work(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mash", str(song), "-o", str(tmp_path / "out"), "--licences", "permissive"]) == 2
    said = capsys.readouterr().err
    assert "analyzer 'madmom': weights are under CC-BY-NC-SA-4.0" in said
    assert "--analyzer librosa" in said
    assert "essentia" not in said  # AGPL
    assert "separator" not in said  # the default separator fits
    assert list((tmp_path / "out").rglob("*.flac")) == []
    assert main(["stretch", str(song), "--stretcher", "pedalboard", "--licences", "permissive", "-o", "x.wav"]) == 2
    said = capsys.readouterr().err
    assert "code is under GPL-3.0-only" in said
    assert "signalsmith" in said
    assert "rubberband" not in said


CLOSED = """
import mashkit as mk
from mashkit.interfaces import Scorer

class Closed(Scorer):
    info = mk.ComponentInfo(
        name="closed", target="closed:Closed", summary="s", provides=["x"], code_license="GPL-3.0-only"
    )

    def _score(self, mashups):
        return []

@mk.hookimpl
def mashkit_register_scorers():
    return [Closed.info]
"""


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a plugin with the scorer "closed", whose code is not permissive."""
    monkeypatch.syspath_prepend(install(tmp_path / "installed", "closed", CLOSED))


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["audition", "OUT", "--score", "random", "--score", "closed"], "--score"),
        (
            ["listen", "new", "--task", "generation", "--systems", "random,closed", "--db", "x", "-o", "OUT"],
            "--systems",
        ),
    ],
)
def test_scorers_are_checked_by_whichever_option_they_are_chosen(
    command: list[str], option: str, closed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / "out") if word == "OUT" else word for word in command]
    assert main([*words, "--licences", "permissive"]) == 2
    said = capsys.readouterr().err
    assert "scorer 'closed': code is under GPL-3.0-only, which --licences permissive does not allow" in said
    assert re.search(rf"\({option} .*\brandom\b", said)
    assert not (tmp_path / "out").exists()


@pytest.mark.plugins
def test_parts_of_composites_count(song: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["analyze", str(song), "--licences", "permissive", "--analyzer"]
    assert main([*words, "key:librosa,beats:essentia"]) == 2
    assert "AGPL-3.0-only" in capsys.readouterr().err
    assert main([*words, "librosa", "--json"]) == 0


@pytest.mark.plugins
def test_the_preset_keeps_its_policy(song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, components in PRESETS.items():
        assert name in POLICIES
        for kind, component in ((kind, one) for kind, names in components.items() for one in names):
            cards = [one.info for one in mk.Registry().components()
                     if one.kind == kind and one.info.name in re.split("[:,]", component)]  # fmt: skip
            assert cards, component
            assert all(fits(card.code_license, name) and fits(card.weights_license, name) for card in cards), component
    assert main(["analyze", str(song), "--preset", "permissive", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["analyzer"]["name"] == "librosa"
    assert main(["analyze", str(song), "--preset", "permissive", "--analyzer", "madmom"]) == 2
    assert "--licences permissive does not allow" in capsys.readouterr().err
    assert main(["mash", str(song), "-o", str(tmp_path / "out"), "--preset", "permissive"]) == 2
    assert "finds no downbeats" in (said := capsys.readouterr().err)
    assert "--protocol rekordbox" in said
    for command in (["mash", "-o", str(tmp_path / "out")], ["generate", "--dry-run"]):
        assert main([command[0], str(song), *command[1:], "--analyzer", "librosa"]) == 2
        assert "analyzer 'librosa' finds no downbeats, which" in (said := capsys.readouterr().err)
        assert "--preset" not in said
    original = ["generate", str(song), "--dry-run", "--condition", "original", "--analyzer", "librosa"]
    assert main(original) == 0  # the downbeats of one song meet, whether they are known or not


@pytest.mark.plugins
def test_the_settings_have_a_policy(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_CONFIG", str(tmp_path / "config.toml"))
    assert main(["config", "set", "licences", "free"]) == 2
    assert "any or permissive" in capsys.readouterr().err
    assert main(["config", "set", "licences", "permissive"]) == 0
    assert main(["analyze", str(song)]) == 2
    assert "CC-BY-NC-SA-4.0" in capsys.readouterr().err
    assert main(["analyze", str(song), "--licences", "any", "--analyzer", "librosa"]) == 0
