"""Convert fields of values to immutable mappings and tuples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from mashkit.errors import UsageError

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


def frozen_mapping(value: Mapping[Any, Any]) -> FrozenMapping[Any, Any]:
    """Convert an attrs field; callers see the type of the field's own annotation.

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
    # A frozen mapping is shared, not copied, because thousands of plans have the same record of their generator.
    return value if isinstance(value, FrozenMapping) else FrozenMapping(value)


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
