"""Tables of a suite's TOML into the classes they stand for; what does not fit is named, with the nearest that does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from mashkit.errors import UsageError, suggestion

T = TypeVar("T")


class SuiteError(UsageError):
    """A suite that is not one, or names what there is not."""


def from_table(cls: type[T], data: object, where: str) -> T:
    """Make an attrs class of a table; ``where`` names it in errors.

    Raises
    ------
    SuiteError
        If it is no table, has a key the class does not know, lacks one it needs, or a value does not fit.
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
    except (TypeError, ValueError) as error:
        # attrs puts attribute, type and value behind the message: the message alone is for people.
        fix = f"it takes {', '.join(fields)}"
        raise SuiteError(f"{where}: a value that does not fit: {error.args[0]}", fix) from error
