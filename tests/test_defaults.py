"""What help and pages say of defaults, constants and exit statuses is what the code has."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.builtin.local import LocalExecutor
from mashkit.builtin.paper import PaperGenerator
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.cli import generate, listen_reports, mash
from mashkit.cli.actions import DB_VARIABLE
from mashkit.cli.kits import condition_of
from mashkit.cli.parser import build
from mashkit.cli.status import STATUSES
from mashkit.cliptable import ClipTable
from mashkit.conditions import Promise
from mashkit.discovery import Registered
from mashkit.interfaces import generator
from mashkit.listen.freezing import MashupStudyOptions
from mashkit.listen.records import PageKind
from mashkit.pipeline import Kit
from mashkit.registry import Registry
from mashkit.types import Condition, Role

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]


# ------------------------------------------------------------------------------------------------------ command line
def parsers() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield the parser of every command, mashkit's own and plugins', with its name."""

    def below(name: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Any]:
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for one, made in action.choices.items():
                    yield from below((*name, one), made)

    yield from below((), build()[0])
    for name, entries in Registry().commands().items():
        parser = argparse.ArgumentParser(prog=name)
        entries[0].command.configure(parser)
        yield from below((name,), parser)


def stated() -> Iterator[tuple[tuple[str, ...], str, Any, str]]:
    """Yield of every argument whose help states a default: command, its name, what it is, and what is said."""
    for command, parser in parsers():
        for action in parser._actions:
            if not action.help or action.help is argparse.SUPPRESS:
                continue
            said = parser._get_formatter()._expand_help(action)
            assert "(default)" not in said, f"{command} {action.dest}: write it as default: VALUE, which is checked"
            found = re.search(r"default: (.*)", said)
            if found:
                yield command, action.dest, parser.get_default(action.dest), found[1]


WORDS: Mapping[tuple[str, str], str] = {
    ("mash", "top"): f"{mash.TOP}, or --count if less",
    ("mash", "per_vocal"): "1, or all with --vocal FILE",
    ("mash", "align"): f"the generator's, {PaperGenerator().align} for paper",
    ("*", "condition"): "matched, or the generator's only condition; see generate --list-conditions",
    ("generate", "count"): str(generate.PLANS),
    ("generate", "negative_shares"): "equal",
    ("*", "db"): f"environment {DB_VARIABLE}",
    ("*", "jobs"): "one for each core",
    ("*", "clips_per_song"): str(ExcerptPolicy().per_song),
    ("*", "clip_length"): str(ExcerptPolicy().length_s),
    ("*", "same_recording"): "once, or the choice that the database has stored",
    ("new", "output"): "the current folder",
    **{
        ("new", name): str(getattr(attrs.fields(MashupStudyOptions), name).default)
        for name in ("each", "count", "queries", "candidates", "training")
    },
    ("new", "ask"): str(PageKind.RATING),
    ("new", "negatives"): "3, or 5 for preferences",
    ("new", "negatives_per_rater"): "3, or 5 for preferences",
    ("list", "limit"): "all",
    ("separate", "stems"): "all",
    ("report", "output"): "the page and the table beside each result",
    ("export", "fields"): "all fields",
    ("stats", "title"): "the database's name",
    ("create", "python"): "the one that runs mashkit",
    ("rendered", "soundfont"): "the one pretty_midi brings",
    ("rendered", "songs"): "all",
    ("pipeline", "preset"): "compact",
    ("*", "fold"): "the split by name",
    ("train --data", "shares"): "as often as it has clips",
    ("train --data", "initial"): "random weights",
    ("train --data", "preset"): "that of --initial, else compact",
    ("train --data", "unlabelled"): "lsro for variants called so, drop for others",
    ("*", "threads"): "torch's own setting",
    ("*", "licences"): "any",
    ("serve", "admin_token"): "environment MASHKIT_ADMIN_TOKEN",
    ("serve", "backup"): "backup.sqlite in the study",
    ("simulate", "systems"): "the paper's five",
    ("simulate", "raters"): "as many as the design needs",
    ("simulate", "points"): ",".join(f"{one:g}" for one in listen_reports.POINTS),
    ("simulate", "studies"): str(listen_reports.STUDIES),
    ("*", "reference"): "the first",
}
"""What is said of an argument whose default is not a value but follows from others; tests of the commands show each."""


