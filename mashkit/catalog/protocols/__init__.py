"""Dataset layouts: find the songs, stems and labels in collections of several kinds. In code, a layout is a "protocol".

Eight layouts are built in, in a plain table. There is no hook for more, because a hook would make :class:`Song` and
:class:`Excerpt` a public interface for plugins before anybody has asked for it. A user with another layout can make
songs in Python and give them to :meth:`mashkit.catalog.Adder.add`; a layout does the same.
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
from mashkit.catalog.protocols.rekordbox import Rekordbox
from mashkit.catalog.protocols.roles import Roles
from mashkit.catalog.protocols.traktor import Traktor
from mashkit.errors import UsageError

__all__ = [
    "PROTOCOLS",
    "Ayumix",
    "Harmonix",
    "Multitrack",
    "Preview",
    "Protocol",
    "Rekordbox",
    "Roles",
    "Songs",
    "Traktor",
    "create_protocol",
]

PROTOCOLS: dict[str, type[Protocol]] = {
    one.name: one for one in (Songs, Preview, Harmonix, Ayumix, Multitrack, Roles, Rekordbox, Traktor)
}
"""Dataset layouts by name, the default first."""


def create_protocol(name: str, **options: Any) -> Protocol:
    """Return a dataset layout by name.

    Raises
    ------
    UsageError
        If there is no layout of that name, or the layout has no such option, or the option's value is not valid.
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
