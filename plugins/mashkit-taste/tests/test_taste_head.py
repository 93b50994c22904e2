"""The model of differences: what must hold whatever the answers are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from mashkit_taste.head import PENALTIES, Scale, Values, choose, fit, held_out, splits, subsets
from mashkit_taste.learning import distinct

SETS = subsets(["a", "a.x", "b"], ["a", "b"])
seeds = st.integers(0, 10_000)
unhurried = settings(deadline=None, derandomize=True, max_examples=25)  # a busy machine takes long for the first


def answers(seed: int, count: int = 40, features: int = 3) -> tuple[Values, Values, list[tuple[str, str]]]:
    chance = np.random.default_rng(seed)
    songs = [(f"song {one}", f"song {one}") for one in chance.integers(0, 6, count)]
    return chance.standard_normal((count, features)), chance.uniform(0.5, 4, count), songs


@unhurried
@given(seeds, st.sampled_from(PENALTIES))
def test_weights_minimise_the_penalised_likelihood(seed: int, penalty: float) -> None:
    differences, strengths, _ = answers(seed)

    def loss(weights: Values) -> float:
        likelihood = (strengths / strengths.mean()) @ np.logaddexp(0, -differences @ weights)
        return float(likelihood + penalty / 2 * weights @ weights)

    found = optimize.minimize(loss, np.zeros(3), tol=1e-12)
    assert fit(differences, strengths, penalty) == pytest.approx(found.x, abs=1e-4)


@unhurried
@given(seeds)
def test_exchanging_better_and_worse_flips_the_sign(seed: int) -> None:
    differences, strengths, songs = answers(seed)
    assert fit(-differences, strengths, 3.0) == pytest.approx(-fit(differences, strengths, 3.0), abs=1e-9)
    one, other = (choose(sign * differences, strengths, songs, SETS) for sign in (1, -1))
    assert (one.penalty, one.used.tolist()) == (other.penalty, other.used.tolist())


@unhurried
@given(seeds, st.floats(0.1, 100))
def test_the_unit_of_strength_does_not_matter(seed: int, unit: float) -> None:
    differences, strengths, _ = answers(seed)
    assert fit(differences, strengths * unit, 3.0) == pytest.approx(fit(differences, strengths, 3.0), abs=1e-7)


@unhurried
@given(seeds)
def test_where_newton_begins_does_not_matter(seed: int) -> None:
    differences, strengths, _ = answers(seed)
    begun = fit(differences, strengths, 0.3, np.full(3, 20.0))
    assert begun == pytest.approx(fit(differences, strengths, 0.3), abs=1e-6)


@unhurried
@given(seeds)
def test_answers_that_all_agree_have_finite_weights(seed: int) -> None:
    differences, strengths, songs = answers(seed)
    weights = fit(np.abs(differences) * 1000, strengths, PENALTIES[0])
    assert np.isfinite(weights).all()
    assert np.isfinite(held_out(np.abs(differences), strengths, songs, SETS)).all()


@unhurried
@given(seeds, st.floats(0.5, 100), st.floats(100, 500))
def test_scale_and_shift_of_a_score_do_not_matter(seed: int, factor: float, shift: float) -> None:
    rows = np.random.default_rng(seed).standard_normal((30, 2)) * 5
    plain = np.zeros(2, np.bool_)
    assert Scale.of(rows * factor + shift, plain).apply(rows * factor + shift) == pytest.approx(
        Scale.of(rows, plain).apply(rows), abs=1e-6
    )


@unhurried
@given(seeds)
def test_a_scale_gives_mean_0_and_spread_1_and_opens_probabilities(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rows = np.column_stack([chance.uniform(0, 1, 30), chance.normal(3, 9, 30), np.full(30, 0.25)])
    scale = Scale.of(rows, np.array([True, False, True]))
    found = scale.apply(rows)
    assert found[:, :2].mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert found[:, :2].std(axis=0) == pytest.approx([1, 1])
    assert not found[:, 2].any()  # what does not vary says nothing
    assert np.array_equal(np.argsort(found[:, 0]), np.argsort(rows[:, 0]))
    assert np.isfinite(scale.apply(np.array([[0.0, 1e300, 1.0], [1.0, -1e300, np.nan], [2.0, 0.0, -1.0]]))).all()


def test_a_score_without_upper_end_is_no_probability_because_the_answers_lie_below_1() -> None:
    rows = np.random.default_rng(0).uniform(0.46, 0.99, (60, 1))
    scale = Scale.of(rows, np.array([False]))
    # Steps of one size mean the same everywhere, beyond the answers too.
    assert np.diff(scale.apply(np.array([[0.8], [1.0], [1.2], [1.4]])), axis=0) == pytest.approx(0.2 / rows.std())


def test_a_row_with_a_missing_value_counts_once_too() -> None:
    rows = np.array([[1, np.nan], [2, 3], [1, np.nan], [2, 3], [1, 0]])
    assert len(distinct(rows)) == 3
    np.testing.assert_array_equal(distinct(rows), distinct(rows[::-1]))


def test_a_value_that_is_missing_counts_as_the_mean() -> None:
    rows = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 7.0]])
    plain = np.zeros(2, np.bool_)
    found = Scale.of(rows, plain).apply(rows)
    assert found[1, 1] == found[2, 0] == 0
    assert found[:2, 0].tolist() == [-1, 1]
    unknown = np.full((3, 2), np.nan)
    for log_odds in (plain, ~plain):
        assert not Scale.of(unknown, log_odds).apply(unknown).any()


@pytest.mark.parametrize("crossed", [False, True])
def test_a_held_out_song_decides_nothing_of_its_own_answers(crossed: bool) -> None:
    differences, strengths, songs = answers(5)
    if crossed:  # as of an audition: one song's mashup is better than another's
        songs = [(one, f"song {number % 5}") for number, (one, _) in enumerate(songs)]
    margins = held_out(differences, strengths, songs, SETS)
    out = np.array([songs[0][1] in one for one in songs])
    assert margins.all()
    # What the song's answers say is turned round: the answers to the others may change, its own may not, but in sign.
    turned = held_out(np.where(out[:, None], -differences, differences), strengths, songs, SETS)
    assert turned[out] == pytest.approx(-margins[out])
    for same in (("one", "one"), ("one", "other")):
        assert not held_out(differences, strengths, [same] * len(songs), SETS).any()
        assert choose(differences, strengths, [same] * len(songs), SETS).penalty == PENALTIES[-1]


@pytest.mark.parametrize("most", [None, 5])
def test_no_answer_is_left_out_with_one_about_its_songs_kept(most: int | None) -> None:
    chance = np.random.default_rng(0)
    songs = [(f"song {one}", f"song {other}") for one, other in chance.integers(0, 12, (60, 2))]
    left_out = np.zeros(len(songs))
    for out, rest in splits(songs, most):
        assert not (out & rest).any()
        left_out += out
        kept = {song for of, one in zip(songs, rest, strict=True) if one for song in of}
        assert all(kept.isdisjoint(of) for of, one in zip(songs, out, strict=True) if one)
    assert (left_out == 1).all()


@unhurried
@given(seeds, st.sampled_from([0, 1, 2]))
def test_the_feature_that_decides_is_chosen_and_weakly_penalised(seed: int, feature: int) -> None:
    chance = np.random.default_rng(seed)
    differences = chance.standard_normal((200, 3))
    songs = [(str(one), str(one)) for one in chance.integers(0, 12, 200)]
    told = np.where(differences[:, [feature]] > 0, differences, -differences)
    choice = choose(told, np.ones(200), songs, SETS)
    assert choice.used[feature]
    assert choice.penalty < PENALTIES[3]
    weights = choice.fit(told, np.ones(200))
    assert int(np.argmax(np.abs(weights))) == feature
    assert not weights[~choice.used].any()


def test_the_sets_of_features_are_those_of_scorers() -> None:
    assert [one.tolist() for one in SETS] == [
        [True, False, False], [False, False, True], [True, False, True], [True, True, False], [True, True, True],
    ]  # fmt: skip
    assert [one.tolist() for one in subsets(["b.y"], ["a", "b"])] == [[True]]
