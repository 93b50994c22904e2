"""The pieces of music, rendered or recorded, that analyzers and separators are measured on, and the cost of a piece."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mashkit.audio.files import load, resample
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Row
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, InputLost
from mashkit.catalog.ingest import SAMPLE_RATE
from mashkit.errors import MashkitError, suggestion
from mashkit.statistics import Statistic, interval
from mashkit.types import Audio

RENDERED = "rendered"
"""Name and measure of songs that are composed from a seed, with exact truth (:mod:`mashkit.bench.rendered`)."""


def require_known(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise SuiteError, with the nearest known name, if a suite names unknown music."""
    for name in names:
        if name not in known:
            raise SuiteError(f"settings: no collection {name!r}", suggestion(name, known))


def rendered_inputs(songs: int, seed: int, excerpt_s: float) -> list[Input]:
    """Return this many rendered songs; they depend on the seed alone."""
    return [
        Input(
            name=f"{RENDERED} {number + 1}",
            measure=RENDERED,
            parameters={"seed": seed, "number": number, "excerpt_s": excerpt_s},
        )
        for number in range(songs)
    ]


def load_all(paths: Sequence[Path]) -> list[Audio]:
    """Decode files at the rate of clips; raise InputLost if a file has gone or cannot be decoded any more."""
    try:
        return [resample(load(path), SAMPLE_RATE) for path in paths]
    except MashkitError as error:
        raise InputLost(error.problem, error.fix) from error


def split_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of recorded and of rendered pieces by the prefix of their metrics, "" and "rendered_".

    Rows of missing inputs are left out. If a row failed, its whole side is left out, because the best of a competitor's
    cases would be no fair measure of it.
    """
    there = [row for row in rows if not row.input_missing]
    sides = {
        "": [row for row in there if row.measure != RENDERED],
        "rendered_": [row for row in there if row.measure == RENDERED],
    }
    return {prefix: side for prefix, side in sides.items() if all(row.ok for row in side)}


def values_of(rows: Iterable[Row], field: str) -> list[float]:
    """Return one raw number of the rows that have it."""
    return [row.values[field] for row in rows if field in row.values]


def intervals_of(
    rows: Sequence[Row], fields: Sequence[str], statistic: Callable[[Sequence[float]], Statistic], unit: float = 1.0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval over pieces of each field's metric, by its prefixed name.

    Parameters
    ----------
    rows : sequence of Row
        All of one competitor.
    fields : sequence of str
        Names of the rows' values.
    statistic : callable
        Returns the metric, such as mean or median, as a statistic of one number a piece.
    unit : float
        Factor between the field and the metric: 100 for per cent.
    """
    found = {}
    for prefix, chosen in split_rows(rows).items():
        for field in fields:
            values = values_of(chosen, field)
            ends = interval(statistic(values)) if values else None
            if ends is not None:
                found[prefix + field] = (unit * ends.low, unit * ends.high)
    return found


# -------------------------------------------------------------------------------------------------------------- cost
def cost_metrics(resolution_s: float) -> tuple[Metric, Metric]:
    """Return the metrics CPU for a minute, ranked in steps of ``resolution_s``, and memory."""
    return (
        Metric(
            name="cpu_s", title="CPU for a minute", unit="s", resolution=resolution_s, weight=0.5, digits=1,
            explained="CPU seconds for a minute of music, mean.",
        ),
        Metric(
            name="memory_mb", title="memory", unit="MB", resolution=100, weight=0, digits=0,
            explained="Most memory its process held.",
        ),
    )  # fmt: skip


def minute_cost(cpu_s: float, piece: Audio) -> Mapping[str, float]:
    """Return the cost of a piece as a value of its row."""
    return {"minute_cpu_s": cpu_s * 60 / piece.duration}


def cost_of(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the values of :func:`cost_metrics`; None if a piece that is here could not be measured."""
    there = [row for row in rows if not row.input_missing]
    if not there or not all(row.ok for row in there):
        return {"cpu_s": None, "memory_mb": None}
    return {
        "cpu_s": statistics.fmean(row.values["minute_cpu_s"] for row in there),
        "memory_mb": max((row.peak_memory_mb for row in there if row.peak_memory_mb is not None), default=None),
    }
