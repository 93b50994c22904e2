"""AutoMashUpper's mashability of two pieces of music, computed from features by the beat; pure functions.

Conventions: a *target* of N beats is compared with every N successive beats of a *candidate* of M ≥ N beats, at
M − N + 1 offsets. Each comparison is normalised by itself, so a longer candidate has more offsets but no disadvantage.
A *shift* is a transposition of the candidate in semitones; it runs over :data:`SHIFTS`. Silence has compatibility 0
with everything.

Formulas after Davies, Hamel, Yoshii and Goto, "AutoMashUpper: Automatic Creation of Multi-Song Music Mashups",
IEEE/ACM Transactions on Audio, Speech, and Language Processing 22(12), 2014.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import UsageError
from mashkit.features.spectral import band_energies, beat_synchronous, chromagram, onset_strength, spectrogram
from mashkit.types import Audio, Times

Values: TypeAlias = npt.NDArray[np.float64]

POSITIONS = 12
"""Positions per beat at which onsets are compared (Davies et al. 2014): divisible into halves, thirds and quarters."""

SHIFTS = np.arange(-6, 6)
"""Shifts of the candidate in semitones, in the order of a surface's rows."""

RHYTHM_WEIGHT = 0.2
"""Weight of rhythm beside a harmony of weight 1 (ours): equal to the weight of balance."""

BALANCE_WEIGHT = 0.2
"""Weight of spectral balance beside a harmony of weight 1: the value of the open tool that Huang et al. 2021 used."""


# --------------------------------------------------------------------------------------------------------- features
@attrs.frozen(eq=False)
class BeatFeatures:
    """The features that mashability compares, by the beat.

    Parameters
    ----------
    chroma : array of float, shape (12, N)
        Strength of each pitch class, C = 0; mean over each beat.
    onsets : array of float, shape (2, POSITIONS · N)
        Kick and snare onset strength around each position of each beat.
    energies : array of float, shape (3, N)
        Power from 0 to 220 Hz, from 220 to 1,760 Hz, and above; mean over each beat.

    Raises
    ------
    UsageError
        If the three arrays have different N.
    """

    chroma: npt.NDArray[Any] = attrs.field(repr=False)
    onsets: npt.NDArray[Any] = attrs.field(repr=False)
    energies: npt.NDArray[Any] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        shapes = (self.chroma.shape, self.onsets.shape, self.energies.shape)
        if shapes != ((12, self.beats), (2, POSITIONS * self.beats), (3, self.beats)):
            raise UsageError(
                f"the features of beats have shapes {shapes}", f"give (12, N), (2, {POSITIONS} · N), (3, N)"
            )

    @property
    def beats(self) -> int:
        """Number of beats, N."""
        return int(self.chroma.shape[-1])

    def transposed(self, semitones: float) -> BeatFeatures:
        """Return the features of the same music ``semitones`` higher; a fraction mixes two rotations of the chroma.

        Onsets and energies stay the same, because a few semitones move little energy across their bands' edges.
        """
        whole = int(np.floor(semitones))
        part = semitones - whole
        chroma = np.roll(self.chroma, whole, axis=0)
        if part:
            chroma = (1 - part) * chroma + part * np.roll(chroma, 1, axis=0)
        return attrs.evolve(self, chroma=chroma)

    def centred(self) -> BeatFeatures:
        """Return the features with each beat's mean over pitch classes taken from its chroma.

        The cosine of two chroma ≥ 0 is high whatever their keys, because all pitch classes sound a little. Centred, it
        is a correlation: 0 for chroma that have nothing to do with each other, and for silence.
        """
        return attrs.evolve(self, chroma=self.chroma - self.chroma.mean(axis=0, keepdims=True))

    def amplified(self, gain_db: float) -> BeatFeatures:
        """Return the features of the same music with a gain; only energies change, the others are compared by shape."""
        return attrs.evolve(self, energies=self.energies * 10 ** (gain_db / 10))


@attrs.frozen(eq=False)
class StemFeatures:
    """The features that mashability compares, by the frame; see :mod:`mashkit.features.spectral`."""

    times: Times = attrs.field(repr=False)
    chroma: npt.NDArray[np.float32] = attrs.field(repr=False)
    onsets: npt.NDArray[np.float32] = attrs.field(repr=False)
    energies: npt.NDArray[np.float32] = attrs.field(repr=False)

    @classmethod
    def of(cls, audio: Audio, *, tuning: float = 0.0) -> StemFeatures:
        """Return the features of ``audio``; takes about 2 ms for a second of stereo at 44.1 kHz.

        Parameters
        ----------
        audio : Audio
        tuning : float
            The audio's tuning in cents from A = 440 Hz; the chroma are centred on it.
        """
        spectrum = spectrogram(audio)
        return cls(
            spectrum.times, chromagram(spectrum, tuning=tuning), onset_strength(spectrum), band_energies(spectrum)
        )

    def by_beat(self, beats: npt.ArrayLike) -> BeatFeatures:
        """Return the features of the N beats between N + 1 increasing times, seconds; zeros outside the audio."""
        beats = np.asarray(beats, dtype=np.float64)
        return BeatFeatures(
            beat_synchronous(self.chroma, self.times, beats),
            beat_synchronous(self.onsets, self.times, _position_edges(beats)),
            beat_synchronous(self.energies, self.times, beats),
        )


