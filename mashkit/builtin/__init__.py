"""Register the components that are part of mashkit itself, through the same hooks as a plugin's components."""

from collections.abc import Iterable
from importlib.resources.abc import Traversable

from mashkit.builtin import benchmarks
from mashkit.components import ComponentInfo
from mashkit.hookspecs import CollectionInfo, TaskInfo, hookimpl

PAPER_GENERATOR = ComponentInfo(
    name="paper",
    target="mashkit.builtin.paper:PaperGenerator",
    summary="The random mashup pipeline of the AAAI 2021 paper: original, matched and three unmatched conditions",
    provides={"original", "matched", "unmatched-key", "unmatched-tempo", "unmatched-key-tempo"},
    code_license="MIT",
    citation="Huang et al.: Modeling the Compatibility of Stem Tracks to Generate Music Mashups, AAAI 2021",
    engine="mashkit",
    thread_safe=True,
)

LOCAL_EXECUTOR = ComponentInfo(
    name="local",
    target="mashkit.builtin.local:LocalExecutor",
    summary="Worker processes on this machine; a process that dies or hangs loses only its own job",
    provides={"processes"},
    code_license="MIT",
    engine="mashkit",
    thread_safe=True,
)

RANDOM = ComponentInfo(
    name="random",
    target="mashkit.builtin.baselines:RandomScorer",
    summary="chance: a random probability that depends on the plan's id; for benchmarks",
    provides={"draw"},
    code_license="MIT",
    engine="mashkit",
    thread_safe=True,
)

LOUDNESS = ComponentInfo(
    name="loudness",
    target="mashkit.builtin.baselines:LoudnessScorer",
    summary="loudness: the louder, the better, whatever harmony and rhythm; for benchmarks",
    provides={"loudness"},
    code_license="MIT",
    citation="ITU-R BS.1770-4",
    engine="pyloudnorm",
    thread_safe=True,
)


@hookimpl
def mashkit_register_generators() -> Iterable[ComponentInfo]:
    """Register the paper's generator."""
    return [PAPER_GENERATOR]


@hookimpl
def mashkit_register_executors() -> Iterable[ComponentInfo]:
    """Register the executor of worker processes."""
    return [LOCAL_EXECUTOR]


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the baselines of the scorers' benchmark."""
    return [RANDOM, LOUDNESS]


@hookimpl
def mashkit_register_tasks() -> Iterable[TaskInfo]:
    """Register the benchmark's own tasks."""
    return benchmarks.TASKS


@hookimpl
def mashkit_register_collections() -> Iterable[CollectionInfo]:
    """Register the music that the benchmark's own tasks run on."""
    return benchmarks.COLLECTIONS


@hookimpl
def mashkit_register_suites() -> Iterable[Traversable]:
    """Register the benchmark's own suites."""
    return benchmarks.suites()
