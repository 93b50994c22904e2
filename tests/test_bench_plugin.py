"""A plugin brings a task, a collection and a suite: the one that docs/write-a-plugin.md shows, and broken ones."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mashkit[bench]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mashkit[bench]'")

from mashkit.audio.files import save
from mashkit.bench import registered
from mashkit.bench.audition import sounds
from mashkit.bench.charts import RowChart
from mashkit.bench.collections import Choice, look_for, open_collection
from mashkit.bench.page import page
from mashkit.bench.records import Row
from mashkit.bench.results import read_result
from mashkit.bench.runner import run
from mashkit.bench.scorers import ScorerTask
from mashkit.bench.suite import Competitor, Suite, known_suites
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, Task, load_task
from mashkit.builtin import benchmarks
from mashkit.cli import main
from mashkit.errors import BrokenPlugin, CatalogError, ComponentFailed, ContractViolation, PluginWarning
from mashkit.types import Audio

PAGE = Path(__file__).parents[1] / "docs" / "write-a-plugin.md"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, dict[str, str]], None]]:
    """Install a package with an entry point, for this process and those it starts."""
    names = []

    def installing(package: str, files: dict[str, str]) -> None:
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mashkit]\n{package} = {package}\n")
        (folder / package).mkdir()
        for name, text in files.items():
            (folder / package / name).write_text(text)
        monkeypatch.syspath_prepend(folder)
        names.append(package)
        registered.installed.cache_clear()

    yield installing
    registered.installed.cache_clear()
    open_collection.cache_clear()
    for name in [one for one in sys.modules if one.partition(".")[0] in names]:
        del sys.modules[name]


@pytest.fixture
def variety(install: Callable[[str, dict[str, str]], None]) -> None:
    """The plugin of the page."""
    shown = re.findall(r"^```(?:python|toml)\n# src/mashkit_variety/(\S+)\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert [name for name, _ in shown] == ["__init__.py", "task.py", "variety.toml"]
    install("mashkit_variety", dict(shown))


def test_a_plugins_suite_runs_its_task_on_its_collection(
    variety: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "run", "variety", "-o", str(tmp_path / "out"), "--quiet"]) == 0
    result = read_result(tmp_path / "out" / "variety.json")
    (entry,), (row,) = result.competitors, result.rows
    assert (entry.label, entry.rank, row.status) == ("paper", 1, "ok")
    assert entry.metrics == row.values == {"clips": 4.0}  # twenty plans use all four songs
    assert "Clips used" in (tmp_path / "out" / "variety.html").read_text()
    capsys.readouterr()
    assert main(["bench", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "variety" in {one["name"] for one in listed["suites"]}
    assert {"name": "variety", "kind": "generator", "summary": "clips that matched plans use"} in listed["tasks"]
    assert main(["bench", "data", "--json"]) == 0
    (found,) = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "four-songs"]
    assert (found["here"], found["songs"], found["serves"]) == (True, 4, ["generator"])


def test_a_plugins_collection_serves_mashkits_own_tasks(variety: None) -> None:
    inputs = load_task("generators").inputs({"collection": "four-songs", "plans": 2}, None)
    assert len(inputs) == 5
    assert not any(one.missing for one in inputs)


TAUGHT = """
import attrs
from pathlib import Path
from mashkit import ComponentInfo, Score, Scorer, hookimpl
from mashkit.bench.collections import Collection
from mashkit.hookspecs import CollectionInfo
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Key

INFO = ComponentInfo(name="taught", target="acme_taught:Taught", summary="taught", provides=[],
                     code_license="MIT")

@hookimpl
def mashkit_register_scorers():
    return [INFO]

@hookimpl
def mashkit_register_collections():
    return [CollectionInfo(name="band", title="A band", licence="MIT", where="here", clips="acme_taught:opened",
                           songs=4, serves=["scorer"])]

class Taught(Scorer):
    info = INFO
    def trained_on(self):
        return ("BAND – Song 1", "Band - Song 1", "Elsewhere")
    def _score(self, mashups):
        return [Score(len(mashup.plan.id)) for mashup in mashups]

