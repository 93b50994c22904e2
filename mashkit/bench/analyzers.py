"""The task "analyzers": key, tempo, beats, downbeats, chords and melody against labels, as mir_eval measures them.

Every piece of music is an input; of a long piece, an excerpt from its middle. Metrics are those of mir_eval (Raffel et
al., "mir_eval: A Transparent Implementation of Common MIR Metrics", ISMIR 2014): weighted key score; F-measure within
70 ms and continuity of beats, without the first five seconds, as is usual; weighted overlap of chords; melody after
Salamon et al., "Melody extraction from polyphonic music signals", IEEE Signal Processing Magazine 31(2), 2014.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.bench import rendered
from mashkit.bench.charts import Chart, has_values
from mashkit.bench.labelled import Labels, true_analysis
from mashkit.bench.pieces import (
    RENDERED,
    cost_metrics,
    cost_of,
    intervals_of,
    load_all,
    minute_cost,
    rendered_inputs,
    require_known,
    split_rows,
    values_of,
)
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row
from mashkit.bench.registered import labelled, labels_of
from mashkit.bench.tables import finite, from_table, names
from mashkit.bench.tasks import Input, Task, metric_chart, stopwatch
from mashkit.catalog.ingest import SAMPLE_RATE
from mashkit.components import Component, whole
from mashkit.interfaces import Analyzer
from mashkit.statistics import SHARE, ratio
from mashkit.synthetic import signals
from mashkit.types import TONIC_NAMES, Analysis, Audio, Chords, Key, Melody, Times
from mashkit.types.chords import NO_CHORD

TEMPO_TOLERANCE = 0.04
"""Tolerance of tempi, as a share (Gouyon et al., "An experimental comparison of audio tempo induction algorithms",
IEEE TASLP 14(5), 2006); the factors below are those of the same paper's accuracy 2."""
TEMPO_FACTORS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)
GRID_FACTORS = (*TEMPO_FACTORS, 4.0, 1 / 4)
CIRCULAR = "MusicDelta, Ballroom and GiantSteps are among what published networks (madmom’s) were trained on."

FIELDS: Mapping[str, tuple[str, str]] = {
    "key": ("key score", "weighted key score of mir_eval: 1 right, 0.5 a fifth above, 0.3 relative, 0.2 parallel"),
    "tempo_1": ("tempo accuracy 1", "tempi within 4 %"),
    "tempo_2": ("tempo accuracy 2", "tempi within 4 % of the true one, its double, triple, half or third"),
    "beat_f": ("beat F", "F-measure of beats within 70 ms"),
    "downbeat_f": ("downbeat F", "F-measure of downbeats within 70 ms"),
    "cmlt": ("CMLt", "beats in phase, at the right level, in all continuous parts"),
    "amlt": ("AMLt", "the same, half, double and off-beat allowed"),
    "majmin": ("chords", "time in which the chord’s root, third and fifth are right; other triads are left out"),
    "chord_root": ("chord roots", "time in which the chord’s root is right"),
    "melody": ("melody", "frames of the melody that are right: within half a semitone, or without a voice"),
    "melody_pitch": ("melody pitch", "sung frames whose pitch is within half a semitone"),
}
"""The values of a row, each 0–1, with title and explanation."""
NEEDS = {
    "key": "key", "tempo_1": "tempo", "tempo_2": "tempo", "beat_f": "beats", "downbeat_f": "downbeats",
    "cmlt": "beats", "amlt": "beats", "majmin": "chords", "chord_root": "chords", "melody": "melody",
    "melody_pitch": "melody", "grid": "tempo",
}  # fmt: skip
"""Value → the field that an analyzer must provide for it."""
WEIGHTS = {"amlt": 0.5, "chord_root": 0.0, "rendered_melody": 1.0}
"""Weights in the ranking that differ from 1 for labelled music and 0 for rendered songs. No labelled music here has a
melody, so rendered songs decide."""
RESIDUE_DB = -20.0
"""Level of the accompaniment below the voice in which a melody is looked for: what a good separator leaves (ours)."""
GRID = "grid"
"""A separate field, because a grid under syllables need not follow the beat."""


def tempo_is_right(found: float, true: float, factors: Sequence[float]) -> bool:
    """Return whether a tempo is within 4 % of the true tempo times one of ``factors``."""
    return any(abs(found - factor * true) <= TEMPO_TOLERANCE * factor * true for factor in factors)


