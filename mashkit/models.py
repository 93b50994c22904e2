"""List, verify and download weight files.

Plugins register their files (hook ``mashkit_register_weights``). A file is either part of an installed Python package,
or is downloaded into the models folder when the user asks for it, and never automatically.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import http.client
import importlib.metadata
import importlib.util
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

import attrs
import platformdirs

from mashkit.arguments import named_path
from mashkit.components.environments import create_command, environment_path, weight_package
from mashkit.errors import MashkitError, OutputError, raised
from mashkit.licences import UNKNOWN, joined
from mashkit.locks import lock

MODELS_VARIABLE = "MASHKIT_MODELS"
"""Environment variable: folder of downloaded weights; default is the platform's folder for data."""
OFFLINE_VARIABLE = "MASHKIT_OFFLINE"
"""Environment variable: if it is set to any value, nothing is downloaded."""
TIMEOUT_S = 30.0
"""Longest time without data from a server, seconds."""
CHUNK = 1 << 20
FEWEST_DIGITS = 8
"""Least number of hex digits of a hash, enough to find a damaged file; model hubs put this many into file names."""


class ModelError(MashkitError):
    """A weight file that is missing, damaged, or cannot be downloaded."""


def models_folder() -> Path:
    """Return the folder of downloaded weights."""
    named = os.environ.get(MODELS_VARIABLE)
    return named_path(named) if named else Path(platformdirs.user_data_dir("mashkit")) / "models"


