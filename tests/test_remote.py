"""A component in a worker process is the same component; whatever happens there costs one item, and leaves nothing."""

from __future__ import annotations

import concurrent.futures
import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np
import pytest

from mashkit.audio import buffers as audiobuffer
from mashkit.catalog.adding import spec_of
from mashkit.cli import main
from mashkit.components import Component
from mashkit.components.code import code_sha256
from mashkit.components.environments import RECORD, EnvironmentFailed
from mashkit.discovery import Registered
from mashkit.errors import (
    AudioError,
    AudioFileError,
    ComponentFailed,
    ComponentUnavailable,
    ContractViolation,
    FileError,
    GenerationError,
    LabelError,
    MashkitError,
    OptionError,
    OutputError,
    UnknownComponent,
    UsageError,
)
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Generator, Separator, Stretcher
from mashkit.networks.checkpoints import CheckpointError
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.remote import messages
from mashkit.remote.install import prove
from mashkit.remote.proxies import RemoteComponent, isolated
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import StretcherContract, signals
from mashkit.types import Audio, Key
from mashkit.types.timemap import TimeMap
from mashkit.workers.channel import BadMessageError, Lost

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ODD = '''
import ctypes, os, subprocess, sys, time
from pathlib import Path
import attrs
import numpy as np
from mashkit import Audio, ComponentInfo, Scorer, Separator, StemSet, hookimpl
from mashkit.errors import AudioError
from mashkit.hookspecs import StageEvent
from mashkit.remote.progress import report

INFO = ComponentInfo(name="odd", target="acme_odd:Odd", summary="does as it is told", provides=["vocals", "other"],
                     code_license="MIT", weights_license="MIT")

@hookimpl
def mashkit_register_separators():
    return [INFO]

def damaged(stem):
    broken = np.array(stem.samples)
    broken[0, 3] = np.nan
    object.__setattr__(stem, "samples", broken)
    return stem

def sleep(folder):
    child = subprocess.Popen(["sleep", "600"])
    (folder / "child").write_text(str(child.pid))
    time.sleep(600)

def write_everywhere():
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"la la la la la la la la la la")
        except OSError:
            pass

def print_all():
    print("from print")
    os.write(1, b"to descriptor 1\\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"from C")
    libc.fflush(None)
    subprocess.run(["echo", "from a program"])
    assert sys.stdin.read() == ""

@attrs.define(kw_only=True, eq=False)
class Odd(Separator):
    """Does what the file `told` in its folder says, or separates."""

    info = INFO
    folder: str
    level: float = attrs.field(default=0.5, validator=attrs.validators.le(1))

    def weights(self):
        return {"odd.bin": "0" * 64}

    def trained_on(self):
        return ("Band - Tune",)

    def _separate(self, mix):
        folder = Path(self.folder)
        told = (folder / "told").read_text() if (folder / "told").exists() else ""
        half = Audio(mix.samples * np.float32(self.level), mix.sample_rate)
        stems = {"vocals": half, "other": Audio(mix.samples - half.samples, mix.sample_rate)}
        if told == "exit":
            print("goodbye", file=sys.stderr, flush=True)
            os._exit(7)
        elif told == "leave":
            sys.exit("I leave")
        elif told == "crash":
            os.abort()
        elif told == "hang":
            sleep(folder)
        elif told == "raise":
            raise RuntimeError("out of tune")
        elif told == "refuse":
            raise AudioError("too loud", "turn it down")
        elif told == "print":
            print_all()
        elif told == "junk":
            write_everywhere()
        elif told == "nan":
            stems["vocals"] = damaged(half)
        elif told == "short":
            stems = {name: stem.excerpt(0, mix.duration / 2) for name, stem in stems.items()}
        elif told == "one":
            del stems["other"]
        elif told == "nothing":
            return None
        elif told == "report":
            for done in (1, 2):
                report(StageEvent(stage="odd", item="segment", state="done", done=done, total=2))
        return StemSet(stems)
'''


