"""Plugins are fenced, whatever one song, plan or plugin raises is one named failure, wrong names are found first."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import locale
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import mashkit as mk
from mashkit.cli import main
from mashkit.components import fence
from mashkit.components.fence import data_on_stdout, plugin_code
from mashkit.discovery import published
from mashkit.errors import (
    AudioFileError,
    BrokenPlugin,
    ComponentFailed,
    ContractViolation,
    MashkitError,
    OptionError,
    PluginWarning,
    Unforeseen,
    UnknownComponent,
    UsageError,
    contained,
)
from mashkit.hookspecs import StageEvent
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Audio, Key, Score
from real_inputs import fences as made

EVENT = StageEvent(stage="score", item="x", state="done", done=1, total=1)
RAISED = ["ValueError", "KeyError", "MemoryError", "RecursionError", "RuntimeError", "SystemExit", "StopIteration",
          "KeyboardInterrupt", "GeneratorExit", "wrong type", "nothing", "not numbers", "disk full"]  # fmt: skip
COMMAND = [sys.executable, "-c", "import sys; from mashkit.cli import main; sys.exit(main())"]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Install a plugin of ours beside the others."""

    def install(name: str) -> Path:
        folder: Path = getattr(made, name)(tmp_path / "site" / name)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield install
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 100.0)], bars=16)


def run(*arguments: object) -> int:
    try:
        return main([str(one) for one in arguments])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def elsewhere(folder: Path, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own with a plugin on its path."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env=variables, check=False, **more
    )  # type: ignore[call-overload,no-any-return]


