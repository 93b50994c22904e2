"""Generators of any kind, benchmarks that keep and say what they know, and the Python surface."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mashkit as mk
from light import Grid, Thirds
from mashkit.arguments import default_cache, named_path
from mashkit.bench.compare import with_earlier
from mashkit.bench.generators import GeneratorTask, faults
from mashkit.bench.page import page, publish
from mashkit.bench.results import read_result
from mashkit.bench.runner import run
from mashkit.bench.suite import Competitor, Suite, load_suite
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, NotProvided
from mashkit.catalog.exported import read_export
from mashkit.catalog.songs import describe_song, find_songs
from mashkit.cli import main
from mashkit.components.environments import root
from mashkit.conditions import PROMISES, Promise
from mashkit.errors import MashkitError, PlanError, UsageError
from mashkit.models import models_folder
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.types import by_id
from real_inputs import bench as inputs

HERE = Path(__file__).parent


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Install a plugin for this process and those it starts."""

    def install(make: Any) -> None:
        monkeypatch.syspath_prepend(make(tmp_path))

    yield install
    for name in ("acme_jam", "acme_dying", "acme_dying_engine"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    keys = [mk.Key(0, "major"), mk.Key(2, "major"), mk.Key(9, "minor"), mk.Key(11, "major")]
    return SyntheticSource(list(zip(keys, (120.0, 110.0, 126.0, 104.0), strict=True)), bars=16)


# ------------------------------------------------------------------------------------------------- open conditions
@pytest.mark.parametrize("name", ["slow jam", "Übergang", "half-time", "1", "MATCHED"])
def test_a_condition_is_a_name_and_the_same_object_each_time(name: str) -> None:
    one = mk.Condition(name)
    assert one is mk.Condition(name)
    assert (str(one), one, hash(one)) == (name, name, hash(name))
    assert pickle.loads(pickle.dumps(one)) is copy.deepcopy(one) is one  # noqa: S301
    assert one is not mk.Condition.MATCHED
    assert len(list(mk.Condition)) == 5
    assert mk.Condition("matched") is mk.Condition.MATCHED
    assert json.dumps({one: one}) == json.dumps({name: name})


@pytest.mark.parametrize("name", ["", " ", "a ", "a\nb", "\x1b[31m", None, 3, ["a"]])
def test_what_is_no_name_is_no_condition(name: Any) -> None:
    with pytest.raises(ValueError, match="not the name of a condition"):
        mk.Condition(name)
    with pytest.raises(PlanError, match="not the name of a condition"):
        mk.MashupPlan(condition=name, layers=[mk.Layer(role="vocal", clip_id="a")], duration_s=1, seed=0)
    if isinstance(name, str):
        with pytest.raises(UsageError, match="not the name of a condition"):
            mk.Recipe({name: 1})


def test_plans_of_conditions_nobody_knows_come_back(tmp_path: Path) -> None:
    lines = inputs.plans_of_own_conditions(tmp_path).read_text(encoding="utf-8").splitlines()
    for line in lines:
        plan = mk.MashupPlan.from_json(line)
        assert plan.to_json() == line
        assert plan.condition is mk.Condition(json.loads(line)["condition"])


def test_plan_json_is_a_plan(tmp_path: Path) -> None:
    path = inputs.plan_json_of_a_mashup(tmp_path)
    plan = mk.MashupPlan.from_json(path.read_text(encoding="utf-8"))
    assert plan == mk.MashupPlan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    assert plan.id == json.loads(path.read_text(encoding="utf-8"))["plan"]["id"]
    for text in ('{"plan": 3}', '{"plan": {"plan": {}}}', "3"):
        with pytest.raises(PlanError, match="not a mashup plan"):
            mk.MashupPlan.from_json(text)
    with pytest.raises(PlanError, match="not JSON"):
        mk.MashupPlan.from_json(None)  # type: ignore[arg-type]


def test_a_generator_says_what_its_conditions_mean(installed: Callable[[Any], None], source: SyntheticSource) -> None:
    installed(inputs.generator_with_two_conditions)
    generator = mk.Kit(generator="acme-jam").generator
    assert list(generator.conditions) == ["loud jam", "slow jam"]
    assert generator.conditions["slow jam"] == "all as it is, and quiet"
    assert generator.promise("matched") is PROMISES[mk.Condition.MATCHED]
    with pytest.raises(UsageError, match="did you mean 'slow jam'"):
        generator.plan(source.clips, condition="slwo jam", count=1, seed=0)
    with pytest.raises(UsageError, match="has no condition 'matched'"):
        mk.Mixture(generator, source.clips, mk.Recipe({"matched": 1}), seed=0)
    mixture = mk.Mixture(generator, source.clips, mk.Recipe({"slow jam": 2}), seed=0)
    assert {plan.condition for plan in mixture} == {"slow jam"}
    assert mixture.report.to_dict()["conditions"]["slow jam"]["drawn"] == 2
    assert set(mk.Kit().generator.conditions) == set(mk.Condition)
    assert all(mk.Kit().generator.conditions.values())


def test_a_generator_in_another_process_says_the_same(
    installed: Callable[[Any], None], source: SyntheticSource
) -> None:
    installed(inputs.generator_with_one_condition)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        with mk.Registry().create("generator", "acme-jam@") as there:  # type: ignore[attr-defined]
            here = mk.Kit(generator="acme-jam").generator
            assert there.conditions == here.conditions
            assert there.promise("slow jam") == here.promise("slow jam") != Promise(description="")
            drawn = [list(one.plan(source.clips, condition="slow jam", count=3, seed=4)) for one in (here, there)]
            assert drawn[0] == drawn[1]


def test_own_conditions_compete(installed: Callable[[Any], None], source: SyntheticSource) -> None:
    installed(inputs.generator_with_two_conditions)
    task, generator = GeneratorTask(), mk.Kit(generator="acme-jam").generator
    assert [one.measure for one in task.inputs({"conditions": "slow jam, matched", "collection": "songs"}, None)] == [
        "slow jam", "matched"
    ]  # fmt: skip
    with pytest.raises(NotProvided, match="--set conditions=loud jam,slow jam"):
        task.measure(generator, Input(name="matched", measure="matched"))
    (plan,) = generator.plan(source.clips, condition="slow jam", count=1, seed=0)
    assert faults(plan, by_id(source.clips), generator.promise("slow jam")) == []
    (other,) = mk.Kit().generator.plan(source.clips, condition="matched", count=1, seed=0)
    assert "stems of several clips" in faults(other, by_id(source.clips), generator.promise("slow jam"))


# --------------------------------------------------------------------------------------------------- flags of mash
def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--align", "speed"], ["--align speed: generator 'acme-jam' has no such option", "none of --align"]),
        (["--phrase-bars", "4"], ["--phrase-bars 4", "'acme-jam'"]),
        (["--condition", "slwo jam"], ["did you mean 'slow jam'"]),
        (["--condition", "matched"], ["has no condition 'matched'", "known: loud jam, slow jam"]),
        ([], ["has no condition 'matched'", "known: loud jam, slow jam"]),
        (["--condition", "slow jam", "--duck", "-3"], ["--duck -3", "0 or more"]),
    ],
)
def test_what_a_generator_does_not_take_is_said_first(
    flags: list[str], said: list[str], installed: Callable[[Any], None], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    installed(inputs.generator_with_two_conditions)
    # No song is looked for: there is none.
    command = ["mash", tmp_path / "nowhere.wav", "-o", tmp_path / "out", "--generator", "acme-jam", "--quiet"]
    status, text = told(capsys, *command, *flags)
    assert status == 2
    for part in said:
        assert part in text


def test_conditions_are_listed(installed: Callable[[Any], None], capsys: pytest.CaptureFixture[str]) -> None:
    installed(inputs.generator_with_one_condition)
    status, text = told(capsys, "generate", "--generator", "acme-jam", "--list-conditions")
    assert (status, "all as it is, and quiet" in text) == (0, True)
    status, text = told(capsys, "generate", "--list-conditions", "--json")
    assert set(json.loads(text)["conditions"]) == set(mk.Condition)
    status, text = told(capsys, "generate", "nowhere.wav", "--generator", "acme-jam", "--positives", "3")
    assert (status, "has no condition 'original'" in text) == (2, True)


def test_plain_is_what_the_papers_options_are(source: SyntheticSource) -> None:
    plain = {"match_loudness": False, "fades": False, "limit_db": 0.0}
    for condition in mk.Condition:
        both = [
            mk.Kit(options={"generator": options}).generator.plan(source.clips, condition=condition, count=5, seed=2)
            for options in ({}, plain)
        ]
        for drawn, due in zip(*both, strict=True):
            assert mk.Finish(plain=True).of(drawn).id == due.id
    ducked = mk.Kit(options={"generator": {"duck_db": 5.0}}).generator.plan(
        source.clips, condition="matched", count=5, seed=2
    )
    drawn_ones = mk.Kit().generator.plan(source.clips, condition="matched", count=5, seed=2)
    assert [mk.Finish(duck_db=5).of(plan).id for plan in drawn_ones] == [plan.id for plan in ducked]


def test_any_plan_can_be_finished(tmp_path: Path, source: SyntheticSource, installed: Callable[[Any], None]) -> None:
    plan = mk.MashupPlan.from_json(inputs.plan_with_everything(tmp_path).read_text())
    assert mk.Finish().of(plan) is plan
    plain = mk.Finish(plain=True).of(plan)
    assert plain.mixing == mk.Mixing(duck_db=3.0)
    assert {layer.gain_db for layer in plain.layers} == {0.0}
    both = mk.Finish(plain=True, duck_db=0)
    assert both.of(plan).mixing == mk.Mixing()
    assert both.of(both.of(plan)) == both.of(plan)
    installed(inputs.generator_with_one_condition)
    kit = mk.Kit(generator="acme-jam", scorer="random", finish=mk.Finish(plain=True, duck_db=2.0))
    mashups = kit.generate(source, condition="slow jam", count=2)  # type: ignore[arg-type]
    for mashup in [*mashups, *kit.best_variants(mashups)]:
        assert mashup.plan.mixing == mk.Mixing(duck_db=2.0)
        assert {layer.gain_db for layer in mashup.plan.layers} == {0.0}
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(PlanError, match="duck_db"):
            mk.Finish(duck_db=wrong)


# -------------------------------------------------------------------------------------------------------- benchmarks
LITTLE = Suite(
    name="little",
    task="scorers",
    title="Little",
    competitors=[Competitor(component="random"), Competitor(component="loudness")],
    timeout_s=120,
    settings={
        "collection": "rendered", "songs": 4, "vocals": 1, "matched": 1, "negatives": 1, "groups": ["controlled"],
        "other_stretcher": "", "other_separator": "",
    },
)  # fmt: skip


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in LITTLE.settings.items())
    rivals = "".join(f'[[competitors]]\ncomponent = "{one.component}"\n' for one in LITTLE.competitors)
    path = tmp_path / "little.toml"
    head = f'name = "little"\ntask = "scorers"\ntitle = "Little"\ntimeout_s = {LITTLE.timeout_s}\n'
    path.write_text(f"{head}{rivals}[settings]\n{settings}\n")
    return path


