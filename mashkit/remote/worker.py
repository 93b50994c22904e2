"""Run a worker process: make one component and answer requests for it until the parent process ends.

It is started as ``python -m mashkit.remote.worker``. Standard input and output carry the messages, so first of all they
are moved to other descriptors: a backend's output goes to standard error, and its standard input is empty.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import attrs

from mashkit.cliptable import ClipTable
from mashkit.components import Component, plain
from mashkit.conditions import PROMISES
from mashkit.discovery import Discovery
from mashkit.errors import ComponentUnavailable, contained
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Generator, Separator, Stretcher
from mashkit.remote import progress
from mashkit.remote.messages import (
    Scratch,
    error_to_dict,
    info_to_dict,
    read_message,
    versions,
    write_message,
)
from mashkit.types import Clip, Condition, MashupPlan
from mashkit.types.timemap import TimeMap
from mashkit.workers.processes import die_with_parent, end_this

Request = Mapping[str, Any]
Reply = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Answer requests until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inbox", type=int, required=True, help="descriptor of the scratch file the parent writes")
    parser.add_argument("--outbox", type=int, required=True, help="descriptor of the scratch file we write")
    parser.add_argument("--parent", type=int, required=True, help="process to die with")
    parser.add_argument("--mortal", action="store_true", help="let the kernel end us with the thread that started us")
    arguments = parser.parse_args(argv)
    incoming, replies = _private_streams()
    if arguments.mortal:
        die_with_parent(arguments.parent)
    for descriptor in (arguments.inbox, arguments.outbox):
        os.set_inheritable(descriptor, False)
    requests: queue.Queue[Request] = queue.Queue()
    threading.Thread(target=_read, args=(incoming, requests), daemon=True).start()
    with os.fdopen(arguments.inbox, "rb", 0) as inbox, os.fdopen(arguments.outbox, "r+b", 0) as outbox:
        _Service(requests, replies, Scratch(inbox), Scratch(outbox)).run()


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    incoming, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the interpreter's own
    return incoming, replies


def _read(incoming: BinaryIO, requests: queue.Queue[Request]) -> None:
    """Queue requests; when the parent closes the pipe or dies, end this process at once, also during work."""
    try:
        while (request := read_message(incoming)) is not None:
            requests.put(request)
    finally:
        end_this()


class _Service:
    """Answer one request after the other, in the main thread, because some backends work only there."""

    def __init__(self, requests: queue.Queue[Request], replies: BinaryIO, inbox: Scratch, outbox: Scratch) -> None:
        self.requests = requests
        self.replies = replies
        self.inbox = inbox
        self.outbox = outbox
        self.component: Component | None = None

    def run(self) -> None:
        write_message(self.replies, versions())
        progress.listen(self._report)
        while True:
            request = self.requests.get()
            try:
                reply = {"result": self._answers[request["call"]](self, request)}
            except BaseException as error:  # noqa: BLE001 — a backend may raise any error, also SystemExit
                # A KeyboardInterrupt is not the user's Ctrl-C, because this process leads its own process group.
                failed = contained(error, f"a worker failed to answer {request.get('call')!r}")
                reply = {"error": error_to_dict(failed)}
            write_message(self.replies, reply)

    def _report(self, event: StageEvent) -> None:
        write_message(self.replies, {"event": attrs.asdict(event)})

    # ------------------------------------------------------------------------------------------------- requests
    def _create(self, request: Request) -> Reply:
        registered = Discovery().find(request["kind"], request["name"])
        available = registered.require_available()
        if available.environment:
            # The component's environment is this one, or does not exist; a worker must not start another worker.
            raise ComponentUnavailable(f"{request['kind']} {request['name']!r}: {available.reason}", available.fix)
        self.component = component = registered.make(request["options"])
        promises: dict[str, Reply] = {}
        if isinstance(component, Generator):
            promises = {
                name: attrs.asdict(component.promise(name)) for name in component.info.provides if name not in PROMISES
            }
        return {
            "info": info_to_dict(component.info),
            "promises": promises,
            "trained_on": [str(name) for name in component.trained_on()],
            "options": plain(component.options()),
            "origin": attrs.asdict(registered.origin),
        }

    def _describe(self, request: Request) -> Reply:
        assert self.component is not None  # noqa: S101 — the parent creates it first
        return self.component.described()

    def _separate(self, request: Request) -> Reply:
        separator = self.component
        assert isinstance(separator, Separator)  # noqa: S101 — the registry gave one
        mix = self.inbox.get(request["mix"])
        self.outbox.clear()
        with separator.backend_call("separate"):
            stems = separator._separate(mix).stems
            return {name: self.outbox.put(stem) for name, stem in stems.items()}

    def _analyze(self, request: Request) -> Reply:
        analyzer = self.component
        assert isinstance(analyzer, Analyzer)  # noqa: S101
        mix = self.inbox.get(request["mix"])
        with analyzer.backend_call("analyze"):
            return plain(analyzer._analyze(mix).to_dict())

    def _stretch(self, request: Request) -> Reply:
        stretcher = self.component
        assert isinstance(stretcher, Stretcher)  # noqa: S101
        audio = self.inbox.get(request["audio"])
        semitones, frames = request["semitones"], request["frames"]
        self.outbox.clear()
        with stretcher.backend_call("stretch"):
            if request["time_map"] is None:
                result = stretcher._stretch(audio, speed=request["speed"], semitones=semitones, frames=frames)
            else:
                time_map = TimeMap.from_dict(request["time_map"])
                result = stretcher._stretch_along(audio, time_map, semitones=semitones, frames=frames)
            return self.outbox.put(result)

    def _plan(self, request: Request) -> list[Reply]:
        generator = self.component
        assert isinstance(generator, Generator)  # noqa: S101
        clips = ClipTable.of([Clip.from_dict(clip) for clip in request["clips"]])
        with generator.backend_call("plan"):
            plans = generator._plan(
                clips,
                condition=Condition(request["condition"]),
                count=request["count"],
                seed=request["seed"],
                vocal=request["vocal"],
            )
            # At most ``count`` plans are sent, because a generator may yield thousands.
            return [plan.to_dict() for plan in itertools.islice(plans, request["count"])]

    def _variants(self, request: Request) -> list[Reply]:
        generator = self.component
        assert isinstance(generator, Generator)  # noqa: S101
        clips = {name: Clip.from_dict(clip) for name, clip in request["clips"].items()}
        with generator.backend_call("vary a plan"):
            return [plan.to_dict() for plan in generator._variants(MashupPlan.from_dict(request["plan"]), clips)]

    _answers: Mapping[str, Callable[[_Service, Request], Any]] = {
        "create": _create,
        "describe": _describe,
        "separate": _separate,
        "analyze": _analyze,
        "stretch": _stretch,
        "plan": _plan,
        "variants": _variants,
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
