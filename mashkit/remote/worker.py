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
from mashkit.components.code import code_sha256
from mashkit.components.environments import create_command
from mashkit.conditions import PROMISES
from mashkit.discovery import Discovery, Registered
from mashkit.errors import ComponentUnavailable, contained
from mashkit.interfaces import Analyzer, Generator, Separator, Stretcher
from mashkit.remote import progress
from mashkit.remote.messages import Scratch, decode, encode, error_to_dict, info_to_dict, versions
from mashkit.types import Analysis, Audio, Clip, Condition, MashupPlan, StemSet
from mashkit.types.timemap import TimeMap
from mashkit.workers.interpreter import Parent
from mashkit.workers.pickling import Message


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
        progress.listen(lambda event: self._send({"event": attrs.asdict(event)}))
        while True:
            self.parent.send(self._reply(self.parent.receive()))

    def _send(self, content: Mapping[str, Any]) -> None:
        self.parent.send(encode(content, self.outbox))

    def _reply(self, message: Message) -> Message:
        action = "a request"
        try:
            request = decode(message, self.inbox)
            self.outbox.clear()
            action = request["action"]
            return encode({"result": self._result(action, request["arguments"])}, self.outbox)
        except BaseException as error:  # noqa: BLE001 — a backend may raise any error, also SystemExit
            # A KeyboardInterrupt is not the user's Ctrl-C, because this process leads its own process group.
            failed = contained(error, f"a worker failed to answer {action!r}")
            return encode({"error": error_to_dict(failed)}, self.outbox)

    def _result(self, action: str, arguments: Mapping[str, Any]) -> Any:
        if action == "create":
            return self._create(**arguments)
        if action == "prove":
            return _prove(**arguments)
        assert self.component is not None  # noqa: S101 — the parent creates it first
        if action == "describe itself":
            return self.component.described()
        with self.component.backend_call(action):
            return ACTIONS[action](self.component, **arguments)

    def _create(self, kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        registered = _registered(kind, name)
        self.component = component = registered.make(options)
        promises: dict[str, Any] = {}
        if isinstance(component, Generator):
            own = component.info.provides.difference(PROMISES)
            promises = {condition: attrs.asdict(component.promise(condition)) for condition in own}
        return {
            "info": info_to_dict(component.info),
            "promises": promises,
            "trained_on": list(component.recordings()),
            "options": plain(component.options()),
            "code": code_sha256(component),
            "origin": attrs.asdict(registered.origin),
        }


def _registered(kind: str, name: str) -> Registered:
    registered = Discovery().find(kind, name)
    available = registered.require_available()
    if available.environment:
        # The component's environment is this one; a worker must not start another worker.
        problem = f"environment {available.environment!r} lacks some of {', '.join(registered.info.requires)}"
        raise ComponentUnavailable(f"{kind} {name!r}: {problem}", create_command(available.environment, again=True))
    return registered


def _prove(kind: str, name: str) -> None:
    """Make a component once; one that needs options of its user's is only imported."""
    registered = _registered(kind, name)
    if registered.info.own_options:
        registered.load()
    else:
        registered.make()


def _separate(separator: Separator, mix: Audio) -> dict[str, Audio]:
    made = separator._separate(mix)
    separator.require_result(made, StemSet, "separate")
    return dict(made.stems)


def _analyze(analyzer: Analyzer, mix: Audio) -> dict[str, Any]:
    found = analyzer._analyze(mix)
    analyzer.require_result(found, Analysis, "analyze")
    return plain(found.to_dict())


def _stretch(stretcher: Stretcher, audio: Audio, time_map: Any, **how: Any) -> Audio:
    if time_map is None:
        made = stretcher._stretch(audio, **how)
    else:
        made = stretcher._stretch_along(audio, TimeMap.from_dict(time_map), **how)
    stretcher.require_result(made, Audio, "stretch")
    return made


def _plan(generator: Generator, clips: list[Any], condition: str, count: int, **how: Any) -> list[dict[str, Any]]:
    table = ClipTable.of([Clip.from_dict(clip) for clip in clips])
    made = generator._plan(table, condition=Condition(condition), count=count, **how)
    plans = generator.required_items(made, "plan", "yield plans")
    # At most ``count`` plans are sent, because a generator may yield thousands.
    return [plan.to_dict() for plan in itertools.islice(plans, count)]


def _variants(generator: Generator, plan: Any, clips: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = {name: Clip.from_dict(clip) for name, clip in clips.items()}
    variants = generator.required_items(
        generator._variants(MashupPlan.from_dict(plan), known), "vary a plan", "yield plans"
    )
    return [variant.to_dict() for variant in variants]


ACTIONS: Mapping[str, Callable[..., Any]] = {
    "separate": _separate,
    "analyze": _analyze,
    "stretch": _stretch,
    "plan": _plan,
    "vary a plan": _variants,
}
"""Action → function of a component and of the arguments that its proxy sends; the result is plain data or audio."""


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
