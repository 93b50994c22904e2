"""Measures of arrays alone: by hand, and as the benchmark has them of songs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from mashkit.bench import scorer_metrics
from mashkit.bench.scorer_metrics import Examples
from mashkit.errors import UsageError
from mashkit.metrics import Bin, calibration_error, ranks_among, reliability, roc_auc, top_accuracy


def test_a_rank_counts_those_above_and_half_of_the_equals() -> None:
    assert ranks_among([3, 2, 0], [1, 2, 2, 3]).tolist() == [1.5, 3.0, 5.0]
    assert ranks_among([1.0], []).tolist() == [1.0]


@pytest.mark.parametrize("measure", [ranks_among, roc_auc, top_accuracy])
@pytest.mark.parametrize("side", [0, 1])
def test_a_score_that_is_no_number_has_no_place(measure: Callable[..., object], side: int) -> None:
    scores = [[0.9, 0.4], [0.5, 0.1]]
    scores[side][0] = math.nan
    with pytest.raises(UsageError, match="a score is NaN"):
        measure(*scores)


def test_bins_and_their_error_by_hand() -> None:
    bins = reliability([0.85, 1.0], [0.15, 0.05], bins=2)
    assert bins == [Bin(0.0, 0.5, 2, pytest.approx(0.1), 0.0), Bin(0.5, 1.0, 2, pytest.approx(0.925), 1.0)]
    assert calibration_error([0.85, 1.0], [0.15, 0.05], bins=2) == pytest.approx((0.1 + 0.075) / 2)
    assert reliability([], []) == []
    assert math.isnan(calibration_error([], []))


@pytest.mark.parametrize("songs", [1, 7])
def test_the_benchmark_has_the_same_of_songs_with_equal_weights(songs: int) -> None:
    random = np.random.default_rng(0)
    good, bad = random.beta(4, 2, 200), random.beta(2, 3, 90)
    positive, negative = (Examples(part, random.integers(songs, size=len(part)), songs) for part in (good, bad))
    found = scorer_metrics.calibration_error(positive, negative)(np.ones((1, songs)))[0]
    assert calibration_error(good, bad) == pytest.approx(found, abs=1e-12)
    assert reliability(good, bad) == scorer_metrics.reliability(positive, negative)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(value: float) -> None:
    for measure in (reliability, calibration_error):
        with pytest.raises(UsageError, match="a probability is outside 0–1"):
            measure([value], [0.5])
