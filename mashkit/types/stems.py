"""Roles, and the stems of one mix by name."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from mashkit.errors import StemError
from mashkit.types.audio import Audio
from mashkit.types.mappings import FrozenMapping, as_tuple, frozen_mapping


class Role(enum.StrEnum):
    """The part that a stem plays in a mashup (docs/paper.md, row 1).

    Examples
    --------
    >>> import mashkit as mk
    >>> list(mk.Role)
    [<Role.VOCAL: 'vocal'>, <Role.HARMONIC: 'harmonic'>, <Role.PERCUSSION: 'percussion'>]
    >>> mk.Role("vocal") is mk.Role.VOCAL
    True
    """

    VOCAL = "vocal"
    HARMONIC = "harmonic"
    PERCUSSION = "percussion"


def as_role(role: object) -> Role:
    """Return a role that is given by its name.

    Raises
    ------
    StemError
        If there is no such role.

    Examples
    --------
    >>> from mashkit.types import as_role
    >>> as_role("harmonic")
    <Role.HARMONIC: 'harmonic'>
    >>> as_role("drums")
    Traceback (most recent call last):
        ...
    mashkit.errors.StemError: 'drums' is not a role (give vocal, harmonic or percussion)
    """
    try:
        return Role(role)  # type: ignore[arg-type]  # raises ValueError for anything else than a role's name
    except ValueError:
        raise StemError(f"{role!r} is not a role", "give vocal, harmonic or percussion") from None


def as_roles(roles: Iterable[Role | str]) -> frozenset[Role]:
    """Convert an attrs field; raises UsageError for one text, and StemError for what is not a role.

    Examples
    --------
    >>> from mashkit.types import Role, as_roles
    >>> as_roles([Role.VOCAL, Role.VOCAL]) == {Role.VOCAL}
    True
    """
    return frozenset(map(as_role, as_tuple(roles)))


ROLE_STEMS: Mapping[Role, tuple[str, ...]] = FrozenMapping(
    {
        Role.VOCAL: ("vocals",),
        Role.HARMONIC: ("bass", "other", "guitar", "piano"),
        Role.PERCUSSION: ("drums",),
    }
)
"""The stems of each role. The paper's HARMONIC is bass + other; models of five and six stems split "other" further."""

STEM_NAMES = tuple(name for names in ROLE_STEMS.values() for name in names)
"""The names that stems may have."""


REST = "other"
"""The stem that holds what is in no other stem of a separator."""


def require_stem_names(names: Iterable[Any]) -> None:
    """Raise StemError if a name is not a stem's, because such a stem has no role and would not be used."""
    unknown = [name for name in names if name not in STEM_NAMES]
    if unknown:
        raise StemError(f"stems named {unknown}", f"use {', '.join(STEM_NAMES)}")


@attrs.frozen(eq=False)
class StemSet:
    """The stems of one mix, by name.

    Parameters
    ----------
    stems : mapping of str to Audio
        Names from :data:`STEM_NAMES`; all of the same rate, channels and frames.

    Raises
    ------
    StemError
        If there is no stem, a name is not known, or the stems differ in rate, channels or frames.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> pitches = {"vocals": 440, "bass": 55, "other": 220}
    >>> stems = mk.StemSet({name: signals.tone(hertz, 1.0) for name, hertz in pitches.items()})
    >>> sorted(stems.roles)
    [<Role.HARMONIC: 'harmonic'>, <Role.VOCAL: 'vocal'>]
    >>> stems.role(mk.Role.HARMONIC).duration
    1.0
    >>> stems.role(mk.Role.PERCUSSION)
    Traceback (most recent call last):
        ...
    mashkit.errors.StemError: no stem for the role percussion among bass, other, vocals
    (use a separator that gives drums)
    """

    stems: Mapping[str, Audio] = attrs.field(converter=frozen_mapping)

    def __attrs_post_init__(self) -> None:
        require_stem_names(self.stems)
        if not self.stems:
            raise StemError("no stems", f"use {', '.join(STEM_NAMES)}")
        for name, stem in self.stems.items():
            if not isinstance(stem, Audio):
                raise StemError(f"stem {name} is a {type(stem).__name__}", "give Audio(samples, sample_rate)")
        formats = {(stem.sample_rate, *stem.samples.shape) for stem in self.stems.values()}
        if len(formats) > 1:
            raise StemError(f"stems differ in (rate, channels, frames): {sorted(formats)}")

    @property
    def roles(self) -> frozenset[Role]:
        """The roles of which this set contains at least one stem."""
        return frozenset(role for role, names in ROLE_STEMS.items() if any(name in self.stems for name in names))

    def role(self, role: Role) -> Audio:
        """Return the sum of the stems of ``role``.

        Raises
        ------
        StemError
            If the set contains no stem of that role, or there is no such role.
        """
        role = as_role(role)
        parts = [self.stems[name] for name in ROLE_STEMS[role] if name in self.stems]
        if not parts:
            raise StemError(
                f"no stem for the role {role} among {', '.join(sorted(self.stems))}",
                f"use a separator that gives {' or '.join(ROLE_STEMS[role])}",
            )
        if len(parts) == 1:
            return parts[0]
        total = parts[0].samples + parts[1].samples
        for part in parts[2:]:
            total += part.samples
        total.flags.writeable = False  # no other code has this array, so Audio need not copy it
        return Audio(total, parts[0].sample_rate)
