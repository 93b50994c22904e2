"""Run Spleeter over sound of any length, in pieces: what it needs does not grow with the length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mashkit.audiobuffer import AudioBuffer, settle
from mashkit.hookspecs import StageEvent
from mashkit.remote.progress import report
from mashkit.types import Audio, Samples

SEGMENT = 512 * 1024
"""Samples from one of Spleeter's segments to the next, 11.9 s (``T`` and ``frame_step`` of its configurations): its
networks hear one at a time."""

PIECE_SEGMENTS = 6
"""Segments in a piece, 71 s, of which two are those of the next piece too. Ours: three gigabytes in all, for half as
much work again where the sound is longer than that (eight segments take 0.7 GB more)."""

FADE = 44_100
"""Samples over which one piece gives way to the next."""


def separate(backend: Any, mix: Audio, stems: Sequence[str]) -> dict[str, AudioBuffer]:
    """Return the stems of ``mix``, by Spleeter's names.

    Without Wiener filtering this is what Spleeter makes of the whole: a piece begins where a segment does, and only its
    first segment differs, whose first frames lack the sound before. There the piece before is heard. The filter takes
    account of the whole piece in every frame; with it, pieces pass into each other.

    Parameters
    ----------
    backend : spleeter.separator.Separator
    mix : Audio
        At 44.1 kHz, at least one frame. Mono is heard as two equal channels, and gives the mean of the stems'.
    stems : sequence of str
        Spleeter's names.
    """
    buffers = {name: AudioBuffer(mix.channels, mix.frames) for name in stems}
    stride = (PIECE_SEGMENTS - 2) * SEGMENT
    # A piece that would end with the one before it is left out.
    begins = range(0, max(mix.frames - 2 * SEGMENT, 1), stride)
    for done, begin in enumerate(begins, start=1):
        end = min(begin + PIECE_SEGMENTS * SEGMENT, mix.frames)
        made = backend.separate(_heard(mix, begin, end))
        weight = _weight(end - begin, first=begin == 0, last=end == mix.frames)
        for name, buffer in buffers.items():
            stem = made[name].T
            if mix.channels == 1:
                stem = stem.mean(axis=0, keepdims=True)
            buffer.samples[:, begin:end] += weight * stem
            buffer.settle()
        if len(begins) > 1:
            report(StageEvent(stage="spleeter", item="piece", state="done", done=done, total=len(begins)))
    return buffers


def _heard(mix: Audio, begin: int, end: int) -> Samples:
    """Return a piece as Spleeter takes it, shape (frames, 2)."""
    piece = np.repeat(mix.samples[:, begin:end].T, 2 // mix.channels, axis=1)
    settle(mix.samples)
    return np.ascontiguousarray(piece)


def _weight(frames: int, *, first: bool, last: bool) -> Samples:
    """Return how much of a piece is heard in each frame, 0–1: with that of the next piece it is 1."""
    weight = np.ones(frames, np.float32)
    rise = (np.arange(FADE, dtype=np.float32) + 0.5) / FADE
    if not first:
        weight[:SEGMENT] = 0
        weight[SEGMENT : SEGMENT + FADE] = rise
    if not last:
        weight[-SEGMENT:] = 0
        weight[-SEGMENT : FADE - SEGMENT] = 1 - rise
    return weight
