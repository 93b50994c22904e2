"""Run a worker process: make one component and answer requests for it until the parent process ends.

It is started as ``python -m mashkit.remote.worker``. The messages are JSON, because the parent may have other packages.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from mashkit.cliptable import ClipTable
from mashkit.components import Component, plain
from mashkit.discovery import Discovery
from mashkit.errors import ComponentUnavailable, contained
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer, Generator, Separator, Stretcher
from mashkit.interfaces.generator import PROMISES
from mashkit.remote import progress
from mashkit.remote.messages import Scratch, error_to_dict, info_to_dict, read, versions, written
from mashkit.types import Clip, Condition, MashupPlan
from mashkit.types.timemap import TimeMap
from mashkit.workers.interpreter import Parent

Request = Mapping[str, Any]
Reply = dict[str, Any]


def main() -> None:
    """Answer requests until the parent ends this process."""
    parent = Parent()
    with os.fdopen(parent.files[0], "rb", 0) as inbox, os.fdopen(parent.files[1], "r+b", 0) as outbox:
        _Service(parent, Scratch(inbox), Scratch(outbox)).run()


class _Service:
    """Answer one request after the other, in the main thread, because some backends work only there."""

    def __init__(self, parent: Parent, inbox: Scratch, outbox: Scratch) -> None:
        self.parent = parent
        self.inbox = inbox
        self.outbox = outbox
        self.component: Component | None = None

    def run(self) -> None:
        self._send(versions())
        progress.listen(self._report)
        while True:
            request = read(self.parent.receive())
            try:
                reply = {"result": self._answers[request["call"]](self, request)}
            except BaseException as error:  # noqa: BLE001 — a backend may raise any error, also SystemExit
                # A KeyboardInterrupt is not the user's Ctrl-C, because this process leads its own process group.
                failed = contained(error, f"a worker failed to answer {request.get('call')!r}")
                reply = {"error": error_to_dict(failed)}
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.parent.send(written(reply))

    def _report(self, event: StageEvent) -> None:
        self._send({"event": attrs.asdict(event)})

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