def opened(choice):
    source = SyntheticSource([(Key(0, "major"), 120.0), (Key(5, "major"), 120.0), (Key(0, "major"), 110.0),
                              (Key(7, "major"), 140.0)], bars=16)
    clips = source.clips
    return Collection(name="band", clips=clips, source=source, true_stems=True,
                      files={clip.id: (Path(__file__),) for clip in clips},
                      recordings={clip.id: f"Band - Song {number}" for number, clip in enumerate(clips)})
"""


@pytest.mark.plugins
def test_scorers_are_not_judged_by_plans_with_songs_they_were_trained_on(
    install: Callable[[str, dict[str, str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme_taught", {"__init__.py": TAUGHT})
    settings = {
        "collection": "band", "vocals": 4, "matched": 1, "negatives": 3, "other_stretcher": "", "other_separator": "",
        "groups": ["controlled", "harmonic +1 semitones"],
    }  # fmt: skip
    competitors = [Competitor(component="taught"), Competitor(component="random")]
    suite = Suite(name="s", task="scorers", title="S", competitors=competitors, settings=settings, baseline="random")
    result = run(suite, tmp_path)
    own = {row.input: row for row in result.rows if row.label == "taught" and row.facts}
    marked = [row for row in own.values() if row.trained_on]
    assert {row.trained_on for row in marked} == {("Band - Song 1",)}
    # A plan does not count if any of its layers is of that song.
    originals = {row.facts["song"] for row in marked if row.facts["condition"] == "original"}
    assert len(originals) == 1
    assert {row.facts["song"] for row in marked} > originals
    assert any(row.ok and not row.trained_on for row in own.values())
    assert not any(row.trained_on for row in result.rows if row.label == "random")
    fair = ScorerTask().summarize([row for row in result.rows if row.label == "taught" and not row.trained_on])
    (entry,) = [one for one in result.competitors if one.label == "taught"]
    assert entry.metrics == fair
    assert fair["auc"] is not None
    assert "taught was trained on Band - Song 1" in page(result)
    # Tests are of the plans by which both are judged.
    assert {test.songs for test in result.comparisons if test.metric == "harmonic_1"} == {3}


def test_without_the_plugin_its_names_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "run", "variety", "-o", "nowhere"]) == 2
    assert "no suite is called 'variety'" in capsys.readouterr().err


BESIDE = """
from mashkit import hookimpl
from mashkit.bench.labelled import Labels
from mashkit.hookspecs import CollectionInfo

@hookimpl
def mashkit_register_collections():
    return [CollectionInfo(name="beside", title="b", licence="MIT", where="in acme_beside", serves=["separator"],
                           folder="acme_beside/songs", beside="acme_beside", stems=True, labels="acme_beside:read")]

def read(folder):
    return [Labels(collection="beside", name=song.name, files=song.iterdir(), tempo=120) for song in folder.iterdir()]
"""


def test_a_collection_that_a_plugin_brings_in_its_folder_is_found_by_every_task(
    install: Callable[[str, dict[str, str]], None], tmp_path: Path
) -> None:
    install("acme_beside", {"__init__.py": BESIDE})
    song = tmp_path / "acme_beside" / "acme_beside" / "songs" / "one"
    song.mkdir(parents=True)
    for stem in ("vocals", "drums", "other"):
        save(song / f"{stem}.wav", Audio(np.zeros((1, 100), np.float32), 100))
    for task in ("separators", "analyzers"):
        (given,) = load_task(task).inputs({"collections": ["beside"]}, None)
        assert (given.name, given.missing, len(given.files)) == ("beside: one", "", 3)
    assert [one.songs for one in look_for(None) if one.card.name == "beside"] == [1]


def test_mashkits_own_are_registered_in_the_same_way() -> None:
    assert set(registered.tasks()) == {one.name for one in benchmarks.TASKS}
    assert set(registered.collections()) == {one.name for one in benchmarks.COLLECTIONS}
    assert set(known_suites()) == {file.name.removesuffix(".toml") for file in benchmarks.suites()}


HEAD = """
from importlib.resources import files
from mashkit import hookimpl
from mashkit.hookspecs import CollectionInfo, TaskInfo

