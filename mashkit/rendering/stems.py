"""Cache what scorers measure of the clips' own stems, because many mashups use the same stems."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from mashkit.mashup import Mashup
from mashkit.rendering.cache import Recent
from mashkit.types import Audio, Role

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

KEPT_STEMS = 1024
"""Number of stems whose measurement is kept: about 180 MB of chroma, or 250 MB of amu's features, of stems of 40 s."""


class Measure(Protocol[V_co]):
    """A function that measures a stem, such as ``StemChroma.of``."""

    def __call__(self, audio: Audio, *, tuning: float) -> V_co:
        """Return the measurement; pitch classes are centred on ``tuning``, cents from A = 440 Hz."""


class MeasuredStems(Generic[V]):
    """Measurements of the clips' own stems. Each stem is measured on first use, and the recent ones are kept.

    Parameters
    ----------
    measure : callable
        Measures a stem, given its clip's tuning.

    Examples
    --------
    >>> from mashkit.features.spectral import StemChroma
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> from mashkit.types import Key
    >>> songs = SyntheticSource([(Key(0, "major"), 120.0)], bars=4)
    >>> stems, mashup = MeasuredStems(StemChroma.of), mashup_of(songs, songs.clips[0])
    >>> stems.of(mashup, Role.VOCAL) is stems.of(mashup, Role.VOCAL)
    True
    """

    def __init__(self, measure: Measure[V]) -> None:
        self._measure = measure
        self._recent: Recent[V] = Recent(KEPT_STEMS)

    def of(self, mashup: Mashup, role: Role) -> V:
        """Return the measurement of the stem of ``role``'s clip, before stretching, placing and gain."""
        tuning = mashup.tuning(role)
        return self._recent.get(
            (mashup.stem_key(role), tuning), lambda: self._measure(mashup.source_stem(role), tuning=tuning)
        )
