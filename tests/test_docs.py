"""What the docs say is true: every command and snippet in them runs, every hook and component is named."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from light import QUICKEST
from mashkit import hookspecs
from mashkit.cli import main
from mashkit.registry import Registry

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks" / "README.md"
PAGES = [
    ROOT / "README.md", BENCHMARKS, *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]  # fmt: skip
FOLLOWED = ROOT / "docs" / "tutorial.md"
"""A page whose steps need each other: tests/test_tutorial.py does them in order."""
SLOW = ("minutes", "hours")
"""A command whose comment begins so is run by nobody who is in a hurry."""
REPEATING = (
    "benchmarks/README", "docs/alignment", "docs/collections", "docs/composites", "docs/executors",
    "docs/how-to-change", "docs/how-to-choose", "docs/how-to-compare", "docs/how-to-songs", "docs/isolation",
    "docs/listening", "docs/reproduce", "mashkit-chords/README", "mashkit-librosa/README", "mashkit-madmom/README",
    "mashkit-ray/README", "mashkit-rubberband/README", "mashkit-stemnet/README", "mashkit-tiv/README",
    "mashkit-vh2015/README",
)  # fmt: skip
"""Pages marked slow, because what they run is on a quick page too, or in the quick tests of the command or plugin."""
FEWEST: Mapping[str, str] = {"--count": "3", "--top": "1"}
"""Added to a `mash` that does not say them, because all plans that are drawn are scored, and the best are encoded."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path, *slow: str) -> list[str]:
    """Return the commands of a page: the quick ones, or those whose comment begins with one of ``slow``."""
    parts = [line.partition(" #") for block in blocks(page, "sh") for line in block.splitlines()]
    told = [
        (command.strip(), next((one for one in SLOW if about.strip().startswith(one)), ""))
        for command, _, about in parts
    ]
    wanted = slow or ("",)
    return [command for command, how_slow in told if command.startswith("mashkit ") and how_slow in wanted]


def of_pages(has: Callable[[Path], list[str]]) -> pytest.MarkDecorator:
    """Return the mark that gives a test each page on which there is something; `-k docs/alignment` chooses one."""
    named = {f"{page.parent.name}/{page.stem}": page for page in PAGES if page != FOLLOWED and has(page)}
    return pytest.mark.parametrize(
        "page",
        [
            pytest.param(page, id=name, marks=[pytest.mark.slow] if name in REPEATING else [])
            for name, page in named.items()
        ],
    )