def compared(found: Analysis, true: Analysis) -> dict[str, float]:
    """Return each metric for which there are labels; a field of ``found`` that is None counts as wrong.

    Where too few labels are left, such as beats after the first five seconds, mir_eval's metric is 0 whatever was
    found. Such a metric is left out, because nobody could be right.
    """
    import mir_eval

    values: dict[str, float] = {}
    if true.key is not None:
        values["key"] = 0.0 if found.key is None else _key_score(true.key, found.key)
    if true.tempo is not None:
        for name, factors in (("tempo_1", (1.0,)), ("tempo_2", TEMPO_FACTORS)):
            values[name] = float(found.tempo is not None and tempo_is_right(found.tempo, true.tempo, factors))
    for field, name in (("beats", "beat"), ("downbeats", "downbeat")):
        if getattr(true, field) is None:
            continue
        reference, estimate = (mir_eval.beat.trim_beats(_times(getattr(one, field))) for one in (true, found))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mir_eval warns if nothing was found; it then scores it 0, as it should
            if len(reference) > 0:
                values[f"{name}_f"] = float(mir_eval.beat.f_measure(reference, estimate))
            if field == "beats" and len(reference) > 1:
                _, values["cmlt"], _, values["amlt"] = map(float, mir_eval.beat.continuity(reference, estimate))
    if true.chords is not None:
        values |= _chord_scores(true.chords, found.chords or Chords(true.chords.times[[0, -1]], [NO_CHORD]))
    if true.melody is not None:
        values |= _melody_scores(true.melody, found.melody or attrs.evolve(true.melody, f0=0 * true.melody.f0))
    return values


def _chord_scores(true: Chords, found: Chords) -> dict[str, float]:
    import mir_eval

    intervals, labels = mir_eval.util.adjust_intervals(
        found.intervals, list(found.labels), true.times[0], true.times[-1], NO_CHORD, NO_CHORD
    )
    spans, due, estimated = mir_eval.util.merge_labeled_intervals(true.intervals, list(true.labels), intervals, labels)
    lengths = mir_eval.util.intervals_to_durations(spans)
    measures = {"majmin": mir_eval.chord.majmin, "chord_root": mir_eval.chord.root}
    right = {name: of(due, estimated) for name, of in measures.items()}  # −1 where the true chord is not compared
    return {
        name: float(mir_eval.chord.weighted_accuracy(one, lengths)) for name, one in right.items() if (one >= 0).any()
    }


def _melody_scores(true: Melody, found: Melody) -> dict[str, float]:
    import mir_eval

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above: of a melody without a voice
        scores = mir_eval.melody.evaluate(true.times, true.f0, found.times, found.f0)
    values = {"melody": float(scores["Overall Accuracy"])}
    return values | ({"melody_pitch": float(scores["Raw Pitch Accuracy"])} if true.voiced.any() else {})


def _key_score(true: Key, found: Key) -> float:
    import mir_eval

    return float(mir_eval.key.weighted_score(*(f"{TONIC_NAMES[key.tonic]} {key.mode}" for key in (true, found))))


