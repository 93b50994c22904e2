"""Pitch frames of a store's stems, with and without residue: measured once, saved in the store, memory-mapped.

In a store that may not be written to, they are not saved, and so are measured again.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mashkit.atomicfile import replacing
from mashkit.types import Role, Times
from mashkit_mashnet import frontend, pitches, stem_features
from mashkit_mashnet.frontend import scaled, unscaled
from mashkit_mashnet.intervals import ONSET_PARTS, PITCH_PARTS, StemIntervals, divided
from mashkit_mashnet.pitches import FRAME_RATE, PITCH_CHANNELS, PITCH_CLASSES, Floats, pitch_frames
from mashkit_mashnet.running_sum import RunningSum
from mashkit_mashnet.stem_features import MARGIN, ONSET_RATE, ROLES, Bytes, StemFeatures
from mashkit_mashnet_train.examples import Layer, Random, Split
from mashkit_mashnet_train.store import Store, StoreError

RESIDUE_DB = (-24.0, -9.0)
"""Level of the residue of other stems in a separated stem, dB. The residue comes from another song, because residue of
the same song would show which stems belong together, and from the same split, so that training uses no song of
another."""
RESIDUE_ONSETS = (0.1, 0.6)
VARIANTS = 2
"""The two variants of a stem: without residue, and with residue."""

Origins: TypeAlias = npt.NDArray[np.intp]
"""The number of each clip's song, and that of the song's split, shape (2, clips)."""


class StoredIntervals:
    """Pitch frames and onsets of a store's stems, with and without residue; pitch frames are memory-mapped.

    Parameters
    ----------
    store : Store
    parts : mapping of str to str
        Song → its split.
    """

    def __init__(self, store: Store, parts: Mapping[str, Split]) -> None:
        self.store = store
        self.origins = _origins(store, parts)
        self.pitches = {
            role: (_pitches(store, role), _pitches(store, role, self.origins)) for role in ROLES if PITCH_CHANNELS[role]
        }

    def on(self, clip: int, role: Role, variant: int, layer: Layer, grid: Times) -> tuple[Floats, Floats]:
        """Return (pitches, onsets) of a layer on a grid; see :meth:`mashkit_mashnet.intervals.StemIntervals.on`."""
        (first, last), (begin, end) = self.store.starts[clip : clip + 2].T
        moments = layer.to_clip(divided(grid, PITCH_PARTS))
        low, high = _span(moments, FRAME_RATE, last - first)
        frames = np.zeros((high - low, 0, PITCH_CLASSES), np.float32)
        if role in self.pitches:
            frames = np.square(_floats(self.pitches[role][variant][first + low : first + high], PITCH_SCALE))
        onset_moments = layer.to_clip(divided(grid, ONSET_PARTS))
        start, stop = _span(onset_moments, ONSET_RATE, end - begin)
        onsets = _floats(self.store.onsets[begin + start : begin + stop, ROLES.index(role)])
        if variant:
            onsets = np.maximum(onsets, _residue_onsets(self.store, self.origins, clip, role)[start:stop])
        # Only the part of the clip that is read is summed, so its time starts at frame low, or at start for onsets.
        part = StemIntervals(RunningSum.of(frames, FRAME_RATE), RunningSum.of(onsets, ONSET_RATE))
        return part.at(moments - low / FRAME_RATE, onset_moments - start / ONSET_RATE, layer.semitones)


def _span(moments: Times, rate: float, frames: int) -> tuple[int, int]:
    """Return the range of frames that ``moments`` can need, at least one frame long."""
    low = int(np.clip(moments[0] * rate - 2, 0, frames - 1))
    return low, int(np.clip(moments[-1] * rate + 3, low + 1, frames))


PITCH_SCALE = 3.0
"""Square root of the strength that byte 255 stands for. Roots are stored so that quiet sounds keep their precision."""


def _pitches(store: Store, role: Role, residue: Origins | None = None) -> npt.NDArray[np.uint8]:
    """Return pitch frames of all clips, shape (frames, channels, 12), as bytes of their square roots.

    With ``residue``, they have residue of other songs. The file's name then has the songs and splits, because the
    residue of another fold is of other songs.
    """
    added = "" if residue is None else f"-residue-{hashlib.sha256(residue.astype('<i8').tobytes()).hexdigest()[:8]}"
    path = store.folder / f"pitches-{role}-{_recipe()}{added}.npy"
    shape = (len(store.spectra), PITCH_CHANNELS[role], PITCH_CLASSES)
    if (mapped := _mapped(path, shape)) is None:
        kept = np.zeros(shape, np.uint8)
        for clip in range(len(store)):
            first, last = store.starts[clip : clip + 2, 0]
            own = store.stem(clip, role)
            spectrum = own.spectrum if residue is None else _with_residue(store, residue, clip, role)
            frames = np.sqrt(pitch_frames(StemFeatures(spectrum, own.onsets), role)) / PITCH_SCALE
            kept[first:last] = np.rint(np.clip(frames, 0, 1) * 255)
        if not store.write:
            return kept
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, kept)
        mapped = _mapped(path, shape)
    if mapped is None:
        raise StoreError(f"{path} cannot be read", "remove it; it is measured again")
    return mapped


def _mapped(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """Return the bytes in a file; None if it is missing, or is damaged and so has to be measured again."""
    try:
        mapped: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return mapped if mapped.shape == shape and mapped.dtype == np.uint8 else None


@functools.cache
def _recipe() -> str:
    """Return hex digits of the code that makes pitch frames, so that a file made by other code is not read."""
    modules = (frontend, stem_features, pitches, sys.modules[__name__])
    return hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()[:8]


def _origins(store: Store, parts: Mapping[str, Split]) -> Origins:
    songs = [record.song for record in store.records]
    return np.stack([np.unique(names, return_inverse=True)[1] for names in (songs, [parts[song] for song in songs])])


def _other(origins: Origins, clip: int, role: Role) -> tuple[Random, int | None]:
    """Return the source of draws for a stem's residue, and a clip of another song of its split; None without one."""
    random = np.random.default_rng([clip, ROLES.index(role), 5])
    songs, splits = origins
    others = np.flatnonzero((songs != songs[clip]) & (splits == splits[clip]))
    return random, int(random.choice(others)) if len(others) else None


