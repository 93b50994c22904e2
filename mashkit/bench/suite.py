"""Read suites from TOML: a task, its settings, and the components that compete."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import json_or_text, named_text, parts_of
from mashkit.bench.records import LONGEST_NAME, SuiteRecord, names_files
from mashkit.bench.registered import installed, tasks
from mashkit.bench.tables import SuiteError, from_table
from mashkit.discovery import by_name
from mashkit.errors import suggestion
from mashkit.numbers import plain_number
from mashkit.paths import path_text
from mashkit.types import as_tuple, frozen_mapping

LONGEST_TITLE = 500
"""Most bytes of a suite's title: the next run recognises the files of a result by their first 1,024 bytes."""
TIMEOUT_S = 300.0
"""Default of a suite's ``timeout_s``, seconds a measurement: many times as long as any measurement of ours."""


def _require_plain(what: str, value: object) -> None:
    """Raise SuiteError unless a value of a suite can be written into its result, which is JSON; ``what`` names it."""
    if isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                raise SuiteError(f"{what} has the key {name!r}", "write keys as text")
            _require_plain(f"{what}.{name}", one)
    elif isinstance(value, (list, tuple)):
        for index, one in enumerate(value):
            _require_plain(f"{what}[{index}]", one)
    elif isinstance(value, float) and not math.isfinite(value):
        raise SuiteError(f"{what} is {value}", "give a finite number")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise SuiteError(f"{what} is {value}", "give text, a number, true or false, or a list or table of these")


def _plain_options(given: Mapping[str, Any]) -> Mapping[str, Any]:
    options = frozen_mapping(given)
    _require_plain("options", dict(options))
    return options


@attrs.frozen(kw_only=True)
class Competitor:
    """A component with the options it competes with.

    Parameters
    ----------
    component : str
        Its name in the registry.
    options : mapping
        The options that differ from the component's defaults, as plain data: what JSON has, with finite numbers.
    label : str
        Name in tables; default: the component's name and the options.
    install : str
        The command that installs the component. If it is given, a missing plugin is an "unavailable" row; if not, an
        error.

    Raises
    ------
    SuiteError
        If an option is not plain data.
    """

    component: str
    options: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_options)
    label: str = attrs.field()
    install: str = ""

    @label.default
    def _component_and_options(self) -> str:
        return " ".join([self.component, *(f"{name}={_shown(value)}" for name, value in self.options.items())])

    @classmethod
    def parse(cls, text: str) -> Competitor:
        """Read ``NAME`` or ``NAME:option=value,…``, values as JSON if they are JSON.

        The name may be that of a composite (:mod:`mashkit.composite`): options begin at the first colon that
        ``option=`` follows.

        Raises
        ------
        SuiteError
            If an option has no value, or is not a finite number.

        Examples
        --------
        >>> one = Competitor.parse("cached:acme:bands=[1, 2, 3],mode=fine")
        >>> one.component, dict(one.options)
        ('cached:acme', {'bands': [1, 2, 3], 'mode': 'fine'})
        >>> Competitor.parse("key:essentia,beats:madmom").component
        'key:essentia,beats:madmom'
        """
        name, options = _OPTIONS.split(text, maxsplit=1) if _OPTIONS.search(text) else (text, "")
        fix = "write it like pedalboard:transient_mode=smooth"
        pairs = [_pair(part, f"competitor {text!r}", fix) for part in filter(None, parts_of(options))]
        return cls(component=name, options=dict(pairs))


