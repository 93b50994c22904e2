"""Compute the figures of the page, as plain data for its script: waveforms, beat grids, chroma and beat errors.

Times are seconds of the mashup, unless stated otherwise; arrays are base64 of 8-bit integers.
"""

from __future__ import annotations

import base64
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.features.spectral import StemChroma
from mashkit.mashup import Mashup
from mashkit.timing.beats import partner_error
from mashkit.types import TONIC_NAMES, Audio, Layer, Role, Times

PEAK_BINS = 4_000
"""Number of bins of a waveform, each with its lowest and highest sample: 11 ms each in a mashup of 44 s, so that a
reader can zoom in."""


def figures(mashup: Mashup) -> dict[str, Any]:
    """Render one mashup and return the data of all its figures.

    Returns
    -------
    dict
        Plain data for JSON: ``duration``; ``before`` and ``after``, each with a row per role; ``chroma`` and
        ``errors``, which are None and empty if the analyses lack beats.
    """
    layers = {role: mashup.plan.layer(role) for role in mashup.roles}
    # The sound at time 0 of the mashup is the same before and after stretching, so the rows differ only in tempo.
    unstretched = {
        role: attrs.evolve(layer, speed=1.0, time_map=None, offset_s=-float(layer.to_clip(0.0)))
        for role, layer in layers.items()
    }
    placed = {role: (mashup.source_stem(role), layer.offset_s) for role, layer in unstretched.items()}
    return {
        "duration": mashup.plan.duration_s,
        "before": [_row(mashup, layer, *placed[role]) for role, layer in unstretched.items()],
        "after": [_row(mashup, layer, mashup.stems[role], 0.0) for role, layer in layers.items()],
        "chroma": _chroma(mashup),
        "errors": beat_errors(mashup),
    }


def layer_times(mashup: Mashup, layer: Layer, field: str) -> Times:
    """Return the mashup's times of the clip's "beats" or "downbeats", also outside the mashup; empty if unknown."""
    times = getattr(mashup.clips[layer.role].analysis, field)
    return layer.to_mashup([] if times is None else times)


def inside(mashup: Mashup, times: Times) -> Times:
    """Return the times that lie within the mashup."""
    within: Times = times[(times >= 0) & (times < mashup.plan.duration_s)]
    return within


def _row(mashup: Mashup, layer: Layer, audio: Audio, offset_s: float) -> dict[str, Any]:
    return {
        "role": str(layer.role),
        "peaks": _base64(peaks(audio, offset_s=offset_s, duration_s=mashup.plan.duration_s)),
        "beats": _rounded(inside(mashup, layer_times(mashup, layer, "beats"))),
        "downbeats": _rounded(inside(mashup, layer_times(mashup, layer, "downbeats"))),
    }


def peaks(audio: Audio, *, offset_s: float, duration_s: float, bins: int = PEAK_BINS) -> npt.NDArray[np.int8]:
    """Return the lowest and highest sample of all channels in each of ``bins`` equal parts of a time line.

    Parameters
    ----------
    audio : Audio
    offset_s : float
        Time of the first frame on the time line; parts of the audio outside the line are left out.
    duration_s : float
        Length of the time line, > 0.
    bins : int

    Returns
    -------
    array of int8, shape (bins, 2)
        127 is the largest absolute sample on the line.
    """
    frames = max(round(duration_s * audio.sample_rate), 1)
    start = round(offset_s * audio.sample_rate)
    first, last = max(start, 0), min(start + audio.frames, frames)
    envelope = np.zeros((2, frames), np.float32)
    if first < last:
        heard = audio.samples[:, first - start : last - start]
        envelope[0, first:last], envelope[1, first:last] = heard.min(axis=0), heard.max(axis=0)
    edges = np.linspace(0, frames, bins, endpoint=False).astype(np.int64)
    extremes = np.stack([np.minimum.reduceat(envelope[0], edges), np.maximum.reduceat(envelope[1], edges)], axis=1)
    largest = float(np.abs(extremes).max())
    return np.round(extremes * (127 / largest if largest > 0 else 0.0)).astype(np.int8)


