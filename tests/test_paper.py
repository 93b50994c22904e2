"""docs/paper.md says how the paper is read: the code cites its rows, and its rows name the code, with true values."""

from __future__ import annotations

import ast
import importlib
import re
import types
from pathlib import Path
from typing import Any

import attrs
import pytest

from mashkit.builtin.paper import PaperGenerator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "paper.md"
CITATION = re.compile(r"docs/paper\.md(?:, rows? (\d[\d–, ]*(?:and \d[\d–]*)?))?")
"""A citation of rows; the group is None where the page is named without one."""


def rows() -> dict[int, dict[str, str]]:
    """Return the cells of each row by the heading of their column."""
    found = {}
    headings: list[str] = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells[:1] == ["row"]:
            headings = cells
        elif cells and cells[0].isdecimal():
            number = int(cells[0])
            assert number not in found, f"row {number} comes twice"
            found[number] = dict(zip(headings, cells, strict=True))
    return found


ROWS = rows()


def numbers(text: str) -> set[int]:
    """Return the rows that "5–9, 11 and 14" names."""
    found: set[int] = set()
    for part in re.findall(r"\d+(?:–\d+)?", text):
        first, _, last = part.partition("–")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def places(number: int) -> list[str]:
    """Return the places in the code that a row names: dotted names, some with " = " and a value."""
    return re.findall(r"`([^`]+)`", ROWS[number]["in the code"])


def value_of(dotted: str) -> Any:
    """Return what a dotted name stands for; of an option, its default. Raises AttributeError if there is nothing."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            # The rest of the name is looked up in the module. A module that lacks something it imports is another case.
            if not ".".join(parts).startswith(str(error.name)):
                raise
            continue
        for name in parts[length:]:
            fields = attrs.fields_dict(found) if isinstance(found, type) and attrs.has(found) else {}
            found = fields[name].default if name in fields else getattr(found, name)
        return found
    raise AttributeError(dotted)


def sources() -> list[Path]:
    """Return every file that may cite the page, but this one."""
    folders = ("mashkit", "tests", "benchmarks", "examples", "docs", "plugins")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".toml"))
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "plugins").glob("*/README.md"), ROOT / "benchmarks" / "README.md"]
    return [path for path in (*found, *pages) if path != Path(__file__) and "results" not in path.parts]


def text_of(path: Path) -> str:
    """Return a file's text with each line break, and the comment sign after it, as one blank."""
    return re.sub(r"\s*\n\s*(?:# )?", " ", path.read_text())


def module_of(path: Path) -> str | None:
    """Return the dotted name of a module of mashkit or a plugin; None for tests, benchmarks and pages."""
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    if path.suffix != ".py" or parts[0] not in ("mashkit", "plugins") or "tests" in parts:
        return None
    if parts[0] == "plugins":
        parts = parts[parts.index("src") + 1 :] if "src" in parts else parts
    return ".".join(parts).removesuffix(".__init__")


def test_the_rows_are_numbered_without_a_gap() -> None:
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 34
    for number, row in ROWS.items():
        assert all(row.values()), f"row {number} has an empty cell"
        assert places(number), f"row {number} names no place in the code"


def of_plugins(number: int) -> bool:
    return any(not place.startswith("mashkit.") for place in places(number))


@pytest.mark.parametrize(
    "number", [pytest.param(one, marks=[pytest.mark.plugins] if of_plugins(one) else []) for one in ROWS]
)
def test_what_a_row_names_is_in_the_code_and_has_that_value(number: int) -> None:
    for place in places(number):
        name, equals, value = place.partition(" = ")
        if not name.startswith("mashkit."):
            pytest.importorskip(name.partition(".")[0])
        found = value_of(name)
        if equals:
            assert found == ast.literal_eval(value), place
            assert type(found) is type(ast.literal_eval(value)), place


CITING = [path for path in sources() if "docs/paper.md" in path.read_text()]


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_citation_leads_to_rows_that_name_what_cites_them(path: Path) -> None:
    module = module_of(path)
    for citation in CITATION.finditer(text_of(path)):
        assert citation[1] is not None, f"{path} names docs/paper.md and no row"
        for number in numbers(citation[1]):
            assert number in ROWS, f"{path} cites row {number}, which is not there"
            named = [place.partition(" = ")[0] for place in places(number)]
            assert module is None or any(f"{name}.".startswith(f"{module}.") for name in named), (
                f"{path} cites row {number}, which does not name {module}"
            )


def test_the_code_cites_the_page() -> None:
    """Else the test above would test nothing."""
    cited = [
        number
        for path in sources()
        if module_of(path) is not None
        for citation in CITATION.finditer(text_of(path))
        for number in numbers(citation[1] or "")
    ]
    assert len(set(cited)) >= 24
    assert numbers("5–9, 11 and 14") == {5, 6, 7, 8, 9, 11, 14}
    assert CITATION.fullmatch("docs/paper.md, rows 5–9, 11 and 14") is not None
    with pytest.raises(AttributeError):
        value_of("mashkit.features.tuning.IN_TUNE_METRES")


def test_nothing_cites_what_is_not_in_the_repository() -> None:
    for path in sources():
        assert not re.search(r"\bSPEC\b(?!\w)", path.read_text()), path


def test_every_option_of_the_papers_generator_has_a_row() -> None:
    named = {place.partition(" = ")[0] for number in ROWS for place in places(number)}
    for field in attrs.fields(PaperGenerator):
        if field.init:
            assert f"mashkit.builtin.paper.PaperGenerator.{field.name}" in named


def test_a_cited_heading_is_on_the_page() -> None:
    cited = [
        (path, found[1], found[2])
        for path in sources()
        for found in re.finditer(r'docs/([\w-]+\.md), "([^"]+)"', text_of(path))
    ]
    assert len(cited) >= 2
    for path, page, heading in cited:
        headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)
        assert heading in headings, f"{path} cites docs/{page}, {heading!r}"


def test_dotted_names_are_looked_up_as_the_rows_need_it() -> None:
    assert value_of("mashkit.builtin.paper.PaperGenerator.max_shift") == attrs.fields(PaperGenerator).max_shift.default
    assert isinstance(value_of("mashkit.rendering.renderer"), types.ModuleType)


def test_the_glossary_defines_each_word_once_in_two_sentences_at_most() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    entries = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", text, flags=re.MULTILINE)
    words = [word for word, _ in entries]
    assert words == sorted(words, key=str.lower)
    assert len(set(words)) == len(words)
    assert {
        "stem", "role", "clip", "downbeat", "matched", "unmatched", "original", "contrast pair", "twin", "LSRO",
        "baseline", "dataset layout", "experiment protocol", "tuning", "beat map", "plan", "rendering",
    } <= set(words)  # fmt: skip
    for word, meaning in entries:
        assert len(re.findall(r"\.(?: |$)", meaning)) <= 2, word
