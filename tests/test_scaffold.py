"""A stranger's plugin: written by one command, it installs, keeps its contract and is found, listed and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from mashkit.bench.results import read_result
from mashkit.cli import main
from mashkit.errors import OutputError, UsageError
from mashkit.interfaces import INTERFACES
from mashkit.scaffold import new_plugin

ROOT = Path(__file__).parents[1]


def installed(folder: Path, name: str) -> Path:
    """Do to a source folder what `pip install -e .` does, and return what to put on the path."""
    module = f"mashkit_{name.replace('-', '_')}"
    info = folder / "src" / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mashkit-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{name} = {module}\n")
    return folder / "src"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Plugins of every kind, written and tested: the report of their tests, and what `mashkit plugins` lists then.

    One process tests all of them, because each would import everything again.
    """
    folder = tmp_path_factory.mktemp("written")
    path = []
    for number, kind in enumerate(INTERFACES):
        assert main(["new", kind, f"acme-{number}", "-o", str(folder)]) == 0
        path.append(str(installed(folder / f"mashkit-acme-{number}", f"acme-{number}")))
    report = folder / "report.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist",
         "--import-mode=importlib", f"--rootdir={folder}", f"--junitxml={report}",
         *(folder / f"mashkit-acme-{number}" for number in range(len(INTERFACES)))],
        cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(path)}, check=False,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for one in path:
            patch.syspath_prepend(one)
        assert main(["plugins", "-o", str(folder / "plugins.json"), "--quiet"]) == 0
    return report, json.loads((folder / "plugins.json").read_text())["components"]


@pytest.mark.whole
@pytest.mark.parametrize(("number", "kind"), list(enumerate(INTERFACES)), ids=list(INTERFACES))
def test_what_is_written_keeps_its_contract(number: int, kind: str, written: tuple[Path, list[dict[str, Any]]]) -> None:
    report, rows = written
    own = [
        case
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 — pytest wrote it just now
        if f"acme_{number}" in case.attrib["classname"] or f"acme-{number}" in case.attrib["classname"]
    ]
    assert own
    wrong = [one for case in own for one in (*case.findall("failure"), *case.findall("error"))]
    assert not wrong, wrong[0].text
    (row,) = [row for row in rows if row["distribution"] == f"mashkit-acme-{number}"]
    assert (row["kind"], row["name"], row["available"]) == (kind, f"acme-{number}", True)


def test_the_code_written_is_as_clean_as_ours(tmp_path: Path) -> None:
    for kind in INTERFACES:
        folder = new_plugin(kind, f"acme-{kind}", tmp_path)
        for command in (["check", "--select", "E,F,W,I,UP,N"], ["format", "--check"]):
            subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--line-length", "120", "."], check=True, cwd=folder
            )


@pytest.mark.parametrize("name", ["Acme", "2acme", "acme_2", "acme--x", "", "a/b", "../acme", "class"])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a name"):
        new_plugin("scorer", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_plugin_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mashkit_amu", reason="mashkit-amu is the plugin of this name")
    with pytest.raises(UsageError, match=r"mashkit-amu .* is installed already"):
        new_plugin("scorer", "amu", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="kinds are"):
        new_plugin("mixer", "acme", tmp_path)
    assert main(["new", "scorer", "acme", "-o", str(tmp_path), "--json"]) == 0
    assert "src/mashkit_acme/scorer.py" in json.loads(capsys.readouterr().out)["files"]
    with pytest.raises(OutputError, match="exists"):
        new_plugin("scorer", "acme", tmp_path)
    assert main(["new", "analyzer", "acme", "-o", str(tmp_path)]) == 1
    assert not (tmp_path / "mashkit-acme" / "src" / "mashkit_acme" / "analyzer.py").exists()


def test_what_is_written_imports_the_plugin_api_only() -> None:
    stability = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    promised = re.search(r"The plugin API is: (.*?);", stability, re.DOTALL)
    assert promised is not None
    templates = (ROOT / "mashkit" / "scaffold" / "templates").glob("*.py.txt")
    code = "\n".join(path.read_text(encoding="utf-8") for path in templates)
    imported = set(re.findall(r"^(?:from|import) (mashkit[\w.]*)", code, re.MULTILINE))
    assert "mashkit.features.tuner" in imported
    for module in imported:
        name = "mashkit.interfaces" if module.startswith("mashkit.interfaces.") else module
        assert f"`{name}`" in promised[1], module


@pytest.mark.slow
def test_built_wheels_in_a_fresh_environment(tmp_path: Path) -> None:
    """mashkit and a stranger's scorer as wheels: its tests pass, it is listed, it competes in a benchmark."""
    constraints = ["-c", str(ROOT / "constraints.txt")]
    folder = new_plugin("scorer", "acme", tmp_path)
    wheels = tmp_path / "wheels"
    # The mashups it judges in the benchmark are rendered by the default stretcher.
    for source in (ROOT, ROOT / "plugins" / "mashkit-signalsmith", folder):
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, source],
            check=True,
        )
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    built = sorted(map(str, wheels.glob("*.whl")))
    subprocess.run(
        [python, "-m", "pip", "install", "-q", *constraints, *built, "pytest", "matplotlib", "pyarrow"],
        check=True,
        cwd=tmp_path,
    )
    subprocess.run([python, "-m", "pytest", "-q", str(folder)], check=True, cwd=tmp_path)
    cli = [tmp_path / "fresh" / "bin" / "mashkit"]
    listed = subprocess.run([*cli, "plugins", "--json"], check=True, capture_output=True, cwd=tmp_path)
    assert "acme" in {row["name"] for row in json.loads(listed.stdout)["components"]}
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntask = "scorers"\ntitle = "Mine"\n[settings]\ncollection = "rendered"\nvocals = 2\n'
        'matched = 2\nother_stretcher = ""\nother_separator = ""\ngroups = ["controlled"]\n'
        '[[competitors]]\ncomponent = "acme"\n'
    )
    subprocess.run([*cli, "bench", "run", "mine.toml", "-o", "results", "--quiet"], check=True, cwd=tmp_path)
    result = read_result(tmp_path / "results" / "mine.json")
    assert [one.label for one in result.competitors] == ["acme"]
    assert {row.status for row in result.rows} == {"ok"}
    assert 0 <= result.competitors[0].metrics["auc"] <= 100