def _times(times: Times | None) -> npt.NDArray[np.float64]:
    return np.zeros(0) if times is None else times


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    collections : tuple of str
        "rendered", or collections that have labels; default: all.
    songs : int
        Rendered songs.
    excerpt_s : float
        Longest piece that is analysed, seconds.
    seed : int
    """

    collections: tuple[str, ...] = attrs.field(factory=lambda: (RENDERED, *labelled()), converter=names)
    songs: int = attrs.field(default=12, validator=whole(1))
    excerpt_s: float = attrs.field(default=45.0, converter=finite, validator=attrs.validators.ge(10.0))
    seed: int = 0

    @collections.validator
    def _known(self, attribute: object, value: Sequence[str]) -> None:
        require_known(value, (RENDERED, *labelled()))


def _metrics() -> Iterator[Metric]:
    for name, (title, explained) in FIELDS.items():
        yield Metric(
            name=name, title=title, unit="%", better="higher", resolution=1, weight=WEIGHTS.get(name, 1.0),
            explained=f"{explained[:1].upper()}{explained[1:]}; mean over all music with such labels, except the "
            f"rendered songs. {CIRCULAR}",
        )  # fmt: skip
    for name, (title, explained) in FIELDS.items():
        sound = ""
        if NEEDS[name] == "melody":
            sound = f" Heard: the voice, the accompaniment {-RESIDUE_DB:g} dB below it."
        yield Metric(
            name=f"rendered_{name}", title=f"{title}, rendered", unit="%", better="higher", resolution=1,
            weight=WEIGHTS.get(f"rendered_{name}", 0.0),
            explained=f"{explained[:1].upper()}{explained[1:]}; rendered songs, whose labels are exact.{sound}",
        )  # fmt: skip
    yield Metric(
        name=GRID, title="karaoke grid", unit="%", better="higher", resolution=1, weight=0,
        explained="Tempi within 4 % of UltraStar’s grid or of two, three or four times as much or as little. Such a "
        "grid is laid under syllables and is no tempo by itself: it is counted apart, and decides nothing.",
    )  # fmt: skip
    yield from cost_metrics(resolution_s=1)


class AnalyzerTask(Task):
    """Keys, tempi, beats, chords and melodies against labels."""

    kind: ClassVar[str] = "analyzer"
    summary: ClassVar[str] = "key, tempo, beats, chords and melody against labels, as mir_eval measures them"
    version: ClassVar[int] = 4
    metrics: ClassVar[Sequence[Metric]] = tuple(_metrics())

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return every labelled piece; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        inputs = []
        for name in asked.collections:
            if name == RENDERED:
                inputs += rendered_inputs(asked.songs, asked.seed, asked.excerpt_s)
                continue
            card = labelled()[name]
            found = [_input(labels, asked) for labels in labels_of(card, data)]
            missing = f"no {name} in --data: {card.where}"
            inputs += found or [Input(name=name, measure=name, missing=missing)]
        return inputs

    def warm_up(self, component: Component) -> None:
        """Analyse ten seconds, so that networks are loaded."""
        cast("Analyzer", component).analyze(signals.mix(rendered.render(rendered.compose(0, 0))).excerpt(0.0, 10.0))

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return every metric for which there are labels, and the CPU time for a minute.

        A melody is looked for in the voice, as a separator may leave it, because it is the melody of one voice.
        """
        analyzer, told = cast("Analyzer", component), given.parameters
        grid = voice = None
        if given.measure == RENDERED:
            song = rendered.compose(told["seed"], told["number"])
            stems = rendered.render(song)
            mix, true, voice = signals.mix(stems), song.everything, rendered.voice_left(stems, RESIDUE_DB)
        else:
            mix, grid, true = _mix(given.files), told["grid"], true_analysis(told)
        whole = true
        mix, true = excerpt(mix, whole, told["excerpt_s"])
        with stopwatch() as elapsed:
            found = analyzer.analyze(mix)
        if voice is not None and "melody" in analyzer.info.provides:
            alone, _ = excerpt(voice, whole, told["excerpt_s"])
            found = attrs.evolve(found, melody=analyzer.analyze(alone).melody)
        values = compared(found, true)
        if grid is not None:
            values[GRID] = float(found.tempo is not None and tempo_is_right(found.tempo, grid, GRID_FACTORS))
        kept = {name: value for name, value in values.items() if NEEDS[name] in analyzer.info.provides}
        return {**kept, **minute_cost(elapsed.cpu_s, mix)}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return the metrics of one analyzer; a failed row makes all metrics of its side None."""
        metrics: dict[str, float | None] = {metric.name: None for metric in self.metrics}
        for prefix, chosen in split_rows(rows).items():
            for name in (*FIELDS, GRID):
                values = values_of(chosen, name)
                if values:
                    metrics[prefix + name] = 100 * statistics.fmean(values)
        return metrics | cost_of(rows)

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Return bootstrap intervals of the means, over pieces."""
        return intervals_of(rows, (*FIELDS, GRID), lambda values: ratio(values, np.ones(len(values)), SHARE), unit=100)

    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return the metrics on labelled and on rendered music."""
        charts = [
            metric_chart(
                competitors,
                {FIELDS[name][0]: prefix + name for name in ("key", "tempo_1", "beat_f", "downbeat_f")},
                title=title,
                caption="Mean of each metric, with its 95 % interval over pieces. Right is better; no mark: not "
                "provided.",
                x_label="%",
            )
            for prefix, title in (("", "Labelled music"), ("rendered_", "Rendered songs"))
        ]
        return list(filter(has_values, charts))


def _input(labels: Labels, asked: Settings) -> Input:
    fault = labels.fault()
    # Labels that cannot be true are left out, because some of them, such as NaN, cannot be written into a result.
    known = Labels(collection=labels.collection, name=labels.name, files=labels.files) if fault else labels
    return Input(
        name=f"{labels.collection}: {labels.name}",
        measure=labels.collection,
        parameters={**known.to_dict(), "excerpt_s": asked.excerpt_s},
        files=labels.files,
        songs=(labels.name,),
        missing=fault,
    )


def _mix(files: Sequence[Path]) -> Audio:
    parts = load_all(files)
    frames, channels = min(part.frames for part in parts), max(part.channels for part in parts)
    total = np.zeros((channels, frames), np.float32)
    for part in parts:
        total += part.samples[:, :frames]
    return Audio(total, SAMPLE_RATE)


def excerpt(mix: Audio, true: Analysis, longest_s: float) -> tuple[Audio, Analysis]:
    """Return the middle of a piece, at most ``longest_s`` seconds, and its labels on the time line of this excerpt."""
    if mix.duration <= longest_s:
        return mix, true
    start = (mix.duration - longest_s) / 2

    def moved(times: Times | None) -> Times | None:
        return None if times is None else times[(times >= start) & (times < start + longest_s)] - start

    cut = true.within(start, start + longest_s)
    return mix.excerpt(start, longest_s), attrs.evolve(cut, beats=moved(true.beats), downbeats=moved(true.downbeats))
