"""HTML of sound, beats and pitch classes for notebooks: self-contained text, made of plain numbers.

:class:`mashkit.Audio`, :class:`mashkit.Analysis`, :class:`mashkit.Mashup` and :class:`mashkit.Ranked` call it in
``_repr_html_``, which Jupyter calls for the last value of a cell. It imports no type of mashkit, because these types
import it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mashkit.pages import text

MP3_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
"""The sample rates of MPEG audio layer III, Hz; sound of another rate is embedded as WAV."""
WIDTH, ROW = 720, 22
"""Width of a picture and height of a row of it, pixels."""
COLOURS = ("#2563a8", "#b4532a", "#3f7d4e", "#6b4fa0")


def player(samples: npt.NDArray[np.float32], sample_rate: int) -> str:
    """Return an audio element with the sound in it.

    Parameters
    ----------
    samples : array of float32, shape (channels, frames)
        More than two channels are mixed down to one, because MP3 has no more. Samples beyond ±1 are clipped.
    sample_rate : int
        Hz.
    """
    import soundfile  # here: most programs never show a sound

    heard = samples if len(samples) <= 2 else samples.mean(axis=0, keepdims=True)
    layout, subtype = ("MP3", "MPEG_LAYER_III") if sample_rate in MP3_RATES else ("WAV", "PCM_16")
    encoded = io.BytesIO()
    soundfile.write(encoded, np.clip(heard.T, -1, 1), sample_rate, format=layout, subtype=subtype)
    kind = {"MP3": "audio/mpeg", "WAV": "audio/wav"}[layout]
    data = base64.b64encode(encoded.getvalue()).decode("ascii")
    return f'<audio controls preload="none" src="data:{kind};base64,{data}"></audio>'


def facts(pairs: Mapping[str, object]) -> str:
    """Return names and values as a line; a value of None is left out."""
    shown = (f"<b>{text(name)}</b> {text(value)}" for name, value in pairs.items() if value is not None)
    return f"<p>{' · '.join(shown)}</p>"


def beat_grid(rows: Mapping[str, tuple[Iterable[float], Iterable[float]]], duration_s: float) -> str:
    """Return a picture of beats: a row for each name, thin lines for beats, thick lines for downbeats.

    Parameters
    ----------
    rows : mapping of str to (beats, downbeats)
        Seconds; times outside of 0 to ``duration_s`` are left out.
    duration_s : float
        Time at the right edge, > 0.
    """
    left = 90
    scale = (WIDTH - left) / duration_s
    drawn = []
    for number, (name, (beats, downbeats)) in enumerate(rows.items()):
        top, colour = number * ROW, COLOURS[number % len(COLOURS)]
        drawn.append(f'<text x="0" y="{top + 15}" font-size="12" fill="{colour}">{text(name)}</text>')
        for times, height, width in ((beats, 9, 0.7), (downbeats, 18, 1.6)):
            path = "".join(f"M{left + scale * t:.2f} {top + 20}v-{height}" for t in times if 0 <= t <= duration_s)
            drawn.append(f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>')
    return _picture("Beats and downbeats", len(rows) * ROW, drawn)


def chroma(values: npt.ArrayLike, names: Sequence[str], title: str) -> str:
    """Return a picture of pitch classes over beats: the first below, the last on top; the darker, the stronger.

    Parameters
    ----------
    values : array, shape (12, beats)
        Strengths ≥ 0; the largest is darkest.
    names : sequence of str
        Of the twelve rows.
    title : str
    """
    strengths = np.asarray(values, dtype=np.float64)
    strongest = strengths.max(initial=0.0) or 1.0
    left, size = 90, 10
    wide = (WIDTH - left) / max(strengths.shape[1], 1)
    drawn = [f'<text x="0" y="{6 * size}" font-size="12" fill="#444">{text(title)}</text>']
    for tonic, row in enumerate(strengths / strongest):
        top = (11 - tonic) * size
        drawn.append(f'<text x="{left - 18}" y="{top + 9}" font-size="9" fill="#444">{text(names[tonic])}</text>')
        drawn += [
            f'<rect x="{left + wide * beat:.1f}" y="{top}" width="{wide + 0.1:.1f}" height="{size}" fill="#2563a8" '
            f'fill-opacity="{value:.2f}"/>'
            for beat, value in enumerate(row)
            if value >= 0.01
        ]
    return _picture(f"Pitch classes of {title}", 12 * size, drawn)


def _picture(label: str, height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{text(label)}" viewBox="0 0 {WIDTH} {height + 4}" width="{WIDTH}" '
        f'style="max-width:100%;display:block" font-family="sans-serif">{"".join(drawn)}</svg>'
    )
