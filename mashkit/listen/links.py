"""Signed links for raters: who has no link cannot take part, and a link cannot be made without the study's secret."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import itsdangerous

from mashkit.listen.answers import Refused
from mashkit.listen.study import StudyError
from mashkit.paths import path_text

KEY_FILE = "secret.key"
DAYS = 30.0
"""How long a link can be used, unless another time is given."""
_ANEW = "remove it; all links then have to be made anew"


def secret_of(folder: Path) -> bytes:
    """Return the secret in a study's folder; make it at first use, readable by its owner only.

    Raises
    ------
    StudyError
        If its file cannot be written or read, or is no secret of 32 bytes or more.
    """
    path = folder / KEY_FILE
    try:
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path_text(path)} cannot be used: {error}", _ANEW) from error
    if len(secret) < 32:
        raise StudyError(f"{path_text(path)} is too short", _ANEW)
    return secret


@attrs.frozen
class Link:
    """What a link says.

    Parameters
    ----------
    id : str
    open : bool
        Whether each visitor is a new rater (for crowd platforms), or all visits are one rater's.
    """

    id: str
    open: bool


class Links:
    """Make and read signed links and cookies.

    The end of a link's time is in it, and not its beginning: a clock that is set back makes no link invalid.

    Parameters
    ----------
    secret : bytes
    now : callable
        The clock, seconds since 1970.
    """

    def __init__(self, secret: bytes, *, now: Callable[[], float] = time.time) -> None:
        self._secret, self._now = secret, now

    def make(self, *, open_: bool = False, days: float = DAYS) -> str:
        """Return the signed part of a new link."""
        return self._signed("link", {"i": secrets.token_hex(8), "o": open_, "x": int(self._now() + 86400 * days)})

    def read(self, token: str) -> Link:
        """Return what a link says.

        Raises
        ------
        Refused
            If it was not made with this study's secret, or its time is over.
        """
        data = self._loaded("link", token)
        if not isinstance(data, dict) or not isinstance(data.get("i"), str) or not isinstance(data.get("x"), int):
            raise Refused("link", "this link is not valid", 403)
        if self._now() >= data["x"]:
            raise Refused("expired", "this link is no longer valid", 403)
        return Link(data["i"], bool(data.get("o")))

    def cookie(self, salt: str, value: str) -> str:
        """Return a signed value for a cookie; ``salt`` is the cookie's purpose."""
        return self._signed(salt, value)

    def value(self, salt: str, cookie: str | None) -> str | None:
        """Return the value of a signed cookie, or None if there is none or it is forged."""
        with contextlib.suppress(Refused):
            value = self._loaded(salt, cookie or "")
            return value if isinstance(value, str) else None
        return None

    def _signed(self, salt: str, data: Any) -> str:
        return str(self._serializer(salt).dumps(data))

    def _loaded(self, salt: str, token: str) -> Any:
        try:
            return self._serializer(salt).loads(token)
        except itsdangerous.BadData as error:
            raise Refused("link", "this link is not valid", 403) from error

    def _serializer(self, salt: str) -> itsdangerous.URLSafeSerializer:
        return itsdangerous.URLSafeSerializer(
            self._secret, salt=f"mashkit listen {salt}", signer_kwargs={"digest_method": hashlib.sha256}
        )
