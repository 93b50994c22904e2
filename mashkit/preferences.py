"""Preferences: which of two mashups somebody likes better, as JSON lines that listening tests and auditions write.

One object a line::

    {"better": PLAN, "worse": PLAN, "strength": 1, "source": "listen", "rater": "4f2a"}

A PLAN is what `mashkit generate` and `mashkit mash` write of a mashup. Five keys may be left out: ``song``,
``worse_song``, ``when``, ``features`` and ``simulated`` (:class:`Preference`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import named_text, require_path
from mashkit.atomicfile import write_text
from mashkit.errors import MashkitError, PlanError, suggestion
from mashkit.numbers import plain_number
from mashkit.paths import path_text
from mashkit.types import MashupPlan, frozen_mapping

REQUIRED = ("better", "worse", "strength", "source", "rater")
OPTIONAL = ("song", "worse_song", "when", "features", "simulated")
SIDES = ("better", "worse")
LISTEN, AUDITION = "listen", "audition"
"""Sources of mashkit's own: a listening test, and `mashkit audition`. Other programs give their own name."""
FIX = "give what `mashkit listen export --preferences` wrote"

Features = Mapping[str, Mapping[str, float]]


class PreferenceError(MashkitError):
    """A file of preferences that cannot be read, or an invalid preference."""


@attrs.frozen(kw_only=True)
class Preference:
    """One mashup that somebody liked better than another.

    Parameters
    ----------
    better, worse : MashupPlan
        Two different plans.
    strength : float
        How much better, > 0: an answer of strength 2 counts as much as two of strength 1. A listening test gives the
        difference of two ratings in steps, and 1 for a choice between two.
    source : str
        Where the answer is from: "listen", "audition", or the name of another program.
    rater : str
        Pseudonym of who answered; it tells nothing else.
    song, worse_song : str
        Identities of the songs of the vocals of "better" and of "worse", if they are known; one of them twice if both
        have a vocal of the same song. Answers about one song are alike.
    when : str
        Date and time of the answer (ISO 8601), if they are kept.
    features : mapping of str to mapping of str to float
        "better" and "worse" → names such as "amu" or "amu.harmony" → value, if they were measured already; else empty.
    simulated : bool
        Whether a program made the answer up.

    Raises
    ------
    PreferenceError
        If one of these is not so; the text names it.
    """

    better: MashupPlan
    worse: MashupPlan
    strength: float = 1.0
    source: str
    rater: str = ""
    song: str = ""
    worse_song: str = ""
    when: str = ""
    features: Features = attrs.field(factory=dict, converter=frozen_mapping)
    simulated: bool = False

    def __attrs_post_init__(self) -> None:
        if self.better.id == self.worse.id:
            raise PreferenceError(f"better and worse are the same plan, {self.better.id}", "leave this answer out")
        strength: object = self.strength
        if not _is_number(strength) or not self.strength > 0:
            raise PreferenceError(f"strength is {strength!r}", "give a number above 0")
        for name in ("source", "rater", "song", "worse_song", "when"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isprintable() or (name == "source" and not value):
                raise PreferenceError(f"{name} is {value!r}", "give a line of text")
        simulated: object = self.simulated
        if not isinstance(simulated, bool):
            raise PreferenceError(f"simulated is {simulated!r}", "give true or false")
        if self.features and set(self.features) != set(SIDES):
            raise PreferenceError(f"features of {', '.join(map(str, self.features))}", "give those of better and worse")
        for side, values in self.features.items():
            if not isinstance(values, Mapping):
                raise PreferenceError(f"features of {side} are {values!r}", 'give names and numbers: {"amu": 0.7}')
            for name, value in values.items():
                if not _is_number(value):
                    raise PreferenceError(f"features of {side}: {name} is {value!r}", "give finite numbers")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; what was left out has no entry."""
        data: dict[str, Any] = {
            "better": {"id": self.better.id, **self.better.to_dict()},
            "worse": {"id": self.worse.id, **self.worse.to_dict()},
            "strength": self.strength,
            "source": self.source,
            "rater": self.rater,
        }
        data |= {name: getattr(self, name) for name in ("song", "worse_song", "when") if getattr(self, name)}
        if self.features:
            data["features"] = {side: dict(values) for side, values in self.features.items()}
        return data | ({"simulated": True} if self.simulated else {})

    @classmethod
    def from_dict(cls, data: object) -> Preference:
        """Return the preference that :meth:`to_dict` wrote.

        Raises
        ------
        PreferenceError
            If a key is missing, unknown or has no such value; the text names the key.
        """
        if not isinstance(data, Mapping):
            raise PreferenceError("it is not a JSON object", "write one object a line")
        missing = [name for name in REQUIRED if name not in data]
        if missing:
            raise PreferenceError(f"it has no key {missing[0]!r}", f"a preference has {', '.join(REQUIRED)}")
        unknown = [str(name) for name in data if name not in (*REQUIRED, *OPTIONAL)]
        if unknown:
            raise PreferenceError(f"unknown key {unknown[0]!r}", suggestion(unknown[0], (*REQUIRED, *OPTIONAL)))
        given = dict(data)
        for side in SIDES:
            try:
                given[side] = MashupPlan.from_dict(given[side])
            except PlanError as error:
                raise PreferenceError(f"{side}: {error.problem}", error.fix) from error
        if not isinstance(given.get("features", {}), Mapping):
            raise PreferenceError(f"features are {given['features']!r}", "give those of better and worse")
        return cls(**given)


def _is_number(value: object) -> bool:
    number = plain_number(value)
    return isinstance(value, (int, float)) and type(number) is float and math.isfinite(number)


def read_preferences(path: Path | str) -> list[Preference]:
    """Read a file of preferences; empty lines and a byte order mark are passed over.

    Raises
    ------
    UsageError
        If the file cannot be read as text, or ``path`` is not a path.
    PreferenceError
        If it has no preference, or a line is invalid; the text has file, line and key.
    """
    path = require_path("path", path)
    text = named_text(path, FIX, encoding="utf-8-sig")
    found: list[Preference] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(Preference.from_dict(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise PreferenceError(f"{path_text(path)}, line {number}: it is not JSON: {error}", FIX) from error
        except PreferenceError as error:
            raise PreferenceError(f"{path_text(path)}, line {number}: {error.problem}", error.fix) from error
    if not found:
        raise PreferenceError(f"{path_text(path)} holds no preference", FIX)
    return found


def write_preferences(path: Path | str, preferences: Iterable[Preference]) -> None:
    """Write preferences, one a line.

    Raises
    ------
    UsageError
        If ``path`` is not a path.
    OutputError
        If the file cannot be written.
    """
    path = require_path("path", path)
    lines = [json.dumps(one.to_dict(), ensure_ascii=True, allow_nan=False) for one in preferences]
    write_text(path, "".join(f"{line}\n" for line in lines))
