"""Make attrs classes of tables of TOML or JSON; an error names the key that does not fit, and the nearest that does."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
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

    Raises
    ------
    SuiteError
        If it is no table, has a key that the class lacks, lacks a key that the class needs, or a value does not fit.
    """
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise SuiteError(f"{where} is no table", f"give {', '.join(fields)}")
    for key in data:
        if key not in fields:
            raise SuiteError(f"{where}: unknown key {key!r}", suggestion(key, fields))
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in data:
            raise SuiteError(f"{where}: no {name!r}", "add it")
    try:
        return cls(**data)
    except UsageError as error:
        raise SuiteError(f"{where}: {error.problem.removeprefix(f'{where}: ')}", error.fix) from error
    except (TypeError, ValueError) as error:
        # attrs appends attribute, type and value to the message; only the message helps the user.
        fix = f"it takes {', '.join(fields)}"
        raise SuiteError(f"{where}: a value that does not fit: {_in_words(str(error.args[0]))}", fix) from error


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Convert an attrs field of several names, each once: a list of a suite, or `--set`'s text with commas."""
    listed = parts_of(given) if isinstance(given, str) else as_tuple(given)
    if not all(isinstance(name, str) for name in listed):
        raise ValueError(f"{given!r} is no list of names")
    return tuple(dict.fromkeys(listed))


def finite(given: object) -> float:
    """Convert an attrs field of a number; true and false, text, infinity and NaN are refused with ValueError."""
    number = plain_number(given)
    if type(number) is not float or not math.isfinite(number):
        raise ValueError(f"{given!r} is no finite number")
    return number


def finite_numbers(given: object) -> list[float]:
    """Convert an attrs field of one or more numbers, each as :func:`finite` takes it."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ValueError(f"{given!r} is no list of numbers")
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
