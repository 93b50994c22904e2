"""How far separated signals are from true ones, in dB: SDR, scale-invariant SDR, BSSEval v4, and leakage.

All functions take arrays of shape (channels, frames) and import nothing else of the benchmark.

Examples
--------
>>> import numpy as np
>>> true = np.array([[1.0, -1.0, 1.0, -1.0]])
>>> round(sdr(true, 0.9 * true), 6), si_sdr(true, 0.9 * true)  # only for the first, a gain is a distortion
(20.0, 120.0)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Signals = npt.NDArray[np.float64]

SILENCE = 1e-4
"""RMS below which a true stem counts as silent: a ratio to silence would have no meaning."""
SOUNDING = 10 * SILENCE
"""RMS above which a mix counts as sounding, so that something can leak from it."""
FEWEST_SILENT = 5
"""Fewest silent pieces of 0.1 s, half a second in all, from which leakage is computed."""
MOST_DB = 120.0
"""Largest ratio, either way, because JSON has no infinity: no file holds as much."""


def decibels_of(signal: float, distortion: float) -> float:
    """Return the ratio of two energies, dB, within ±:data:`MOST_DB`."""
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / max(distortion, 1e-30)), -MOST_DB, MOST_DB))


def sdr(true: Signals, found: Signals) -> float:
    """Return the signal-to-distortion ratio of the whole: 10·lg(Σ s² / Σ (s − ŝ)²), dB."""
    return decibels_of(np.sum(true**2), np.sum((true - found) ** 2))


def si_sdr(true: Signals, found: Signals) -> float:
    """Return the scale-invariant SDR, dB: against the true signal scaled to fit best (Le Roux et al. 2019, eq. 5).

    For a silent estimate, where the ratio is 0 / 0, it is −:data:`MOST_DB` (ours).
    """
    if not found.any():
        return -MOST_DB
    scaled = true * (np.sum(true * found) / np.sum(true**2))
    return decibels_of(np.sum(scaled**2), np.sum((scaled - found) ** 2))


def leakage(true: Signals, found: Signals, mix: Signals, sample_rate: int) -> float | None:
    """Return the energy of an estimate where the true signal is silent, relative to the mix's energy there, dB.

    The result is None if less than half a second is silent, in pieces of 0.1 s in which the mix sounds. SDR cannot
    replace this metric: it is undefined where the true signal is silent, so it does not show a separator that is never
    silent.
    """
    where = silent(power(true, sample_rate), power(mix, sample_rate))
    if where.sum() < FEWEST_SILENT:
        return None
    return decibels_of(power(found, sample_rate)[where].sum(), power(mix, sample_rate)[where].sum())


def power(signal: npt.NDArray[np.floating[Any]], sample_rate: int) -> Signals:
    """Return the mean power of each whole piece of 0.1 s, shape (pieces,)."""
    length = sample_rate // 10
    whole = signal[:, : signal.shape[1] // length * length]
    pieces: Signals = np.square(whole, dtype=np.float64).mean(axis=0).reshape(-1, length).mean(axis=1)
    return pieces


def silent(true_power: Signals, mix_power: Signals) -> npt.NDArray[np.bool_]:
    """Return for each piece whether the true signal is silent and the mix is not."""
    return (true_power < SILENCE**2) & (mix_power > SOUNDING**2)


def bss_sdr(true: Sequence[Signals], found: Sequence[Signals], sample_rate: int) -> list[float | None]:
    """Return museval's SDR (BSSEval v4) of each signal: median over seconds, dB.

    museval computes nothing, of any signal, for a second in which one of the true or found signals is silent. If
    every second has such a signal, the results are None.

    Parameters
    ----------
    true, found : sequence of array, shape (channels, frames)
        No true signal is silent throughout. For a silent estimate, which museval refuses, the result is
        −:data:`MOST_DB` (ours).
    sample_rate : int
        Hz.
    """
    from museval.metrics import bss_eval

    sounds = [bool(one.any()) for one in found]
    # An estimate is compared with the true signals alone, so the one that stands for a silent one changes no other.
    measured = [one if sounding else true_one for one, true_one, sounding in zip(found, true, sounds, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seconds in which any stem is silent are NaN, and left out of the medians
        found_sdr, *_ = bss_eval(
            np.stack([one.T for one in true]),
            np.stack([one.T for one in measured]),
            window=sample_rate,
            hop=sample_rate,
        )
        medians = [float(np.nanmedian(one)) for one in found_sdr]
    known = [None if np.isnan(median) else median for median in medians]
    return [median if sounding else -MOST_DB for median, sounding in zip(known, sounds, strict=True)]
