"""The task "stretchers": errors of length, time, pitch, attacks, sound and stereo image, and speed.

Conventions: an input's ``parameters`` hold a ``case``: speed and semitones. Audio is 44.1 kHz; "late" is positive.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np

from mashkit.audio.files import AUDIO_SUFFIXES, load, resample
from mashkit.bench import sounds
from mashkit.bench.charts import Chart, Point, RowChart, ScatterChart
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row, by_label, collect
from mashkit.bench.registered import CollectionMissing, collections, folder_of
from mashkit.bench.sounds import Case
from mashkit.bench.tables import finite, finite_numbers, from_table, names, positive
from mashkit.bench.tasks import Input, NotProvided, Task, stopwatch
from mashkit.components import Component
from mashkit.errors import ContractViolation
from mashkit.features.spectral import onset_strength, spectrogram
from mashkit.interfaces import Stretcher
from mashkit.synthetic import signals
from mashkit.types import Audio
from mashkit.types.timemap import TimeMap

MINUTE_S = 60.0
TEMPO = 120.0
TONES_HZ = (110.0, 220.0, 440.0, 880.0, 3000.0)
TONE_S = 4.0
REPEATS = 3
"""Number of measurements of the cost; the median counts."""

METRICS = (
    Metric(
        name="inexact_lengths", title="wrong lengths", unit="of all", limit=0, resolution=1, digits=0, weight=0,
        explained="How many stretches came out a frame or more longer or shorter than due.",
    ),
    Metric(
        name="click_ms", title="click error", unit="ms", limit=10, resolution=0.5, weight=2,
        explained="Farthest that any click of a minute lies from where it should, over all steady speeds and shifts.",
    ),
    Metric(
        name="click_median_ms", title="click error, median", unit="ms", resolution=0.5, weight=0, digits=2,
        explained="The same, but the median click of each case, and of those the worst.",
    ),
    Metric(
        name="map_click_ms", title="click error along a map", unit="ms", resolution=0.5, weight=2,
        explained="Farthest click when the tempo swings by 3 % and a time map steadies it; empty if it follows none.",
    ),
    Metric(
        name="pitch_cents", title="pitch error", unit="cents", limit=5, resolution=0.5, weight=2, digits=2,
        explained="Largest error of a pure tone of 110 Hz to 3 kHz, looked for within a semitone, 100 cents.",
    ),
    Metric(
        name="pre_echo_db", title="pre-echo", unit="dB", resolution=1, weight=2,
        explained="Energy in the 20 ms before an attack relative to the 20 ms after, clicks and kicks.",
    ),
    Metric(
        name="attack_ms", title="attack lengthened", unit="ms", resolution=0.2, weight=2, digits=2,
        explained="How much longer an attack takes from 10 to 90 % of its peak than in the original.",
    ),
    Metric(
        name="truth_db", title="distance from truth", unit="dB", resolution=0.1, weight=3, digits=2,
        explained="Log-spectral distance from the same chords and voice synthesised at the other speed and pitch.",
    ),
    Metric(
        name="return_db", title="distance after return", unit="dB", resolution=0.1, weight=3, digits=2,
        explained="Log-spectral distance of real stems from themselves after a stretch or shift there and back.",
    ),
    Metric(
        name="return_onsets", title="onsets after return", unit="r", better="higher", resolution=0.005, weight=2,
        digits=3, explained="Correlation of the onset strength of those stems before and after.",
    ),
    Metric(
        name="leak_db", title="stereo leak", unit="dB", resolution=3, weight=1,
        explained="What of a sound on one side is heard on the other; nothing below −100 dB is told apart.",
    ),
    Metric(
        name="image_error", title="stereo correlation error", unit="r", resolution=0.02, weight=1, digits=3,
        explained="How much the correlation of two channels 60° apart changes: a stable image keeps its 0.5.",
    ),
    Metric(
        name="realtime", title="real-time factor", unit="×", better="higher", limit=30, resolution=2, weight=2,
        explained="Seconds of stereo stretched and shifted a second of one core, programs it runs included. A mashup "
        "of 30 s has two such layers, and is to render within two seconds.",
    ),
    Metric(
        name="memory_mb", title="memory", unit="MB", resolution=20, weight=0, digits=0,
        explained="Most memory of the whole process while it stretches 30 s of stereo; programs it runs not included.",
    ),
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    speeds, shifts : list of float
        Speeds, > 0, and shifts in semitones, each applied alone; at least one of each.
    songs, stems : tuple of str
        Recordings to stretch there and back: ``<data>/multitracks/<song>/<stem>.*``.
    excerpt_s : float
        Length of the loudest part of each recording that is used, seconds.
    return_speed, return_shift : float
        Speed and shift of the stretch, before the inverse stretch.
    seed : int
        Seed of noise and of the phases of partials.
    """

    speeds: list[float] = attrs.field(converter=finite_numbers, validator=positive)
    shifts: list[float] = attrs.field(converter=finite_numbers)
    songs: tuple[str, ...] = attrs.field(default=(), converter=names)
    stems: tuple[str, ...] = attrs.field(default=(), converter=names)
    excerpt_s: float = attrs.field(default=20.0, converter=finite, validator=positive)
    return_speed: float = attrs.field(default=0.9, converter=finite, validator=positive)
    return_shift: float = attrs.field(default=2.0, converter=finite)
    seed: int = 0