def _chroma(mashup: Mashup) -> dict[str, Any] | None:
    """Return chroma of the vocal, and of the harmonic stem before and after its shift, over the vocal's beats."""
    grid = inside(mashup, layer_times(mashup, mashup.plan.layer(Role.VOCAL), "beats"))
    if Role.HARMONIC not in mashup.roles or len(grid) < 2:
        return None
    harmonic = mashup.plan.layer(Role.HARMONIC)
    # The clip's own sound is measured over the same beats, converted to the clip's times, so that the columns match.
    # Pitch classes are centred on the vocal's tuning as it is played; before the shift, on the clip's own.
    own, common = mashup.tuning(Role.HARMONIC), mashup.played_tuning
    panels = {
        "vocal": (Role.VOCAL, mashup.stems[Role.VOCAL], grid, common),
        "harmonic, before the shift": (Role.HARMONIC, mashup.source_stem(Role.HARMONIC), harmonic.to_clip(grid), own),
        "harmonic, after the shift": (Role.HARMONIC, mashup.stems[Role.HARMONIC], grid, common),
    }
    return {
        "edges": _rounded(grid),
        "names": list(TONIC_NAMES),
        "panels": [
            {"title": title, "role": str(role), "values": _base64(_beat_chroma(audio, boundaries, tuning))}
            for title, (role, audio, boundaries, tuning) in panels.items()
        ],
    }


def _beat_chroma(audio: Audio, boundaries: Times, tuning: float) -> npt.NDArray[np.uint8]:
    """Return chroma per beat, shape (12, beats); 255 is the largest value."""
    chroma = StemChroma.of(audio, tuning=tuning).by_beat(boundaries)
    strongest = float(chroma.max())
    return np.round(chroma * (255 / strongest if strongest > 0 else 0.0)).astype(np.uint8)


def beat_errors(mashup: Mashup) -> list[dict[str, Any]]:
    """Return the distances, ms, of each backing layer's beats from the vocal's, for layers whose beats are known.

    The list is empty if the vocal's beats are unknown. ``ms`` has an entry for each of the vocal's beats: None if the
    layer has no beat within half a beat of it; ``missing`` is the number of these, and they are in no other figure.
    ``median`` and ``within`` are the 50th and 95th percentile of the absolute errors; ``last_bar`` is the median of the
    absolute errors between the vocal's last two downbeats; each is None if there are no errors. ``at_one_speed``
    contains the same two percentiles for the layer without its time map; None if it has no time map.
    """
    vocal = mashup.plan.layer(Role.VOCAL)
    grid = inside(mashup, layer_times(mashup, vocal, "beats"))
    bars = inside(mashup, layer_times(mashup, vocal, "downbeats"))
    found = []
    for role in mashup.roles:
        # Beats just outside the mashup count, because the beat nearest to the vocal's first may be before its start.
        layer = mashup.plan.layer(role)
        beats = layer_times(mashup, layer, "beats")
        if role is Role.VOCAL or len(grid) == 0 or len(beats) == 0:
            continue
        errors = 1000 * partner_error(grid, beats)
        at_one_speed = None
        if layer.time_map is not None:
            at_one_speed = _spread(1000 * partner_error(grid, layer_times(mashup, layer.at_one_speed(), "beats")))
        last_bar = errors[(grid >= bars[-2]) & (grid < bars[-1])] if len(bars) > 1 else errors[:0]
        found.append(
            {
                "role": str(role),
                "times": _rounded(grid),
                "ms": [None if np.isnan(error) else round(error, 2) for error in errors.tolist()],
                "missing": int(np.count_nonzero(np.isnan(errors))),
                **_spread(errors),
                "at_one_speed": at_one_speed,
                "last_bar": _spread(last_bar)["median"],
            }
        )
    return found


def _spread(errors: Times) -> dict[str, float | None]:
    """Return the 50th and 95th percentile of the absolute errors; None if there are no errors."""
    sizes = np.abs(errors[~np.isnan(errors)])
    if len(sizes) == 0:
        return {"median": None, "within": None}
    return {"median": float(np.median(sizes)), "within": float(np.percentile(sizes, 95))}


def _base64(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    """Return plain numbers, rounded to a tenth of a millisecond, which is far too short to be seen."""
    rounded: list[float] = np.round(values, 4).tolist()
    return rounded
