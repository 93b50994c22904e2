"""The task "scorers": which scorers tell good mashups from bad, and at what cost.

Every plan is an input (:mod:`mashkit.bench.protocols`), and every row has the raw score. Metrics are computed from the
rows; intervals and tests take each song of a vocal as one observation.

The headline is the AUC within each vocal. A user asks which backing fits this vocal, and a rule need not give
comparable scores to mashups of different vocals. The AUC over all vocals together, as in the paper, is shown beside it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, cast

import attrs
import numpy as np

from mashkit.bench import protocols
from mashkit.bench.charts import BoxChart, Chart, Curve, CurveChart, Point, ScatterChart
from mashkit.bench.collections import (
    Choice,
    Collection,
    RenderedSource,
    reopen,
    separated_by,
    with_stems_of,
)
from mashkit.bench.comparisons import Comparison, every_two
from mashkit.bench.identity import identity_of
from mashkit.bench.layers import LAYERS_BYTES, LayerStore, SharedRenderer
from mashkit.bench.protocols import (
    CONTROL,
    LATE_BEATS,
    NEGATIVE,
    ORIGINAL,
    POSITIVE,
    PROTOCOLS,
    TEMPO_PERCENT,
    TWIN,
    TWINS,
    UNLABELLED,
    WRONG_SONG,
    Counts,
    Example,
    NoExample,
    harmonic_twin,
    late_twin,
    tempo_twin,
)
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row, by_label, judged_by
from mashkit.bench.registered import CollectionMissing
from mashkit.bench.scorer_metrics import (
    Examples,
    accuracy,
    average_rank,
    calibration_error,
    mean_over,
    normalised_rank,
    preferred,
    reliability,
    roc_auc,
    tied,
)
from mashkit.bench.scorer_words import lead
from mashkit.bench.tables import SuiteError, from_table, names
from mashkit.bench.tasks import Input, InputLost, Pick, Task, metric_chart, stopwatch
from mashkit.builtin.benchmarks import RENDERED_SONGS
from mashkit.components import Component, whole
from mashkit.errors import CatalogError, MashkitError, UsageError, suggestion
from mashkit.interfaces import Scorer
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.mashup import ClipSource, Mashup
from mashkit.metrics import ranks_among, top_accuracy
from mashkit.metrics import roc_auc as roc_auc_of
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit.statistics import PairedTest, Statistic, interval, paired, value_of
from mashkit.types import Audio, Condition, Layer, MashupPlan, Role

RENDERED_BYTES = 1 << 28
"""Bytes of stretched layers that a competitor's process keeps: enough for a vocal's plans, little in peak memory."""
CHANCE = 50.0
"""Of AUC, per cent."""
DISAGREE = "mashups they disagree on"
DISAGREEMENTS = 10
"""Number of these mashups that a page plays."""
RECALL_AT = (1, 5)
PICKS = 5
"""Number of the best mashups, and of the worst, that a page plays."""
ROBUST = {"stretcher": "rendered by another stretcher", "separator": "mixed from stems of another separator"}
"""Component that is exchanged under the same plans → what the plans then are."""

Scores = Mapping[str, Mapping[str, Sequence[Row]]]
"""Group → part → rows, all of them ok."""


# ---------------------------------------------------------------------------------------------------------- metrics
def _share(name: str, title: str, explained: str, **more: Any) -> Metric:
    fields = {"unit": "%", "better": "higher", "resolution": 1.0, "digits": 1, **more}
    return Metric(name=name, title=title, explained=explained, **fields)


TWIN_METRICS: Mapping[str, tuple[str, ...]] = {
    "harmonic_1": (harmonic_twin(1), harmonic_twin(-1)),
    "harmonic_2": (harmonic_twin(2), harmonic_twin(-2)),
    **{f"late_{part * 100:.0f}": (late_twin(part),) for part in LATE_BEATS},
    **{f"tempo_{percent}": (tempo_twin(percent),) for percent in TEMPO_PERCENT},
    "wrong_song": (WRONG_SONG,),
    "control": (CONTROL,),
}
"""Metric → the twins that it is computed from."""


PREFIXES = {"controlled": "", "paper": "paper_"}
"""Experiment protocol → prefix of its metrics' names: the controlled protocol has none."""


_TIES = " For this and all other metrics, scores that differ in their last bits alone are ties."
"""The end of what the first metric says."""


