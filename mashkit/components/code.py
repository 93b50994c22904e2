"""The code that a component's results come from, as a hash: a plugin's version stays the same while it is written."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mashkit.components.component import Component

_MASHKIT = __name__.partition(".")[0]
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def code_sha256(component: Component) -> str:
    """Return a sha256 that changes with the code of a component, and of the components that it is made of.

    A plugin's code is every Python file of its package, and of the package of another plugin whose class it derives
    from. Of mashkit's own components only the file of the class counts, because the rest of mashkit is what all results
    have in common. A component in another process reports the code that it runs there. For a class whose source cannot
    be read, such as one of a notebook, see :func:`class_sha256`.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components.code import code_sha256
    >>> def code_of(name, **options):
    ...     return code_sha256(mk.Registry().create("scorer", name, options))
    >>> code_of("random") == code_of("random", seed=1)
    True
    >>> code_of("random") == code_of("loudness+random")
    False
    """
    digest = hashlib.sha256()
    elsewhere = component.code_elsewhere
    digest.update(elsewhere.encode() if elsewhere else _source(type(component)) or _compiled(type(component)))
    for member in component.members():
        digest.update(code_sha256(member).encode())
    return digest.hexdigest()


def class_sha256(cls: type) -> str:
    """Return a sha256 of the code of a class that belongs to no plugin, because it is defined in a program or notebook.

    It covers the source as :func:`code_sha256` does, where that can be read; the class's methods; and what they use of
    the same module: functions, classes, and constants, which are names in capitals, because a program may set them
    anew in each run. It does not cover other modules that a program imports from its own folder.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.components.code import class_sha256
    >>> def made(factor):
    ...     def halved(self, mashups):
    ...         return [mk.Score(factor) for _ in mashups]
    ...     return type("Halved", (mk.Scorer,), {"_score": halved})
    >>> class_sha256(made(0.5)) == class_sha256(made(0.5))
    True
    >>> class_sha256(made(0.5)) == class_sha256(made(2.0))
    False
    """
    return hashlib.sha256(_source(cls) + _compiled(cls)).hexdigest()


def _source(cls: type) -> bytes:
    """Return name and content of the files of a class's code; nothing if they cannot be read.

    They are read once for each class, because a class that is loaded does not change when its files do.
    """
    if cls not in _SOURCES:
        _SOURCES[cls] = _read(cls)
    return _SOURCES[cls]


_SOURCES: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()


def _read(cls: type) -> bytes:
    try:
        return b"".join(f"{path.name}\n".encode() + path.read_bytes() for path in _files(cls))
    except (OSError, TypeError):  # typed into an interpreter, or made by exec()
        return b""


def _files(cls: type) -> Iterable[Path]:
    """Return the files of a class's package, then those of the packages of its bases that other plugins bring."""
    bases = [one for one in cls.__mro__[1:] if _is_programs(one.__module__) and _is_of_mashkit(one)]
    by_package = {one.__module__.partition(".")[0]: one for one in reversed([cls, *bases])}
    return [path for one in reversed(by_package.values()) for path in _files_of_package(one)]


def _files_of_package(cls: type) -> list[Path]:
    package = cls.__module__.partition(".")[0]
    places = getattr(sys.modules.get(package), "__path__", None)
    if places is None or package == _MASHKIT:
        return [Path(inspect.getfile(cls))]
    return sorted(path for place in places for path in Path(place).rglob("*.py"))


def _is_of_mashkit(cls: type) -> bool:
    """Return whether a class derives from one of mashkit; a class of a library would bring the whole library."""
    return any(one.__module__.partition(".")[0] == _MASHKIT for one in cls.__mro__)


# ------------------------------------------------------------------------------------------------------ compiled code
def _compiled(cls: type) -> bytes:
    """Return the compiled methods of a class and of its bases outside of mashkit, and what they use of their module."""
    met: set[int] = set()
    bases = [one for one in cls.__mro__ if _is_programs(one.__module__)]
    return "\n".join(line for one in bases or [cls] for line in _of_class(one, met)).encode()


def _is_programs(module: str) -> bool:
    """Return whether a module is neither mashkit's nor of the standard library; a program's own is "__main__"."""
    return module.partition(".")[0] not in (_MASHKIT, *sys.stdlib_module_names)


def _of_class(cls: type, met: set[int]) -> Iterator[str]:
    if id(cls) in met:
        return
    met.add(id(cls))
    for name, value in sorted(vars(cls).items()):
        # Attributes that Python adds, such as __doc__ and __annotations__, change no result, and some are added late.
        if not name.startswith("__") or isinstance(value, FunctionType):
            yield name
            # A class that type() makes is of the module "abc", and its methods are of the program's.
            is_method = isinstance(value, FunctionType) and _is_programs(value.__module__)
            yield from _of_value(value, value.__module__ if is_method else cls.__module__, met)


def _of_value(value: Any, module: str, met: set[int]) -> Iterator[str]:
    """Yield what is to be hashed of an attribute, a global, a default or a variable of an enclosing function."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, functools.cached_property):
        value = value.func
    if isinstance(value, property):
        for one in (value.fget, value.fset):
            yield from _of_value(one, module, met)
    elif isinstance(value, FunctionType) and value.__module__ == module and id(value) not in met:
        met.add(id(value))
        yield from _of_function(value, met)
    elif isinstance(value, type) and value.__module__ == module:
        yield from _of_class(value, met)
    elif _is_plain(value):
        # No list or mapping, because it may grow while the component works.
        yield _text(value)


def _of_function(function: FunctionType, met: set[int]) -> Iterator[str]:
    module = function.__module__
    for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield from _of_value(default, module, met)
    for cell in function.__closure__ or ():
        try:
            yield from _of_value(cell.cell_contents, module, met)
        except ValueError:  # the variable has no value yet
            continue
    names: dict[str, None] = {}
    yield from _of_code(function.__code__, names)
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType | type):
            yield name
            yield from _of_value(value, module, met)
        elif name.isupper() and _is_table(value):
            yield f"{name} {_text(value)}"


def _of_code(code: CodeType, names: dict[str, None]) -> Iterator[str]:
    """Yield a function's instructions and constants, those of the functions in it too; collect the names it uses."""
    names.update(dict.fromkeys(code.co_names))
    yield f"{code.co_code.hex()} {code.co_names}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant, names)
        else:
            yield _text(constant)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _is_table(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_table(one) for pair in value.items() for one in pair)
    return all(map(_is_table, value)) if isinstance(value, tuple | list | set | frozenset) else _is_plain(value)


def _text(value: Any) -> str:
    """Return a plain value as text; the order of a set, which differs from process to process, does not count."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return repr(value)
