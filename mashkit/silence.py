"""Is there anything to hear?"""

from __future__ import annotations

import numpy as np

from mashkit.types import Audio

SILENCE_DB = -60.0
"""Level below which audio counts as silent, dB relative to full scale.

Between the two things to tell apart: the noise left over by a microphone, a tape or a codec stays below about −65 dB,
and the loudest second of the quietest music is well above −50 dB. Analyzers answer with confidence on either side
(a key for digital silence, 738 BPM), so the line has to be drawn before they are asked.
"""


def is_silent(audio: Audio, threshold_db: float = SILENCE_DB) -> bool:
    """Say whether even the loudest second of ``audio`` lies below a level.

    The loudest second, not the whole: a song with a minute of silence before its hidden track is not silent.

    Parameters
    ----------
    audio : Audio
        Any rate, channels and length. Power is averaged over the channels before the level is taken, so opposite
        phases do not cancel; ask about ``audio.mono()`` where it is the sum that will be heard.
    threshold_db : float
        Root-mean-square level, dB relative to full scale: a sine of amplitude 1 has −3 dB.

    Returns
    -------
    bool
        True for audio without a frame.
    """
    if audio.frames == 0:
        return True
    power = np.einsum("cf,cf->f", audio.samples, audio.samples, dtype=np.float64) / audio.channels
    total = np.concatenate([[0.0], np.cumsum(power)])
    window = min(audio.sample_rate, audio.frames)
    loudest = float(np.max(total[window:] - total[:-window])) / window
    return loudest < 10 ** (threshold_db / 10)
