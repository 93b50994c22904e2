"""The rooms of mashkit's code, what each needs of the others, and a picture of them: ``python docs/architecture.py``.

A room is a package directly under mashkit/ with everything in it, or a module that lies there by itself. The public
names (`mashkit/__init__.py`) are a room, too; `mashkit/__main__.py` belongs to the command line, which it starts.

A room needs another if an import in it names a module of the other. The place of the import does not matter. An import
in a function counts, because the function fails without the other room. An import under TYPE_CHECKING counts, because
whoever reads the room has to know what it names.

`tests/test_architecture.py` fails if rooms need each other in a circle, or if the picture is not that of the code.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

CODE = Path(__file__).parents[1] / "mashkit"
PICTURE = Path(__file__).with_name("architecture.svg")

MARGIN, HEAD, TEXT, CELL, TOP, LINE, CHARACTERS = 12, 110, 470, 13, 18, 14, 84
"""The picture in pixels: margin, heads of the columns, width of the text, width of a column, first line of a row, each
line of its sentence; and the characters in such a line."""
STYLE = (
    "text{font-family:sans-serif;font-size:11px;fill:#444}.name{font-size:13px;font-weight:bold;fill:#111}"
    ".lines{text-anchor:end}.row{fill:#f4f4f4}.self{fill:#ccc}.need{fill:#2563a8}"
)


@dataclass(frozen=True)
class Import:
    """One import of a module of the package by another: the dotted names of both, and the line it stands in."""

    importer: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


@dataclass(frozen=True)
class Room:
    """A room of the code.

    Parameters
    ----------
    name : str
    sentence : str
        The first of its docstring.
    lines : int
        Of all its files, with comments and blanks.
    needs : dict of str to list of Import
        Other room → the imports by which this one needs it.
    """

    name: str
    sentence: str
    lines: int
    needs: dict[str, list[Import]]


def modules(code: Path) -> dict[str, Path]:
    """Return dotted name → file of every module of the package in ``code``."""
    names = {path: (code.name, *path.relative_to(code).with_suffix("").parts) for path in sorted(code.rglob("*.py"))}
    return {".".join(name[:-1] if name[-1] == "__init__" else name): path for path, name in names.items()}


def room_of(module: str) -> str:
    """Return the room of a module, given its dotted name."""
    package, *below = module.split(".")
    room = below[0] if below else package
    return "cli" if room == "__main__" else room


def imports(code: Path) -> Iterator[Import]:
    """Yield every import of one module of the package in ``code`` by another, wherever it stands."""
    known = modules(code)
    for module, path in known.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found = dict.fromkeys(_named(ast.parse(path.read_text(encoding="utf-8")), package))
        for line, name in found:
            # "from mashkit.catalog import clips" names a module, or something in one.
            imported = name if name in known else name.rpartition(".")[0]
            if imported in known and imported != module:
                yield Import(module, line, imported)


def _named(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the dotted names of every import in a module of ``package``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
            yield from (
                (node.lineno, one.value)
                for one in node.args
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def rooms(code: Path = CODE) -> list[Room]:
    """Return the rooms of the package in ``code``: each above all that it needs, as far as they form no circle."""
    files: dict[str, list[Path]] = {}
    for module, path in modules(code).items():
        files.setdefault(room_of(module), []).append(path)
    needs: dict[str, dict[str, list[Import]]] = {name: {} for name in files}
    for one in imports(code):
        if room_of(one.importer) != room_of(one.imported):
            needs[room_of(one.importer)].setdefault(room_of(one.imported), []).append(one)
    ordered: list[str] = []
    while len(ordered) < len(files):
        # From the bottom: first the rooms that need no room that is not placed yet. In a circle there is none: then
        # those that need the fewest.
        lacking = {name: len(needs[name].keys() - set(ordered)) for name in files if name not in ordered}
        ordered += sorted((name for name, count in lacking.items() if count == min(lacking.values())), reverse=True)
    return [
        Room(
            name,
            _first_sentence(files[name]),
            sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files[name]),
            needs[name],
        )
        for name in reversed(ordered)
    ]


def _first_sentence(files: list[Path]) -> str:
    file = next((path for path in files if path.name == "__init__.py"), files[0])
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())
    return re.split(r"(?<=[.?!]) ", text)[0]


def circles(of: list[Room]) -> list[list[str]]:
    """Return the sets of rooms of which each needs, directly or not, every other: a circle or more go through them."""
    needs = {room.name: set(room.needs) for room in of}
    reached = {name: _reached(needs, name) for name in needs}
    found = {frozenset({name} | {one for one in reached[name] if name in reached[one]}) for name in needs}
    return sorted(sorted(names) for names in found if len(names) > 1)


def _reached(needs: Mapping[str, set[str]], start: str) -> set[str]:
    reached, ahead = set[str](), [start]
    while ahead:
        new = needs[ahead.pop()] - reached
        reached |= new
        ahead += new
    return reached


def drawing(of: list[Room]) -> str:
    """Return the picture as SVG: a row and a column a room, in one order, and a dot where the row's needs the column's.

    Where no circle is, every dot lies right of the diagonal.
    """
    left = MARGIN + TEXT + MARGIN
    columns = {room.name: left + CELL * index for index, room in enumerate(of)}
    width, y = left + CELL * len(of) + MARGIN, HEAD
    parts = [
        f'<text transform="translate({x + 10} {HEAD - 6}) rotate(-60)">{escape(name)}</text>'
        for name, x in columns.items()
    ]
    for index, room in enumerate(of):
        sentence = textwrap.wrap(room.sentence, CHARACTERS)
        height = TOP + LINE * len(sentence) + 4
        if index % 2 == 0:
            parts.append(f'<rect class="row" x="0" y="{y}" width="{width}" height="{height}"/>')
        parts.append(f'<rect class="self" x="{columns[room.name]}" y="{y}" width="{CELL}" height="{height}"/>')
        parts.append(f'<text class="name" x="{MARGIN}" y="{y + 15}">{escape(room.name)}</text>')
        parts.append(f'<text class="lines" x="{MARGIN + TEXT}" y="{y + 15}">{room.lines:,} lines</text>')
        for number, text in enumerate(sentence):
            parts.append(f'<text x="{MARGIN}" y="{y + TOP + LINE * number + 11}">{escape(text)}</text>')
        parts += [
            f'<circle class="need" cx="{columns[name] + CELL / 2}" cy="{y + height / 2}" r="4">'
            f"<title>{escape(room.name)} needs {escape(name)}</title></circle>"
            for name in sorted(room.needs, key=list(columns).index)
        ]
        y += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + MARGIN}" width="{width}">'
    background = f'<rect width="{width}" height="{y + MARGIN}" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", background, *parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(rooms()), encoding="utf-8")
