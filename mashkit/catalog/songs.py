"""Find songs on disk, and read their title and licence from the files beside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from mashkit.arguments import require, require_all, require_path
from mashkit.audio.files import AUDIO_SUFFIXES, as_path, require_file
from mashkit.catalog.excerpts import Excerpt
from mashkit.catalog.scanning import Found, Scan, given_paths
from mashkit.errors import AudioFileError, UsageError
from mashkit.models import sha256_of
from mashkit.paths import is_file, is_folder, path_text, printable
from mashkit.types import Analysis, FrozenMapping, Role, as_roles, frozen_mapping
from mashkit.types.stems import require_stem_names

_GENERIC_NAMES = frozenset({"audio", "mix", "mixture", "song", "track"})
"""File names that are not titles; the title is the folder's name then."""

_LICENCE_FILES = ("license.txt", "licence.txt", "LICENSE", "LICENCE", "LICENSE.txt")


TRUSTED = "labels_trusted"
"""Name of an entry in :attr:`Song.source`; its presence means that a person vouches for the labels."""


def _path(path: Path | str) -> Path:
    return require_path("path", path)


def _title(title: str) -> str:
    return printable(require("title", title, str, "give a text"))


def _licence(licence: str) -> str:
    return printable(require("licence", licence, str, 'give a text, or leave it out: it is "unknown" then'))


def _stems(stems: Mapping[str, Path | str]) -> FrozenMapping[str, Path]:
    """Convert the field ``stems``; a name without a role is refused, because its stem would not be used."""
    require("stems", stems, Mapping, 'give a mapping, like {"vocals": path}')
    require_stem_names(stems)
    return FrozenMapping({name: require_path(f"stems[{name!r}]", path) for name, path in stems.items()})


def _excerpts(excerpts: Iterable[Excerpt] | None) -> tuple[Excerpt, ...] | None:
    if excerpts is None:
        return None
    given = tuple(require_all("excerpts", excerpts, Excerpt, "give mashkit.Excerpt(start, duration)"))
    if not given:
        raise UsageError("excerpts is empty", "give one or more, or leave it out: the policy chooses them then")
    return given


def _known(known: Analysis | None) -> Analysis | None:
    return None if known is None else require("known", known, Analysis, "give mashkit.Analysis(tempo=…, beats=…)")


def _source(source: Mapping[str, str]) -> FrozenMapping[str, str]:
    require("source", source, Mapping, 'give a mapping, like {"data_set": "mine"}')
    for name, value in source.items():
        require("a name in source", name, str, "give a text")
        require(f"source[{name!r}]", value, str, "give a text")
    return frozen_mapping(source)


def _holds(holds: Iterable[Role | str]) -> frozenset[Role]:
    roles = as_roles(holds)
    if not roles:
        raise UsageError("holds is empty", "give the roles that sound in the song, or leave it out for all")
    return roles


