"""Protocols: how collections of several kinds lie on disk, and what is known of their songs.

Six are built in, in a plain table. A hook for more would fix :class:`Song` and :class:`Excerpt` as something plugins
may rely on before a second author has asked for it, and nothing is lost meanwhile: whoever has another layout makes
songs of it in Python and gives them to :meth:`mashkit.catalog.Adder.add`, which is all that a protocol does.
"""

from __future__ import annotations

import difflib
from typing import Any

import attrs

from mashkit.catalog.protocols.ayumix import Ayumix
from mashkit.catalog.protocols.base import Protocol
from mashkit.catalog.protocols.harmonix import Harmonix
from mashkit.catalog.protocols.multitrack import Multitrack
from mashkit.catalog.protocols.plain import Preview, Songs
from mashkit.catalog.protocols.roles import Roles
from mashkit.errors import UsageError

__all__ = ["PROTOCOLS", "Ayumix", "Harmonix", "Multitrack", "Preview", "Protocol", "Roles", "Songs", "create_protocol"]

PROTOCOLS: dict[str, type[Protocol]] = {one.name: one for one in (Songs, Preview, Harmonix, Ayumix, Multitrack, Roles)}
"""Protocols by name, the default first."""


def create_protocol(name: str, **options: Any) -> Protocol:
    """Return a protocol by name.

    Raises
    ------
    UsageError
        If there is none of that name, it has no such option, or the option does not take that value.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol is called {name!r}", _hint(name, list(PROTOCOLS)))
    kind = PROTOCOLS[name]
    known = [field.name for field in attrs.fields(kind)]
    for option in options:
        if option not in known:
            raise UsageError(f"protocol {name!r} has no option {option!r}", _hint(option, known))
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"protocol {name!r}: {error.args[0]}", f"its options are {', '.join(known)}") from error


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known) or 'none'}"
