"""Run a worker process of the local executor: build the state of one work, then do one job after another.

The parent starts it as ``python -m mashkit.builtin.local_worker``. Only backends write to standard output and standard
error. The parent stores this text, and puts its last lines into the error if the process dies.
"""

from __future__ import annotations

import sys

from mashkit.workers.interpreter import Parent
from mashkit.workers.pickling import pack, unpack


def main() -> None:
    """Do jobs until the parent closes the connection."""
    parent = Parent()
    # The module path comes first, because reading the next message imports modules.
    sys.path[:] = unpack(parent.receive())
    from mashkit.workers.jobs import JobRunner

    runner = JobRunner(pack, unpack)
    parent.send(runner.begin(parent.receive()))
    while True:
        parent.send(runner.do(parent.receive()))


if __name__ == "__main__":
    main()
