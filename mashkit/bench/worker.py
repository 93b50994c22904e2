"""The competitor's own process: creates it, uses it, and says what became of every input.

Light on import: the number of threads has to be set before any numerical library is loaded.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from mashkit.workers.interpreter import Parent
from mashkit.workers.pickling import pack, unpack
from mashkit.workers.processes import thread_variables

if TYPE_CHECKING:
    from mashkit.bench.tasks import Input, Task
    from mashkit.components import Component
    from mashkit.registry import Registry


READY = "ready"
"""Status of the first answer: everything is imported that is not the competitor."""
WARM = "warm"
"""Status of the answer after the competitor's first use, in which it loads its models; sent also if that use fails."""


@attrs.frozen
class Assignment:
    """What a process is for: names, not live objects, and the plugins from which it makes them."""

    registry: Registry
    task: str
    kind: str
    component: str
    options: dict[str, Any]
    scratch: Path | None = None


def main() -> None:
    """Serve the runner, which started ``python -m mashkit.bench.worker``."""
    parent = Parent()
    # The module path comes first, because reading the next message imports modules.
    sys.path[:] = unpack(parent.receive())
    serve(parent)


def serve(parent: Parent) -> None:
    """Answer an Assignment with READY and a description, then each Input with its outcome, until the process is ended.

    Before the first outcome comes WARM. Both ends speak plain dictionaries with a "status".
    """
    # CPU seconds are compared, and --jobs is the parallelism here.
    os.environ.update(thread_variables(1))
    from mashkit.bench.identity import identity_of
    from mashkit.bench.records import FAILED, OK, UNAVAILABLE
    from mashkit.bench.tasks import load_task, stopwatch
    from mashkit.errors import ComponentUnavailable, MashkitError

    def send(answer: dict[str, Any]) -> None:
        parent.send(pack(answer))

    assignment: Assignment = unpack(parent.receive())
    task = load_task(assignment.task)
    task.scratch = assignment.scratch
    # Until here nothing of the competitor has run: none of it counts as its time.
    send({"status": READY})
    try:
        with stopwatch() as loading:
            component = assignment.registry.create(assignment.kind, assignment.component, assignment.options)
            described = component.described()
            trained_on = list(component.recordings())
        identity = identity_of(component)
    except ComponentUnavailable as error:
        send({"status": UNAVAILABLE, "reason": str(error)})
        return
    except MashkitError as error:
        send({"status": FAILED, "reason": str(error)})
        return
    send({"status": OK, "described": described, "trained_on": trained_on, "identity": identity})
    given: Input = unpack(parent.receive())
    load_s: float | None = None
    # What cannot be used for a few seconds may still be used for an input. How long it takes to load is then not known.
    with contextlib.suppress(MashkitError):
        with stopwatch() as first_use:
            task.warm_up(component)
        load_s = loading.wall_s + first_use.wall_s
    send({"status": WARM})
    while True:
        send(_outcome(task, component, given) | {"load_s": load_s})
        given = unpack(parent.receive())


def _outcome(task: Task, component: Component, given: Input) -> dict[str, Any]:
    from mashkit.bench.records import FAILED, OK, UNAVAILABLE
    from mashkit.bench.tasks import InputLost, NotProvided, stopwatch
    from mashkit.errors import MashkitError

    status, reason, lost = OK, "", False
    values: dict[str, float] = {}
    with stopwatch() as elapsed:
        try:
            values = task.measure(component, given)
        except NotProvided as error:
            status, reason = UNAVAILABLE, str(error)
        except InputLost as error:
            status, reason, lost = UNAVAILABLE, str(error), True
        except MashkitError as error:
            status, reason = FAILED, str(error)
    strange = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if strange:
        status, reason, values = FAILED, f"measured no number: {', '.join(strange)}", {}
    return {
        "status": status,
        "reason": reason,
        "input_missing": lost,
        "values": values,
        "wall_s": elapsed.wall_s,
        "cpu_s": elapsed.cpu_s,
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float:
    """Return the most memory this process has held, MB of 10⁶ bytes; programs it ran are not in it.

    Linux says it in /proc (VmHWM). ``getrusage`` does not serve there: a process starts with the ``ru_maxrss`` of the
    one that started it, so a large parent makes every child look large. Elsewhere it is what there is.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        return held * 1024 / 1e6
    except OSError:
        import resource

        # Kilobytes on BSD, bytes on macOS (their getrusage(2)).
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
