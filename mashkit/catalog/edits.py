"""Apply a person's corrections to an analysis: key, tempo, tuning, the place of a downbeat and the beats of a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from mashkit.errors import AnalysisError, UsageError
from mashkit.types import Analysis, Key, Times

FIELDS = ("key", "tempo", "tuning", "beats_per_bar", "downbeat")
"""Fields that a person can edit."""
_OF_BEATS = ("beats", "downbeats", "metre")
"""Confidences in beats that an edit makes anew."""
_UNITS = {"tempo": "BPM", "tuning": "cents from A = 440 Hz", "downbeat": "seconds"}
FACTORS = (2.0, 0.5, 3.0, 1 / 3)
"""Ratios of new to old tempo at which beats are added or left out; at any other ratio the beats are computed anew."""
AS_ROUNDED = 0.01
"""Largest relative difference of an edited tempo from a multiple of the old one whose beats it keeps (ours): a tempo
of 60 BPM or more that is rounded to a whole number differs by 0.8 % at most."""
SAME_BPM = 0.05
"""Largest difference of an edited tempo from the old one that is not an edit, BPM: tempi are shown with one decimal."""
SAME_S = 0.001
"""Largest difference of an edited downbeat from one of the old ones that is not an edit, seconds."""
BEATS_A_BAR = 4
"""Beats in a bar, used where the analysis gives no other number."""
MOST_BEATS_A_BAR = 32
"""Largest number of beats in a bar that an edit may set (ours)."""


def parsed(field: str, text: str) -> Any:
    """Read the value of an edit as a person writes it: "A minor", "120", "-45" (cents), "5", "12.35" (s of the song).

    Raises
    ------
    UsageError
        If the field cannot be edited, or the text is not a valid value of the field.
    """
    if field not in FIELDS:
        raise UsageError(f"{field!r} cannot be edited", f"edit one of {', '.join(FIELDS)}")
    if field == "key":
        return str(Key.parse(text))
    if field == "beats_per_bar":
        if not text.isdecimal() or not 1 <= int(text) <= MOST_BEATS_A_BAR:
            raise UsageError(f"beats a bar {text!r}", f"give a whole number from 1 to {MOST_BEATS_A_BAR}")
        return int(text)
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{field} {text!r} is not a number", f"give {_UNITS[field]}") from error
    if field == "tuning":
        if not -50 <= value < 50:
            raise UsageError(
                f"tuning {text!r}", "give cents from A = 440 Hz, −50 to below 50; beyond, name another key"
            )
        return value
    low, high = (20.0, 400.0) if field == "tempo" else (0.0, float("inf"))
    if not (low <= value <= high and math.isfinite(value)):
        raise UsageError(f"{field} {text!r}", f"give {low:g} or more" if high == float("inf") else f"{low:g}–{high:g}")
    return value


def edited(analysis: Analysis, edits: Mapping[str, Any], duration_s: float) -> Analysis:
    """Return the analysis with a person's corrections.

    A value that the analysis has already changes nothing but the confidence. A tempo of twice, half, three times or a
    third of the old tempo adds or leaves out beats. Any other tempo gives evenly spaced beats, one of which is the
    edited downbeat, or else the first downbeat. An edited downbeat moves all downbeats by the same number of beats, so
    that one of them is the beat nearest to the given time. An edit removes the analyzer's confidence in what is edited,
    because the person vouches for it: for an edit of the downbeat or of the beats in a bar those in "downbeats" and
    "metre", and wherever beats are evenly spaced anew, that in "beats", too, because it was about other beats.

    Parameters
    ----------
    analysis : Analysis
        Analysis of an excerpt.
    edits : mapping of str to value
        "key" (text), "tempo" (BPM), "tuning" (cents), "beats_per_bar", "downbeat" (seconds from the excerpt's start).
    duration_s : float
        Length of the excerpt.

    Raises
    ------
    AnalysisError
        If the edits set a downbeat where there are neither beats nor a tempo, or beats in a bar where there are no
        beats.
    """
    if "key" in edits:
        analysis = attrs.evolve(_vouched_for(analysis, "key"), key=Key.parse(edits["key"]))
    if "tuning" in edits:
        analysis = attrs.evolve(_vouched_for(analysis, "tuning"), tuning=float(edits["tuning"]))
    if "tempo" in edits:
        analysis = _at_tempo(analysis, float(edits["tempo"]), duration_s, edits.get("downbeat"))
    bar = edits.get("beats_per_bar")
    if "downbeat" in edits:
        analysis = _with_downbeat(analysis, float(edits["downbeat"]), duration_s, bar)
    elif bar is not None:
        analysis = _with_bars(analysis, int(bar))
    return analysis


def _vouched_for(analysis: Analysis, *fields: str) -> Analysis:
    """Return the analysis without the analyzer's confidence in fields that a person sets."""
    confidence = {name: one for name, one in analysis.confidence.items() if name not in fields}
    return attrs.evolve(analysis, confidence=confidence)


def _steady(through_s: float, tempo: float, duration_s: float) -> Times:
    """Return evenly spaced beats from 0 up to ``duration_s``, without that end; one of them is at ``through_s``."""
    period = 60.0 / tempo
    first = through_s - np.floor(through_s / period) * period
    beats: Times = np.arange(first, duration_s, period)
    return beats


def _at_tempo(analysis: Analysis, tempo: float, duration_s: float, downbeat_s: float | None = None) -> Analysis:
    vouched = attrs.evolve(_vouched_for(analysis, "tempo"), tempo=tempo)
    if analysis.beats is None or len(analysis.beats) < 2:
        return vouched
    bar = analysis.beats_per_bar or BEATS_A_BAR
    known = analysis.downbeats is not None and len(analysis.downbeats) > 0
    first = float(analysis.downbeats[0] if known and analysis.downbeats is not None else analysis.beats[0])
    old = analysis.tempo or 60.0 / float(np.median(np.diff(analysis.beats)))
    if abs(tempo - old) <= SAME_BPM:
        return vouched
    factor = next((one for one in FACTORS if abs(tempo / old / one - 1) <= AS_ROUNDED), None)
    if factor is None:
        vouched = _vouched_for(vouched, *_OF_BEATS)
        first = first if downbeat_s is None else float(downbeat_s)
        beats = _steady(first, tempo, duration_s)
    elif factor > 1:
        positions = np.arange((len(analysis.beats) - 1) * round(factor) + 1) / factor
        beats = np.interp(positions, np.arange(len(analysis.beats)), analysis.beats)
    else:
        step = round(1 / factor)
        beats = analysis.beats[int(np.searchsorted(analysis.beats, first)) % step :: step]
    downbeats = _every(bar, beats, int(np.argmin(np.abs(beats - first)))) if known else analysis.downbeats
    return attrs.evolve(vouched, beats=beats, downbeats=downbeats)


def _with_downbeat(analysis: Analysis, at_s: float, duration_s: float, bar: int | None) -> Analysis:
    beats = analysis.beats
    if beats is None or len(beats) == 0:
        if analysis.tempo is None:
            raise AnalysisError(
                "a downbeat places bars only if the clip has beats or a tempo, and it has neither", "set the tempo too"
            )
        beats = _steady(at_s, analysis.tempo, duration_s)
        analysis = _vouched_for(analysis, *_OF_BEATS)
    known = () if analysis.downbeats is None else analysis.downbeats
    on_a_downbeat = any(abs(float(one) - at_s) <= SAME_S for one in known)
    if on_a_downbeat and bar in (None, analysis.beats_per_bar):
        return _vouched_for(analysis, "downbeats", "metre")
    return _barred(analysis, beats, int(np.argmin(np.abs(beats - at_s))), bar or analysis.beats_per_bar or BEATS_A_BAR)


def _with_bars(analysis: Analysis, bar: int) -> Analysis:
    """Return the analysis with bars of ``bar`` beats; one begins on the old first downbeat, else on the first beat."""
    if analysis.beats is None or len(analysis.beats) == 0:
        raise AnalysisError(
            "the number of beats in a bar needs beats, and the clip has none", "set tempo and downbeat too"
        )
    if bar == analysis.beats_per_bar:
        return _vouched_for(analysis, "metre")
    first = 0
    if analysis.downbeats is not None and len(analysis.downbeats):
        first = int(analysis.beats.searchsorted(analysis.downbeats[0]))
    return _barred(analysis, analysis.beats, first, bar)


def _barred(analysis: Analysis, beats: Times, at: int, bar: int) -> Analysis:
    """Return the analysis with ``beats``, and a downbeat on beat number ``at`` and on every ``bar``-th beat from it."""
    vouched = _vouched_for(analysis, "downbeats", "metre")
    return attrs.evolve(vouched, beats=beats, downbeats=_every(bar, beats, at))


def _every(bar: int, beats: Times, at: int) -> Times:
    """Return beat number ``at`` and every ``bar``-th beat before and after it."""
    return beats[at % bar :: bar]
