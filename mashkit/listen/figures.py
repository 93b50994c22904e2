"""The paper's Figure 4 as SVG: mean opinion scores as bars, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mashkit.bench.charts import PALETTE
from mashkit.listen.mos import Score
from mashkit.listen.records import BOTTOM, HIGHEST, LOWEST, QUESTIONS, TOP
from mashkit.listen.study import ORIGINAL
from mashkit.pages import text

WIDTH, HEIGHT, LEFT, ABOVE, BELOW = 760, 220, 34, 26, 24
"""Size of a panel and its margins, pixels."""
GREY = "#7a7a7a"
"""Colour of the original, which is no system; the systems have those of :data:`mashkit.bench.charts.PALETTE`."""
LETTER = 7
"""Width of a letter of the legend, pixels; rather too wide than too narrow, because fonts differ."""
COLUMNS = 4
"""Largest number of columns of the legend."""
SIMULATED = "SIMULATED: no person gave these ratings"


def figure4(scores: Sequence[Score], *, simulated: bool) -> str:
    """Return the figure as an ``<svg>`` element that can also stand alone in a file.

    Its first panel has the systems' mashups (of generation, the top of each ranking), and a second one for generation
    the top in lighter and the bottom in darker colours, as in the paper.

    Parameters
    ----------
    scores : sequence of Score
    simulated : bool
        Whether to write across the picture that nobody gave the ratings.
    """
    systems = list(dict.fromkeys(score.system for score in scores))
    palette = iter(PALETTE * (len(systems) // len(PALETTE) + 1))
    colours = {name: GREY if name == ORIGINAL else next(palette) for name in systems}
    grouped = any(score.group == BOTTOM for score in scores)
    panels = [
        ("Mean opinion score" + (", top" if grouped else ""), [[name, TOP if grouped else ""] for name in systems])
    ]
    if grouped:
        panels.append(("Top (lighter) and bottom (darker)", [[name, end] for name in systems for end in (TOP, BOTTOM)]))
    columns = _columns(systems)
    begin = 8 + 18 * -(-len(systems) // columns)
    whole = begin + HEIGHT * len(panels)
    parts = [_legend(colours, columns)]
    for index, (title, bars) in enumerate(panels):
        drawn = _panel(title, [(system, group) for system, group in bars], scores, colours, begin + HEIGHT * index)
        parts.append(drawn)
    if simulated:
        parts.append(
            f'<text x="{WIDTH / 2}" y="{begin + HEIGHT / 2}" text-anchor="middle" font-size="26" font-weight="bold" '
            f'fill="#c03000" fill-opacity="0.75">{SIMULATED}</text>'
        )
    label = "Mean opinion scores" + (f" ({SIMULATED})" if simulated else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole}" role="img" aria-label="{label}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">{"".join(parts)}</svg>'
    )


def _columns(names: Sequence[str]) -> int:
    """Return how many columns the legend has so that the longest name fits into one."""
    longest = 29 + LETTER * max(map(len, names))  # with its square, and space to the next column
    return max(1, min(COLUMNS, (WIDTH - LEFT) // longest))


def _legend(colours: dict[str, str], columns: int) -> str:
    parts = []
    for index, (name, colour) in enumerate(colours.items()):
        x, y = LEFT + (index % columns) * (WIDTH - LEFT) / columns, 6 + 18 * (index // columns)
        parts.append(f'<rect x="{x:.0f}" y="{y}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17:.0f}" y="{y + 10}">{text(name)}</text>')
    return "".join(parts)


def _panel(
    title: str, bars: Sequence[tuple[str, str]], scores: Sequence[Score], colours: dict[str, str], top: float
) -> str:
    known = {(score.system, score.group, score.question): score for score in scores}
    asked = [name for name in QUESTIONS if any(score.question == name for score in scores)]
    low, high = top + HEIGHT - BELOW, top + ABOVE
    parts = [f'<text x="{LEFT}" y="{top + 14}" font-weight="bold">{title}</text>']

    def height(value: float) -> float:
        return low - (value - LOWEST) / (HIGHEST - LOWEST) * (low - high)

    for value in range(LOWEST, HIGHEST + 1):
        y = height(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GREY}" stroke-opacity="0.35"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    step = (WIDTH - LEFT) / max(len(asked), 1)
    thick = 0.86 * step / max(len(bars), 1)
    for column, question in enumerate(asked):
        begin = LEFT + column * step + 0.07 * step
        middle = LEFT + (column + 0.5) * step
        parts.append(f'<text x="{middle:.1f}" y="{low + 17:.1f}" text-anchor="middle">{question}</text>')
        for place, (system, group) in enumerate(bars):
            score = known.get((system, group, question))
            if score is not None:
                light = any(end == BOTTOM for _, end in bars) and group == TOP
                parts.append(_bar(score, begin + place * thick, thick, colours[system], height, light=light))
    return "".join(parts)


def _bar(score: Score, x: float, thick: float, colour: str, height: Callable[[float], float], *, light: bool) -> str:
    y, foot = height(score.mean), height(LOWEST)
    ends = "" if score.interval is None else f" [{score.interval.low:.2f}, {score.interval.high:.2f}]"
    said = f"{score.system} {score.group} {score.question}: {score.mean:.2f}{ends}, {score.clips} clips"
    opacity = 0.5 if light else 1.0
    parts = [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.9 * thick:.1f}" height="{foot - y:.1f}" fill="{colour}" '
        f'fill-opacity="{opacity:g}"><title>{text(said)}</title></rect>'
    ]
    if score.interval is not None:
        middle = x + 0.45 * thick
        parts.append(
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{height(score.interval.low):.1f}" '
            f'y2="{height(score.interval.high):.1f}" stroke="currentColor" stroke-width="1.2"/>'
        )
    return "".join(parts)
