"""Run a command's work on many files: a file that fails is listed, and the others go on."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mashkit.audio.buffers import settle, weighted_sum
from mashkit.audio.mixing import PEAK_CEILING_DB
from mashkit.catalog.scanning import Found
from mashkit.cli.console import say
from mashkit.cli.progress import ProgressListener
from mashkit.errors import OutputError, Unforeseen, contained, said_of
from mashkit.hookspecs import StageEvent
from mashkit.paths import path_text
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.types import Audio

KEYS = ("results", "failures", "notes", "environment")
"""Keys of the record of :func:`of_each`; the kind of the component is another."""


def _each(kit: Kit, stage: str, files: Sequence[Path], work: Any) -> tuple[list[Any], list[dict[str, str]]]:
    """Do ``work`` on every file; a file that fails is listed, and the others go on unless nothing can be written."""
    results, failures = [], []
    stopped = False
    for number, file in enumerate(files, 1):
        try:
            results.append(work(file))
            state, message = "done", ""
        except Exception as error:  # noqa: BLE001 — the error of one file is listed, and the others go on
            stopped = _nothing_can_be_written(error)
            message = said_of(file, contained(error, "it could not be used", Unforeseen))
            failures.append({"path": path_text(file), "error": message})
            state = "failed"
        event = StageEvent(
            stage=stage, item=path_text(file), state=state, done=number, total=len(files), message=message
        )
        kit.registry.plugins.hook.mashkit_stage(event=event)
        if stopped:
            break
    return results, failures


def _nothing_can_be_written(error: Exception) -> bool:
    """Return whether the disk is full or read-only, so that the results of other files cannot be written either."""
    cause = error.__cause__
    return (
        isinstance(error, OutputError)
        and isinstance(cause, OSError)
        and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    )


def of_each(kit: Kit, stage: str, kind: str, files: Found[Path], work: Any, *, quiet: bool) -> dict[str, Any]:
    """Do ``work`` on every file, print the notes, and return the record of all results."""
    for note in files.notes:
        say(note)
    with ProgressListener(kit.registry, quiet=quiet):
        results, failures = _each(kit, stage, files, work)
    left = len(files) - len(results) - len(failures)
    stop = [f"nothing more can be written: the last {left} files were not tried"] if left else []
    for note in stop:
        say(note)
    for result in results:
        for note in result["notes"]:
            say(f"{result['path']}: {note}")
    return {
        "results": results,
        "failures": failures,
        "notes": [*files.notes, *stop, *kit.registry.notes],
        kind: getattr(kit, kind).described(),
        "environment": environment(),
    }


def unclipped(parts: Mapping[str, Audio]) -> tuple[dict[str, Audio], float]:
    """Lower all parts by the same gain if FLAC would clip one of them; return the parts and the gain in dB."""
    peak = 0.0
    for part in parts.values():
        peak = max(peak, part.peak)
        settle(part.samples)
    if peak <= 1.0:
        return dict(parts), 0.0
    gain = 10 ** (PEAK_CEILING_DB / 20) / peak
    return (
        {name: weighted_sum([(gain, part)]) for name, part in parts.items()},
        float(20 * np.log10(gain)),
    )