def _metrics() -> Iterator[Metric]:
    for name, prefix in PREFIXES.items():
        # A scorer that detects the stretcher gets good values in the paper's protocol, so these metrics have no weight.
        weight = 1.0 if name == "controlled" else 0.0
        how = "controlled" if name == "controlled" else "as in the paper"
        yield _share(
            f"{prefix}within_auc", f"AUC within vocals, {name}", "How often a positive scores above a negative of the "
            f"same vocal, ties half: mean over vocals; {how}. 50 is chance."
            f"{_TIES if name == 'controlled' else ''}", weight=2 * weight,
        )  # fmt: skip
        yield _share(
            f"{prefix}within_accuracy", f"accuracy within vocals, {name}", "Of each vocal as many mashups with the "
            "highest scores are called good as it has positives. Mean of the shares of positives and of negatives that "
            f"are called right, mean over vocals; {how}. 50 is chance.", weight=0,
        )  # fmt: skip
        yield _share(
            f"{prefix}auc", f"AUC, {name}", "How often a positive scores above a negative, of whatever vocals, ties "
            f"half; {how}. 50 is chance.", weight=0,
        )  # fmt: skip
        yield _share(
            f"{prefix}accuracy", f"accuracy, {name}", "Positives with a probability of 0.5 or more and negatives "
            f"below, mean of the two shares; only of who gives probabilities; {how} (Table 1).", weight=0,
        )  # fmt: skip
        yield Metric(
            name=f"{prefix}average_rank", title=f"average rank, {name}", unit="", resolution=0.5, weight=weight,
            explained="Rank of each positive among all unlabelled (matched) mashups of its draw, 1 + those above it, "
            f"ties half: their mean; {how} (Table 1). 1 is best.",
        )  # fmt: skip
        yield _share(
            f"{prefix}normalised_rank", f"normalised rank, {name}", "(Rank − 1) of that over the number of "
            f"unlabelled: comparable between collections; {how}. 50 is chance.", better="lower", weight=0,
        )  # fmt: skip
    for k in RECALL_AT:
        yield _share(
            f"recall_{k}", f"recall@{k}", f"Positives among the first {k} of their own vocal’s matched mashups, ties "
            "mid-rank; controlled.", weight=0.5 if k == 1 else 0.0,
        )  # fmt: skip
    yield Metric(
        name="mrr", title="MRR", unit="", better="higher", resolution=0.01, weight=0.5, digits=3,
        explained="Mean of 1 / rank of each positive among its own vocal’s matched mashups; controlled.",
    )  # fmt: skip
    yield Metric(
        name="ece", title="ECE", unit="", resolution=0.01, weight=0, digits=3,
        explained="Expected calibration error of probabilities, ten bins, positives and negatives; controlled. It "
        "depends on how many negatives there are to a positive.",
    )  # fmt: skip
    said = {
        "harmonic_1": ("±1 semitone", "the harmonic layer is a semitone off", 1.0),
        "harmonic_2": ("±2 semitones", "the harmonic layer is two semitones off", 0.5),
        "late_25": ("¼ beat late", "percussion is a quarter of a beat late", 0.5),
        "late_50": ("½ beat late", "percussion is half a beat late", 0.5),
        "tempo_1": ("1 % off", "percussion is 1 % off tempo", 0.0),
        "tempo_2": ("2 % off", "percussion is 2 % off tempo", 0.5),
        "tempo_3": ("3 % off", "percussion is 3 % off tempo", 0.5),
        "tempo_5": ("5 % off", "percussion is 5 % off tempo", 0.5),
        "wrong_song": ("wrong song", "the backing is another song’s, in the same key and tempo", 1.0),
    }
    for name, (title, wrong, weight) in said.items():
        yield _share(name, title, f"Originals that score higher than their twin in which {wrong}, ties half. "
                     "50 is chance.", weight=weight)  # fmt: skip
    yield _share(
        "control", "raw over processed", "Recordings as they are that score higher than the same stretched and "
        "shifted as a whole. Near 50, the scorer does not prefer unprocessed sound.", weight=0, ideal=50.0,
    )  # fmt: skip
    for kind, title in ROBUST.items():
        yield Metric(
            name=f"{kind}_correlation", title=f"other {kind}: ρ", unit="", better="higher", resolution=0.02,
            weight=0.25, digits=2,
            explained=f"Spearman’s correlation of the scores of the same plans with those {title}; controlled.",
        )  # fmt: skip
        yield _share(
            f"{kind}_auc_change", f"other {kind}: change of AUC", "By how many points the AUC changes when the same "
            f"plans are {title}; near 0 is best; controlled.", weight=0, unit="points", ideal=0.0,
        )  # fmt: skip
    yield Metric(
        name="cpu_ms", title="CPU a score", unit="ms", resolution=5, weight=0.5, digits=1,
        explained="CPU time, mean over all plans; rendering is in it for who listens to the result, reading files not. "
        "A layer is rendered once for all scorers, and each that needs it is charged that time.",
    )  # fmt: skip
    yield Metric(
        name="wall_ms", title="time a score", unit="ms", resolution=5, weight=0, digits=1,
        explained="The same by the clock, one thread.",
    )  # fmt: skip
    yield Metric(
        name="memory_mb", title="memory", unit="MB", resolution=50, weight=0, digits=0,
        explained="Most memory its process held, clips and rendered layers included.",
    )  # fmt: skip