def test_only_and_add_are_both_heeded() -> None:
    def labels(only: list[str], *added: Competitor) -> list[str]:
        suite = LITTLE.extended(added).only(only, besides=[one.label for one in added])
        return [one.label for one in suite.competitors]

    mine = Competitor(component="mine", options={"x": 1})
    assert labels(["random"], mine) == ["random", "mine x=1"]
    assert labels(["mine"], mine) == ["mine x=1"]
    assert labels(["loudness"]) == ["loudness"]
    with pytest.raises(SuiteError, match="did you mean 'random'"):
        labels(["randon"], mine)


@pytest.mark.plugins  # what is scored is rendered
@pytest.mark.slow
def test_another_run_keeps_what_the_first_measured(
    toml: Path, tmp_path: Path, installed: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert told(capsys, "bench", "run", toml, "-o", out, "--quiet")[0] == 0
    whole = read_result(out / "little.json")
    status, text = told(capsys, "bench", "run", toml, "-o", out, "--only", "loudness", "--quiet")
    assert (status, "kept from the earlier result" in text) == (0, True)
    again = read_result(out / "little.json")
    assert {one.label for one in again.competitors} == {"random", "loudness"}
    for name in ("label", "rank", "score", "metrics", "description"):
        assert [getattr(one, name) for one in again.competitors] == [getattr(one, name) for one in whole.competitors]
    assert sorted(again.rows, key=repr) == sorted(whole.rows, key=repr)
    assert again.comparisons == whole.comparisons
    assert "measured in an earlier run, perhaps elsewhere: random" in (out / "little.html").read_text()

    # One whose process dies says its last words, in the table too; the others' results are still there.
    installed(inputs.scorer_that_dies_on_import)
    command = ["bench", "run", toml, "-o", out, "--only", "random", "--add", "acme-dying", "--quiet"]
    status, text = told(capsys, *command)
    assert status == 3
    assert "not measured" in text
    assert "exit status 3: libcuda.so.1: version mismatch" in text
    assert {one.label for one in read_result(out / "little.json").competitors} == {
        "random", "loudness", "acme-dying"
    }  # fmt: skip


@pytest.mark.parametrize("make", [inputs.result_of_other_inputs, inputs.result_cut_short])
def test_what_cannot_be_joined_is_set_aside(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path)
    before = {path.suffix: path.read_bytes() for path in folder.iterdir()}
    result = run(LITTLE.only(["random"]), folder)
    for number in (1, 2):
        whole, notes = with_earlier(result, folder)
        assert {one.label for one in whole.competitors} == {"random"}
        assert f"little.before-{number}.json" in notes[0]
        publish(whole, folder)
        for suffix, content in before.items():
            assert (folder / f"little.before-{number}{suffix}").read_bytes() == content
        for suffix, content in before.items():  # and once more
            (folder / f"little{suffix}").write_bytes(content)
    assert page(result) == page(with_earlier(result, tmp_path)[0])


def test_a_worker_that_never_began_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = inputs.interpreter_that_dies_at_once(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), *filter(None, sys.path)]))
    heard: list[str] = []
    result = run(LITTLE.only(["random"]), tmp_path / "out", notify=lambda event: heard.append(event.stage))
    (row,) = result.rows
    assert row.status == "failed"
    assert row.reason.endswith("exit status 4: no space left in /dev/shm")


