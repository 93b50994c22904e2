"""Find songs on disk, and what lies beside them: a title and a licence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs

from mashkit.audiofile import AUDIO_SUFFIXES, require_file
from mashkit.catalog.excerpts import Excerpt
from mashkit.catalog.scanning import Found, Scan, given_paths
from mashkit.errors import AudioFileError
from mashkit.models import sha256_of
from mashkit.paths import path_text, printable, without_links
from mashkit.types import Analysis, Role, as_roles, frozen_mapping

_GENERIC_NAMES = frozenset({"audio", "mix", "mixture", "song", "track"})
"""File names that say nothing: the folder's name is the title then."""

_LICENCE_FILES = ("license.txt", "licence.txt", "LICENSE", "LICENCE", "LICENSE.txt")


TRUSTED = "labels_trusted"
"""Entry of :attr:`Song.source` where a person vouched for labels."""


@attrs.frozen(kw_only=True, eq=False)
class Song:
    """A song to make clips of, as a protocol found it; nothing of it has been decoded yet.

    Parameters
    ----------
    path : Path
        The mix; where there is none, the folder of the stems, whose sum is the mix then.
    title : str
        For people.
    licence : str
        What a file beside it says, else "unknown".
    stems : mapping of str to Path
        True stems by name; a role that has none here is separated from the mix.
    excerpts : tuple of Excerpt, optional
        The parts that become clips; by default those of the policy.
    known : Analysis, optional
        What somebody else says of the whole song, times from its start: goes before what an analyzer finds.
    source : mapping of str to str
        Where it comes from, for the record: data set, number, labels.
    holds : frozenset of Role
        The roles that sound in it, where it is no whole song: a lone vocal, an instrumental. What holds one role is
        that role's stem as it is, and nothing is separated.
    """

    path: Path
    title: str = attrs.field(converter=printable)
    licence: str = attrs.field(default="unknown", converter=printable)
    stems: Mapping[str, Path] = attrs.field(factory=dict, converter=frozen_mapping)
    excerpts: tuple[Excerpt, ...] | None = None
    known: Analysis | None = None
    source: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)
    holds: frozenset[Role] = attrs.field(default=frozenset(Role), converter=as_roles)

    @property
    def trusted(self) -> bool:
        """Whether a person vouches for the labels (:func:`trusting`): they are not compared with the sound."""
        return TRUSTED in self.source

    @property
    def has_mix(self) -> bool:
        """Whether there is a file of the whole mix."""
        return not self.path.is_dir()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every sound file of it, the mix first."""
        stems = tuple(self.stems[name] for name in sorted(self.stems))
        return (self.path, *stems) if self.has_mix else stems


def trusting(song: Song) -> Song:
    """Return a song whose labels, if it has any, are taken without comparing them with the sound."""
    if song.known is None:
        return song
    return attrs.evolve(song, source={**song.source, TRUSTED: "not compared with the recording"})


def find_songs(paths: Iterable[Path | str] | Path | str) -> Found[Path]:
    """Return the sound files named, and those found in the folders named, sorted within a folder.

    A file that is named is taken whatever its suffix. What folders hold beside, and is passed over, is told in the
    notes of what is returned: see :mod:`mashkit.catalog.scanning`.

    Parameters
    ----------
    paths : iterable of Path or str
        Files and folders, or a single one.

    Returns
    -------
    Found of Path
        A list that has ``notes``.

    Raises
    ------
    AudioFileError
        If there is nothing to look at: folders only, and none holds a sound file.
    UsageError
        If ``paths`` is something else.
    """
    named, scan = given_paths(paths), Scan()
    for path in named:
        if path.is_dir():
            scan.look(path)
        else:
            scan.files.append(path)  # also when it does not exist: that is said where its turn comes
    if not scan.files:
        told = "".join(f"; {note}" for note in scan.notes)
        raise AudioFileError(
            ", ".join(map(path_text, named)),
            f"holds no sound file{told}",
            f"put songs there: {', '.join(sorted(AUDIO_SUFFIXES))}",
        )
    return Found(dict.fromkeys(scan.files), scan.notes)


def describe_song(path: Path) -> Song:
    """Return a sound file as a song, with the title and licence that lie beside it.

    Raises
    ------
    AudioFileError
        If there is no such file, or it is empty.
    """
    require_file(path)
    return Song(path=path, title=title_of(path), licence=licence_beside(path))


def title_of(path: Path) -> str:
    """Return a song's title: its file's name, or its folder's where that says nothing."""
    name = path.parent.name if path.stem.lower() in _GENERIC_NAMES and path.parent.name else path.stem
    return path_text(name)


def stat_digest(song: Song) -> str:
    """Return a sha256 of the names, sizes and times of a song's files: while it stays, they are taken as unchanged.

    Raises
    ------
    AudioFileError
        If one of them is missing or cannot be looked at.
    """
    return _digest(song, lambda path: [str(without_links(path)), (state := path.stat()).st_size, state.st_mtime_ns])


def bytes_digest(song: Song) -> str:
    """Return a sha256 of the bytes of a song's files; raises AudioFileError as :func:`stat_digest` does."""
    return _digest(song, sha256_of)


def _digest(song: Song, of: Callable[[Path], object]) -> str:
    names = ["mix"] * song.has_mix + sorted(song.stems)
    found = []
    for name, path in zip(names, song.files, strict=True):
        require_file(path)
        try:
            found.append([name, of(path)])
        except OSError as error:
            raise AudioFileError(path, f"cannot be read: {error.strerror}", "check its permissions") from error
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def licence_beside(path: Path) -> str:
    """Return the licence a label file (`song.json` beside `song.ogg`) or a licence file in the folder states."""
    labels = path.with_suffix(".json")
    if labels.is_file():
        try:
            data = json.loads(labels.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = None  # some other program's file: it says nothing to us
        if isinstance(data, dict) and isinstance(data.get("licence"), str):
            return str(data["licence"])
    for name in _LICENCE_FILES:
        file = path.parent / name
        if file.is_file():
            return _licence_of(file.read_text(encoding="utf-8", errors="replace"))
    return "unknown"


def _licence_of(text: str) -> str:
    """Return the Creative Commons licence a text links to, else its first line of words."""
    link = re.search(r"creativecommons\.org/licenses/([a-z-]+)/([\d.]+\d)", text)
    if link:
        return f"CC-{link[1].upper()}-{link[2]}"
    if "creativecommons.org/publicdomain/zero" in text:
        return "CC0-1.0"
    lines = (line.strip() for line in text.splitlines())
    return next((line[:120] for line in lines if re.search(r"\w{3}", line)), "unknown")
