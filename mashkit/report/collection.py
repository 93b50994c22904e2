"""Write an HTML document about a collection of clips: self-contained, without requests and scripts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashkit import pages
from mashkit.pages import NONE, number, text
from mashkit.report.statistics import DECADES
from mashkit.types import Role

_CELL_WIDTH, _CELL_HEIGHT, _LABELS = 18, 17, 54
_MOST_COLUMNS = 22
"""Largest number of tempo columns at which every second column has a label; one column is too narrow for a label."""
_WIDEST_REM = 34
"""Width on the page of a map of that many columns. A map of fewer is narrower, so that its text stays as large."""


def page(statistics: Mapping[str, Any], *, title: str) -> str:
    """Return an HTML document of the result of :func:`mashkit.report.statistics.statistics`; write it as UTF-8."""
    candidates = statistics["candidates"]
    totals = f'<dl class="totals">{_totals(statistics)}</dl>'
    main = pages.filled(
        __package__,
        "collection.html",
        map_said=_map_said(statistics),
        map=_map(statistics["map"]),
        map_table=_map_table(statistics["map"]),
        fits_said=_fits_said(candidates),
        legend=_legend(),
        fits="\n".join(_fit(row, candidates["looked_at"]) for row in candidates["rows"]),
        chance=_chance(statistics["chance"], candidates["options"]["mismatch"]),
        without=_without(candidates),
        activity="\n".join(_activity(str(role), statistics["activity"][role]) for role in Role),
        licences=_groups("Licences", statistics["licences"]),
        protocols=_groups("Protocols", statistics["protocols"]),
        labels=_counts("Labels", statistics["labels"]),
        components=_components(statistics["components"]),
    )
    styles = [pages.sheet(), pages.resource(__package__, "collection.css")]
    return pages.document(title, top=totals, main=main, styles=styles)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.1f} min"


def _share(part: float, whole: float) -> str:
    """Return a share as text, in percent; a share above 0 that would round to 0.0 is "under 0.1 %"."""
    percent = 100 * part / whole if whole else 0.0
    return "under 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def _totals(statistics: Mapping[str, Any]) -> str:
    totals = statistics["totals"]
    facts = {
        "songs": number(totals["songs"]),
        "clips": number(totals["clips"]),
        "of clips": _hours(totals["clips_s"]),
        "stems and features": f"{totals['files_bytes'] / 1e9:,.2f} GB",
        "index": f"{totals['index_bytes'] / 1e6:,.1f} MB",
    }
    if totals["failed_songs"]:
        facts["songs that could not be used"] = number(totals["failed_songs"])
    return "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts.items())


# -------------------------------------------------------------------------------------------------------- the map
def _map_said(statistics: Mapping[str, Any]) -> str:
    said = (
        "Clips by the notes of their key (a minor key with its relative major) and their tempo; the stronger the "
        "colour, the more."
    )
    unknown = {name: count for name, count in statistics["unknown"].items() if count}
    if unknown:
        said += " Not known: " + ", ".join(f"{name} of {number(count)}" for name, count in unknown.items()) + "."
    edited = statistics["edited"]
    if edited:
        said += " Corrected by hand: " + ", ".join(f"{name} of {number(count)}" for name, count in edited.items()) + "."
    return text(said)


def _key_name(tonics: Sequence[str], tonic: int) -> str:
    return f"{tonics[tonic]} · {tonics[(tonic - 3) % 12]}m"


def _map(found: Mapping[str, Any]) -> str:
    counts = _sums(found)
    largest = max(map(max, counts))
    if largest == 0:
        return '<p class="missing">No clip has both a key and a tempo.</p>'
    edges = found["tempo_edges"]
    columns = len(edges) - 1
    width, widest = (_LABELS + count * _CELL_WIDTH + 30 for count in (columns, _MOST_COLUMNS))
    height = 12 * _CELL_HEIGHT + 34
    parts = []
    for row, values in enumerate(counts):
        middle = row * _CELL_HEIGHT + 12
        parts.append(f'<text x="0" y="{middle}">{text(_key_name(found["tonics"], row))}</text>')
        for column, count in enumerate(values):
            # The shade follows the square root, so that a few clips differ visibly from none beside cells of hundreds.
            shade = 'class="empty"' if count == 0 else f'class="cell" fill-opacity="{math.sqrt(count / largest):.3f}"'
            parts.append(
                f'<rect x="{_LABELS + column * _CELL_WIDTH}" y="{row * _CELL_HEIGHT}" width="{_CELL_WIDTH - 1}" '
                f'height="{_CELL_HEIGHT - 1}" {shade}><title>{text(_key_name(found["tonics"], row))}, '
                f"{edges[column]}–{edges[column + 1]} BPM: {number(count)}</title></rect>"
            )
        parts.append(f'<text x="{width}" y="{middle}" text-anchor="end">{_short(sum(values))}</text>')
    step = max(2, -(-columns // (_MOST_COLUMNS // 2)))
    parts += [
        f'<text x="{_LABELS + column * _CELL_WIDTH}" y="{height - 20}" text-anchor="middle">{edges[column]}</text>'
        for column in range(0, columns + 1, step)
    ]
    parts.append(f'<text x="{_LABELS + columns * _CELL_WIDTH / 2}" y="{height - 4}" text-anchor="middle">BPM</text>')
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Clips by key and tempo" '
        f'style="max-width: {_WIDEST_REM * min(1, width / widest):.1f}rem">{"".join(parts)}</svg>'
        f"<figcaption>On the right, clips of each key. The strongest field has {number(largest)}.</figcaption>"
    )


def _sums(found: Mapping[str, Any]) -> list[list[int]]:
    return [
        [one + other for one, other in zip(*rows, strict=True)]
        for rows in zip(found["major"], found["minor"], strict=True)
    ]


def _short(count: int) -> str:
    """Return a count as text of at most five characters."""
    for size, sign in ((1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1_000_000 if sign == 'M' else 1_000):.{1 if sign == 'M' else 0}f}{sign}"
    return str(count)


def _map_table(found: Mapping[str, Any]) -> str:
    edges = found["tempo_edges"]
    heads = ["", *(f"{low}–{high}" for low, high in itertools.pairwise(edges))]
    rows = []
    for tonic in range(12):
        for mode, name in (("major", found["tonics"][tonic]), ("minor", f"{found['tonics'][(tonic - 3) % 12]}m")):
            rows.append([text(name), *map(number, found[mode][tonic])])
    return _table("", heads, rows)


# --------------------------------------------------------------------------------------------------------- candidates
def _classes() -> list[str]:
    ends = [number(low - 1) for low in DECADES[1:]]
    return [
        "none",
        *(f"{number(low)}–{end}" for low, end in zip(DECADES, ends, strict=False)),
        f"{number(DECADES[-1])} or more",
    ]


def _mark(index: int, style: str = "") -> str:
    """Return the HTML attributes that draw a class of counts: hatched for none, darker for more."""
    return f'class="none" style="{style}"' if index == 0 else f'style="{style}--depth: {20 * index}%"'


def _legend() -> str:
    items = "".join(f"<li><i {_mark(index)}></i>{name}</li>" for index, name in enumerate(_classes()))
    return f'<ul class="legend" aria-label="Candidates a vocal has">{items}</ul>'


def _fits_said(candidates: Mapping[str, Any]) -> str:
    vocals, looked_at = candidates["vocals"], candidates["looked_at"]
    which = f"all {number(vocals)}" if looked_at == vocals else f"{number(looked_at)} of {number(vocals)}"
    options = candidates["options"]
    return text(
        f"How many stems of other songs each vocal has to choose from, of {which} vocals that may be drawn. "
        f"Shifts of up to {options['max_shift']} semitones, speeds of {options['min_speed']:g} to "
        f"{options['max_speed']:g}, stems that sound for {100 * options['min_activity']:.0f} % of the clip or more."
    )


def _fit(row: Mapping[str, Any], looked_at: int) -> str:
    parts = "".join(
        f"<span {_mark(index, f'width: {100 * count / looked_at:.2f}%; ')}></span>"
        for index, count in enumerate(row["by_decade"])
        if count
    )
    none = row["by_decade"][0]
    facts = f"median {number(row['median'])}, {number(row['least'])} to {number(row['most'])}"
    facts += f"; none for {number(none)} ({_share(none, looked_at)})" if none else ""
    return (
        f'<div><div class="what"><span><b>{text(row["condition"])}</b>, {text(row["role"])}</span>'
        f'<span class="facts">{facts}</span></div><div class="share">{parts}</div></div>'
    )


def _chance(chance: Mapping[str, float | None], mismatch: str) -> str:
    shares = ", ".join(
        f"{text(condition)} {NONE if share is None else f'{100 * share:.1f} %'}" for condition, share in chance.items()
    )
    drawn = (
        "With the setting in use, <code>strict</code>, none of these is drawn."
        if mismatch == "strict"
        else "The setting in use is <code>literal</code>, so these are among what is drawn."
    )
    return (
        "If unmatched stems were drawn without a look at key or tempo (option <code>mismatch=literal</code>), this "
        f"share of the mashups would have a stem that fits all the same, in key or in tempo: {shares}. {drawn}"
    )


def _without(candidates: Mapping[str, Any]) -> str:
    named, count = candidates["without"], candidates["without_count"]
    if not count:
        return "<p>Every vocal has candidates under every condition.</p>" if candidates["looked_at"] else ""
    rows = [
        [pages.name(one["title"]), text(one["id"]), text(one["condition"]), ", ".join(map(text, one["lacks"])),
         text(f"{one['key']}, {one['camelot']}, {one['open_key']}" if one["key"] else NONE),
         NONE if one["tempo"] is None else f"{one['tempo']:.1f}"]
        for one in named
    ]  # fmt: skip
    more = f"the first {len(named)} of {number(count)}" if count > len(named) else f"{number(count)}"
    table = _table("", ["song", "clip", "condition", "lacks", "key", "BPM"], rows, said=5)
    return f"<details><summary>Vocals that a condition leaves nothing: {more}</summary>\n{table}\n</details>"


# ------------------------------------------------------------------------------------------------------ the rest
def _activity(role: str, counts: Sequence[int]) -> str:
    largest = max(counts) or 1
    bars = ""
    for index, count in enumerate(counts):
        height = 70 * count / largest
        bars += (
            f'<rect x="{22 * index + 1}" y="{70 - height:.1f}" width="20" height="{height:.1f}">'
            f"<title>{10 * index}–{10 * index + 10} %: {number(count)} clips</title></rect>"
        )
    labels = "".join(
        f'<text x="{x}" y="84" text-anchor="{anchor}">{label}</text>'
        for x, anchor, label in ((0, "start", "0"), (110, "middle", "50"), (220, "end", "100 %"))
    )
    return (
        f'<div class="role {role}"><h3>{role}</h3><svg viewBox="0 0 220 88" role="img" '
        f'aria-label="Clips by how much their {role} stem sounds">{bars}{labels}</svg>'
        f'<span class="facts">highest bar: {number(max(counts))} clips</span></div>'
    )


def _groups(caption: str, groups: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [pages.name(one["name"]), number(one["clips"]), number(one["songs"]), _hours(one["clips_s"])] for one in groups
    ]
    return _table(caption, ["", "clips", "songs", "length"], rows)


def _counts(caption: str, counts: Mapping[str, int]) -> str:
    return _table(caption, ["", "clips"], [[pages.name(name), number(count)] for name, count in counts.items()])


def _components(components: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in components:
        said = one["description"]
        versions = {said.get("distribution") or "": said.get("version"), **said.get("requires", {})}
        licences = {"code": said.get("code_license"), "weights": said.get("weights_license")}
        rows.append(
            [text(one["kind"]), text(said["name"]), number(one["clips"]), pages.pairs(versions),
             pages.pairs(said.get("options", {})), pages.pairs(licences)]
        )  # fmt: skip
    heads = ["kind", "component", "clips", "versions", "options", "licences"]
    return _table("", heads, rows, said=6) or '<p class="missing">Nothing yet.</p>'


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, said: int = 1) -> str:
    """Return a table of cells that are HTML; the first ``said`` columns are text. The result is empty without rows."""
    made = [
        pages.row(first, *(pages.cell(one, "said" if column < said else "") for column, one in enumerate(others, 1)))
        for first, *others in rows
    ]
    return pages.table(heads, made, said=said, caption=caption)
