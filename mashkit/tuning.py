"""How far music is off A = 440 Hz, and what follows of it: which key sounds, and by how much two songs differ.

A key and a tuning together say where a song's tonic sounds: C major at +45 cents lies 45 cents above C. Near half a
semitone the same sound has two names (C at +48 is C# at −52); tunings are kept within −50…50 cents, so that the key is
named for the nearest pitch class. What two songs differ by is counted between the pitches that sound, not the names.

Conventions: tunings are cents from A = 440 Hz; an unknown one counts as 0, because most music keeps to 440 Hz.
"""

from __future__ import annotations

import attrs

from mashkit.types import Analysis, Key

IN_TUNE_CENTS = 5.0
"""Songs that differ by less count as in tune with each other, and nothing is shifted for it (ours). Five cents, 0.3 %,
is about the least difference between tones that trained listeners hear (Moore, JASA 54, 1973), and what measuring is
uncertain by: our estimate and librosa's differ by up to five on songs at hand. A stretcher run for less would cost more
sound than it mends."""

NAMED_SAFELY = 20.0
"""Up to this tuning, cents, an analyzer that listens at 440 Hz names the right key; beyond, perhaps its neighbour."""

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)


@attrs.frozen
class Tuning:
    """What was found of the tuning of a piece of audio.

    Parameters
    ----------
    cents : float, optional
        −50 to below 50; None where there is no telling.
    confidence : float
        0–1: how much of the sound keeps to it, times how steadily it does.
    chroma : tuple of float
        Mean of each pitch class, centred on the tuning; only where a key's name could be in doubt
        (:data:`NAMED_SAFELY`), else empty.
    """

    cents: float | None = None
    confidence: float = 0.0
    chroma: tuple[float, ...] = ()


def wrapped(cents: float) -> float:
    """Return cents brought within −50 to below 50 by whole semitones."""
    within = (cents + 50) % 100 - 50
    return within if within < 50 else -50.0  # the remainder of a tiny negative number is rounded up to 100


def tuned(analysis: Analysis, found: Tuning) -> Analysis:
    """Return an analysis with a tuning that was found, its key named for the pitch class that sounds.

    An analysis stays as it is where no tuning was found.
    """
    if found.cents is None:
        return analysis
    confidence = {**analysis.confidence, "tuning": found.confidence}
    key = None if analysis.key is None else named(analysis.key, found)
    return attrs.evolve(analysis, key=key, tuning=found.cents, confidence=confidence)


def named(key: Key, found: Tuning) -> Key:
    """Return the key or its neighbour: of the two names near half a semitone off, the one that goes with the tuning.

    An analyzer that listens at 440 Hz names a song at +45 cents for the pitch class below or the one above. Of the two
    the right one is that whose scale sounds in chroma centred on the tuning: the scales of keys a semitone apart share
    two of seven notes.
    """
    if found.cents is None or not found.chroma:
        return key
    other = key.transposed(-1 if found.cents > 0 else 1)

    def share(one: Key) -> float:
        return sum(found.chroma[(one.relative_major_tonic + step) % 12] for step in _MAJOR_SCALE)

    return other if share(other) > share(key) else key


def settled(semitones: float) -> float:
    """Return a shift or distance in semitones, a whole one if it is within :data:`IN_TUNE_CENTS` of it."""
    whole = round(semitones)
    # A hundredth of a cent of room: differences of tunings are off by a rounding.
    return float(whole) if abs(semitones - whole) * 100 < IN_TUNE_CENTS - 0.01 else semitones


def semitones_between(tonic: int, tuning: float, seed_tonic: int, seed_tuning: float) -> float:
    """Return the shortest shift, −6 to below 6 semitones, from the pitch one tonic sounds at to the seed's.

    Parameters
    ----------
    tonic, seed_tonic : int
        Of the relative majors, C = 0.
    tuning, seed_tuning : float
        Cents from A = 440 Hz.

    Returns
    -------
    float
        Whole semitones where the two are in tune (:func:`settled`): of songs at one tuning, what
        :meth:`mashkit.types.Key.semitones_to` says.
    """
    apart = settled((seed_tonic - tonic) + (seed_tuning - tuning) / 100)
    return round((apart + 6) % 12 - 6, 4)  # to a hundredth of a cent


def sounding_distance(analysis: Analysis, seed: Analysis) -> float | None:
    """Return :func:`semitones_between` two analyses' keys as they sound; None if a key is unknown."""
    if analysis.key is None or seed.key is None:
        return None
    return semitones_between(
        analysis.key.relative_major_tonic, analysis.tuning or 0.0, seed.key.relative_major_tonic, seed.tuning or 0.0
    )


def describe(cents: float | None) -> str:
    """Return a tuning for people: "+7 cents", "–" where it is unknown."""
    return "–" if cents is None else f"{cents:+.0f} cents"
