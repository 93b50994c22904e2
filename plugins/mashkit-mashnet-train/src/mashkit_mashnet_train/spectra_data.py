"""Training batches for the paper's networks: crops of spectra, transposed and stretched as features, not as sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from mashkit.conditions import UNMATCHED
from mashkit.errors import UsageError
from mashkit.types import Condition, Role, Times
from mashkit_mashnet.frontend import LOG_FREQUENCY, Bands, FrontEnd, scaled, unscaled
from mashkit_mashnet.loops import bar_edges, bar_moments
from mashkit_mashnet.stem_features import MARGIN, MARGIN_SEMITONES, ROLES, WIDE, Bytes, powers
from mashkit_mashnet_train import families
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.examples import (
    Clips,
    Example,
    Fold,
    Layer,
    Protocol,
    Random,
)
from mashkit_mashnet_train.group_batches import GroupBatches
from mashkit_mashnet_train.store import Store
from mashkit_mashnet_train.stored_intervals import RESIDUE_DB

Drawn: TypeAlias = Literal["vocals", "families", "contrasts"]
DRAWN: tuple[Drawn, ...] = ("vocals", "families", "contrasts")
"""How training batches may be drawn; see :class:`SpectraData`."""

CROP = 224
"""Frames of a training example, as the front end of ``compact`` counts them: 10.4 s."""
VALIDATION_CROP = 388
"""Frames of a validation example, counted so: 18 s, or the length of the shortest example in the batch."""
BEATS = (16, 64)
"""Range of an excerpt's length in beats; a short clip gives a shorter excerpt."""
RESIDUE_SHARE = 0.5
"""Share of layers that get residue of another song, as a separator leaves it."""
MIX_DB = 4.0
"""Standard deviation of the stems' levels in a mix, dB, for a network that scores the mix."""
GROUPS = 6
"""Vocals in a batch. Each has two positives and two negatives, and two unlabelled examples if these count."""