def collection(name, **more):
    return CollectionInfo(name=name, title="t", licence="l", where="w", serves=(), **more)
"""


@pytest.mark.parametrize(
    ("hook", "returned"),
    [
        ("tasks", "['stretchers']"),
        ("tasks", "[TaskInfo(name=3, target='a:B')]"),
        ("collections", "1 / 0"),
        ("suites", "[files('acme_wrong') / 'wrong.toml']"),
    ],
)
def test_a_broken_hook_costs_its_plugin_and_nobody_else(
    hook: str, returned: str, install: Callable[[str, dict[str, str]], None]
) -> None:
    code = f"{HEAD}@hookimpl\ndef mashkit_register_{hook}():\n    return {returned}\n"
    install("acme_wrong", {"__init__.py": code, "wrong.toml": "name = 'wrong'\ntask = 'nobodys'\ntitle = 'W'\n"})
    with pytest.warns(PluginWarning, match=r"are ignored|is left out"):
        found = (registered.tasks(), registered.collections(), known_suites())
    assert "stretchers" in found[0]
    assert "songs" in found[1]
    assert "smoke" in found[2]
    assert "wrong" not in found[2]


def test_what_a_card_points_to_is_checked(install: Callable[[str, dict[str, str]], None]) -> None:
    code = f"""{HEAD}
@hookimpl
def mashkit_register_tasks():
    return [TaskInfo(name="gone", target="acme_points:Gone"), TaskInfo(name="no-task", target="acme_points:NoTask")]

@hookimpl
def mashkit_register_collections():
    return [collection(name, clips=f"acme_points:{{name}}") for name in ("raising", "wrong")]

class NoTask: pass
def raising(choice): raise OSError("disk full")
def wrong(choice): return []
"""
    install("acme_points", {"__init__.py": code})
    with pytest.raises(BrokenPlugin, match=r"task 'gone'.*Gone"):
        load_task("gone")
    with pytest.raises(BrokenPlugin, match="not a whole task"):
        load_task("no-task")
    with pytest.raises(CatalogError, match=r"'raising' could not be opened.*disk full"):
        Choice(name="raising", data=None, seed=0).open()
    with pytest.raises(BrokenPlugin, match="returned list"):
        Choice(name="wrong", data=None, seed=0).open()


RIVAL = f"""{HEAD}
@hookimpl
def mashkit_register_tasks():
    return [TaskInfo(name=name, target="PACKAGE:Nothing") for name in ("scorers", "both's", "PACKAGE")]

@hookimpl
def mashkit_register_collections():
    return [collection(name, clips="PACKAGE:opened") for name in ("rendered", "both's")]

@hookimpl
def mashkit_register_suites():
    return [files("PACKAGE") / "mine.toml", files("PACKAGE") / "theirs.toml"]
"""


def test_of_one_name_mashkits_own_is_used_and_plugins_are_left_out(
    install: Callable[[str, dict[str, str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    suite = 'name = "{}"\ntask = "generators"\ntitle = "PACKAGE"\n[[competitors]]\ncomponent = "paper"\n'
    texts = {"__init__.py": RIVAL, "mine.toml": suite.format("smoke"), "theirs.toml": suite.format("both's")}
    for package in ("acme_one", "acme_two"):
        install(package, {name: text.replace("PACKAGE", package) for name, text in texts.items()})
    assert main(["bench", "list", "--json"]) == 0
    listed = capsys.readouterr()
    assert main(["bench", "data", "--json"]) == 0
    data = capsys.readouterr()
    found, collections = json.loads(listed.out), [one["name"] for one in json.loads(data.out)]
    assert [one["task"] for one in found["suites"] if one["name"] == "smoke"] == ["scorers"]
    assert "scorers" in [one["name"] for one in found["tasks"]]
    assert "both's" not in [one["name"] for some in found.values() for one in some] + collections
    assert collections.count("rendered") == 1
    for noun, name in (("task", "scorers"), ("collection", "rendered"), ("suite", "smoke")):
        owners = f"{noun} {name!r} is registered by acme_one and acme_two and mashkit"
        assert f"{owners}; that of mashkit is used (uninstall acme_one and acme_two)" in listed.err + data.err
        owners = f"{noun} {chr(34)}both's{chr(34)} is registered by acme_one and acme_two"
        assert f"{owners}; it is left out (uninstall one of them)" in listed.err + data.err
    # A task that cannot be imported costs nobody else.
    assert "left out: task 'acme_one': acme_one:Nothing cannot be used" in listed.err
    assert "acme_one" not in [one["name"] for one in found["tasks"]]


# ------------------------------------------------------------------------------------------------- a task's own faults
FRAGILE = """
import os, sys
import numpy as np
from mashkit import hookimpl
from mashkit.bench.ranking import Metric
from mashkit.bench.tasks import Input, Pick, Task
from mashkit.errors import ComponentFailed
from mashkit.hookspecs import TaskInfo

