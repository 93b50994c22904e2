"""Plans from a file: one JSON a line, or one plan."""

from __future__ import annotations

import json
from pathlib import Path

from mashkit.errors import PlanError
from mashkit.types import MashupPlan


def read_plans(path: Path) -> list[MashupPlan]:
    """Return the plans in a file: what `generate` wrote, or one plan.json.

    Raises
    ------
    PlanError
        If it cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read as text: {error}", "give what `mashkit generate` wrote") from error
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
    return [MashupPlan.from_dict(whole)]  # a file of one line is one plan, and so is a plan.json
