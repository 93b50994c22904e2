"""Read plans from a file: a plan in JSON on each line, or a single plan."""

from __future__ import annotations

import json
from pathlib import Path

from mashkit.arguments import named_text
from mashkit.errors import PlanError
from mashkit.types import MashupPlan


def read_plans(path: Path) -> list[MashupPlan]:
    """Return the plans in a file of `generate`, or in a plan.json.

    Raises
    ------
    UsageError
        If the file cannot be read as text.
    PlanError
        If the file contains other data.
    """
    text = named_text(path, "give a file that `mashkit generate` wrote")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        plans = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    plans.append(MashupPlan.from_json(line))
                except PlanError as error:
                    raise PlanError(f"{path}, line {number}: {error.problem}", error.fix) from error
        return plans
    try:
        return [MashupPlan.from_dict(whole)]  # a file of one line is one plan, and so is a plan.json
    except PlanError as error:
        raise PlanError(f"{path}: {error.problem}", error.fix) from error
