"""Base of all networks' training data: training clips, validation clips, and groups of examples drawn around vocals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mashkit.conditions import UNMATCHED
from mashkit.types import Condition
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.examples import (
    RULES_VERSION,
    Clips,
    Drawer,
    Example,
    Fold,
    Protocol,
    Random,
    fingerprint,
)
from mashkit_mashnet_train.store import Store


class GroupBatches(ABC):
    """Examples of stores as batches; see :class:`mashkit_mashnet_train.batches.TrainingData`.

    Parameters
    ----------
    stores : sequence of Store
    protocol : {"controlled", "paper"}
    seed : int
    beats : tuple of int
        Range of an excerpt's length in beats; a short clip gives a shorter excerpt.
    edge : float
        As in :class:`mashkit_mashnet_train.examples.Drawer`.
    groups : int
        Number of vocals in a batch, ≥ 1.
    held_groups : int
        Number of vocals in a validation batch. It is the same for any ``groups``, so that runs with more or fewer
        vocals in a batch are validated on the same examples.
    validation_groups : int
        Number of vocals in validation.
    fold : Fold, optional
        Songs that are left out; by default those of :func:`mashkit_mashnet_train.examples.split_of`.
    shares : sequence of float, optional
        How often vocals are of each store, in training and validation; by default as often as it has clips.
    settings
        Other settings that batches depend on, JSON; they become part of the fingerprint, as ``groups`` does.
    """

    held_kinds: ClassVar[Sequence[str]] = (Condition.ORIGINAL, Condition.MATCHED, *UNMATCHED)
    """Kinds of examples that are drawn around each vocal of validation."""

    def __init__(
        self, stores: Sequence[Store], protocol: Protocol, seed: int, *, beats: tuple[int, int], edge: float = 0.0,
        groups: int, held_groups: int, validation_groups: int, fold: Fold | None = None,
        shares: Sequence[float] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.groups = groups
        self.held_groups = held_groups
        self.validation_groups = validation_groups
        self.training, self.held = (Clips(stores, split, fold, shares=shares) for split in ("training", "validation"))
        self._drawer = Drawer(self.training, protocol, beats, edge)
        self._held = Drawer(self.held, protocol, beats, edge)
        if fold is not None:
            settings = {**settings, "fold": str(fold)}
        if shares is not None:
            settings = {**settings, "shares": list(shares)}
        self.fingerprint = fingerprint(stores, protocol=protocol, seed=seed, groups=groups, **settings)
        self.summary: Mapping[str, Any] = {
            "protocol": protocol,
            "rules": RULES_VERSION,
            "training": self.training.summary(),
            "validation": self.held.summary(),
            "seed": seed,
            "groups": groups,
            "validation_groups": validation_groups,
            "beats": list(beats),
            **settings,
            "recordings": sorted({*self.training.recordings, *self.held.recordings}),
            "stores": [store.fingerprint for store in stores],
            "sources": [dict(store.source) for store in stores],
        }

    def batch(self, step: int) -> Batch:
        """Return training batch number ``step``."""
        random = np.random.default_rng([self.seed, step])
        examples: list[Example] = []
        for number in range(self.groups):
            examples += self._drawer.group(number, self._kinds(step, number, random), random)
        return self._training_batch(examples, random)

    def validation(self) -> list[Batch]:
        """Return all validation examples, always the same; no training batch has their songs."""
        batches = []
        for start in range(0, self.validation_groups, self.held_groups):
            examples = [
                example
                for number in range(start, min(start + self.held_groups, self.validation_groups))
                for example in self._held.group(number, self.held_kinds, np.random.default_rng([number, 77]))
            ]
            batches.append(self._validation_batch(examples, np.random.default_rng([start, 78])))
        return batches

    @abstractmethod
    def _kinds(self, step: int, number: int, random: Random) -> Sequence[str]:
        """Return the kinds of examples to draw around vocal ``number`` of a training batch."""

    @abstractmethod
    def _training_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        """Return training examples in the form of the network's input."""

    @abstractmethod
    def _validation_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        """Return validation examples in the form of the network's input: longer, with no role left out."""
