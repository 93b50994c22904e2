"""Make attrs classes of tables of TOML or JSON; an error names the key that does not fit, and the nearest that does."""

from __future__ import annotations

import collections.abc
import functools
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from mashkit.arguments import parts_of
from mashkit.errors import UsageError, suggestion
from mashkit.numbers import plain_number
from mashkit.types import as_tuple

T = TypeVar("T")


class SuiteError(UsageError):
    """A table that does not fit its class, or a suite that names something that does not exist."""


def from_table(cls: type[T], data: object, where: str) -> T:
    """Make an attrs class of a table; ``where`` names the table in errors.

    Values are compared with the types of the class's fields, because a wrong one would be found only where it is used:
    the title of a suite, say, when all is measured. What is converted or validated is compared after that.

    Raises
    ------
    SuiteError
        If it is not a table, has a key that the class lacks, lacks a key that the class needs, or a value does not fit.
    """
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise SuiteError(f"{where} is not a table", f"give {', '.join(fields)}")
    for key in data:
        if key not in fields:
            raise SuiteError(f"{where}: unknown key {key!r}", suggestion(key, fields))
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in data:
            raise SuiteError(f"{where}: no {name!r}", "add it")
    fix = f"it takes {', '.join(fields)}"
    due = _types_of(cls)  # type: ignore[arg-type]

    def require_fitting(values: Mapping[str, Any], *, whole: bool = True) -> None:
        for name, value in values.items():
            misfit = _misfit(name, value, due.get(name, Any), whole=whole)
            if misfit:
                raise SuiteError(f"{where}: a value that does not fit: {misfit}", fix)

    # What has a validator is told in its words.
    plain = [name for name, field in fields.items() if field.converter is None and field.validator is None]
    require_fitting({name: data[name] for name in plain if name in data})
    tables = [name for name in fields if typing.get_origin(due.get(name)) is collections.abc.Mapping]
    # Of what is converted, only that a table is one; None stands for one without entries.
    require_fitting({name: data[name] for name in tables if data.get(name) is not None}, whole=False)
    try:
        made = cls(**data)
    except UsageError as error:
        raise SuiteError(f"{where}: {error.problem.removeprefix(f'{where}: ')}", error.fix) from error
    except (TypeError, ValueError) as error:
        # attrs appends attribute, type and value to the message; only the message helps the user.
        raise SuiteError(f"{where}: a value that does not fit: {_in_words(str(error.args[0]))}", fix) from error
    require_fitting({name: getattr(made, name) for name in fields})
    return made


@functools.cache
def _types_of(cls: type[Any]) -> dict[str, Any]:
    """Return the types of a class's fields; Any for all where a name in them cannot be found."""
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a plugin may import it for type checkers only
        return dict.fromkeys(attrs.fields_dict(cls), Any)


def _misfit(what: str, value: Any, due: Any, *, whole: bool = True) -> str:
    """Return how a value differs from the type that is due, in words; empty if it has that type.

    With ``whole``, what is in a table or list is compared, too.
    """
    kind, parts = typing.get_origin(due) or due, typing.get_args(due)
    if kind in (typing.Union, types.UnionType):
        found = [_misfit(what, value, one) for one in parts]
        return "" if "" in found else found[0]
    if kind is typing.Literal:
        return "" if value in parts else f"{what} is {value!r}, not {' or '.join(map(repr, parts))}"
    if typing.is_typeddict(kind):
        if not _is_table(value):
            return f"{what} is {value!r}, not a table"
        # Not __required_keys__, because that has every key where annotations are texts.
        written = typing.get_type_hints(due, include_extras=True)
        for name in written:
            if name not in value and typing.get_origin(written[name]) is not typing.NotRequired:
                return f"{what} has no {name!r}"
        inner = [_misfit(f"{what}.{name}", value[name], one) for name, one in _types_of(due).items() if name in value]
        return next(filter(None, inner), "")
    right, words = _FITTING.get(kind, (None, ""))
    if right is None:
        return ""
    if not right(value):
        return f"{what} is {value!r}, not {words}"
    if not parts or not whole:
        return ""
    if isinstance(value, Mapping):
        inner = [_misfit(f"{what}.{name}", one, parts[1]) for name, one in value.items()]
    else:
        each = parts if kind is tuple and parts[-1] is not ... else parts[:1] * len(value)
        if len(value) != len(each):
            return f"{what} is {value!r}, not {len(each)} values"
        inner = [_misfit(f"{what}[{at}]", one, its) for at, (one, its) in enumerate(zip(value, each, strict=True))]
    return next(filter(None, inner), "")


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


_FITTING: Mapping[Any, tuple[Callable[[Any], bool], str]] = {
    str: (lambda value: isinstance(value, str), "text"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: isinstance(value, numbers.Integral) and not isinstance(value, bool), "a whole number"),
    float: (lambda value: type(plain_number(value)) is float, "a number"),
    type(None): (lambda value: value is None, "nothing"),
    tuple: (_is_list, "a list"),
    list: (_is_list, "a list"),
    collections.abc.Sequence: (_is_list, "a list"),
    dict: (_is_table, "a table"),
    collections.abc.Mapping: (_is_table, "a table"),
}
"""Type of a field → whether a value of a table fits it, and the type in words; other types are not compared."""


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Convert an attrs field of several names, each once: a list of a suite, or `--set`'s text with commas."""
    listed = parts_of(given) if isinstance(given, str) else as_tuple(given)
    if not all(isinstance(name, str) for name in listed):
        raise ValueError(f"{given!r} is not a list of names")
    return tuple(dict.fromkeys(listed))


def finite(given: object) -> float:
    """Convert an attrs field of a number; true and false, text, infinity and NaN are refused with ValueError."""
    number = plain_number(given)
    if type(number) is not float or not math.isfinite(number):
        raise ValueError(f"{given!r} is not a finite number")
    return number


def finite_numbers(given: object) -> list[float]:
    """Convert an attrs field of one or more numbers, each as :func:`finite` takes it."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ValueError(f"{given!r} is not a list of numbers")
    return [finite(value) for value in given]


def positive(instance: object, attribute: attrs.Attribute[Any], value: float | Sequence[float]) -> None:
    """Raise ValueError unless a field's number, or each of its numbers, is above 0: a validator of attrs."""
    if not all(one > 0 for one in (value if isinstance(value, Sequence) else [value])):
        raise ValueError(f"{attribute.name} is {value!r}, and needs more than 0")


def _in_words(message: str) -> str:
    """Return a message of ``attrs.validators.instance_of`` without Python's names of types; others as they are."""
    found = re.match(r"'(\w+)' must be <class '([\w.]+)'> \(got (.*) that is a <class", message)
    return f"{found[1]} is {found[3]}, not {_TYPES[found[2]]}" if found and found[2] in _TYPES else message


_TYPES = {
    "int": "a whole number",
    "numbers.Integral": "a whole number",
    "float": "a number",
    "numbers.Real": "a number",
    "str": "text",
    "bool": "true or false",
}
