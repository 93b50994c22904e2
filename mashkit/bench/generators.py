"""The task "generators": whether plans keep their condition, how different they are, and how fast they are drawn.

Every condition is an input. The same number of plans is drawn twice from one seed and once from another. A plan is
*valid* if it keeps the condition as the paper defines it (docs/paper.md, rows 6, 7, 11 and 19): the stems' keys and
tempi after what the plan does to them, other songs for the backing, 25 to 60 s. No sound is made.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs

from mashkit.bench.charts import Chart, RowChart
from mashkit.bench.collections import Choice, RenderedSource, reopen
from mashkit.bench.ranking import Metric
from mashkit.bench.records import UNAVAILABLE, Entry, Row
from mashkit.bench.registered import CollectionMissing
from mashkit.bench.tables import from_table, names
from mashkit.bench.tasks import Input, NotProvided, Task, stopwatch
from mashkit.components import Component, whole
from mashkit.conditions import DURATION_S, MAX_SHIFT, PROMISES, SPEEDS, Promise, key_distance, relative_tempi
from mashkit.interfaces import Generator
from mashkit.types import Clip, Condition, MashupPlan, Role

CLASH = 0.03
"""Smallest difference of an unmatched tempo: a quarter less than our own generator requires (ours)."""
TOLERANCE = 0.02
"""Largest difference of matched tempi, because a clip's tempo is one number for beats that vary."""
CENTS = 0.6
"""Semitones by which a shift may exceed :data:`mashkit.conditions.MAX_SHIFT`, because it includes cents: half a
semitone by which a distance is rounded to whole semitones, and a tenth by which the generator's index rounds it."""


def faults(plan: MashupPlan, clips: Mapping[str, Clip], promise: Promise | None = None) -> list[str]:
    """Return the rules of its condition that a plan breaks; empty if the plan is valid.

    The mean speed represents a layer along a beat map. Largest shift and range of speeds are the paper's, and are
    required of the paper's conditions only.

    Parameters
    ----------
    plan : MashupPlan
    clips : mapping of str to Clip
        By id.
    promise : Promise, optional
        The promise of the plan's condition; default: that of the paper.
    """
    promise = promise or PROMISES[plan.condition]
    found = []
    used = {layer.role: clips[layer.clip_id] for layer in plan.layers}
    if set(used) != set(Role):
        return ["a role is missing"]
    if not DURATION_S[0] - 1e-6 <= plan.duration_s <= DURATION_S[1] + 1e-6:
        found.append(f"lasts {plan.duration_s:.1f} s")
    songs = [used[role].song for role in Role]
    if promise.songs == "one":
        if len({clip.id for clip in used.values()}) > 1:
            found.append("stems of several clips")
        if any((layer.speed, layer.semitones) != (1.0, 0.0) for layer in plan.layers):
            found.append("an original is stretched or shifted")
        return found
    if promise.songs == "several" and songs[0] in songs[1:]:
        found.append("backing of the vocal's own song")
    sung = plan.layer(Role.VOCAL)
    if (sung.speed, sung.semitones) != (1.0, 0.0):
        found.append("the vocal is altered")
    if promise.key:
        found += _key_faults(plan, clips, promise)
    if promise.tempo:
        found += _tempo_faults(plan, clips, promise)
    return found


def _key_faults(plan: MashupPlan, clips: Mapping[str, Clip], promise: Promise) -> list[str]:
    distance = key_distance(plan, clips)
    if distance is None:
        return ["a key is not known"]
    apart = round(distance)
    if promise.key == "unmatched":
        return [] if apart else ["the harmonic layer fits by chance"]
    shift = plan.layer(Role.HARMONIC).semitones
    wrong = [f"harmonic {apart:+d} semitones off"] if apart else []
    too_far = plan.condition in PROMISES and abs(shift) > MAX_SHIFT + CENTS
    return wrong + ([f"shifted by {shift:g}"] if too_far else [])


def _tempo_faults(plan: MashupPlan, clips: Mapping[str, Clip], promise: Promise) -> list[str]:
    found = []
    for role, ratio in relative_tempi(plan, clips):
        if ratio is None:
            return ["a tempo is not known"]
        apart, speed = abs(ratio - 1), plan.layer(role).speed
        if promise.tempo == "matched":
            if apart > TOLERANCE:
                found.append(f"{role} {100 * apart:.0f} % off tempo")
            if plan.condition in PROMISES and not SPEEDS[0] - TOLERANCE <= speed <= SPEEDS[1] + TOLERANCE:
                found.append(f"{role} at speed {speed:.2f}")
        elif apart < CLASH:
            found.append(f"{role} in time by chance")
    return found


def evenness(names: Iterable[str]) -> float:
    """Return how evenly names are used, 0–1: the entropy of their shares over that of equal shares (Pielou 1966)."""
    counts = list(Counter(names).values())
    if len(counts) < 2:
        return 0.0
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts) / math.log(len(counts))