class Odd:
    """The odd separator in a worker, and what it is told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.events: list[StageEvent] = []
        self.component = isolated(
            "separator", "odd", options={"folder": str(folder)}, notify=self.events.append, **options
        )

    def separate(self, told: str, mix: Audio | None = None) -> dict[str, Audio]:
        (self.folder / "told").write_text(told)
        stems = cast("Separator", self.component).separate(mix or signals.noise(0.5))
        return dict(stems.stems)

    @property
    def pid(self) -> int:
        worker = self.component.session._worker
        assert worker is not None
        return worker.process.pid


def install(folder: Path, module: str, code: str) -> None:
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{module} = {module}\n")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of distributions the worker sees, and this process does not."""
    folder = tmp_path / "library"
    folder.mkdir()
    install(folder, "acme_odd", ODD)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    # Discovering the others' plugins is not what is tested here.
    monkeypatch.setenv("MASHKIT_PLUGINS", "acme_odd")
    return folder


@pytest.fixture
def odd(library: Path, tmp_path: Path) -> Iterator[Odd]:
    one = Odd(tmp_path)
    yield one
    one.component.close()


def is_running(pid: int) -> bool:
    try:
        # Reaped or not: a zombie does no harm, and its parent may be a container's first process.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


# -------------------------------------------------------------------------------------------------- the same results
class OfAPlugin(AudioError):
    def __init__(self, bars: int) -> None:
        super().__init__(f"{bars} bars", "give more")


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (UsageError("a", "b"), UsageError),
        (AudioFileError("x.wav", "a"), AudioFileError),
        (LabelError("x.txt", 3, "a", "b"), LabelError),
        (CheckpointError("net.safetensors", "a: b", "c"), FileError),
        (OfAPlugin(3), AudioError),
    ],
)
def test_an_error_keeps_its_words_between_processes(error: MashkitError, sent: type[MashkitError]) -> None:
    back = messages.error_from_dict(json.loads(json.dumps(messages.error_to_dict(error))))
    assert type(back) is sent
    assert (str(back), back.problem, back.fix) == (str(error), error.problem, error.fix)
    assert getattr(back, "path", None) == getattr(error, "path", None)


@pytest.mark.plugins
@pytest.mark.slow
class TestSignalsmithInAWorker(StretcherContract):
    component = "signalsmith@"

    @classmethod
    def registered(cls) -> Registered:
        """Return the card of the component itself, under the name it has in a worker."""
        there = Registry().find("stretcher", "signalsmith")
        return attrs.evolve(there, info=attrs.evolve(there.info, name=cls.component))


def both(kind: str, name: str, **options: Any) -> tuple[Component, Component]:
    registry = Registry()
    return registry.create(kind, name, options), registry.create(kind, f"{name}@", options)


@pytest.mark.plugins
@pytest.mark.slow
def test_a_separator_gives_the_same_stems() -> None:
    mix = signals.mix(signals.band(bars=2)[0])
    here, there = (cast("Separator", one).separate(mix).stems for one in both("separator", "librosa"))
    assert set(here) == set(there)
    for name in here:
        np.testing.assert_array_equal(here[name].samples, there[name].samples)


@pytest.mark.plugins
def test_an_analyzer_gives_the_same_analysis() -> None:
    mix = signals.mix(signals.band(bars=4)[0])
    here, there = (cast("Analyzer", one).analyze(mix) for one in both("analyzer", "librosa"))
    assert here == there
    assert here.key is not None


@pytest.mark.plugins
@pytest.mark.parametrize(
    "options", [{"speed": 1.1, "semitones": -2.5}, {"time_map": TimeMap((0, 1, 3), (0, 0.9, 3.1))}], ids=list
)
def test_a_stretcher_gives_the_same_samples(options: dict[str, Any]) -> None:
    audio = signals.chord_progression(seconds=3.0)
    here, there = (
        cast("Stretcher", one).stretch(audio, **options) for one in both("stretcher", "signalsmith", window_ms=80.0)
    )
    np.testing.assert_array_equal(here.samples, there.samples)


def test_a_generator_gives_the_same_plans() -> None:
    bands = [(Key(0, "major"), 120.0), (Key(2, "major"), 110.0), (Key(9, "minor"), 126.0), (Key(5, "major"), 100.0)]
    clips = SyntheticSource(bands, bars=16).clips
    here, there = (cast("Generator", one) for one in both("generator", "paper"))
    plans = list(here.plan(clips, condition="matched", count=3, seed=4))
    assert list(there.plan(clips, condition="matched", count=3, seed=4)) == plans
    known = {clip.id: clip for clip in clips}
    assert there.variants(plans[0], known) == here.variants(plans[0], known)
    with pytest.raises(GenerationError, match="no matched mashup"):
        list(there.plan(clips[:1], condition="matched", count=1, seed=0))


