"""What mixing does is what the plan says: one gain over time for all, nothing clipped, nothing when switched off."""

from __future__ import annotations

import numpy as np
import pytest

from mashkit.audio import mixing
from mashkit.audio.mixing import PEAK_CEILING_DB, duck, limit, mix
from mashkit.testing import signals
from mashkit.types import Mixing, Role, Samples

RATE = 44_100
CEILING = 10 ** (PEAK_CEILING_DB / 20)


def layers(gain: float, seconds: float = 6.0) -> dict[Role, Samples]:
    """Return three noises, a burst every second, of the given peak level."""
    made = {}
    for seed, role in enumerate(Role):
        noise = signals.noise(seconds, seed=seed).samples.copy()
        bursts = 1 + 3 * (np.arange(noise.shape[1]) % RATE < 0.02 * RATE)
        made[role] = (gain * noise * bursts).astype(np.float32)
    return made


def copies(made: dict[Role, Samples]) -> dict[Role, Samples]:
    return {role: samples.copy() for role, samples in made.items()}


@pytest.mark.parametrize("gain", [0.1, 0.5, 3.0])
@pytest.mark.parametrize(
    "chosen", [Mixing(), Mixing(limit_db=3), Mixing(fade_in_s=1, fade_out_s=2, duck_db=6, limit_db=6)]
)
def test_stems_sum_to_a_mix_that_keeps_its_peaks(gain: float, chosen: Mixing) -> None:
    mixed = mix(layers(gain), RATE, chosen)
    np.testing.assert_allclose(sum(mixed.stems.values()), mixed.mix, atol=2e-6)
    assert max(np.abs(samples).max() for samples in (mixed.mix, *mixed.stems.values())) <= CEILING * (1 + 1e-6)
    assert mixed.gain_db <= 0 <= mixed.limited_db <= chosen.limit_db + 1e-3


def test_by_default_nothing_is_done() -> None:
    made = layers(0.1)
    mixed = mix(copies(made), RATE, Mixing())
    for role, samples in made.items():
        np.testing.assert_array_equal(mixed.stems[role], samples)
    assert (mixed.gain_db, mixed.limited_db) == (0, 0)


def test_what_does_not_peak_is_not_limited() -> None:
    made = layers(0.1)
    mixed = mix(copies(made), RATE, Mixing(limit_db=6))
    np.testing.assert_array_equal(mixed.stems[Role.VOCAL], made[Role.VOCAL])


def test_a_limiter_spares_what_lies_between_the_peaks() -> None:
    made = layers(0.5)
    plain, limited = (mix(copies(made), RATE, Mixing(limit_db=db)) for db in (0.0, 4.0))
    between = slice(round(2.6 * RATE), round(2.9 * RATE))
    gained = 20 * np.log10(np.std(limited.mix[:, between]) / np.std(plain.mix[:, between]))
    assert 2.0 < gained < 4.1  # the quiet part is louder by about what the peaks gave up
    assert limited.limited_db > 2


def test_the_limiters_gain_is_one_curve_without_steps() -> None:
    made = layers(1.0)
    gain = limit(list(made.values()), RATE, CEILING)
    assert gain.shape == (made[Role.VOCAL].shape[1],)
    assert gain.max() <= 1.0
    assert np.abs(np.diff(gain)).max() < 0.03
    peak = np.max([np.abs(samples).max(axis=0) for samples in made.values()], axis=0)
    # It has given way before the peak arrives; the little that is left over, the gain of the whole mix takes.
    assert (peak * gain).max() < CEILING * 1.05


def test_balance_and_image_survive_the_limiter() -> None:
    made = layers(1.0)
    made[Role.HARMONIC][1] *= np.float32(0.25)
    mixed = mix(copies(made), RATE, Mixing(limit_db=6))
    left, right = mixed.stems[Role.HARMONIC]
    heard = np.abs(left) > 1e-3
    np.testing.assert_allclose(
        right[heard] / left[heard], made[Role.HARMONIC][1][heard] / made[Role.HARMONIC][0][heard], rtol=1e-3
    )
    ratio = mixed.stems[Role.VOCAL][0][heard] / left[heard]
    np.testing.assert_allclose(ratio, made[Role.VOCAL][0][heard] / made[Role.HARMONIC][0][heard], rtol=1e-3)


