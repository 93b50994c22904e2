"""Charts as data, and their drawing as inline SVG that follows the page's colours, light and dark."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from mashkit.errors import MashkitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart by colour-blind readers (Color Universal Design, 2008)."""
MARKERS = ("o", "^", "s", "D", "v", "P")

WIDTH_IN = 4.6
"""Width of a drawing, inches of 72 points: on a phone 390 pixels wide, 10.5 points are still 11 pixels high."""
ROW_IN = 0.27
"""Height of a competitor's row, inches."""

# Replaced by the page's own colours: no two of these stand for the same thing.
_COLOURS = {"#010101": "var(--text)", "#020202": "var(--quiet)", "#030303": "var(--line)", "#040404": "var(--card)"}
_TEXT, _QUIET, _LINE, _CARD = _COLOURS


class MatplotlibMissing(MashkitError):
    """Charts cannot be drawn here."""


@attrs.frozen(kw_only=True)
class RowChart:
    """One row for each competitor, and in it a mark or a bar for each series.

    Parameters
    ----------
    title, caption, x_label : str
    labels : sequence of str
        The rows, from the top.
    series : mapping of str to sequence of float or None
        A value for each label; None is not drawn.
    style : {"dots", "bars"}
    limit : float, optional
        Where to draw the line between good and bad.
    log : bool
        Logarithmic axis; values are > 0.
    """

    title: str
    caption: str
    x_label: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    style: Literal["dots", "bars"] = "dots"
    limit: float | None = None
    log: bool = False


@attrs.frozen
class Point:
    """A competitor in a scatter chart: its mark, what it belongs to, and where it lies."""

    mark: str
    group: str
    x: float
    y: float


@attrs.frozen(kw_only=True)
class ScatterChart:
    """One point for each competitor, with its mark (its rank) beside it.

    Parameters
    ----------
    title, caption, x_label, y_label : str
    points : sequence of Point
        Each group has a colour and a marker of its own.
    log_x : bool
        Logarithmic x axis; values are > 0.
    """

    title: str
    caption: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    log_x: bool = False


Chart: TypeAlias = RowChart | ScatterChart


def require_matplotlib() -> None:
    """Raise MatplotlibMissing, saying what to type, if charts cannot be drawn: before anything is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MatplotlibMissing("the charts of a benchmark need matplotlib", "pip install 'mashkit[bench]'")


def draw(chart: Chart) -> str:
    """Return a chart as an ``<svg>`` element: text as text, colours as CSS variables, equal for equal data.

    Without any value there is nothing to scale axes by: a paragraph says so.
    """
    if not _has_values(chart):
        return '<p class="missing">Nothing was measured.</p>'
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": chart.title,
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "text.color": _TEXT,
        "axes.edgecolor": _QUIET,
        "axes.labelcolor": _TEXT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": _QUIET,
        "ytick.color": _QUIET,
        "xtick.labelcolor": _TEXT,
        "ytick.labelcolor": _TEXT,
        "grid.color": _LINE,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(settings):
        height = 1.0 + ROW_IN * (len(chart.labels) + len(chart.series)) if isinstance(chart, RowChart) else WIDTH_IN
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if isinstance(chart, RowChart):
            _draw_rows(axes, chart)
        else:
            _draw_points(axes, chart)
        handles, names = axes.get_legend_handles_labels()
        if len(names) > 1:
            figure.legend(handles, names, loc="outside upper left", ncols=1, handletextpad=0.4, borderaxespad=0)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(written.getvalue(), chart.title)


def _has_values(chart: Chart) -> bool:
    if isinstance(chart, ScatterChart):
        return bool(chart.points)
    return any(value is not None for values in chart.series.values() for value in values)


def _draw_rows(axes: Axes, chart: RowChart) -> None:
    count, many = len(chart.labels), len(chart.series)
    for index, (name, values) in enumerate(chart.series.items()):
        shown = [(row, value) for row, value in enumerate(values) if value is not None]
        rows, numbers = [row for row, _ in shown], [value for _, value in shown]
        colour = PALETTE[index % len(PALETTE)]
        if chart.style == "bars":
            thickness = 0.8 / many
            places = [row + (index - (many - 1) / 2) * thickness for row in rows]
            axes.barh(places, numbers, thickness, color=colour, label=name)
        else:
            marker = MARKERS[index % len(MARKERS)]
            axes.scatter(numbers, rows, s=30, color=colour, marker=marker, label=name, alpha=0.85, linewidths=0)
    if chart.limit is not None:
        axes.axvline(chart.limit, color=_TEXT, linestyle="--", linewidth=1, label=f"limit {chart.limit:g}")
    if chart.log:
        _log_x(axes)
    axes.set_yticks(range(count), labels=list(chart.labels))
    axes.set_ylim(count - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(chart.x_label)
    axes.grid(axis="both" if chart.style == "dots" else "x", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_points(axes: Axes, chart: ScatterChart) -> None:
    for index, group in enumerate(dict.fromkeys(point.group for point in chart.points)):
        x, y = ([getattr(point, axis) for point in chart.points if point.group == group] for axis in "xy")
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        axes.scatter(x, y, s=45, color=colour, marker=marker, label=group, linewidths=0)
    for point in chart.points:
        axes.annotate(point.mark, (point.x, point.y), xytext=(5, 4), textcoords="offset points")
    if chart.log_x:
        _log_x(axes, 1, 2, 5)
    axes.margins(0.08)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)


def _log_x(axes: Axes, *digits: int) -> None:
    """Make the x axis logarithmic, with ticks at powers of ten times ``digits``, written as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=digits or (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _inline(svg: str, title: str) -> str:
    """Return the <svg> element alone, in the page's colours and font, without ids that several drawings share."""
    from html import escape

    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r"<!--.*?-->\s*", "", element, flags=re.DOTALL)
    element = element.replace("DejaVu Sans", "system-ui")
    for colour, variable in _COLOURS.items():
        element = element.replace(colour, variable)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1).strip()
