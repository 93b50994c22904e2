"""A Bradley-Terry model on features: which of two mashups is liked better, from the difference of their features.

P(a is preferred to b) = 1 / (1 + exp(u(b) − u(a))) with u(x) = Σ weight · (x − mean) / spread (Bradley and Terry,
"Rank Analysis of Incomplete Block Designs", Biometrika 39, 1952; with features it is a logistic regression of
differences without intercept). Weights minimise the negative log likelihood + penalty/2 · Σ weight². The penalty, and
whether all features are used or those of one scorer, are chosen by leaving out songs, because answers about a song are
alike. An answer is about the songs of both its vocals, and is left out with either.

Conventions: n answers, k features. Values are finite or NaN; NaN means that a scorer gave no such value, and counts as
the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

PENALTIES: tuple[float, ...] = tuple(float(one) for one in np.geomspace(0.3, 300, 7))
"""Penalties to choose from (ours): with the weakest, 60 answers decide alone; with the strongest, nearly nothing."""
MOST_FOLDS = 5
"""With more songs than this, penalty and features are chosen by leaving out a fifth of the songs at a time (ours: it
saves time). Accuracy is measured by leaving out single songs, unless there are many pairs."""
MOST_PAIRS = 100
"""If answers are about more different pairs of songs than this, accuracy is measured by leaving out two tenths of the
songs at a time (ours: it saves time)."""
PARTS = 10

Songs: TypeAlias = Sequence[tuple[str, str]]
"""The songs of both vocals of each answer; listening tests name the same twice."""
CERTAIN = 1e-6
"""Log odds are taken of values clipped to [1e-6, 1 − 1e-6] (ours): float32 probabilities end about there."""
STEPS, PRECISION = 50, 1e-8


@attrs.frozen
class Scale:
    """How values become comparable: log odds of probabilities, then standard deviations from the mean.

    Parameters
    ----------
    log_odds : array of bool, shape (k,)
        Which features are probabilities: near 1 they differ little as numbers and much in what they say.
    mean, spread : array of float64, shape (k,)
        A spread of 0 means that the feature does not vary and is not used.
    """

    log_odds: Flags
    mean: Values
    spread: Values

    @classmethod
    def of(cls, rows: Values, log_odds: Flags) -> Scale:
        """Return the scale of the features of mashups, shape (mashups, k).

        Which features are probabilities, ``log_odds``, is not guessed from the values, because a score without upper
        end may happen to lie from 0 to 1 in all answers.
        """
        known = np.isfinite(rows)
        opened = _opened(rows, log_odds)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, opened, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(known, (opened - mean) ** 2, 0).sum(axis=0) / count)
        return cls(log_odds, mean, np.where(spread > 1e-12 * np.maximum(1, np.abs(mean)), spread, 0.0))

    def apply(self, rows: Values) -> Values:
        """Return standardised features, shape (mashups, k), without NaN."""
        opened = _opened(rows, self.log_odds)
        used = np.isfinite(opened) & (self.spread > 0)
        return np.where(used, (opened - self.mean) / np.where(self.spread > 0, self.spread, 1.0), 0.0)


def _opened(rows: Values, log_odds: Flags) -> Values:
    share = np.clip(rows, CERTAIN, 1 - CERTAIN)
    return np.where(log_odds, np.log(share) - np.log1p(-share), rows)


def fit(differences: Values, strengths: Values, penalty: float, start: Values | None = None) -> Values:
    """Return the weights, shape (k,), of the differences better − worse, shape (n, k), by Newton's method.

    Parameters
    ----------
    differences : array of float64, shape (n, k)
    strengths : array of float64, shape (n,)
        > 0; they are divided by their mean, so that the penalty means the same for any unit.
    penalty : float
        > 0.
    start : array of float64, shape (k,), optional
        Weights to begin with; they change the time and not the result.
    """
    counts = strengths / strengths.mean()
    weights = np.zeros(differences.shape[1]) if start is None else start
    ridge = penalty * np.eye(differences.shape[1])

    def loss(at: Values) -> float:
        return float(counts @ np.logaddexp(0, -differences @ at)) + penalty / 2 * float(at @ at)

    reached = loss(weights)
    for _ in range(STEPS):
        wrong = 1 / (1 + np.exp(np.clip(differences @ weights, -700, 700)))
        slope = differences.T @ (counts * wrong) - penalty * weights
        curve = (differences * (counts * wrong * (1 - wrong))[:, None]).T @ differences + ridge
        step = np.linalg.solve(curve, slope)
        if float(np.abs(step).max(initial=0.0)) < PRECISION:
            break
        # A whole step may overshoot where the curve is flat; it is halved until it leads downwards.
        while (found := loss(weights + step)) > reached and float(np.abs(step).max()) > PRECISION:
            step = step / 2
        weights, reached = weights + step, found
    return weights


@attrs.frozen(eq=False)
class Choice:
    """What is chosen before weights are fitted.

    Parameters
    ----------
    used : array of bool, shape (k,)
        The features that may have a weight.
    penalty : float
    """

    used: Flags
    penalty: float

    def fit(self, differences: Values, strengths: Values) -> Values:
        """Return the weights, shape (k,), zero for features that are not used."""
        weights = np.zeros(len(self.used))
        weights[self.used] = fit(differences[:, self.used], strengths, self.penalty)
        return weights


def subsets(names: Sequence[str], scorers: Sequence[str]) -> list[Flags]:
    """Return the sets of features to choose from, each of shape (k,), simplest first.

    They are each scorer's value, all values, each scorer's value with its parts, and all features (ours). Few answers
    are too few to find out which of fifteen features count; they suffice sooner to show that one scorer predicts
    the answers
    (benchmarks/results/taste.md).
    """
    every = list(names)
    of = {one: [name for name in every if name == one or name.startswith(f"{one}.")] for one in scorers}
    sets = [*([one] for one in scorers), list(scorers), *of.values(), every]
    found = {tuple(name in some for name in every): None for some in sets}
    return [np.array(flags) for flags in found if any(flags)]


def choose(differences: Values, strengths: Values, songs: Songs, sets: Sequence[Flags], seed: int = 0) -> Choice:
    """Return features and penalty under which answers about left-out songs are the most likely.

    Parameters
    ----------
    differences : array of float64, shape (n, k)
    strengths : array of float64, shape (n,)
    songs : sequence of tuple of str, length n
        What each answer is about; if no answer is about other songs than another, the last set and the strongest
        penalty are returned.
    sets : sequence of arrays of bool, shape (k,)
        Of :func:`subsets`.
    seed : int
        Decides which songs are left out together.
    """
    folds = list(splits(songs, MOST_FOLDS, seed))
    if not folds:
        return Choice(sets[-1], PENALTIES[-1])
    best, least = Choice(sets[-1], PENALTIES[-1]), np.inf
    for used in sets:
        some = differences[:, used]
        losses = np.zeros(len(PENALTIES))
        for out, rest in folds:
            weights = None
            for place, penalty in reversed(list(enumerate(PENALTIES))):
                weights = fit(some[rest], strengths[rest], penalty, weights)
                losses[place] += float(strengths[out] @ np.logaddexp(0, -some[out] @ weights))
        if losses.min() < least:
            best, least = Choice(used, PENALTIES[int(np.argmin(losses))]), float(losses.min())
    return best


def held_out(differences: Values, strengths: Values, songs: Songs, sets: Sequence[Flags], seed: int = 0) -> Values:
    """Return u(better) − u(worse) of each answer, shape (n,), by a model that has seen no answer about its songs.

    Features and penalty are chosen without those songs, too. An answer gets 0 if every other is about one of its songs.
    """
    margins = np.zeros(len(songs))
    many = len({frozenset(of) for of in songs if of[0] != of[1]}) > MOST_PAIRS
    for out, rest in splits(songs, PARTS if many else None, seed):
        others = [of for of, kept in zip(songs, rest.tolist(), strict=True) if kept]
        choice = choose(differences[rest], strengths[rest], others, sets, seed)
        margins[out] = differences[out] @ choice.fit(differences[rest], strengths[rest])
    return margins


def splits(songs: Songs, most: int | None = None, seed: int = 0) -> Iterator[tuple[Flags, Flags]]:
    """Yield which answers are left out together, and which of the others are about none of the songs left out.

    Each answer is left out once, unless every other is about a song that is left out with it.

    Parameters
    ----------
    songs : sequence of tuple of str, length n
    most : int, optional
        Number of parts that the songs are divided into; default: each song is a part. Left out are the parts of an
        answer's songs, one or two.
    seed : int
        Decides which songs are in one part.
    """
    names = sorted({song for of in songs for song in of})
    order = np.random.default_rng(seed).permutation(len(names))
    part = {name: int(place) % (most or len(names)) for name, place in zip(names, order, strict=True)}
    pairs = np.array([sorted(part[song] for song in of) for of in songs], np.intp).reshape(-1, 2)
    for pair in np.unique(pairs, axis=0):
        rest = np.logical_not(np.isin(pairs, pair).any(axis=1))
        if rest.any():
            yield (pairs == pair).all(axis=1), rest
