"""Write a mashup to disk: the mix, its stems, and a record of everything from which it was made."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from mashkit.atomicfile import require_writable_folder, write_json
from mashkit.audio.files import save
from mashkit.audio.silence import SILENCE_DB, is_silent
from mashkit.features.tuning import sounding_distance
from mashkit.mashup import Mashup
from mashkit.products import MARK
from mashkit.types import Audio, Clip, Layer, Role

RECORDED_PACKAGES = ("mashkit", "numpy", "scipy", "soundfile", "soxr", "pyloudnorm", "numpy-audio-limiter")
"""Packages of the core whose version can change a result."""
LONGER_S = 0.1
"""A plan that ends by more than this after its last layer, seconds, is remarked on."""
LOWERED_DB = 20.0
"""A mix that is lowered by more than this, dB, is remarked on: its other layers can hardly be heard."""
CLICK_HZ, CLICK_S = 1000, 0.03
"""Frequency and length of a click: short, so that its time is easy to hear; on downbeats it is an octave higher."""


class Environment(TypedDict):
    """What a computer runs mashkit with. Early results of benchmarks have no ``machine``."""

    python: str
    machine: NotRequired[str]
    packages: Mapping[str, str]


def environment() -> Environment:
    """Return the versions of Python, mashkit and the packages its core computes with."""
    versions = {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), "packages": versions}


def key_distance(layer: Layer, clip: Clip, seed: Clip, sung: float = 0.0) -> float | None:
    """Return how far the shifted layer's key is from the vocal's as played, −6 to below 6 semitones; None if unknown.

    It is the shift that is missing: −1 for a layer that is a semitone too high. Sounding pitches are compared, so
    tunings count (:func:`mashkit.features.tuning.semitones_between`).

    Parameters
    ----------
    layer : Layer
    clip, seed : Clip
        The layer's clip, and the vocal's.
    sung : float
        Semitones by which the vocal itself is shifted.
    """
    distance = sounding_distance(clip.analysis, seed.analysis)
    return None if distance is None else (distance + sung - layer.semitones + 6) % 12 - 6


def remarks(mashup: Mashup) -> list[str]:
    """Return warnings about the sound of a mashup, because an edited plan may sound wrong.

    That is a layer that is silent all the time, a plan that is longer than its layers, and a mix that is lowered by
    more than :data:`LOWERED_DB`.
    """
    plan = mashup.plan
    ends = {layer.role: float(layer.to_mashup(mashup.clips[layer.role].duration)) for layer in plan.layers}
    said = [
        f"the {layer.role} layer is silent: it plays from {layer.offset_s:.1f} s to {ends[layer.role]:.1f} s "
        f"of a mashup of {plan.duration_s:.1f} s, with a gain of {layer.gain_db:+.1f} dB"
        for layer in plan.layers
        if is_silent(mashup.stems[layer.role], SILENCE_DB + min(mashup.gain_db, 0.0))  # the gain is of all layers alike
    ]
    last = max(ends.values())
    if plan.duration_s - last > LONGER_S:
        said.append(f"the mashup lasts {plan.duration_s:.1f} s, but its last layer ends at {last:.1f} s")
    if mashup.gain_db < -LOWERED_DB:
        loudest = max(plan.layers, key=lambda layer: mashup.stems[layer.role].peak)
        said.append(
            f"the whole mix is lowered by {-mashup.gain_db:.1f} dB to keep its peaks: "
            f"lower the {loudest.role} layer (gain {loudest.gain_db:+.1f} dB)"
        )
    return said


def mashup_record(mashup: Mashup) -> dict[str, Any]:
    """Return the record of a mashup's origin, as plain data: plan, clips, components, versions, licences.

    "notes" are the :func:`remarks`. They are not among the plan's own notes, because those go on with the plan, and
    the next edit may mend what the remarks are about.
    """
    components = [*mashup.provenance(), mashup.renderer.stretcher.described()]
    seed, sung = mashup.clips[Role.VOCAL], mashup.plan.layer(Role.VOCAL).semitones
    return {
        "plan": {"id": mashup.plan.id, **mashup.plan.to_dict()},
        "gain_db": mashup.gain_db,
        "limited_db": mashup.limited_db,
        "notes": remarks(mashup),
        "sample_rate": mashup.sample_rate,
        "frames": mashup.mix.frames,
        # Drums have no key of their own, and their song's key has no effect on how they fit.
        "key_distance": {
            str(role): key_distance(mashup.plan.layer(role), mashup.clips[role], seed, sung)
            for role in mashup.roles
            if role is not Role.PERCUSSION
        },
        "clips": {str(role): mashup.clips[role].to_dict() for role in mashup.roles},
        "components": components,
        "licences": licences(mashup, components),
        "environment": environment(),
    }


def with_clicks(mashup: Mashup) -> Audio:
    """Return the mix, 6 dB down, with a click on every beat of the vocal clip, higher on downbeats.

    Raises
    ------
    AnalysisError
        If the vocal's clip has no beats.
    """
    beats, bars = mashup.beats(), mashup.known_downbeats()
    samples = mashup.mix.samples * np.float32(0.5)
    time = np.arange(round(CLICK_S * mashup.sample_rate)) / mashup.sample_rate
    for beat in beats.tolist():
        pitch = CLICK_HZ * (2 if beat in bars else 1)
        click = (0.4 * np.sin(2 * np.pi * pitch * time) * np.exp(-time * 5 / CLICK_S)).astype(np.float32)
        start = round(beat * mashup.sample_rate)
        samples[:, start : start + len(click)] += click[: samples.shape[1] - start]
    return Audio(samples, mashup.sample_rate)


def licences(mashup: Mashup, components: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the licence of every recording, program and weight file behind a mashup."""
    recordings = {mashup.clips[role].source: mashup.clips[role].licence for role in mashup.roles}
    entries = [{"what": source, "kind": "recording", "licence": licence} for source, licence in recordings.items()]
    for component in components:
        what = f"{component['kind']} {component['name']}"
        entries.append({"what": what, "kind": "code", "licence": component["code_license"]})
        if component["weights_license"] != "none":
            entries.append({"what": what, "kind": "weights", "licence": component["weights_license"]})
    return entries


MIX = "mix.flac"
PLAN = "plan.json"
CLICKS = "clicks.flac"


def mashup_files(roles: Iterable[Role], *, clicks: bool = False) -> list[str]:
    """Return the names of the files that :func:`write_mashup` writes for a mashup with these roles."""
    return [MIX, PLAN, *(f"stems/{role}.flac" for role in roles), *([CLICKS] if clicks else [])]


def write_mashup(mashup: Mashup, folder: Path, *, clicks: bool = False) -> dict[str, Any]:
    """Write ``mix.flac``, ``stems/<role>.flac`` and ``plan.json`` into ``folder``; return the record in plan.json.

    The stems are written with the gain of the mix, so they sum to the mix.

    Parameters
    ----------
    mashup : Mashup
    folder : Path
        Made if it is missing. Existing files are not checked: see :class:`mashkit.products.OutputSet`.
    clicks : bool
        Also write ``clicks.flac``: see :func:`with_clicks`.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    AnalysisError
        If clicks are asked for and the vocal's clip has no beats.
    """
    require_writable_folder(folder)
    record = mashup_record(mashup)
    save(folder / MIX, mashup.mix, comment=MARK)
    for role, stem in mashup.stems.items():
        save(folder / "stems" / f"{role}.flac", stem, comment=MARK)
    if clicks:
        save(folder / CLICKS, with_clicks(mashup), comment=MARK)
    write_json(folder / PLAN, record)
    return record
