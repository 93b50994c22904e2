"""The task "separators": stems against true ones, as museval measures them.

Each input is an excerpt of a song whose true stems are known, from where all of them sound; its mix is their sum. The
three roles of every separator are measured, and the four stems of some: SDR of BSSEval v4 (museval; Stöter, Liutkus and
Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018; median over seconds), SDR of the whole excerpt, and
scale-invariant SDR (Le Roux et al., "SDR – half-baked or well done?", ICASSP 2019). Leakage into a role is measured in
another excerpt of the song, where the true role is silent and the mix is not.

"stempeg" is an excerpt of six seconds of a test song of MUSDB18, which comes with the package of that name: true stems
for users without recordings.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np

from mashkit.audio.files import resample
from mashkit.bench import rendered
from mashkit.bench.charts import Chart, has_values
from mashkit.bench.comparisons import Comparison, every_two
from mashkit.bench.multitracks import find_multitracks, stem_files
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
from mashkit.bench.registered import CollectionMissing, folder_of, with_stems
from mashkit.bench.separator_metrics import (
    FEWEST_SILENT,
    SILENCE,
    bss_sdr,
    decibels_of,
    leakage,
    power,
    sdr,
    si_sdr,
    silent,
)
from mashkit.bench.tables import finite, from_table, names
from mashkit.bench.tasks import Cell, Input, InputLost, Literature, Pick, Table, Task, metric_chart, stopwatch
from mashkit.catalog.ingest import SAMPLE_RATE
from mashkit.components import Component, whole
from mashkit.hookspecs import CollectionInfo
from mashkit.interfaces import Separator
from mashkit.statistics import PairedTest, median, paired
from mashkit.synthetic import signals
from mashkit.types import ROLE_STEMS, Audio, Role, Samples, StemSet

FOUR = ("vocals", "drums", "bass", "other")
STEMPEG = "stempeg"
STEMPEG_STEMS = ("mixture", "drums", "bass", "other", "vocals")
"""Order of the streams in a stem file (Native Instruments' Stems, as MUSDB18 uses it)."""
HEARD_SONGS = 8
"""Number of songs that a page with sound plays; with four competitors they take about 4 MB."""
HEARD_S = 6.0
"""Seconds of each song that are played."""
MIX, TRUTH = "mix", "truth"


def unexplained(stems: StemSet, mix: Audio) -> float:
    """Return the energy of the difference between the mix and the sum of the stems, relative to the mix, dB."""
    rest = mix.samples - np.sum([stem.samples for stem in stems.stems.values()], axis=0, dtype=np.float64)
    return decibels_of(np.sum(rest**2), np.sum(np.square(mix.samples, dtype=np.float64)))


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a suite.

    Parameters
    ----------
    collections : tuple of str
        "rendered", "stempeg", or collections that lie on disk as true stems; default: all.
    songs : int
        Rendered songs.
    excerpt_s : float
        Length of the excerpts, seconds.
    seed : int
    """

    collections: tuple[str, ...] = attrs.field(factory=lambda: _collections(), converter=names)
    songs: int = attrs.field(default=4, validator=whole(1))
    excerpt_s: float = attrs.field(default=12.0, converter=finite, validator=attrs.validators.ge(2.0))
    seed: int = 0

    @collections.validator
    def _known(self, attribute: object, value: Sequence[str]) -> None:
        require_known(value, _collections())


def _collections() -> tuple[str, ...]:
    return (RENDERED, STEMPEG, *with_stems())


def _metrics() -> Iterator[Metric]:
    def decibels(name: str, title: str, weight: float, explained: str) -> Metric:
        return Metric(
            name=name, title=title, unit="dB", better="higher", resolution=0.2, weight=weight, explained=explained
        )

    for role in Role:
        yield decibels(f"{role}_bss", f"{role}, SDR", 1.0, f"BSSEval v4 of the {role} role: median over seconds, and "
                       "of those over real songs.")  # fmt: skip
        yield decibels(f"{role}_si", f"{role}, SI-SDR", 0.5, f"Scale-invariant SDR of the {role} role’s excerpt, "
                       "median over real songs.")  # fmt: skip
        yield decibels(f"{role}_sdr", f"{role}, whole", 0.0, f"SDR of the {role} role’s whole excerpt, median over "
                       "real songs.")  # fmt: skip
    for role in Role:
        yield Metric(
            name=f"{role}_leak", title=f"{role}, leakage", unit="dB", better="lower", resolution=0.5, weight=0.0,
            explained=f"Energy of the {role} role where the truth is silent, relative to the mix’s there, in the "
            "part of the song that has most of it; median over real songs that have such a part.",
        )  # fmt: skip
    yield Metric(
        name="rest", title="mix − stems", unit="dB", better="lower", resolution=1, weight=0.0, digits=0,
        explained="Energy of what the stems do not sum to, relative to the mix’s, median over real songs.",
    )  # fmt: skip
    for name in FOUR:
        yield decibels(f"{name}_bss", f"{name}, SDR", 0.0, f"BSSEval v4 of the stem {name}, of who separates four.")
    for role in Role:
        yield decibels(f"rendered_{role}_bss", f"{role}, rendered", 0.0, f"BSSEval v4 of the {role} role of rendered "
                       "songs, which are not what separators were made for.")  # fmt: skip
    yield from cost_metrics(resolution_s=2)


class SeparatorTask(Task):
    """Separated stems against true ones."""

    kind: ClassVar[str] = "separator"
    summary: ClassVar[str] = "stems against true ones: BSSEval v4 (museval), SDR, SI-SDR, speed and memory"
    version: ClassVar[int] = 4
    picks_heading: ClassVar[tuple[str, str]] = (
        "What they made of it",
        "The true roles of the songs on which competitors differ most, and what each found in the mix; one channel.",
    )
    metrics: ClassVar[Sequence[Metric]] = tuple(_metrics())
    literature: ClassVar[Literature | None] = Literature(
        title="MUSDB18 test set, SDR in dB (BSSEval v4, median of medians)",
        source="Hennequin, Khlif, Voituret and Moussallam: Spleeter, Journal of Open Source Software 5(50), 2020",
        heads=("system", "vocals", "bass", "drums", "other"),
        rows=(
            ("Spleeter, masks", "6.55", "5.10", "5.93", "4.24"),
            ("Spleeter, Wiener filter", "6.86", "5.51", "6.71", "4.55"),
            ("Open-Unmix", "6.32", "5.23", "5.73", "4.02"),
        ),
    )

    def inputs(self, settings: Mapping[str, Any], data: Path | None) -> list[Input]:
        """Return every song with true stems; ``settings`` are those of :class:`Settings`."""
        asked = from_table(Settings, settings, "settings")
        inputs = []
        for name in asked.collections:
            if name == RENDERED:
                inputs += rendered_inputs(asked.songs, asked.seed, asked.excerpt_s)
                continue
            if name == STEMPEG:
                inputs.append(_stempeg_input(asked.excerpt_s))
                continue
            card = with_stems()[name]
            songs = _songs_of(card, data)
            inputs += [
                Input(
                    name=f"{name}: {song.name}", measure=name, parameters={"excerpt_s": asked.excerpt_s},
                    files=list(stem_files(song).values()), songs=(song.name,),
                )
                for song in songs
            ]  # fmt: skip
            if not songs:
                inputs.append(Input(name=name, measure=name, missing=f"no {card.folder} in --data: {card.where}"))
        return inputs

    def warm_up(self, component: Component) -> None:
        """Separate five seconds, so that networks are loaded."""
        stems = excerpt_of(rendered.render(rendered.compose(0, 0)), 5.0)
        cast("Separator", component).separate(signals.mix(stems))

    def measure(self, component: Component, given: Input) -> dict[str, float]:
        """Return every metric of every role and stem, and the CPU time for a minute."""
        separator = cast("Separator", component)
        song, length_s = true_stems(given), given.parameters["excerpt_s"]
        start = excerpt_start(song, length_s)
        true = cut_stems(song, start, length_s)
        mix = signals.mix(true)
        with stopwatch() as elapsed:
            found = separator.separate(mix)
        roles = [role for role in Role if role in true.roles and role in found.roles]
        sides = [{str(role): stems.role(role) for role in roles} for stems in (true, found)]
        values = distortions(sides[0], sides[1]) | {"rest": unexplained(found, mix)}
        if set(FOUR) <= set(found.stems):
            there = [name for name in FOUR if name in true.stems]
            values |= distortions({name: true.stems[name] for name in there}, dict(found.stems))
        separated = {start: (true, mix, found)}
        for role in roles:
            at = silent_start(song, role, length_s)
            if at is None:
                continue
            if at not in separated:
                part = cut_stems(song, at, length_s)
                separated[at] = part, signals.mix(part), separator.separate(signals.mix(part))
            samples = [one.samples.astype(np.float64) for one in _of_role(separated[at], role)]
            if (leak := leakage(samples[0], samples[1], samples[2], mix.sample_rate)) is not None:
                values[f"{role}_leak"] = leak
        return {**values, **minute_cost(elapsed.cpu_s, mix)}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Return medians over songs; a failed row makes all metrics of its side None."""
        metrics: dict[str, float | None] = {metric.name: None for metric in self.metrics}
        for prefix, chosen in split_rows(rows).items():
            for name in metrics:
                if prefix and not name.startswith(prefix):
                    continue
                values = values_of(chosen, name.removeprefix(prefix))
                if values:
                    metrics[name] = statistics.median(values)
        return metrics | cost_of(rows)

    def intervals(self, rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
        """Return bootstrap intervals of the medians, over songs."""
        names = {metric.name for metric in self.metrics}
        fields = [metric.name for metric in self.metrics if metric.unit == "dB"]
        return {name: ends for name, ends in intervals_of(rows, fields, median).items() if name in names}

    def compare(self, rows: Mapping[str, Sequence[Row]]) -> list[Comparison]:
        """Return paired tests of every two separators by the SDR of each role, on real songs both are judged by."""
        real = {label: split_rows(own).get("", []) for label, own in rows.items()}
        found: list[Comparison] = []
        for role in Role:
            field = f"{role}_bss"
            known = {
                label: {row.input: row.values[field] for row in own if field in row.values}
                for label, own in real.items()
            }
            found += every_two(field, rows, functools.partial(_medians_differ, known))
        return found

    def auditions(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Pick]]:
        """Return, by song, picks of the mix, and of each role the truth and every competitor's estimate."""
        measured: dict[str, dict[str, Row]] = {}
        for label, own in rows.items():
            for row in own:
                if row.ok:
                    measured.setdefault(row.input, {})[label] = row
        found = {}
        for song in sorted(measured, key=lambda song: -_spread(measured[song].values()))[:HEARD_SONGS]:
            picks = [Pick(group=MIX, input=song, said=MIX, part=MIX)]
            for role in Role:
                picks.append(Pick(group=role, input=song, said=TRUTH, part=role))
                picks += [
                    Pick(group=role, input=song, said=f"{label}: {_said(row, role)}", label=label, part=role)
                    for label, row in measured[song].items()
                    if {f"{role}_bss", f"{role}_leak"} & set(row.values)
                ]
            found[song] = picks
        return found

    def parts(self, component: Component | None, given: Input, longest_s: float) -> Mapping[str, Audio]:
        """Return the beginnings of the roles that a separator finds; without one, of the true roles and the mix."""
        true = excerpt_of(true_stems(given), given.parameters["excerpt_s"])
        mix = signals.mix(true)
        stems = true if component is None else cast("Separator", component).separate(mix)
        sounds = {str(role): stems.role(role) for role in Role if role in stems.roles}
        if component is None:
            sounds[MIX] = mix
        length_s = min(longest_s, HEARD_S, mix.duration)
        return {name: sound.excerpt(0.0, length_s) for name, sound in sounds.items()}

    def tables(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Table]:
        """Return, for each role, a table of the SDR and the leakage of every song."""
        labels = [one.label for one in competitors]
        of = {(row.input, row.label): row for row in rows if row.label in labels}
        songs = list(dict.fromkeys(row.input for row in of.values() if row.ok))
        return [
            Table(
                title=f"{str(role).capitalize()}, song by song",
                caption="SDR (BSSEval v4), dB. The second number is the leakage, dB, of songs where the true role is "
                "silent somewhere. In brackets: the competitor was trained on this song.",
                heads=("song", *labels),
                rows=tuple((song, tuple(_cell(of.get((song, label)), role) for label in labels)) for song in songs),
            )
            for role in Role
            if songs
        ]

    def charts(self, competitors: Sequence[Entry], rows: Sequence[Row]) -> list[Chart]:
        """Return the SDR of the roles, of real and of rendered songs."""
        charts = [
            metric_chart(
                competitors,
                {str(role): f"{prefix}{role}_bss" for role in Role},
                title=f"{title}: SDR of the roles",
                caption="BSSEval v4, median over seconds and songs, with its 95 % interval over songs. Right is "
                "better.",
                x_label="dB",
            )
            for prefix, title in (("", "Real songs"), ("rendered_", "Rendered songs"))
        ]
        return list(filter(has_values, charts))


def _songs_of(card: CollectionInfo, data: Path | None) -> list[Path]:
    """Return the songs of a collection of true stems; none if it is not here."""
    try:
        return find_multitracks(folder_of(card, data))
    except CollectionMissing:
        return []


def distortions(true: Mapping[str, Audio], found: Mapping[str, Audio]) -> dict[str, float]:
    """Return SDR, SI-SDR and BSSEval's SDR of the signals that are not silent, by name; BSSEval's if it is known."""
    names = [name for name, audio in true.items() if _rms(audio.samples) > SILENCE]
    pairs = [[side[name].samples.astype(np.float64) for name in names] for side in (true, found)]
    values: dict[str, float] = {}
    if not names:
        return values
    bss = bss_sdr(pairs[0], pairs[1], next(iter(true.values())).sample_rate)
    for name, one, other, ratio in zip(names, pairs[0], pairs[1], bss, strict=True):
        values |= {f"{name}_sdr": sdr(one, other), f"{name}_si": si_sdr(one, other)}
        if ratio is not None:
            values[f"{name}_bss"] = ratio
    return values


def _medians_differ(known: Mapping[str, Mapping[str, float]], one: str, other: str) -> PairedTest | None:
    """Return the test of two competitors' medians over the songs that both have."""
    songs = [song for song in known[one] if song in known[other]]
    sides = [median([known[label][song] for song in songs]) for label in (one, other)]
    return paired(sides[0], sides[1]) if songs else None


def _of_role(separated: tuple[StemSet, Audio, StemSet], role: Role) -> tuple[Audio, Audio, Audio]:
    """Return the true role, its estimate, and the mix."""
    true, mix, found = separated
    return true.role(role), found.role(role), mix


def _cell(row: Row | None, role: Role) -> Cell:
    if row is None:
        return Cell(None)
    return Cell(row.values.get(f"{role}_bss"), row.values.get(f"{role}_leak"), counts=not row.trained_on)


def _said(row: Row, role: Role) -> str:
    """Return a competitor's metrics of a role, in words."""
    parts = [
        f"{title} {row.values[name]:.1f} dB"
        for title, name in (("SDR", f"{role}_bss"), ("leakage", f"{role}_leak"))
        if name in row.values
    ]
    return ", ".join([*parts, *(["trained on this song"] if row.trained_on else [])])


def _spread(rows: Iterable[Row]) -> float:
    """Return the largest range of a role's SDR over competitors on a song, dB."""
    values = [values_of(rows, f"{role}_bss") for role in Role]
    return max((max(one) - min(one) for one in values if one), default=0.0)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def true_stems(given: Input) -> StemSet:
    """Return the true stems of an input's whole song."""
    if given.measure == RENDERED:
        return rendered.render(rendered.compose(given.parameters["seed"], given.parameters["number"]))
    if given.measure == STEMPEG:
        return _stempeg_stems(given.files[0])
    parts = dict(zip((path.stem for path in given.files), load_all(given.files), strict=True))
    frames = min(part.frames for part in parts.values())
    return StemSet(
        {
            name: Audio(np.broadcast_to(part.samples[:, :frames], (2, frames)).copy(), SAMPLE_RATE)
            for name, part in parts.items()
        }
    )


def _stempeg_input(excerpt_s: float) -> Input:
    """Return the excerpt that comes with stempeg; it is missing without the package or the program that decodes it."""
    spec = importlib.util.find_spec("stempeg")
    if spec is None or spec.origin is None:
        return Input(name=STEMPEG, measure=STEMPEG, missing="stempeg is not installed (pip install stempeg)")
    if shutil.which("ffmpeg") is None:
        return Input(name=STEMPEG, measure=STEMPEG, missing="ffmpeg is not installed, which decodes stempeg's excerpt")
    found = sorted((Path(spec.origin).parent / "data").glob("*.stem.mp4"))
    if not found:
        return Input(name=STEMPEG, measure=STEMPEG, missing="this version of stempeg comes without its excerpt")
    return Input(
        name=f"{STEMPEG}: {found[0].name.removesuffix('.stem.mp4')}", measure=STEMPEG,
        parameters={"excerpt_s": excerpt_s}, files=found[:1], songs=(found[0].name.removesuffix(".stem.mp4"),),
    )  # fmt: skip


def _stempeg_stems(path: Path) -> StemSet:
    import ffmpeg
    import stempeg

    try:
        # multiprocess=False, because a competitor's process may have no children.
        streams, rate = stempeg.read_stems(str(path), dtype=np.float32, multiprocess=False)
    except (OSError, RuntimeError, Warning, ffmpeg.Error) as error:
        raise InputLost(f"{path.name} cannot be decoded: {error}", "pip install --force-reinstall stempeg") from error
    named = dict(zip(STEMPEG_STEMS, streams, strict=True))
    parts = {name: Audio(np.ascontiguousarray(named[name].T, np.float32), int(rate)) for name in FOUR}
    return StemSet({name: resample(part, SAMPLE_RATE) for name, part in parts.items()})


def excerpt_of(stems: StemSet, length_s: float) -> StemSet:
    """Return the part of that length in which the quietest role is loudest; all of a shorter song.

    The separation of a role cannot be measured where the role is silent.
    """
    return cut_stems(stems, excerpt_start(stems, length_s), length_s)


def excerpt_start(stems: StemSet, length_s: float) -> int:
    """Return the frame at which :func:`excerpt_of` begins."""
    first = next(iter(stems.stems.values()))
    length = round(length_s * first.sample_rate)
    if first.frames <= length:
        return 0
    hop = first.sample_rate
    levels = []
    for role in ROLE_STEMS:
        if role in stems.roles:
            squares = np.square(stems.role(role).samples, dtype=np.float64).mean(axis=0)
            summed = np.concatenate([[0.0], np.cumsum(squares)])
            starts = np.arange(0, first.frames - length + 1, hop)
            whole = summed[starts + length] - summed[starts]
            levels.append(whole / max(float(whole.max()), 1e-30))
    return int(np.argmax(np.min(levels, axis=0))) * hop


def silent_start(stems: StemSet, role: Role, length_s: float) -> int | None:
    """Return the first frame of the excerpt of that length in which the role is silent longest while the mix sounds.

    The frame is 0 for a shorter song. It is None if less than half a second is silent.
    """
    first = next(iter(stems.stems.values()))
    powers = [power(one.samples, first.sample_rate) for one in (stems.role(role), signals.mix(stems))]
    told = np.concatenate([[0], np.cumsum(silent(powers[0], powers[1]))])
    length = round(10 * length_s)
    starts = np.arange(0, max(1, len(told) - length), 10)
    counts = told[np.minimum(starts + length, len(told) - 1)] - told[starts]
    best = int(np.argmax(counts))
    # A piece of 0.1 s is a tenth of the rate, rounded down: the same as in power().
    return int(starts[best]) * (first.sample_rate // 10) if counts[best] >= FEWEST_SILENT else None


def cut_stems(stems: StemSet, start: int, length_s: float) -> StemSet:
    """Return the part of that length that begins at a frame; the stems themselves if the part is all of them."""
    first = next(iter(stems.stems.values()))
    length = round(length_s * first.sample_rate)
    if start == 0 and first.frames <= length:
        return stems
    return StemSet(
        {
            name: Audio(part.samples[:, start : start + length].copy(), part.sample_rate)
            for name, part in stems.stems.items()
        }
    )
