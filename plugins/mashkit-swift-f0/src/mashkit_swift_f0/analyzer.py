"""The adapter to SwiftF0."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import ClassVar

import attrs
import numpy as np
from swift_f0 import FMAX, FMIN, FRAME_PERIOD, PitchResult, SwiftF0, concat
from swift_f0.core import HOP

from mashkit.audio.buffers import pieces, resampled
from mashkit.components import ComponentInfo, cost_only, whole
from mashkit.interfaces import Analyzer
from mashkit.models import require
from mashkit.types import Analysis, Audio, Melody
from mashkit_swift_f0 import ANALYZER, MODEL

SAMPLE_RATE = 16_000
"""The only sample rate of the network, Hz."""

PIECE = 3750
"""Frames computed at a time: a minute."""

HZ_DIGITS, CONFIDENCE_DIGITS = 2, 3
"""Decimals that are kept, so that stored melodies are short: 0.01 Hz is 0.4 cents at 46.875 Hz and less above."""

_IN_RANGE = attrs.validators.and_(attrs.validators.ge(FMIN), attrs.validators.le(FMAX))


@attrs.define(kw_only=True, eq=False)
class SwiftF0Analyzer(Analyzer):
    """The melody of one voice by SwiftF0; key, tempo and beats by none.

    The sound is resampled to 16 kHz and made mono. The network finds one voice: give it a vocal stem. Of a whole mix it
    returns the pitch of whatever sounds loudest. Frames are 16 ms apart, and the confidence is SwiftF0's.

    Parameters
    ----------
    threshold : float
        Confidence from which on a frame counts as sung, 0–1 (the default is SwiftF0's).
    low_hz, high_hz : float
        Range of the pitch, within 46.875 to 2,093.75 Hz (SwiftF0's limits, and the defaults).
    threads : int
        Threads of the network, ≥ 1.

    Examples
    --------
    >>> from mashkit.synthetic import signals
    >>> melody = SwiftF0Analyzer().analyze(signals.tone(220.0, 2.0)).melody
    >>> round(float(melody.f0[60]))
    220
    """

    info: ClassVar[ComponentInfo] = ANALYZER

    threshold: float = attrs.field(
        default=0.5, converter=float, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)]
    )
    low_hz: float = attrs.field(default=FMIN, converter=float, validator=_IN_RANGE)
    high_hz: float = attrs.field(default=FMAX, converter=float, validator=_IN_RANGE)
    threads: int = attrs.field(default=1, validator=whole(1), metadata=cost_only(1, 2))

    def __attrs_post_init__(self) -> None:
        if self.low_hz * 1.05 > self.high_hz:
            raise ValueError(f"low_hz is {self.low_hz:g}, not a semitone below high_hz, which is {self.high_hz:g}")

    def weights(self) -> Mapping[str, str]:
        """Return the network's file and its hash."""
        return {require(MODEL).name: MODEL.sha256}

    @functools.cached_property
    def _detector(self) -> SwiftF0:
        require(MODEL)
        # Without spinning: the threads sleep between calls, and do not take the processor from others.
        return SwiftF0(threads=self.threads, spin=False)

    def _analyze(self, mix: Audio) -> Analysis:
        heard = resampled(mix, SAMPLE_RATE)
        found = concat(self._found(heard))
        inside = found.timestamps <= mix.duration
        if not inside.any():  # because hardly a sample is left at 16 kHz
            return Analysis()
        sung = found.confidence >= self.threshold
        melody = Melody(
            f0=np.where(sung, found.pitch_hz, 0.0)[inside].round(HZ_DIGITS),
            confidence=found.confidence[inside].clip(0, 1).round(CONFIDENCE_DIGITS),
            hop_s=FRAME_PERIOD,
        )
        return Analysis(melody=melody, confidence=_confidence(melody))

    def _found(self, heard: Audio) -> Iterator[PitchResult]:
        """Yield the frames of a minute at a time, as if the whole sound were processed at once."""
        stream = self._detector.stream(self.low_hz, self.high_hz)
        for piece in pieces(heard.samples, PIECE * HOP):
            yield stream.push(piece.mean(axis=0), SAMPLE_RATE)
        yield stream.flush()


def _confidence(melody: Melody) -> dict[str, float]:
    """Return the mean confidence of the frames that are sung, if there is one."""
    return {"melody": float(melody.confidence[melody.voiced].mean())} if melody.voiced.any() else {}