class SpectraData(GroupBatches):
    """Training data of PreMixNet, PostMixNet and Neural Loop Combiner's networks.

    Parameters
    ----------
    stores, protocol, seed, groups, validation_groups, fold, shares
        As in :class:`mashkit_mashnet_train.group_batches.GroupBatches`.
    mixed : bool
        True if the network scores the mix (PostMixNet), False if it scores the stems.
    unlabelled : bool
        True if unlabelled examples are drawn.
    front_end : FrontEnd
        Front end of the network.
    bar_frames : int, optional
        Frames of a bar, for a network that takes bars of the vocal; by default, examples are cut second by second. A
        training example is then one bar, as published.
    drawn : {"vocals", "families", "contrasts"}
        How the examples of a training batch are drawn: each vocal with layers of its own, or so that each layer plays
        in several examples (:mod:`mashkit_mashnet_train.families`), or so and with originals in which one stem is out
        of time. Validation examples are the same in all.

    Raises
    ------
    UsageError
        If there are fewer than two songs, if a store has no spectra of the front end, or if families or contrasts are
        to be drawn under protocol ``paper``.
    """

    def __init__(
        self, stores: Sequence[Store], protocol: Protocol = "controlled", seed: int = 0, *, mixed: bool,
        unlabelled: bool, front_end: FrontEnd = LOG_FREQUENCY, bar_frames: int | None = None,
        drawn: Drawn = "vocals", groups: int = GROUPS, validation_groups: int = 120, fold: Fold | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        for store in stores:
            store.require(front_end)
        if drawn != "vocals" and protocol != "controlled":
            raise UsageError(
                f"batches of {drawn} under protocol {protocol}, which leaves vocals as they are",
                "give protocol controlled, or draw batches of vocals",
            )
        self.front_end = front_end
        self.bar_frames = bar_frames
        self.drawn = drawn
        self.crop = bar_frames or _frames(CROP, front_end)
        added = {} if drawn == "vocals" else {"families": families.VERSION}
        if drawn == "contrasts":
            added["contrasts"] = families.CONTRASTS_VERSION
        super().__init__(
            stores,
            protocol,
            seed,
            beats=BEATS,
            groups=groups,
            held_groups=GROUPS,
            validation_groups=validation_groups,
            fold=fold,
            shares=shares,
            family="spectra",
            mixed=mixed,
            unlabelled=unlabelled,
            crop=self.crop,
            **added,
        )
        self.mixed = mixed
        self.matched = (Condition.MATCHED, Condition.MATCHED) if unlabelled else ()
        songs = {} if drawn == "vocals" else {"groups": 4 * families.MEMBERS}
        self.summary = {**self.summary, "batches": drawn, **songs}

    def batch(self, step: int) -> Batch:
        """Return training batch number ``step``."""
        return super().batch(step) if self.drawn == "vocals" else self._families(step)

    def _families(self, step: int) -> Batch:
        """Return a batch of families; a network of stems gets each layer once, and which layers play together."""
        random = np.random.default_rng([self.seed, step])
        members = families.members(self.training, random, _frames(CROP, self.front_end), self.front_end.frame_rate)
        examples = families.mixed(step, unlabelled=bool(self.matched))
        contrasts = families.contrasts(members, random) if self.drawn == "contrasts" else []
        sounding = [(one.layer, role, one.times) for role in ROLES for one in members]
        sounding += [(one.layer, one.role, members[one.member].times) for one in contrasts]
        spectra = np.stack(
            [_heard(self.training, layer, role, times, random, self.front_end) for layer, role, times in sounding]
        )
        count = len(members)
        layers = np.array(families.layers(examples, count) + families.contrast_layers(contrasts, count))
        if self.mixed:
            spectra = np.stack([_mix(spectra[own], random)[None] for own in layers])
        inputs = {"spectra": torch.from_numpy(spectra), "lengths": torch.full((len(spectra),), spectra.shape[-1])}
        return Batch(
            inputs=inputs if self.mixed else inputs | {"layers": torch.from_numpy(layers)},
            targets=torch.tensor(families.targets(examples) + [0.0] * len(contrasts), dtype=torch.float32),
            groups=torch.tensor([example.members[0] for example in examples] + [one.member for one in contrasts]),
        )

    def _kinds(self, step: int, number: int, random: Random) -> Sequence[str]:
        unmatched = UNMATCHED[(step + number) % 3], UNMATCHED[(step + number + 1) % 3]
        return (Condition.ORIGINAL, Condition.ORIGINAL, *unmatched, *self.matched)

    def _training_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        return self._collated(self.training, examples, random, self.crop)

    def _validation_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        return self._collated(self.held, examples, random, _frames(VALIDATION_CROP, self.front_end))

    def _collated(self, clips: Clips, examples: Sequence[Example], random: Random, frames: int) -> Batch:
        return collated(
            clips,
            examples,
            random,
            frames=frames,
            mixed=self.mixed,
            front_end=self.front_end,
            bar_frames=self.bar_frames,
        )


def _frames(frames: int, front_end: FrontEnd) -> int:
    """Return how many frames a front end makes in the time of ``frames`` frames of ``compact``'s."""
    return round(frames * front_end.frame_rate / LOG_FREQUENCY.frame_rate)


def collated(
    clips: Clips, examples: Sequence[Example], random: Random | None, *, frames: int, mixed: bool,
    front_end: FrontEnd = LOG_FREQUENCY, bar_frames: int | None = None,
) -> Batch:  # fmt: skip
    """Return examples as a batch; all are ``frames`` long, or as long as the shortest example.

    With ``bar_frames``, they are whole bars of as many frames.
    """
    rate = front_end.frame_rate
    if bar_frames is None:
        frames = min(frames, *(int(float(example.grid[-1]) * rate) for example in examples))
    else:
        bars = min(len(bar_edges(example.grid, example.downbeats)) - 1 for example in examples)
        frames = bar_frames * min(frames // bar_frames, bars)
    spectra = np.stack([_layers(clips, example, frames, random, front_end, bar_frames) for example in examples])
    if mixed:
        spectra = np.stack([_mix(layers, random)[None] for layers in spectra])
    return Batch(
        inputs={"spectra": torch.from_numpy(spectra), "lengths": torch.full((len(examples),), frames)},
        targets=torch.tensor([example.target() for example in examples], dtype=torch.float32),
        groups=torch.tensor([example.group for example in examples]),
    )


def _layers(
    clips: Clips, example: Example, frames: int, random: Random | None, front_end: FrontEnd, bar_frames: int | None
) -> Bands:
    """Return the spectra of an example's layers, shape (3, bands, frames); without residue if ``random`` is None."""
    # If the excerpt is longer than a crop, the crop starts at a random place in it, or at one of its bars.
    if bar_frames is None:
        rate = front_end.frame_rate
        spare = max(0.0, float(example.grid[-1]) - frames / rate)
        start = spare * float(random.random()) if random is not None else 0.0
        times = start + np.arange(frames) / rate
    else:
        edges, bars = bar_edges(example.grid, example.downbeats), frames // bar_frames
        first = int(random.integers(len(edges) - bars)) if random is not None else 0
        times = bar_moments(edges[first : first + bars + 1], bar_frames)
    return np.stack([_heard(clips, example.layers[role], role, times, random, front_end) for role in ROLES])


def _heard(clips: Clips, layer: Layer, role: Role, times: Times, random: Random | None, front_end: FrontEnd) -> Bands:
    """Return a layer's spectrum at times of the mashup, maybe with residue; never with it if ``random`` is None."""
    values = _crop(clips, layer, role, layer.to_clip(times), front_end)
    if random is not None and random.random() < RESIDUE_SHARE:
        values = _with_residue(clips, values, layer.clip, role, random, front_end)
    return values


def _crop(clips: Clips, layer: Layer, role: Role, moments: Any, front_end: FrontEnd) -> Bands:
    """Return a layer's spectrum at moments of its clip, shape (bands, moments); 0 outside the clip."""
    store, clip = clips.place(layer.clip)
    spectrum = store.spectrum(clip, role, front_end)
    frames = np.rint(moments * front_end.frame_rate).astype(np.int64)
    inside = (frames >= 0) & (frames < len(spectrum))
    shift = 0.0 if role is Role.PERCUSSION else float(np.clip(layer.semitones, -MARGIN_SEMITONES, MARGIN_SEMITONES))
    first = MARGIN - round(shift * WIDE.bands_a_semitone)
    found: Bytes = spectrum[np.where(inside, frames, 0), first : first + LOG_FREQUENCY.bands]
    values: Bands = (np.where(inside[:, None], found, 0).T * np.float32(1 / 255)).astype(np.float32)
    return values


def _with_residue(clips: Clips, values: Bands, own: int, role: Role, random: Random, front_end: FrontEnd) -> Bands:
    """Return a spectrum of clip ``own`` with residue: a part of another stem of another song is added to it."""
    others = np.flatnonzero(clips.songs != clips.songs[own])  # two songs or more are required
    store, clip = clips.place(int(random.choice(others)))
    left = [other for other in ROLES if other is not role][int(random.integers(2))]
    residue = store.spectrum(clip, left, front_end)[:, MARGIN : MARGIN + LOG_FREQUENCY.bands]
    start = int(random.integers(len(residue)))
    taken = np.resize(np.roll(residue, -start, axis=0), (values.shape[1], values.shape[0])).T
    gain = np.float32(10 ** (random.uniform(*RESIDUE_DB) / 10))
    return scaled(unscaled(values) + gain * powers(taken))


def _mix(layers: Bands, random: Random | None) -> Bands:
    """Return the spectrum of three mixed stems: the sum of their powers, as for independent sounds."""
    gains = np.zeros(len(layers)) if random is None else random.normal(0, MIX_DB, len(layers))
    powers = unscaled(layers) * (10 ** (gains / 10)).astype(np.float32)[:, None, None]
    return scaled(powers.sum(axis=0))
