"""Training batches for intervalnet: examples of stores, read at beats with a beat tracker's usual errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mashkit.conditions import UNMATCHED
from mashkit.types import Condition, Role, Times
from mashkit_mashnet.intervals import ONSET_PARTS, PITCH_PARTS, divided, positions
from mashkit_mashnet.pitches import Floats
from mashkit_mashnet.stem_features import ROLES
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.examples import (
    TWINS,
    Clips,
    Example,
    Fold,
    Protocol,
    Random,
    parts_of,
)
from mashkit_mashnet_train.group_batches import GroupBatches
from mashkit_mashnet_train.store import Store
from mashkit_mashnet_train.stored_intervals import VARIANTS, StoredIntervals

BEATS = (24, 64)
"""Range of an excerpt's length in beats; a short clip gives a shorter excerpt."""
LENGTHS = (10, 32)
"""Range of an example's length in beats of its grid, uniform in the logarithm; all examples of a batch are alike."""
OCTAVES = (0.45, 0.2, 0.35)
"""Probabilities of a grid at the song's tempo, at twice the tempo, and at half of it (for long excerpts only), because
beat trackers make such octave errors."""
JITTER_S = 0.02
"""Largest standard deviation of each beat's error, seconds, as a beat tracker makes it."""
SHIFT_S = 0.025
"""Largest error that all beats of an example share, seconds."""
LARGEST_S = 0.1
"""Largest error of a beat, of both kinds together, seconds."""
MASKED = 0.15
"""Share of training examples with one role left out, so that the network also learns to score pairs of stems."""
POSITIONS_VERSION = 2
"""Version of how positions in the bar are read from an excerpt; it is part of the fingerprint of the data. By version
1, downbeats after an excerpt's end were taken to be at its end, so positions before its first downbeat could be
wrong."""
LOST, WRONG = 0.1, 0.1
"""Probabilities that the downbeats are unknown, and that they are on a wrong beat."""
SILENT, PAUSED = 0.25, 0.15
"""Probabilities that a training example ends, or begins, with silence, and that one of its stems pauses."""
LONGEST_SILENCE = 0.35
"""Largest share of an example's beats that such silence takes."""
BLURRED = 0.5
"""Share of training layers whose onsets are blurred and whose onset bands are weighted, as stretchers, separators and
mixing do. It is the same for good and bad examples, because traces of processing must not tell them apart."""
BLUR = 0.3
"""Largest share of an onset that moves to the twelfth of a beat before it, and to the one after it."""
TILT_DB = 4.0
"""Standard deviation of a band's weight, dB."""
GROUPS = 12
"""Vocals in a batch."""
DRAWN = (Condition.ORIGINAL, Condition.ORIGINAL, Condition.MATCHED, Condition.MATCHED)
"""Kinds drawn for each vocal, together with one negative of the next kind in :data:`UNMATCHED`, one of a random kind,
and two twins."""


class IntervalData(GroupBatches):
    """Training data of an intervalnet.

    Parameters
    ----------
    stores, protocol, seed, groups, validation_groups, fold, shares
        As in :class:`mashkit_mashnet_train.group_batches.GroupBatches`; each vocal has eight examples.
    """

    def __init__(
        self, stores: Sequence[Store], protocol: Protocol = "controlled", seed: int = 0, *, groups: int = GROUPS,
        validation_groups: int = 240, fold: Fold | None = None, shares: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            stores,
            protocol,
            seed,
            beats=BEATS,
            edge=LARGEST_S,
            groups=groups,
            held_groups=GROUPS,
            validation_groups=validation_groups,
            fold=fold,
            shares=shares,
            family="intervals",
            disturbances=[SILENT, PAUSED, LONGEST_SILENCE, BLURRED, BLUR, TILT_DB],
            residue="of the same split",
            positions=POSITIONS_VERSION,
        )
        self._lookup = Lookup(stores, fold)

    def _kinds(self, step: int, number: int, random: Random) -> Sequence[str]:
        unmatched = UNMATCHED[(step + number) % len(UNMATCHED)], UNMATCHED[int(random.integers(3))]
        twins = [str(kind) for kind in random.choice(TWINS, 2, replace=False)]
        return (*DRAWN, *unmatched, *twins)

    def _training_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        beats = round(float(np.exp(random.uniform(*np.log(LENGTHS)))))
        return self._lookup.batch(self.training, examples, random, beats=beats, training=True)

    def _validation_batch(self, examples: Sequence[Example], random: Random) -> Batch:
        return self._lookup.batch(self.held, examples, random, beats=LENGTHS[1], training=False)


