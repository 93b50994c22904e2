"""Render excerpts of what competitors picked, small enough to be embedded in a page.

A page has sound only on request, because it is then a copy of the music and may be passed on only if the music may be.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from mashkit.audio.files import resample
from mashkit.bench.records import by_label
from mashkit.bench.registered import installed
from mashkit.bench.results import Result
from mashkit.bench.tasks import InputLost, Pick, Task, digest_of_all, load_task
from mashkit.components import Component
from mashkit.errors import MashkitError, UsageError
from mashkit.registry import Registry
from mashkit.types import Audio

EXCERPT_S = 12.0
"""Longest sound of a page, seconds."""
SAMPLE_RATE = 22_050
"""Sample rate of the mono MP3s, Hz; at about 32 kbit/s, which every browser plays, an excerpt is 50 kB."""
COMPRESSION = 0.9
"""How far the MP3s are compressed, between 0 (largest) and 1 (smallest), as libsndfile counts."""
PEAK = 0.9
"""Largest amplitude of a sound, full scale 1: louder ones are turned down to it, so that the MP3 does not clip."""
FADE_S = 0.5
"""Length of the fade at the end of a sound, seconds."""


class NothingToHear(UsageError):
    """A page with sound was requested, but there is no sound."""


def picks_of(task: Task, result: Result) -> dict[str, list[Pick]]:
    """Return the picks under each heading: each competitor, or each song."""
    rows = by_label(result.rows, [one.label for one in result.measured])
    return task.auditions({one.label: rows[one.label] for one in result.measured})


def sounds(
    result: Result, data: Path | None, on_sound: Callable[[str, int, int], None] = lambda *_: None
) -> dict[str, str]:
    """Render what competitors picked.

    Parameters
    ----------
    result : Result
    data : Path, optional
        The folder of recordings the result was made from.
    on_sound : callable, optional
        Called with every sound, the number of sounds that are done, and the number of all.

    Returns
    -------
    dict of str to str
        :attr:`Pick.sound` → a data URL. Sounds that cannot be rendered any more are left out, and so are all sounds of
        a competitor that cannot be created here. If a task or a component fails, its sound is left out with a note.

    Raises
    ------
    NothingToHear
        If the task has no sound, or the result was made from other music.
    """
    suite = result.suite
    task = load_task(suite.task)
    wanted = {pick.sound: pick for picks in picks_of(task, result).values() for pick in picks}
    if not wanted:
        raise NothingToHear(f"there is nothing to hear of suite {suite.name!r}", "leave out --audio")
    inputs = task.inputs(suite.inputs, data)
    if digest_of_all(inputs) != result.inputs_sha256:
        raise NothingToHear("the music is not what this result was made from", "give the same --data")
    by_name = {given.name: given for given in inputs}
    competitors = {one.label: one for one in result.competitors}
    picks_by_label: dict[str, dict[tuple[str, bool], list[Pick]]] = {}
    for pick in wanted.values():
        picks_by_label.setdefault(pick.label, {}).setdefault((pick.input, bool(pick.part)), []).append(pick)
    made = {}
    done = 0
    for label, groups in picks_by_label.items():
        # One competitor at a time, because networks are large. A competitor that cannot be created has no sound.
        component: Component | None = None
        with contextlib.suppress(MashkitError):
            if label:
                chosen = competitors[label]
                component = Registry().create(task.kind, chosen.component, chosen.options)
        for (name, in_parts), picks in groups.items():
            try:
                if not in_parts:
                    made[picks[0].sound] = data_url(task.sound(by_name[name], EXCERPT_S))
                elif component is not None or not label:
                    parts = task.parts(component, by_name[name], EXCERPT_S)
                    made |= {pick.sound: data_url(parts[pick.part]) for pick in picks if pick.part in parts}
            except InputLost:
                pass
            except MashkitError as error:
                installed().note(f"a sound is left out: {error}")
            for pick in picks:
                done += 1
                on_sound(pick.sound, done, len(wanted))
    return {name: made[name] for name in wanted if name in made}


def data_url(audio: Audio) -> str:
    """Return the beginning of a sound as a small MP3 in a data URL."""
    start = audio.excerpt(0.0, min(EXCERPT_S, audio.duration))
    mono = resample(Audio(start.mono()[None], start.sample_rate), SAMPLE_RATE).samples[0]
    fade = np.minimum(1, np.arange(len(mono))[::-1] / (FADE_S * SAMPLE_RATE)).astype(np.float32)
    level = max(float(np.max(np.abs(mono), initial=0.0)), PEAK)
    written = io.BytesIO()
    soundfile.write(written, mono * fade * (PEAK / level), SAMPLE_RATE, format="MP3", compression_level=COMPRESSION)
    return f"data:audio/mpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
