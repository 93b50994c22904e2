"""Write the pages of the documentation site that are made of code: ``python docs/reference.py FOLDER``.

The reference of the command line comes from the parsers, that of the library from ``__all__`` of its modules. A public
name that stands on no page, or a page with a name that is not public, is an error: so the reference has every name.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COLUMNS = 88
"""Width of a usage line in the site."""

Names = Mapping[str, Iterable[str]]
"""Module → its names."""

LIBRARY: Mapping[str, tuple[str, str, Names]] = {
    "pipeline": (
        "The pipeline",
        "From songs to the best mashups, with components chosen by name.",
        {"mashkit": ("Kit", "Ranked", "Mashup", "Renderer", "ClipSource", "Registry", "load", "save")},
    ),
    "values": (
        "Values",
        "What the stages pass to each other: frozen, checked when they are made, without files. Sound is float32 of "
        "shape (channels, frames); times are seconds, tempi BPM, pitches semitones, gains dB.",
        {
            "mashkit": (
                "Audio", "StemSet", "Role", "Analysis", "Key", "Chords", "Melody", "Clip", "MashupPlan", "Layer",
                "Mixing", "Finish", "Condition", "Promise", "TimeMap", "Score",
            ),
            "mashkit.types": (
                "FrozenMapping", "frozen_mapping", "as_tuple", "as_role", "as_roles", "by_id", "key_facts",
                "require_audio", "chord_tones",
            ),
            "mashkit.types.stems": ("ROLE_STEMS", "STEM_NAMES"),
            "mashkit.types.analysis": ("TONIC_NAMES",),
            "mashkit.types.clip": ("LABELS_TRUSTED",),
            "mashkit.types.plan": ("PLAN_FORMAT",),
        },
    ),
    "interfaces": (
        "Interfaces of components",
        "The six kinds of components. The public methods check arguments and results; a plugin implements those with "
        "an underscore. :doc:`Writing a plugin </docs/write-a-plugin>` shows how.",
        {
            "mashkit": (
                "Separator", "Analyzer", "Stretcher", "Scorer", "Generator", "Executor", "Work", "Job", "Outcome",
                "Pool",
            ),
            "mashkit.interfaces.scorer": ("RelativeScorer",),
            "mashkit.interfaces.generator": ("DrawingGenerator",),
            "mashkit.components": ("Component", "cost_only"),
            "mashkit.interfaces": ("INTERFACES",),
        },
    ),
    "catalogs": (
        "Catalogs, databases and mixtures",
        "Songs become clips; generators draw plans from them, one by one or as mixtures to train on.",
        {"mashkit": ("Catalog", "MashupDB", "Song", "Excerpt", "ExcerptPolicy", "Mixture", "Recipe")},
    ),
    "plugins": (
        "Names for plugins",
        "What a plugin's entry point uses, and the hooks it may have.",
        {"mashkit": ("ComponentInfo", "Command", "StageEvent", "hookimpl")},
    ),
    "errors": (
        "Errors",
        "All derive from :class:`mashkit.MashkitError`, and contain what is wrong and what to do about it.",
        {
            "mashkit": (
                "MashkitError", "UsageError", "AudioError", "FileError", "AudioFileError", "LabelError", "OutputError",
                "StemError", "AnalysisError", "PlanError", "TimeMapError", "GenerationError", "CatalogError",
                "ComponentError", "UnknownComponent", "DuplicateComponent", "BrokenPlugin", "ComponentUnavailable",
                "OptionError", "ComponentFailed", "ContractViolation", "Unforeseen", "PluginWarning",
            ),
            "mashkit.errors": (
                "contained", "nearest", "require_packages", "said_of", "raised", "place_of", "suggestion",
                "with_article",
            ),
        },
    ),
    "testing": (
        "Testing a plugin",
        "Contract tests for every kind of component, and music with known properties.",
        {
            "mashkit.testing": (
                "SeparatorContract", "AnalyzerContract", "StretcherContract", "ScorerContract", "GeneratorContract",
                "ExecutorContract",
            ),
            "mashkit.testing.mashups": ("Shelf", "mashup_of", "shifted"),
            "mashkit.synthetic.signals": (
                "band", "mix", "chord_progression", "tone", "noise", "silence", "click_times", "click_train",
                "click_positions", "cents_off", "drift",
            ),
        },
    ),
    "metrics": (
        "Metrics",
        "Measures of scores and probabilities, from arrays alone.",
        {
            "mashkit.metrics": (
                "roc_auc", "top_accuracy", "ranks_among", "calibration_bins", "reliability", "Bin", "calibration_error",
            )
        },
    ),
}  # fmt: skip
"""Page → its title, a sentence, and the names on it; each name stands on one page."""

MODULES = ("mashkit", "mashkit.interfaces", "mashkit.types", "mashkit.testing", "mashkit.errors", "mashkit.metrics")
"""The modules whose public classes and functions are all in the reference, and all have an example that runs."""


def public(module: str) -> dict[str, Any]:
    """Return a module's public classes and functions by name: those of ``__all__``, or those it defines."""
    room = importlib.import_module(module)
    names = getattr(room, "__all__", None) or [
        name
        for name, one in vars(room).items()
        if not name.startswith("_") and getattr(one, "__module__", "") == module
    ]
    found = {name: getattr(room, name) for name in names}
    return {
        name: one
        for name, one in found.items()
        if inspect.isclass(one) or (callable(one) and not hasattr(one, "__args__"))  # a type alias has __args__
    }


