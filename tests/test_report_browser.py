"""The pages of mashups and of collections in a browser: no text stands over another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import LOOKS, needs_chromium, opened_browser, overprinted
from light import Turntable
from mashkit.catalog import MashupDB
from mashkit.pipeline import Ranked
from mashkit.rendering.renderer import Renderer
from mashkit.report import collection, page
from mashkit.report.statistics import statistics
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Condition, Key, Layer, MashupPlan, Role, Score

pytestmark = [pytest.mark.whole, needs_chromium]

SCREENS = ["desktop light", "phone light"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    context = browser.new_context(**LOOKS[request.param])
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def mashup_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = SyntheticSource([(Key(7, "minor"), 104.0), (Key(0, "major"), 102.0), (Key(10, "major"), 92.0)], bars=1)
    layers = [
        Layer(role=role, clip_id=clip.id, semitones=semitones)
        for role, clip, semitones in zip(Role, source.clips, (0, 2, 0), strict=True)
    ]
    plan = MashupPlan(condition=Condition.MATCHED, layers=layers, duration_s=2.0, seed=7)
    score = Score(0.5, "ordinal", {"vocal-harmonic": 0.5, "harmonic-percussion": 0.25})
    made = page([Ranked(Renderer(source, Turntable()).mashup(plan), score, 1)], title="Mine")
    path = tmp_path_factory.mktemp("mashups") / "page.html"
    path.write_text(made, encoding="utf-8")
    return path


def test_the_facts_of_a_layer_stand_beside_their_names(mashup_page: Path, screen: Any) -> None:
    screen.goto(mashup_page.as_uri())
    assert overprinted(screen, ".layer dt, .layer dd, .score dt, .score dd") == []


@pytest.mark.parametrize("columns", [1, 4, 12, 22, 23, 40])
def test_the_labels_of_the_map_stand_beside_each_other(columns: int, screen: Any, tmp_path: Path) -> None:
    found = statistics(MashupDB(tmp_path / "database"))
    counts = [[1] * columns] * 12
    edges = [80 + 10 * column for column in range(columns + 1)]
    found["map"] = {**found["map"], "tempo_edges": edges, "major": counts, "minor": counts}
    (tmp_path / "page.html").write_text(collection.page(found, title="Mine"), encoding="utf-8")
    screen.goto((tmp_path / "page.html").as_uri())
    assert overprinted(screen, "figure svg text") == []
    if columns <= 22 and screen.viewport_size["width"] > 1000:
        size = screen.evaluate("document.querySelector('figure svg text').getBoundingClientRect().height")
        assert 10 < size < 18  # as large as the other small text of the page
