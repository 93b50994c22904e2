"""Run the methods of a task as the code of a plugin, and check what they return.

A task may be a plugin's. Its errors become errors of mashkit that name the task, and a wrong result is refused where it
is returned: otherwise it would fail later, in code of mashkit, perhaps after everything has been measured.
"""

from __future__ import annotations

import math
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from mashkit.bench.charts import BoxChart, CurveChart, RowChart, ScatterChart
from mashkit.bench.comparisons import Comparison
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, Pick, Table, Task
from mashkit.components.fence import plugin_code
from mashkit.errors import ContractViolation, suggestion
from mashkit.numbers import as_number
from mashkit.types import Audio

_Check: TypeAlias = Callable[[str, Task, Any], Any]
"""Return what a method returned, as plain data; given what failed if it is wrong, the task, and what it returned."""


def fenced(name: str, cls: type[Task]) -> type[Task]:
    """Return the class of a task whose methods run within :func:`mashkit.components.fence.plugin_code`.

    It is a subclass, because the rest of the benchmark takes any task.

    Parameters
    ----------
    name : str
        The task's name, for messages.
    cls : type
        The class of the task.
    """

    def method(called: str, does: str, check: _Check) -> Callable[..., Any]:
        what = f"task {name!r} failed to {does}"

        def run(self: Task, *arguments: Any, **named: Any) -> Any:
            with plugin_code(what):
                return check(what, self, getattr(super(made, self), called)(*arguments, **named))

        return run

    def body(namespace: dict[str, Any]) -> None:
        # With the module of the task's own class, because a task is known by the code of its package.
        namespace["__module__"] = cls.__module__
        namespace |= {called: method(called, *how) for called, how in _METHODS.items()}

    made = cast("type[Task]", types.new_class(cls.__name__, (cls,), exec_body=body))
    return made


# ------------------------------------------------------------------------------------------------------------ checks
def _require(what: str, value: object, cls: type[Any] | tuple[type[Any], ...], due: str) -> None:
    if not isinstance(value, cls):
        raise ContractViolation(f"{what}: it returned {type(value).__name__} where {due} was due", "tell its authors")


def _list(what: str, value: Any, cls: type[Any] | tuple[type[Any], ...], due: str) -> list[Any]:
    _require(what, value, Iterable, f"a list of {due}")
    found = list(value)
    for one in found:
        _require(what, one, cls, due)
    return found


def _mapping(what: str, value: Any, due: str) -> Mapping[str, Any]:
    _require(what, value, Mapping, f"a mapping of names to {due}")
    for name in value:
        _require(what, name, str, "a name")
    return cast("Mapping[str, Any]", value)


def _number(what: str, name: str, value: Any) -> float:
    number = as_number(value, f"{what}: {name}", ContractViolation)
    if not math.isfinite(number):
        raise ContractViolation(f"{what}: {name} is {number}", "leave out, or return None for, what has no number")
    return number


def _lists_of(cls: type[Any] | tuple[type[Any], ...], due: str) -> _Check:
    return lambda what, _, value: _list(what, value, cls, due)


def _inputs(what: str, task: Task, value: Any) -> list[Input]:
    found: list[Input] = _list(what, value, Input, "Input")
    # Rows are known by the name of their input.
    for name, count in Counter(one.name for one in found).items():
        if count > 1:
            raise SuiteError(
                f"{what}: {count} inputs are called {name!r}",
                "name each setting once; if that does not help, tell the task's authors",
            )
    return found


def _values(what: str, task: Task, value: Any) -> dict[str, float]:
    return {
        name: as_number(one, f"{what}: {name}", ContractViolation)
        for name, one in _mapping(what, value, "numbers").items()
    }


def _metrics(what: str, task: Task, value: Any) -> dict[str, float | None]:
    found = _mapping(what, value, "numbers")
    names = [metric.name for metric in task.metrics]
    for name in names:
        if name not in found:
            raise ContractViolation(f"{what}: metric {name!r} is not in the result", "return None if it has no value")
    for name in found:
        if name not in names:
            raise ContractViolation(f"{what}: it has no metric {name!r}", suggestion(name, names))
    return {name: None if one is None else _number(what, f"metric {name!r}", one) for name, one in found.items()}


def _intervals(what: str, task: Task, value: Any) -> dict[str, tuple[float, float]]:
    found = {}
    for name, ends in _mapping(what, value, "pairs of numbers").items():
        pair = [_number(what, f"an end of {name!r}", end) for end in _list(what, ends, object, "two numbers")]
        if len(pair) != 2:
            raise ContractViolation(f"{what}: the interval of {name!r} has {len(pair)} ends", "return two")
        found[name] = (pair[0], pair[1])
    return found


def _draws(what: str, task: Task, value: Any) -> dict[str, list[float]]:
    return {
        name: [_number(what, f"a draw of {name!r}", one) for one in _list(what, draws, object, "a number")]
        for name, draws in _mapping(what, value, "lists of numbers").items()
    }


def _auditions(what: str, task: Task, value: Any) -> dict[str, list[Pick]]:
    return {head: _list(what, picks, Pick, "Pick") for head, picks in _mapping(what, value, "lists of Pick").items()}


def _sound(what: str, task: Task, value: Any) -> Audio:
    _require(what, value, Audio, "Audio")
    return cast("Audio", value)


def _parts(what: str, task: Task, value: Any) -> dict[str, Audio]:
    return {name: _sound(what, task, sound) for name, sound in _mapping(what, value, "Audio").items()}


def _batches(what: str, task: Task, value: Any) -> list[Sequence[Input]]:
    return [_list(what, part, Input, "Input") for part in _list(what, value, Iterable, "a list of Input")]


_METHODS: Mapping[str, tuple[str, _Check]] = {
    "inputs": ("make its inputs", _inputs),
    "batches": ("part its inputs", _batches),
    "warm_up": ("use the component for the first time", lambda what, task, value: None),
    "measure": ("measure", _values),
    "summarize": ("compute its metrics", _metrics),
    "intervals": ("compute its intervals", _intervals),
    "draws": ("compute the metrics of each draw", _draws),
    "compare": ("compare competitors", _lists_of(Comparison, "Comparison")),
    "picks": ("pick what is played", _lists_of(Pick, "Pick")),
    "auditions": ("pick what is played", _auditions),
    "sound": ("make a sound", _sound),
    "parts": ("make the sounds of a component", _parts),
    "charts": ("make its charts", _lists_of((RowChart, ScatterChart, CurveChart, BoxChart), "a chart")),
    "lead": ("say what was compared", _lists_of(str, "a sentence")),
    "tables": ("make its tables", _lists_of(Table, "Table")),
}
"""Method of a task → what it does, for messages, and the check of what it returns."""
