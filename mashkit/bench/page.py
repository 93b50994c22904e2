"""The page, the Markdown table and the files of a benchmark's result."""

from __future__ import annotations

import base64
import collections
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit import pages
from mashkit.atomicfile import write_text
from mashkit.bench.audition import picks_of
from mashkit.bench.charts import Chart, draw
from mashkit.bench.comparisons import Comparison
from mashkit.bench.ranking import Metric
from mashkit.bench.records import Entry, Row, shared_by, shares_most, unequally_missing
from mashkit.bench.results import Result, value_names, write_result
from mashkit.bench.tasks import Cell, Literature, Pick, Table, load_task
from mashkit.components.fence import plugin_code
from mashkit.numbers import number_of
from mashkit.pages import MINUS, NONE, number, sentence, text
from mashkit.pages.exports import one_line
from mashkit.products import OUR_PAGE, require_replaceable_text
from mashkit.statistics import SIGNIFICANT

LONG = 40
"""Number of characters above which a cell of text becomes wide."""
LEADERBOARD = "Leaderboard"
"""Title of the page of :func:`leaderboard`."""
LEADERBOARD_BEGINS = rf"{OUR_PAGE}[\s\S]*<title>{LEADERBOARD}</title>"
"""Regular expression for the beginning of the page of :func:`leaderboard`."""
_BEGINNINGS = {".json": r'\{\s*"format":\s*\d+,\s*"suite"', ".html": OUR_PAGE, ".md": r"# .*\n\n(- |Suite `)"}
"""Suffix → how such a file of a result begins, as a regular expression."""


def publish(result: Result, folder: Path, sounds: Mapping[str, str] | None = None) -> list[Path]:
    """Write ``<suite>.json``, ``<suite>.html``, ``<suite>.md`` and ``<suite>.rows.parquet`` into ``folder``.

    ``sounds`` go into the page only: see :func:`page`.

    Returns
    -------
    list of Path
        The JSON, the page and the table.

    Raises
    ------
    OutputError
        If the folder cannot be written, or one of these names is a file of the user's. Each file is whole or not there.
    MashkitError
        If pyarrow is not installed.
    """
    require_replaceable_files(folder, result.suite.name)
    path = folder / f"{result.suite.name}.json"
    write_result(result, path)
    return [path, *write_pages(result, path, sounds)]


def require_replaceable_files(folder: Path, name: str) -> None:
    """Raise OutputError if a file that :func:`publish` would replace is none of `mashkit bench`.

    Parameters
    ----------
    folder : Path
    name : str
        Of the suite, or of the result's file without its suffix.
    """
    for suffix, beginning in _BEGINNINGS.items():
        require_replaceable_text(folder / f"{name}{suffix}", beginning)


def write_pages(result: Result, path: Path, sounds: Mapping[str, str] | None = None) -> list[Path]:
    """Write the page and the table of a result beside its JSON at ``path``, and return where they are.

    Raises
    ------
    OutputError
        If the folder cannot be written, or a file there is none of `mashkit bench`.
    """
    require_replaceable_files(path.parent, path.stem)
    paths = [path.with_name(f"{path.stem}{suffix}") for suffix in (".html", ".md")]
    write_text(paths[0], page(result, sounds))
    write_text(paths[1], markdown(result))
    return paths