class Lookup:
    """Reads examples from features that were measured once and saved in each store's folder.

    Parameters
    ----------
    stores : sequence of Store
    fold : Fold, optional
        Songs that are left out for the test. A stem's residue is of a song of its own split.
    """

    def __init__(self, stores: Sequence[Store], fold: Fold | None = None) -> None:
        parts = parts_of(stores, fold)
        self._kept = {store.folder: StoredIntervals(store, parts) for store in stores}

    def batch(self, clips: Clips, examples: Sequence[Example], random: Random, *, beats: int, training: bool) -> Batch:
        """Return a batch of ``beats`` beats, or as many as the shortest example.

        For ``training``, some examples lack one role, some are silent for a while, and some sound as if processed.
        """
        beats = min(beats, *(len(example.grid) - 1 for example in examples))
        found, roles, targets = [], [], []
        for example in examples:
            shown = set(Role)
            # The number is drawn for validation too, because other draws would make other validation examples.
            if random.random() < MASKED and training:
                shown.remove(ROLES[int(random.integers(len(ROLES)))])
            found.append(self.example(clips, example, beats, random, disturbed=training))
            roles.append([role in shown for role in ROLES])
            targets.append(example.target(shown))
        names = ("pitches", "onsets", "positions")
        inputs = {
            name: torch.from_numpy(np.stack(parts)) for name, parts in zip(names, zip(*found, strict=True), strict=True)
        }
        return Batch(
            inputs=inputs | {"roles": torch.tensor(roles)},
            targets=torch.tensor(targets, dtype=torch.float32),
            groups=torch.tensor([example.group for example in examples]),
        )

    def example(
        self, clips: Clips, example: Example, beats: int, random: Random | None, *, disturbed: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Return (pitches, onsets, positions) of an example's first beats; without errors if ``random`` is None."""
        if random is None:
            grid = example.grid[: beats + 1]
            places = positions(grid, example.downbeats)
        else:
            grid, places = _tracked(example, beats, random)
        pitches, onsets = [], []
        for role in ROLES:
            layer = example.layers[role]
            variant = 0 if random is None else int(random.integers(VARIANTS))
            store, clip = clips.place(layer.clip)
            found = self._kept[store.folder].on(clip, role, variant, layer, grid)
            pitches.append(found[0])
            onsets.append(found[1])
        if disturbed and random is not None:
            onsets = [_processed(layer, random) if random.random() < BLURRED else layer for layer in onsets]
            _silence(pitches, onsets, random)
        return np.concatenate(pitches), np.concatenate(onsets), places


def _tracked(example: Example, beats: int, random: Random) -> tuple[Times, Floats]:
    """Return a grid and positions in the bar with the errors of a beat tracker.

    The tempo may be an octave off, the beats are moved a little, and the downbeats may be wrong or missing.
    """
    exact, downbeats = example.grid, example.downbeats
    octave = random.choice(3, p=OCTAVES)
    if octave == 1:
        exact = divided(exact, 2)
    elif octave == 2 and len(exact) > 2 * beats:
        exact, downbeats = exact[::2], downbeats[int(random.integers(2)) :: 2]
    grid = exact[: beats + 1]
    places = positions(grid, downbeats)
    chance = random.random()
    if chance < LOST:
        places = np.zeros_like(places)
    elif chance < LOST + WRONG:
        places = np.roll(places, int(random.integers(1, len(places))), axis=0)
    jitter = random.normal(0, random.uniform(0, JITTER_S), len(grid)) + random.uniform(-SHIFT_S, SHIFT_S)
    moved: Times = np.maximum.accumulate(grid + np.clip(jitter, -LARGEST_S, LARGEST_S))
    return moved, places


def _processed(onsets: Floats, random: Random) -> Floats:
    """Return a layer's onsets, shape (3, time), blurred and with other weights of their bands, at the same level."""
    power = np.square(onsets)
    share = np.float32(random.uniform(0, BLUR))
    around = np.pad(power, ((0, 0), (1, 1)))
    blurred = (1 - 2 * share) * power + share * (around[:, :-2] + around[:, 2:])
    weighted = blurred * 10 ** (random.normal(0, TILT_DB, (len(power), 1)) / 10)
    processed: Floats = np.sqrt(weighted * (power.sum() / max(weighted.sum(), 1e-9))).astype(np.float32)
    return processed


def _silence(pitches: Sequence[Floats], onsets: Sequence[Floats], random: Random) -> None:
    """Silence the beginning or the end of all layers, or a stretch of one layer, or neither, in place."""
    beats = onsets[0].shape[1] // ONSET_PARTS
    longest = max(1, round(LONGEST_SILENCE * beats))
    if random.random() < SILENT:
        length = int(random.integers(1, longest + 1))
        _mute(pitches, onsets, int(random.choice((0, beats - length))), length)
    if random.random() < PAUSED:
        role, length = int(random.integers(len(ROLES))), int(random.integers(1, longest + 1))
        start = int(random.integers(beats - length + 1))
        _mute(pitches[role : role + 1], onsets[role : role + 1], start, length)


def _mute(pitches: Sequence[Floats], onsets: Sequence[Floats], start: int, length: int) -> None:
    """Silence ``length`` beats of some layers from beat ``start`` on, in place."""
    for pitch, onset in zip(pitches, onsets, strict=True):
        pitch[..., PITCH_PARTS * start : PITCH_PARTS * (start + length)] = 0
        onset[..., ONSET_PARTS * start : ONSET_PARTS * (start + length)] = 0
