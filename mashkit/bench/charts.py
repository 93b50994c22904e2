"""Charts as data, and their drawing as inline SVG that follows the page's colours, light and dark."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

import attrs

from mashkit.errors import MashkitError, require_packages
from mashkit.paths import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    _Named: TypeAlias = list[tuple[Any, str]]
    """What is drawn, and its name in the legend."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which colour-blind readers can distinguish (Color Universal Design, 2008)."""
MARKERS = ("o", "^", "s", "D", "v", "P")

WIDTH_IN = 4.6
"""Width of a drawing, inches of 72 points: on a phone 390 pixels wide, 10.5 points are still 11 pixels high."""
ROW_IN = 0.27
"""Height of a competitor's row, inches."""
_FEW_DECADES = 1000
"""Largest ratio of an axis's ends at which three ticks a decade do not overlap."""

_FARTHEST = 250
"""Largest power of ten, up or down, of values that matplotlib is given: beyond 280 its ticks overflow, and below −300
it finds none."""

# Stand-ins that :func:`_inline` replaces by the page's colours.
_COLOURS = {"#010101": "var(--text)", "#020202": "var(--quiet)", "#030303": "var(--line)", "#040404": "var(--card)"}
_TEXT, _QUIET, _LINE, _CARD = _COLOURS

_COORDINATES = {"d", "x", "y", "width", "height", "transform", "viewBox"}
"""Attributes that hold lengths, in points."""
_DECIMALS = re.compile(r"-?\d+\.\d+")


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
    limit_label : str
        What that line is.
    log : bool
        Logarithmic axis; values are > 0.
    intervals : mapping of str to sequence of (low, high) or None
        A line through each dot, by series; none by default.
    """

    title: str
    caption: str
    x_label: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    style: Literal["dots", "bars"] = "dots"
    limit: float | None = None
    limit_label: str = "limit"
    log: bool = False
    intervals: Mapping[str, Sequence[Sequence[float] | None]] = attrs.field(factory=dict)


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


@attrs.frozen
class Curve:
    """A line through points, for a competitor; ``marked`` shows the points themselves."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    marked: bool = False


@attrs.frozen(kw_only=True)
class CurveChart:
    """One line for each competitor.

    Parameters
    ----------
    title, caption, x_label, y_label : str
    curves : sequence of Curve
        Told apart by colour, marker and, beyond six, by dashes.
    diagonal : (float, float), optional
        Ends, on both axes, of the dashed line to compare with; both axes then run from one to the other.
    """

    title: str
    caption: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    diagonal: tuple[float, float] | None = None


@attrs.frozen(kw_only=True)
class BoxChart:
    """One row for each condition: its values as dots, and a box around the middle half.

    Parameters
    ----------
    title, caption, x_label : str
    boxes : mapping of str to sequence of float
        The rows, from the top; none is empty.
    """

    title: str
    caption: str
    x_label: str
    boxes: Mapping[str, Sequence[float]]


Chart: TypeAlias = RowChart | ScatterChart | CurveChart | BoxChart


def require_matplotlib() -> None:
    """Raise MashkitError if charts cannot be drawn; called before anything is measured."""
    require_packages("the charts of a benchmark need", ["matplotlib"], "pip install 'mashkit[bench]'", MashkitError)