@pytest.mark.plugins
def test_it_says_what_it_is_and_where_it_runs() -> None:
    here, there = both("stretcher", "signalsmith", window_ms=80.0)
    assert there.options() == here.options()
    assert there.describe() == {**here.describe(), "environment": ""}
    assert there.fingerprint() != here.fingerprint()
    assert both("stretcher", "signalsmith", window_ms=80.0)[1].fingerprint() == there.fingerprint()
    # What the catalog's processes make it anew from.
    spec = spec_of(there)
    assert spec is not None
    assert Registry().create("stretcher", *spec).fingerprint() == there.fingerprint()


@pytest.mark.plugins
def test_a_kit_takes_it_by_name() -> None:
    kit = Kit(stretcher="signalsmith@", options={"stretcher": {"cheaper": True}})
    assert kit.stretcher.options()["cheaper"] is True
    assert isinstance(kit.stretcher, RemoteComponent)


def test_its_weights_and_progress_come_through(odd: Odd) -> None:
    assert odd.component.weights() == {"odd.bin": "0" * 64}
    assert odd.component.trained_on() == ("Band - Tune",)
    assert odd.separate("report")
    assert [(event.stage, event.done, event.total) for event in odd.events] == [("odd", 1, 2), ("odd", 2, 2)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_every_answer_is_that_of_its_own_call(odd: Odd, error: type[BaseException]) -> None:
    heard = odd.events.append

    def fail(event: StageEvent) -> None:
        raise error

    odd.component.session._notify = fail
    with pytest.raises((ComponentFailed, KeyboardInterrupt)):
        odd.separate("report", signals.noise(0.25))
    odd.component.session._notify = heard
    for seconds in (0.5, 0.75):
        assert odd.separate("", signals.noise(seconds))["vocals"].duration == seconds
    with pytest.raises(AudioError):
        odd.separate("refuse")
    assert odd.separate("report", signals.noise(1.0))["vocals"].duration == 1.0


def test_a_listener_that_calls_the_component_gets_no_answer_of_another_call(odd: Odd) -> None:
    refused = []

    def call_it(event: StageEvent) -> None:
        with pytest.raises(UsageError, match=r"'odd' was called by a listener of its own events, while it works"):
            odd.component.described()
        refused.append(event)

    odd.component.session._notify = call_it
    assert odd.separate("report", signals.noise(0.25))["vocals"].duration == 0.25
    assert len(refused) == 2
    assert odd.component.described()["name"] == "odd"


def test_inputs_and_outputs_of_every_shape(odd: Odd) -> None:
    for mix in (
        signals.noise(0.001),
        signals.noise(1.0, channels=1, sample_rate=8000),
        signals.tone(440.0, 0.2, amplitude=5.0),
        signals.noise(30.0, sample_rate=96_000),
    ):
        before = mix.samples.copy()
        stems = odd.separate("", mix)
        # Beyond a usual level the mix is scaled before it is separated, and the stems back.
        np.testing.assert_allclose(stems["vocals"].samples, before * np.float32(0.5), rtol=1e-6)
        np.testing.assert_array_equal(mix.samples, before)
        assert not stems["vocals"].samples.flags.writeable


# ------------------------------------------------------------------------------------------- what a backend may do
@pytest.mark.whole
@pytest.mark.parametrize(
    ("told", "how", "last_words"),
    [("exit", "ended with status 7", "goodbye"), ("crash", "was ended by SIGABRT", "")],
)
def test_a_worker_that_dies_costs_one_item(odd: Odd, told: str, how: str, last_words: str) -> None:
    first = odd.pid
    with pytest.raises(ComponentFailed) as raised:
        odd.separate(told)
    assert "separator 'odd'" in raised.value.problem
    assert how in raised.value.problem
    assert last_words in raised.value.problem
    assert raised.value.fix is not None
    assert odd.separate("")
    assert odd.pid != first


def test_a_worker_that_is_killed_between_calls_is_replaced_after_one_error(odd: Odd) -> None:
    os.kill(odd.pid, signal.SIGKILL)
    with pytest.raises(ComponentFailed, match="SIGKILL"):
        odd.separate("")
    assert odd.separate("")


def test_a_time_out_ends_the_worker_and_what_it_runs(library: Path, tmp_path: Path) -> None:
    odd = Odd(tmp_path, timeout_s=1.0)
    with odd.component:
        first = odd.pid
        begun = time.monotonic()
        with pytest.raises(ComponentFailed, match="was not done after 1 s") as raised:
            odd.separate("hang")
        assert time.monotonic() - begun < 5
        assert raised.value.fix is not None
        assert "MASHKIT_WORKER_TIMEOUT" in raised.value.fix
        assert not is_running(first)
        assert ends(int((tmp_path / "child").read_text()))
        assert odd.separate("")


def test_the_time_out_of_the_environment_variable(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_WORKER_TIMEOUT", "0.5")
    odd = Odd(tmp_path)
    with odd.component, pytest.raises(ComponentFailed, match="was not done"):
        odd.separate("hang")
    for text in ("soon", "-1", "nan"):
        monkeypatch.setenv("MASHKIT_WORKER_TIMEOUT", text)
        with pytest.raises(UsageError, match="number of seconds"):
            Odd(tmp_path)


def test_time_outs_grow_with_the_audio(odd: Odd) -> None:
    assert odd.component.session.allowed_s(60.0) - odd.component.session.allowed_s(0.0) >= 600


def test_printing_does_no_harm(odd: Odd) -> None:
    first = odd.pid
    assert odd.separate("print")
    assert odd.separate("")
    assert odd.pid == first


def test_what_is_no_message_is_noticed(odd: Odd) -> None:
    with pytest.raises(ComponentFailed, match="sent no message of ours"):
        odd.separate("junk")
    assert odd.separate("")


def test_what_an_interpreter_prints_before_it_starts_does_no_harm(library: Path, tmp_path: Path) -> None:
    (library / "sitecustomize.py").write_text("print('welcome to this machine', flush=True)")
    odd = Odd(tmp_path)
    with odd.component:
        assert odd.separate("")
        with pytest.raises(ComponentFailed, match="welcome"):
            odd.separate("exit")


def test_an_exception_keeps_its_message(odd: Odd) -> None:
    first = odd.pid
    with pytest.raises(ComponentFailed, match="'odd' failed to separate: RuntimeError: out of tune"):
        odd.separate("raise")
    with pytest.raises(ComponentFailed, match="'odd' failed to separate: SystemExit: I leave"):
        odd.separate("leave")
    with pytest.raises(AudioError) as raised:
        odd.separate("refuse")
    assert (raised.value.problem, raised.value.fix) == ("too loud", "turn it down")
    with pytest.raises(ContractViolation, match="it returned NoneType instead of StemSet"):
        odd.separate("nothing")
    assert odd.pid == first


@pytest.mark.parametrize(
    ("told", "problem"), [("nan", "1 of .* samples are NaN"), ("short", "for a mix of"), ("one", "promises")]
)
def test_the_interface_checks_what_comes_back(odd: Odd, told: str, problem: str) -> None:
    with pytest.raises(ContractViolation, match=problem) as raised:
        odd.separate(told)
    assert "'odd@'" in raised.value.problem
    assert odd.separate("")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside threads, which is what is tested
@pytest.mark.parametrize("during", ["between calls", "during a call of another thread", "in a listener"])
def test_a_fork_has_a_worker_of_its_own(odd: Odd, during: str) -> None:
    first, told = odd.pid, ""
    reader, writer = os.pipe()
    pids: list[int] = []

    def forked() -> None:
        child = os.fork()
        if child:
            pids.append(child)
            return
        try:
            mix = signals.noise(0.25)
            same = cast("Separator", odd.component).separate(mix).stems["vocals"].duration == 0.25
            os.write(writer, json.dumps([same, odd.pid]).encode())
        finally:
            os._exit(0)

    def fork_once(event: StageEvent) -> None:
        if not pids:
            forked()

    if during == "in a listener":
        told, odd.component.session._notify = "report", fork_once
    elif during == "during a call of another thread":
        lock = odd.component.session._lock
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(lock.acquire).result()
            forked()
            pool.submit(lock.release).result()
    else:
        forked()
    assert odd.separate(told, signals.noise(0.75))["vocals"].duration == 0.75
    os.waitpid(pids[0], 0)
    same, of_fork = json.loads(os.read(reader, 1000))
    assert same
    assert odd.pid == first != of_fork
    assert odd.separate("", signals.noise(0.5))["vocals"].duration == 0.5
    assert ends(of_fork)
    os.close(reader), os.close(writer)


def test_a_worker_of_another_process_answers_no_fork(odd: Odd) -> None:
    worker = odd.component.session._worker
    assert worker is not None
    worker._owner += 1  # as if this process were a fork
    for use in (lambda: worker.send(([b"x"], [])), worker.receive):
        with pytest.raises(Lost, match="from which this one was forked"):
            use()
    worker._owner -= 1
    assert odd.separate("")


# -------------------------------------------------------------------------------------------- what a session is given
def test_a_pickled_copy_has_a_worker_of_its_own(odd: Odd) -> None:
    one = cast("RemoteComponent", odd.component)
    for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):  # noqa: S301 — our own bytes
        with copied:
            assert copied.session._worker is None
            assert copied.separate(signals.noise(0.25)).stems["vocals"].duration == 0.25
            assert copied.session._worker.process.pid != odd.pid
            assert (copied.info, copied.options(), copied.describe()) == (one.info, one.options(), one.describe())
    assert odd.separate("")
    name = "paper@"
    made = Registry().create("generator", name)  # which tells the listeners of its registry
    kit = Kit(generator=made)
    assert pickle.loads(pickle.dumps(kit.generator)).fingerprint() == made.fingerprint()  # noqa: S301


def test_a_caller_that_changes_a_description_changes_only_its_own(odd: Odd) -> None:
    before = odd.component.fingerprint()
    for one in (odd.component.describe(), odd.component.options(), odd.component.weights()):
        cast("dict[str, Any]", one).clear()
    odd.component.describe()["options"]["level"] = 0.1
    odd.component.describe()["weights"]["odd.bin"] = "1" * 64
    assert odd.component.fingerprint() == before


def test_options_are_sent_as_plain_data_or_refused_by_name(library: Path, tmp_path: Path) -> None:
    options = {"folder": tmp_path, "level": np.float32(0.25)}
    with isolated("separator", "odd", options=options) as odd:
        assert odd.options() == {"folder": str(tmp_path), "level": 0.25}
    for value in (object(), {1, 2}, {"a": [lambda: 0]}):
        with pytest.raises(
            OptionError, match=r"separator 'odd': its option 'level' cannot be sent .* is not plain data"
        ):
            isolated("separator", "odd", options={"folder": tmp_path, "level": value})


def test_a_worker_loads_only_plugins_that_its_registry_may_load(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASHKIT_PLUGINS")
    options = {"folder": str(tmp_path)}
    with cast("RemoteComponent", Registry(allow=["acme_odd"]).create("separator", "odd@", options)) as odd:
        assert odd.info.name == "odd@"
        with pickle.loads(pickle.dumps(odd)) as copied:  # noqa: S301 — our own bytes
            assert copied.session._allow == odd.session._allow
    with pytest.raises(UnknownComponent):
        Registry(allow=[]).create("separator", "odd@", options)

    def started(*arguments: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("mashkit.remote.session._Worker", started)
    with pytest.raises(UnknownComponent, match="mashkit-librosa is not among the plugins to load"):
        Registry(allow=[]).create("separator", "librosa@")


def test_what_is_kept_of_a_worker_depends_on_the_code_that_ran_there(library: Path, tmp_path: Path) -> None:
    (library / "acme_odd.py").rename(library / "code.py")
    package = library / "acme_odd"
    package.mkdir()
    (library / "code.py").rename(package / "__init__.py")
    helper, hashes = package / "helper.py", []
    for text in ("A = 1", "A = 1", "A = 2"):
        helper.write_text(text)
        with isolated("separator", "odd", options={"folder": str(tmp_path)}) as one:
            hashes.append(code_sha256(one))
            helper.write_text("A = 3")
            assert code_sha256(one) == hashes[-1]  # of what it has loaded
    assert hashes[0] == hashes[1] != hashes[2]


# ------------------------------------------------------------------------------------------------- nothing is left
def test_nothing_is_left(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    odd = Odd(tmp_path)
    pids = [odd.pid]
    odd.separate("")
    with pytest.raises(ComponentFailed):
        odd.separate("exit")
    odd.separate("")
    pids.append(odd.pid)
    assert not list(folder.iterdir())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    odd.component.close()
    odd.component.close()
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors
    assert not any(is_running(pid) for pid in pids)


def test_a_component_nobody_holds_takes_its_worker_along(library: Path, tmp_path: Path) -> None:
    odd = Odd(tmp_path)
    pid = odd.pid
    del odd
    assert ends(pid)


PARENT = """
import os, sys
from mashkit.remote.proxies import isolated
from mashkit.testing import signals
odd = isolated("separator", "odd", options={"folder": sys.argv[1]})
print(odd.session._worker.process.pid, flush=True)
HOW
"""


def start_parent(folder: Path, how: str) -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("HOW", how), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.whole
@pytest.mark.parametrize("how", ["import time; time.sleep(600)", "odd.separate(signals.noise(0.1))"])
def test_a_worker_dies_with_its_parent(library: Path, tmp_path: Path, how: str) -> None:
    (tmp_path / "told").write_text("hang")
    parent, worker = start_parent(tmp_path, how)
    with parent:
        assert is_running(worker)
        if "separate" in how:
            deadline = time.monotonic() + 10
            while not (tmp_path / "child").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        parent.kill()
    assert ends(worker)
    if "separate" in how:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@pytest.mark.whole
@pytest.mark.parametrize("how", ["", "raise RuntimeError", "sys.exit(3)"])
def test_a_worker_ends_when_the_interpreter_does(library: Path, tmp_path: Path, how: str) -> None:
    parent, worker = start_parent(tmp_path, how)
    with parent:
        parent.wait(timeout=20)
    assert ends(worker)


@pytest.mark.whole
def test_a_worker_outlives_the_thread_that_started_it(library: Path, tmp_path: Path) -> None:
    how = """
import threading, time
made = []
thread = threading.Thread(
    target=lambda: made.append(isolated("separator", "odd", options={"folder": sys.argv[1]})))
thread.start()
thread.join()
time.sleep(0.2)
made[0].separate(signals.noise(0.1))
print("separated", flush=True)
"""
    parent, _ = start_parent(tmp_path, how)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.read().strip() == "separated"


# --------------------------------------------------------------------------------------------- what cannot be made
def test_what_the_workers_registry_does_not_know(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownComponent, match="did you mean 'odd'"):
        isolated("separator", "od")
    with pytest.raises(OptionError, match="did you mean 'level'"):
        isolated("separator", "odd", options={"folder": ".", "levle": 1})
    with pytest.raises(OptionError, match="does not take these options"):
        isolated("separator", "odd", options={"folder": ".", "level": 2})


@pytest.mark.plugins
def test_what_cannot_be_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ComponentUnavailable, match="cannot be isolated") as raised:
        Registry().create("scorer", "amu@")
    assert raised.value.fix is not None
    with pytest.raises(UsageError, match="there is no kind 'mixer'"):
        isolated("mixer", "x")


def test_an_environment_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ComponentUnavailable, match="no environment 'acme'") as raised:
        isolated("separator", "odd", environment="acme")
    assert raised.value.fix == "mashkit env create acme"
    for name in ("../acme", "a/b", ".", ""):
        if name:
            with pytest.raises(UsageError, match="not the name"):
                isolated("separator", "odd", environment=name)


def environment_of_this_python(root: Path, name: str) -> Path:
    """Make what `mashkit env create` would, of the packages that are here already."""
    folder = root / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    # Its .pth files too: that is how an editable mashkit comes in.
    (site / "here.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
    record = {"name": name, "python": PYTHON, "mashkit": "0", "components": [], "distributions": [], "packages": {}}
    (folder / RECORD).write_text(json.dumps(record))
    return folder


NEEDY = ODD.replace('name="odd"', 'name="needy"').replace("acme_odd", "acme_needing").replace(
    'weights_license="MIT"', 'weights_license="MIT", environment="acme", requires=["acme-backend>=2"]'
)  # fmt: skip


def test_a_component_that_needs_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, library = tmp_path / "environments", tmp_path / "library"
    library.mkdir()
    install(library, "acme_needing", NEEDY)
    monkeypatch.syspath_prepend(library)
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(root))
    registry = Registry()
    options = {"folder": str(tmp_path)}
    found = registry.find("separator", "needy").availability()
    assert (found.ok, found.reason, found.fix) == (False, "needs its environment", "mashkit env create acme")
    with pytest.raises(ComponentUnavailable, match="mashkit env create acme"):
        registry.create("separator", "needy", options)

    root.mkdir()
    (site,) = (environment_of_this_python(root, "acme") / "lib").glob("python*/site-packages")
    install(site, "acme_needing", NEEDY)
    with pytest.raises(ComponentUnavailable, match="separator 'needy'"):
        registry.create("separator", "needy", options)  # it is there, but not what it requires
    backend = site / "acme_backend-2.1.dist-info"
    backend.mkdir()
    (backend / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-backend\nVersion: 2.1\n")
    assert registry.find("separator", "needy").availability().ok
    with cast("RemoteComponent", registry.create("separator", "needy", options)) as needy:
        assert needy.info.name == "needy"
        assert needy.describe()["environment"] == "acme"
        assert needy.describe()["requires"] == {"acme-backend": "2.1"}
        assert cast("Separator", needy).separate(signals.noise(0.1)).stems


def test_a_component_that_needs_options_of_its_users_is_proven_by_its_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    folder = environment_of_this_python(tmp_path, "acme")
    (site,) = (folder / "lib").glob("python*/site-packages")
    code = NEEDY.replace("requires=", 'own_options=["folder"], requires=')
    install(site, "acme_needing", code)
    with pytest.raises(EnvironmentFailed, match="environment 'acme' lacks some of acme-backend>=2"):
        prove(folder, [("separator", "needy")])  # what it requires is not there
    backend = site / "acme_backend-2.1.dist-info"
    backend.mkdir()
    (backend / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-backend\nVersion: 2.1\n")
    prove(folder, [("separator", "needy")])
    (site / "acme_needing.py").write_text(code.replace("class Odd(Separator)", "class Other(Separator)"))
    with pytest.raises(EnvironmentFailed, match="acme_needing:Odd"):
        prove(folder, [("separator", "needy")])


def test_plugins_and_doctor_say_the_same_of_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, library = tmp_path / "environments", tmp_path / "library"
    library.mkdir()
    install(library, "acme_needing", NEEDY.replace("folder: str", 'folder: str = "."'))
    monkeypatch.syspath_prepend(library)
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(root))
    monkeypatch.setenv("MASHKIT_PLUGINS", "acme_needing")
    root.mkdir()
    (site,) = (environment_of_this_python(root, "acme") / "lib").glob("python*/site-packages")
    (site / "later.pth").write_text("import mashkit.remote.messages as m; m.PROTOCOL = 2\n")

    assert main(["plugins", "--json"]) == 0
    (listed,) = [one for one in json.loads(capsys.readouterr().out)["components"] if one["name"] == "needy"]
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (checked,) = [one for one in checks if one["check"] == "separator needy"]
    assert (listed["available"], listed["reason"], listed["fix"]) == (False, checked["problem"], checked["fix"])
    assert "environment 'acme' was made by an earlier mashkit" in listed["reason"]
    assert listed["fix"] == "mashkit env remove acme; mashkit env create acme"


def test_a_worker_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    folder = environment_of_this_python(tmp_path, "bare")
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "here.pth").unlink()
    with pytest.raises(ComponentUnavailable, match="No module named 'mashkit'") as raised:
        isolated("separator", "librosa", environment="bare")
    assert raised.value.fix == "mashkit env remove bare; mashkit env create bare"


USAGE = "usage: worker.py [-h] --connection N --inbox N --outbox N\nworker.py: error: unrecognized arguments: 5 6 7"
NO_MODULE = "python: Error while finding module specification for 'mashkit.remote.worker' (ModuleNotFoundError: No module named 'mashkit.remote')"  # noqa: E501 — one line of Python


@pytest.mark.parametrize(
    ("words", "status", "python", "problem", "fix"),
    [
        (USAGE, 2, f"{PYTHON}.9", "environment 'old' was made by an earlier mashkit", "mashkit env create old"),
        (USAGE, 2, "3.8.20", "environment 'old' was made by an earlier mashkit",
         "mashkit env create old --python python3.8"),
        (NO_MODULE, 1, f"{PYTHON}.9", "environment 'old' was made by an earlier mashkit", "mashkit env create old"),
        ("no space left", 2, f"{PYTHON}.9", "did not start: it ended with status 2; its last words:\n  no space left",
         "mashkit env create old"),
    ],
)  # fmt: skip
def test_an_environment_that_an_earlier_mashkit_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, status: int, python: str, problem: str, fix: str
) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    program = tmp_path / "old" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit {status}\n")
    program.chmod(0o755)
    record = {"name": "old", "python": python, "mashkit": "0", "components": [], "distributions": [], "packages": {}}
    (tmp_path / "old" / RECORD).write_text(json.dumps(record))
    with pytest.raises(ComponentUnavailable) as raised:
        isolated("separator", "librosa", environment="old")
    assert problem in raised.value.problem
    assert ("usage" in raised.value.problem or "worker.py" in raised.value.problem) is False
    assert raised.value.fix == f"mashkit env remove old; {fix}"


@pytest.mark.parametrize(("protocol", "which"), [(2, "an earlier"), (3, "an earlier"), (99, "another")])
def test_an_environment_whose_messages_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, which: str
) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    (site,) = (environment_of_this_python(tmp_path, "old") / "lib").glob("python*/site-packages")
    (site / "later.pth").write_text(f"import mashkit.remote.messages as m; m.PROTOCOL = {protocol}\n")
    with pytest.raises(
        ComponentUnavailable, match=f"environment 'old' was made by {which} mashkit: .*{protocol}"
    ) as got:
        isolated("separator", "librosa", environment="old")
    assert got.value.fix == "mashkit env remove old; mashkit env create old"