def documented() -> dict[str, Any]:
    """Return every class and function of the reference, by the name it has there.

    Raises
    ------
    LookupError
        If a public class or function stands on no page, or on two.
    """
    placed = [f"{module}.{name}" for _, _, names in LIBRARY.values() for module in names for name in names[module]]
    twice = sorted({name for name in placed if placed.count(name) > 1})
    found = {
        name: getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in placed
    }
    there = {id(one) for one in found.values()}
    lost = [f"{module}.{name}" for module in MODULES for name, one in public(module).items() if id(one) not in there]
    if lost or twice:
        raise LookupError(f"no page of the reference has {lost}; two pages have {twice}: see LIBRARY in {__file__}")
    return found


def title(text: str, line: str = "=") -> str:
    """Return a heading in reStructuredText."""
    return f"{text}\n{line * len(text)}\n\n"


def library_page(heading: str, sentence: str, names: Names) -> str:
    """Return a page of the library's reference, which autodoc fills."""
    parts = [title(heading), sentence, "\n\n"]
    for module, members in names.items():
        room = importlib.import_module(module)
        constants = all(name.isupper() for name in members)
        if len(names) > 1 and module != "mashkit" and not constants:
            parts.append(title(f"In {module}", "-"))
        for name in members:
            one = getattr(room, name)
            kind = "class" if inspect.isclass(one) else "function" if inspect.isfunction(one) else "data"
            bases = "   :show-inheritance:\n" if kind == "class" and issubclass(one, Exception) else ""
            parts.append(f".. auto{kind}:: {module}.{name}\n{bases}\n")
    if heading == LIBRARY["plugins"][0]:
        parts.append(title("Hooks", "-"))
        parts.append(
            ".. automodule:: mashkit.hookspecs\n   :exclude-members: Command, StageEvent, hookimpl, hookspec\n\n"
        )
    return "".join(parts)


# --------------------------------------------------------------------------------------------------- the command line
def parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield name, distribution and parser of every command: mashkit's own, and those of the plugins installed here."""
    from mashkit.cli.actions import add_command
    from mashkit.cli.parser import build
    from mashkit.registry import Registry

    _, commands = build()
    yield from ((name, "mashkit", parser) for name, parser in list(commands.choices.items()))
    for name, entries in sorted(Registry().commands().items()):
        command = entries[0].command
        made = add_command(commands, name, command.summary, prog=f"mashkit {command.word}")
        command.configure(made)
        yield name, entries[0].origin.distribution, made