def test_fades_begin_and_end_in_silence_and_leave_the_middle() -> None:
    made = layers(0.1)
    mixed = mix(copies(made), RATE, Mixing(fade_in_s=1.0, fade_out_s=2.0))
    for role, stem in mixed.stems.items():
        middle = slice(RATE, -2 * RATE)
        np.testing.assert_array_equal(stem[:, middle], made[role][:, middle])
        assert np.abs(stem[:, :20]).max() < 1e-6
        assert np.abs(stem[:, -20:]).max() < 1e-6
        halfway = np.std(stem[:, RATE // 2 - 500 : RATE // 2 + 500]) / np.std(
            made[role][:, RATE // 2 - 500 : RATE // 2 + 500]
        )
        assert halfway == pytest.approx(0.5, abs=0.05)


def test_fades_longer_than_the_mashup_do_not_overlap() -> None:
    made = layers(0.1, seconds=1.0)
    mixed = mix(copies(made), RATE, Mixing(fade_in_s=5.0, fade_out_s=5.0))
    assert np.abs(mixed.mix[:, RATE // 2 - 2000 : RATE // 2 + 2000]).max() > 0.05


def sung(seconds: float = 8.0) -> Samples:
    """Return a voice that sounds from 2 to 5 s."""
    voice = np.repeat(signals.tone(300.0, seconds, amplitude=0.3).samples, 2, axis=0)
    voice[:, : 2 * RATE] = 0
    voice[:, 5 * RATE :] = 0
    return voice


def test_the_harmony_gives_way_while_the_voice_sounds() -> None:
    gain = 20 * np.log10(duck(sung(), RATE, 6.0))
    assert np.abs(gain[: round(1.9 * RATE)]).max() < 0.01
    np.testing.assert_allclose(gain[round(2.5 * RATE) : round(4.9 * RATE)], -6.0, atol=0.1)
    assert gain[round(5.2 * RATE)] < -2  # it comes back slowly
    assert gain[-1] > -0.1


@pytest.mark.parametrize("level", [1.0, 0.05])
def test_ducking_does_not_depend_on_the_voices_level(level: float) -> None:
    np.testing.assert_allclose(duck(sung() * np.float32(level), RATE, 6.0), duck(sung(), RATE, 6.0), atol=1e-3)


def test_a_silent_voice_ducks_nothing() -> None:
    np.testing.assert_array_equal(duck(np.zeros((2, RATE), np.float32), RATE, 6.0), 1.0)


def test_a_voice_that_pauses_most_of_the_time_ducks_only_while_it_sounds() -> None:
    voice = np.pad(sung(), ((0, 0), (0, 82 * RATE)))  # it sounds for 3 s of 90
    np.testing.assert_allclose(duck(voice, RATE, 6.0)[: 8 * RATE], duck(sung(), RATE, 6.0), atol=1e-3)
    assert 20 * np.log10(duck(voice, RATE, 6.0)[-1]) > -0.01


def test_only_the_harmony_is_ducked() -> None:
    made = layers(0.05, seconds=8.0) | {Role.VOCAL: sung()}
    mixed = mix(copies(made), RATE, Mixing(duck_db=6.0))
    np.testing.assert_array_equal(mixed.stems[Role.PERCUSSION], made[Role.PERCUSSION])
    np.testing.assert_array_equal(mixed.stems[Role.VOCAL], made[Role.VOCAL])
    assert np.std(mixed.stems[Role.HARMONIC]) < 0.9 * np.std(made[Role.HARMONIC])


def test_a_mono_layer_goes_to_every_channel() -> None:
    made = layers(0.1, seconds=1.0)
    made[Role.VOCAL] = made[Role.VOCAL][:1]
    mixed = mixing.mix(copies(made), RATE, Mixing(limit_db=3))
    assert mixed.mix.shape[0] == 2
    expected = made[Role.VOCAL] + made[Role.HARMONIC] + made[Role.PERCUSSION]
    np.testing.assert_allclose(mixed.mix, expected, atol=1e-6)
