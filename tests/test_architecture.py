"""The rooms of the code form no circle, and docs/architecture.svg shows them as they are."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

_SPEC = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
assert _SPEC is not None
assert _SPEC.loader is not None
architecture = importlib.util.module_from_spec(_SPEC)
sys.modules["architecture"] = architecture  # dataclasses look their module up there
_SPEC.loader.exec_module(architecture)

COUNT = re.compile(r"([\d,]+) lines")
MOST_OFF, FEWEST_LINES = 0.1, 20
"""How far a line count in the picture may be from the code's, as a share or in lines: not every change of the code has
to make another picture."""


def package(folder: Path, files: dict[str, str]) -> Path:
    """Return the folder of a package called acme, made of these files."""
    for name, text in {"__init__.py": "", **files}.items():
        file = folder / "acme" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "acme"


@pytest.fixture(scope="module")
def rooms() -> list[Any]:
    """The rooms of mashkit."""
    return architecture.rooms()


def test_rooms_form_no_circle(rooms: list[Any]) -> None:
    circles = architecture.circles(rooms)
    between = [
        str(one)
        for circle in circles
        for room in rooms
        for needed, imports in room.needs.items()
        if {room.name, needed} <= set(circle)
        for one in imports
    ]
    assert not circles, "\n".join(between)


@pytest.mark.parametrize(
    "backwards",
    [
        "import acme.high.top",
        "from acme import high",
        "from acme.high import top",
        "from acme.high.top import VALUE",
        "from .high import top",
        "def run():\n    from acme.high.top import VALUE",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from acme.high.top import VALUE",
        "import importlib\nimportlib.import_module('acme.high.top')",
        "from acme.middle import SOMETHING",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(tmp_path: Path, backwards: str) -> None:
    files = {
        "high/__init__.py": "",
        "high/top.py": "from acme import low\nVALUE = 1",
        "middle.py": "from acme.high.top import VALUE\nSOMETHING = 1",
        "low.py": "import os",
    }
    assert architecture.circles(architecture.rooms(package(tmp_path, files))) == []
    circles = architecture.circles(architecture.rooms(package(tmp_path, files | {"low.py": backwards})))
    assert len(circles) == 1
    assert {"high", "low"} <= set(circles[0])


def test_a_circle_within_a_room_is_the_rooms_own(tmp_path: Path) -> None:
    files = {"room/__init__.py": "", "room/one.py": "from acme.room import two", "room/two.py": "from .one import f"}
    (room,) = (room for room in architecture.rooms(package(tmp_path, files)) if room.name == "room")
    assert room.needs == {}


def test_each_room_lies_above_all_that_it_needs(rooms: list[Any]) -> None:
    names = [room.name for room in rooms]
    for room in rooms:
        assert all(names.index(room.name) < names.index(needed) for needed in room.needs), room.name


def test_what_serves_tests_is_needed_by_nothing_else(rooms: list[Any]) -> None:
    assert [room.name for room in rooms if "testing" in room.needs] == []


def test_the_picture_is_that_of_the_code(rooms: list[Any]) -> None:
    drawn, due = architecture.PICTURE.read_text(encoding="utf-8"), architecture.drawing(rooms)
    assert COUNT.sub("", drawn) == COUNT.sub("", due), "run `python docs/architecture.py`"
    for was, now in zip(COUNT.findall(drawn), COUNT.findall(due), strict=True):
        lines, there = int(was.replace(",", "")), int(now.replace(",", ""))
        assert abs(lines - there) <= max(MOST_OFF * there, FEWEST_LINES), "run `python docs/architecture.py`"
