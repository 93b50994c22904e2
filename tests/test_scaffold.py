"""A stranger's plugin: written by one command, it installs, keeps its contract and is found, listed and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mashkit.bench.results import read_result
from mashkit.cli import main
from mashkit.errors import OutputError, UsageError
from mashkit.interfaces import INTERFACES
from mashkit.scaffold import new_plugin

ROOT = Path(__file__).parents[1]


def installed(folder: Path, name: str) -> dict[str, str]:
    """Do to a source folder what `pip install -e .` does, and return the environment in which it is installed."""
    module = f"mashkit_{name.replace('-', '_')}"
    info = folder / "src" / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mashkit-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{name} = {module}\n")
    return {**os.environ, "PYTHONPATH": str(folder / "src")}


@pytest.mark.whole
@pytest.mark.parametrize("kind", INTERFACES)
def test_what_is_written_keeps_its_contract(kind: str, tmp_path: Path) -> None:
    assert main(["new", kind, "acme-2", "-o", str(tmp_path)]) == 0
    folder = tmp_path / "mashkit-acme-2"
    environment = installed(folder, "acme-2")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    listed = subprocess.run(
        [sys.executable, "-c", "import sys; from mashkit.cli import main; sys.exit(main())", "plugins", "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    rows = json.loads(listed.stdout)["components"]
    (row,) = [row for row in rows if row["distribution"] == "mashkit-acme-2"]
    assert (row["kind"], row["name"], row["available"]) == (kind, "acme-2", True)


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


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="kinds are"):
        new_plugin("mixer", "acme", tmp_path)
    assert main(["new", "scorer", "acme", "-o", str(tmp_path), "--json"]) == 0
    assert "src/mashkit_acme/scorer.py" in json.loads(capsys.readouterr().out)["files"]
    with pytest.raises(OutputError, match="exists"):
        new_plugin("scorer", "acme", tmp_path)
    assert main(["new", "analyzer", "acme", "-o", str(tmp_path)]) == 1
    assert not (tmp_path / "mashkit-acme" / "src" / "mashkit_acme" / "analyzer.py").exists()


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
