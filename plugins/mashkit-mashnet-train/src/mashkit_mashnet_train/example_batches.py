"""Training batches of a store of whole examples: crops of spectra of mashups that were really stretched and mixed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mashkit.errors import UsageError
from mashkit.types import Condition
from mashkit_mashnet.frontend import RANGE_DB, Bands, FrontEnd
from mashkit_mashnet.stem_features import ROLES, Bytes
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleStore, require_apart, split_records
from mashkit_mashnet_train.examples import Random, required_shares

CROP_S = 10.4
"""Seconds of a training example, as those of :mod:`mashkit_mashnet_train.spectra_data`."""
VALIDATION_S = 18.0
"""Seconds of a validation example, or the length of the shortest example in its batch."""
SEMITONES = 3
"""A training example is transposed as a whole by up to as many semitones, on a log-frequency scale (ours)."""
SPEEDS = (0.9, 1.1)
"""A training example is played as a whole this much slower to faster (ours)."""
TILT_DB, BELL_DB, LEVEL_DB = 2.0, 4.0, 1.5
"""Standard deviations of the equaliser of a source of a training example, dB: of its tilt from the middle to either
end, of each of its two bells, and of its level (ours)."""
BELL_WIDTHS = (0.15, 0.6)
"""Range of the standard deviation of a bell, in halves of the bands (ours)."""
MASKS = 2
"""Number of masks of bands, and of frames, in a training example."""
MASKED_BANDS = 0.16
"""A mask of bands is smaller than this share of them (ours)."""
MASKED_S = 1.05
"""A mask of frames is shorter than this, seconds (ours)."""
CLASSES = ("original", "unmatched", "matched")
GROUPS = 12
"""Vocals in a batch; each has an original, and an unmatched and, if these count, a matched mashup, as far as the store
has them. Validation batches are as long as batches of this number of vocals, for any number in training."""
DRAWS_VERSION = 3
"""Version of how batches are drawn; it is part of the fingerprint of the data."""
VALIDATED = 600
"""Largest number of validation examples."""


class ExampleBatches:
    """Examples of stores as batches; see :class:`mashkit_mashnet_train.batches.TrainingData`.

    All sounds of a training example are transposed and played faster or slower together. Each of its spectra goes
    through an equaliser of its own, and a few bands and moments of all are made silent (Park et al., "SpecAugment: A
    Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech 2019). None of this changes whether
    they fit, and it reduces overfitting to the few songs of a store.

    Parameters
    ----------
    stores : sequence of ExampleStore
    seed : int
    mixed : bool
        True if the network scores the mix (PostMixNet), False if it scores the layers.
    unlabelled : bool
        True if matched examples count.
    front_end : FrontEnd
        Front end of the network.
    groups : int
        Vocals in a batch.
    shares : sequence of float, optional
        How often vocals are of each store in training; by default as often as it has vocals. A store with few vocals
        may then have one of them twice in a batch.

    Raises
    ------
    UsageError
        If a store has no spectra of the front end, a song is in two splits, there are no training or no validation
        songs or no original for training, or ``shares`` are not one number above 0 for each store.
    """

    def __init__(
        self, stores: Sequence[ExampleStore], seed: int, *, mixed: bool, unlabelled: bool, front_end: FrontEnd,
        groups: int = GROUPS, shares: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        self.stores = tuple(stores)
        self.seed = seed
        self.mixed = mixed
        self.groups = groups
        self.front_end = front_end
        self._names = [store.name_of(front_end) for store in stores]
        require_apart(stores)
        self._of = {split: split_records(stores, split) for split in ("training", "validation")}
        for split, found in self._of.items():
            if not found:
                raise UsageError(
                    f"{stores[0].folder} has no {split} songs", "make a store of `mashkit features pipeline` with some"
                )
        everyone = {record.vocal for found in self._of.values() for _, _, record in found}
        self._numbers = {vocal: number for number, vocal in enumerate(sorted(everyone))}
        self._classes = ["original", "unmatched", *(["matched"] if unlabelled else [])]
        self._drawn: dict[tuple[str, str], list[tuple[int, int, ExampleRecord]]] = {}
        for one in self._of["training"]:
            self._drawn.setdefault((one[2].vocal, _class_of(one[2])), []).append(one)
        # A vocal without an original would give a batch no positive example.
        store_of = {record.vocal: number for number, _, record in self._of["training"]
                    if _class_of(record) == "original"}  # fmt: skip
        if not store_of:
            raise UsageError(
                f"{stores[0].folder} has no original of a training song", "make a store with originals: more --examples"
            )
        self._vocals = [
            sorted(name for name, own in store_of.items() if own == number) for number in range(len(stores))
        ]
        self._whole = sorted(vocal for vocal in store_of if (vocal, "unmatched") in self._drawn)
        self._shares = required_shares(shares, stores)
        moved = {"semitones": SEMITONES, "speeds": list(SPEEDS)}
        made = [
            [store.fingerprint for store in stores], seed, mixed, unlabelled, groups, CROP_S, front_end.to_dict(),
            DRAWS_VERSION,
        ]  # fmt: skip
        if shares is not None:
            made.append({"shares": list(shares)})
        self.fingerprint = hashlib.sha256(json.dumps([*made, moved]).encode()).hexdigest()[:16]
        self.summary: Mapping[str, Any] = {
            "protocol": "paper",
            "moved": moved,
            "training": self._counts("training"),
            "validation": self._counts("validation"),
            "seed": seed,
            "groups": groups,
            "mixed": mixed,
            "unlabelled": unlabelled,
            "seconds": CROP_S,
            "draws": DRAWS_VERSION,
            "recordings": sorted({title for found in self._of.values() for _, _, one in found for title in one.titles}),
            "stores": [store.fingerprint for store in stores],
            "sources": [dict(store.source) for store in stores],
            **({} if shares is None else {"shares": list(shares)}),
        }

    def _counts(self, split: str) -> dict[str, int]:
        found = self._of[split]
        kinds = Counter(_class_of(record) for _, _, record in found)
        songs = {song for _, _, record in found for song in record.songs}
        return {"songs": len(songs), "examples": len(found), **{name: kinds[name] for name in CLASSES}}

    def batch(self, step: int) -> Batch:
        """Return training batch number ``step``: an original of each vocal, and the other classes that it has."""
        random = np.random.default_rng([self.seed, step])
        chosen = []
        for vocal in self._vocals_of(random):
            for name in self._classes:
                own = self._drawn.get((vocal, name))
                if own:
                    chosen.append(own[int(random.integers(len(own)))])
        return self._collated(chosen, CROP_S, random)

    def _vocals_of(self, random: Random) -> list[str]:
        """Return the vocals of a batch: all have an original, and one at least has an unmatched mashup, if any has."""
        everyone = [vocal for own in self._vocals for vocal in own]
        count = min(self.groups, len(everyone))
        if self._shares is None:
            drawn = [everyone[place] for place in random.permutation(len(everyone))[:count].tolist()]
        else:
            # The store of each place is drawn first, so that a store's share is the same for any number of vocals.
            chances = np.array([share if own else 0.0 for share, own in zip(self._shares, self._vocals, strict=True)])
            stores = random.choice(len(chances), count, p=chances / chances.sum()).tolist()
            turns = [itertools.cycle(random.permutation(own).tolist()) for own in self._vocals]
            drawn = [next(turns[number]) for number in stores]
        if self._whole and not set(self._whole).intersection(drawn):
            drawn[0] = self._whole[int(random.integers(len(self._whole)))]
        return drawn

    def validation(self) -> list[Batch]:
        """Return validation examples, always the same; no training batch has their songs."""
        found = self._of["validation"]
        order = np.random.default_rng(77).permutation(len(found))[:VALIDATED]
        size = 3 * GROUPS
        return [
            self._collated([found[index] for index in order[start : start + size]], VALIDATION_S, None)
            for start in range(0, len(order), size)
        ]

    def _collated(
        self, chosen: Sequence[tuple[int, int, ExampleRecord]], seconds: float, random: Random | None
    ) -> Batch:
        spectra = [self.stores[number].spectra(index, self._names[number]) for number, index, _ in chosen]
        shortest = min(len(one) for one in spectra)
        # A crop that is played faster must be there at its full length.
        most = shortest if random is None else int(shortest / SPEEDS[1])
        frames = min(round(seconds * self.front_end.frame_rate), most)
        stacked = np.stack([self._crop(one, frames, random) for one in spectra])
        targets = {Condition.ORIGINAL: 1.0, Condition.MATCHED: float("nan")}
        return Batch(
            inputs={"spectra": torch.from_numpy(stacked), "lengths": torch.full((len(chosen),), frames)},
            targets=torch.tensor([targets.get(Condition(one.kind), 0.0) for _, _, one in chosen], dtype=torch.float32),
            groups=torch.tensor([self._numbers[record.vocal] for _, _, record in chosen]),
        )

    def _crop(self, spectra: Bytes, frames: int, random: Random | None) -> Bands:
        """Return a crop of an example's spectra, shape (sources, bands, frames): one moved, or the first as it is."""
        if random is None:
            return network_input(spectra[:frames], mixed=self.mixed)
        moments = np.rint(np.arange(frames) * random.uniform(*SPEEDS)).astype(np.intp)
        start = int(random.integers(len(spectra) - moments[-1]))
        values = network_input(spectra[start + moments], mixed=self.mixed)
        for source in values:
            source[...] = equalised(source, random)
        longest = round(MASKED_S * self.front_end.frame_rate)
        mask(values, random, bands=int(MASKED_BANDS * values.shape[1]), frames=min(longest, frames))
        return self._transposed(values, int(random.integers(-SEMITONES, SEMITONES + 1)))

    def _transposed(self, values: Bands, semitones: int) -> Bands:
        """Return bands moved up by semitones, silent where none move in; as they are on a mel scale."""
        if self.front_end.scale == "mel":
            return values
        bands = round(semitones * self.front_end.bands_a_semitone)
        spare = abs(bands)
        padded = np.pad(values, ((0, 0), (spare, spare), (0, 0)))
        return padded[:, spare - bands : spare - bands + values.shape[1]]