def _with_residue(store: Store, origins: Origins, clip: int, role: Role) -> npt.NDArray[np.uint8]:
    """Return a stem's spectrum with residue of the two other stems of another song, as a separator leaves it."""
    random, other = _other(origins, clip, role)
    if other is None:
        return store.stem(clip, role).spectrum
    power = unscaled(_floats(store.stem(clip, role).spectrum))
    for left in ROLES:
        if left is not role:
            residue = unscaled(_floats(store.stem(other, left).spectrum))
            gain = np.float32(10 ** (random.uniform(*RESIDUE_DB) / 10))
            power = power + gain * np.resize(residue, power.shape)
    return np.rint(scaled(power.T, MARGIN).T * 255).astype(np.uint8)


def _residue_onsets(store: Store, origins: Origins, clip: int, role: Role) -> Floats:
    """Return the onsets that residue of another song adds to a stem, as long as its own."""
    random, other = _other(origins, clip, role)
    if other is None:
        return np.zeros(store.stem(clip, role).onsets.shape, np.float32)
    begin, end = store.starts[clip : clip + 2, 1]
    left = [index for index, name in enumerate(ROLES) if name is not role]
    onsets = store.stem(other, ROLES[left[int(random.integers(2))]]).onsets
    gain = np.float32(random.uniform(*RESIDUE_ONSETS))
    return gain * _floats(np.resize(onsets, (int(end - begin), onsets.shape[1])))


def _floats(values: Bytes, scale: float = 1.0) -> Floats:
    floats: Floats = values.astype(np.float32) * np.float32(scale / 255)
    return floats
