"""Choice of the training data of a variant: examples of stores, in the form of the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from mashkit.errors import UsageError
from mashkit_mashnet.checkpoint import VARIANTS
from mashkit_mashnet.networks import Preset
from mashkit_mashnet_train.example_batches import ExampleBatches
from mashkit_mashnet_train.example_store import ExampleStore
from mashkit_mashnet_train.examples import Fold, Protocol
from mashkit_mashnet_train.group_batches import GroupBatches
from mashkit_mashnet_train.spectra_data import Drawn, SpectraData
from mashkit_mashnet_train.store import Store


def training_data(
    stores: Sequence[Store | ExampleStore],
    variant: str,
    preset: Preset,
    protocol: Protocol,
    seed: int,
    *,
    unlabelled: bool,
    drawn: Drawn = "vocals",
    fold: Fold | None = None,
    groups: int | None = None,
    shares: Sequence[float] | None = None,
) -> GroupBatches | ExampleBatches:
    """Return the training data of a variant.

    Parameters
    ----------
    stores : sequence of Store or ExampleStore
        All of one kind. Examples that were really stretched (:mod:`mashkit_mashnet_train.example_store`) are of
        protocol ``paper``, and of the paper's networks only.
    variant : str
        One of :data:`mashkit_mashnet.checkpoint.VARIANTS`.
    preset : Preset
        Preset of the network.
    protocol : {"controlled", "paper"}
    seed : int
        Seed of all draws.
    unlabelled : bool
        True if unlabelled examples count.
    drawn : {"vocals", "families", "contrasts"}
        How training batches are drawn; families and contrasts are for the paper's networks only.
    fold : Fold, optional
        Songs that are left out, for the test. Stores of whole examples have their fold in them.
    groups : int, optional
        Vocals in a training batch; by default as many as is usual for the network. Fewer need less memory.
    shares : sequence of float, optional
        How often vocals are of each store, relative to the others; by default as often as it has clips.

    Raises
    ------
    UsageError
        If no store has two songs for training, or for validation, if a store does not hold the features of the
        network's input, if ``shares`` are not one number above 0 for each store, if a store is given twice, or if
        stores of whole examples have a song in two splits.
    """
    _require_once(stores)
    if drawn != "vocals" and groups is not None:
        raise UsageError(f"{groups} vocals in a batch of {drawn}, which always has twelve", "leave --groups out")
    made = [store for store in stores if isinstance(store, ExampleStore)]
    clips = [store for store in stores if isinstance(store, Store)]
    if made:
        _require_examples_fit(made, clips, variant, preset, protocol, drawn, fold)
        return _of_examples(made, variant, preset, seed, unlabelled=unlabelled, groups=groups, shares=shares)
    return _of_clips(
        clips, variant, preset, protocol, seed, unlabelled=unlabelled, drawn=drawn, fold=fold, groups=groups,
        shares=shares,
    )  # fmt: skip


def _of_examples(
    stores: Sequence[ExampleStore], variant: str, preset: Preset, seed: int, *, unlabelled: bool, groups: int | None,
    shares: Sequence[float] | None,
) -> ExampleBatches:  # fmt: skip
    return ExampleBatches(
        stores,
        seed,
        mixed=VARIANTS[variant] == "postmixnet",
        unlabelled=unlabelled,
        front_end=preset.front_end,
        shares=shares,
        **_size(groups),
    )


def _of_clips(
    stores: Sequence[Store], variant: str, preset: Preset, protocol: Protocol, seed: int, *, unlabelled: bool,
    drawn: Drawn, fold: Fold | None, groups: int | None, shares: Sequence[float] | None,
) -> GroupBatches:  # fmt: skip
    if drawn != "vocals" and _by_beats(variant, preset):
        raise UsageError(
            f"batches of {drawn} for {variant}",
            "give --batches vocals: the input of this network lies on the vocal's beats",
        )
    if VARIANTS[variant] == "intervalnet":
        from mashkit_mashnet_train.interval_data import IntervalData

        return IntervalData(stores, protocol, seed, fold=fold, shares=shares, **_size(groups))
    return SpectraData(
        stores,
        protocol,
        seed,
        mixed=VARIANTS[variant] == "postmixnet",
        unlabelled=unlabelled,
        front_end=preset.front_end,
        bar_frames=preset.bar_frames,
        drawn=drawn,
        fold=fold,
        shares=shares,
        **_size(groups),
    )


def _size(groups: int | None) -> dict[str, int]:
    """Return the argument for the vocals in a batch; none, so that the usual number holds, if it is not given."""
    return {} if groups is None else {"groups": groups}


def _require_once(stores: Sequence[Store | ExampleStore]) -> None:
    """Raise UsageError if two stores hold the same."""
    for one, other in combinations(stores, 2):
        if one.fingerprint == other.fingerprint:
            raise UsageError(
                f"{one.folder} is given twice"
                if one.folder == other.folder
                else f"{other.folder} holds the same as {one.folder}",
                "give each store once; --shares says how often vocals are of each",
            )


def _by_beats(variant: str, preset: Preset) -> bool:
    """Return whether a network's input lies on the vocal's beats or bars."""
    return VARIANTS[variant] == "intervalnet" or preset.bar_frames is not None


def _require_examples_fit(
    made: Sequence[ExampleStore],
    clips: Sequence[Store],
    variant: str,
    preset: Preset,
    protocol: Protocol,
    drawn: Drawn,
    fold: Fold | None,
) -> None:
    """Raise UsageError if stores of whole examples cannot be trained on in the way that is asked for."""
    recipe = f"{made[0].folder} (recipe {made[0].source.get('recipe')!r})"
    if clips:
        raise UsageError(
            f"{recipe} holds whole examples, and {clips[0].folder} (recipe {clips[0].source.get('recipe')!r}) clips",
            "train on stores of one kind",
        )
    if _by_beats(variant, preset):
        raise UsageError(f"{recipe} holds no beats and pitches for {variant}", "give a store of `mashkit features db`")
    if protocol != "paper":
        raise UsageError(f"{recipe} holds examples of protocol paper, not {protocol}", "give --protocol paper")
    if drawn != "vocals":
        raise UsageError(f"batches of {drawn} from {recipe}, whose examples are made", "give --batches vocals")
    if fold is not None:
        raise UsageError(f"fold {fold} of {recipe}, whose split is made", "give `mashkit features pipeline` the fold")