def page(result: Result, sounds: Mapping[str, str] | None = None) -> str:
    """Return a self-contained HTML document that shows a result, without any request.

    Parameters
    ----------
    result : Result
    sounds : mapping of str to str, optional
        The result of :func:`mashkit.bench.audition.sounds`: the page plays the competitors' picks.
    """
    suite, metrics, competitors, rows = result.suite, result.metrics, result.competitors, result.rows
    task = load_task(suite.task)
    with plugin_code(f"task {suite.task!r}: its charts cannot be drawn"):
        charts = [_figure(chart) for chart in task.charts(result.measured, _counted(result))]
    machine, versions = result.machine, result.environment
    measured = sum(row.ok for row in rows)
    main = pages.filled(
        __package__,
        "page.html",
        marks='<span class="bad">Marked</span>: beyond what is a must. <span class="best">Underlined</span>: best of '
        f"its column. {NONE}: not measured or not provided. "
        + text(" ".join([*_small_print(result), *judged_apart(result)])),
        table=_table(result),
        charts="\n".join(charts),
        tables=_tables(task.tables(result.measured, rows)),
        literature=_literature(task.literature),
        comparisons=_comparisons(metrics, result.comparisons, suite.baseline),
        picks=_picks(task.picks_heading, picks_of(task, result), sounds) if sounds else "",
        measured=_measured(metrics),
        rules=text(result.rules),
        where=pages.items(
            [
                f"{text(machine.title)}, {machine.memory_mb / 1000:.0f} GB; "
                f"one thread a competitor, {result.jobs} at a time",
                text(f"Python {versions['python']}, " + _versions(versions["packages"])),
                text(
                    f"suite {suite.name}, seed {suite.seed}, at most {suite.timeout_s:g} s a measurement, "
                    f"settings {suite.sha256[:12]}"
                ),
                "time of loading is apart from that of running; memory is the most the competitor’s process held, "
                "programs it runs not included",
                *_earlier(competitors),
            ]
        ),
        components=_components(competitors),
        counts=text(_counts(rows)),
        problems=_problems(rows),
    )
    summary = text(sentence(f"{suite.summary[:1].upper()}{suite.summary[1:]}"))
    lead = task.lead(result.measured, _counted(result), result.comparisons, suite.baseline)
    facts = text(f"{len(competitors)} competitors, {measured:,} measurements, finished {_day(result)}")
    packed = f'<script type="text/plain" id="packed-rows">{_packed_rows(rows)}</script>\n'
    return pages.document(
        suite.title,
        top=f'<p>{summary}</p>\n{pages.items(map(text, lead)) if lead else ""}<p class="facts">{facts}</p>',
        main=main,
        styles=_styles(),
        scripts=packed + _script(sounds or {}),
        sources="media-src data:",
    )


def _counted(result: Result) -> list[Row]:
    """Return the rows that the result's numbers are of."""
    return [row for own in result.counted.values() for row in own]


def _styles() -> list[str]:
    return [pages.sheet(), pages.resource(__package__, "page.css")]


def _script(sounds: Mapping[str, str]) -> str:
    # Data URLs contain no character that could end a script.
    data = json.dumps(list(sounds.values()))
    return f"<script>\nconst SOUNDS = {data};\n{pages.resource(__package__, 'page.js')}\n</script>"


def _earlier(competitors: Sequence[Entry]) -> list[str]:
    """Return a sentence about the competitors that were measured in an earlier run, if some were."""
    when = [f"{one.label} ({one.measured[:10]})" for one in competitors if one.measured]
    return [text(f"measured in an earlier run, perhaps elsewhere: {', '.join(when)}")] if when else []


def leaderboard(boards: Sequence[tuple[Result, Sequence[Path]]], refused: Mapping[Path, str]) -> str:
    """Return a self-contained HTML document with one table for each of several merged results.

    Parameters
    ----------
    boards : sequence of (result, files)
    refused : mapping of Path to str
        Files that are not results, and the reasons.
    """
    sections = []
    for place, (result, paths) in enumerate(boards, 1):
        names = ", ".join(path.name for path in paths)
        collection = result.suite.settings.get("collection")
        said = f"suite {result.suite.name}" + (f", collection {collection}" if collection else "")
        about = [f"{said}; from {names}.", *judged_apart(result)]
        facts = f'<p class="facts">{text(" ".join(about))}</p>'
        sections.append(pages.section(f"board-{place}", result.suite.title, facts, _table(result)))
    if refused:
        alike: dict[str, list[str]] = {}
        for path, reason in refused.items():
            alike.setdefault(reason, []).append(path.name)
        said = pages.items(f"<b>{text(', '.join(them))}</b>: {text(reason)}" for reason, them in alike.items())
        sections.append(f"<section><h2>Not shown</h2>{said}</section>")
    sections.append(pages.section("ranking", "How the order comes about", f"<p>{text(boards[0][0].rules)}</p>"))
    facts = f"{len(boards)} boards; click a heading to sort by it. {NONE}: not measured or not provided."
    return pages.document(
        LEADERBOARD,
        top=f'<p class="facts">{text(facts)}</p>',
        main="\n".join(sections),
        styles=_styles(),
        scripts=_script({}),
    )