def _conditions(given: str | Iterable[str]) -> tuple[Condition, ...]:
    """Return conditions by their names."""
    return tuple(map(Condition, names(given)))


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    collection : str
        A collection that has clips.
    plans : int
        Number of plans of each condition, ≥ 2.
    conditions : tuple of str
        Some of the paper's five, or a generator's own; default: the paper's five.
    seed : int
    """

    collection: str = "rendered"
    plans: int = attrs.field(default=100, validator=whole(2))
    conditions: tuple[Condition, ...] = attrs.field(default=tuple(Condition), converter=_conditions)
    seed: int = 0


def _metrics() -> Iterator[Metric]:
    def share(name: str, title: str, explained: str, **more: Any) -> Metric:
        fields = {"unit": "%", "better": "higher", "resolution": 1.0, **more}
        return Metric(name=name, title=title, explained=explained, **fields)

    yield share("valid", "valid", "Plans that keep what their condition promises, the worst condition.", limit=100.0)
    yield share("asked", "of those asked for", "Plans drawn of those asked for, mean over conditions.", weight=0.5)
    yield share("clips", "clips used", "Clips that are used, of all, mean over roles and conditions.")
    yield share("even", "evenness", "Entropy of how often each clip is used over that of equal use, mean over roles "
                "and conditions.")  # fmt: skip
    yield share("repeats", "repeats", "Conditions in which one seed gives the same plans again.", limit=100.0)
    yield share("differs", "other seeds differ", "Plans of another seed that the first did not give, mean; with few "
                "clips there are only so many.", weight=0.0)  # fmt: skip
    yield Metric(
        name="rate", title="plans a second", unit="1/s", better="higher", resolution=10, digits=0,
        explained="Plans a CPU second, the slowest condition.",
    )  # fmt: skip


class GeneratorTask(Task):
    """Validity, diversity, reproducibility and rate of plans."""

    kind: ClassVar[str] = "generator"
    summary: ClassVar[str] = "plans: do they keep their condition, how different, how reproducible, how fast"
    version: ClassVar[int] = 1
    metrics: ClassVar[Sequence[Metric]] = tuple(_metrics())

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return every condition; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        try:
            choice = Choice(name=asked.collection, data=data, seed=asked.seed)
            collection = choice.open()
        except CollectionMissing as error:
            return [Input(name=str(one), measure=str(one), missing=str(error)) for one in asked.conditions]
        files = list(dict.fromkeys(path for paths in collection.files.values() for path in paths))
        made, made_by = choice.to_input(), collection.made_by(clip.id for clip in collection.clips)
        drawn = [
            Input(
                name=str(condition), measure=str(condition), files=files,
                parameters={**made["parameters"], "plans": asked.plans}, place=made["place"], made_by=made_by,
            )
            for condition in asked.conditions
        ]  # fmt: skip
        return [*drawn, *collection.left_out()]

    def warm_up(self, component: Component) -> None:
        """Draw a plan."""
        clips = RenderedSource(0, 4).clips
        generator = cast("Generator", component)
        condition = min(generator.info.provides)
        list(generator.plan(clips, condition=condition, count=1, seed=0))

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Draw plans of one condition, and return their validity, variety and rate."""
        generator, told = cast("Generator", component), given.parameters
        if given.measure not in generator.info.provides:
            others = ",".join(sorted(generator.info.provides - set(Condition)))
            hint = f"; measure its own with --set conditions={others}" if others else ""
            raise NotProvided(f"{generator.info.name} has no condition {given.measure}{hint}")
        clips = reopen(given).clips

        def drawn(seed: int) -> list[MashupPlan]:
            return list(generator.plan(clips, condition=given.measure, count=told["plans"], seed=seed))

        with stopwatch() as elapsed:
            plans = drawn(told["seed"])
        again, other = drawn(told["seed"]), drawn(told["seed"] + 1)
        known, promise = {clip.id: clip for clip in clips}, generator.promise(given.measure)
        used = {role: [plan.layer(role).clip_id for plan in plans] for role in Role}
        ids = {plan.id for plan in plans}
        return {
            "valid": statistics.fmean(not faults(plan, known, promise) for plan in plans),
            "asked": len(plans) / told["plans"],
            "clips": statistics.fmean(len(set(names)) / len(clips) for names in used.values()),
            "even": statistics.fmean(evenness(names) for names in used.values()),
            "repeats": float([plan.to_dict() for plan in plans] == [plan.to_dict() for plan in again]),
            "differs": statistics.fmean(plan.id not in ids for plan in other),
            "rate": len(plans) / max(elapsed.cpu_s, 1e-6),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return the metrics of one generator; conditions that it lacks are left out."""
        metrics: dict[str, float | None] = {metric.name: None for metric in self.metrics}
        asked = [row for row in rows if row.status != UNAVAILABLE]
        if not asked or not all(row.ok for row in asked):
            return metrics
        values = {name: [row.values[name] for row in asked] for name in metrics}
        for name in ("asked", "clips", "even", "repeats", "differs"):
            metrics[name] = 100 * statistics.fmean(values[name])
        return {**metrics, "valid": 100 * min(values["valid"]), "rate": min(values["rate"])}

    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return validity by condition."""
        shown = [one.label for one in competitors]
        valid = {(row.label, row.measure): 100 * row.values["valid"] for row in rows if row.ok}
        series = {
            str(condition): [valid.get((label, str(condition))) for label in shown]
            for condition in dict.fromkeys([*Condition, *(row.measure for row in rows)])
        }
        return [
            RowChart(
                title="Valid plans", caption="Share of plans that keep their condition. Right is better.", x_label="%",
                labels=shown, series=series, style="bars",
            )
        ]  # fmt: skip
