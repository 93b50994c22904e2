"""Compute with tunings (distances from A = 440 Hz): name the key that sounds, and measure how far songs differ.

A key and a tuning together define where a song's tonic sounds: C major at +45 cents sounds 45 cents above C. Near half
a semitone the same sound has two names (C at +48 is C# at −52); tunings are kept within −50…50 cents, so that the key
is named for the nearest pitch class. Two songs are compared by the pitches that sound, not by the names of their keys.

Conventions: tunings are cents from A = 440 Hz; an unknown tuning counts as 0, because most music is near 440 Hz.
"""

from __future__ import annotations

import attrs
import numpy as np

from mashkit.types import Analysis, Chords, Key
from mashkit.types.chords import chord_tones

IN_TUNE_CENTS = 5.0
"""Songs that differ by less than this count as in tune with each other and are not shifted (ours). Five cents, 0.3 %,
is about the least difference between tones that trained listeners hear (Moore, JASA 54, 1973), and about the error of
the measurement: our estimate and librosa's differ by up to five cents on songs at hand. For a smaller difference, the
stretcher would harm the sound more than the shift improves it."""

NAMED_SAFELY = 20.0
"""Up to this tuning, cents, an analyzer that assumes 440 Hz names the right key; beyond it, perhaps the key next to
it."""

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)


@attrs.frozen
class Tuning:
    """The estimated tuning of a piece of audio.

    Parameters
    ----------
    cents : float, optional
        −50 to below 50; None if it cannot be estimated.
    confidence : float
        0–1: the share of the sound that keeps to the tuning, times the steadiness of the tuning.
    chroma : tuple of float
        Mean of each pitch class, centred on the tuning; empty unless the key's name could be wrong
        (:data:`NAMED_SAFELY`).
    """

    cents: float | None = None
    confidence: float = 0.0
    chroma: tuple[float, ...] = ()


def wrapped(cents: float) -> float:
    """Return cents after adding or subtracting whole semitones, so that they are −50 to below 50."""
    within = (cents + 50) % 100 - 50
    return within if within < 50 else -50.0  # the remainder of a tiny negative number is rounded up to 100


def tuned(analysis: Analysis, found: Tuning) -> Analysis:
    """Return an analysis with an estimated tuning, and with key and chords named for the pitch classes that sound.

    Chords are renamed with the key, because one analyzer estimated both at the same wrong semitone; without a key, by
    their own tones. If there is no estimate, the analysis is returned as it is.
    """
    if found.cents is None:
        return analysis
    confidence = {**analysis.confidence, "tuning": found.confidence}
    key = None if analysis.key is None else named(analysis.key, found)
    chords = analysis.chords
    if chords is not None and key is None:
        chords = _named_chords(chords, found)
    elif chords is not None and key is not None and analysis.key is not None and key != analysis.key:
        chords = chords.transposed(key.tonic - analysis.key.tonic)
    return attrs.evolve(analysis, key=key, chords=chords, tuning=found.cents, confidence=confidence)


def named(key: Key, found: Tuning) -> Key:
    """Return the key or the key a semitone next to it, whichever fits the tuning.

    For a song at +45 cents, an analyzer that assumes 440 Hz returns the pitch class below or the one above. The right
    key is the one whose scale has more of the chroma that is centred on the tuning. This decides clearly, because the
    scales of keys a semitone apart share two of seven notes.
    """
    step = _other_name(found)
    if step is None:
        return key
    other = key.transposed(step)

    def share(one: Key) -> float:
        return sum(found.chroma[(one.relative_major_tonic + step) % 12] for step in _MAJOR_SCALE)

    return other if share(other) > share(key) else key


def _named_chords(chords: Chords, found: Tuning) -> Chords:
    """Return the chords or those a semitone next to them, whichever have more of the chroma, as :func:`named` does."""
    step = _other_name(found)
    if step is None:
        return chords
    other = chords.transposed(step)

    def share(some: Chords) -> float:
        sounding = [sum(found.chroma[tone] for tone in chord_tones(label)) for label in some.labels]
        return float(np.dot(np.diff(some.times), sounding))

    return other if share(other) > share(chords) else chords


def _other_name(found: Tuning) -> int | None:
    """Return the semitones to the other name that fits the tuning; None if the name is safe."""
    if found.cents is None or not found.chroma:
        return None
    return -1 if found.cents > 0 else 1


def settled(semitones: float) -> float:
    """Return a shift or distance in semitones, rounded if a whole number is within :data:`IN_TUNE_CENTS`."""
    whole = round(semitones)
    # The limit is a hundredth of a cent lower, because differences of tunings have rounding errors.
    return float(whole) if abs(semitones - whole) * 100 < IN_TUNE_CENTS - 0.01 else semitones


def semitones_between(tonic: int, tuning: float, seed_tonic: int, seed_tuning: float) -> float:
    """Return the shortest shift, −6 to below 6 semitones, from the sounding pitch of a tonic to that of the seed's.

    Parameters
    ----------
    tonic, seed_tonic : int
        Tonics of the relative majors, C = 0.
    tuning, seed_tuning : float
        Cents from A = 440 Hz.

    Returns
    -------
    float
        Whole semitones if the two are in tune (:func:`settled`); for equal tunings it equals
        :meth:`mashkit.types.Key.semitones_to`.
    """
    apart = settled((seed_tonic - tonic) + (seed_tuning - tuning) / 100)
    return round((apart + 6) % 12 - 6, 4)  # to a hundredth of a cent


def sounding_distance(analysis: Analysis, seed: Analysis) -> float | None:
    """Return :func:`semitones_between` the sounding keys of two analyses; None if a key is unknown."""
    if analysis.key is None or seed.key is None:
        return None
    return semitones_between(
        analysis.key.relative_major_tonic, analysis.tuning or 0.0, seed.key.relative_major_tonic, seed.tuning or 0.0
    )


def describe(cents: float | None) -> str:
    """Return a tuning as text: "+7 cents", "–" if it is unknown."""
    return "–" if cents is None else f"{cents:+.0f} cents"