HEADLINES = ("within_auc", "within_accuracy", "auc", "average_rank", "harmonic_1", "late_50", "tempo_3", "wrong_song")
"""Metrics of the tests between competitors, the most important first."""
WITHIN = {"within_auc": roc_auc_of, "within_accuracy": top_accuracy}
"""Metric → measure of the scores of one vocal's positives and negatives."""


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    collection : str
        A collection that has clips.
    songs : int
        Number of songs, if they are rendered.
    vocals, matched, negatives : int
        Most vocals, and the numbers of matched and unmatched mashups of each, ≥ 1.
    groups : tuple of str
        Experiment protocols and twins; default: all.
    plan_seeds : int
        How often the plans of each vocal are drawn, ≥ 1.
    stretcher : str
        Renders all plans.
    other_stretcher, other_separator : str
        Replace that stretcher and the default separator in the first draw, to measure the effect; empty for none.
    seed : int
    """

    collection: str = "songs"
    songs: int = attrs.field(default=RENDERED_SONGS, validator=whole(1))
    vocals: int = attrs.field(default=24, validator=whole(1))
    matched: int = attrs.field(default=5, validator=whole(1))
    negatives: int = attrs.field(default=3, validator=whole(1))
    groups: tuple[str, ...] = attrs.field(default=(*PROTOCOLS, *TWINS), converter=names)
    plan_seeds: int = attrs.field(default=1, validator=whole(1))
    stretcher: str = "signalsmith"
    other_stretcher: str = "librosa"
    other_separator: str = "librosa"
    seed: int = 0

    @groups.validator
    def _known(self, attribute: object, value: Sequence[str]) -> None:
        for name in value:
            if name not in (*PROTOCOLS, *TWINS):
                raise SuiteError(f"settings: no group {name!r}", suggestion(name, (*PROTOCOLS, *TWINS)))


class ScorerTask(Task):
    """Raw scores of the same plans."""

    picks_heading: ClassVar[tuple[str, str]] = (
        "What they picked", "The beginnings of the mashups with the highest and lowest scores.",
    )  # fmt: skip
    kind: ClassVar[str] = "scorer"
    summary: ClassVar[str] = "scores of the same plans: originals, matched, unmatched, and twins with one thing wrong"
    version: ClassVar[int] = 2
    metrics: ClassVar[Sequence[Metric]] = tuple(_metrics())
    _units: ClassVar[Mapping[str, float]] = {
        metric.name: 100 if metric.unit in ("%", "points") else 1 for metric in metrics
    }

    # ---------------------------------------------------------------------------------------------------- inputs
    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return every plan once; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        # Before a collection is separated: who cannot stretch the plans leaves nothing to score.
        rendered_by = identity_of(Kit(stretcher=asked.stretcher).stretcher)
        choice = Choice(name=asked.collection, data=data, seed=asked.seed, songs=asked.songs)
        try:
            collection = choice.open()
        except CollectionMissing as error:
            return [Input(name=group, measure=group, missing=str(error)) for group in asked.groups]
        counts = Counts(vocals=asked.vocals, matched=asked.matched, negatives=asked.negatives, groups=asked.groups)
        found = list(protocols.examples(collection.clips, counts, asked.seed, asked.plan_seeds))
        inputs = _Inputs(collection, choice, {"stretcher": asked.stretcher, "separator": ""}, rendered_by)
        inputs.add_all(found)
        if not found:
            known = "no vocal of collection {!r} has a key, a tempo and downbeats"
            none = "there are no clips in collection {!r}"
            inputs.missing("plans", "plans", (known if collection.clips else none).format(asked.collection))
        inputs.made += collection.left_out()
        robust = [one for one in found if isinstance(one, Example) and _is_robust(one)]
        for kind, other in (("stretcher", asked.other_stretcher), ("separator", asked.other_separator)):
            if other and robust:
                self._other_parts(inputs, robust, kind, other, choice)
        return inputs.made

    def _other_parts(self, inputs: _Inputs, robust: Sequence[Example], kind: str, other: str, choice: Choice) -> None:
        """Add the same plans with another stretcher or separator."""
        try:
            if kind == "stretcher":
                made_by = identity_of(Kit(stretcher=other).stretcher)
            else:
                made_by = identity_of(Kit(separator=other).separator)
                separated_by(choice, other)
        except MashkitError as error:
            inputs.missing(f"other {kind}", f"other {kind}", str(error))
            return
        for one in robust:
            inputs.add_other(one, kind, other, made_by)

    def batches(self, inputs: Sequence[Input]) -> list[list[Input]]:
        """Return the inputs in parts whose stretched layers all fit :data:`mashkit.bench.layers.LAYERS_BYTES`."""
        parts: list[list[Input]] = [[]]
        held: dict[Hashable, float] = {}
        for given in inputs:
            own = {} if given.missing else _layer_bytes(given)
            if sum((held | own).values()) > LAYERS_BYTES and held:
                parts.append([])
                held = {}
            parts[-1].append(given)
            held |= own
        return parts

    # --------------------------------------------------------------------------------------------------- measuring
    def warm_up(self, component: Component) -> None:
        """Score a few seconds of a rendered song."""
        source = RenderedSource(0, 1)
        clip = source.clips[0]
        layers = [Layer(role=role, clip_id=clip.id) for role in Role]
        plan = MashupPlan(condition=Condition.ORIGINAL, layers=layers, duration_s=8.0, seed=0)
        cast("Scorer", component).score([Renderer(source, Kit().stretcher).mashup(plan)])

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return the score of the input's plan, 1 if it is a probability or else 0, the score's parts, and its cost."""
        if isinstance(component, RelativeScorer):
            raise UsageError(
                f"scorer {component.info.name!r} compares mashups, and this benchmark scores them one by one",
                "measure what it is made of",
            )
        mashup = _mashup(given, self.scratch)
        with stopwatch() as elapsed:
            (score,) = cast("Scorer", component).score([mashup])
        rendered = {}
        if isinstance(mashup.renderer, SharedRenderer):
            elapsed, stretching = mashup.renderer.settled(elapsed)
            rendered = {"render_cpu_s": stretching.cpu_s, "render_wall_s": stretching.wall_s}
        return {
            "score": score.value,
            "probability": float(score.scale == "probability"),
            "score_cpu_s": elapsed.cpu_s,
            "score_wall_s": elapsed.wall_s,
            **rendered,
            **{f"part.{name}": value for name, value in score.parts.items()},
        }

    def picks(self, rows: Sequence[Row]) -> list[Pick]:
        """Return the five controlled mashups with the highest scores, and the five with the lowest."""
        groups = _grouped(rows)
        chosen = [row for part in groups.get("controlled", {}).values() for row in part]
        ordered = sorted(chosen, key=lambda row: -row.values["score"])
        few = min(PICKS, len(ordered) // 2)
        return [
            Pick(group=group, input=row.input, said=f"{row.facts['condition']}: {row.values['score']:.3g}")
            for group, side in (("best", ordered[:few]), ("worst", ordered[::-1][:few]))
            for row in side
        ]

    def auditions(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Pick]]:
        """Return the plans on which scorers disagree most, and under each label the result of :meth:`picks`."""
        found = super().auditions(rows)
        picks = _disagreements(self._above_chance(rows))
        return {DISAGREE: picks, **found} if picks else found

    def _above_chance(self, rows: Mapping[str, Sequence[Row]]) -> Mapping[str, Sequence[Row]]:
        """Return the rows of who is sure to be above chance within vocals, because who guesses agrees with nobody.

        If fewer than two are, all are returned.
        """
        judged = {label: judged_by(own) for label, own in rows.items()}
        lows = {label: self.intervals(own).get("within_auc", (0.0, 0.0))[0] for label, own in judged.items()}
        sure = {label: own for label, own in judged.items() if lows[label] > CHANCE}
        return sure if len(sure) > 1 else judged

    def sound(self, given: Input, longest_s: float) -> Audio:
        """Return the beginning of the mix of the input's plan."""
        plan = protocols.cut(MashupPlan.from_dict(given.parameters["plan"]), longest_s)
        return _mashup(attrs.evolve(given, parameters={**given.parameters, "plan": plan.to_dict()})).mix

    # ----------------------------------------------------------------------------------------------------- metrics
    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return the metrics of one scorer."""
        songs = _songs(rows)
        metrics: dict[str, float | None] = {metric.name: None for metric in self.metrics}
        for name, statistic in _statistics(rows, songs).items():
            value = value_of(statistic)
            metrics[name] = self._units[name] * value if math.isfinite(value) else None
        for name, value in _robustness(rows).items():
            metrics[name] = self._units[name] * value
        plans = [row for row in rows if row.ok]
        if plans and all(row.ok or row.input_missing for row in rows):
            for name, field in (("cpu_ms", "score_cpu_s"), ("wall_ms", "score_wall_s")):
                metrics[name] = 1000 * fmean(row.values[field] for row in plans)
            held = [row.peak_memory_mb for row in plans if row.peak_memory_mb is not None]
            metrics["memory_mb"] = max(held, default=None)
        return metrics

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Return bootstrap intervals over songs."""
        songs = _songs(rows)
        found = {name: interval(statistic) for name, statistic in _statistics(rows, songs).items()}
        return {
            name: (self._units[name] * one.low, self._units[name] * one.high)
            for name, one in found.items()
            if one is not None
        }

    def draws(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        """Return the metrics of scores in each draw of the plans; a metric that a draw lacks is left out."""
        songs, numbers = _songs(rows), _draws(rows)
        if len(numbers) < 2:
            return {}
        each = [
            {name: self._units[name] * value_of(one) for name, one in _statistics(rows, songs, [draw]).items()}
            for draw in numbers
        ]
        known = {name: [one.get(name, math.nan) for one in each] for name in each[0]}
        return {name: values for name, values in known.items() if all(map(math.isfinite, values))}

    def compare(self, rows: Mapping[str, Sequence[Row]]) -> list[Comparison]:
        """Return paired tests of every two scorers by the headline metrics, Holm's correction within each metric.

        Each test is of the plans by which both are judged, and that were there for both.
        """
        songs = _songs([row for own in rows.values() for row in own])
        # A plan on which one failed remains: it spoils the group, as it does in the table.
        inputs = {label: {row.input for row in own if not row.input_missing} for label, own in rows.items()}

        @functools.cache
        def known(label: str, judged: frozenset[str]) -> dict[str, Statistic]:
            return _statistics([row for row in rows[label] if row.input in judged], songs)

        def differ(metric: str, one: str, other: str) -> PairedTest | None:
            both = frozenset(inputs[one] & inputs[other])
            sides = [known(label, both).get(metric) for label in (one, other)]
            return None if sides[0] is None or sides[1] is None else paired(sides[0], sides[1])

        tests = [every_two(name, rows, functools.partial(differ, name), self._units[name]) for name in HEADLINES]
        return [one for some in tests for one in some]

    # -------------------------------------------------------------------------------------------------------- words
    def lead(
        self, competitors: Sequence[Entry], rows: Sequence[Row], comparisons: Sequence[Comparison], baseline: str
    ) -> list[str]:
        """Return what was compared, on what music, who is first by how much, and what is not known."""
        return lead(competitors, rows, comparisons, baseline)

    # ------------------------------------------------------------------------------------------------------ charts
    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return intervals, ranks, distributions, calibration and cost against quality."""
        labels = [one.label for one in competitors]
        of = by_label((row for row in rows if row.label in labels), labels)
        return [
            self._areas(competitors),
            self._twins(competitors),
            *_rank_curves(of),
            *_reliability_diagram(of),
            _cost(competitors),
            *_distributions(of),
        ]

    def _areas(self, competitors: Sequence[Entry]) -> Chart:
        shown = {f"{name}, within vocals": f"{prefix}within_auc" for name, prefix in PREFIXES.items()}
        return metric_chart(
            competitors,
            shown | {f"{name}, all together": f"{prefix}auc" for name, prefix in PREFIXES.items()},
            title="Positives over negatives",
            caption="Area under the ROC curve with its 95 % interval over songs, within each vocal and of all vocals "
            "together. A scorer that is good only under the paper’s protocol may detect the stretcher’s artefacts. "
            "Right is better; 50 is chance.",
            x_label="AUC, %",
            limit=50.0,
            limit_label="chance",
        )

    def _twins(self, competitors: Sequence[Entry]) -> Chart:
        titles = {metric.name: metric.title for metric in self.metrics}
        return metric_chart(
            competitors,
            {titles[name]: name for name in ("harmonic_1", "late_50", "tempo_3", "wrong_song", "control")},
            title="Originals over their twins",
            caption="Share of pairs in which the right one scores higher, ties half, with 95 % intervals over songs. "
            "“Raw over processed” should be at 50: there, nothing is wrong with either.",
            x_label="preferred, %",
            limit=50.0,
            limit_label="chance",
        )


# ----------------------------------------------------------------------------------------------------------- inputs
def _is_robust(example: Example) -> bool:
    """Return whether a plan is scored with other components as well: the first draw's positives and negatives."""
    return example.draw == 0 and example.group == "controlled" and example.part in (POSITIVE, NEGATIVE)


class _Inputs:
    """The inputs; a plan that serves several groups is one input and is scored once."""

    def __init__(self, collection: Collection, choice: Choice, how: Mapping[str, Any], rendered_by: str) -> None:
        self._rendered_by = rendered_by
        self._cut_by = {clip.id: collection.made_by([clip.id]) for clip in collection.clips}
        self.made: list[Input] = []
        self._files = collection.files
        self._recordings = {clip.id: collection.recording(clip) for clip in collection.clips}
        self._choice = choice.to_input()
        self._how = {**self._choice["parameters"], **how}
        self._plans: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def _name(self, wanted: str) -> str:
        self._names[wanted] = self._names.get(wanted, 0) + 1
        return wanted if self._names[wanted] == 1 else f"{wanted} ({self._names[wanted]})"

    def missing(self, name: str, measure: str, reason: str) -> None:
        """Add a missing input."""
        self.made.append(Input(name=self._name(name), measure=measure, missing=reason))

    def add_all(self, found: Sequence[Example | NoExample]) -> None:
        """Add examples, and a missing input for each group and part that lacks examples."""
        said: dict[tuple[str, str], NoExample] = {}
        for one in found:
            if isinstance(one, Example):
                self._add(one)
            else:
                said.setdefault((one.group, one.part), one)
        for (group, part), one in said.items():
            self.missing(f"{group}, {part}: {one.vocal.title}", group, one.reason)

    def _add(self, one: Example) -> None:
        # The draw is left out for the first, so that the facts are those of a suite that draws once.
        use = [one.group, one.part, *([one.draw] if one.draw else [])]
        at = self._plans.get(one.plan.id)
        if at is not None:
            known = self.made[at]
            uses = known.facts["uses"]
            if use not in uses:
                self.made[at] = attrs.evolve(known, facts={**known.facts, "uses": [*uses, use]})
            return
        self._plans[one.plan.id] = len(self.made)
        made = self._input(one, one.plan, self._how, [use], f"{one.group}, {one.part}")
        self.made.append(attrs.evolve(made, made_by=[self._rendered_by, *made.made_by]))

    def add_other(self, one: Example, kind: str, other: str, made_by: str) -> None:
        """Add a plan again with another stretcher or separator.

        Parameters
        ----------
        one : Example
        kind, other : str
            "stretcher" or "separator", and the name of the other one.
        made_by : str
            Hash of the other one.
        """
        plan = with_stems_of(one.plan, other) if kind == "separator" else one.plan
        base = self.made[self._plans[one.plan.id]]
        made = self._input(
            one, plan, {**self._how, kind: other}, [[f"other {kind}", one.part]], f"{kind} {other}, {one.part}"
        )
        used = [made_by] if kind == "stretcher" else [self._rendered_by, made_by]
        facts = {**made.facts, "same_as": base.name}
        self.made.append(attrs.evolve(made, facts=facts, made_by=[*used, *made.made_by]))

    def _input(self, one: Example, plan: MashupPlan, how: Mapping[str, Any], uses: list[list[Any]], what: str) -> Input:
        clips = dict.fromkeys(layer.clip_id for layer in one.plan.layers)
        files = dict.fromkeys(path for clip_id in clips for path in self._files.get(clip_id, ()))
        return Input(
            name=self._name(f"{one.vocal.id}: {what}"),
            measure=uses[0][0],
            parameters={**how, "plan": plan.to_dict()},
            place=self._choice["place"],
            files=list(files),
            songs=list(dict.fromkeys(filter(None, (self._recordings[clip_id] for clip_id in clips)))),
            made_by=list(dict.fromkeys(made_by for clip_id in clips for made_by in self._cut_by[clip_id])),
            facts={
                "uses": uses,
                "song": one.vocal.song,
                "vocal": one.vocal.id,
                "recording": self._recordings[one.vocal.id],
                "condition": str(plan.condition),
                "plan": plan.id,
            },
        )


def _layer_bytes(given: Input) -> dict[Hashable, float]:
    """Return the size of each layer that is stretched for an input's plan, stereo; equal layers have equal keys."""
    how = given.parameters
    source = _source(Choice.of(given), how["separator"])
    sizes: dict[Hashable, float] = {}
    for layer in MashupPlan.from_dict(how["plan"]).layers:
        if (layer.speed, layer.semitones) == (1.0, 0.0):
            continue
        clip = source.clip(layer.clip_id)
        frames = clip.sample_rate * clip.duration / layer.speed
        sizes[layer.clip_id, layer.role, layer.speed, layer.semitones, how["stretcher"]] = 2 * 4 * frames
    return sizes


def _mashup(given: Input, scratch: Path | None = None) -> Mashup:
    """Return the input's plan as a mashup whose stems have been read, because reading is no cost of a scorer."""
    how = given.parameters
    reopen(given)
    renderer = _renderer(Choice.of(given), how["separator"], how["stretcher"], scratch)
    plan = MashupPlan.from_dict(how["plan"])
    try:
        mashup = renderer.mashup(plan)
        for layer in plan.layers:
            renderer.source.stem(layer.clip_id, layer.role)
    except CatalogError as error:
        raise InputLost(error.problem, error.fix) from error
    return mashup


def _source(choice: Choice, separator: str) -> ClipSource:
    return separated_by(choice, separator) if separator else choice.open().source


@functools.cache
def _renderer(choice: Choice, separator: str, stretcher: str, scratch: Path | None) -> Renderer:
    source, made_by = _source(choice, separator), Kit(stretcher=stretcher).stretcher
    if scratch is None:
        return Renderer(source, made_by, cache_bytes=RENDERED_BYTES)
    return SharedRenderer(source, made_by, LayerStore(scratch), cache_bytes=RENDERED_BYTES)


# ------------------------------------------------------------------------------------------------- rows to examples
def _songs(rows: Sequence[Row]) -> list[str]:
    """Return the songs of all vocals, scored or not."""
    return sorted({row.facts["song"] for row in rows if row.facts})


def _grouped(rows: Sequence[Row], draws: Iterable[int] | None = None) -> dict[str, dict[str, list[Row]]]:
    """Return a competitor's rows of each group and part, with ties; rows of missing inputs are left out.

    A group in which a row failed is left out as a whole, because the best of a scorer's cases would be no fair measure.

    Parameters
    ----------
    rows : sequence of Row
    draws : iterable of int, optional
        Only rows of these draws; default: of all. A row is in a part once, in however many draws it is.
    """
    wanted = None if draws is None else set(draws)
    groups: dict[str, dict[str, dict[str, Row]]] = {}
    failed = set()
    for row in _with_ties(rows):
        for group, part, draw in _uses(row):
            if row.ok and (wanted is None or draw in wanted):
                groups.setdefault(group, {}).setdefault(part, {})[row.input] = row
            elif not row.ok and not row.input_missing:
                failed.add(group)
    return {
        group: {part: list(own.values()) for part, own in parts.items()}
        for group, parts in groups.items()
        if group not in failed
    }


def _with_ties(rows: Sequence[Row]) -> list[Row]:
    """Return a competitor's rows in which scores that differ by rounding alone are equal (:func:`tied`)."""
    compared = tied(row.values["score"] for row in rows if row.ok)

    def one(row: Row) -> Row:
        if not row.ok or compared[row.values["score"]] == row.values["score"]:
            return row
        return attrs.evolve(row, values={**row.values, "score": compared[row.values["score"]]})

    return [one(row) for row in rows]


def _uses(row: Row) -> Iterator[tuple[str, str, int]]:
    """Yield the group, the part and the draw of everything that a row serves for."""
    for group, part, *draw in row.facts.get("uses", ()):
        yield group, part, draw[0] if draw else 0


def _draws(rows: Sequence[Row]) -> list[int]:
    """Return the draws of the rows' plans."""
    return sorted({draw for row in rows for _, _, draw in _uses(row)})


def _examples(rows: Sequence[Row], songs: Sequence[str]) -> Examples:
    number = {song: index for index, song in enumerate(songs)}
    return Examples(_scores(rows), [number[row.facts["song"]] for row in rows], len(songs))


def _scores(rows: Sequence[Row]) -> list[float]:
    return [row.values["score"] for row in rows]


def _are_probabilities(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(row.values["probability"] == 1.0 for row in rows)


def _statistics(rows: Sequence[Row], songs: Sequence[str], draws: Sequence[int] = ()) -> dict[str, Statistic]:
    """Return every metric of scores as a statistic of the weights of these songs; ``draws`` are all by default."""
    draws = draws or _draws(rows) or [0]
    groups = _grouped(rows, draws)
    # What belongs together is of one draw: twins, and the matched mashups that a positive is ranked among.
    single = [_grouped(rows, [draw]) for draw in draws]
    found: dict[str, Statistic] = {}
    for name in PROTOCOLS:
        parts = groups.get(name, {})
        positive, negative = (_examples(parts.get(part, ()), songs) for part in (POSITIVE, NEGATIVE))
        found[f"{PREFIXES[name]}auc"] = roc_auc(positive, negative)
        found |= {f"{PREFIXES[name]}{metric}": one for metric, one in _within_vocals(parts, songs).items()}
        ranked = _by_draw([one.get(name, {}) for one in single], songs)
        found[f"{PREFIXES[name]}average_rank"] = average_rank(ranked)
        found[f"{PREFIXES[name]}normalised_rank"] = normalised_rank(ranked)
        if _are_probabilities([*parts.get(POSITIVE, ()), *parts.get(NEGATIVE, ())]):
            found[f"{PREFIXES[name]}accuracy"] = accuracy(positive, negative)
            if name == "controlled":
                found["ece"] = calibration_error(positive, negative)
    own, ranks = _query_ranks([one.get("controlled", {}) for one in single], songs)
    found |= {f"recall_{k}": mean_over(own, ranks <= k) for k in RECALL_AT}
    found["mrr"] = mean_over(own, 1 / ranks)
    for name, twins in TWIN_METRICS.items():
        pairs = _pairs([one.get(twin, {}) for twin in twins for one in single])
        originals = _examples([original for original, _ in pairs], songs)
        found[name] = preferred(originals, _scores([twin for _, twin in pairs]))
    return found


def _within_vocals(parts: Mapping[str, Sequence[Row]], songs: Sequence[str]) -> dict[str, Statistic]:
    """Return the means over vocals of what :data:`WITHIN` measures in each vocal that has both classes."""
    vocals: dict[str, dict[str, list[Row]]] = {}
    for part in (POSITIVE, NEGATIVE):
        for row in parts.get(part, ()):
            vocals.setdefault(row.facts["vocal"], {}).setdefault(part, []).append(row)
    whole = [one for one in vocals.values() if len(one) == 2]
    scores = [(_scores(one[POSITIVE]), _scores(one[NEGATIVE])) for one in whole]
    # A vocal is an example; its scores are not used beyond the measure.
    examples = _examples([one[POSITIVE][0] for one in whole], songs)
    return {
        name: mean_over(examples, [measure(good, bad) for good, bad in scores], tie=0.5)
        for name, measure in WITHIN.items()
    }


def _by_draw(draws: Iterable[Mapping[str, Sequence[Row]]], songs: Sequence[str]) -> list[tuple[Examples, Examples]]:
    """Return the positives of each draw, and the matched mashups of the same draw, which they are ranked among."""
    return [(_examples(parts.get(POSITIVE, ()), songs), _examples(parts.get(UNLABELLED, ()), songs)) for parts in draws]


def _query_ranks(draws: Sequence[Mapping[str, Sequence[Row]]], songs: Sequence[str]) -> tuple[Examples, np.ndarray]:
    """Return the positives whose vocal has matched mashups, and the rank of each among these mashups, by draw."""
    positives, ranks = [], []
    for parts in draws:
        for row in parts.get(POSITIVE, ()):
            others = [other for other in parts.get(UNLABELLED, ()) if other.facts["vocal"] == row.facts["vocal"]]
            if others:
                positives.append(row)
                ranks.append(float(ranks_among(_scores([row]), _scores(others))[0]))
    return _examples(positives, songs), np.asarray(ranks, np.float64)


def _pairs(draws: Iterable[Mapping[str, Sequence[Row]]]) -> list[tuple[Row, Row]]:
    """Return originals and twins of the same vocal in the same draw; a pair that was drawn twice counts once."""
    found = {}
    for parts in draws:
        twins = {row.facts["vocal"]: row for row in parts.get(TWIN, ())}
        for row in parts.get(ORIGINAL, ()):
            if (twin := twins.get(row.facts["vocal"])) is not None:
                found[row.input, twin.input] = (row, twin)
    return list(found.values())


def _robustness(rows: Sequence[Row]) -> dict[str, float]:
    """Return rank correlation and change of AUC of the same plans with other components."""
    from scipy import stats

    songs, groups = _songs(rows), _grouped(rows)
    by_name = {row.input: row for row in _with_ties(rows)}
    found = {}
    for kind in ROBUST:
        # Without a plan's own row, which was lost or is not judged, there is nothing to compare the other one with.
        parts = {
            part: [row for row in own if (base := by_name.get(row.facts["same_as"])) and not base.input_missing]
            for part, own in groups.get(f"other {kind}", {}).items()
        }
        others = [row for part in parts.values() for row in part]
        bases = [by_name[row.facts["same_as"]] for row in others]
        if not others or not all(row.ok for row in bases):
            continue
        values = [_scores(bases), _scores(others)]
        if all(len(set(side)) > 1 for side in values):
            found[f"{kind}_correlation"] = float(stats.spearmanr(*values).statistic)
        areas = []
        for side in ("base", "other"):
            chosen = {
                part: [by_name[row.facts["same_as"]] if side == "base" else row for row in own]
                for part, own in parts.items()
            }
            positive, negative = (_examples(chosen.get(part, ()), songs) for part in (POSITIVE, NEGATIVE))
            areas.append(value_of(roc_auc(positive, negative)))
        if all(map(math.isfinite, areas)):
            found[f"{kind}_auc_change"] = areas[1] - areas[0]
    return found


# ------------------------------------------------------------------------------------------------------------- sound
def _disagreements(rows: Mapping[str, Sequence[Row]]) -> list[Pick]:
    """Return the plans whose places among those of their vocal differ most from scorer to scorer, most first."""
    places: dict[str, dict[str, tuple[float, int]]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for label, own in rows.items():
        vocals: dict[str, dict[str, Row]] = {}
        for part in _grouped(own).get("controlled", {}).values():
            for row in part:
                vocals.setdefault(row.facts["vocal"], {})[row.input] = row
        for known in vocals.values():
            scores = _scores(list(known.values()))
            # A score is among the others, which are one less than the ties with itself suggest.
            for row, rank in zip(known.values(), ranks_among(scores, scores) - 0.5, strict=True):
                places.setdefault(row.input, {})[label] = (float(rank), len(scores))
                facts[row.input] = row.facts
    spread = {
        name: max(shares) - min(shares)
        for name, own in places.items()
        if len(own) > 1 and (shares := [(rank - 0.5) / count for rank, count in own.values()])
    }
    chosen = sorted(spread, key=lambda name: -spread[name])[:DISAGREEMENTS]
    return [
        Pick(group=facts[name]["vocal"], input=name, said=_places(facts[name], places[name]))
        for name in chosen
        if spread[name] > 0
    ]


def _places(facts: Mapping[str, Any], places: Mapping[str, tuple[float, int]]) -> str:
    """Return where each scorer puts a plan, highest score first."""
    ordered = sorted(places.items(), key=lambda one: one[1][0])
    return f"{facts['condition']}: " + ", ".join(f"{label} {rank:g} of {count}" for label, (rank, count) in ordered)


# ----------------------------------------------------------------------------------------------------------- charts
def _rank_curves(of: Mapping[str, Sequence[Row]]) -> list[Chart]:
    curves = []
    for label, rows in of.items():
        found = []
        for draw in _draws(rows):
            parts = _grouped(rows, [draw]).get("controlled", {})
            if parts.get(POSITIVE) and parts.get(UNLABELLED):
                scores, others = (_scores(parts[part]) for part in (POSITIVE, UNLABELLED))
                found.append((ranks_among(scores, others) - 1) / len(others))
        if not found:
            continue
        ranks = np.sort(np.concatenate(found))
        y = np.arange(1, len(ranks) + 1) / len(ranks)
        x = np.concatenate([[0.0], np.repeat(ranks, 2), [1.0]])
        curves.append(Curve(label, (100 * x).tolist(), (100 * np.concatenate([[0, 0], np.repeat(y, 2)])).tolist()))
    return [
        CurveChart(
            title="Where the originals rank",
            caption="Share of positives among the best so many per cent of the matched mashups of their draw, "
            "controlled. Up and left is better; along the dashed line it is chance.",
            x_label="best per cent of matched mashups",
            y_label="positives found, %",
            curves=curves,
            diagonal=(0.0, 100.0),
        )
    ]


def _reliability_diagram(of: Mapping[str, Sequence[Row]]) -> list[Chart]:
    curves = []
    for label, rows in of.items():
        parts = _grouped(rows).get("controlled", {})
        some = [*parts.get(POSITIVE, ()), *parts.get(NEGATIVE, ())]
        if not _are_probabilities(some):
            continue
        songs = _songs(rows)
        bins = reliability(_examples(parts.get(POSITIVE, ()), songs), _examples(parts.get(NEGATIVE, ()), songs))
        curves.append(Curve(label, [one.probability for one in bins], [one.positives for one in bins], marked=True))
    if not curves:
        return []
    return [
        CurveChart(
            title="Do probabilities mean what they say?",
            caption="Share of positives among plans of about one probability, controlled; only of who gives "
            "probabilities. On the dashed line they do.",
            x_label="mean probability",
            y_label="share of positives",
            curves=curves,
            diagonal=(0.0, 1.0),
        )
    ]


def _cost(competitors: Sequence[Entry]) -> Chart:
    points = [
        Point(one.label, "", max(cpu_ms, 0.01), area)
        for one in competitors
        if (cpu_ms := one.metrics["cpu_ms"]) is not None and (area := one.metrics.get("within_auc")) is not None
    ]
    return ScatterChart(
        title="Cost against quality",
        caption="CPU time a score, and how often a positive scores above a negative of the same vocal, controlled. Up "
        "and left is better.",
        x_label="CPU a score, ms (log)",
        y_label="AUC within vocals, %",
        points=points,
        log_x=True,
    )


def _distributions(of: Mapping[str, Sequence[Row]]) -> list[Chart]:
    """Return a chart for each scorer: its scores by condition."""
    charts: list[Chart] = []
    for label, rows in of.items():
        groups = _grouped(rows)
        boxes: dict[str, list[float]] = {}
        for name in PROTOCOLS:
            for condition in Condition:
                parts = groups.get(name, {}).values()
                chosen = [row for part in parts for row in part if row.facts["condition"] == condition]
                if chosen:
                    boxes[f"{name}: {condition}"] = _scores(chosen)
        if boxes:
            charts.append(
                BoxChart(
                    title=f"{label}: scores by condition",
                    caption="Every dot is a mashup; boxes hold the middle half, the line in them is the median.",
                    x_label="score",
                    boxes=boxes,
                )
            )
    return charts
