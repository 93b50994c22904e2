"""Every program in examples/ runs, on demo songs, and does what it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mashkit as mk
from light import QUICKEST
from mashkit.synthetic import signals

EXAMPLES = Path(__file__).parents[1] / "examples"
PLUGINS = {"scorer": "room-for-voice", "analyzer": "key-profile", "generator": "versus"}
KEY, TEMPO = mk.Key(10, "major"), 100.0  # fits the demo songs

pytestmark = pytest.mark.plugins  # the default components are plugins


def example(name: str) -> ModuleType:
    """Return a program of examples/ as a module, not yet run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tallies() -> list[dict[str, int]]:
    """What the example of a big folder told: one entry a run."""
    return []


@pytest.fixture(scope="module")
def database(
    short_songs: Path, tallies: list[dict[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The one database of these tests, made by the example of a big folder, in two runs; kits find all in it."""
    folder = tmp_path_factory.mktemp("examples")
    first = folder / "first"
    first.mkdir()
    for path in sorted(short_songs.glob("harbour-lights*")):
        (first / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mk.Kit, "ingest_executor", None)  # no other processes: each would import everything
        patch.setitem(mk.Kit.__init__.__kwdefaults__, "separator", QUICKEST[1])  # the default takes thrice as long
        patch.setenv("MASHKIT_CACHE", str(folder / "songs.mashdb"))
        big_folder = example("big_folder")
        tallies.extend(big_folder.main(songs, folder / "songs.mashdb") for songs in (first, short_songs))
        yield folder / "songs.mashdb"


@pytest.fixture
def here(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the program runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder of the stems of one song, and the second of its first downbeat."""
    stems, truth = signals.band(KEY, tempo=TEMPO, bars=20, seed=5)
    folder = tmp_path_factory.mktemp("band") / "Own Song"
    for name, audio in stems.stems.items():
        mk.save(folder / f"{name}.flac", mk.Audio(np.float32(0.4) * audio.samples, audio.sample_rate))
    assert truth.downbeats is not None
    return folder, float(truth.downbeats[0])


def test_every_program_is_tested() -> None:
    tested = Path(__file__).read_text() + (Path(__file__).parent / "test_cli.py").read_text()
    makefile = (EXAMPLES.parent / "Makefile").read_text()
    for program in EXAMPLES.glob("*.py"):
        assert f'example("{program.stem}")' in tested or program.name in makefile, program.name
    for notebook in EXAMPLES.glob("*.ipynb"):
        assert notebook.name in tested
    assert {path.name for path in (EXAMPLES / "plugins").iterdir()} == {f"mashkit-{name}" for name in PLUGINS.values()}


def test_a_big_folder_goes_on_where_it_was(database: Path, tallies: list[dict[str, int]]) -> None:
    assert tallies == [{"done": 1}, {"cached": 1, "done": 3}]
    assert len(mk.Catalog(mk.MashupDB(database, write=False)).clips) == 4


def test_the_best_backing_for_a_voice(here: Path, short_songs: Path, band: tuple[Path, float]) -> None:
    folder, downbeat = band
    voice = os.path.relpath(folder / "vocals.flac")  # as from the folder in which the program is run
    best = example("best_backing").main(voice, str(KEY), str(TEMPO), str(downbeat), short_songs, "out")
    assert [one.rank for one in best] == [1, 2, 3]
    assert best[0].score.value >= best[1].score.value >= best[2].score.value
    assert {one.mashup.clips[mk.Role.VOCAL].title for one in best} == {"vocals"}
    assert (here / "out" / "mix.flac").is_file()


def test_own_stems_are_used_as_they_are(here: Path, short_songs: Path, band: tuple[Path, float]) -> None:
    folder, downbeat = band
    best = example("own_stems").main(folder, str(KEY), str(TEMPO), str(downbeat), short_songs, "out")
    clip = best.mashup.clips[mk.Role.VOCAL]
    assert (clip.title, clip.analysis.key, clip.analysis.tempo) == (folder.name, KEY, TEMPO)
    own, cut = mk.load(folder / "vocals.flac"), best.mashup.source_stem(mk.Role.VOCAL)
    same = own.excerpt(clip.start, clip.duration).samples
    assert np.abs(same[:, 1000:-1000] - cut.samples[:, 1000 : same.shape[1] - 1000]).max() < 1e-3


def test_a_changed_plan_sounds_changed(here: Path, short_songs: Path) -> None:
    kit = mk.Kit()
    first = kit.generate(kit.catalog(short_songs), count=1, seed=3)[0]
    (here / "plan.json").write_text(first.plan.to_json())
    changed = example("change_a_plan").main(here / "plan.json", short_songs, "out")
    before, after = (
        float(np.sqrt(np.mean(one.layer_audio(mk.Role.HARMONIC).samples ** 2))) for one in (first, changed)
    )
    assert 20 * np.log10(after / before) == pytest.approx(-3, abs=0.05)
    assert mk.MashupPlan.from_json((here / "out" / "plan.json").read_text()) == changed.plan
    kept = {layer.role: layer for layer in changed.plan.layers}
    assert kept[mk.Role.VOCAL] == first.plan.layer(mk.Role.VOCAL)


def test_scorers_side_by_side(here: Path, short_songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas", reason="the example needs pandas")
    module = example("compare_scorers")
    table = module.main(short_songs, ("amu", "tiv"))
    assert list(table.columns) == ["plan", "vocal", "amu", "tiv"]
    assert len(table) == 12
    assert table.notna().all().all()
    assert "1.0" in capsys.readouterr().out  # of each scorer with itself
    assert set(module.SCORERS) <= {one.info.name for one in mk.Registry().components() if one.kind == "scorer"}


def test_amu_against_premixnet(here: Path, short_songs: Path) -> None:
    shares = example("amu_against_premixnet").main(short_songs)
    assert list(shares) == ["amu", "premixnet"]
    assert shares["amu"] > 0.6  # of pairs drawn by chance, half would be in order


@pytest.mark.slow
def test_training_on_own_songs(here: Path, database: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """On all six demo songs, because training, validation and test each need one."""
    songs = tmp_path_factory.mktemp("training") / "songs.mashdb"
    example("big_folder").main(EXAMPLES / "songs", songs)
    best = example("train_on_own_songs").main(songs, here / "run", "4")
    assert len(best) == 3
    assert best[0].score.scale == "probability"
    assert (here / "run" / "report.json").is_file()


def installed(folder: Path, name: str) -> str:
    """Do to a plugin what `pip install -e` does, with its metadata in ``folder``; return what to put on the path."""
    module = f"mashkit_{name.replace('-', '_')}"
    (folder / module).symlink_to(EXAMPLES / "plugins" / f"mashkit-{name}" / "src" / module)
    info = folder / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mashkit-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{name} = {module}\n")
    return str(folder)


@pytest.mark.slow
def test_plugins_keep_their_contracts(tmp_path: Path) -> None:
    for name in PLUGINS.values():
        path = installed(tmp_path, name)
    tests = [EXAMPLES / "plugins" / f"mashkit-{name}" / "tests" for name in PLUGINS.values()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist",
         "--import-mode=importlib", f"--rootdir={tmp_path}", *tests],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d\d passed", done.stdout)


def test_plugins_work_in_a_kit(
    here: Path, short_songs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("installed")
    for name in PLUGINS.values():
        path = installed(folder, name)
    monkeypatch.syspath_prepend(path)
    kit = mk.Kit(scorer="room-for-voice", generator="versus")
    best = kit.rank(kit.generate(kit.catalog(short_songs), condition="versus", count=5, seed=1))
    assert best
    for one in best:
        songs = [one.mashup.clips[role].song for role in mk.Role]
        assert songs[0] != songs[1] == songs[2]
    found = mk.Kit(analyzer="key-profile").analyzer.analyze(mk.load(short_songs / "mango-season.ogg"))
    assert found.key is not None
    assert found.tempo is None


NOTEBOOK = EXAMPLES / "show_yourself.ipynb"


def test_the_notebook_shows_each_value(here: Path, short_songs: Path) -> None:
    """Run its cells as Jupyter does, and see what the last value of each shows."""
    (here / "songs").symlink_to(short_songs)
    names: dict[str, object] = {}
    shown = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs"), "clear the outputs before committing"
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, NOTEBOOK.name, "exec"), names)  # noqa: S102 — our own notebook
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)  # noqa: S307
            shown[type(value)] = value._repr_html_()
    assert list(shown) == [mk.Audio, mk.Analysis, mk.Mashup, mk.Ranked]
    assert "<audio" in shown[mk.Audio]
    assert "Beats and downbeats" in shown[mk.Analysis]
    for part in ("<audio", "Beats and downbeats", "Pitch classes of vocal", "Pitch classes of harmonic"):
        assert part in shown[mk.Mashup]
    assert shown[mk.Ranked].startswith("<p><b>rank</b> 1")


@pytest.mark.slow
def test_the_notebook_runs_in_jupyter(here: Path, short_songs: Path) -> None:
    for needed in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(needed, reason="Jupyter is not installed: pip install 'mashkit[notebook]'")
    (here / "songs").symlink_to(short_songs)
    run = (
        "import sys, nbclient, nbformat\n"
        "notebook = nbformat.read(sys.argv[1], 4)\n"
        "nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, 'done.ipynb')\n"
    )
    subprocess.run([sys.executable, "-c", run, NOTEBOOK], check=True, cwd=here)
    cells = [cell for cell in json.loads((here / "done.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    html = [
        "".join(output["data"].get("text/html", "")) for cell in cells for output in cell["outputs"] if "data" in output
    ]
    assert len(html) == 4
    assert sum("<audio" in one for one in html) == 3