def _position_edges(beats: Times) -> Times:
    """Return the edges around the positions, half a position early, so that a hit just before the beat counts on it."""
    position = (np.arange(POSITIONS * (len(beats) - 1) + 1) - 0.5) / POSITIONS
    beat = position.astype(np.int64)  # rounds towards zero, so the first edge extrapolates the first beat
    edges: Times = beats[beat] + (position - beat) * np.diff(beats)[beat]
    return edges


# ---------------------------------------------------------------------------------------------------- compatibility
def _windows(target: npt.NDArray[Any], candidate: npt.NDArray[Any], step: int = 1) -> Values:
    """Return all parts of the candidate as long as the target, ``step`` columns apart, (offsets, rows, length)."""
    length = target.shape[1]
    if target.shape[0] != candidate.shape[0] or not 1 <= length <= candidate.shape[1]:
        raise UsageError(
            f"the target has shape {target.shape}, and the candidate {candidate.shape}",
            "give one beat or more, and a candidate at least as long as the target",
        )
    windows = np.lib.stride_tricks.sliding_window_view(candidate.astype(np.float64), length, axis=1)
    return windows[:, ::step].swapaxes(0, 1)


def _cosine(products: Values, squares: Values) -> Values:
    """Return products / √squares; 0 where one of the two is silent."""
    cosine: Values = np.divide(products, np.sqrt(squares), out=np.zeros_like(products), where=squares > 0)
    return cosine


def harmonic_compatibility(target: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> Values:
    """Return the cosine between the target's chroma and the shifted candidate's, for each shift and offset.

    M_H(s, k) = Σ_{p,j} T[p, j] · C[(p − s) mod 12, k + j] / (‖T‖ · ‖C[:, k : k + N]‖).

    Parameters
    ----------
    target : array, shape (12, N)
    candidate : array, shape (12, M)

    Returns
    -------
    array of float64, shape (12, M - N + 1)
        Row i is shift ``SHIFTS[i]``; 0–1 for chroma ≥ 0, −1 to 1 for centred ones.

    Raises
    ------
    UsageError
        If the target is empty or longer than the candidate.
    """
    windows = _windows(target, candidate)
    flat = windows.reshape(len(windows), -1)
    # The target is shifted down in place of the candidate up, because twelve targets then serve all offsets.
    rotations = (np.arange(12) + SHIFTS[:, None]) % 12
    targets = target.astype(np.float64)[rotations].reshape(len(SHIFTS), -1)
    squares = np.sum(targets[0] ** 2) * np.einsum("ij,ij->i", flat, flat)
    products = targets @ flat.T
    return _cosine(products, np.broadcast_to(squares, products.shape))


def rhythmic_compatibility(target: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> Values:
    """Return the mean cosine of kick and of snare onset strength, for each offset in whole beats.

    M_R(k) = ½ Σ_b ⟨O_b, P_b[12k : 12(k + N)]⟩ / (‖O_b‖ · ‖P_b[12k : 12(k + N)]‖).

    Parameters
    ----------
    target : array, shape (2, POSITIONS · N)
    candidate : array, shape (2, POSITIONS · M)

    Returns
    -------
    array of float64, shape (M - N + 1,)
        0–1 for onset strengths ≥ 0; a band that is silent in one of the two counts as 0.

    Raises
    ------
    UsageError
        If the target is empty or longer than the candidate.
    """
    windows = _windows(target, candidate, POSITIONS)
    reference = target.astype(np.float64)
    products = np.einsum("kbj,bj->kb", windows, reference)
    squares = np.einsum("kbj,kbj->kb", windows, windows) * np.sum(reference**2, axis=1)
    mean: Values = _cosine(products, squares).mean(axis=1)
    return mean


def spectral_balance(target: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> Values:
    """Return how evenly target and candidate together fill the bands, for each offset.

    M_L(k) = 1 − std(β̂), where β is the mean over beats of target + candidate in each band and β̂ = β / Σβ.

    Parameters
    ----------
    target : array, shape (3, N)
    candidate : array, shape (3, M)

    Returns
    -------
    array of float64, shape (M - N + 1,)
        1 if all bands are equally strong, 1 − √2/3 if only one has power; 0 if both are silent.

    Raises
    ------
    UsageError
        If the target is empty or longer than the candidate.
    """
    total = _windows(target, candidate).sum(axis=2) + target.astype(np.float64).sum(axis=1)
    whole = total.sum(axis=1, keepdims=True)
    share = np.divide(total, whole, out=np.zeros_like(total), where=whole > 0)
    balance: Values = np.where(whole[:, 0] > 0, 1 - share.std(axis=1), 0.0)
    return balance
