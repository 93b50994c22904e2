"""Separate sound of any length with Spleeter, in pieces, so that memory does not grow with the length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mashkit.audio.buffers import AudioBuffer, settle
from mashkit.hookspecs import StageEvent
from mashkit.remote.progress import report
from mashkit.types import Audio, Samples

SEGMENT = 512 * 1024
"""Samples in a segment of Spleeter, 11.9 s (``T`` and ``frame_step`` of its configurations); its networks process one
segment at a time."""

PIECE_SEGMENTS = 6
"""Segments in a piece, 71 s; two of them belong to the next piece too. Ours: three gigabytes in all, and half as much
computation again for longer sound (eight segments need 0.7 GB more)."""

FADE = 44_100
"""Length of the cross-fade from one piece to the next, samples."""


def separate(backend: Any, mix: Audio, stems: Sequence[str]) -> dict[str, AudioBuffer]:
    """Return the stems of ``mix``, with Spleeter's names.

    Without Wiener filtering the result equals Spleeter's for the whole mix. Pieces begin where segments do, and only
    the first segment of a piece differs, because its first frames lack the sound before it; there the stems of the
    piece before are used. With Wiener filtering each frame depends on its whole piece, and pieces are cross-faded.

    Parameters
    ----------
    backend : spleeter.separator.Separator
    mix : Audio
        At 44.1 kHz, at least one frame. Mono is separated as two equal channels; each stem is then the mean of its two
        channels.
    stems : sequence of str
        Spleeter's names of the stems.
    """
    buffers = {name: AudioBuffer(mix.channels, mix.frames) for name in stems}
    stride = (PIECE_SEGMENTS - 2) * SEGMENT
    # No piece starts in the last two segments of the mix, because the piece before covers them already.
    begins = range(0, max(mix.frames - 2 * SEGMENT, 1), stride)
    for done, begin in enumerate(begins, start=1):
        end = min(begin + PIECE_SEGMENTS * SEGMENT, mix.frames)
        made = backend.separate(_piece(mix, begin, end))
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


def _piece(mix: Audio, begin: int, end: int) -> Samples:
    """Return a piece of the mix in Spleeter's format, shape (frames, 2)."""
    piece = np.repeat(mix.samples[:, begin:end].T, 2 // mix.channels, axis=1)
    settle(mix.samples)
    return np.ascontiguousarray(piece)


def _weight(frames: int, *, first: bool, last: bool) -> Samples:
    """Return the weight of each frame of a piece, 0–1; the weights of two overlapping pieces sum to 1."""
    weight = np.ones(frames, np.float32)
    rise = (np.arange(FADE, dtype=np.float32) + 0.5) / FADE
    if not first:
        weight[:SEGMENT] = 0
        weight[SEGMENT : SEGMENT + FADE] = rise
    if not last:
        weight[-SEGMENT:] = 0
        weight[-SEGMENT : FADE - SEGMENT] = 1 - rise
    return weight
