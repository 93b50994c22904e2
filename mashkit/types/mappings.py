"""Convert fields of values to immutable mappings and tuples."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from mashkit.errors import MashkitError, UsageError
from mashkit.numbers import python_number, shown

K = TypeVar("K")
V = TypeVar("V", covariant=True)


class FrozenMapping(Mapping[K, V]):
    """A read-only mapping that can be sent to other processes (a MappingProxyType cannot).

    Examples
    --------
    >>> import pickle
    >>> from mashkit.types import FrozenMapping
    >>> tempi = FrozenMapping({"verse": 96.0, "chorus": 98.5})
    >>> pickle.loads(pickle.dumps(tempi))["chorus"]
    98.5
    >>> tempi["verse"] = 97.0
    Traceback (most recent call last):
        ...
    TypeError: 'FrozenMapping' object does not support item assignment
    """

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[K, V]) -> None:
        self._data = dict(data)

    def __getitem__(self, key: K) -> V:
        return self._data[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __hash__(self) -> int:
        # Equal mappings have equal names. Values are not hashed, because they may be lists.
        return hash(frozenset(self._data))

    def __repr__(self) -> str:
        return repr(self._data)


class FrozenRecord(FrozenMapping[str, Any]):
    """JSON data that nobody can change: the mappings in it are frozen records, too, and its lists are tuples.

    It is equal to a mapping that gives the same JSON. :meth:`plain` makes dictionaries of it, which ``json`` can write.

    Parameters
    ----------
    data : mapping of str
        Text, finite numbers (also numpy's), booleans, None, and lists, arrays and mappings of these.

    Raises
    ------
    UsageError
        If there is anything else in it, because it would not come back equal from JSON.

    Examples
    --------
    >>> import numpy as np
    >>> from mashkit.types.mappings import FrozenRecord
    >>> record = FrozenRecord({"name": "mine", "options": {"share": np.float32(0.5), "parts": ["bass"]}})
    >>> record["options"]["parts"], record.plain()
    (('bass',), {'name': 'mine', 'options': {'share': 0.5, 'parts': ['bass']}})
    >>> record == record.plain()
    True
    >>> record["options"]["share"] = 1
    Traceback (most recent call last):
        ...
    TypeError: 'FrozenRecord' object does not support item assignment
    >>> FrozenRecord({"options": {"bands": {1, 2}}})
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: 'bands' is {1, 2}
    (give text, finite numbers, true or false, None, or lists and mappings of these)
    """

    __slots__ = ()

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__({name: _frozen(name, value) for name, value in data.items()})

    def __eq__(self, other: object) -> bool:
        return _thawed(self) == _thawed(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = FrozenMapping.__hash__

    def plain(self) -> dict[str, Any]:
        """Return the data as dictionaries and lists, which the caller may change."""
        plain: dict[str, Any] = _thawed(self)
        return plain


def _frozen(name: object, value: Any) -> Any:
    """Return a value of a record as data that nobody can change."""
    if not isinstance(name, str):
        raise UsageError(f"a name is {shown(name)}", "give names as text")
    value = python_number(value)
    # A frozen record is shared, not copied, because thousands of plans have the same options of their generator.
    if value is None or isinstance(value, (str, FrozenRecord)):
        return value
    # Compared and not converted, because no float holds a whole number of 400 digits.
    if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
        return value
    if isinstance(value, Mapping):
        return FrozenRecord(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_frozen(name, one) for one in value)
    raise UsageError(
        f"{name!r} is {shown(value)}", "give text, finite numbers, true or false, None, or lists and mappings of these"
    )


def _thawed(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_thawed(one) for one in value]
    return {name: _thawed(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def frozen_mapping(value: Mapping[Any, Any]) -> FrozenMapping[Any, Any]:
    """Convert an attrs field; callers see the type of the field's own annotation.

    Raises
    ------
    UsageError
        If ``value`` is not a mapping.

    Examples
    --------
    >>> import attrs
    >>> from mashkit.types import frozen_mapping
    >>> @attrs.frozen
    ... class Part:
    ...     gains = attrs.field(converter=frozen_mapping)
    >>> Part({"vocals": -3.0}).gains["vocals"]
    -3.0
    """
    # A frozen mapping is shared, not copied, because many values may have the same.
    if isinstance(value, FrozenMapping):
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"{value!r} given for a mapping", "give names with their values: {name: value, …}")
    return FrozenMapping(value)


def entries(data: Any, names: Iterable[str], what: str, error: type[MashkitError]) -> Mapping[str, Any]:
    """Return data that a method `from_dict` reads; it may have other entries, too.

    Parameters
    ----------
    data : object
        What the caller gives.
    names : iterable of str
        Entries that must be there.
    what : str
        What the data should be, for the message, such as "an analysis".
    error : type
        A MashkitError with a problem and a fix.

    Raises
    ------
    MashkitError
        If the data are not a mapping, or an entry is missing; of the type ``error``.

    Examples
    --------
    >>> from mashkit.errors import AnalysisError
    >>> from mashkit.types.mappings import entries
    >>> entries({"times": [0, 2]}, ["times", "labels"], "data of chords", AnalysisError)
    Traceback (most recent call last):
        ...
    mashkit.errors.AnalysisError: this is not data of chords: there is no 'labels' (give what to_dict() returned)
    """
    fix = "give what to_dict() returned"
    if not isinstance(data, Mapping):
        raise error(f"this is not {what}: {shown(data)}", fix)
    missing = [repr(name) for name in names if name not in data]
    if missing:
        raise error(f"this is not {what}: there is no {', '.join(missing)}", fix)
    return data


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Convert an attrs field; callers see the type of the field's own annotation.

    Raises
    ------
    UsageError
        If ``values`` is a text, whose letters would be the entries, or cannot be iterated.

    Examples
    --------
    >>> import attrs
    >>> from mashkit.types import as_tuple
    >>> @attrs.frozen
    ... class Part:
    ...     names = attrs.field(converter=as_tuple)
    >>> Part(name for name in ("bass", "other"))
    Part(names=('bass', 'other'))
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise UsageError(f"{values!r} given for several", "give a list")
    return tuple(values)