def _hash(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not (FEWEST_DIGITS <= len(value) <= 64 and set(value) <= set("0123456789abcdef")):
        raise ValueError(f"sha256 {value!r} is not 8 to 64 lower-case hex digits")


def _relative(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or not path.parts:
        raise ValueError(f"{attribute.name} {value!r} leaves its folder")


@attrs.frozen(kw_only=True)
class WeightFile:
    """One file of weights, as its plugin registers it.

    Parameters
    ----------
    name : str
        "<component>/<file>": its path in the models folder, and its name everywhere.
    component : str
        Kind and name of its component: "separator demucs".
    model : str
        The component's model for which it is, as in the component's option.
    sha256 : str
        The file's hash: all 64 hex digits, or its published first digits, at least 8.
    size : int, optional
        Bytes; None if it was not published.
    licence : str
        SPDX expression of the weights.
    source : str
        Page that describes the file.
    url : str
        Address of the download: https, or http on this machine. Empty if the file is in a package.
    package, path : str
        Distribution that contains the file, and its path there; empty if the file is downloaded. The path of a wheel's
        data file begins below the environment's prefix: "share/acme/net.pt".
    environment : str
        Name of the environment that contains the distribution for its files only
        (:class:`ComponentInfo.weight_packages`); empty if the distribution is installed beside mashkit.
    """

    name: str = attrs.field(validator=_relative)
    component: str
    model: str = ""
    sha256: str = attrs.field(validator=_hash)
    size: int | None = None
    licence: str
    source: str = ""
    url: str = ""
    package: str = ""
    path: str = ""
    environment: str = ""

    def __attrs_post_init__(self) -> None:
        if bool(self.url) == bool(self.package):
            raise ValueError(f"weights {self.name!r} have a url or a package, and not both")
        parts = urlsplit(self.url)
        if self.url and parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError(f"weights {self.name!r} are not downloaded over https")

    def location(self) -> Path | None:
        """Return the path of the file, existing or not; None if the package that contains it is not installed."""
        if self.url:
            return models_folder() / self.name
        distribution = weight_package(self.package, self.environment)
        if distribution is None:
            return None
        path = Path(str(distribution.locate_file(self.path)))
        return path if path.exists() else _editable(self.path) or _data_file(distribution, self.path) or path

    @property
    def fix(self) -> str:
        """The command that repairs a missing or damaged file."""
        if self.url:
            return f"mashkit models pull {self.name}"
        if not self.environment:
            return f"pip install --force-reinstall {self.package}"
        there = environment_path(self.environment).exists()
        return create_command(self.environment, again=there)


def _editable(path: str) -> Path | None:
    """Return the path of a file in a package installed with ``pip install -e``; the file is beside the code."""
    package, _, inside = path.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() and inside else None  # imports nothing
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / inside).is_file():
            return Path(folder) / inside
    return None


def _data_file(distribution: importlib.metadata.Distribution, path: str) -> Path | None:
    """Return where a wheel's data file was installed, existing or not; None if the wheel has none of that path.

    pip puts data files under the environment's prefix, outside of the folder of packages, and records where.
    """
    for row in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if row and row[0].endswith(f"../{path}"):
            return Path(str(distribution.locate_file(row[0]))).resolve()
    return None


def licence_of(in_use: Mapping[str, str], registered: Iterable[WeightFile]) -> str:
    """Return the SPDX expression of the licences of weight files in use, for :meth:`Component.weights_license`.

    Parameters
    ----------
    in_use : mapping of str to str
        File name → sha256, as of :meth:`Component.weights`.
    registered : iterable of WeightFile
        The files whose licence is known.

    Returns
    -------
    str
        The licences of the files, joined by AND. "unknown" if a file is not registered, whatever its name: it may have
        been trained by its user, on anything.

    Examples
    --------
    >>> from mashkit.models import WeightFile, licence_of
    >>> net = WeightFile(name="acme/net.pt", component="scorer acme", sha256="0a" * 32, licence="MIT", package="acme")
    >>> licence_of({"net.pt": "0a" * 32}, [net])
    'MIT'
    >>> licence_of({"net.pt": "0b" * 32}, [net])
    'unknown'
    """
    files = list(registered)
    licences = []
    for sha256 in in_use.values():
        licence = next((file.licence for file in files if sha256.startswith(file.sha256)), None)
        if licence is None:
            return UNKNOWN
        licences.append(licence)
    return joined(licences)


Status = Literal["ok", "missing", "damaged"]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, hex, for records; it is computed again only if the file's size or time changes."""
    status = path.stat()
    return _unchanged_sha256(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _unchanged_sha256(path: Path, size: int, modified: int) -> str:
    return sha256_of(path)


def optional_path(value: str | Path | None) -> Path | None:
    """Convert an attrs field with a folder of weights: "~" is the user's home folder."""
    return None if value is None else named_path(value)


def status(weights: WeightFile) -> Status:
    """Read the file, and return whether it exists and has the registered hash."""
    path = weights.location()
    if path is None or not path.is_file():
        return "missing"
    if weights.size is not None and path.stat().st_size != weights.size:
        return "damaged"
    return "ok" if sha256_of(path).startswith(weights.sha256) else "damaged"


def require(weights: WeightFile) -> Path:
    """Return the path of the file after verifying it.

    Raises
    ------
    ModelError
        If the file is missing or damaged; the error contains the command that repairs it.
    """
    found, path = status(weights), weights.location()
    if found == "ok" and path is not None:
        return path
    raise ModelError(f"weights {weights.name} are {found}{'' if path is None else f' at {path}'}", weights.fix)


def pull(
    weights: WeightFile, *, offline: bool = False, notify: Callable[[int, int | None], object] = lambda *_: None
) -> Path:
    """Download a missing file, continuing an interrupted download; return the file's path.

    The file is verified before it gets its final name, so a file with that name is complete. Only one process at a time
    downloads it.

    Parameters
    ----------
    weights : WeightFile
    offline : bool
        Refuse to download; the environment variable MASHKIT_OFFLINE has the same effect.
    notify : callable
        Called with (bytes so far, bytes in all or None).

    Raises
    ------
    ModelError
        If the file's package is not installed, the download is refused or fails, another process downloads the file,
        or it has another hash.
    OutputError
        If the folder cannot be written.
    """
    if not weights.url or status(weights) == "ok":
        return require(weights)
    if offline or os.environ.get(OFFLINE_VARIABLE):
        raise ModelError(
            f"weights {weights.name} are not here, and downloading is switched off",
            f"go online, or put the file from {weights.url} at {models_folder() / weights.name}",
        )
    target = models_folder() / weights.name
    taken = ModelError(f"weights {weights.name} are being downloaded by another process", "wait until it is done")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(target.with_name(f".{target.name}.lock"), taken):
            if status(weights) != "ok":  # another process may have been here meanwhile
                _pull(weights, target, notify)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}", f"set {MODELS_VARIABLE}") from error
    return target


def _pull(weights: WeightFile, target: Path, notify: Callable[[int, int | None], object]) -> None:
    partial = target.with_name(f"{target.name}.part")
    with partial.open("ab") as file:
        _download(weights, file, notify)
        file.flush()
        os.fsync(file.fileno())
    digest = sha256_of(partial)
    if not digest.startswith(weights.sha256):
        partial.unlink()
        raise ModelError(
            f"{weights.url} gave a file with sha256 {digest} instead of {weights.sha256}…",
            "try again; if the sha256 is wrong again, the file has changed: report it, and do not use it",
        )
    partial.replace(target)


def _download(weights: WeightFile, file: BinaryIO, notify: Callable[[int, int | None], object]) -> None:
    for done, part, total in _received(weights, file.tell()):
        file.truncate(done)  # because the server may send the file from its beginning
        file.write(part)
        notify(done + len(part), total)


def _received(weights: WeightFile, done: int) -> Iterator[tuple[int, bytes, int | None]]:
    """Yield what the server sends of a file: the place of each part, its bytes, and the size of the file if known.

    Every error that is raised here is the server's or the network's: what is done with a part is not done here.

    Parameters
    ----------
    weights : WeightFile
    done : int
        Bytes that are here already.

    Raises
    ------
    ModelError
        If the server refuses, or what it sends cannot be read or ends too early.
    """
    request = urllib.request.Request(weights.url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310 — checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            if answer.status != 206:  # the server sends the file from its beginning
                done = 0
            length = answer.headers.get("Content-Length")
            total = weights.size if length is None else done + int(length)
            while part := answer.read(CHUNK):
                yield done, part, total
                done += len(part)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # no bytes are left to send; the hash is checked later
            return
        raise ModelError(
            f"{weights.url}: {error.code} {error.reason}", f"see {weights.source or 'its page'}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a header or an address is malformed
        reason = getattr(error, "reason", None) or raised(error)
        raise ModelError(
            f"{weights.url} cannot be read: {reason}",
            "try again, which continues the download, or download the file by hand",
        ) from error
    if total is not None and done < total:
        raise ModelError(
            f"{weights.url} ended after {done} of {total} bytes", "try again, which continues the download"
        )
