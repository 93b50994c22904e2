"""Check by their sound whether true stems begin together with their mix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mashkit.audio.files import resample
from mashkit.audio.levels import one_signal
from mashkit.catalog.songs import Song
from mashkit.errors import AudioFileError
from mashkit.paths import path_text
from mashkit.types import Audio

RATE = 11_025
"""Sample rate at which stem and mix are compared, Hz: a frame is a tenth of a millisecond."""
MOST_S = 10.0
"""Largest delay that is searched, seconds."""
CLEAR = 10.0
"""Least height of a clear peak, in root mean squares of the correlation. Lower peaks may be chance: on the multitracks
at hand, stems that are in the mix reach 29 to 430, and stems of other songs reach 6 at most."""
TOLERANCE_S = 0.02
"""Largest delay that is accepted, seconds: encoders add such delays at a file's beginning, and they are too short to be
heard as a second onset."""


def delay(stem: Audio, mix: Audio) -> float | None:
    """Return how much later a stem sounds in the mix than in its own file, seconds; None if it is not found in the mix.

    The delay is the peak of the cross-correlation after all its spectral magnitudes are made equal (generalized
    cross-correlation, PHAT; Knapp and Carter 1976), because otherwise a loud bass or a loop would outweigh the rest.

    Parameters
    ----------
    stem, mix : Audio
        Stem and mix of the same song. A stem with effects in the mix is found if it is the same recording.
    """
    import scipy.fft  # imported here because few songs have true stems and a mix

    one, other = (resample(Audio(one_signal(audio)[None], audio.sample_rate), RATE).samples[0] for audio in (stem, mix))
    size = scipy.fft.next_fast_len(len(one) + len(other), real=True)
    cross = scipy.fft.rfft(other, size) * np.conj(scipy.fft.rfft(one, size))
    magnitude = np.abs(cross)
    if magnitude.max() == 0:
        return None
    spread: npt.NDArray[np.float32] = scipy.fft.irfft(cross / np.maximum(magnitude, 1e-9 * magnitude.max()), size)
    # Beyond these delays the two do not overlap. The correlation is circular: its end holds the negative delays.
    earliest, latest = (min(round(MOST_S * RATE), len(signal) - 1) for signal in (one, other))
    near = np.abs(np.concatenate([spread[size - earliest :], spread[: latest + 1]]))
    peak = int(np.argmax(near))
    clear = near[peak] >= CLEAR * np.sqrt(np.mean(np.square(near)))
    return (peak - earliest) / RATE if clear else None


def synchrony_note(song: Song, mix: Audio, stems: Sequence[Audio]) -> str | None:
    """Return a note for the user on stems that are not found in the mix; None if all are found.

    Parameters
    ----------
    song : Song
        A song with a mix and stems.
    mix : Audio
    stems : sequence of Audio
        The stems in the order of their names.

    Raises
    ------
    AudioFileError
        If a stem is found in the mix, but begins earlier or later there.
    """
    not_found = []
    for name, stem in zip(sorted(song.stems), stems, strict=True):
        late = delay(stem, mix)
        if late is None:
            not_found.append(name)
        elif abs(late) > TOLERANCE_S:
            raise AudioFileError(
                song.stems[name],
                f"sounds {abs(late):.3f} s {'later' if late > 0 else 'earlier'} in {path_text(song.path)}: the two "
                "must begin together",
                f"{'put as much silence before it' if late > 0 else 'cut as much off its beginning'}",
            )
    if not not_found:
        return None
    unsure = "not found in it, so that their common beginning cannot be checked"
    return f"{', '.join(not_found)} {unsure}"