def test_a_worker_with_another_mashkit(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (library / "sitecustomize.py").write_text("import mashkit.remote.messages as m; m.PROTOCOL = 99")
    with pytest.raises(ComponentUnavailable, match=r"another mashkit: \{'protocol': 99\}"):
        Odd(tmp_path)


# ---------------------------------------------------------------------------------------------------------- scratch
def test_long_audio_goes_through_a_scratch_file_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_BLOCK", 1000)
    monkeypatch.setattr(audiobuffer, "IN_MEMORY", 0)
    with tempfile.TemporaryFile(buffering=0) as file:
        scratch = messages.Scratch(file)
        for audio in (signals.noise(0.1), signals.noise(0.05, channels=1, sample_rate=8000)):
            again = scratch.get(scratch.put(audio))
            assert again.sample_rate == audio.sample_rate
            np.testing.assert_array_equal(again.samples, audio.samples)


def test_a_scratch_file_is_written_over_and_what_is_beyond_the_limit_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, long = signals.noise(0.1), signals.noise(0.3, seed=1)
    monkeypatch.setattr(messages, "KEPT", short.samples.nbytes)
    with tempfile.TemporaryFile(buffering=0) as file:
        writer, reader = messages.Scratch(file), messages.Scratch(file)
        for audio in (long, short, short):
            reference = writer.put(audio)
            assert reference["offset"] == 0
            np.testing.assert_array_equal(reader.get(reference).samples, audio.samples)
            reader.clear()
            writer.clear()
            assert os.fstat(file.fileno()).st_size == messages.KEPT


def test_stems_outlive_the_calls_that_write_over_them(odd: Odd) -> None:
    first, second = signals.noise(0.5, seed=1), signals.noise(0.5, seed=2)
    stems = odd.separate("", first)
    before = {name: stem.samples.copy() for name, stem in stems.items()}
    odd.separate("", second)
    for name, stem in stems.items():
        np.testing.assert_array_equal(stem.samples, before[name])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said_to_be_one() -> None:
    with (
        Path("/dev/full").open("r+b", buffering=0) as file,
        pytest.raises(OutputError, match=r"no room for .* between processes: No space left") as raised,
    ):
        messages.Scratch(file).put(signals.noise(0.1))
    assert "TMPDIR" in str(raised.value.fix)


def test_audio_that_ends_too_early_is_noticed() -> None:
    with tempfile.TemporaryFile(buffering=0) as file:
        scratch = messages.Scratch(file)
        reference = scratch.put(signals.noise(0.1))
        file.truncate(100)
        with pytest.raises(BadMessageError, match="shorter than announced"):
            scratch.get(reference)
