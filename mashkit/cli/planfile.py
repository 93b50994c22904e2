"""Read plans from a file: a plan in JSON on each line, or a single plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs

from mashkit.arguments import named_text
from mashkit.cli.console import say
from mashkit.errors import PlanError
from mashkit.paths import path_text
from mashkit.types import MashupPlan


@attrs.frozen
class PlanFile:
    """The plans of a file.

    Parameters
    ----------
    plans : tuple of MashupPlan
    failures : tuple of dict
        Entries of --json for the invalid lines: "line", as "FILE, line 3", and "error".
    """

    plans: tuple[MashupPlan, ...] = ()
    failures: tuple[dict[str, str], ...] = ()


def read_plans(paths: Sequence[Path]) -> PlanFile:
    """Return the plans in files of `generate` and in plan.json files; an invalid line is said and listed.

    Raises
    ------
    UsageError
        If a file cannot be read as text.
    PlanError
        If there is no plan in a file, or no line of it is a plan.
    """
    plans: list[MashupPlan] = []
    failures: list[dict[str, str]] = []
    for path in paths:
        found, errors = _read(path)
        if errors and not found:
            raise errors[0][1]
        if not found:
            raise PlanError(f"{path_text(path)}: there is no plan in it", "give a file that `mashkit generate` wrote")
        for place, error in errors:
            say(str(error))
            failures.append({"line": place, "error": str(error)})
        plans += found
    return PlanFile(tuple(plans), tuple(failures))


def _read(path: Path) -> tuple[list[MashupPlan], list[tuple[str, PlanError]]]:
    """Return the plans in a file, and the place and the error of each invalid line."""
    text = named_text(path, "give a file that `mashkit generate` wrote")
    name = path_text(path)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits, and brackets that are too deep
        lines = text.split("\n")  # not splitlines(), which ends a line also at characters that JSON may contain
        if not any(map(_is_object, lines)):  # not a file of a plan a line, but one plan with a mistake
            if not isinstance(error, json.JSONDecodeError):
                raise PlanError(f"{name}: a plan is not JSON: {error}") from error
            place = f"{name}, line {error.lineno}"
            raise PlanError(f"{place}: a plan is not JSON: {error.msg}, column {error.colno}") from error
        parts = [(f"{name}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    else:
        parts = [(name, text)]  # a file of one line is one plan, and so is a plan.json
    plans, errors = [], []
    for place, part in parts:
        try:
            plans.append(MashupPlan.from_json(part))
        except PlanError as error:
            errors.append((place, PlanError(f"{place}: {error.problem}", error.fix)))
    return plans, errors


def _is_object(line: str) -> bool:
    """Return whether a line alone is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
