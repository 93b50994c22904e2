"""Fit the weights of ``amu-tuned`` on songs that are rendered from a seed, and write them into the package.

    python plugins/mashkit-amu/tune.py

No suite has these songs: suites render from other seeds. Each vocal's original, processed as its mismatches are, has to
score above them, and above its twins with one thing wrong, half a beat or a semitone, say. The weights minimise the
logistic loss of these pairs' differences (conditional logistic regression), and a scale and a bias turn the sum into a
probability of original against mismatch (Platt, "Probabilistic outputs for support vector machines", 1999). What is
penalised is the distance from the weights of ``amu``, so that they are left only as far as that tells songs left out
better; of equal penalties the largest counts.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.bench.collections import Choice, separated_by, with_stems_of
from mashkit.bench.protocols import CONTROL, NEGATIVE, ORIGINAL, POSITIVE, TWIN, TWINS, Counts, Example, examples
from mashkit.mashup import ClipSource
from mashkit.metrics import roc_auc
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit_amu.mashability import BALANCE_WEIGHT, RHYTHM_WEIGHT
from mashkit_amu.scorer import TUNED, AmuTunedScorer

Values: TypeAlias = npt.NDArray[np.float64]

SEED = 2014
SONGS = 12
NEGATIVES = 6
PARTS = ("harmony", "rhythm", "balance")
PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
FOLDS = 6
BY_HAND = np.array([1.0, RHYTHM_WEIGHT, BALANCE_WEIGHT])
"""The weights of ``amu``."""


@attrs.frozen
class Data:
    """Parts of originals and of what must score below them, each of shape (pairs, 3), with the number of the song."""

    good: Values
    bad: Values
    songs: npt.NDArray[np.intp]
    mismatch: npt.NDArray[np.bool_]
    """Whether the pair is an original and a mismatch, and no twin."""

    def of(self, songs: npt.ArrayLike) -> Data:
        """Return the pairs of some songs."""
        chosen = np.isin(self.songs, songs)
        return Data(*(getattr(self, field.name)[chosen] for field in attrs.fields(Data)))


def measured(source: ClipSource, found: list[Example], separator: str) -> Data:
    """Return the pairs of the examples, with the parts of their mashups of the source's stems: "" for true stems."""
    scorer, renderer = AmuTunedScorer(), Renderer(source, Kit().stretcher)
    rows: dict[tuple[str, str, str], list[list[float]]] = {}
    for one in found:
        (score,) = scorer.score([renderer.mashup(with_stems_of(one.plan, separator))])
        rows.setdefault((one.vocal.id, one.group, one.part), []).append([score.parts[name] for name in PARTS])
    vocals = list(dict.fromkeys(one.vocal.id for one in found))
    pairs = []
    for number, vocal in enumerate(vocals):
        for group in ("controlled", *TWINS):
            sides = (POSITIVE, NEGATIVE) if group == "controlled" else (ORIGINAL, TWIN)
            good, bad = (rows.get((vocal, group, side), []) for side in sides)
            pairs += [(one, other, number, group == "controlled") for one, other in itertools.product(good, bad)]
    good, bad, songs, mismatch = zip(*pairs, strict=True)
    return Data(np.array(good), np.array(bad), np.array(songs), np.array(mismatch))


def fitted(data: Data, penalty: float) -> Values:
    """Return the weights: a multiple of ``amu``'s and a penalised rest; mismatches count as much as twins."""
    from scipy.optimize import minimize

    difference = data.good - data.bad
    shares = np.where(data.mismatch, 0.5 / max(data.mismatch.sum(), 1), 0.5 / max((~data.mismatch).sum(), 1))
    spread = difference.std(axis=0) + 1e-9

    def weights(given: Values) -> Values:
        found: Values = given[0] * BY_HAND + given[1:] / spread
        return found

    def loss(given: Values) -> float:
        # The multiple has a weak penalty, because pairs that are all told leave it without a bound.
        penalised = penalty * given[1:] @ given[1:] + 1e-4 * given[0] ** 2
        return float(shares @ np.logaddexp(0, -difference @ weights(given)) + penalised)

    return weights(minimize(loss, np.zeros(1 + len(PARTS)), method="BFGS").x)