@hookimpl
def mashkit_register_tasks():
    return [TaskInfo(name="fragile", target="acme_fragile:Fragile"), TaskInfo(name="bare", target="acme_fragile:Bare")]

class Fragile(Task):
    kind, summary, version = "scorer", "breaks where it is told to", 1
    metrics = [Metric(name="x", title="x", unit="", resolution=1, explained="X.")]
    does = None

    def told(self):
        return self.does() if self.does else None
    def inputs(self, settings, data):
        self.told()
        made_by = [os.environ.get("ACME_MADE_BY", "")]
        return (Input(name=name, measure="m", made_by=made_by) for name in settings["names"])
    def warm_up(self, component):
        raise ComponentFailed("too short")
    def measure(self, component, given):
        if given.name == "leaving":
            sys.exit(1)
        return self.told() or {"x": {"text": "loud"}.get(given.name, np.float32(0.5))}
    def summarize(self, rows):
        return self.told() or {"x": 0.5}
    def intervals(self, rows):
        return self.told() or {}
    def charts(self, competitors, rows):
        return self.told() or []
    def picks(self, rows):
        return [Pick(group="g", input=row.input, said="s") for row in rows]
    def sound(self, given, longest_s):
        return self.told()

class Bare(Fragile):
    metrics = None
"""


@pytest.fixture
def fragile(install: Callable[[str, dict[str, str]], None]) -> Task:
    install("acme_fragile", {"__init__.py": FRAGILE})
    return load_task("fragile")


@pytest.mark.parametrize(
    ("method", "arguments", "does"),
    [
        ("inputs", ({"names": []}, None), "make its inputs"),
        ("measure", (None, Input(name="a", measure="m")), "measure"),
        ("summarize", ([],), "compute its metrics"),
        ("intervals", ([],), "compute its intervals"),
        ("charts", ([], []), "make its charts"),
        ("sound", (Input(name="a", measure="m"), 1.0), "make a sound"),
    ],
)
def test_a_fault_of_a_task_names_the_task(method: str, arguments: tuple[Any, ...], does: str, fragile: Task) -> None:
    for raised in (ZeroDivisionError("told to"), SystemExit(0)):
        fragile.does = mock.Mock(side_effect=raised)
        with pytest.raises(ComponentFailed, match=f"task 'fragile' failed to {does}: {type(raised).__name__}"):
            getattr(fragile, method)(*arguments)


@pytest.mark.parametrize(
    ("method", "returned", "problem"),
    [
        ("summarize", ["x"], "it returned list where a mapping of names to numbers was due"),
        ("summarize", {"y": 1.0}, r"metric 'x' is not in the result \(return None"),
        ("summarize", {"x": 1.0, "y": 1.0}, "it has no metric 'y'"),
        ("summarize", {"x": math.nan}, r"metric 'x' is nan \(.*return None"),
        ("summarize", {"x": "loud"}, r"metric 'x' is 'loud' \(give a number"),
        ("intervals", {"x": [1.0, 2.0, 3.0]}, "the interval of 'x' has 3 ends"),
        ("charts", ["a chart"], "it returned str where a chart was due"),
        ("sound", "a sound", "it returned str where Audio was due"),
    ],
)
def test_what_a_task_returns_is_checked(method: str, returned: object, problem: str, fragile: Task) -> None:
    fragile.does = lambda: returned
    arguments = {"charts": ([], []), "sound": (Input(name="a", measure="m"), 1.0)}.get(method, ([],))
    with pytest.raises(ContractViolation, match=f"task 'fragile' failed to .*: {problem}"):
        getattr(fragile, method)(*arguments)


def test_a_task_without_its_attributes_is_no_whole_task(fragile: Task) -> None:
    with pytest.raises(BrokenPlugin, match=r"task 'bare': .* it is not a whole task: its metrics is None"):
        load_task("bare")


def test_two_inputs_of_one_name_are_refused(fragile: Task) -> None:
    with pytest.raises(SuiteError, match="task 'fragile' failed to make its inputs: 2 inputs are called 'one'"):
        fragile.inputs({"names": ["one", "other", "one"]}, None)


def test_a_chart_that_cannot_be_drawn_and_a_sound_that_fails_are_the_tasks(
    fragile: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite(name="s", task="fragile", title="S", competitors=[Competitor(component="random")],
                  settings={"names": ["one"]})  # fmt: skip
    result = run(suite, tmp_path)
    with pytest.warns(PluginWarning, match="left out: task 'fragile' failed to make a sound: it returned NoneType"):
        assert sounds(result, None) == {}
    chart = RowChart(title="t", caption="c", x_label="x", labels=["a"], series={"s": [1.0, 2.0]})
    monkeypatch.setattr("mashkit.bench.page.load_task", lambda _: fragile)
    fragile.does = lambda: [chart]
    with pytest.raises(ComponentFailed, match="task 'fragile': its charts cannot be drawn: "):
        page(result)


def test_parts_without_an_input_are_refused(fragile: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["acme_fragile"].Fragile, "batches", lambda self, inputs: [inputs[:1]])
    suite = Suite(name="s", task="fragile", title="S", competitors=[Competitor(component="random")],
                  settings={"names": ["one", "other"]})  # fmt: skip
    with pytest.raises(ContractViolation, match="task 'fragile': its parts do not have every input once"):
        run(suite, tmp_path)


def test_rows_of_a_plugins_task(
    fragile: Task, install: Callable[[str, dict[str, str]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["single", "text", "leaving", "last"]
    suite = Suite(name="s", task="fragile", title="S", competitors=[Competitor(component="random")],
                  settings={"names": names})  # fmt: skip
    known: list[bool] = []

    def rows() -> list[Row]:
        known.clear()
        return list(run(suite, tmp_path, on_row=lambda row, was_there, *_: known.append(was_there)).rows)

    single, text, leaving, last = rows()
    # That it fails in the warm-up says nothing of the inputs, only its time of loading is not known.
    assert (single.status, single.values, single.load_s) == ("ok", {"x": 0.5}, None)
    assert (text.status, leaving.status, last.status) == ("failed", "failed", "ok")
    assert "task 'fragile' failed to measure: x is 'loud' (give a number)" in text.reason
    assert "task 'fragile' failed to measure: SystemExit" in leaving.reason
    assert known == [False] * 4
    rows()
    assert known == [True] * 4
    monkeypatch.setenv("ACME_MADE_BY", "another stretcher")
    rows()
    assert known == [False] * 4
    # Anything in the package may have changed what is measured.
    (tmp_path / "acme_fragile" / "acme_fragile" / "more.py").write_text("")
    del sys.modules["acme_fragile"]
    rows()
    assert known == [False] * 4


def test_sounds_of_a_plugins_task_have_no_words_of_another_task_above_them(fragile: Task, tmp_path: Path) -> None:
    suite = Suite(name="s", task="fragile", title="S", competitors=[Competitor(component="random")],
                  settings={"names": ["one"]})  # fmt: skip
    made = page(run(suite, tmp_path), {"one": "data:audio/mpeg;base64,"})
    assert '<h2 id="picks">Sounds</h2>\n<details>' in made
    assert "highest and lowest scores" not in made
