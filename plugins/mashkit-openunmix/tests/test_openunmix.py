"""The separator keeps its contract, computes what openunmix computes, and joins its pieces without a trace."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from mashkit.audio import buffers as audiobuffer
from mashkit.bench.musdb18 import TRAINING
from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract, signals
from mashkit.types import Audio
from mashkit_openunmix import pieces
from mashkit_openunmix.files import OFFICIAL
from mashkit_openunmix.library import torchaudio_or_nothing
from mashkit_openunmix.separator import OpenUnmixSeparator

SHARES = {"vocals": 0.1, "drums": 0.4, "bass": 0.3, "other": 0.2}
"""What conftest's model ``shares`` makes of a mix without the Wiener filter."""


class TestOpenUnmix(SeparatorContract):
    """Untrained: the Wiener filter shares the whole mix out all the same."""

    component = "openunmix"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, untrained: Path) -> None:
        cls.options = {"folder": untrained}


@pytest.mark.slow
class TestOpenUnmixResidual(SeparatorContract):
    """Without the filter, what the networks leave goes into other."""

    component = "openunmix"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _weights(cls, untrained: Path) -> None:
        cls.options = {"folder": untrained, "iterations": 0, "residual": True}


def create(folder: Path, **options: Any) -> OpenUnmixSeparator:
    component = Registry().create("separator", "openunmix", {"folder": folder, **options})
    return cast(OpenUnmixSeparator, component)


def rms(samples: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def reference(folder: Path, mix: Audio, **options: Any) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return what openunmix's own loader and separator make of a mix."""
    with torchaudio_or_nothing():
        from openunmix.utils import load_separator  # type: ignore[import-untyped]
    separator = load_separator(str(folder), targets=list(SHARES), **options).eval()
    with torch.no_grad():
        stems = separator.to_dict(separator(torch.from_numpy(mix.samples.copy())[None]))
    return {name: stem[0].numpy() for name, stem in stems.items()}


# ------------------------------------------------------------------------------------------------------- openunmix
@pytest.mark.parametrize("iterations", [0, 1, 2])
@pytest.mark.parametrize("residual", [False, True])
def test_stems_are_those_of_openunmix(untrained: Path, iterations: int, *, residual: bool) -> None:
    mix = signals.mix(signals.band(bars=2)[0]).excerpt(0, 3.0)
    truth = reference(untrained, mix, niter=iterations, residual=residual)
    if residual:
        truth["other"] = truth["other"] + truth.pop("residual")
    stems = create(untrained, iterations=iterations, residual=residual).separate(mix).stems
    for name, stem in stems.items():
        np.testing.assert_allclose(stem.samples, truth[name], atol=1e-6, err_msg=name)


def test_the_filter_moves_energy_between_stems(untrained: Path) -> None:
    mix = signals.mix(signals.band(bars=1)[0])
    without, once = (create(untrained, iterations=iterations).separate(mix).stems for iterations in (0, 1))
    assert rms(without["drums"].samples - once["drums"].samples) > 0.01 * rms(mix.samples)


@pytest.mark.parametrize("iterations", [0, 1])
@pytest.mark.parametrize("seconds", [9.5, *(pytest.param(each, marks=pytest.mark.slow) for each in (8.5, 14.1, 23.0))])
def test_pieces_join_to_the_whole(
    untrained: Path, monkeypatch: pytest.MonkeyPatch, iterations: int, seconds: float
) -> None:
    mix = signals.noise(seconds)  # a piece of this model is 8.7 s, of which 1.7 s overlap
    separator = create(untrained, iterations=iterations)
    joined = separator.separate(mix).stems
    monkeypatch.setattr(pieces, "PIECE_WINDOWS", 100)
    # The filter of a window hears of the two frames that a piece's start reflects.
    tolerance = 3e-4 if iterations else 1e-5
    for name, stem in separator.separate(mix).stems.items():
        assert rms(stem.samples - joined[name].samples) < tolerance * rms(stem.samples), name


@pytest.mark.slow
def test_joined_pieces_are_not_one_piece(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    separator = create(untrained)
    separator.separate(signals.noise(0.1))
    inner = separator._backend.forward
    monkeypatch.setattr(separator._backend, "forward", lambda heard: lengths.append(heard.shape[-1]) or inner(heard))
    separator.separate(signals.noise(20.0))
    window = 300 * 256
    assert lengths == [5 * window, 5 * window, 20 * 44_100 - 8 * window]


# ------------------------------------------------------------------------------------------------ formats and length
@pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 44_100), (1, 8_000), (2, 48_000), (1, 96_000)])
@pytest.mark.parametrize("mapped", [False, True])
def test_every_format_gets_its_shares(
    shares: Path, monkeypatch: pytest.MonkeyPatch, channels: int, sample_rate: int, *, mapped: bool
) -> None:
    if mapped:
        monkeypatch.setattr(audiobuffer, "IN_MEMORY", 0)
    tone = signals.tone(440.0, 3.0, sample_rate=sample_rate).samples
    mix = Audio(np.concatenate([tone, -0.5 * tone])[:channels], sample_rate)
    before = mix.samples.copy()
    for name, stem in create(shares, iterations=0).separate(mix).stems.items():
        steady = slice(sample_rate // 10, -sample_rate // 10)  # resampling rings where a tone is cut off
        np.testing.assert_allclose(
            stem.samples[:, steady], SHARES[name] * mix.samples[:, steady], atol=1e-3, err_msg=name
        )
    np.testing.assert_array_equal(mix.samples, before)


@pytest.mark.parametrize("iterations", [0, 1])
@pytest.mark.parametrize("frames", [1, 50, 512, 1025])
def test_short_sound_gets_its_shares(shares: Path, iterations: int, frames: int) -> None:
    mix = Audio(signals.noise(1.0).samples[:, :frames], 44_100)
    stems = create(shares, iterations=iterations).separate(mix)
    np.testing.assert_allclose(signals.mix(stems).samples, mix.samples, atol=1e-3)


def test_nobody_elses_chance_is_touched(untrained: Path) -> None:
    drawn = torch.get_rng_state()
    create(untrained).separate(signals.noise(0.2))
    assert torch.equal(torch.get_rng_state(), drawn)


# --------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    "options",
    [
        {"model": "umxe"},
        {"iterations": -1},
        {"iterations": 1.5},
        {"residual": "yes"},
        {"device": "gpu"},
        {"device": "cpu:1"},
    ],
)
def test_senseless_options_are_refused(untrained: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        create(untrained, **options)


@pytest.mark.parametrize("device", [f"cuda:{torch.cuda.device_count()}", "mps"])
def test_a_device_that_is_not_there_is_refused(untrained: Path, device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(OptionError, match=device) as raised:
        create(untrained, device=device)
    assert '"cpu"' in str(raised.value.fix)


def test_auto_is_recorded_as_the_device_it_stands_for(untrained: Path) -> None:
    assert create(untrained, device="auto").options()["device"] in ("cuda", "mps", "cpu")


@pytest.mark.parametrize(("model", "songs"), [("umxhq", TRAINING), ("umx", TRAINING), ("umxl", ())])
def test_released_weights_know_songs_of_musdb18(model: str, songs: tuple[str, ...], tmp_path: Path) -> None:
    for name in OFFICIAL[model].values():
        (tmp_path / name).touch()  # nothing is loaded: the name of a released file says which it is
    assert create(tmp_path, model=model).trained_on() == songs


def test_a_model_of_ones_own_knows_none_that_is_known(untrained: Path) -> None:
    assert create(untrained, model="umxhq").trained_on() == ()
