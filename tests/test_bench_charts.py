"""Charts of benchmarks: what is drawn can be read, follows the page's colours, and is the same for the same data."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mashkit[bench]'")

from mashkit.bench.charts import BoxChart, Curve, CurveChart, Point, RowChart, ScatterChart, draw


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def rows(values: Sequence[float | None], **more: object) -> RowChart:
    fields = {"title": "Late & <early>", "caption": "", "x_label": "ms", "labels": ["a", "b"], **more}
    return RowChart(series={"beats": values}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "there", "missing"),
    [
        (4.0, 25.0, {"5", "10", "20"}, {"1", "100"}),  # less than a decade has more than one number
        (0.9, 300.0, {"1", "2", "5", "10", "100"}, set()),
        (0.1, 5000.0, {"0.1", "1", "10", "100", "1000"}, {"0.2", "5", "20"}),  # many decades: no crowd
    ],
)
def test_a_logarithmic_axis_can_be_read(low: float, high: float, there: set[str], missing: set[str]) -> None:
    row = rows([low, high], log=True)
    points = [Point("1", "x", low, 0.0), Point("2", "x", high, 1.0)]
    scatter = ScatterChart(title="t", caption="", x_label="ms", y_label="", points=points, log_x=True)
    assert there <= set(texts(draw(row)))
    assert not missing & set(texts(draw(row)))
    assert there <= set(texts(draw(scatter)))


def test_marks_of_near_points_do_not_lie_on_each_other() -> None:
    points = [Point(f"mark-{number}", "x", 1000 + number, 70 + 0.1 * number) for number in range(5)]
    far = Point("far", "x", 1.0, 10.0)
    svg = draw(ScatterChart(title="t", caption="", x_label="", y_label="", points=[*points, far], log_x=True))
    heights = {
        text: float(height) for height, text in re.findall(r'<text[^>]* y="([^"]*)"[^>]*>(mark-\d|far)</text>', svg)
    }
    assert set(heights) == {"far", *(point.mark for point in points)}
    assert min(np.diff(sorted(heights[point.mark] for point in points))) > 8  # letters are 10.5 high


@pytest.mark.filterwarnings("ignore")
def test_marks_of_huge_values_end() -> None:
    points = [Point(f"mark-{number}", "x", 1.0 + number, 1e300 * (1 + 1e-15 * number)) for number in range(4)]
    assert "mark-3" in draw(ScatterChart(title="t", caption="", x_label="", y_label="", points=points))


def test_colours_are_the_pages_and_titles_are_text() -> None:
    svg = draw(rows([1.0, 2.0], limit=1.5))
    assert "var(--text)" in svg
    assert not re.search(r"#0[1-4]0[1-4]0[1-4]\b", svg)
    assert 'aria-label="Late &amp; &lt;early&gt;"' in svg
    assert draw(rows([1.0, 2.0], limit=1.5)) == svg


def test_every_value_of_a_box_is_a_dot_in_its_place() -> None:
    values = np.linspace(0, 1, 400)  # more than matplotlib draws without simplifying
    svg = draw(BoxChart(title="t", caption="", x_label="", boxes={"a": values.tolist()}))
    dots = [[float(x) for x in re.findall(r"M([\d.]+) [\d.]+h0", path)] for path in re.findall(r' d="([^"]+)"', svg)]
    found = max(dots, key=len)
    assert len(found) == 400
    steps = np.diff(found)
    assert steps.min() >= 0
    np.testing.assert_allclose(steps, np.mean(steps), atol=0.11)  # places are rounded to a tenth of a point
    assert len(svg) < 25_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("largest", "unit"), [(1.5e308, "1e+308"), (5e-320, "1e-320"), (3e-310, "1e-310")])
@pytest.mark.parametrize("least", [0.0, -1.0])
def test_values_of_any_size_are_drawn(largest: float, unit: str, least: float) -> None:
    boxes = {"a": [least * largest, 0.5 * largest, largest], "b": [0.0]}
    said = texts(draw(BoxChart(title="t", caption="", x_label="score", boxes=boxes)))
    assert f"score, divided by {unit}" in said
    assert len([text for text in said if re.fullmatch(r"[\d.−]+", text)]) > 3


def test_usual_values_are_drawn_as_they_are() -> None:
    for values in ([0.0], [1e12, 1e12 + 1], [1e-200, 1e200]):
        assert "score" in texts(draw(BoxChart(title="t", caption="", x_label="score", boxes={"a": values})))


@pytest.mark.parametrize(
    ("label", "shown"),
    [("$HOME/$x_y_z$", "$HOME/$x_y_z$"), ("5 $_6^ of $7", "5 $_6^ of $7"), ("_ours", "_ours"), ("a\x1bb", r"a\x1bb"),
     ("caf\udce9", r"caf\xe9")],
)  # fmt: skip
def test_labels_are_shown_as_they_are(label: str, shown: str) -> None:
    told = {"title": f"{label}: scores", "caption": "", "x_label": "x"}
    other = "other"
    for chart in (
        RowChart(labels=[label], series={other: [1.0]}, **told),
        RowChart(labels=[other], series={label: [1.0], "second": [2.0]}, **told),
        RowChart(labels=[other], series={label: [1.0], "second": [2.0]}, style="bars", **told),
        ScatterChart(y_label="y", points=[Point(label, "", 1, 1)], **told),
        ScatterChart(y_label="y", points=[Point("1", label, 1, 1), Point("2", other, 1, 1)], **told),
        CurveChart(y_label="y", curves=[Curve(label, [0, 1], [0, 1])], **told),
        BoxChart(boxes={label: [1.0, 2.0]}, **told),
    ):
        assert shown in texts(draw(chart))


def test_what_was_not_measured_is_no_mark() -> None:
    def marks(values: Sequence[float | None]) -> int:
        return draw(rows(values, labels=["a", "b", "c"])).count("<use ")

    assert marks([1.0, 1.5, 2.0]) - marks([1.0, None, 2.0]) == 1
    assert "Nothing was measured" in draw(rows([None, None]))
    nothing = CurveChart(title="t", caption="", x_label="", y_label="", curves=[])
    assert "Nothing was measured" in draw(nothing)


def test_beyond_six_curves_are_told_apart_by_dashes() -> None:
    def drawn(count: int) -> str:
        curves = [Curve(f"c{number}", [0, 1], [0, number]) for number in range(count)]
        return draw(CurveChart(title="t", caption="", x_label="", y_label="", curves=curves))

    assert "stroke-dasharray" not in drawn(6)
    assert "stroke-dasharray" in drawn(7)