def probability(data: Data, weights: Values) -> tuple[float, float]:
    """Return the scale and the bias of the probability of an original against a mismatch; each side counts half."""
    from scipy.optimize import minimize

    # An original is in as many pairs as it has mismatches: it counts once.
    good = np.unique(data.good[data.mismatch], axis=0) @ weights
    bad = data.bad[data.mismatch] @ weights

    def loss(given: Values) -> float:
        scale, bias = given
        return float(np.logaddexp(0, -scale * good - bias).mean() + np.logaddexp(0, scale * bad + bias).mean())

    scale, bias = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"maxiter": 4000}).x
    return float(scale), float(bias)


def told(data: Data, weights: Values) -> dict[str, float]:
    """Return the AUC within songs against mismatches, and the share of twins told, per cent."""
    good, bad = data.good @ weights, data.bad @ weights
    areas = []
    for song in np.unique(data.songs):
        own = data.mismatch & (data.songs == song)
        areas.append(roc_auc(np.unique(good[own]), bad[own]))
    gap = (good - bad)[~data.mismatch]
    twins = np.mean((gap > 0) + (gap == 0) / 2)
    return {"within_auc": round(100 * float(np.nanmean(areas)), 1), "twins": round(100 * float(twins), 1)}


def left_out(data: Data, penalty: float) -> dict[str, float]:
    """Return the means of what is told of songs that the weights were not fitted on."""
    songs = np.unique(data.songs)
    each = []
    for fold in range(FOLDS):
        held = songs[fold::FOLDS]
        each.append(told(data.of(held), fitted(data.of(np.setdiff1d(songs, held)), penalty)))
    return {name: round(float(np.mean([one[name] for one in each])), 1) for name in each[0]}


def main() -> None:
    """Fit, print and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=SONGS, help="rendered songs; default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of songs and plans; default: %(default)s")
    parser.add_argument(
        "--separator", default="stemnet",
        help="takes the songs' mixes apart, because a rule is to hold where stems leak; default: %(default)s",
    )  # fmt: skip
    given = parser.parse_args()
    choice = Choice(name="rendered", data=None, seed=given.seed, songs=given.songs)
    groups = ("controlled", *(name for name in TWINS if name != CONTROL))
    counts = Counts(vocals=given.songs, matched=1, negatives=NEGATIVES, groups=groups)
    found = [one for one in examples(choice.open().clips, counts, given.seed) if isinstance(one, Example)]
    both = {
        "true stems": measured(choice.open().source, found, ""),
        "separated": measured(separated_by(choice, given.separator), found, given.separator),
    }
    data = Data(*(np.concatenate([getattr(one, field.name) for one in both.values()]) for field in attrs.fields(Data)))
    looks = {penalty: left_out(data, penalty) for penalty in PENALTIES}
    penalty = max(PENALTIES, key=lambda one: sum(looks[one].values()))
    weights = fitted(data, penalty)
    scale, bias = probability(data, weights)
    record = {
        "weights": {name: round(float(scale * weight), 6) for name, weight in zip(PARTS, weights, strict=True)}
        | {"bias": round(bias, 6)},
        "fitted_on": {
            "songs": f"{given.songs} rendered by mashkit.bench.rendered from seed {given.seed}",
            "stems": ["true", given.separator],
            "pairs": {"mismatches": int(data.mismatch.sum()), "twins": int((~data.mismatch).sum())},
        },
        "penalty": penalty,
        "left_out": {
            name: {"amu’s weights, centred": told(one, BY_HAND), "fitted": left_out(one, penalty)}
            for name, one in both.items()
        },
        "mashkit": importlib.metadata.version("mashkit"),
        "command": f"python plugins/mashkit-amu/tune.py --songs {given.songs} --seed {given.seed} "
        f"--separator {given.separator}",
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    TUNED.write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
