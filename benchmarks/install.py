"""What a stranger installs: the wheels in empty environments, one for each Python, and the main job done there.

    make dist
    python benchmarks/install.py python3.11 python3.12 python3.13 --write
    python benchmarks/install.py python3.11 --versions newest     # what breaks without constraints.txt
    python benchmarks/install.py python3.11 --versions oldest     # the lower bounds of pyproject.toml (needs uv)
    python benchmarks/install.py python3.11 --extra bench         # another set, and what it is for

For each: `mashkit[default]` is installed from dist/, without bytecode, which saves a fifth of the disk; then
`mashkit doctor`; three mashups of examples/songs are made; a generated scorer plugin is built, installed, and passes
the contract suite. With --extra, that set is installed and the commands of SETS are run instead. A step that fails is a
row with its last line, and the other interpreters go on. Sizes are of the environment after the install. Wall times
hold for a machine that does nothing else. With --write, benchmarks/results/install.json and install.md; rows of other
interpreters, versions, sets and systems stay.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from script import RESULTS, run_script, write_results

ROOT = Path(__file__).parents[1]
TARGETS = {"install_s": 180, "size_mb": 1500, "mash_s": 300}
"""Issue "The door": the default set with torch's CPU build, and three mashups from nothing but the download."""
SONGS = str(ROOT / "examples" / "songs")
SONG = f"{SONGS}/slow-river.ogg"
SETS: Mapping[str, tuple[str, Sequence[Sequence[str]]]] = {
    "default": ("default", ()),
    "permissive": (
        "permissive",
        [["separate", SONG, "-o", "stems", "--preset", "permissive"], ["analyze", SONG, "--preset", "permissive"]],
    ),
    "bench": ("default,bench", [["bench", "run", "smoke", "-o", "bench"]]),
    "listen": (
        "listen",
        [["listen", "new", "--task", "custom", "--table", "table.csv", "-o", "study"],
         ["listen", "simulate", "study", "-o", "simulated.json"],
         ["listen", "report", "simulated.json", "-o", "report"]],
    ),
    "train": (
        "default,train",
        [["db", "add", SONGS, "--db", "clips"], ["features", "db", "clips", "-o", "store"],
         ["train", "--data", "store", "--variant", "intervalnet", "--steps", "2", "-o", "run"]],
    ),
}  # fmt: skip
"""Name → what is installed, and the commands that are run then."""
TABLE = "page,file,system,vocal\n" + "".join(
    f"{page},{SONGS}/{song}.ogg,{system},{page}\n"
    for page, songs in (("one", ("slow-river", "mango-season")), ("two", ("harbour-lights", "pocket-change")))
    for system, song in zip("ab", songs, strict=True)
)
"""Sounds for a listening test: a page compares two songs."""
SHOWN = (
    "python",
    "system",
    "versions",
    "extra",
    "install_s",
    "size_mb",
    "torch",
    "numpy",
    "librosa",
    "mash_s",
    "plugin_s",
    "extra_s",
    "said",
)


WHICH = ("python", "system", "versions", "extra")
"""What tells one row from another."""


class Failed(Exception):
    """A step did not end well: the name of the step, and the last line its program wrote."""


def call(step: str, command: Sequence[str | Path], cwd: Path) -> tuple[str, float]:
    """Run a program in a clean surrounding; return what it wrote, and its seconds."""
    here = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    here["MASHKIT_CACHE"] = str(cwd / "cache")
    began = time.perf_counter()
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=here, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise Failed(f"{step}: {said}")
    return done.stdout, time.perf_counter() - began


def size_mb(folder: Path) -> int:
    """Return what the files of a folder take, in MB of 10⁶ bytes."""
    return round(sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6)


def wanted(versions: str, python: Path, dist: Path, work: Path) -> list[str | Path]:
    """Return pip's options for the versions to install: those of constraints.txt, the oldest allowed, or the newest."""
    if versions == "newest":
        return []
    if versions == "pinned":
        return ["-c", ROOT / "constraints.txt"]
    distributions = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    projects = [
        ROOT / "pyproject.toml",
        *(ROOT / "plugins" / name / "pyproject.toml" for name in distributions["default"]),
    ]
    call(
        "oldest",
        ["uv", "pip", "compile", *projects, "-o", "oldest.txt", "--resolution", "lowest-direct",
         "--find-links", dist, "--python", python, "--no-header", "-q"],
        work,
    )  # fmt: skip
    return ["-c", work / "oldest.txt"]


