"""Songs that a network learnt from: a run, or a benchmark, must not take such songs for new ones.

A checkpoint's record names them under ``songs`` in its data, by short hashes, because a store may have thousands of
songs with long names. Earlier checkpoints name real songs by their titles alone (``recordings``); which rendered songs
they learnt from follows from the rule by which songs are parted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mashkit_mashnet.checkpoint import licences_of
from mashkit_mashnet_train.example_store import ExampleStore, split_records
from mashkit_mashnet_train.examples import Fold, Split, parts_of, split_all, split_of, titles_of
from mashkit_mashnet_train.store import Store

LEARNT: tuple[Split, ...] = ("training", "validation")
"""Parts of the songs that a network depends on: it is trained on the first, and its best step is chosen by the second.
"""
DIGITS = 10
"""Hex digits of a key: 40 bits, so that two of some thousand songs hardly ever have one key."""
POP909 = tuple(f"pop909/{number:03}" for number in range(1, 910))
"""All songs that `mashkit features rendered` may render; see :func:`mashkit_mashnet_train.recipes.scores.pop909`."""
_RENDERED = re.compile(r"(pop909)-(\d+)-\d+")
"""The name of a file of `mashkit features rendered --sound`: the song with a hyphen, and the number of the excerpt."""


def keys_of(*names: str | None) -> frozenset[str]:
    """Return the keys of a song that has these names: its name in a store and, if it is known, its title.

    A file of rendered sound has the key of its song, because stores of `mashkit features pipeline` are made of such
    files, and their title is the file's name.

    Examples
    --------
    >>> sorted(keys_of("pop909-007-2")) == sorted(keys_of("pop909/007"))
    True
    """
    plain = (_RENDERED.sub(r"\1/\2", name) if _RENDERED.fullmatch(name) else name for name in names if name)
    return frozenset(hashlib.sha256(name.encode()).hexdigest()[:DIGITS] for name in plain)


@attrs.frozen
class Song:
    """A song of a store.

    Parameters
    ----------
    song : str
        Its name in the store.
    title : str, optional
        None, or empty, if it is unknown, or if the song was made for the store.
    """

    song: str
    title: str | None = None

    @property
    def name(self) -> str:
        """The name that messages have."""
        return self.title or self.song

    @property
    def keys(self) -> frozenset[str]:
        """Its keys; two songs that share one are taken for the same song."""
        return keys_of(self.song, self.title)


def songs_by_part(stores: Sequence[Store | ExampleStore], fold: Fold | None = None) -> dict[Split, set[Song]]:
    """Return the songs of each part of some stores.

    Also those that no example can be made of, because what a separator leaves of them may be in stems of others.

    Raises
    ------
    UsageError
        As for :func:`mashkit_mashnet_train.examples.parts_of`.
    """
    found: dict[Split, set[Song]] = {"training": set(), "validation": set(), "test": set()}
    clips = [store for store in stores if isinstance(store, Store)]
    parts = parts_of(clips, fold)
    for store in clips:
        for song, title in titles_of(store).items():
            found[parts[song]].add(Song(song, title))
    made = [store for store in stores if isinstance(store, ExampleStore)]
    for part, songs in found.items():
        for _, _, record in split_records(made, part):
            songs.update(map(Song, record.songs, record.titles))
    return found


def named(songs: Mapping[Split, set[Song]], initial: Mapping[Split, set[str]]) -> dict[str, list[str]]:
    """Return what a checkpoint's record says of the songs of its run, and of those that ``initial`` had learnt from."""
    return {part: sorted(initial.get(part, set()).union(*(song.keys for song in songs[part]))) for part in LEARNT}


def learnt_by(training: Mapping[str, Any], stores: Sequence[Store | ExampleStore] = ()) -> dict[Split, set[str]]:
    """Return the keys of the songs of training, and of validation, that made a checkpoint.

    Parameters
    ----------
    training : mapping
        The checkpoint's record.
    stores : sequence of Store or ExampleStore
        Stores at hand. If an earlier checkpoint was trained on them, they say which songs it had. If not, it is taken
        to have learnt from all songs of POP909 that its split did not leave out, and under a fold from all songs.
    """
    found: dict[Split, set[str]] = {part: set() for part in LEARNT}
    for data in data_of(training):
        for part, keys in _learnt_from(data, stores).items():
            found[part] |= keys
    return found


def data_of(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a checkpoint's record says of all data that it learnt from.

    It has a part for each member of an ensemble, and one for the weights that training began with, unless the record
    names the songs of both together.
    """
    if "members" in training:
        return [data for member in training["members"] for data in data_of(member)]
    data: Mapping[str, Any] = training.get("data", {})
    begun = training.get("initial")
    if begun is None or "songs" in data:
        return [data]
    return [data, *begun.get("members", [begun.get("data", {})])]


def licences(training: Mapping[str, Any]) -> set[str]:
    """Return the licences of songs and sounds that a checkpoint learnt from, as far as its record names them."""
    return {
        licence
        for data in data_of(training)
        for licence in (*data.get("licences", ()), *(one for source in _sources(data) for one in licences_of(source)))
    }


def _learnt_from(data: Mapping[str, Any], stores: Sequence[Store | ExampleStore]) -> dict[Split, set[str]]:
    if "songs" in data:
        return {part: set(data["songs"].get(part, ())) for part in LEARNT}
    found: dict[Split, set[str]] = {part: set() for part in LEARNT}
    found["training"].update(*map(keys_of, data.get("recordings", ())))  # the record does not part them
    for song, part in _parts_before(data, stores).items():
        if part in found:
            found[part] |= keys_of(song)
    return found


def _parts_before(data: Mapping[str, Any], stores: Sequence[Store | ExampleStore]) -> Mapping[str, Split]:
    """Return the part of each song of a run whose record does not name its songs, as far as it is known."""
    fold = data.get("fold")
    at_hand = {store.fingerprint: store for store in stores if isinstance(store, Store)}
    own = [at_hand.get(fingerprint) for fingerprint in data.get("stores", ())]
    same = [store for store in own if store is not None]
    if same and len(same) == len(own):
        return split_all([titles_of(store) for store in same], None if fold is None else Fold.parse(fold))
    if not any(str(source.get("recipe", "")).startswith("rendered") for source in _sources(data)):
        return {}
    # A fold depends on all songs of a store, so without the store nothing says which songs were left out.
    return {song: split_of(song) if fold is None else "training" for song in POP909}


def _sources(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sources of a record's stores; of a record that no store made, there may be any text."""
    return [source for source in data.get("sources", ()) if isinstance(source, Mapping)]
