"""Define the contract tests of separators."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mashkit.audio.levels import FULL_SCALE
from mashkit.components import Component
from mashkit.interfaces import Separator
from mashkit.synthetic import signals
from mashkit.testing.contracts.component import ROUNDING, ComponentContract, sanity
from mashkit.types import Audio, StemSet
from mashkit.types.stems import REST


class SeparatorContract(ComponentContract):
    """Requirements for every separator.

    Examples
    --------
    >>> from mashkit.testing import SeparatorContract
    >>> class TestLibrosa(SeparatorContract):  # in a test file: pytest runs its checks
    ...     component = "librosa"
    >>> [name for name in vars(SeparatorContract) if name.startswith("test_")][:3]
    ['test_stems_sum_to_about_the_mix', 'test_input_is_not_altered', 'test_same_input_same_stems']
    """

    kind = "separator"

    @pytest.fixture(scope="class")
    @classmethod
    def mix(cls) -> Audio:
        """Return two bars of a band."""
        return signals.mix(signals.band(bars=2)[0])

    @pytest.fixture(scope="class")
    @classmethod
    def stems(cls, subject: Separator, mix: Audio) -> StemSet:
        """Return the stems of ``mix``."""
        return subject.separate(mix)

    def _outcome(self, subject: Component) -> dict[str, npt.NDArray[np.float64]]:
        assert isinstance(subject, Separator)
        stems = subject.separate(signals.mix(signals.band(bars=2)[0])).stems
        return {name: stem.samples.astype(np.float64) for name, stem in stems.items()}

    @sanity
    def test_stems_sum_to_about_the_mix(self, stems: StemSet, mix: Audio) -> None:
        rest = mix.samples - signals.mix(stems).samples
        assert np.sqrt(np.mean(rest**2)) < 0.1 * np.sqrt(np.mean(mix.samples**2))

    def test_input_is_not_altered(self, subject: Separator, mix: Audio) -> None:
        before = mix.samples.copy()
        subject.separate(mix)
        if type(subject)._separate_some is not Separator._separate_some:  # else single stems are separated as all are
            subject.separate(mix, stems=[max(subject.info.provides)])
        assert np.array_equal(mix.samples, before)

    def test_same_input_same_stems(self, subject: Separator, mix: Audio, stems: StemSet) -> None:
        again = subject.separate(mix)
        for name, stem in stems.stems.items():
            assert np.array_equal(again.stems[name].samples, stem.samples), name

    def test_a_stem_asked_for_is_that_of_all(self, subject: Separator, mix: Audio, stems: StemSet) -> None:
        name = max(subject.info.provides)  # vocals, for most
        some = subject.separate(mix, stems=[name]).stems
        assert set(some) == {name}
        rest = some[name].samples - stems.stems[name].samples
        assert np.sqrt(np.mean(rest**2)) <= ROUNDING * np.sqrt(np.mean(mix.samples**2))

    def test_level_does_not_matter(self, subject: Separator, mix: Audio) -> None:
        usual = Audio(mix.samples * np.float32(FULL_SCALE / mix.peak), mix.sample_rate)
        stems = subject.separate(usual).stems
        for gain in (0.05, 0.001, 40.0):
            scaled = subject.separate(Audio(usual.samples * np.float32(gain), mix.sample_rate)).stems
            for name, stem in stems.items():
                rest = scaled[name].samples / np.float32(gain) - stem.samples
                assert np.sqrt(np.mean(rest**2)) < 0.01 * np.sqrt(np.mean(usual.samples**2)), (name, gain)

    def test_an_offset_does_not_change_stems(self, subject: Separator, mix: Audio) -> None:
        mix = Audio(mix.samples - mix.samples.mean(axis=1, keepdims=True), mix.sample_rate)
        stems = subject.separate(mix)
        offset = np.linspace(0.3, -0.1, mix.channels, dtype=np.float32)[:, None]
        moved = dict(subject.separate(Audio(mix.samples + offset, mix.sample_rate)).stems)
        if REST in moved:
            moved[REST] = Audio(moved[REST].samples - offset, mix.sample_rate)
        for name, stem in stems.stems.items():
            rest = moved[name].samples - stem.samples
            assert np.sqrt(np.mean(rest**2)) < 0.01 * np.sqrt(np.mean(mix.samples**2)), name

    def test_silence_gives_silence(self, subject: Separator) -> None:
        for name, stem in subject.separate(signals.silence(3.0)).stems.items():
            assert stem.peak < 1e-4, name

    @pytest.mark.parametrize("seconds", [0.001, 0.1, 1.0])
    def test_short_audio(self, subject: Separator, seconds: float) -> None:
        subject.separate(signals.noise(seconds))  # the interface checks frames, rate and channels

    @sanity
    @pytest.mark.parametrize(("channels", "sample_rate"), [(1, 44_100), (2, 22_050), (1, 8_000), (2, 48_000)])
    def test_other_formats(self, subject: Separator, channels: int, sample_rate: int) -> None:
        noise = signals.noise(1.0, channels=channels, sample_rate=sample_rate)
        stems = subject.separate(noise)
        rest = noise.samples - signals.mix(stems).samples
        assert np.sqrt(np.mean(rest**2)) < 0.3 * np.sqrt(np.mean(noise.samples**2))

    def test_threads(self, subject: Separator) -> None:
        noise = signals.noise(1.0)

        def same(one: StemSet, other: StemSet) -> bool:
            return all(np.array_equal(one.stems[name].samples, other.stems[name].samples) for name in one.stems)

        self._assert_threads_agree(subject, lambda one: one.separate(noise), same)