def measured(interpreter: str, versions: str, dist: Path, work: Path, row: dict[str, Any]) -> None:
    """Fill a row, step by step: what was measured before a step that fails stays."""
    work.mkdir(parents=True)
    call("venv", [interpreter, "-m", "venv", work / "env"], work)
    programs = work / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    row["python"] = call("venv", [python, "-c", "import platform; print(platform.python_version())"], work)[0].strip()
    install = [python, "-m", "pip", "install", "-q", "--no-compile", "--find-links", dist]
    limits = wanted(versions, python, dist, work)
    extras, commands = SETS[row["extra"]]
    row["install_s"] = round(call("install", [*install, *limits, f"mashkit[{extras}]"], work)[1])
    row["size_mb"] = size_mb(work / "env")
    ask = "import importlib.metadata as m; print(*(f'{one.name}=={one.version}' for one in m.distributions()))"
    versions_of = dict(pair.lower().split("==") for pair in call("install", [python, "-c", ask], work)[0].split())
    row |= {name: versions_of[name] for name in ("torch", "numpy", "librosa") if name in versions_of}
    if commands:
        (work / "table.csv").write_text(TABLE)
        row["extra_s"] = round(sum(call(one[0], [programs / "mashkit", *one, "--quiet"], work)[1] for one in commands))
        return
    call("doctor", [programs / "mashkit", "doctor"], work)
    mash = [programs / "mashkit", "mash", ROOT / "examples" / "songs", "-o", "out", "--top", "3", "--seed", "1"]
    said, row["mash_s"] = call("mash", [*mash, "--json", "--quiet"], work)
    row["mash_s"] = round(row["mash_s"])
    row["mashups"] = len(json.loads(said)["mashups"])
    call("plugin", [programs / "mashkit", "new", "scorer", "acme"], work)
    call("plugin", [*install, *limits, "hatchling", "pytest"], work)
    call("plugin", [python, "-m", "hatchling", "build", "-t", "wheel", "-d", work / "made"], work / "mashkit-acme")
    call("plugin", [*install, "--find-links", work / "made", "--no-deps", "mashkit-acme"], work)
    row["plugin_s"] = round(call("plugin", [python, "-m", "pytest", "-q", "mashkit-acme/tests"], work)[1])


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Installed from wheels, in empty environments", "",
        "Made by `make dist` and `python benchmarks/install.py PYTHON… --write`: `mashkit[default]` without bytecode, "
        "doctor, three mashups of examples/songs, a generated scorer plugin with its contract suite; with `--extra` "
        "another set and what it is for (`SETS` in the program). Targets, with "
        f"torch's CPU build: install {TARGETS['install_s']} s, {TARGETS['size_mb']:,} MB, mashups {TARGETS['mash_s']} "
        "s. PyPI's torch for Linux brings CUDA libraries; the index https://download.pytorch.org/whl/cpu has none.", "",
        "| " + " | ".join(name.replace("_s", ", s").replace("_mb", ", MB") for name in SHOWN) + " |",
        "|---" * len(SHOWN) + "|",
    ]  # fmt: skip
    lines += ["| " + " | ".join(f"{row.get(name, '–')}" for name in SHOWN) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write with ``--write``; exit status 3 if a step failed anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interpreters", nargs="+", metavar="PYTHON", help="programs: python3.11, or paths")
    parser.add_argument("--versions", choices=("pinned", "oldest", "newest"), default="pinned")
    parser.add_argument("--extra", choices=SETS, default="default", help="default: %(default)s")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="wheels of `make dist`; default: dist")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    dist = arguments.dist.resolve()
    if not list(dist.glob("mashkit-*.whl")):
        parser.error(f"no wheel of mashkit in {dist}: run `make dist` first, or name the folder with --dist")
    release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    system = release.get("PRETTY_NAME", platform.platform())
    rows = []
    for interpreter in arguments.interpreters:
        row: dict[str, Any] = {
            "python": interpreter,
            "system": system,
            "versions": arguments.versions,
            "extra": arguments.extra,
            "said": "all ok",
        }
        with tempfile.TemporaryDirectory() as folder:
            try:
                measured(interpreter, arguments.versions, dist, Path(folder) / "work", row)
            except (Failed, OSError) as error:
                row["said"] = str(error)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if arguments.write:
        path = RESULTS / "install.json"
        kept = json.loads(path.read_text())["rows"] if path.exists() else []
        new = {tuple(row[name] for name in WHICH) for row in rows}
        rows = [row for row in kept if tuple(row[name] for name in WHICH) not in new] + rows
        write_results(path, {"targets": TARGETS, "rows": rows}, page(rows), indent=1)
    sys.exit(3 if any(row["said"] != "all ok" for row in rows) else 0)


if __name__ == "__main__":
    run_script(main)
