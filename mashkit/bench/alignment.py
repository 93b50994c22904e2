"""The task "alignment": errors between the backing's beats and the vocal's beats, along a beat map and at one speed.

Every plan is an input twice: as the default generator draws it, and with the same stems played at one speed, as in the
paper. The sound is measured: the default analyzer finds the beats of the rendered backing without the plan. Errors are
measured at the sparser of the two sets of beats, so that a tracker that finds half the tempo does not count as half a
beat off; beats within half a second of either end are left out.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np

from mashkit.bench.charts import Chart, RowChart, has_values
from mashkit.bench.collections import Choice, reopen
from mashkit.bench.identity import identity_of
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row, by_label, collect
from mashkit.bench.registered import CollectionMissing
from mashkit.bench.tables import from_table
from mashkit.bench.tasks import Input, NotProvided, Task, stopwatch
from mashkit.components import Component, whole
from mashkit.errors import AnalysisError, GenerationError
from mashkit.interfaces import Analyzer, Generator, Stretcher
from mashkit.mashup import Mashup
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.timing.beatmap import BeatsDistrusted, beat_grid
from mashkit.timing.beats import beat_error
from mashkit.types import Audio, Clip, Condition, Key, MashupPlan, Role, Times, by_id

MARGIN_S = 0.5
"""Beats this near to an end of the excerpt are not measured, because an analyzer has too little context there."""
MEDIAN_MS, P95_MS = 10.0, 25.0
"""A mashup is in time if the median and the 95th percentile of its errors are within these."""
DRIFT = 0.03
"""Tempo drift of the synthetic songs, a share: one song speeds up from the middle either way, the next slows down."""
DRIFTING_BANDS = ((Key(0, "major"), 120.0), (Key(2, "major"), 112.0), (Key(10, "major"), 126.0))
DRIFTING_BARS = 22

COLLECTIONS = {
    "songs": "real songs, separated",
    "multitracks": "real songs, true stems",
    "drifting": "synthetic songs whose tempo drifts by 3 % either way, true stems and beats",
}
REAL = ("songs", "multitracks")
ALIGNMENTS = {"map": "beat map", "speed": "one speed"}


def _metrics() -> Iterator[Metric]:
    for name, title in ALIGNMENTS.items():
        weight = 1.0 if name == "map" else 0.0
        yield Metric(
            name=f"{name}_median_ms", title=f"{title}: median", unit="ms", resolution=0.5, weight=weight,
            limit=MEDIAN_MS if name == "map" else None,
            explained="Median beat error of each mashup of real songs as heard, and of those the median.",
        )  # fmt: skip
        yield Metric(
            name=f"{name}_p95_ms", title=f"{title}: 95 %", unit="ms", resolution=1, weight=weight,
            limit=P95_MS if name == "map" else None,
            explained="95th percentile of each mashup's beat errors, and of those the median.",
        )  # fmt: skip
        yield Metric(
            name=f"{name}_kept", title=f"{title}: in time", unit="%", better="higher", resolution=1, digits=0,
            weight=weight, explained=f"Mashups of real songs with a median within {MEDIAN_MS:g} ms and 95 % within "
            f"{P95_MS:g} ms.",
        )  # fmt: skip
        yield Metric(
            name=f"{name}_planned_ms", title=f"{title}: planned 95 %", unit="ms", resolution=1, weight=0,
            explained="What the plans alone promise of real songs: 95th percentile of how far they lay the beats found "
            "in a layer's clip from the vocal's, median over the mashups. No stretcher has a part in it.",
        )  # fmt: skip
        yield Metric(
            name=f"{name}_drift_ms",
            title=f"{title}: drifting songs",
            unit="ms",
            resolution=1,
            weight=weight,
            explained="95th percentile of the errors where the tempo drifts by 3 % either way; the worst mashup.",
        )
    yield Metric(
        name="render_s", title="CPU for 30 s", unit="s", resolution=0.1, weight=1, digits=2,
        explained="CPU seconds to render 30 s of three layers along a beat map, median.",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    plans : int
        Most mashups of each collection, ≥ 1.
    seed : int
        Seed of the draw.
    """

    plans: int = attrs.field(default=24, validator=whole(1))
    seed: int = 0


