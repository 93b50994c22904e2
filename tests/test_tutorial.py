"""Do what docs/tutorial.md says, step by step, in a new folder: each command by a shell, each program from its file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mashkit as mk

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
STEPS = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COPY = "cp -r examples/songs my-songs"


def shell(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command as a reader does, and return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def level(audio: mk.Audio) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(audio.samples[:, : 20 * audio.sample_rate] ** 2))))


def test_the_page_has_all_its_steps() -> None:
    assert [language for language, _ in STEPS] == ["sh", "sh", "sh", "python", "sh"]
    assert f"`{COPY}`" in PAGE
    assert "pip install 'mashkit[default]'" in PAGE  # tests/test_dist.py installs it


@pytest.mark.slow
@pytest.mark.plugins
def test_no_step_fails(demo_songs: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "songs").symlink_to(demo_songs)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, arguments in (("mashkit", "-m mashkit "), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    shell(COPY.replace("examples/songs", "examples/songs/"), tmp_path, environment)
    said = []
    for language, block in STEPS:
        named = re.match(r"# (\S+\.py)\n", block)
        if language == "python":
            assert named is not None
            (tmp_path / named[1]).write_text(block)
        else:
            said.append(shell(block, tmp_path, environment))
    assert "out/mashup-1" in said[2]
    assert (tmp_path / "out" / "index.html").is_file()

    # What step 5 and 6 say of the changed mashup.
    before, after = tmp_path / "out" / "mashup-1", tmp_path / "changed"
    plans = [mk.MashupPlan.from_json((folder / "plan.json").read_text()) for folder in (before, after)]
    assert plans[1].mixing.fade_out_s == 2.0
    assert plans[1].id in said[3]
    quieter = {
        role: level(mk.load(after / "stems" / f"{role}.flac")) - level(mk.load(before / "stems" / f"{role}.flac"))
        for role in mk.Role
    }
    assert quieter[mk.Role.HARMONIC] - quieter[mk.Role.VOCAL] == pytest.approx(-3, abs=0.2)
    stems = [mk.load(path) for path in sorted((after / "stems").iterdir())]
    assert len({stem.frames for stem in stems}) == 1
    assert mk.load(tmp_path / "changed.mp3").duration == pytest.approx(stems[0].duration, abs=0.1)
