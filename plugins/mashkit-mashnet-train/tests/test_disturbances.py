"""Silence and traces of processing in intervalnet's training examples: what they change, and what they leave."""

import numpy as np
import pytest

from mashkit_mashnet.intervals import ONSET_PARTS, PITCH_PARTS
from mashkit_mashnet_train import interval_data
from mashkit_mashnet_train.examples import Example
from mashkit_mashnet_train.interval_data import LENGTHS, IntervalData
from mashkit_mashnet_train.store import Store

BEATS = 16


@pytest.mark.parametrize("beats", [10, 20, 32])
def test_a_tracked_excerpt_counts_its_bars_from_beginning_to_end(beats: int) -> None:
    grid = np.arange(65) * 0.5
    example = Example("original", 0, grid, grid[::4], {})
    lengths = set()
    for seed in range(60):
        tracked, places = interval_data._tracked(example, beats, np.random.default_rng(seed))
        lengths.add(round(float(tracked[-1] - tracked[0]) / beats, 1))
        if places.any():  # else the downbeats were lost
            assert np.isin(np.diff(places.argmax(axis=0)), [1, -3]).all()
    assert lengths >= {0.2, 0.5, 1.0}  # double, own and half tempo


def test_other_positions_are_other_data(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = IntervalData([store], groups=2, validation_groups=4)
    assert now.summary["positions"] == 2
    monkeypatch.setattr(interval_data, "POSITIONS_VERSION", 1)
    assert IntervalData([store], groups=2, validation_groups=4).fingerprint != now.fingerprint


@pytest.mark.parametrize("seed", range(5))
def test_processing_keeps_the_level_and_the_place_of_onsets(seed: int) -> None:
    random = np.random.default_rng(seed)
    onsets = np.zeros((3, ONSET_PARTS * BEATS), np.float32)
    onsets[:, :: 2 * ONSET_PARTS] = random.uniform(0.5, 2, (3, BEATS // 2))
    given = onsets.copy()
    processed = interval_data._processed(onsets, random)
    np.testing.assert_array_equal(onsets, given)
    assert np.square(processed).sum() == pytest.approx(np.square(onsets).sum(), rel=1e-4)
    assert processed.dtype == np.float32
    sounding = np.flatnonzero(processed.sum(axis=0)) % (2 * ONSET_PARTS)
    assert set(sounding) <= {0, 1, 2 * ONSET_PARTS - 1}
    np.testing.assert_array_equal(processed.argmax(axis=1) % (2 * ONSET_PARTS), 0)


@pytest.mark.parametrize("seed", range(12))
def test_silence_is_of_whole_beats_and_never_of_most(seed: int) -> None:
    pitches = [np.ones((channels, 12, PITCH_PARTS * BEATS), np.float32) for channels in (4, 3, 0)]
    onsets = [np.ones((3, ONSET_PARTS * BEATS), np.float32) for _ in range(3)]
    interval_data._silence(pitches, onsets, np.random.default_rng(seed))
    for pitch, onset in zip(pitches, onsets, strict=True):
        by_beat = onset.reshape(3, BEATS, ONSET_PARTS)
        assert (by_beat == by_beat[:1, :, :1]).all()
        assert by_beat[0, :, 0].sum() >= BEATS * (1 - 2 * interval_data.LONGEST_SILENCE)
        assert (pitch.reshape(len(pitch), 12, BEATS, PITCH_PARTS) == by_beat[0, :, :1]).all()


def test_training_examples_are_disturbed_alike_and_others_not(store: Store) -> None:
    data = IntervalData([store], groups=12, validation_groups=4)
    shares: dict[float, list[bool]] = {1.0: [], 0.0: []}
    for step in range(6):
        batch = data.batch(step)
        by_beat = batch.inputs["onsets"].unflatten(-1, (-1, ONSET_PARTS)).sum(dim=(1, 3))
        silent = (by_beat == 0).any(dim=1)
        for target, one in zip(batch.targets.tolist(), silent.tolist(), strict=True):
            if target in shares:
                shares[target].append(one)
    good, bad = (np.mean(shares[target]) for target in (1.0, 0.0))
    assert 0.1 < good < 0.5
    assert abs(good - bad) < 0.12, "silence would tell good from bad"
    for batch in data.validation():
        beats, rest = divmod(batch.inputs["onsets"].shape[-1], ONSET_PARTS)
        assert rest == 0
        assert LENGTHS[0] < beats <= LENGTHS[1]  # as long as the shortest excerpt of the batch
        assert not (batch.inputs["onsets"].unflatten(-1, (-1, ONSET_PARTS)).sum(dim=(1, 3)) == 0).any()
