"""Beats that are off, missing, extra or drifting still say where the music is; nonsense is said to be nonsense."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashkit.errors import TimeMapError
from mashkit.timing import beatmap
from mashkit.timing.beatmap import BeatsDistrusted, ClipGrid, beat_grid, beat_map
from mashkit.types import Analysis


def played(
    seconds: float = 48.0, *, tempo: float = 120.0, swing: float = 0.0, every: float = 40.0, first: float = 0.4
) -> np.ndarray:
    """Return the beats of playing whose tempo swings by ± ``swing`` every so many beats."""
    count = np.arange(int(seconds * tempo / 60 * 1.2))
    periods = 60 / tempo / (1 + swing * np.sin(2 * np.pi * count / every))
    beats = first + np.concatenate([[0.0], np.cumsum(periods)])
    return beats[beats < seconds - 0.2]


def detected(beats: np.ndarray, *, jitter: float = 0.005, seed: int = 0) -> np.ndarray:
    """Return the beats as a tracker with frames of 10 ms hears them."""
    generator = np.random.default_rng(seed)
    return np.round((beats + generator.laplace(0, jitter, len(beats))) * 100) / 100


def analysis(beats: np.ndarray, *, bar: int = 4, upbeat: int = 0, confidence: float = 0.6) -> Analysis:
    return Analysis(beats=beats, downbeats=beats[upbeat::bar], confidence={"beats": confidence})


def over(beats: np.ndarray) -> ClipGrid:
    return beat_grid(analysis(beats)).over(48.0)


@pytest.mark.parametrize("tempo", [62.0, 90.0, 120.0, 176.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steady_playing_comes_out_steady(tempo: float, seed: int) -> None:
    beats = played(tempo=tempo)
    grid = beat_grid(analysis(detected(beats, seed=seed)))
    assert np.abs(grid.times - beats).max() < 0.006
    assert np.ptp(np.diff(grid.times)) < 0.02 * 60 / tempo


@pytest.mark.parametrize("swing", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_drifting_tempo_is_followed(swing: float, seed: int) -> None:
    beats = played(swing=swing)
    grid = beat_grid(analysis(detected(beats, seed=seed)))
    assert np.sqrt(np.mean((grid.times - beats) ** 2)) < 0.006


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_missing_extra_and_wrong_beats_are_seen_through(seed: int) -> None:
    generator = np.random.default_rng(seed)
    beats = played(swing=0.01)
    heard = detected(beats, seed=seed)
    heard = heard[generator.random(len(heard)) > 0.15]
    extra = beats[generator.integers(1, len(beats) - 1, 6)] + generator.uniform(0.12, 0.2, 6)
    heard = np.unique(np.concatenate([heard, extra]))
    grid = beat_grid(analysis(heard))
    near = np.abs(grid.times[:, None] - beats[None]).min(axis=1)
    assert np.percentile(near, 90) < 0.02


def changing(*periods: np.ndarray) -> np.ndarray:
    return 0.3 + np.concatenate([[0.0], np.cumsum(np.concatenate(periods))])


STEADY = np.full(40, 0.5)


@pytest.mark.parametrize(
    "beats",
    [
        *(
            pytest.param(changing(STEADY, 0.5 * np.linspace(1, slower, 9)[1:], STEADY), id=f"ritardando, {slower}")
            for slower in (1.1, 1.2, 1.3)
        ),
        *(
            pytest.param(changing(STEADY, STEADY / faster), id=f"new tempo, {faster:.2f}")
            for faster in (1.05, 1.1, 1.2, 1.3, 1 / 1.1, 1 / 1.2)
        ),
        *(
            pytest.param(changing(0.5 / faster ** np.linspace(0, 1, 80)), id=f"accelerando, {faster}")
            for faster in (1.2, 1.5)
        ),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_each_beat_is_counted_once_when_the_tempo_changes(beats: np.ndarray, turned: bool) -> None:
    if turned:
        beats = beats[-1] + 0.3 - beats[::-1]
    grid = beat_grid(analysis(beats))
    assert len(grid.times) == len(beats)
    # Where the tempo jumps, a smooth curve cannot be exact.
    errors = np.abs(grid.times - beats)
    assert np.median(errors) < 0.005
    assert errors.max() < 0.1


@pytest.mark.parametrize(
    "periods",
    [
        pytest.param((STEADY[:30], [1.3], STEADY[:30]), id="fermata"),
        pytest.param((STEADY, STEADY[:20], [0.7], STEADY[:30]), id="breath"),
        pytest.param((STEADY[:30], [0.7], STEADY, STEADY[:20]), id="breath, early"),
    ],
)
def test_beats_after_a_pause_are_not_silently_ignored(periods: tuple[np.ndarray, ...]) -> None:
    beats = changing(*periods)
    with pytest.raises(BeatsDistrusted, match="beats are missing or off the beat"):
        beat_grid(analysis(beats))


def test_a_stretch_of_off_beats_is_left_out() -> None:
    beats = played(swing=0.01)
    heard = detected(beats)
    heard[40:52] += 0.25
    grid = beat_grid(analysis(heard))
    assert len(grid.times) == len(beats)
    assert np.abs(grid.times - beats).max() < 0.02


def test_the_grid_moves_with_the_beats() -> None:
    beats = detected(played(swing=0.02))
    grid, later = beat_grid(analysis(beats)), beat_grid(analysis(beats + 7.5))
    np.testing.assert_allclose(later.times, grid.times + 7.5, atol=1e-9)
    twice = beat_grid(analysis(beats * 1.5))
    np.testing.assert_allclose(twice.times, grid.times * 1.5, atol=0.01)


def test_the_tempo_goes_on_beyond_the_beats() -> None:
    grid = beat_grid(analysis(played(tempo=120.0, first=4.0)))
    np.testing.assert_allclose(grid.time_at([-4, -1, 0, 2.5]), [2.0, 3.5, 4.0, 5.25], atol=1e-6)
    assert grid.positions_within(0.1, 48.0)[0] == -7
    last = grid.positions_within(0.0, 60.1)[1]
    assert float(grid.time_at(last)) == pytest.approx(60.0, abs=0.01)


def test_a_range_beside_the_beats_has_the_positions_there() -> None:
    grid = beat_grid(analysis(np.arange(10.0, 20.0, 0.5)))
    assert grid.positions_within(0.2, 5.2) == (-19, -10)
    assert grid.positions_within(30.2, 40.2) == (41, 60)
    assert grid.positions_within(9.9, 19.6) == (0, 19)
    assert grid.positions_within(11.9, 12.1) == (4, 4)
    before = grid.over(8.2).times
    assert float(before[-1]) == pytest.approx(8.0)
    assert len(before) == 16


def test_bars_are_those_most_downbeats_agree_on() -> None:
    beats = played()
    downbeats = beats[2::4].copy()
    downbeats[[0, 5]] = beats[[1, 23]]  # two of them wrong
    grid = beat_grid(Analysis(beats=beats, downbeats=np.sort(downbeats)))
    assert (grid.bar, grid.downbeat % 4) == (4, 2)
    waltz = beat_grid(analysis(beats, bar=3, upbeat=1))
    assert (waltz.bar, waltz.downbeat) == (3, 1)
    none = beat_grid(Analysis(beats=beats))
    assert none.bar == 0


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (Analysis(), "only 0 beats"),
        (Analysis(beats=[]), "only 0 beats"),
        (Analysis(beats=[1.0]), "only 1 beats"),
        (Analysis(beats=np.arange(7)), "only 7 beats"),
        (Analysis(beats=np.sort(np.random.default_rng(0).uniform(0, 40, 60))), "beats"),
        (Analysis(beats=np.concatenate([np.arange(10), np.arange(40, 50)])), "missing"),
        (analysis(played(), confidence=0.05), "confidence"),
    ],
)
def test_beats_that_cannot_be_trusted(found: Analysis, problem: str) -> None:
    with pytest.raises(BeatsDistrusted, match=problem):
        beat_grid(found)


@pytest.mark.parametrize("swing", [0.0, 0.03])
@pytest.mark.parametrize("tempo", [105.0, 131.0])
def test_beats_come_to_lie_on_beats(tempo: float, swing: float) -> None:
    sung, other = played(swing=0.02, every=70), played(tempo=tempo, swing=swing, first=0.9)
    placement = beat_map(over(other), over(sung))
    laid = placement.offset_s + placement.time_map.to_target(other)
    together = min(len(laid), len(sung))
    assert np.abs(laid[:together] - sung[:together]).max() < beatmap.TOLERANCE_S + 0.002


def test_bars_are_laid_on_bars() -> None:
    sung, other = analysis(played(), upbeat=1), analysis(played(tempo=110.0), upbeat=3)
    assert sung.downbeats is not None
    assert other.downbeats is not None
    for candidate_bar, vocal_bar in ((0, 0), (2, 0), (0, 3)):
        placement = beat_map(
            beat_grid(other).over(48.0), beat_grid(sung).over(48.0), candidate_bar=candidate_bar, vocal_bar=vocal_bar
        )
        laid = placement.offset_s + placement.time_map.to_target(other.downbeats[candidate_bar])
        assert float(laid) == pytest.approx(sung.downbeats[vocal_bar], abs=0.006)


@pytest.mark.parametrize(("tempo", "beats_per_beat"), [(61.0, 0.5), (236.0, 2.0)])
def test_folded_tempi_share_every_other_beat(tempo: float, beats_per_beat: float) -> None:
    sung, other = played(tempo=120.0), played(tempo=tempo)
    placement = beat_map(over(other), over(sung), beats_per_beat=beats_per_beat)
    laid = placement.offset_s + placement.time_map.to_target(other)
    fewer, more = (laid, sung) if beats_per_beat < 1 else (sung, laid)
    inside = fewer[(fewer >= more[0] - 0.01) & (fewer <= more[-1] + 0.01)]
    assert np.abs(inside[:, None] - more[None]).min(axis=1).max() < 0.008


def test_a_steady_song_on_a_steady_song_is_one_speed() -> None:
    sung, other = played(tempo=120.0), played(tempo=111.0)
    placement = beat_map(over(detected(other)), over(detected(sung, seed=4)))
    assert len(placement.time_map.source) == 2
    assert placement.time_map.mean_speed == pytest.approx(120 / 111, rel=1e-3)


def test_speeds_nobody_wants_are_refused() -> None:
    sung, other = over(played(tempo=180.0)), over(played(tempo=80.0))
    with pytest.raises(TimeMapError, match=r"speeds from 2\.2"):
        beat_map(other, sung)


def test_clips_that_share_no_beats_are_refused() -> None:
    grid = over(played())
    with pytest.raises(TimeMapError, match="share"):
        beat_map(grid, grid, candidate_bar=24)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_unseen_residuals_are_those_of_a_fit_without_the_beat_and_its_neighbours(seed: int) -> None:
    random = np.random.default_rng(seed)
    positions = np.concatenate([[0], np.cumsum(random.integers(1, 5, 24))])
    found = 0.5 * positions + random.normal(0, 0.01, len(positions))
    weights = random.uniform(0.1, 1.0, len(positions))
    curves, inverses = beatmap._whittaker(found, positions, weights)
    unseen = beatmap._unseen(found - curves[:, positions], positions, weights, inverses)
    bend = np.diff(np.eye(positions[-1] + 1), 2, axis=0)
    seen_at = np.eye(positions[-1] + 1)[positions]
    for number in (0, 4, 8):  # a dense solution loses its own digits to the stiffest
        stiffness = beatmap._STIFFNESS[number] * bend.T @ bend
        for beat in (0, 1, 12, len(positions) - 1):
            kept = weights * (np.abs(np.arange(len(positions)) - beat) > 1)
            fitted = np.linalg.solve(seen_at.T @ np.diag(kept) @ seen_at + stiffness, seen_at.T @ (kept * found))
            assert unseen[number, beat] == pytest.approx(found[beat] - fitted[positions[beat]], abs=1e-7)
