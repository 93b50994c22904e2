"""The file of a taste: JSON, so that it can be read by people and cannot run code."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.atomicfile import write_json
from mashkit.paths import path_text
from mashkit_taste.errors import TasteError
from mashkit_taste.features import Chosen
from mashkit_taste.head import Scale, Values

KIND, FORMAT = "mashkit taste", 2
AGAIN = "fit it again: mashkit train --preferences"
FIX = "give a file that `mashkit train --preferences` wrote"


@attrs.frozen(kw_only=True, eq=False)
class Taste:
    """A fitted taste: which features count how much.

    Parameters
    ----------
    scorers : sequence of Chosen
    names : sequence of str, length k
        Features: "amu" is a scorer's value, "amu.harmony" one of its parts.
    scale : Scale
    weights : array of float64, shape (k,)
        Log odds for each standard deviation of a feature.
    record : mapping
        How it was made: answers, accuracy, penalty, seed, versions, warnings. JSON data.
    weights_of : mapping of str to mapping
        Scorer → its weight files, name → SHA-256, as they were when the taste was fitted.
    """

    scorers: Sequence[Chosen]
    names: Sequence[str]
    scale: Scale
    weights: Values
    record: Mapping[str, Any]
    weights_of: Mapping[str, Mapping[str, str]]

    def utility(self, rows: Sequence[Mapping[str, float]]) -> Values:
        """Return the log odds, shape (mashups,), that each is preferred to the mean mashup of the answers."""
        values = rows_of(rows, self.names)
        utility: Values = self.scale.apply(values) @ self.weights
        return utility

    def save(self, path: Path) -> None:
        """Write the file.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        columns = zip(self.names, self.scale.log_odds.tolist(), self.scale.mean.tolist(), self.scale.spread.tolist(),
                      self.weights.tolist(), strict=True)  # fmt: skip
        write_json(
            path,
            {
                "kind": KIND,
                "format": FORMAT,
                **self.record,
                "scorers": [
                    {"name": one.name, "options": dict(one.options), "weights": dict(self.weights_of[one.name])}
                    for one in self.scorers
                ],
                "features": [
                    {"name": name, "log_odds": opened, "mean": mean, "spread": spread, "weight": weight}
                    for name, opened, mean, spread, weight in columns
                ],
            },
        )


def rows_of(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Values:
    """Return the values of these features, shape (rows, names); NaN where there is none."""
    return np.array([[row.get(name, math.nan) for name in names] for row in rows], np.float64).reshape(-1, len(names))


def read(path: Path) -> Taste:
    """Read the file of a taste.

    Raises
    ------
    TasteError
        If it cannot be read, or is not a taste of this format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TasteError(f"{path_text(path)} cannot be read: {error}", FIX) from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise TasteError(f"{path_text(path)} is not a taste", FIX)
    if data.get("format") != FORMAT:
        raise TasteError(
            f"{path_text(path)}: a taste of format {data.get('format')!r}; this version reads format {FORMAT}", AGAIN
        )
    try:
        features, scorers = data["features"], data["scorers"]
        columns = {
            name: np.array([float(one[name]) for one in features]) for name in ("mean", "spread", "weight", "log_odds")
        }
        if not features or not all(np.isfinite(column).all() for column in columns.values()):
            raise ValueError("a feature is not finite, or there is none")
        return Taste(
            scorers=[Chosen(str(one["name"]), dict(one["options"])) for one in scorers],
            names=[str(one["name"]) for one in features],
            scale=Scale(columns["log_odds"] > 0, columns["mean"], columns["spread"]),
            weights=columns["weight"],
            record={name: value for name, value in data.items()
                    if name not in ("kind", "format", "features", "scorers")},
            weights_of={str(one["name"]): dict(one["weights"]) for one in scorers},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise TasteError(f"{path_text(path)} is a damaged taste: {error!r}", AGAIN) from error