def test_help_states_the_defaults_there_are() -> None:
    said = list(stated())
    assert len(said) > 60
    for command, name, default, text in said:
        words = WORDS.get((command[-1], name)) or WORDS.get(("*", name))
        if default is None or (command[-1], name) == ("new", "output"):
            assert text == words, f"{command} {name}: the help says {text!r}"
        else:
            # "1, for times that can be trusted": the value, and perhaps words after a comma.
            assert text.partition(", ")[0] == str(default), f"{command} {name}: {default!r}, the help says {text!r}"


def test_an_argument_with_a_default_states_it() -> None:
    known = {(command, name) for command, name, _, _ in stated()}
    for command, parser in parsers():
        for action in parser._actions:
            default = parser.get_default(action.dest)
            if default not in (None, False, [], argparse.SUPPRESS) and action.dest != "command":
                assert (command, action.dest) in known, f"{command} {action.dest}: {default!r} is not stated"


class _OneCondition(generator.Generator):
    info = attrs.evolve(PaperGenerator.info, name="acme", provides={"slow-jam"})
    promises = {"slow-jam": Promise(description="slow")}  # noqa: RUF012 — as a plugin writes it

    def _plan(self, clips: Any, *, condition: Any, count: int, seed: int, vocal: Any) -> Iterator[Any]:
        raise NotImplementedError


def test_the_condition_drawn_by_default() -> None:
    assert condition_of(Kit(), None) is Condition.MATCHED
    assert condition_of(Kit(generator=_OneCondition()), None) == "slow-jam"


def test_plans_keep_both_files_of_a_recording_by_default() -> None:
    """A plan says which song it means; where songs are only drawn from, one of the two is used."""
    parser = build()[0]
    for command in (["score", "plans.jsonl"], ["render", "plans.jsonl", "-o", "out"]):
        assert parser.parse_args(command).same_recording == "separate"
    for command in (["mash", "songs", "-o", "out"], ["generate", "songs"], ["db", "add", "songs"]):
        assert parser.parse_args(command).same_recording is None


def test_the_shares_and_jobs_used_by_default() -> None:
    from mashkit.generation import Recipe

    assert set(Recipe.for_training(negatives=9).counts.values()) == {3}
    assert LocalExecutor().jobs is None


@pytest.mark.parametrize(("page", "said"), [(README, STATUSES)], ids=["README"])
def test_pages_say_of_exit_statuses_what_help_says(page: Path, said: str) -> None:
    text = re.sub(r"\s+", " ", page.read_text())
    assert said.partition(": ")[2] in text, f"{page} is to say: {said}"
    assert all(said in re.sub(r"\s+", " ", parser.format_help()) for name, parser in parsers() if name == ("mash",))


# ------------------------------------------------------------------------------------------------ options of components
UNSET = ("none", "torch's own", "what ships", "the model's", "what Ray finds")
"""Words for an option that is not set: the default is None."""


def value_of(text: str) -> Any:
    """Return the value that a page states: a number, several, true or false, None, or text."""
    text = text.strip().strip("`\"'")
    if text in UNSET:
        return None
    if text in ("true", "false", "on"):
        return text != "false"
    try:
        values = [float(part) for part in text.replace("−", "-").split(",")]
    except ValueError:
        return text
    return values[0] if len(values) == 1 else tuple(values)


def equal(default: Any, said: Any) -> bool:
    """Tell whether a default is what is said of it; True is not 1."""
    if isinstance(default, bool) or isinstance(said, bool):
        return default is said
    return bool(default == said)


def fields_of(one: Registered) -> dict[str, Any]:
    """Return the options of a component with their defaults, without making one."""
    module, _, name = one.info.target.partition(":")
    made = getattr(importlib.import_module(module), name)
    return {field.alias or field.name: field.default for field in attrs.fields(made) if field.init}


