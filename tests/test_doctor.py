"""`mashkit doctor` names plugins whose distributions do not fit the installed ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from light import distribution
from mashkit.cli import main
from mashkit.cli.doctor import installed_badly


@pytest.fixture
def needy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the plugin of light.py; it needs what is not there, a newer numpy, and what only an extra needs."""
    folder = distribution(tmp_path / "light")
    metadata = folder / "mashkit_light-1.0.dist-info" / "METADATA"
    needs = (
        "nowhere-to-be-found>=2",
        "numpy>=99",
        "attrs>=20",
        'missing; extra == "more"',
        'old; python_version < "3"',
    )
    metadata.write_text(metadata.read_text() + "".join(f"Requires-Dist: {need}\n" for need in needs))
    monkeypatch.syspath_prepend(folder)


def test_what_is_missing_and_what_is_too_old_is_named(needy: None, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    problems = {
        (one["problem"].split(" is ")[0], one["fix"]) for one in checks if one["check"] == "plugin mashkit_light"
    }
    assert problems == {
        ("nowhere-to-be-found", "pip install mashkit_light"), ("numpy", "pip install 'numpy>=99'"),
    }  # fmt: skip
    assert not any(one["needed"] for one in checks if one["check"] == "plugin mashkit_light")


def test_our_own_distributions_have_the_version_of_mashkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "mashkit_tiv-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mashkit-tiv\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    ((name, problem, fix),) = installed_badly(["mashkit-tiv", "mashkit", "nobody-installed-this"])
    assert (name, problem.split(",")[0]) == ("mashkit-tiv", "version 0.0.1")
    assert fix.startswith("pip install mashkit-tiv==")
