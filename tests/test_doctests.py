"""Every public name has an ``Examples`` block, and what the block shows is what comes out."""

from __future__ import annotations

import ast
import doctest
import functools
import importlib
import inspect
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from test_site import script

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # long messages are wrapped
DATA = {"__version__", "hookimpl"}
"""Public names of objects without a docstring: the module's has the example of the one, and the text that stands after
the assignment that of the other."""


def examples() -> dict[str, str]:
    """Return the docstring of every name of the reference, and of every public module."""
    reference = script("reference")
    found = {name: _own(one) for name, one in reference.documented().items() if _has_own(one)}
    for module in ("mashkit", "mashkit.errors", "mashkit.synthetic.signals"):
        found[module] = importlib.import_module(module).__doc__ or ""
    found["mashkit.hookimpl"] = _text_after("mashkit.hookspecs", "hookimpl")
    return found


def _has_own(one: Any) -> bool:
    return inspect.isclass(one) or inspect.isfunction(one)


def _own(one: Any) -> str:
    """Return a docstring; a class without one does not have that of its base."""
    return str((vars(one).get("__doc__") if inspect.isclass(one) else one.__doc__) or "")


def _text_after(module: str, name: str) -> str:
    """Return the text that stands after the assignment of a name."""
    path = inspect.getsourcefile(importlib.import_module(module))
    assert path is not None
    body = ast.parse(Path(path).read_text()).body
    for statement, after in itertools.pairwise(body):
        names = [getattr(one, "id", "") for one in statement.targets] if isinstance(statement, ast.Assign) else []
        if name in names and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return str(after.value.value)
    return ""


EXAMPLES = examples()
NEED_PLUGINS = {"mashkit.Kit", "mashkit.PluginWarning", "mashkit.Ranked", "mashkit.StageEvent", "mashkit.hookimpl"}
"""Public names whose examples use a default component, which is a plugin."""


def test_every_public_name_is_here() -> None:
    reference = script("reference")
    one_by_id = {id(one): name for name, one in reference.documented().items() if _has_own(one)}
    for module in reference.MODULES:
        for name, one in vars_of(module).items():
            if isinstance(one, ModuleType):
                assert one.__name__ in EXAMPLES, f"{module}.{name}"
            elif _has_own(one):
                assert one_by_id[id(one)] in EXAMPLES, f"{module}.{name}"
            elif module == "mashkit":
                assert name in DATA, name
    assert "__version__" in EXAMPLES["mashkit"]


def vars_of(module: str) -> dict[str, Any]:
    """Return what a module exports, by name."""
    room = importlib.import_module(module)
    names = getattr(room, "__all__", None) or list(script("reference").public(module))
    return {name: getattr(room, name) for name in names}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.plugins] if name in NEED_PLUGINS else []) for name in EXAMPLES],
)
def test_the_example_shows_what_comes_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.cleandoc(EXAMPLES[name])
    assert "\nExamples\n--------\n" in text, f"{name} has no Examples"
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, None, None)
    assert any(one.want for one in test.examples), f"the example of {name} shows nothing"
    monkeypatch.chdir(tmp_path)  # some write files
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


ROOT = Path(importlib.import_module("mashkit").__path__[0])
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if ">>>" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.plugins] if path == ROOT / "composite.py" else [])
        for path in WITH_EXAMPLES
    ],
    ids=[str(path.relative_to(ROOT)) for path in WITH_EXAMPLES],
)
def test_examples_of_names_that_are_not_public_are_right_too(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ".".join(["mashkit", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
    module = importlib.import_module(name)
    public = {id(one) for one in script("reference").documented().values()}
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    as_in_a_program = {**vars(module), "__name__": "__main__"}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs=as_in_a_program):
        own = functools.reduce(getattr, test.name.removeprefix(name).split(".")[1:], module)
        if own is not module and id(own) not in public:
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


def test_an_example_that_is_wrong_fails() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert "Expected:\n    3\nGot:\n    2\n" in "".join(said)