def markdown(result: Result) -> str:
    """Return the table of a result as Markdown, best first."""
    metrics = measured_metrics(result)
    heads = ["", "competitor", "score", *(", ".join(filter(None, (metric.title, metric.unit))) for metric in metrics)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for one in result.competitors:
        if not one.metrics:
            lines.append(f"| {NONE} | {_line(one.label)} | {_line(one.reason)} |{' |' * len(metrics)}")
            continue
        cells = []
        for metric in metrics:
            value = one.metrics[metric.name]
            shown = shown_value(metric, value)
            cells.append(shown if metric.keeps(value) or value is None else f"**{shown}**")
        lines.append(f"| {one.rank} | {_line(one.label)} | {number(one.score, 0)} | {' | '.join(cells)} |")
    made = (
        f"Suite `{result.suite.name}` of `mashkit bench run`, finished {_day(result)}; {result.machine.title}. "
        f"Bold: beyond a must. {NONE}: not measured or not provided."
    )
    task = load_task(result.suite.task)
    lead = task.lead(result.measured, _counted(result), result.comparisons, result.suite.baseline)
    # Title and lead are on one line each, because the next run recognizes its own file by these lines.
    parts = [f"# {one_line(result.suite.title)}", "", *([*(f"- {one_line(one)}" for one in lead), ""] if lead else [])]
    parts += [" ".join([made, *judged_apart(result)]), "", *lines, ""]
    for table in task.tables(result.measured, result.rows):
        parts += [f"## {one_line(table.title)}", "", table.caption, "", f"| {' | '.join(map(_line, table.heads))} |"]
        parts += [f"|{'---|' * len(table.heads)}"]
        for name, row in table.rows:
            numbers = [" / ".join(_shown(cell, table.digits)) for cell in row]
            parts.append(f"| {' | '.join([_line(name), *numbers])} |")
        parts.append("")
    return "\n".join(parts)


def judged_apart(result: Result) -> list[str]:
    """Return sentences about what numbers, rank and score are of, where that is not plain.

    There is one about each competitor that was trained on songs of its inputs, or alone lacked some of them, and one
    where competitors have no score.
    """
    return [*_of_other_inputs(result), *_without_score(result.measured)]


def _without_score(measured: Sequence[Entry]) -> list[str]:
    if all(one.score is not None for one in measured):
        return []
    if len(measured) == 1:
        return [f"There is no score, because it compares competitors, and only {measured[0].label} was measured."]
    return ["There is no score, because no metric that was measured is ranked by."]


def _of_other_inputs(result: Result) -> list[str]:
    found: dict[str, dict[str, None]] = {}
    for row in result.rows:
        found.setdefault(row.label, {}).update(dict.fromkeys(row.trained_on))
    said = [
        f"{label} was trained on {', '.join(songs)}: what it does with these is shown, and it is not judged by them."
        for label, songs in found.items()
        if songs
    ]
    learnt = bool(said)
    labels = [one.label for one in result.measured]
    lost = unequally_missing(row for row in result.rows if row.label in labels)
    for label in labels:
        count = sum(row.label == label and row.input_missing and row.input in lost for row in result.rows)
        if count:
            said.append(f"{label} lacked {number_of(count, 'input')}, which had gone when it was measured.")
    if not said:
        return []
    shared = shared_by(labels, result.rows)
    alike = result.same_inputs and (shared is None or shares_most(shared, result.rows))
    what = "numbers, rank and score" if alike else "rank and score"
    if shared is None:
        which = "song is new to everybody" if learnt else "input was there for everybody"
        return [*said, f"No {which}: {what} are of different songs, and say little."]
    had = "all of them had"
    which = f"nobody was trained on{f' and {had}' if lost else ''}" if learnt else had
    if not alike:
        return [*said, f"Rank and score are of the {'songs' if learnt else 'inputs'} that {which}."]
    count = len({row.input for own in shared.values() for row in own if row.ok})
    there = len({row.input for row in result.rows if row.ok})
    return [*said, f"{what.capitalize()} are of the {count} of {there} inputs that {which}."]


def _small_print(result: Result) -> list[str]:
    """Return what the numbers in small print are that the headings do not say."""
    said = []
    if any(one.draws for one in result.competitors):
        said.append(
            "Draws: the lowest and the highest value if each draw of the plans is taken alone. The large number is of "
            "all draws together: a mashup that came in several draws counts once, and mashups of different draws are "
            "compared, so that it can lie outside this range."
        )
    return [*said, *_of_fewer_metrics(result)]


def _of_fewer_metrics(result: Result) -> list[str]:
    """Return a sentence about the competitors that lack metrics by which others are ranked, if some do."""
    names = [metric.name for metric in measured_metrics(result) if metric.weight]
    have = {one.label: sum(one.metrics[name] is not None for name in names) for one in result.measured}
    few: dict[int, list[str]] = {}
    for label, count in have.items():
        if count < len(names):
            few.setdefault(count, []).append(label)
    if not few:
        return []
    counted = "; ".join(f"{', '.join(labels)} {count}" for count, labels in few.items())
    return [
        f"Rank and score are of {len(names)} metrics, and who has no value of one is last in it: compare only ranks of "
        f"competitors that have the same metrics. With fewer: {counted}."
    ]


def _line(value: str) -> str:
    """Return text for a cell of a Markdown table: on one line, without the bar that ends a cell."""
    return " ".join(value.replace("|", "/").split())


def _day(result: Result) -> str:
    return result.finished.replace("T", " ").replace("+00:00", " UTC")


def measured_metrics(result: Result) -> list[Metric]:
    """Return the metrics that at least one competitor has a value of: the columns of the table."""
    return [metric for metric in result.metrics if any(one.metrics[metric.name] is not None for one in result.measured)]


# ---------------------------------------------------------------------------------------------------------- tables
def shown_value(metric: Metric, value: float | None) -> str:
    """Return a metric's value as people read it: with its sign if the ideal is 0, because it then may go either way."""
    shown = number(value, metric.digits)
    plus = metric.ideal == 0 and value is not None and round(value, metric.digits) > 0
    return f"+{shown}" if plus else shown


def _table(result: Result) -> str:
    metrics = measured_metrics(result)
    heads = [_head("competitor", ""), _head("rank", ""), _head("score", "of 100", high=True)]
    heads += [_head(metric.title, metric.unit, high=metric.goal == "higher") for metric in metrics]
    best = {metric.name: _best(metric, result.measured) for metric in metrics}
    rows = []
    for one in result.competitors:
        if not one.metrics:
            reason = (
                f'<td class="missing" data-value="" colspan="{len(metrics) + 1}"><span>{text(one.reason)}</span></td>'
            )
            rows.append(pages.row(text(one.label), _cell(None, NONE), reason))
            continue
        cells = [_cell(one.rank, str(one.rank)), _cell(one.score, number(one.score))]
        for metric in metrics:
            value = one.metrics[metric.name]
            shown = shown_value(metric, value)
            marks = [] if metric.keeps(value) else ["bad"]
            marks += ["best"] if value is not None and _told(metric, value) == best[metric.name] else []
            ends = one.intervals.get(metric.name)
            if ends is not None:
                shown += f'<span class="ends">{_ends(*ends, metric.digits)}</span>'
            drawn = one.draws.get(metric.name)
            if drawn:
                shown += f'<span class="ends">draws {_ends(min(drawn), max(drawn), metric.digits)}</span>'
            # Columns are sorted by the distance from an ideal value.
            order = value if value is None or metric.ideal is None else metric.badness(value)
            cells.append(_cell(order, shown, " ".join(marks)))
        rows.append(pages.row(text(one.label), *cells))
    # A row with a reason instead of numbers has fewer cells, so it is not sorted.
    split = len(result.measured)
    return (
        f'<div class="wide"><table class="ranked"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows[:split])}</tbody><tbody>{''.join(rows[split:])}</tbody></table></div>"
    )


def _best(metric: Metric, competitors: Sequence[Entry]) -> float:
    return min(_told(metric, value) for one in competitors if (value := one.metrics[metric.name]) is not None)


def _told(metric: Metric, value: float) -> float:
    """Return how bad a value is as it is shown, so that two competitors that look equal are both best."""
    return round(metric.badness(round(value, metric.digits)), metric.digits)


def _head(title: str, unit: str, *, high: bool = False) -> str:
    title = re.sub(r"(?<=\d) (?=(?:s|ms|%)\b|%)", "\N{NO-BREAK SPACE}", title)
    below = f'<span class="unit">{text(unit)}</span>' if unit else ""
    return f'<th scope="col"{" data-high" if high else ""}><button type="button">{text(title)}</button>{below}</th>'


def _cell(value: float | None, shown: str, marks: str = "") -> str:
    cls = f' class="{marks}"' if marks else ""
    return f'<td{cls} data-value="{"" if value is None else repr(value)}">{shown}</td>'


def _measured(metrics: Sequence[Metric]) -> str:
    items = []
    for metric in metrics:
        facts = [f"{metric.goal} is better"]
        if metric.limit is not None:
            ends = {"lower": "at most", "higher": "at least"}
            facts.append(f"a must: {ends.get(metric.goal, 'as near as')} {metric.limit:g}")
        if metric.weight:
            facts.append(
                f"weight {metric.weight:g}, in steps of {metric.resolution:g}\N{NO-BREAK SPACE}{metric.unit}".rstrip()
            )
        elif metric.limit is None:
            facts.append("shown, not ranked by")
        items.append(
            f"<div><dt>{text(metric.title)}</dt><dd>{text(metric.explained)} "
            f'<span class="facts">{text("; ".join(facts))}.</span></dd></div>'
        )
    return f'<dl class="measures">{"".join(items)}</dl>'


def _figure(chart: Chart) -> str:
    return f"<figure><figcaption><h3>{text(chart.title)}</h3>{text(chart.caption)}</figcaption>\n{draw(chart)}</figure>"


def _components(competitors: Sequence[Entry]) -> str:
    rows = []
    for one in competitors:
        described = one.description
        if described is None:
            continue
        versions: dict[str | None, Any] = {described["distribution"]: described["version"]}
        versions.update(described["requires"].items())
        engine = described.get("engine_version") or described["engine"]
        load = NONE if one.load_s is None else f"{one.load_s:.1f} s"
        cells = [engine, _versions(versions), _pairs(described["options"]), load]
        cells += [described["code_license"], described["weights_license"]]
        rows.append(pages.row(text(one.label), *map(_said, cells)))
    return pages.table(("competitor", "engine", "versions", "options", "loading", "code", "weights"), rows)


def _said(value: str) -> str:
    """Return a cell of text; a long text gets a wide cell, because a narrow screen would give it a word a line."""
    return pages.cell(text(value), "said long" if len(value) > LONG else "said")


def _versions(versions: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name and version)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _counts(rows: Sequence[Row]) -> str:
    counts = collections.Counter(row.status for row in rows)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    seconds = sum(row.wall_s or 0.0 for row in rows)
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    return f"{len(rows):,} rows: {said}. Measuring took {took}."


def _problems(rows: Sequence[Row]) -> str:
    """Return a line for each competitor and reason, with the number of rows."""
    found = collections.Counter((row.label, row.status, row.reason) for row in rows if not row.ok)
    return pages.items(
        f"<b>{text(label)}</b>, {count} × {text(status)}: {text(reason)}"
        for (label, status, reason), count in found.items()
    )


def _comparisons(metrics: Sequence[Metric], comparisons: Sequence[Comparison], baseline: str) -> str:
    """Return a section with one table of pairs for each metric; empty if nothing was compared."""
    parts = []
    # Where the baseline was not measured, every two were compared.
    of_baseline = bool(baseline) and all(one.other == baseline for one in comparisons)
    sized = any(one.effect is not None for one in comparisons)
    for metric in metrics:
        own = [one for one in comparisons if one.metric == metric.name]
        if not own:
            continue
        digits = max(metric.digits, 1)
        differing = sum(one.p_holm is not None and one.p_holm < SIGNIFICANT for one in own)
        rows = []
        for one in own:
            p_values = (one.p_bootstrap, one.p_signed_rank, one.p_holm)
            numbers = [number(one.difference, digits), _ends(one.low, one.high, digits)]
            if sized:
                numbers += [number(one.effect, 2), _ends(one.effect_low, one.effect_high, 2), _songs(one)]
            numbers += [number(p_value, 3) for p_value in p_values]
            rows.append(pages.row(text(one.one), pages.cell(text(one.other), "said"), *map(pages.cell, numbers)))
        heads = ["one", "other", "difference", "95 %"] + (["effect", "95 %", "songs"] if sized else [])
        heads += ["p, bootstrap", "p, signed rank", "p, Holm"]
        said = f"{metric.title}: {len(own)} pairs, {differing} differ at {SIGNIFICANT:g} after Holm’s correction"
        parts.append(f"<details><summary>{text(said)}</summary>{pages.table(heads, rows)}</details>")
    explained = (
        "<p>Differences, one − other, with intervals of resampled songs; signed-rank tests see one number a song. "
        "Each is of the songs that both are judged by."
    )
    if sized:
        explained += (
            " Effect: rank-biserial correlation of the songs’ differences (Kerby 2014), 1 if one is better in every "
            "song in which they differ, 0 if neither is, −1 if the other is. Songs: in how many they differ, of those "
            "in which both have a value."
        )
    if of_baseline:
        explained += f" Everybody is compared with {text(baseline)}, and Holm’s correction is for these tests alone."
    heading = f"Against {baseline}" if of_baseline else "Who differs from whom"
    return pages.section("pairs", heading, f"{explained}</p>", *parts) if comparisons else ""


def _songs(one: Comparison) -> str:
    """Return in how many songs two competitors differ, and of how many; results of earlier versions have the latter."""
    songs = number(one.songs, 0)
    return songs if one.differing is None else f"{one.differing} of {songs}"


def _ends(low: float | None, high: float | None, digits: int) -> str:
    return NONE if low is None else f"{number(low, digits)} … {number(high, digits)}"


def _literature(literature: Literature | None) -> str:
    if literature is None:
        return ""
    source = f'<p class="facts">{text(f"{sentence(literature.title)} {sentence(literature.source)}")}</p>'
    heading = "From the literature, not measured here"
    return pages.section("literature", heading, source, pages.table(literature.heads, pages.text_rows(literature.rows)))


def _shown(cell: Cell, digits: int) -> list[str]:
    """Return a cell's number and its second number, if it has one; in brackets if they do not count."""
    values = [cell.value] if cell.below is None else [cell.value, cell.below]
    shown = [number(value, digits) for value in values]
    return shown if cell.counts else [f"({one})" for one in shown]


def _tables(tables: Sequence[Table]) -> str:
    """Return a section with the tables behind the metrics; empty if there is none."""
    parts = []
    for table in tables:
        rows = []
        for name, cells in table.rows:
            parted = [_shown(cell, table.digits) for cell in cells]
            shown = [one + "".join(f'<span class="ends">{below}</span>' for below in more) for one, *more in parted]
            rows.append(pages.row(text(name), *map(pages.cell, shown)))
        caption = f'<p class="facts">{text(table.caption)}</p>'
        parts.append(f"<h3>{text(table.title)}</h3>{caption}{pages.table(table.heads, rows)}")
    return pages.section("single", "One by one", *parts) if parts else ""


def _picks(heading: tuple[str, str], picks: Mapping[str, Sequence[Pick]], sounds: Mapping[str, str]) -> str:
    """Return a section in which the picks can be heard."""
    place = {name: index for index, name in enumerate(sounds)}
    parts = []
    for label, chosen in picks.items():
        groups = dict.fromkeys(pick.group for pick in chosen)
        lists = "".join(
            f"<div><h4>{text(group)}</h4><ol>"
            + "".join(
                f'<li><span>{text(pick.said)}</span><audio controls preload="none" data-sound="{place[pick.sound]}" '
                f'aria-label="{text(f"{label}, {group}: {pick.said if pick.part else pick.input}")}"></audio></li>'
                for pick in chosen
                if pick.group == group and pick.sound in place
            )
            + "</ol></div>"
            for group in groups
        )
        if chosen:
            parts.append(f'<details><summary>{text(label)}</summary><div class="picks">{lists}</div></details>')
    title, words = heading
    if words:
        parts.insert(0, f"<p>{text(words)}</p>")
    return pages.section("picks", title, *parts)


def _packed_rows(rows: Sequence[Row]) -> str:
    """Return all rows, as the page shows them, for its script: JSON by columns, deflated, in base64.

    A table of ten thousand rows is 3.5 MB as HTML, and 0.2 MB like this (ours). Numbers are rounded as they are shown;
    the rows' own file has all digits.
    """
    empty = collections.Counter((row.label, row.status, row.reason) for row in rows if not row.values)
    shown = []
    for row in rows:
        name = row.input
        if not row.values:
            # A competitor that is not there has hundreds of rows with one reason: they become one line.
            count = empty.pop((row.label, row.status, row.reason), 0)
            if count == 0:
                continue
            name = name if count == 1 else f"{count:,} inputs"
        shown.append(attrs.evolve(row, input=name))
    data = {
        "label": _indexed([row.label for row in shown]),
        "input": _indexed([row.input for row in shown]),
        "status": _indexed([f"{row.status}, trained on" if row.trained_on else row.status for row in shown]),
        "reason": _indexed([row.reason for row in shown]),
        "wall_s": [_rounded(row.wall_s, ".2f") for row in shown],
        "cpu_s": [_rounded(row.cpu_s, ".2f") for row in shown],
        "values": {name: [_rounded(row.values.get(name), ".4g") for row in shown] for name in value_names(shown)},
    }
    packed = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # Bytes that are not UTF-8 become a question mark, as in all text of the page.
    return base64.b64encode(zlib.compress(packed.encode("utf-8", "replace"), 9)).decode()


def _indexed(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return texts that repeat as the list of distinct texts and the index of each text in it."""
    places = {one: place for place, one in enumerate(dict.fromkeys(texts))}
    return {"texts": list(places), "which": [places[one] for one in texts]}


def _rounded(value: float | None, digits: str) -> str:
    return "" if value is None else f"{value:{digits}}".replace("-", MINUS)