@pytest.fixture(scope="module")
def collection(short_songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The songs' database, made once: every page's `db add` finds them in a copy of it."""
    folder = tmp_path_factory.mktemp("collection") / "collection"
    assert main(["db", "add", str(short_songs), "--db", str(folder), *QUICKEST, "-O", "executor.jobs=0"]) == 0
    return folder


@pytest.fixture(scope="module")
def computed(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all pages: another copy of the database, because pages add to it."""
    return Path(shutil.copytree(collection, tmp_path_factory.mktemp("computed") / "cache"))


@pytest.fixture
def workplace(
    tmp_path: Path, short_songs: Path, computed: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder that looks like the clone from the inside, with fewer and shorter songs, and may be written to.

    Its user's settings choose the quickest separator. The default separator has its own page and its own tests.
    """
    (tmp_path / "settings.toml").write_text(f'separator = "{QUICKEST[1]}"\n')
    monkeypatch.setenv("MASHKIT_CONFIG", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("MASHKIT_CACHE", str(computed))
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "songs").symlink_to(short_songs)
    (tmp_path / "song.ogg").symlink_to(short_songs / "slow-river.ogg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.plugins
@of_pages(commands)
def test_every_command_runs(
    page: Path, workplace: Path, collection: Path, collections_on_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in collections_on_disk.iterdir():  # what docs/collections.md speaks of
        (workplace / folder.name).symlink_to(folder)
    (workplace / "music").mkdir(exist_ok=True)
    for command in commands(page):
        arguments = shlex.split(command.replace("../shared/data", "music"))[1:]
        if arguments[:3] == ["db", "add", "examples/songs"]:
            shutil.copytree(collection, workplace / arguments[arguments.index("--db") + 1])
        if arguments[0] == "mash":
            arguments += [part for option in FEWEST.items() if option[0] not in arguments for part in option]
        status = main(arguments)
        assert status == 0, f"{command}: {capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(BENCHMARKS, "minutes"))
def test_every_command_of_minutes_runs(command: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err


@pytest.mark.plugins
@pytest.mark.parametrize("command", commands(BENCHMARKS, *SLOW))
def test_every_slow_command_would_run(command: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without competitors of that name, all is read and planned that a run begins with."""
    (workplace / "music").mkdir()
    assert main([*shlex.split(command.replace("../shared/data", "music"))[1:], "--only", "nobody"]) == 2
    assert "nobody called 'nobody' competes" in capsys.readouterr().err


@pytest.mark.plugins
@of_pages(lambda page: blocks(page, "python"))
def test_every_snippet_runs(page: Path, workplace: Path) -> None:
    # Two songs that fit each other are enough, and snippets separate them by the default separator, which takes long.
    songs = workplace / "examples" / "songs"
    every = songs.resolve()
    songs.unlink()
    songs.mkdir()
    for path in every.iterdir():
        if path.stem in ("mango-season", "slow-river"):
            (songs / path.name).symlink_to(path)
    # A block that begins with a file name is that file: docs/write-a-plugin.md grows a whole distribution this way.
    tests = []
    for block in [*blocks(page, "python"), *blocks(page, "toml")]:
        named = re.match(r"# (\S+\.(?:py|toml))\n", block)
        if named:
            path = workplace / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
            tests += [path] if path.name.startswith("test_") else []
        else:
            _run_snippet(block, page)
    for test in tests:
        _install_as_distribution(workplace, (workplace / "pyproject.toml").read_text())
        environment = {**os.environ, "PYTHONPATH": str(workplace / "src")}
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error", str(test)], check=True, cwd=workplace, env=environment
        )


def _run_snippet(code: str, page: Path) -> None:
    """Run code among names of its own: in this process, where torch and librosa are imported once for all snippets."""
    if "ray" in page.parent.name:  # Ray has one connection a process, which its own tests use
        subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # a warning does not stop a reader's program
        exec(compile(code, str(page), "exec"), {"__name__": "__main__"})  # noqa: S102 — our own docs


def _install_as_distribution(folder: Path, pyproject: str) -> None:
    """Do to a source folder what `pip install -e .` does: give it the metadata its pyproject declares."""
    entry_points = re.search(r"^(\w+) = \"(\w+)\"$", pyproject, flags=re.MULTILINE)
    assert entry_points is not None
    info = folder / "src" / f"{entry_points[2]}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {entry_points[2]}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{entry_points[0]}\n".replace('"', ""))


def test_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^make (\S+)", "\n".join(blocks(ROOT / "README.md", "sh")), flags=re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_every_hook_is_documented() -> None:
    text = (ROOT / "docs" / "write-a-plugin.md").read_text()
    for name in dir(hookspecs):
        if name.startswith("mashkit_"):
            assert name in text, name


@pytest.mark.plugins
def test_the_readmes_table_is_what_the_plugins_say() -> None:
    table = re.search(r"<!-- plugins:.*?-->\n(.*?)<!-- end -->", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert table is not None
    rows = {
        (cells[0], cells[1].strip("`")): cells
        for line in table[1].strip().splitlines()[2:]
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    components = Registry().components()
    assert set(rows) == {
        (one.kind, one.info.name) for one in components if one.origin.distribution.startswith("mashkit")
    }
    for one in components:
        cells = rows[one.kind, one.info.name]
        assert cells[3] == one.info.code_license
        assert cells[4] == (one.info.weights_license if one.info.weights_license != "none" else "–")


def test_links_lead_somewhere() -> None:
    made = ROOT / "docs" / "reference"  # written when the site is built; test_site.py follows links to it
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            place = page.parent / target
            assert place.exists() or made in place.parents, f"{page}: {target}"


@pytest.mark.slow
@pytest.mark.plugins
def test_the_demos_proof_runs(workplace: Path) -> None:
    """The other programs of examples/ are run by test_examples.py."""
    proof = ROOT / "examples" / "check_labels.py"
    subprocess.run([sys.executable, str(proof), *QUICKEST], check=True, cwd=workplace, timeout=600)