def tables(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each table whose header has "default": the heading above it, and its rows."""
    heading, lines = "", text.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or "default" not in cells:
            continue
        found = []
        for row in lines[at + 2 :]:
            if not row.startswith("|"):
                break
            found.append(dict(zip(cells, [cell.strip() for cell in row.strip("|").split("|")], strict=True)))
        yield heading, found


def in_tables(page: Path, components: list[Registered]) -> Iterator[tuple[Registered, str, str]]:
    """Yield component, option and default of every row of a page's tables of options."""
    for heading, found in tables(page.read_text()):
        under = [one for one in components if one.kind == heading.lower()] or components
        for row in found:
            options = re.findall(r"`([^`]+)`", row["option"])
            of = re.findall(r"`([^`]+)`", row.get("of", ""))
            concerned = [one for one in under if one.info.name in of] if of else under
            values = [part.strip() for part in row["default"].split(", ")]
            for number, one in enumerate(concerned):
                for place, option in enumerate(options):
                    several = len(options) > 1 or "both" in row.get("of", "")
                    at = place if len(options) > 1 else number
                    # "40, 208" of two options, "planned, best" of two components, or one value for all.
                    yield one, option, values[at] if several and len(values) > 1 else row["default"]


def in_lists(page: Path, components: list[Registered]) -> Iterator[tuple[Registered, str, str]]:
    """Yield component, option and default of every "`name` (…default VALUE…)" of a page's row "options"."""
    for line in page.read_text().splitlines():
        if line.startswith("| options |"):
            for option, said in re.findall(r"`(\w+)` \(([^)]*)\)", line):
                found = re.search(r"default:? (\"[^\"]*\"|[^;,)]+)", said)
                if found:
                    for one in components:
                        yield one, option, found[1]


BY_DISTRIBUTION = {
    page.parent.name: [one for one in Registry().components() if one.origin.distribution == page.parent.name]
    for page in (ROOT / "plugins").glob("*/README.md")
}


@pytest.mark.plugins
@pytest.mark.parametrize("name", sorted(BY_DISTRIBUTION))
def test_a_plugins_page_states_the_defaults_there_are(name: str) -> None:
    page, components = ROOT / "plugins" / name / "README.md", BY_DISTRIBUTION[name]
    if not components:
        pytest.skip(f"{name} is not installed, or brings no component")
    said = [*in_tables(page, components), *in_lists(page, components)]
    assert said, f"{page} states no default"
    for one, option, text in said:
        fields = fields_of(one)
        if option not in fields and len(components) > 1:
            continue  # of another component of the page; the test below misses it if it is of none
        assert option in fields, f"{page}: {one.info.name} has no option {option}"
        assert equal(fields[option], value_of(text)), f"{page}: {one.info.name}.{option} is {fields[option]!r}: {text}"


@pytest.mark.plugins
@pytest.mark.parametrize("name", sorted(BY_DISTRIBUTION))
def test_a_plugins_page_names_every_option(name: str) -> None:
    page, components = ROOT / "plugins" / name / "README.md", BY_DISTRIBUTION[name]
    text = page.read_text()
    for one in components:
        for option in fields_of(one):
            assert f"`{option}`" in text or f"`{option} =" in text, f"{page} does not name {one.info.name}.{option}"
    known = {option for one in components for option in fields_of(one)}
    assert {option for _, option, _ in in_tables(page, components)} <= known


def test_the_page_on_alignment_states_the_generators_defaults() -> None:
    found = [row for _, rows in tables((ROOT / "docs" / "alignment.md").read_text()) for row in rows]
    options = {row["option"].strip("`"): value_of(row["default"]) for row in found if row["option"] != "–"}
    assert len(options) == 4
    for option, said in options.items():
        assert equal(getattr(PaperGenerator(), option), said), option


def test_the_components_called_default_are_those_of_a_kit() -> None:
    rows = [line.strip("|").split("|") for line in README.read_text().splitlines() if ": the default |" in line]
    assert {row[0].strip(): row[1].strip(" `") for row in rows} == Kit().chosen


def inline() -> Iterator[tuple[Path, str, str]]:
    """Yield page, flag and value of every "`--flag VALUE` (default" and "`--flag` … (default VALUE)"."""
    for page in PAGES:
        text = re.sub(r"\s+", " ", page.read_text())
        for flag, value in re.findall(r"`--([\w-]+) ([^`]+)` \(default[,)]", text):
            yield page, flag, value
        for flag, value in re.findall(r"`--([\w-]+)`[^`.|]{0,60}?\(default:? ([^),]+)\)", text):
            yield page, flag, value


@pytest.mark.plugins
def test_flags_have_the_defaults_that_pages_state() -> None:
    real: dict[str, set[str]] = {}
    for _, parser in parsers():
        for action in parser._actions:
            for flag in action.option_strings:
                real.setdefault(flag.lstrip("-"), set()).add(f"{parser.get_default(action.dest)}".removesuffix(".0"))
    said = list(inline())
    assert len(said) >= 4
    for page, flag, value in said:
        assert value.removesuffix(".0") in real[flag], f"{page}: --{flag} is {real[flag]}, not {value}"


# --------------------------------------------------------------------------------------------------------- constants
def bytes_a_clip() -> int:
    """Return the bytes of a row of a table: those of its columns."""
    empty = ClipTable.of([])
    columns = {field.name: getattr(empty, field.name) for field in attrs.fields(ClipTable)}
    sizes = {name: column.itemsize for name, column in columns.items() if isinstance(column, np.ndarray)}
    return sum(size * (len(Role) if name == "activity" else 1) for name, size in sizes.items())


QUOTED: list[tuple[str, str, Callable[[Callable[[str], Any]], Iterable[float]]]] = [
    ("docs/generation.md", r"(\d+) bytes a clip", lambda of: (bytes_a_clip(),)),
    ("docs/generation.md", r"([\d,]+) draws without a new plan", lambda of: (of("interfaces.generator.PATIENCE"),)),
    ("docs/generation.md", r"within (\d+) %", lambda of: (100 * of("conditions.TEMPO_CLASH"),)),
    ("docs/isolation.md", r"(\d+) minutes and (\d+) seconds for every second",
     lambda of: np.divide(of("remote.session.TIMEOUTS_S")["separator"], (60, 1))),
    ("docs/isolation.md", r"last (\d+) lines", lambda of: (of("workers.interpreter.LAST_LINES"),)),
    ("docs/collections.md", r"below −(\d+) dB relative to full scale, and (\d+) dB below the loudest second",
     lambda of: (-of("audio.silence.SILENCE_DB"), of("audio.silence.QUIETER_DB"))),
    ("docs/collections.md", r"lie (\d+) dB below the voice, or (\d+) dB if",
     lambda of: (of("catalog.ingest.VOICE_ALONE_DB"), of("catalog.ingest.PAUSES_ALONE_DB"))),
    ("docs/collections.md", r"and (\d+) % of the pauses are silent",
     lambda of: (100 * (1 - of("catalog.ingest.SOUNDING_IN_PAUSES")),)),
    ("docs/collections.md", r"paper's (\d+) s, and 76 % have fewer than its (\d+) bars",
     lambda of: (of("catalog.excerpts.SHORTEST_S"), of("catalog.excerpts.FEWEST_BARS"))),
    ("docs/collections.md", r"A clip of more than (\d+) s ends", lambda of: (of("catalog.excerpts.LONGEST_S"),)),
    ("docs/collections.md", r"within (\d+) s \(`-O protocol.length_tolerance_s=20`\)",
     lambda of: (of("catalog.protocols.harmonix.Harmonix")().length_tolerance_s,)),
    ("docs/database.md", r"in whole phrases of four, where the song has them; (\d+) to (\d+) s",
     lambda of: (of("catalog.excerpts.SHORTEST_S"), of("catalog.excerpts.LONGEST_S"))),
    ("docs/alignment.md", r"more than (\d+) % or (\d+) in a row are missing",
     lambda of: (100 * (1 - of("timing.beatmap.LEAST_COVERAGE")), of("timing.beatmap.LONGEST_GAP"))),
    ("docs/alignment.md", r"own confidence is below ([\d.]+)", lambda of: (of("timing.beatmap.LEAST_CONFIDENCE"),)),
    ("docs/alignment.md", r"change nothing by more than (\d+) ms",
     lambda of: (1000 * of("timing.beatmap.TOLERANCE_S"),)),
    ("docs/alignment.md", r"\(BS.1770\), within (\d+) dB", lambda of: (of("builtin.paper.LARGEST_GAIN_DB"),)),
    ("docs/alignment.md", r"(\d+) ms ahead of them", lambda of: (1000 * of("audio.mixing.LOOK_AHEAD_S"),)),
    ("docs/executors.md", r"`timeout_s` \(([\d,]+) s", lambda of: (of("builtin.local.LocalExecutor")().timeout_s,)),
    ("benchmarks/README.md", r"the suite asks for (\d+)",
     lambda of: (of("bench.suite.load_suite")("generators").settings["plans"],)),
    ("plugins/mashkit-amu/README.md", r"kick \((\d+)–(\d+) Hz\) and of snare \((\d+)–([\d,]+) Hz\)",
     lambda of: (*of("features.spectral.KICK_BAND"), *of("features.spectral.SNARE_BAND"))),
    ("plugins/mashkit-amu/README.md", r"shares of 0–(\d+), 220–([\d,]+) Hz",
     lambda of: of("features.spectral.BALANCE_EDGES")[1:3]),
    ("plugins/mashkit-amu/README.md", r"harmony \+ ([\d.]+) · rhythm \+ ([\d.]+) · balance",
     lambda of: (of("_amu.mashability.RHYTHM_WEIGHT"), of("_amu.mashability.BALANCE_WEIGHT"))),
    ("plugins/mashkit-mashnet/README.md", r"up to (\d+) s long", lambda of: (of("_mashnet.spectra.LONGEST_S"),)),
    ("plugins/mashkit-signalsmith/README.md", r"up to (\d+) ms to where .* over the (\d+) ms before",
     lambda of: (1000 * of("_signalsmith.stretcher.LAG_S"), 1000 * of("_signalsmith.stretcher.FADE_S"))),
    ("plugins/mashkit-spleeter-torch/README.md", r"segments of (\d+) frames and (\d+) bins",
     lambda of: (of("_spleeter_torch.unet.FRAMES"), of("_spleeter_torch.unet.BINS"))),
    ("plugins/mashkit-spleeter-torch/README.md", r"medians over (\d+) frames \(sustained\) and over (\d+) bins",
     lambda of: (of("_spleeter_torch.percussion.TIME_KERNEL"), of("_spleeter_torch.percussion.FREQUENCY_KERNEL"))),
    ("plugins/mashkit-stemnet/README.md", r"blocks of (\d+) frames and (\d+) more",
     lambda of: (of("_stemnet.separator.BLOCK"), of("_stemnet.separator.CONTEXT"))),
    ("plugins/mashkit-tiv/README.md", r"w = ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)\.",
     lambda of: tuple(of("_tiv.space.WEIGHTS"))),
    ("plugins/mashkit-taste/README.md", r"fewer than (\d+) answers", lambda of: (of("_taste.learning.ENOUGH"),)),
    ("plugins/mashkit-librosa/README.md", r"moved (\d+) ms earlier",
     lambda of: (1000 * of("_librosa.analyzer.LATENCY_S"),)),
]  # fmt: skip
"""Page, what it says, and the numbers in the code: names in mashkit, or in the plugin's package of that ending."""


@pytest.mark.parametrize(
    ("page", "said", "values"),
    [
        pytest.param(*one, id=f"{one[0]}-{n}", marks=[pytest.mark.plugins] if one[0].startswith("plugins") else [])
        for n, one in enumerate(QUOTED)
    ],
)
def test_numbers_that_pages_quote(page: str, said: str, values: Callable[[Callable[[str], Any]], Any]) -> None:
    if page.startswith("plugins") and not BY_DISTRIBUTION[Path(page).parent.name]:
        pytest.skip(f"{page} is of a plugin that is not installed")
    found = re.search(said, re.sub(r"\s+", " ", (ROOT / page).read_text()))
    assert found is not None, f"{page} no longer says {said!r}: change this list too"
    real = values(lambda name: pkgutil.resolve_name(f"mashkit{name}" if name.startswith("_") else f"mashkit.{name}"))
    quoted = [float(one.replace(",", "")) for one in found.groups()]
    assert quoted == pytest.approx(list(real)), f"{page} quotes {quoted}; the code has {real}"