def plain(text: str) -> str:
    """Return a parser's text as reStructuredText: options and words in backquotes are code, nothing else is markup."""
    parts = re.split(r"`([^`]+)`|(?<![\w-])(--?[a-zA-Z][\w-]*(?:=[\w.-]*\w)?)", text)
    parts = [part for part in parts if part is not None]
    return "".join(
        f"``{part}``" if index % 2 else re.sub(r"([\\*_|])", r"\\\1", part) for index, part in enumerate(parts)
    )


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if action.help is not argparse.SUPPRESS]
        shown = [
            action for action in shown if not isinstance(action, (argparse._SubParsersAction, argparse._HelpAction))
        ]
        if shown and group.title not in ("options", "positional arguments"):
            yield f"{plain((group.title or '')[:1].upper() + (group.title or '')[1:])}\n\n"
        for action in shown:
            invocation = formatter._format_action_invocation(action)
            if not action.option_strings and action.nargs in ("*", "+"):
                invocation += " ..."
            said = " ".join(formatter._expand_help(action).split()) if action.help else ""
            yield f".. option:: {invocation}\n\n" + (f"   {plain(said)}\n\n" if said else "")


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def command_page(name: str, distribution: str, parser: argparse.ArgumentParser) -> str:
    """Return the page of one command, with its actions."""

    def part(called: str, one: argparse.ArgumentParser, line: str) -> Iterator[str]:
        one.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=COLUMNS)
        yield title(f"mashkit {called}", line)
        yield f"{plain(one.description or '')}\n\n"
        usage = one.format_usage().rstrip().replace("\n" + " " * len("usage: "), "\n   ").removeprefix("usage: ")
        yield f".. code-block:: text\n\n   {usage}\n\n.. program:: mashkit {called}\n\n"
        yield from _arguments(one)
        for action, below in _actions(one).items():
            yield from part(f"{called} {action}", below, "-")

    parts = list(part(name, parser, "="))
    if distribution != "mashkit":
        parts.insert(1, f"Comes with the plugin ``{distribution}``.\n\n")
    return "".join(parts)


def command_file(name: str) -> str:
    """Return the name of a command's page without its ending."""
    return f"commands/{name.replace(' --', '-')}"


def commands_page(summaries: Mapping[str, str]) -> str:
    """Return the page that lists the commands."""
    from mashkit.cli.status import MEANINGS

    lines = [title("Commands")]
    lines += ["What ``mashkit COMMAND --help`` says, from the same source.\n\n.. list-table::\n   :widths: 25 75\n\n"]
    lines += [
        f"   * - :doc:`mashkit {name} <{command_file(name)}>`\n     - {plain(said)}\n"
        for name, said in summaries.items()
    ]
    lines += ["\n", title("Exit status", "-"), ".. list-table::\n   :widths: 10 90\n\n"]
    lines += [f"   * - {status}\n     - {meaning}\n" for status, meaning in MEANINGS.items()]
    lines += ["\n.. toctree::\n   :hidden:\n\n", *(f"   {command_file(name)}\n" for name in summaries)]
    return "".join(lines)


def write(folder: Path) -> None:
    """Write all pages into a folder, in place of those that were there; a page that stays as it was is not touched."""
    documented()
    pages = {f"{page}.rst": library_page(*about) for page, about in LIBRARY.items()}
    summaries = {}
    for name, distribution, parser in parsers():
        summaries[name] = parser.description or ""
        pages[f"{command_file(name)}.rst"] = command_page(name, distribution, parser)
    pages["commands.rst"] = commands_page(summaries)
    pages["index.rst"] = (
        title("Reference")
        + "Of the :doc:`command line <commands>`, from its parsers, and of the library, from its docstrings. Every\n"
        + "class and function here has an example, which a test runs.\n\n"
        + ".. list-table::\n   :widths: 30 70\n\n"
        + "".join(f"   * - :doc:`{about[0]} <{page}>`\n     - {about[1]}\n" for page, about in LIBRARY.items())
        + "\n.. toctree::\n   :hidden:\n\n   commands\n"
        + "".join(f"   {page}\n" for page in LIBRARY)
    )
    for path in folder.rglob("*.rst"):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reference")
    shutil.rmtree(target, ignore_errors=True)
    write(target)