# ----------------------------------------------------------------------------------------------------------- imports
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("interrupts_on_import", "KeyboardInterrupt"),
        ("leaves_on_import", "SystemExit: 0"),
        ("ends_generators_on_import", "GeneratorExit"),
        ("raises_the_unspeakable", "Odd: no message"),
        ("card_is_wrong", "InvalidRequirement"),
        ("wraps_hooks", "wraps other plugins' hooks"),
        ("metadata_is_gone", "ImportError"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_broken_and_the_rest_is_there(
    name: str, reason: str, plugin: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin(name)
    assert run("plugins", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    (broken,) = data["broken"]
    assert reason in broken["reason"]
    assert {"paper", "signalsmith"} <= {one["name"] for one in data["components"]}
    assert run("--help") == 0


def test_what_a_plugin_prints_is_not_data(tmp_path: Path) -> None:
    done = elsewhere(made.prints_on_import(tmp_path), "plugins", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["broken"] == []
    assert "PRINTED" not in done.stdout
    assert done.stderr.count("PRINTED") >= 8


def test_what_a_plugin_rearranges_is_put_back(plugin: Callable[[str], Path]) -> None:
    plugin("rearranges_on_import")
    before = Path.cwd(), locale.setlocale(locale.LC_ALL), np.geterr(), signal.getsignal(signal.SIGINT), sys.stdout
    filters = [one for one in warnings.filters if one[0] == "error"]
    assert Registry().broken == []
    after = Path.cwd(), locale.setlocale(locale.LC_ALL), np.geterr(), signal.getsignal(signal.SIGINT), sys.stdout
    assert after == before
    assert [one for one in warnings.filters if one[0] == "error"] == filters


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_users_interrupt_stays_one(tmp_path: Path) -> None:
    made.install(tmp_path, "acme_waits", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = elsewhere(tmp_path, "plugins", "--json")
    assert done.returncode == 130
    assert done.stdout == ""
    assert "interrupted" in done.stderr
    # In a program of somebody's too.
    with pytest.raises(KeyboardInterrupt), plugin_code("waiting"):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(ComponentFailed, match="waiting: KeyboardInterrupt"), plugin_code("waiting"):
        raise KeyboardInterrupt


ENDS = """
import atexit, os, sys
from pathlib import Path
from mashkit import Command, hookimpl
from mashkit.atomicfile import replacing

def run(given):
    atexit.register(print, "tidied at exit", file=sys.stderr)
    with replacing(given.path) as path:
        path.write_text("half")
        os.kill(os.getpid(), given.number)
    return 0

def configure(parser):
    parser.add_argument("number", type=int)
    parser.add_argument("path", type=Path)

@hookimpl
def mashkit_register_commands():
    return [Command(name="acme-end", summary="s", configure=configure, run=run)]
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals) -> None:
    site = made.install(tmp_path / "site", "acme_ends", ENDS)
    output = tmp_path / "output"
    output.mkdir()
    command = [*COMMAND, "acme-end", str(int(number)), str(output / "file.txt")]
    variables = {**os.environ, "PYTHONPATH": str(site)}
    for begin in ([], ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]):  # the second as a script starts it with "&"
        done = subprocess.run([*begin, *command], env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == -number  # it ended by the signal, as whoever sent it expects
        assert f"ended by {number.name}; finished results are kept" in done.stderr
        assert done.stderr.endswith("tidied at exit\n")
        assert list(output.iterdir()) == []
    # What ignores a hangup, as nohup does, goes on.
    if number == signal.SIGHUP:
        subprocess.run(["nohup", *command], env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert (output / "file.txt").read_text() == "half"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside threads, which is what is tested
def test_a_fork_waits_for_no_call_of_a_thread_that_it_has_not(threads: Threads, tmp_path: Path) -> None:
    with data_on_stdout(for_good=False):
        threads.begin(
            "call", at_begin=lambda: fence._overlapping._lock.acquire(), at_end=fence._overlapping._lock.release
        )
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # ends it, where it would wait for ever
            put_back = False
            try:
                with plugin_code("plugin"):
                    os.chdir(tmp_path / "one")
                put_back = Path.cwd() == tmp_path
            finally:
                os._exit(0 if put_back else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        threads.end("call")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_program_that_is_interrupted_ends_as_interrupted_programs_do() -> None:
    program = """
import os, signal
import mashkit as mk
from mashkit.testing import signals

class Waiting(mk.Analyzer):
    info = mk.ComponentInfo(name="waiting", target="t:W", summary="s", code_license="MIT", provides={"tempo"})

    def _analyze(self, mix):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            print("tidied")

try:
    Waiting().analyze(signals.noise(0.5))
except KeyboardInterrupt as error:
    assert type(error) is KeyboardInterrupt
    raise
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGINT
    assert done.stdout == "tidied\n"
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


class Threads:
    """Calls of plugins in threads of their own; each ends, with what it does last, when it is told."""

    def __init__(self) -> None:
        self.threads: dict[str, threading.Thread] = {}
        self.may_end: dict[str, threading.Event] = {}

    def begin(self, name: str, at_begin: Callable[[], object] = int, at_end: Callable[[], object] = int) -> None:
        begun, self.may_end[name] = threading.Event(), threading.Event()

        def work() -> None:
            with plugin_code(name):
                at_begin()
                begun.set()
                self.may_end[name].wait(30)
                at_end()

        self.threads[name] = threading.Thread(target=work)
        self.threads[name].start()
        begun.wait(30)

    def end(self, name: str) -> None:
        self.may_end[name].set()
        self.threads[name].join()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Threads]:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    started = Threads()
    with warnings.catch_warnings():
        yield started
    for name in started.threads:
        started.end(name)


def test_what_a_program_changes_while_a_thread_runs_a_plugin_stays(threads: Threads, tmp_path: Path) -> None:
    threads.begin("call")
    os.chdir(tmp_path / "one")
    warnings.simplefilter("error", ResourceWarning)
    filters = list(warnings.filters)
    with contextlib.redirect_stdout(io.StringIO()) as heard:
        threads.end("call")
        print("heard")
    assert heard.getvalue() == "heard\n"
    assert Path.cwd() == tmp_path / "one"
    assert list(warnings.filters) == filters


def test_a_redirection_that_ends_while_a_thread_runs_a_plugin_has_ended(threads: Threads) -> None:
    before = sys.stdout, sys.stderr
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        threads.begin("call")
    threads.end("call")
    assert (sys.stdout, sys.stderr) == before


def test_a_call_in_the_main_thread_is_put_right_beside_calls_in_others(threads: Threads, tmp_path: Path) -> None:
    threads.begin("call")
    os.chdir(tmp_path / "one")
    with plugin_code("plugin"):
        os.chdir(tmp_path / "two")
        warnings.simplefilter("error", ResourceWarning)
        sys.stdout = io.StringIO()
    assert Path.cwd() == tmp_path / "one"
    assert not any(one[0] == "error" and one[2] is ResourceWarning for one in warnings.filters)
    threads.end("call")
    assert Path.cwd() == tmp_path / "one"


def test_calls_that_overlap_in_a_command_put_back_what_was_before_all_of_them(threads: Threads, tmp_path: Path) -> None:
    with data_on_stdout(for_good=False):
        threads.begin("first", at_begin=lambda: os.chdir("one"))
        threads.begin("second", at_begin=lambda: os.chdir(tmp_path / "two"))
        threads.end("first")
        assert Path.cwd() == tmp_path / "two"  # which the other call has set for itself
        threads.end("second")
        assert Path.cwd() == tmp_path
        threads.begin("first", at_begin=lambda: os.chdir("one"))
        with plugin_code("plugin"):
            os.chdir(tmp_path / "three")
        assert Path.cwd() == tmp_path  # where the command writes next
        threads.end("first")
        assert Path.cwd() == tmp_path


def test_where_ctrl_c_is_ignored_an_interrupt_is_the_plugins() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(ComponentFailed, match="waiting: KeyboardInterrupt"), plugin_code("waiting"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def test_commands_of_plugins_spoil_no_help(plugin: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    plugin("command_is_odd")
    assert run("--help") == 0
    assert "100% of it." in capsys.readouterr().out
    assert run("acme-odd") == 1
    assert "acme_commands failed: SystemExit: 9" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- hooks
@pytest.mark.parametrize(
    ("name", "said"), [("listener_raises", "KeyError: 'stage'"), ("listener_leaves", "SystemExit: 5")]
)
def test_a_listener_that_raises_hears_no_more(name: str, said: str, plugin: Callable[[str], Path]) -> None:
    plugin(name)
    registry = Registry()
    heard: list[StageEvent] = []

    class Listener:
        @mk.hookimpl
        def mashkit_stage(self, event: StageEvent) -> None:
            heard.append(event)

    registry.plugins.register(Listener())
    with pytest.warns(PluginWarning, match="acme_"):
        registry.plugins.hook.mashkit_stage(event=EVENT)
    for _ in range(2):  # a second warning would be an error here
        registry.plugins.hook.mashkit_stage(event=EVENT)
    assert len(registry.notes) == 1
    assert said in registry.notes[0]
    assert len(heard) == 3


@pytest.mark.parametrize("name", ["loader_raises", "loader_returns_what_is_no_audio"])
def test_a_loader_costs_the_song_it_fails_on(
    name: str, plugin: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin(name)
    songs = made.songs(tmp_path / "songs")
    registry = Registry()
    with pytest.raises(AudioFileError, match=r"odd\.flac: the loader of plugin acme_"):
        mk.load(songs / "odd.flac", loader=registry.plugins.hook.mashkit_load_audio)
    assert run("analyze", songs, "--analyzer", "essentia", "--json", "--quiet") == 3
    said = capsys.readouterr()
    data = json.loads(said.out)
    assert [Path(one["path"]).stem for one in data["results"]] == ["good one", "good two"]
    assert said.err.count("odd.flac") == 1


def test_a_dry_run_asks_loaders_too(
    plugin: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin("loader_decodes_text")
    (tmp_path / "song.notes").write_text("a tone of 26 seconds")
    command = ["mash", tmp_path / "song.notes", "-o", tmp_path / "out", "--dry-run", "--json"]
    assert run(*command) == 0
    (song,) = json.loads(capsys.readouterr().out)["songs"]
    assert song["duration_s"] == pytest.approx(26.0)
    (tmp_path / "song.notes").write_text("nothing that it knows")
    assert run(*command) == 1
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert "cannot be decoded" in failure["error"]


def test_a_database_is_made_of_a_file_that_a_plugin_decodes(
    plugin: Callable[[str], Path], light: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin("loader_decodes_text")
    (tmp_path / "song.notes").write_text("a tone of 26 seconds")
    command = ["db", "add", tmp_path / "song.notes", "--db", tmp_path / "db", "--json"]
    assert run(*command, "--separator", "thirds", "--analyzer", "grid", "-O", "executor.jobs=0") == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 1


@pytest.mark.parametrize("jobs", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_load_the_plugins_of_the_callers_registry_and_no_others(
    jobs: int, plugin: Callable[[str], Path], light: None, tmp_path: Path
) -> None:
    plugin("loader_raises")
    songs = made.songs(tmp_path / "songs")
    failed = {}
    for name, allow in {"all": None, "some": ["mashkit_light"]}.items():
        kit = Kit(
            separator="thirds",
            analyzer="grid",
            registry=Registry(allow=allow),
            options={"executor": {"jobs": jobs}},
        )
        failed[name] = [one.path.name for one in kit.catalog(songs, cache=tmp_path / name).failures]
    assert failed == {"all": ["odd.flac"], "some": []}


def test_weights_that_cannot_be_listed_are_left_out(plugin: Callable[[str], Path]) -> None:
    plugin("weights_raise")
    plugin("weights_are_none")
    registry = Registry()
    with pytest.warns(PluginWarning, match="are ignored"):
        weights = registry.weights()
    assert any(one.name.startswith("mashnet/") for one in weights)
    assert len(registry.notes) == 2


def test_a_command_says_so_once_and_its_data_stay_data(tmp_path: Path) -> None:
    songs = made.songs(tmp_path / "songs")
    done = elsewhere(made.listener_raises(tmp_path / "site"), "analyze", songs, "--analyzer", "essentia", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["results"]) == 3
    assert done.stderr.count("acme_listens") == 2  # the plugin, and the file it is in
    assert "mashkit analyze: plugin acme_listens" in done.stderr


# --------------------------------------------------------------------------------------------- components, every kind
@pytest.mark.parametrize("does", RAISED)
@pytest.mark.parametrize("kind", ["separator", "analyzer"])
def test_one_song_is_one_failure(
    kind: str, does: str, plugin: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin("moody")
    made.song(tmp_path / "songs" / "odd.flac", 261.0, odd=True, seconds=2)
    made.song(tmp_path / "songs" / "good.flac", 220.0, seconds=2)
    verb = {"separator": ["separate", "-o", tmp_path / "out"], "analyzer": ["analyze"]}[kind]
    command = [verb[0], tmp_path / "songs", *verb[1:], f"--{kind}", "moody", "-O", f"{kind}.does={does}", "--json"]
    assert run(*command) == 3
    said = capfd.readouterr()
    data = json.loads(said.out)
    assert [Path(one["path"]).name for one in data["results"]] == ["good.flac"]
    (failure,) = data["failures"]
    assert f"{kind} 'moody' failed to" in failure["error"]
    assert "odd.flac" in failure["error"]
    if does not in ("wrong type", "nothing", "not numbers"):
        assert "acme_moody.py, line" in failure["error"]
        assert {"disk full": "OSError"}.get(does, does) in failure["error"]
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("does", "jobs"),
    [
        ("ValueError", 0), ("wrong type", 1),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("SystemExit", 0), ("wrong type", 0), ("ValueError", 1), ("SystemExit", 1))
        ),
    ],
)  # fmt: skip
def test_a_run_over_songs_goes_on(
    does: str, jobs: int, plugin: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin("moody")
    songs = made.songs(tmp_path / "songs")
    command = [
        "db", "add", songs, "--db", tmp_path / "db", "--separator", "moody", "--analyzer", "moody",
        "-O", f"separator.does={does}", "-O", f"executor.jobs={jobs}", "--no-features", "--json", "--quiet",
    ]  # fmt: skip
    assert run(*command) == 3
    said = capfd.readouterr()
    data = json.loads(said.out)
    assert data["songs"] == 2
    (failure,) = data["failures"]
    assert failure["path"].endswith("odd.flac")
    assert said.err.count("odd.flac") == 1


def test_mash_uses_the_songs_that_can_be_used(
    plugin: Callable[[str], Path], tmp_path: Path, in_this_process: None, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin("moody")
    plugin("listener_raises")
    songs = made.songs(tmp_path / "songs")
    command = ["mash", songs, "-o", tmp_path / "out", "--separator", "moody", "--analyzer", "moody"]
    command += ["--scorer", "rank(moody,loudness)", "--top", "1", "-O", "separator.does=KeyError", "--json", "--quiet"]
    assert run(*command) == 3
    said = capfd.readouterr()
    data = json.loads(said.out)
    assert len(data["mashups"]) == 1
    (failure,) = data["failures"]
    assert failure["path"].endswith("odd.flac")
    assert "KeyError: 'layer'" in failure["error"]
    assert any("acme_listens" in note for note in data["notes"])
    assert said.err.count("odd.flac") == 1


def test_what_mashkit_did_not_foresee_is_one_songs_own(
    plugin: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin("moody")
    songs = made.songs(tmp_path / "songs")
    from mashkit.catalog import adding

    cut = adding.clips_of

    def clips_of(song, *rest):  # type: ignore[no-untyped-def]
        if song.path.stem == "odd":
            raise ValueError("a cannot be empty")
        return cut(song, *rest)

    monkeypatch.setattr(adding, "clips_of", clips_of)
    catalog = Kit(separator="moody", analyzer="moody", options={"executor": {"jobs": 0}}).catalog(
        songs, cache=tmp_path / "cache"
    )
    (failure,) = catalog.failures
    assert failure.path.stem == "odd"
    assert isinstance(failure.error, Unforeseen)
    assert "ValueError: a cannot be empty" in str(failure.error)
    assert "test_real_fences.py, line" in str(failure.error)
    assert isinstance(failure.error.__cause__ or ValueError(), ValueError)
    assert len({clip.song for clip in catalog.clips}) == 2


@pytest.mark.parametrize("does", [one for one in RAISED if one != "nothing"])
def test_one_mashup_that_cannot_be_scored_is_one_failure(
    does: str, plugin: Callable[[str], Path], source: SyntheticSource
) -> None:
    plugin("moody")
    plans = list(Kit().generator.plan(source.clips, condition="matched", count=4, seed=0))
    kit = Kit(scorer="moody", options={"scorer": {"does": does, "at": plans[1].id}})
    results = kit.score(kit.mashups(source, plans))  # type: ignore[arg-type]
    assert [isinstance(one, Score) for one in results] == [True, False, True, True]
    assert "scorer 'moody'" in str(results[1])
    failed: list[str] = []
    ranked = kit.rank(
        kit.mashups(source, plans), failed=lambda mashup, error: failed.append(mashup.plan.id)  # type: ignore[arg-type]
    )  # fmt: skip
    assert len(ranked) == 3
    assert failed == [plans[1].id]


@pytest.mark.parametrize("does", [one for one in RAISED if one != "not numbers"])
def test_plans_drawn_before_a_generator_fails_are_used(
    does: str, plugin: Callable[[str], Path], source: SyntheticSource
) -> None:
    plugin("moody")
    kit = Kit(generator="moody", options={"generator": {"does": does}})
    with pytest.warns(PluginWarning, match="drawing ended after 2 of 5 plans"):
        mashups = kit.generate(source, count=5)  # type: ignore[arg-type]
    assert len(mashups) == 2
    with pytest.warns(PluginWarning, match="failed to vary a plan"):
        assert [one.plan for one in kit.best_variants(mashups)] == [one.plan for one in mashups]
    mixture = mk.Mixture(kit.generator, source.clips, mk.Recipe({mk.Condition.MATCHED: 5}), seed=0)
    assert [plan.id for plan in mixture] == [one.plan.id for one in mashups]
    assert "generator 'moody' failed to plan" in str(mixture.report.failure)
    nothing = Kit(generator="moody", options={"generator": {"does": does, "good": 0}})
    with pytest.raises(MashkitError, match="generator 'moody' failed to plan"):
        nothing.generate(source, count=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("does", RAISED)
def test_stretchers_and_executors_raise_mashkits_errors_only(does: str, plugin: Callable[[str], Path]) -> None:
    plugin("moody")
    audio = Audio(np.zeros((2, 4410), np.float32), 44_100)
    stretcher = Kit(stretcher="moody", options={"stretcher": {"does": does}}).stretcher
    with pytest.raises((ComponentFailed, ContractViolation), match="stretcher 'moody' failed to stretch"):
        stretcher.stretch(audio, speed=1.1)
    if does != "not numbers":
        executor = Kit(executor="moody", options={"executor": {"does": does}}).executor
        with pytest.raises((ComponentFailed, ContractViolation), match="executor 'moody' failed to start"):
            list(executor.run([]))


def test_a_component_that_cannot_describe_itself_is_found_first(
    plugin: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin("moody")
    command = ["separate", tmp_path / "no such song.flac", "-o", tmp_path / "out", "--separator", "moody"]
    assert run(*command, "-O", "separator.does=describe") == 1
    assert "separator 'moody' failed to describe itself: ValueError: indescribable" in capsys.readouterr().err


def test_a_component_that_changes_the_folder_loses_nobody(
    plugin: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("moody")
    monkeypatch.chdir(tmp_path)
    made.song(tmp_path / "songs" / "a odd.flac", 261.0, odd=True, seconds=2)
    made.song(tmp_path / "songs" / "good.flac", 220.0, seconds=2)
    assert run("separate", "songs", "-o", "out", "--separator", "moody", "-O", "separator.does=chdir", "--quiet") == 3
    assert (tmp_path / "out" / "good" / "vocals.flac").exists()


def test_an_isolated_component_is_fenced_too(tmp_path: Path) -> None:
    site = made.moody(tmp_path / "site")
    made.song(tmp_path / "songs" / "odd.flac", 261.0, odd=True, seconds=2)
    made.song(tmp_path / "songs" / "good.flac", 220.0, seconds=2)
    done = elsewhere(
        site, "separate", tmp_path / "songs", "-o", tmp_path / "out", "--separator", "moody@", "--json",
        "-O", "separator.does=SystemExit",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    data = json.loads(done.stdout)
    assert len(data["results"]) == len(data["failures"]) == 1
    assert "SystemExit: 4" in data["failures"][0]["error"]


def test_plans_whose_clips_are_not_there_are_failures_of_their_own(
    plugin: Callable[[str], Path], source: SyntheticSource
) -> None:
    plans = list(Kit().generator.plan(source.clips, condition="matched", count=3, seed=0))
    strange = SyntheticSource([(Key(3, "major"), 90.0), (Key(5, "major"), 95.0)], bars=16)
    there = {clip.id for clip in source.clips}
    foreign = next(
        plan for plan in Kit().generator.plan(strange.clips, condition="original", count=1, seed=0)
    )  # fmt: skip
    assert not {layer.clip_id for layer in foreign.layers} & there
    results = Kit(scorer="loudness").score_plans(source, [plans[0], foreign, plans[1]])  # type: ignore[arg-type]
    assert [isinstance(one, Score) for one in results] == [True, False, True]


def test_errors_say_where() -> None:
    def fail() -> None:
        raise MemoryError

    try:
        fail()
    except MemoryError as error:
        said = contained(error, "it failed")
    assert "it failed: MemoryError: no message" in str(said)
    assert "more memory" in str(said)
    assert "test_real_fences.py, line" in str(said)
    assert "in fail" in said.__notes__[0]
    own = UsageError("no", "yes")
    assert contained(own, "it failed") is own


# --------------------------------------------------------------------------------------------- found before the songs
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scorer", "amv"], "did you mean 'amu'"),
        (["--analyzer", "key:essentia,beats:nobody"], "nobody"),
        (["--scorer", "rank(amu,tvi)"], "did you mean 'tiv'"),
        (["--scorer", "cached:z(amu,tiv)"], "cannot be cached"),
        (["--separator", "spleeter-torch@nowhere"], "mashkit env create nowhere"),
        (["-O", "scorr.x=1"], "did you mean scorer.x"),
        (["-O", "stretcher.chaeper=true"], "did you mean 'cheaper'"),
        (["-O", "stretcher.cheaper=banana"], "give true or false"),
        (["-O", "generator.max_shift=99"], "max_shift"),
        (["-O", "generator.max_shift=NaN"], "max_shift"),
        (["-O", "separator.nothing=1", "--scorer", "amv"], "nothing"),
        (["-O", "executor.jobs=many"], "jobs"),
        (["--condition", "odd"], "odd"),
        (["--count", "0"], "1 or more"),
        (["--seed", "-1"], "0 or more"),
        (["--top", "5", "--count", "4"], "--top 5 is more than --count 4"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_song(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The song is none: whoever touched it would say so.
    (tmp_path / "song.flac").write_text("none")
    assert run("mash", tmp_path / "song.flac", "-o", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "song.flac" not in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "command",
    [
        ["db", "add", "SONG", "--db", "OUT", "--separator", "nobody"],
        ["db", "add", "SONG", "--db", "OUT", "--analyzer", "nobody"],
        ["db", "add", "SONG", "--db", "OUT", "--executor", "nobody"],
        ["generate", "SONG", "--generator", "nobody"],
        ["generate", "--db", "OUT", "--separator", "nobody"],
        ["separate", "SONG", "-o", "OUT", "--separator", "nobody"],
        ["analyze", "SONG", "--analyzer", "nobody"],
        ["stretch", "SONG", "-o", "OUT", "--stretcher", "nobody"],
        ["stretch", "SONG", "-o", "OUT", "-O", "separator.nobody=1"],
        ["bench", "run", "smoke", "-o", "OUT", "--add", "nobody"],
        ["mash", "--db", "OUT", "-o", "OUT", "--stretcher", "nobody"],
    ],
)
def test_every_command_says_it_first_and_once(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "song.flac").write_text("none")
    places = {"SONG": tmp_path / "song.flac", "OUT": tmp_path / "out"}
    assert run(*(places.get(one, one) for one in command)) == 2
    error = capsys.readouterr().err
    assert error.count("nobody") == 1 or "did you mean" in error
    assert "song.flac" not in error


def test_all_that_is_missing_is_said_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kit = Kit(registry=Registry(allow=["mashkit"]))
    with pytest.raises(UnknownComponent, match="mashkit-madmom is not among"):
        kit.require("analyzer")
    with pytest.raises(UsageError, match=r"stemnet.*madmom.*signalsmith") as told:
        kit.require("separator", "analyzer", "stretcher", "generator")
    assert told.value.fix == "add to MASHKIT_PLUGINS: mashkit-stemnet,mashkit-madmom,mashkit-signalsmith"


def test_with_mashkit_alone_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.entry_points

    def alone(**chosen: str) -> list[importlib.metadata.EntryPoint]:
        return [one for one in found(**chosen) if one.dist is not None and one.dist.name == "mashkit"]

    monkeypatch.setattr(importlib.metadata, "entry_points", alone)
    with pytest.raises(UsageError) as told:
        Kit().require("separator", "analyzer", "stretcher", "scorer", "generator")
    assert told.value.fix == ("pip install mashkit-stemnet mashkit-madmom mashkit-signalsmith mashkit-mashnet")
    assert "no scorer" not in str(told.value)
    with pytest.raises(UnknownComponent, match="pip install mashkit-demucs"):
        Kit(separator="demucs").require("separator")


# ---------------------------------------------------------------------------------------------------- doctor, plugins
def test_doctor_and_plugins_tell_one_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASHKIT_MODELS", str(tmp_path / "models"))  # no weights are downloaded
    assert run("plugins", "--json") == 0
    listed = {f"{one['kind']} {one['name']}": one for one in json.loads(capsys.readouterr().out)["components"]}
    run("doctor", "--json")
    checks = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert {name: one["available"] for name, one in listed.items()} == {name: checks[name]["ok"] for name in listed}
    missing = [one for one in listed.values() if "weights" in one["reason"]]
    assert all("mashkit models pull" in one["fix"] for one in missing)


def test_what_brings_a_component_is_known() -> None:
    for one in Registry().components():
        assert published()[one.kind][one.info.name] == one.origin.distribution
    for kind, name in Kit().chosen.items():
        assert name in published()[kind]


def test_without_its_plugins_doctor_names_those_that_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mashkit.discovery import how_to_install

    assert how_to_install("scorer", "intervalnet") == "pip install mashkit-mashnet"
    monkeypatch.setenv("MASHKIT_PLUGINS", "")
    assert run("doctor", "--json") == 4
    fixes = {one["check"]: one["fix"] for one in json.loads(capsys.readouterr().out)["checks"] if not one["ok"]}
    assert fixes["scorer intervalnet"] == "pip install mashkit-mashnet"


def test_options_of_any_type() -> None:
    registry = Registry()
    for value in ("yes", 1, None, [True]):
        with pytest.raises(OptionError, match="cheaper"):
            registry.create("stretcher", "signalsmith", {"cheaper": value})
    with pytest.raises(BrokenPlugin, match="could not be made"), plugin_code("x could not be made", BrokenPlugin):
        raise KeyError("x")
