"""The scorer: how likely it is that you prefer a mashup to a middling one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np

from mashkit.components import ComponentInfo
from mashkit.errors import ComponentUnavailable
from mashkit.interfaces import Scorer
from mashkit.licences import joined
from mashkit.mashup import Mashup
from mashkit.models import file_sha256, optional_path
from mashkit.paths import path_text
from mashkit.registry import Registry
from mashkit.types import Score
from mashkit_taste import TASTE
from mashkit_taste.errors import TasteError
from mashkit_taste.features import named
from mashkit_taste.model import Taste, read


@attrs.define(kw_only=True, eq=False, slots=False)  # cached properties need no slots
class TasteScorer(Scorer):
    """A taste that `mashkit train --preferences` learnt: a Bradley-Terry model on the scores of other scorers.

    The value is the probability that a mashup is preferred to the mean mashup of the answers; the difference of two
    mashups' part "log_odds" gives the probability that the one is preferred to the other. Whatever the scorers need of
    a mashup, such as beats or a harmonic layer, the taste needs too.

    Parameters
    ----------
    model : str or Path, optional
        The file of `mashkit train --preferences`. There is no taste without it: nobody's comes with mashkit.

    Raises
    ------
    ComponentUnavailable
        If no model is given.
    TasteError
        If the file is not a taste, or a scorer has other weights than when the taste was fitted.
    """

    info: ClassVar[ComponentInfo] = TASTE

    model: Path | None = attrs.field(default=None, converter=optional_path)

    def __attrs_post_init__(self) -> None:
        if self.model is None:
            raise ComponentUnavailable(
                "scorer 'taste' needs a taste, and nobody's comes with mashkit",
                "learn yours: mashkit train --preferences; then give -O scorer.model=FILE",
            )
        if not self.model.is_file():
            raise TasteError(f"{path_text(self.model)}: no such file", "check the option model")

    @cached_property
    def _taste(self) -> Taste:
        assert self.model is not None  # noqa: S101 — checked when it was made
        return read(self.model)

    @cached_property
    def _scorers(self) -> Mapping[str, Scorer]:
        registry = Registry()
        made = {one.name: one.create(registry) for one in self._taste.scorers}
        for name, scorer in made.items():
            if dict(scorer.weights()) != dict(self._taste.weights_of[name]):
                raise TasteError(
                    f"scorer {name!r} has other weights than when {path_text(self.model or '')} was fitted",
                    "fit the taste again: its numbers are those of the earlier weights",
                )
        return made

    def weights(self) -> Mapping[str, str]:
        """Return the file of the taste and its hash, and the weight files of the scorers."""
        assert self.model is not None  # noqa: S101 — checked when it was made
        files = {self.model.name: file_sha256(self.model)}
        for name, scorer in self._scorers.items():
            files |= {f"{name}/{file}": digest for file, digest in scorer.weights().items()}
        return files

    def weights_license(self) -> str:
        """Return the licences of the scorers' weights; the taste itself is its user's own answers."""
        return joined(scorer.weights_license() for scorer in self._scorers.values())

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that the scorers were trained on."""
        return tuple(dict.fromkeys(name for one in self._scorers.values() for name in one.recordings()))

    def describe(self) -> dict[str, Any]:
        """Return its description with what it was learnt from, and those of the scorers, whose licences count, too."""
        learnt_from = {name: self._taste.record.get(name) for name in ("answers", "simulated")}
        parts = [one.described() for one in self._scorers.values()]
        return super().describe() | {"learnt_from": learnt_from, "parts": parts}

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        rows: list[dict[str, float]] = [{} for _ in mashups]
        for name, scorer in self._scorers.items():
            for row, score in zip(rows, scorer.score(mashups), strict=True):
                row |= named(name, score)
        utilities = self._taste.utility(rows)
        shares = 1 / (1 + np.exp(-np.clip(utilities, -700, 700)))
        return [
            Score(value=share, scale="probability", parts={"log_odds": utility})
            for share, utility in zip(shares.tolist(), utilities.tolist(), strict=True)
        ]