def draw(chart: Chart) -> str:
    """Return a chart as an ``<svg>`` element: text as text, colours as CSS variables, equal for equal data.

    Without any value the result is a paragraph, because axes cannot be scaled.
    """
    if not has_values(chart):
        return '<p class="missing">Nothing was measured.</p>'
    if isinstance(chart, BoxChart):
        chart = _in_range(chart)
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": printable(chart.title),
        "text.parse_math": False,  # a dollar in a label is a dollar
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
        figure = Figure(figsize=(WIDTH_IN, _height(chart)), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        named: _Named = []
        match chart:
            case RowChart():
                named = _draw_rows(axes, chart)
            case ScatterChart():
                named = _draw_points(axes, chart)
            case CurveChart():
                named = _draw_curves(axes, chart)
            case BoxChart():
                _draw_boxes(axes, chart)
        axes.set_xlabel(chart.x_label)
        if isinstance(chart, ScatterChart | CurveChart):
            axes.set_ylabel(chart.y_label)
        axes.set_axisbelow(True)
        # A single curve needs a legend, because its label stands nowhere else; a single series is named by the title.
        if len(named) > 1 or isinstance(chart, CurveChart):
            _legend(figure, named)
        written = io.StringIO()
        # Not savefig, which draws everything twice.
        canvas.print_svg(written, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return _inline(written.getvalue(), chart.title)


def _in_range(chart: BoxChart) -> BoxChart:
    """Return a chart that can be drawn: values of any size, as scores can have it, are divided by a power of ten."""
    largest = max(abs(value) for values in chart.boxes.values() for value in values)
    power = math.floor(math.log10(largest)) if largest else 0
    if abs(power) <= _FARTHEST:
        return chart
    unit = 10.0 ** max(power, -323)  # the smallest float is 5e-324
    boxes = {name: [value / unit for value in values] for name, values in chart.boxes.items()}
    return attrs.evolve(chart, x_label=f"{chart.x_label}, divided by {unit:.0e}", boxes=boxes)


def _height(chart: Chart) -> float:
    """Return the height of a drawing, inches."""
    if isinstance(chart, RowChart):
        spread = 1.0 if not chart.intervals else max(1.0, len(chart.series) / 2)
        return 1.0 + ROW_IN * (spread * len(chart.labels) + len(chart.series))
    if isinstance(chart, BoxChart):
        return 0.6 + ROW_IN * len(chart.boxes)
    if isinstance(chart, CurveChart):
        return WIDTH_IN + 0.2 * len(chart.curves)
    return WIDTH_IN


def has_values(chart: Chart) -> bool:
    """Return whether there is anything to draw."""
    match chart:
        case ScatterChart():
            return bool(chart.points)
        case CurveChart():
            return bool(chart.curves)
        case BoxChart():
            return bool(chart.boxes)
        case RowChart():
            return any(value is not None for values in chart.series.values() for value in values)


def _legend(figure: Figure, named: _Named) -> None:
    """Name what is drawn, above the axes."""
    handles, names = zip(*named, strict=True)
    legend = figure.legend(
        handles, [str(index) for index in range(len(names))], loc="outside upper left", ncols=1, handletextpad=0.4,
        borderaxespad=0,
    )  # fmt: skip
    # Only now, because matplotlib leaves names that begin with an underscore out of a legend.
    for shown, name in zip(legend.get_texts(), names, strict=True):
        shown.set_text(printable(name))


def _draw_rows(axes: Axes, chart: RowChart) -> _Named:
    named: _Named = []
    count, many = len(chart.labels), len(chart.series)
    for index, (name, values) in enumerate(chart.series.items()):
        if all(value is None for value in values):
            continue
        shown = [(row, value) for row, value in enumerate(values) if value is not None]
        rows, numbers = [row for row, _ in shown], [value for _, value in shown]
        colour = PALETTE[index % len(PALETTE)]
        if chart.style == "bars":
            thickness = 0.8 / many
            places = [row + (index - (many - 1) / 2) * thickness for row in rows]
            named.append((axes.barh(places, numbers, thickness, color=colour), name))
        else:
            marker = MARKERS[index % len(MARKERS)]
            # With intervals, series lie below each other, because overlapping lines cannot be read.
            step = 0.8 / many if chart.intervals else 0.0
            places = [row + (index - (many - 1) / 2) * step for row in rows]
            dots = axes.scatter(numbers, places, s=30, color=colour, marker=marker, alpha=0.85, linewidths=0)
            named.append((dots, name))
            ends = chart.intervals.get(name, [None] * count)
            for place, row in zip(places, rows, strict=True):
                found = ends[row]
                if found is not None:
                    axes.plot(found, (place, place), color=colour, linewidth=1.4, solid_capstyle="butt")
    if chart.limit is not None:
        line = axes.axvline(chart.limit, color=_TEXT, linestyle="--", linewidth=1)
        named.append((line, f"{chart.limit_label} {chart.limit:g}"))
    if chart.log:
        _log_x(axes)
    _name_rows(axes, chart.labels)
    axes.grid(axis="both" if chart.style == "dots" else "x", linewidth=0.6)
    return named


def _name_rows(axes: Axes, names: Iterable[str]) -> None:
    labels = list(map(printable, names))
    axes.set_yticks(range(len(labels)), labels=labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _draw_points(axes: Axes, chart: ScatterChart) -> _Named:
    named: _Named = []
    for index, group in enumerate(dict.fromkeys(point.group for point in chart.points)):
        x, y = ([getattr(point, axis) for point in chart.points if point.group == group] for axis in "xy")
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        dots = axes.scatter(x, y, s=45, color=colour, marker=marker, linewidths=0)
        if group:
            named.append((dots, group))
    if chart.log_x:
        _log_x(axes)
    axes.margins(0.08)
    _mark(axes, chart.points)
    axes.grid(linewidth=0.6)
    return named


def _mark(axes: Axes, points: Sequence[Point]) -> None:
    """Write each point's mark to its right, in the right half to its left, and down until it lies on no other."""
    line, letter = 11.0, 6.0
    area = 0.7 * 72 * WIDTH_IN  # width and height of the axes, about
    shares = axes.transAxes.inverted().transform(axes.transData.transform([(point.x, point.y) for point in points]))
    shares = shares.clip(0, 1)  # points of huge values may lie anywhere by rounding
    taken: list[tuple[float, float, float]] = []
    for (share, height), point in sorted(zip(shares, points, strict=True), key=lambda one: -one[0][1]):
        side, right, up = ("left", 5.0, 4.0) if share < 0.5 else ("right", -5.0, 4.0)
        mark = printable(point.mark)
        width = letter * len(mark)
        first = area * share + right - (width if side == "right" else 0.0)
        while any(
            first < end and begin < first + width and abs(area * height + up - other) < line
            for begin, end, other in taken
        ):
            up -= line / 4
        taken.append((first, first + width, area * height + up))
        axes.annotate(mark, (point.x, point.y), xytext=(right, up), textcoords="offset points", ha=side)


def _draw_curves(axes: Axes, chart: CurveChart) -> _Named:
    named: _Named = []
    if chart.diagonal is not None:
        axes.plot(chart.diagonal, chart.diagonal, color=_QUIET, linestyle="--", linewidth=1)
        margin = 0.02 * (chart.diagonal[1] - chart.diagonal[0])
        axes.set_xlim(chart.diagonal[0] - margin, chart.diagonal[1] + margin)
        axes.set_ylim(chart.diagonal[0] - margin, chart.diagonal[1] + margin)
    for index, curve in enumerate(chart.curves):
        (line,) = axes.plot(
            curve.x,
            curve.y,
            color=PALETTE[index % len(PALETTE)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            # A step curve has two points a step: a few marks identify it, all marks would hide it.
            markevery=1 if curve.marked else max(len(curve.x) // 5, 1),
            linestyle=("-", "--", ":")[index // len(PALETTE) % 3],
            linewidth=1.6,
        )
        named.append((line, curve.label))
    axes.grid(linewidth=0.6)
    return named


def _draw_boxes(axes: Axes, chart: BoxChart) -> None:
    import numpy as np

    axes.use_sticky_edges = False  # otherwise the dots of a box that ends at the least value are cut in half
    random = np.random.default_rng(0)  # the height of a dot within its row has no meaning
    for row, values in enumerate(chart.boxes.values()):
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        axes.barh(row, high - low, 0.7, left=low, facecolor="none", edgecolor=_TEXT, linewidth=1)
        axes.plot((middle, middle), (row - 0.35, row + 0.35), color=_TEXT, linewidth=2)
        places = row + random.uniform(-0.25, 0.25, len(values))
        axes.add_patch(_dots(np.column_stack([values, places]), 3, PALETTE[0]))
    _name_rows(axes, chart.boxes)
    axes.grid(axis="x", linewidth=0.6)


def _dots(places: Any, points: float, colour: str) -> Patch:
    """Return dots at ``places``, shape (dots, 2), as one path: lines without length, with round ends.

    An element for each of the thousands of dots in the drawings of a suite of scorers was a third of its page (ours).
    """
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    path = Path(np.repeat(places, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(places)))
    path.should_simplify = False  # because it would leave out what has no length
    return PathPatch(path, facecolor="none", edgecolor=colour, alpha=0.6, linewidth=points, capstyle="round")


def _log_x(axes: Axes) -> None:
    """Make the x axis logarithmic, with ticks at powers of ten, at 2 and 5 times them if few, as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FEW_DECADES * low else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _inline(svg: str, title: str) -> str:
    """Return the <svg> element alone, short, in the page's colours and font.

    matplotlib writes six digits after the point, the style of every mark beside it, and groups of one: drawings were
    four fifths of the page of a long suite, without its rows (ours). Here a tenth of a point is enough, which is an
    eighth of a pixel, and each style stands once, as a class.
    """
    text = svg[svg.index("<svg") :].replace("DejaVu Sans", "system-ui")
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, variable)
    root = ElementTree.fromstring(text)  # noqa: S314 — matplotlib's, of a moment ago
    styles: dict[str, str] = {}
    _shorten(root, styles)
    size = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {"role": "img", "aria-label": title, "viewBox": size}
    general = next(root.iter("style"))
    general.text = (general.text or "") + "".join(f".{name}{{{style}}}" for style, name in styles.items())
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _shorten(element: ElementTree.Element, styles: dict[str, str]) -> None:
    """Shorten an element and all in it, and collect each style with the name of its class."""
    # In HTML, SVG has no namespaces.
    element.tag = _local(element.tag)
    kept = {_local(name): value for name, value in element.attrib.items()}
    if element.tag == "g":
        kept.pop("id", None)  # drawings have the same ids of groups, and nothing refers to them
    if re.match(r"rotate\(-?0 ", kept.get("transform", "")):
        del kept["transform"]
    style = kept.pop("style", None)
    if style is not None:
        # The name is made of the style, because a class holds for the whole page and all its drawings.
        kept["class"] = styles.setdefault(style, f"s{hashlib.sha256(style.encode()).hexdigest()[:6]}")
    for name in _COORDINATES & kept.keys():
        kept[name] = _DECIMALS.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), kept[name])
    if "d" in kept:
        kept["d"] = re.sub(r" *([A-Za-z]) *", r"\1", kept["d"]).strip()
        kept["d"] = re.sub(r"M([\d. -]+)L\1(?=M|$)", r"M\1h0", kept["d"])
    element.attrib.clear()
    element.attrib |= kept
    children: list[ElementTree.Element] = []
    for child in element:
        if _local(child.tag) == "metadata":
            continue
        _shorten(child, styles)
        # A group without attributes changes nothing: its children take its place.
        children.extend(child if child.tag == "g" and not child.attrib else [child])
    for child in children:
        child.tail = None
    if element.tag not in ("text", "style"):
        element.text = None
    element[:] = children
    _share_class(element)


def _share_class(group: ElementTree.Element) -> None:
    """Move a class that all marks of a group have to the group.

    The properties of these classes are inherited, because matplotlib writes fill-opacity and not opacity.
    """
    marks = [child for child in group if child.tag == "use"]
    classes = {mark.get("class") for mark in marks}
    if group.tag == "g" and len(classes) == 1 and None not in classes:
        group.set("class", str(marks[0].get("class")))
        for mark in marks:
            del mark.attrib["class"]


def _local(name: str) -> str:
    return name.rpartition("}")[2]
