"""`make dist`: every distribution builds as wheel and source, with one version, and the wheels work by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
VERSION = (ROOT / "mashkit" / "VERSION").read_text().strip()

pytestmark = pytest.mark.slow


def build(folder: Path, into: Path) -> None:
    """Do what `make dist` does for one distribution."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(into)]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("dist")
    for folder in FOLDERS:
        build(folder, into)
    return into


def test_every_distribution_is_built_with_the_one_version(dist: Path) -> None:
    names = [folder.name.replace("-", "_") if folder != ROOT else "mashkit" for folder in FOLDERS]
    assert {path.name for path in dist.glob("*.whl")} == {f"{name}-{VERSION}-py3-none-any.whl" for name in names}
    assert {path.name for path in dist.glob("*.tar.gz")} == {f"{name}-{VERSION}.tar.gz" for name in names}
    for wheel in dist.glob("*.whl"):
        held = zipfile.ZipFile(wheel).namelist()
        assert any(name.endswith(".dist-info/entry_points.txt") for name in held), wheel.name
        assert not any(name.startswith(("tests/", "plugins/", "examples/")) for name in held), wheel.name


@pytest.mark.parametrize("name", ["mashkit", "mashkit_amu"])
def test_a_source_builds_the_same_wheel(dist: Path, name: str, tmp_path: Path) -> None:
    """Without the clone around it, from which the version comes."""
    with tarfile.open(dist / f"{name}-{VERSION}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        check=True, cwd=tmp_path / f"{name}-{VERSION}", capture_output=True,
    )  # fmt: skip
    wheel = f"{name}-{VERSION}-py3-none-any.whl"
    ours, theirs = (zipfile.ZipFile(folder / wheel) for folder in (dist, tmp_path))
    assert {one.filename: one.CRC for one in ours.infolist() if "dist-info" not in one.filename} == {
        one.filename: one.CRC for one in theirs.infolist() if "dist-info" not in one.filename
    }


def test_the_default_set_makes_mashups_in_an_empty_environment(dist: Path, short_songs: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    programs = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run(
        [programs / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", "--find-links", dist,
         f"mashkit[default]=={VERSION}"],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    here = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MASHKIT_CACHE")}
    here["MASHKIT_CACHE"] = str(tmp_path / "cache")
    checked = subprocess.run(
        [programs / "mashkit", "doctor", "--json"], env=here, cwd=tmp_path, capture_output=True, check=True
    )
    assert all(one["ok"] for one in json.loads(checked.stdout)["checks"] if one["needed"])
    made = subprocess.run(
        [programs / "mashkit", "mash", short_songs, "-o", "out", "--top", "2", "--jobs", "1", "--json", "--quiet"],
        env=here, cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    result = json.loads(made.stdout)
    assert len(result["mashups"]) == 2
    assert result["components"]["separator"]["version"] == VERSION
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "mashup-1" / "mix.flac").is_file()