class StretcherTask(Task):
    """Errors of stretchers on sounds whose truth is known, and on real stems stretched there and back."""

    kind: ClassVar[str] = "stretcher"
    summary: ClassVar[str] = "exactness, pitch, attacks, sound, stereo image and speed of stretchers"
    version: ClassVar[int] = 1
    metrics: ClassVar[Sequence[Metric]] = METRICS

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return the inputs; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        speeds, shifts, seed = asked.speeds, asked.shifts, asked.seed
        cases = [Case(speed, 0.0) for speed in speeds] + [Case(1.0, shift) for shift in shifts]
        found = [Input(name="lengths", measure="lengths", parameters={"speeds": speeds, "shifts": shifts})]
        found += [_input("clicks", case) for case in cases]
        found += [_input("clicks on a map", Case(1.0, shift)) for shift in (0.0, *shifts)]
        found += [_input("pitch", case) for case in cases]
        found += [_input(f"attacks of {sound}", case, sound=sound) for case in cases for sound in sounds.HITS]
        found += [
            _input(f"{sound} against truth", case, sound=sound, seed=seed) for case in cases for sound in sounds.TRUTHS
        ]
        found += [_input(f"stereo {sound}", case, sound=sound, seed=seed) for case in cases[:1] + cases[-1:]
                  for sound in ("panned", "wide")]  # fmt: skip
        found += _stems(asked, data)
        found += [_input("cost", Case(0.93, -2.0), alone=True, seed=seed)]
        return found

    def warm_up(self, component: Component) -> None:
        """Stretch and shift half a second of noise."""
        cast("Stretcher", component).stretch(signals.noise(0.5), speed=0.95, semitones=1.0)

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return the raw numbers of the measure the input names."""
        return _MEASURES[given.measure](cast("Stretcher", component), given.parameters, given.files)

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return the metrics of one stretcher."""

        def over(reduce: Callable[[list[float]], float], field: str, *measures: str) -> float | None:
            values = collect(rows, field, *measures)
            return None if values is None else reduce(values)

        mean = statistics.fmean
        return {
            "inexact_lengths": over(max, "inexact", "lengths"),
            "click_ms": over(max, "max_ms", "clicks"),
            "click_median_ms": over(max, "median_ms", "clicks"),
            "map_click_ms": over(max, "max_ms", "clicks on a map"),
            "pitch_cents": over(max, "max_cents", "pitch"),
            "pre_echo_db": over(mean, "pre_echo_db", *_named("attacks of")),
            "attack_ms": over(mean, "attack_ms", *_named("attacks of")),
            "truth_db": over(mean, "distance_db", *(f"{sound} against truth" for sound in sounds.TRUTHS)),
            "return_db": over(mean, "distance_db", "there and back"),
            "return_onsets": over(mean, "onset_correlation", "there and back"),
            "leak_db": over(max, "leak_db", "stereo panned"),
            "image_error": over(max, "correlation_error", "stereo wide"),
            "realtime": over(min, "realtime", "cost"),
            "memory_mb": next((row.peak_memory_mb for row in rows if row.measure == "cost" and row.ok), None),
        }

    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return the charts of timing, attacks, and sound against speed."""
        labels = [one.label for one in competitors]
        of = by_label(rows, labels)
        clicks = {
            name.partition(", ")[2]: [_value(of[label], name, "max_ms") for label in labels]
            for name in dict.fromkeys(row.input for row in rows if row.measure == "clicks")
        }

        def means(measure: str, field: str) -> list[float | None]:
            found = [collect(of[label], field, measure) for label in labels]
            return [None if one is None else statistics.fmean(one) for one in found]

        return [
            RowChart(
                title="Where clicks land after a minute",
                caption="Farthest of 118 clicks from its place, by speed and by shift. Left is better.",
                x_label="ms (log)",
                labels=labels,
                # A frame is 0.02 ms: smaller errors cannot be measured, and the axis has no zero.
                series={name: [max(v, 0.02) if v is not None else None for v in vs] for name, vs in clicks.items()},
                limit=next(metric.limit for metric in METRICS if metric.name == "click_ms"),
                log=True,
            ),
            RowChart(
                title="How much attacks are smeared",
                caption="Pre-echo of clicks and of kicks, mean over all speeds and shifts. Left is better: −30 dB is "
                "a thousandth of the energy.",
                x_label="dB",
                labels=labels,
                series={f"{sound}s": means(f"attacks of {sound}s", "pre_echo_db") for sound in ("click", "kick")},
            ),
            RowChart(
                title="Distance from the truth, and after the return",
                caption="Log-spectral distance: of chords and a voice from the same synthesised at that speed and "
                "pitch; of real stems from themselves after going there and back. Left is better.",
                x_label="dB",
                labels=labels,
                series={
                    "chords": means("chords against truth", "distance_db"),
                    "voice": means("voice against truth", "distance_db"),
                    "real stems": [one.metrics["return_db"] for one in competitors],
                },
            ),
            ScatterChart(
                title="Sound against speed",
                caption="Distance after the return (down is better) against the real-time factor (right is better). "
                "The numbers are the ranks in the table.",
                x_label="real-time factor (log)",
                y_label="distance after return, dB",
                points=[
                    Point(str(one.rank), one.component, realtime, distance)
                    for one in competitors
                    if (realtime := one.metrics["realtime"]) is not None
                    and (distance := one.metrics["return_db"]) is not None
                ],
                log_x=True,
            ),
        ]  # fmt: skip


def _named(prefix: str) -> list[str]:
    return [f"{prefix} {sound}" for sound in sounds.HITS]


def _input(measure: str, case: Case, *, alone: bool = False, **parameters: Any) -> Input:
    return Input(
        name=f"{measure}, {case}",
        measure=measure,
        parameters={"speed": case.speed, "semitones": case.semitones, **parameters},
        alone=alone,
    )


def _stems(asked: Settings, data: Path | None) -> list[Input]:
    """Return real stems, each to be stretched and to be shifted there and back."""
    found = []
    folder, absent = None, ""
    try:
        folder = folder_of(collections()["multitracks"], data)
    except CollectionMissing as error:
        absent = str(error)
    for song in asked.songs:
        for stem in asked.stems:
            paths = sorted((folder / song).glob(f"{stem}.*")) if folder is not None else []
            files = [path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES][:1]
            missing = "" if files else absent or f"no {stem} stem of {song} in the collection of multitracks"
            found += [
                Input(
                    name=f"{song}, {stem}: {case} and back",
                    measure="there and back",
                    parameters={
                        "speed": case.speed, "semitones": case.semitones, "excerpt_s": asked.excerpt_s
                    },
                    files=files,
                    missing=missing,
                )
                for case in (Case(asked.return_speed, 0.0), Case(1.0, asked.return_shift))
            ]  # fmt: skip
    return found


# --------------------------------------------------------------------------------------------------------- measures
Parameters = Mapping[str, Any]
Files = Sequence[Path]


def _case(parameters: Parameters) -> Case:
    return Case(parameters["speed"], parameters["semitones"])


def _stretched(stretcher: Stretcher, audio: Audio, case: Case) -> Audio:
    return stretcher.stretch(audio, speed=case.speed, semitones=case.semitones)


def measure_lengths(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Count the stretches that the interface's check refuses, at every speed, shift and some odd lengths."""
    audio = signals.noise(1.0)
    cases = [(speed, shift, frames) for speed in parameters["speeds"] for shift in (0.0, *parameters["shifts"])
             for frames in (1, 100, 12_345, 44_100)]  # fmt: skip
    inexact = 0
    for speed, shift, frames in cases:
        try:
            stretcher.stretch(Audio(audio.samples[:, :frames], audio.sample_rate), speed=speed, semitones=shift)
        except ContractViolation:
            inexact += 1
    return {"inexact": float(inexact), "cases": float(len(cases))}