@attrs.frozen(kw_only=True, eq=False)
class Song:
    """A song from which clips are made, as a dataset layout found it. Its sound has not been decoded yet.

    Parameters
    ----------
    path : Path or str
        The file of the mix. Where there is no such file, the folder of the stems; their sum is the mix then.
    title : str
        Title that users see.
    licence : str
        Licence from a file beside the song, else "unknown".
    stems : mapping of str to Path or str
        True stems by name, one of :data:`mashkit.types.STEM_NAMES`. A role without a true stem is separated from the
        mix.
    excerpts : tuple of Excerpt, optional
        The parts that become clips; by default the excerpts of the policy.
    known : Analysis, optional
        Labels of the whole song, times from its start. They take precedence over the analyzer's results.
    source : mapping of str to str
        Origin of the song, for the record: data set, number, labels.
    holds : frozenset of Role
        The roles that sound in the song: fewer than all for a lone vocal or an instrumental. A song with one role is
        used unchanged as the stem of that role; nothing is separated.

    Raises
    ------
    UsageError
        If a value is of another type, or ``excerpts`` or ``holds`` is empty.
    StemError
        If a stem or a role has another name.

    Examples
    --------
    >>> from pathlib import Path
    >>> import mashkit as mk
    >>> stems = {name: Path(f"slow-river/{name}.flac") for name in ("vocals", "drums", "other")}
    >>> known = mk.Analysis(key=mk.Key.parse("8A"), tempo=104.0)
    >>> song = mk.Song(path=Path("slow-river.ogg"), title="Slow River", stems=stems, known=known)
    >>> song.has_mix, song.licence, len(song.files)
    (True, 'unknown', 4)
    """

    path: Path = attrs.field(converter=_path)
    title: str = attrs.field(converter=_title)
    licence: str = attrs.field(default="unknown", converter=_licence)
    stems: Mapping[str, Path] = attrs.field(factory=dict, converter=_stems)
    excerpts: tuple[Excerpt, ...] | None = attrs.field(default=None, converter=_excerpts)
    known: Analysis | None = attrs.field(default=None, converter=_known)
    source: Mapping[str, str] = attrs.field(factory=dict, converter=_source)
    holds: frozenset[Role] = attrs.field(default=frozenset(Role), converter=_holds)

    @property
    def trusted(self) -> bool:
        """Whether a person vouches for the labels (:func:`trusting`), so that they are not compared with the sound."""
        return TRUSTED in self.source

    @property
    def has_mix(self) -> bool:
        """Whether there is a file of the whole mix."""
        return not is_folder(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """All sound files of the song, the mix first."""
        stems = tuple(self.stems[name] for name in sorted(self.stems))
        return (self.path, *stems) if self.has_mix else stems


def trusting(song: Song) -> Song:
    """Return the song with its labels, if it has any, marked as trusted: they are not compared with the sound."""
    if song.known is None:
        return song
    return attrs.evolve(song, source={**song.source, TRUSTED: "not compared with the recording"})


def find_songs(paths: Iterable[Path | str] | Path | str) -> Found[Path]:
    """Return the given files, and the sound files in the given folders, sorted within a folder.

    A given file is returned whatever its suffix is. The notes of the result name the files in folders that were
    skipped: see :mod:`mashkit.catalog.scanning`.

    Parameters
    ----------
    paths : iterable of Path or str
        Files and folders, or a single file or folder.

    Returns
    -------
    Found of Path
        A list with the attribute ``notes``.

    Raises
    ------
    AudioFileError
        If all paths are folders, and no folder contains a sound file.
    UsageError
        If ``paths`` is of another type, or empty.
    """
    named, scan = given_paths(paths), Scan()
    if not named:
        raise UsageError("no songs are named", "name sound files, or folders of them")
    for path in named:
        if is_folder(path):
            scan.look(path)
        else:
            scan.files.append(path)  # a missing file too: the error comes when the file is opened
    if not scan.files:
        told = "".join(f"; {note}" for note in scan.notes)
        raise AudioFileError(
            ", ".join(map(path_text, named)),
            f"holds no sound file{told}",
            f"put songs there: {', '.join(sorted(AUDIO_SUFFIXES))}",
        )
    return Found(dict.fromkeys(scan.files), scan.notes)


def describe_song(path: Path | str) -> Song:
    """Return a :class:`Song` for a sound file, with its title and the licence from the files beside it.

    Raises
    ------
    AudioFileError
        If the file does not exist or is empty.
    UsageError
        If ``path`` is no path.
    """
    path = as_path(path)
    require_file(path)
    return Song(path=path, title=title_of(path), licence=licence_beside(path))


def title_of(path: Path) -> str:
    """Return a song's title: the file's name, or the folder's name where the file's name is generic ("mix")."""
    name = path.parent.name if path.stem.lower() in _GENERIC_NAMES and path.parent.name else path.stem
    return path_text(name)


def bytes_digest(song: Song) -> str:
    """Return a sha256 of the bytes of a song's files. Name, size and time of a file do not tell that it is unchanged.

    Raises
    ------
    AudioFileError
        If a file is missing or cannot be read.
    """
    names = ["mix"] * song.has_mix + sorted(song.stems)
    found = []
    for name, path in zip(names, song.files, strict=True):
        require_file(path)
        try:
            found.append([name, sha256_of(path)])
        except OSError as error:
            raise AudioFileError(path, f"cannot be read: {error.strerror}", "check its permissions") from error
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def licence_beside(path: Path) -> str:
    """Return the licence a label file (`song.json` beside `song.ogg`) or a licence file in the folder states."""
    labels = path.with_suffix(".json")
    if is_file(labels):
        try:
            data = json.loads(labels.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            data = None  # the file belongs to another program
        if isinstance(data, dict) and isinstance(data.get("licence"), str):
            return str(data["licence"])
    for name in _LICENCE_FILES:
        file = path.parent / name
        if is_file(file):
            with contextlib.suppress(OSError):  # a file that may not be read states nothing
                return _licence_of(file.read_text(encoding="utf-8-sig", errors="replace"))
    return "unknown"


def _licence_of(text: str) -> str:
    """Return the Creative Commons licence to which a text links, else the first line that contains a word."""
    link = re.search(r"creativecommons\.org/licenses/([a-z-]+)/([\d.]+\d)", text)
    if link:
        return f"CC-{link[1].upper()}-{link[2]}"
    if "creativecommons.org/publicdomain/zero" in text:
        return "CC0-1.0"
    lines = (line.strip() for line in text.splitlines())
    return next((line[:120] for line in lines if re.search(r"\w{3}", line)), "unknown")