class AlignmentTask(Task):
    """Beat errors of rendered mashups, along beat maps and at one speed, with each stretcher."""

    kind: ClassVar[str] = "stretcher"
    summary: ClassVar[str] = "beat errors of whole mashups: beat map against one speed, with each stretcher"
    version: ClassVar[int] = 1
    metrics: ClassVar[Sequence[Metric]] = tuple(_metrics())

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return each plan twice; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        count, seed = asked.plans, asked.seed
        drifting, analyzed_by = _drifting(), identity_of(_analyzer())
        found = _inputs("drifting", drifting.clips, min(count, len(drifting.clips)), seed, made_by=[analyzed_by])
        for name in REAL:
            choice = Choice(name=name, data=data, seed=seed)
            try:
                collection = choice.open()
                # A song that two collections have is left out once.
                found += [one for one in collection.left_out() if one not in found]
                made_by = [analyzed_by, *collection.made_by(clip.id for clip in collection.clips)]
                found += _inputs(
                    name, collection.clips, count, seed, collection.files, **choice.to_input(), made_by=made_by
                )
            except (CollectionMissing, GenerationError) as error:
                found += [
                    Input(name=f"{name}, {title}", measure=f"{name} {alignment}", missing=str(error))
                    for alignment, title in ALIGNMENTS.items()
                ]
        return found

    def warm_up(self, component: Component) -> None:
        """Stretch a stem and analyse the result, so that stretcher and analyzer load their networks."""
        source = _drifting()
        stretched = cast("Stretcher", component).stretch(source.stem(source.clips[0].id, Role.PERCUSSION), speed=1.1)
        _analyzer().analyze(stretched.excerpt(0, 5))

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Render the input's plan and return the errors of the beats found in its backing, ms."""
        stretcher = cast("Stretcher", component)
        plan = MashupPlan.from_dict(given.parameters["plan"])
        if not stretcher.follows_time_maps and any(layer.time_map is not None for layer in plan.layers):
            raise NotProvided(f"{component.info.name} follows no time map")
        source = _drifting() if given.measure.startswith("drifting") else reopen(given).source
        mashup = Renderer(source, stretcher).mashup(plan)
        for layer in plan.layers:
            source.stem(layer.clip_id, layer.role)  # read before the clock starts
        with stopwatch() as elapsed:
            stems = mashup.stems
        backing = Audio(stems[Role.HARMONIC].samples + stems[Role.PERCUSSION].samples, mashup.sample_rate)
        estimated = _analyzer().analyze(backing).beats
        if estimated is None or len(estimated) < 2:
            raise AnalysisError("no beats are found in the backing")
        late = 1000 * _errors(_grid(mashup), estimated, plan.duration_s)
        planned = 1000 * np.concatenate([_planned(mashup, role) for role in (Role.HARMONIC, Role.PERCUSSION)])
        return {
            "median_ms": float(np.median(np.abs(late))),
            "p95_ms": float(np.percentile(np.abs(late), 95)),
            "max_ms": float(np.abs(late).max()),
            "planned_median_ms": float(np.median(np.abs(planned))),
            "planned_p95_ms": float(np.percentile(np.abs(planned), 95)),
            "beats": float(len(late)),
            "duration_s": plan.duration_s,
            "mapped_layers": float(sum(layer.time_map is not None for layer in plan.layers)),
            "render_s": elapsed.cpu_s * 30 / plan.duration_s,
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return the metrics of one stretcher."""
        metrics: dict[str, float | None] = {}
        for name in ALIGNMENTS:
            real = [f"{collection} {name}" for collection in REAL]
            medians, tails = collect(rows, "median_ms", *real), collect(rows, "p95_ms", *real)
            drifting = collect(rows, "p95_ms", f"drifting {name}")
            metrics |= {f"{name}_median_ms": None, f"{name}_p95_ms": None, f"{name}_kept": None}
            if medians is not None and tails is not None:
                kept = [m <= MEDIAN_MS and p <= P95_MS for m, p in zip(medians, tails, strict=True)]
                metrics[f"{name}_median_ms"] = statistics.median(medians)
                metrics[f"{name}_p95_ms"] = statistics.median(tails)
                metrics[f"{name}_kept"] = 100 * statistics.fmean(kept)
            planned = collect(rows, "planned_p95_ms", *real)
            metrics[f"{name}_planned_ms"] = None if planned is None else statistics.median(planned)
            metrics[f"{name}_drift_ms"] = None if drifting is None else max(drifting)
        costs = collect(rows, "render_s", *(f"{collection} map" for collection in COLLECTIONS))
        metrics["render_s"] = None if costs is None else statistics.median(costs)
        return metrics

    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return, for each collection, median and 95th percentile along beat maps and at one speed."""
        shown = [one.label for one in competitors]
        of = by_label(rows, shown)
        charts: list[Chart] = []
        for collection, explained in COLLECTIONS.items():
            series: dict[str, list[float | None]] = {}
            for name, title in ALIGNMENTS.items():
                for field, part in (("median_ms", "median"), ("p95_ms", "95 %")):
                    values = [collect(of[label], field, f"{collection} {name}") for label in shown]
                    series[f"{title}, {part}"] = [None if one is None else statistics.median(one) for one in values]
            charts.append(
                RowChart(
                    title=f"Beat errors: {explained}",
                    caption="Median over the mashups of the median and of the 95th percentile of each one's beat "
                    "errors, as the analyzer finds them in the rendered backing. Left is better.",
                    x_label="ms (log)",
                    labels=shown,
                    series=series,
                    limit=P95_MS,
                    log=True,
                )
            )
        return list(filter(has_values, charts))


def _inputs(
    name: str,
    clips: Sequence[Clip],
    count: int,
    seed: int,
    files: Mapping[str, Sequence[Path]] | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    place: Mapping[str, Any] | None = None,
    made_by: Sequence[str] = (),
) -> list[Input]:
    """Return the plans that the default generator draws of a collection, each along beat maps and at one speed."""
    generator, steady = Kit().generator, Kit(options={"generator": {"align": "speed"}}).generator
    known, found = by_id(clips), []
    for number, plan in enumerate(generator.plan(clips, condition=Condition.MATCHED, count=count, seed=seed), 1):
        used = [known[plan.layer(role).clip_id] for role in Role]
        plans = {"map": plan, "speed": _same_stems(steady, plan, used)}
        found += [
            Input(
                name=f"{name} {number}, {title}",
                measure=f"{name} {alignment}",
                parameters={**(parameters or {}), "plan": plans[alignment].to_dict()},
                files=[path for clip in used for path in (files or {}).get(clip.id, ())],
                place=place or {},
                made_by=made_by,
            )
            for alignment, title in ALIGNMENTS.items()
        ]
    return found


def _same_stems(generator: Generator, plan: MashupPlan, clips: Sequence[Clip]) -> MashupPlan:
    """Return the plan that another generator draws of the same stems."""
    wanted = {(layer.role, layer.clip_id) for layer in plan.layers}
    distinct = list(by_id(clips).values())
    with contextlib.suppress(GenerationError):
        for drawn in generator.plan(distinct, condition=plan.condition, count=9, seed=plan.seed, vocal=clips[0].id):
            if {(layer.role, layer.clip_id) for layer in drawn.layers} == wanted:
                return drawn
    # One speed may leave a little less or more than a mashup may last: then as near as one speed comes.
    return plan.at_one_speed("the generator draws no such mashup at one speed")


@functools.cache
def _analyzer() -> Analyzer:
    return Kit().analyzer


@functools.cache
def _drifting() -> SyntheticSource:
    return SyntheticSource(DRIFTING_BANDS, bars=DRIFTING_BARS, drift=DRIFT)


def _grid(mashup: Mashup) -> Times:
    """Return the vocal's beats, smoothed where they can be trusted, away from both ends of the mashup."""
    analysis, layer = mashup.clips[Role.VOCAL].analysis, mashup.plan.layer(Role.VOCAL)
    try:
        times = layer.to_mashup(beat_grid(analysis).times)
    except BeatsDistrusted:
        times = mashup.beats()
    inner: Times = times[(times > MARGIN_S) & (times < mashup.plan.duration_s - MARGIN_S)]
    return inner


def _errors(grid: Times, beats: Times, duration_s: float) -> Times:
    """Return the distances between two sets of beats, seconds, at those of the sparser one."""
    inner = beats[(beats > MARGIN_S) & (beats < duration_s - MARGIN_S)]
    fewer, more = (grid, beats) if len(grid) <= len(inner) else (inner, grid)
    # Beats beyond the ends of the denser set have no partner.
    shared = fewer[(fewer >= more[0] - MARGIN_S) & (fewer <= more[-1] + MARGIN_S)]
    return beat_error(shared, more)


def _planned(mashup: Mashup, role: Role) -> Times:
    """Return the distances, in the plan, of the role's detected beats from the vocal's, seconds."""
    carried = mashup.plan.layer(role).to_mashup(cast("Times", mashup.clips[role].analysis.beats))
    return _errors(_grid(mashup), carried, mashup.plan.duration_s)
