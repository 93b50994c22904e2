"""Learn a taste from preferences, and say how well it predicts answers about songs that it has not seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from mashkit.components import without_costs
from mashkit.preferences import Preference
from mashkit.rendering.output import environment
from mashkit.statistics import SHARE, Statistic, interval, paired, ratio, value_of
from mashkit_taste.errors import TasteError
from mashkit_taste.features import Chosen, Named
from mashkit_taste.head import Scale, Songs, Values, choose, held_out, splits, subsets
from mashkit_taste.model import Taste, rows_of

ENOUGH = 40
"""With fewer answers a warning is given (ours). In simulations it is the number from which a taste predicts 95 % of the
raters or more better than intervalnet does, on songs that it has not seen (benchmarks/results/taste.md)."""
OURS = "taste"
"""Its name among the scorers that it is compared with."""


@attrs.frozen(eq=False)
class Answer:
    """A preference with the features of its two plans, and the songs of their vocals."""

    preference: Preference
    better: Named
    worse: Named
    songs: tuple[str, str]


def ordered(answers: Sequence[Answer]) -> list[Answer]:
    """Return answers in an order that depends on what they say alone, so that the order of lines changes nothing."""
    return sorted(answers, key=lambda one: (one.songs, json.dumps(one.preference.to_dict(), sort_keys=True)))


def learn(
    given: Sequence[Answer], chosen: Sequence[Chosen], described: Mapping[str, Mapping[str, Any]], *,
    probabilities: Collection[str] = (), seed: int = 0,
) -> Taste:  # fmt: skip
    """Learn a taste.

    Parameters
    ----------
    given : sequence of Answer
        At least two, about different songs.
    chosen : sequence of Chosen
        The scorers whose values and parts are features. The taste needs those of which it uses a feature.
    described : mapping of str to mapping
        Scorer → what it is (:meth:`mashkit.components.Component.described`).
    probabilities : collection of str
        The features of which log odds are taken (:class:`mashkit_taste.features.Measured`).
    seed : int
        Decides how songs are put into folds and the draws of intervals.

    Returns
    -------
    Taste
        Its ``record`` has the accuracy under "accuracy": "taste" and each scorer → the share of answers that it
        predicts, with an interval over songs; ``warnings`` has what the user should know.

    Raises
    ------
    TasteError
        If there is no answer, if none is about other songs than another, or no feature varies.
    """
    answers = ordered(given)
    if not answers:
        raise TasteError("no answer is left to learn from", "the reasons are above")
    songs = [one.songs for one in answers]
    about = sorted({song for of in songs for song in of})
    if next(splits(songs), None) is None:
        few = f"one song, {about[0]}" if len(about) == 1 else "the same few songs"
        raise TasteError(
            f"all {len(answers)} answers are about {few}",
            "give answers about more songs: a taste is judged on songs that it has not seen",
        )
    names = sorted({name for one in answers for side in (one.better, one.worse) for name in side})
    better, worse = (rows_of([getattr(one, side) for one in answers], names) for side in ("better", "worse"))
    # A mashup of many answers counts once; which values there are tells nothing of the answers.
    log_odds = np.array([name in probabilities for name in names], np.bool_)
    scale = Scale.of(distinct(np.concatenate([better, worse])), log_odds)
    used = scale.spread > 0
    if not used.any():
        raise TasteError("no score differs between the mashups of the answers", "name other scorers")
    kept = [name for name, one in zip(names, used.tolist(), strict=True) if one]
    scale = Scale(scale.log_odds[used], scale.mean[used], scale.spread[used])
    differences = scale.apply(better[:, used]) - scale.apply(worse[:, used])
    strengths = np.array([one.preference.strength for one in answers])
    sets = subsets(kept, [one.name for one in chosen])
    choice = choose(differences, strengths, songs, sets, seed)
    margins = {OURS: held_out(differences, strengths, songs, sets, seed)}
    for one in chosen:
        column = names.index(one.name)
        margins[one.name] = better[:, column] - worse[:, column]
    accuracy = accuracies(margins, songs, seed)
    record = {
        "simulated": any(one.preference.simulated for one in answers),
        "seed": seed,
        "penalty": choice.penalty,
        "answers": {
            "count": len(answers),
            "songs": len(about),
            "raters": len({one.preference.rater for one in answers}),
            "sources": sorted({one.preference.source for one in answers}),
            "sha256": _digest(answers),
        },
        "accuracy": accuracy,
        "warnings": warnings(accuracy, len(answers)),
        "components": [without_costs(one) for one in described.values()],
        "environment": environment(),
    }
    weighed = [name for name, one in zip(kept, choice.used.tolist(), strict=True) if one]
    used_scorers = [
        one for one in chosen if any(name == one.name or name.startswith(f"{one.name}.") for name in weighed)
    ]
    return Taste(
        scorers=used_scorers,
        names=weighed,
        scale=Scale(scale.log_odds[choice.used], scale.mean[choice.used], scale.spread[choice.used]),
        weights=choice.fit(differences, strengths)[choice.used],
        record=record,
        weights_of={one.name: described[one.name]["weights"] for one in used_scorers},
    )


def _digest(answers: Sequence[Answer]) -> str:
    lines = [json.dumps(one.preference.to_dict(), sort_keys=True) for one in answers]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def right(margins: Values) -> Values:
    """Return 1 for each answer that is predicted, 0 for each that is not, 0.5 where both mashups are equal."""
    share: Values = (np.sign(margins) + 1) / 2
    return share


def distinct(rows: Values) -> Values:
    """Return each row once, in an order that depends on the rows alone; missing values (NaN) equal each other."""
    # Bytes are compared, because NaN equals nothing.
    found = {row.tobytes(): row for row in rows}
    return np.array([found[key] for key in sorted(found)])


def accuracies(margins: Mapping[str, Values], songs: Songs, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return name → the share of answers it predicts, its interval, and how much the taste is better, with interval.

    Intervals are 95 % bootstrap intervals over songs (:mod:`mashkit.statistics`). An answer about two songs is
    drawn as often as both together: the product of their numbers.
    """
    names = {name: number for number, name in enumerate(sorted({song for of in songs for song in of}))}
    numbers = [sorted(names[song] for song in of) for of in songs]
    (one, other), pair = (found.T for found in np.unique(numbers, axis=0, return_inverse=True))
    count, answers = len(names), np.bincount(pair)

    def statistic(name: str) -> Statistic:
        of_pairs = ratio(np.bincount(pair, right(margins[name])), answers)

        def of_songs(weights: Values) -> Values:
            return of_pairs(np.where(one == other, weights[:, one], weights[:, one] * weights[:, other]))

        return Statistic(of_songs, np.ones(count, np.bool_), SHARE, 0.5)

    found: dict[str, dict[str, Any]] = {}
    for name in margins:
        ends = interval(statistic(name), seed=seed)
        found[name] = {
            "value": value_of(statistic(name)),
            "low": None if ends is None else ends.low,
            "high": None if ends is None else ends.high,
        }
        test = None if name == OURS else paired(statistic(OURS), statistic(name), seed=seed)
        if test is not None and test.interval is not None:
            found[name]["taste_better_by"] = {
                "value": test.difference, "low": test.interval.low, "high": test.interval.high,
            }  # fmt: skip
    return found


def warnings(accuracy: Mapping[str, Mapping[str, Any]], answers: int) -> list[str]:
    """Return what a user should know before they rely on the taste."""
    ours = accuracy[OURS]
    told = []
    if answers < ENOUGH:
        told.append(
            f"{answers} answers are few: in simulations it takes {ENOUGH} until a taste predicts nearly every rater "
            "better than the default scorer does"
        )
    if ours["low"] is not None and ours["low"] <= 0.5:
        told.append("it may predict no better than chance: the interval of its accuracy reaches down to one half")
    best = max((name for name in accuracy if name != OURS), key=lambda name: accuracy[name]["value"], default=None)
    if best is not None and accuracy[best]["value"] >= ours["value"]:
        told.append(f"scorer {best!r} alone predicts these answers as well or better")
    return told