def network_input(spectra: Bytes, *, mixed: bool) -> Bands:
    """Return a network's input, shape (sources, bands, frames), of an example's spectra, shape (frames, 4, bands).

    The sources are the mix alone if ``mixed``, else the layers.
    """
    sources = slice(len(ROLES), None) if mixed else slice(len(ROLES))
    values: Bands = spectra[:, sources].transpose(1, 2, 0).astype(np.float32)
    return values * np.float32(1 / 255)


def equalised(spectrum: Bands, random: Random) -> Bands:
    """Return a spectrum, shape (bands, frames), after a random equaliser: a level, a tilt and two bells, in dB.

    Silence stays silent, and what would be above the scale is at its end.
    """
    places = np.linspace(-1, 1, len(spectrum))
    gains = random.normal(0, TILT_DB) * places
    for _ in range(2):
        height, centre, width = random.normal(0, BELL_DB), random.uniform(-1, 1), random.uniform(*BELL_WIDTHS)
        gains = gains + height * np.exp(-(((places - centre) / width) ** 2))
    moved = spectrum + ((gains + random.normal(0, LEVEL_DB)) / RANGE_DB).astype(np.float32)[:, None]
    return np.where(spectrum > 0, np.clip(moved, 0, 1), np.float32(0))


def mask(spectra: Bands, random: Random, *, bands: int, frames: int) -> None:
    """Make :data:`MASKS` bands and moments of spectra, shape (sources, bands, frames), silent, in place.

    Each mask is smaller than ``bands``, or shorter than ``frames``.
    """
    for _ in range(MASKS):
        for axis, most in ((1, bands), (2, frames)):
            size = int(random.integers(max(most, 1)))
            first = int(random.integers(spectra.shape[axis] - size))
            np.moveaxis(spectra, axis, 0)[first : first + size] = 0


def _class_of(record: ExampleRecord) -> str:
    """Return the class of an example in :data:`CLASSES`; all unmatched kinds are one."""
    return {Condition.ORIGINAL: "original", Condition.MATCHED: "matched"}.get(Condition(record.kind), "unmatched")