def click_errors(stretcher: Stretcher, case: Case, time_map: TimeMap | None = None) -> dict[str, float]:
    """Return how far a minute's clicks lie from their places, ms: largest and median distance, and the mean lateness.

    The positions of clicks are measured in the same way before and after, so that the burst's shape cancels out.
    """
    if time_map is None:
        times = signals.click_times(MINUTE_S, TEMPO)
        due = times / case.speed
    else:
        times, _ = signals.drift(MINUTE_S, tempo=TEMPO)
        due = time_map.to_target(times)
    clicks = signals.click_train(times, MINUTE_S)
    if time_map is None:
        stretched = _stretched(stretcher, clicks, case)
    else:
        stretched = stretcher.stretch(clicks, time_map=time_map, semitones=case.semitones)
    own = float(np.median(signals.click_positions(clicks, times) - times))
    errors = 1000 * (signals.click_positions(stretched, due) - due - own)
    size = np.abs(errors)
    return {"max_ms": float(size.max()), "median_ms": float(np.median(size)), "mean_late_ms": float(errors.mean())}


def measure_clicks(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Measure :func:`click_errors` at one speed and shift."""
    return click_errors(stretcher, _case(parameters))


def measure_map_clicks(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Measure :func:`click_errors` along a map that steadies a tempo swinging by 3 %."""
    if not stretcher.follows_time_maps:
        raise NotProvided(f"stretcher {stretcher.info.name!r} follows no time map")
    return click_errors(stretcher, _case(parameters), signals.drift(MINUTE_S, tempo=TEMPO)[1])


def measure_pitch(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return the error of each tone, cents, signed, and the largest."""
    case = _case(parameters)
    found = {}
    for frequency in TONES_HZ:
        due = frequency * case.pitch
        found_hz = sounds.frequency_of(_stretched(stretcher, signals.tone(frequency, TONE_S), case), near=due)
        found[f"cents_{frequency:g}"] = 1200 * math.log2(found_hz / due)
    return {**found, "max_cents": max(map(abs, found.values()))}


def measure_attacks(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return the median pre-echo, dB, and by how much attacks are longer than the original's, ms.

    The lateness of all sounds is another measure and is removed here. It is measured on clicks, because they are sharp,
    while the strongest swing of a kick is not a sign of its beginning.
    """
    case, sound = _case(parameters), parameters["sound"]
    times = np.arange(0.75, 11.0, 0.5)
    due = times / case.speed
    clicks = _stretched(stretcher, sounds.hits("clicks", times, 12.0), case)
    truth = sounds.hits("clicks", due, 12.0 / case.speed, case)
    late = float(np.median(signals.click_positions(clicks, due) - signals.click_positions(truth, due)))
    hits = sounds.hits(sound, times, 12.0)
    stretched = clicks if sound == "clicks" else _stretched(stretcher, hits, case)
    longer = np.median(sounds.attack_times(stretched, due + late)) - np.median(sounds.attack_times(hits, times))
    return {
        "pre_echo_db": float(np.median(sounds.pre_echo_db(stretched, due + late))),
        "attack_ms": 1000 * float(longer),
        "late_ms": 1000 * late,
    }


def measure_truth(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return the log-spectral distance of a stretched sound from the one synthesised at that speed and pitch, dB."""
    case = _case(parameters)
    make = sounds.TRUTHS[parameters["sound"]]
    stretched = _stretched(stretcher, make(Case(1.0, 0.0), parameters["seed"]), case)
    return {"distance_db": sounds.log_spectral_distance(make(case, parameters["seed"]), stretched)}


def measure_return(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return log-spectral distance, dB, and correlation of onset strength, of a stem stretched there and back."""
    case = _case(parameters)
    stem = excerpt(files[0], parameters["excerpt_s"])
    back = _stretched(stretcher, _stretched(stretcher, stem, case), Case(1 / case.speed, -case.semitones))
    # The result may be a frame longer or shorter, because both stretches round.
    frames = min(stem.frames, back.frames)
    one, other = (Audio(audio.samples[:, :frames], audio.sample_rate) for audio in (stem, back))
    before, after = (onset_strength(spectrogram(audio)).ravel() for audio in (one, other))
    return {
        "distance_db": sounds.log_spectral_distance(one, other),
        "onset_correlation": float(np.corrcoef(before, after)[0, 1]),
    }


@functools.lru_cache(maxsize=16)
def excerpt(path: Path, seconds: float) -> Audio:
    """Return the loudest ``seconds`` of a recording, to the second, at 44.1 kHz; all of a shorter one."""
    audio = resample(load(path), signals.SAMPLE_RATE)
    length = min(seconds, audio.duration)
    power = np.square(audio.mono(), dtype=np.float64)
    starts = range(int(audio.duration - length) + 1)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    last = [min(round((start + length) * audio.sample_rate), audio.frames) for start in starts]
    energy = [sums[end] - sums[start * audio.sample_rate] for start, end in zip(starts, last, strict=True)]
    return audio.excerpt(float(int(np.argmax(energy))), length)


def measure_panned(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return the energy on the right of a sound that is on the left, dB."""
    stretched = _stretched(stretcher, sounds.panned(parameters["seed"]), _case(parameters))
    left, right = np.mean(np.square(stretched.samples, dtype=np.float64), axis=1)
    return {"leak_db": sounds.decibels(right / left) if left > 0 else math.nan}


def measure_wide(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return the change of the correlation of the channels."""
    wide = sounds.wide(parameters["seed"])
    stretched = _stretched(stretcher, wide, _case(parameters))
    before, after = (float(np.corrcoef(*audio.samples)[0, 1]) for audio in (wide, stretched))
    return {"correlation_error": abs(after - before)}


def measure_cost(stretcher: Stretcher, parameters: Parameters, files: Files) -> dict[str, float]:
    """Return seconds of sound a CPU second, the median of three; in a fresh process, so that its peak memory counts."""
    stems, _ = signals.band(bars=15, tempo=TEMPO, seed=parameters["seed"])
    audio = signals.mix(stems)
    factors = []
    for _ in range(REPEATS):
        with stopwatch() as elapsed:
            _stretched(stretcher, audio, _case(parameters))
        factors.append(audio.duration / elapsed.cpu_s)
    return {"realtime": statistics.median(factors), "seconds": audio.duration}


_MEASURES: Mapping[str, Callable[[Stretcher, Parameters, Files], dict[str, float]]] = {
    "lengths": measure_lengths,
    "clicks": measure_clicks,
    "clicks on a map": measure_map_clicks,
    "pitch": measure_pitch,
    "stereo panned": measure_panned,
    "stereo wide": measure_wide,
    "there and back": measure_return,
    "cost": measure_cost,
    **{f"attacks of {sound}": measure_attacks for sound in sounds.HITS},
    **{f"{sound} against truth": measure_truth for sound in sounds.TRUTHS},
}


def _value(rows: Sequence[Row], name: str, field: str) -> float | None:
    return next((row.values[field] for row in rows if row.input == name and row.ok), None)