_OPTIONS = re.compile(r":(?=[^\W\d][\w.]*=)")
"""The colon between a component's name and its options."""


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _pair(text: str, where: str, fix: str) -> tuple[str, Any]:
    """Return the two sides of ``NAME=VALUE``; the value is read as JSON if it is JSON."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise SuiteError(f"{where}: {text!r}", fix)
    return name, json_or_text(value)


@attrs.frozen(kw_only=True)
class Suite:
    """A benchmark: a task, its settings, and its competitors.

    Parameters
    ----------
    name : str
        Names the files of its result: printable, without slashes of either kind.
    task : str
        One that mashkit or a plugin brings.
    title, summary : str
        Shown on the page and in lists; the title has 500 bytes or fewer.
    competitors : tuple of Competitor
        Labels are distinct.
    timeout_s : float
        Most seconds a measurement may take, > 0 and finite.
    seed : int
        Seed of all random parts of the inputs, ≥ 0.
    settings : mapping
        Passed to the task, with the seed: it is not a setting of its own. As plain data, as a competitor's options.
    baseline : str
        Label of the competitor with which every other one is compared; empty to compare every two.

    Raises
    ------
    SuiteError
        If the task is unknown, there is no competitor, two share a label, the time-out is not positive and finite, the
        name cannot be that of files, the title is too long, the seed is not a whole number ≥ 0 or stands among the
        settings, or a setting is not plain data.
    """

    name: str = attrs.field(validator=names_files)
    task: str
    title: str
    summary: str = ""
    competitors: tuple[Competitor, ...] = attrs.field(converter=as_tuple)
    timeout_s: float = attrs.field(default=TIMEOUT_S, validator=attrs.validators.instance_of((int, float)))
    seed: int = 0
    settings: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    baseline: str = attrs.field(default="", validator=attrs.validators.instance_of(str))

    def __attrs_post_init__(self) -> None:
        if self.task not in tasks():
            raise SuiteError(f"suite {self.name!r}: no task is called {self.task!r}", suggestion(self.task, tasks()))
        title = len(self.title.encode(errors="replace"))
        if title > LONGEST_TITLE:
            raise SuiteError(
                f"suite {self.name!r} has a title of {title:,} bytes", f"give {LONGEST_TITLE} or fewer, and a summary"
            )
        if not self.competitors:
            raise SuiteError(f"suite {self.name!r} has no competitors", "name some, or --add one")
        timeout_s = plain_number(self.timeout_s)
        if type(timeout_s) is not float or not 0 < timeout_s < math.inf:
            raise SuiteError(f"suite {self.name!r}: timeout_s is {self.timeout_s}", "give seconds, more than 0")
        # What JSON cannot hold would be found only when all is measured and the result is written.
        _require_plain(f"suite {self.name!r}: settings", dict(self.settings))
        if "seed" in self.settings:
            raise SuiteError(f"suite {self.name!r}: seed is not a setting", "write seed = 1 above [settings]")
        if type(self.seed) is not int or self.seed < 0:
            raise SuiteError(f"suite {self.name!r}: seed is {self.seed!r}", "give a whole number, 0 or more")
        labels = [competitor.label for competitor in self.competitors]
        for label in labels:
            if labels.count(label) > 1:
                raise SuiteError(
                    f"suite {self.name!r} has two competitors {label!r}",
                    "name each once; in a suite's file, one of them may have a label",
                )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> Suite:
        """Make a suite of the data of a TOML file; ``where`` names the file in errors.

        Raises
        ------
        SuiteError
            If keys are unknown or missing, the baseline is not a competitor, or as the class.
        """
        entries = data.get("competitors", [])
        if not isinstance(entries, list):
            raise SuiteError(f"{where}: competitors is not a list", "write [[competitors]]")
        competitors = [
            from_table(Competitor, entry, f"{where}: competitor {number}") for number, entry in enumerate(entries, 1)
        ]
        suite = from_table(cls, {**data, "competitors": competitors}, where)
        labels = [one.label for one in suite.competitors]
        # Only a file is checked: with --only, the baseline's rows may be those of an earlier run.
        if suite.baseline and suite.baseline not in labels:
            raise SuiteError(
                f"{where}: baseline {suite.baseline!r} is not a competitor", suggestion(suite.baseline, labels)
            )
        return suite

    def extended(self, more: Iterable[Competitor]) -> Suite:
        """Return the suite with more competitors."""
        return attrs.evolve(self, competitors=(*self.competitors, *more))

    def only(self, names: Iterable[str], *, besides: Iterable[str] = ()) -> Suite:
        """Return the suite with only the competitors whose label or component is named.

        Parameters
        ----------
        names : iterable of str
        besides : iterable of str
            Labels of competitors that stay in any case.

        Raises
        ------
        SuiteError
            If no competitor has one of the names.
        """
        wanted = set(names)
        known = {name for one in self.competitors for name in (one.label, one.component)}
        for name in sorted(wanted - known):
            raise SuiteError(f"nobody called {name!r} competes in {self.name!r}", suggestion(name, known))
        staying = set(besides)
        kept = [one for one in self.competitors if wanted & {one.label, one.component} or one.label in staying]
        return attrs.evolve(self, competitors=kept)

    def on(self, collection: str) -> Suite:
        """Return the suite on another collection, under a name of its own: ``<suite>-<collection>``.

        Raises
        ------
        SuiteError
            If the task takes its inputs from no collection.
        """
        if "collection" not in self.settings:
            raise SuiteError(f"suite {self.name!r} runs on no collection", "leave out --collection")
        if self.settings["collection"] == collection:
            return self
        return attrs.evolve(
            self, name=f"{self.name}-{collection}", settings={**self.settings, "collection": collection}
        )

    def trying(self, settings: Iterable[str]) -> Suite:
        """Return the suite with other settings, each ``NAME=VALUE``, under a name that contains them.

        It is another suite: its result cannot be compared with the whole one's. ``seed`` is the suite's seed.

        Raises
        ------
        SuiteError
            If a setting has no value or is not a finite number, or the seed is not a whole number ≥ 0. An unknown
            setting is found when the task makes its inputs.
        """
        fix = "write it like vocals=2"
        changed = dict(_pair(text, "--set", fix) for text in settings)
        told = [re.sub(r"[^\w.]+", "-", f"{name}-{_shown(value)}").strip("-") for name, value in changed.items()]
        name = "-".join([self.name, *told])
        if len(name.encode()) > LONGEST_NAME:
            # The name is that of files: the rest of a long name becomes a hash.
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"
        seed = changed.pop("seed", self.seed)
        return attrs.evolve(self, name=name, seed=seed, settings={**self.settings, **changed})

    def digest(self) -> str:
        """Return a sha256 of all that every measurement depends on: task, settings, seed and time-out."""
        whole = [self.task, dict(self.settings), self.seed, self.timeout_s]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def record(self, task_version: int) -> SuiteRecord:
        """Return what a result records of the suite, measured by this version of its task."""
        return SuiteRecord(
            name=self.name, task=self.task, title=self.title, summary=self.summary, timeout_s=self.timeout_s,
            seed=self.seed, settings=dict(self.settings), sha256=self.digest(), baseline=self.baseline,
            task_version=task_version,
        )  # fmt: skip


def known_suites() -> dict[str, Suite]:
    """Return the suites that mashkit and its plugins bring, by name, sorted.

    A suite that cannot be read is left out and noted. Of different suites of one name, mashkit's own is returned, or
    none, with a note.
    """
    found: list[tuple[str, Suite]] = []
    for owner, file in installed().suites():
        try:
            found.append((owner, _suite_in(file.read_text(encoding="utf-8"), str(file))))
        except (SuiteError, OSError, UnicodeDecodeError) as error:
            installed().note(f"a plugin's suite is left out: {error}")
    return by_name("suite", found, installed().note)


def load_suite(name_or_path: str) -> Suite:
    """Return a suite that mashkit or a plugin brings, by its name, or the suite in a TOML file.

    Raises
    ------
    UsageError
        If there is none, or the file cannot be read, or is not a suite.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        fix = "give the name of a suite (`mashkit bench list`), or a .toml file that is there"
        return _suite_in(named_text(path, fix), path_text(path))
    known = known_suites()
    if name_or_path not in known:
        raise SuiteError(f"no suite is called {name_or_path!r}", suggestion(name_or_path, known))
    return known[name_or_path]


def _suite_in(text: str, where: str) -> Suite:
    """Return the suite in the text of a file; ``where`` names the file in errors."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits, and brackets that are too deep
        raise SuiteError(f"{where} cannot be read as TOML: {error}", "correct that line") from error
    return Suite.from_dict(data, where)