def test_what_is_done_before_the_first_row_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHKIT_CACHE", str(tmp_path / "cache"))
    from mashkit.bench.collections import open_collection

    open_collection.cache_clear()
    heard: list[tuple[str, str]] = []
    run(LITTLE.only(["random"]), tmp_path / "out", notify=lambda event: heard.append((event.stage, event.state)))
    open_collection.cache_clear()
    assert heard[:4] == [("render", "done")] * 4
    assert set(heard[4:]) == {("bench", "started")}


def test_the_smoke_suite_needs_no_clone() -> None:
    smoke = load_suite("smoke")
    assert smoke.settings["collection"] == "rendered"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "smoke", "--collection", "songs"],
        ["run", "smoke", "--collection", "demp"],
        ["run", "separators", "--set", 'collections=["multitracks"]'],
        ["run", "generators", "--collection", "multitracks"],
        ["run", "smoke", "--data", "nowhere"],
        ["run", "smoke", "--set", "vocal=2"],
        ["run", "generators", "--set", "conditions="],
        ["data", "--data", "nowhere"],
        ["run", "smoke", "--only", "amv"],
        ["run", "smoke", "--add", "amu:x"],
    ],
)
def test_where_nothing_can_be_measured_it_is_wrong_usage(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-o", tmp_path / "out"] if arguments[0] == "run" else []
    status, text = told(capsys, "bench", *arguments, *more)
    assert status == 2
    assert text.startswith("mashkit bench: ")
    assert text.rstrip().endswith(")")  # what to do about it


def test_a_suite_in_little_has_a_name_that_fits_a_file() -> None:
    long = load_suite("smoke").trying([f"groups={json.dumps(['controlled'] * 40)}"])
    other = load_suite("smoke").trying([f"groups={json.dumps(['controlled'] * 41)}"])
    assert len(long.name.encode()) <= 200
    assert long.name != other.name


# ------------------------------------------------------------------------------------------------- the Python surface
PUBLIC = [
    "Analysis", "AnalysisError", "Analyzer", "Audio", "AudioError", "AudioFileError", "BrokenPlugin", "Catalog",
    "CatalogError", "Clip", "ClipSource", "Command", "ComponentError", "ComponentFailed", "ComponentInfo",
    "ComponentUnavailable", "Condition", "ContractViolation", "DuplicateComponent", "Excerpt", "ExcerptPolicy",
    "Executor", "Finish", "GenerationError", "Generator", "Job", "Key", "Kit", "LabelError", "Layer", "Mashup",
    "MashupDB", "MashupPlan", "MashkitError", "Mixing", "Mixture", "OptionError", "Outcome", "OutputError",
    "PlanError", "Pool", "Promise", "Ranked", "Recipe", "Registry", "Renderer", "Role", "Score", "Scorer",
    "Separator", "Song", "StageEvent", "StemError", "StemSet", "Stretcher", "TimeMap", "TimeMapError",
    "UnknownComponent", "UsageError", "Work", "__version__", "errors", "hookimpl", "load", "save",
]  # fmt: skip


def test_the_public_surface() -> None:
    assert set(PUBLIC) <= set(mk.__all__)
    assert set(mk.__all__) <= set(dir(mk))
    assert sorted(set(mk.__all__)) == sorted(mk.__all__)
    for name in mk.__all__:
        assert getattr(mk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Kitt'"):
        _ = mk.Kitt  # type: ignore[attr-defined]
    every = {name for name, one in vars(mk.errors).items() if isinstance(one, type) and issubclass(one, MashkitError)}
    assert every <= set(dir(mk))


def test_importing_stays_light_and_the_module_runs() -> None:
    code = "import mashkit, sys; dir(mashkit); mashkit.__version__; mashkit.UsageError; mashkit.StageEvent\n"
    code += "from mashkit.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "scipy", "rich"} & set(done.stdout.split())
    done = subprocess.run([sys.executable, "-m", "mashkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mashkit {mk.__version__}\n"


def test_kits_and_registries_pickle() -> None:
    kit = mk.Kit(
        scorer="random", options={"stretcher": {"cheaper": True}}, finish=mk.Finish(duck_db=3), notify=lambda _: None,
        generator=mk.Kit().generator,
    )  # fmt: skip
    assert kit.stretcher.options()["cheaper"] is True
    again = pickle.loads(pickle.dumps(kit))  # noqa: S301
    assert again.chosen == kit.chosen
    assert again.stretcher.options() == kit.stretcher.options()
    assert again.generator.options() == kit.generator.options()
    few = pickle.loads(pickle.dumps(mk.Registry(allow=[])))  # noqa: S301
    assert {one.origin.distribution for one in few.components()} == {"mashkit"}


def test_catalogs_pickle(tmp_path: Path) -> None:
    with mk.MashupDB(tmp_path / "db") as database:
        catalog = mk.Catalog(database, [])
        catalog.notes.append("café")
        again = pickle.loads(pickle.dumps(catalog))  # noqa: S301
        assert (list(again.clips), again.notes, again.failures) == ([], ["café"], [])
        with pytest.raises(mk.CatalogError, match="no clip 'x'"):
            again.clip("x")
        again._database.close()


def test_progress_is_a_plain_callback(source: SyntheticSource) -> None:
    heard: list[mk.StageEvent] = []
    registry = mk.Registry()
    kit = mk.Kit(scorer="random", registry=registry, notify=heard.append)
    kit.rank(kit.generate(source, count=3))
    assert [(event.stage, event.done, event.total) for event in heard] == [("score", n, 3) for n in (1, 2, 3)]
    plugins = len(registry.plugins.get_plugins())
    del kit
    assert len(registry.plugins.get_plugins()) == plugins - 1


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("MASHKIT_CACHE", default_cache), ("MASHKIT_MODELS", models_folder), ("MASHKIT_ENVIRONMENTS", root)],
)
def test_home_is_home_in_the_environment(
    variable: str, folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/x")
    assert folder() == tmp_path / "x"
    assert named_path("~nobody-is-called-so.wav") == Path("~nobody-is-called-so.wav")


def test_home_is_home_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    path = mk.save("~/songs/x.wav", signals.tone(440.0, 36.0))
    assert path == home / "songs" / "x.wav"
    assert mk.load("~/songs/x.wav").duration == 36.0
    mk.MashupDB("~/db").close()
    kit = mk.Kit(separator=Thirds(), analyzer=Grid())
    assert len(kit.catalog("~/songs/x.wav", cache="~/cache").clips) == 1
    assert find_songs("~/songs") == [path]
    assert mk.Song(path="~/songs/x.wav", title="x").files == (path,) == describe_song("~/songs/x.wav").files
    with pytest.raises(mk.CatalogError, match="home/db holds no finished export"):
        next(read_export("~/db"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home"]
    # A Path is what it says: mashkit finds files under such a name itself.
    there = mk.save(Path("~") / "x.wav", signals.tone(440.0, 1.0))
    assert there.resolve() == tmp_path / "~" / "x.wav"
    assert find_songs(Path("~")) == [there]


def test_an_object_that_names_a_file_is_a_path(tmp_path: Path) -> None:
    class Named:
        def __fspath__(self) -> str:
            return str(tmp_path / "songs")

    mk.save(tmp_path / "songs" / "x.wav", signals.tone(440.0, 1.0))
    assert find_songs(Named()) == find_songs([Named()]) == [tmp_path / "songs" / "x.wav"]
    with pytest.raises(mk.CatalogError, match="songs holds no finished export"):
        next(read_export(Named()))
    with pytest.raises(mk.UsageError, match="give a path"):
        next(read_export(5))  # type: ignore[arg-type]


@pytest.mark.plugins  # without them `doctor` has something to find fault with
def test_home_is_home_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    mk.MashupDB(tmp_path / "home" / "db").close()
    assert told(capsys, "db", "list", "--db=~/db", "--json")[0] == 0
    monkeypatch.setenv("MASHKIT_DB", "~/db")
    assert told(capsys, "db", "list", "--json")[0] == 0
    assert told(capsys, "plugins", "-o", "~/plugins.json", "--quiet")[0] == 0
    assert told(capsys, "doctor", "--cache=~/cache", "-o~/doctor.json", "--json")[0] == 0
    assert (tmp_path / "home" / "plugins.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


CALLS: list[tuple[str, Callable[[mk.Kit, Any], object]]] = [
    ("separator", lambda kit, source: mk.Kit(separator=3)),  # type: ignore[arg-type]
    ("options", lambda kit, source: mk.Kit(options=[("stretcher", 1)])),  # type: ignore[arg-type]
    ("options", lambda kit, source: mk.Kit(options={"stretcher": True})),  # type: ignore[dict-item]
    ("registry", lambda kit, source: mk.Kit(registry="x")),  # type: ignore[arg-type]
    ("allow", lambda kit, source: mk.Registry(allow="mashkit-amu")),
    ("allow", lambda kit, source: mk.Registry(allow=[3])),  # type: ignore[list-item]
    ("kind", lambda kit, source: kit.registry.create("strecher", "signalsmith")),
    ("kind", lambda kit, source: kit.registry.create(None, "signalsmith")),  # type: ignore[call-overload]
    ("name", lambda kit, source: kit.registry.create("stretcher", None)),  # type: ignore[call-overload]
    ("name", lambda kit, source: kit.registry.find("stretcher", 3)),  # type: ignore[arg-type]
    ("kind", lambda kit, source: kit.registry.components("scorers")),
    ("options", lambda kit, source: kit.registry.create("stretcher", "signalsmith", "cheaper")),  # type: ignore[call-overload]
    ("paths", lambda kit, source: kit.catalog(None)),  # type: ignore[arg-type]
    ("paths", lambda kit, source: kit.catalog([b"x.wav", 3])),  # type: ignore[list-item]
    ("policy", lambda kit, source: kit.catalog("x.wav", policy=60)),  # type: ignore[arg-type]
    ("database", lambda kit, source: kit.add("folder", "x.wav")),  # type: ignore[arg-type]
    ("database", lambda kit, source: mk.Catalog("folder")),  # type: ignore[arg-type]
    ("root", lambda kit, source: mk.MashupDB(3)),  # type: ignore[arg-type]
    ("catalog", lambda kit, source: kit.generate(source.clips)),
    ("catalog", lambda kit, source: kit.mashups([], [])),  # type: ignore[arg-type]
    ("count", lambda kit, source: kit.generate(source, count="3")),
    ("count", lambda kit, source: kit.generate(source, count=2.5)),
    ("seed", lambda kit, source: kit.generate(source, seed=None)),
    ("vocal", lambda kit, source: kit.generate(source, vocal=3)),
    ("condition", lambda kit, source: kit.generate(source, condition=None)),
    ("clips", lambda kit, source: kit.generator.plan(["a"], condition="matched", count=1, seed=0)),  # type: ignore[list-item]
    ("clips", lambda kit, source: kit.generator.plan(3, condition="matched", count=1, seed=0)),  # type: ignore[arg-type]
    ("plans", lambda kit, source: kit.mashups(source, [{"format": 2}])),  # type: ignore[list-item]
    ("plans", lambda kit, source: kit.mashups(source, None)),  # type: ignore[arg-type]
    ("mashups", lambda kit, source: kit.score(["a"])),  # type: ignore[list-item]
    ("mashups", lambda kit, source: kit.rank(None)),  # type: ignore[arg-type]
    ("mashups", lambda kit, source: kit.best_variants([3])),  # type: ignore[list-item]
    ("top", lambda kit, source: kit.rank([], top="3")),  # type: ignore[arg-type]
    ("per_vocal", lambda kit, source: kit.rank([], per_vocal=0)),
]


@pytest.mark.parametrize(("argument", "call"), CALLS)
def test_a_wrong_type_is_named_with_the_fix(
    argument: str, call: Callable[[mk.Kit, Any], object], source: SyntheticSource
) -> None:
    with pytest.raises(UsageError, match=argument) as caught:
        call(mk.Kit(), source)
    assert caught.value.fix


@pytest.mark.slow
def test_what_is_created_is_typed_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "import mashkit as mk\nfrom typing import assert_type\n"
        "registry = mk.Registry()\n"
        + "".join(
            f'assert_type(registry.create("{kind}", "x"), mk.{kind.capitalize()})\n'
            for kind in ("separator", "analyzer", "stretcher", "scorer", "generator", "executor")
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports", "silent",
         str(tmp_path / "typed.py")],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(HERE.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
