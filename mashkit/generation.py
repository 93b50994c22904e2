"""Draw mixtures: plans of several conditions in one stream, from one seed, with any number of processes.

The result does not depend on the number of processes, because each process draws ranges of numbered draws, and this
module puts them in order. A mixture interleaves the runs of its conditions (:meth:`Generator.plan` with the same seed).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from mashkit.arguments import require, require_all, require_number, require_whole
from mashkit.cliptable import ClipTable
from mashkit.compactset import CompactSet
from mashkit.conditions import UNMATCHED, fits_by_chance
from mashkit.errors import ComponentError, GenerationError, UsageError
from mashkit.interfaces import Executor, Generator
from mashkit.interfaces.executor import Job, Outcome, Work
from mashkit.interfaces.generator import Draw, Drawer, DrawingGenerator, Tally, distinct, hash_of_sound
from mashkit.types import Clip, Condition, FrozenMapping, MashupPlan, frozen_mapping

NO_MORE = "no more were found"
"""The reason of a condition that has fewer plans than asked for, unless its generator says another."""
_SMALLEST, _LARGEST = 64, 512
"""Least and largest number of draws per job: sending a smaller job costs too much, and with larger jobs the last draws
are not shared among the processes."""


@attrs.frozen
class Recipe:
    """The number of plans of each condition to draw.

    Parameters
    ----------
    counts : mapping of Condition or str to int
        The paper's conditions, or a generator's own. A count of 0 may be left out; the sum is at least 1.

    Raises
    ------
    UsageError
        If the counts are no mapping, a name cannot be a condition's, a count is negative, or all counts are 0. A
        condition that the generator does not have is found only when the generator draws.

    Examples
    --------
    >>> import mashkit as mk
    >>> recipe = mk.Recipe.for_training(positives=10, negatives=20, unlabelled=30)
    >>> {str(condition): count for condition, count in recipe.counts.items()}
    {'original': 10, 'unmatched-key': 7, 'unmatched-tempo': 7, 'unmatched-key-tempo': 6, 'matched': 30}
    >>> mk.Recipe({"matched": 0})
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: the mixture contains no plans (give at least one plan)
    """

    counts: Mapping[Condition, int] = attrs.field(converter=frozen_mapping)

    def __attrs_post_init__(self) -> None:
        wanted = {}
        for condition, given in self.counts.items():
            try:
                named = Condition(condition)
            except ValueError as error:
                raise UsageError(str(error), f"the paper's are {', '.join(Condition)}") from error
            count = require_whole(f"the number of {condition} plans", given)
            if count < 0:
                raise UsageError(f"the number of {condition} plans is {count}", "give 0 or more")
            if count:
                wanted[named] = count
        if not wanted:
            raise UsageError("the mixture contains no plans", "give at least one plan")
        object.__setattr__(self, "counts", FrozenMapping(wanted))

    @classmethod
    def for_training(
        cls,
        *,
        positives: int = 0,
        negatives: int = 0,
        unlabelled: int = 0,
        shares: Mapping[Condition, float] | None = None,
    ) -> Recipe:
        """Return the paper's mixture: positives are original, negatives unmatched, unlabelled matched.

        The negatives are of three conditions (docs/paper.md, row 13).

        Parameters
        ----------
        positives, negatives, unlabelled : int
            Number of plans of each kind, ≥ 0.
        shares : mapping of Condition to float, optional
            Shares of the three unmatched conditions among the negatives; equal thirds by default. Plans that remain
            after rounding down go to the largest remainders, and among equal remainders to the first.

        Raises
        ------
        UsageError
            If a number is no whole number of 0 or more or all are 0, or the shares are negative, all 0, not finite, or
            of other conditions.
        """
        negatives = require_whole("negatives", negatives)
        if negatives < 0:
            # Checked here and not in the counts, because a negative number shared out gives counts above 0, too.
            raise UsageError(f"negatives is {negatives}", "give 0 or more")
        shares = dict.fromkeys(UNMATCHED, 1.0) if shares is None else shares
        require("shares", shares, Mapping, "give {condition: share, …}")
        given = {name: require_number(f"shares of negatives: {name}", share, 0) for name, share in shares.items()}
        whole = sum(given.values())
        if set(given) - set(UNMATCHED) or not 0 < whole < math.inf:
            raise UsageError(f"shares of negatives {given}", f"give shares of {', '.join(UNMATCHED)}")
        exact = {condition: negatives * share / whole for condition, share in given.items()}
        counts = {condition: int(part) for condition, part in exact.items()}
        by_remainder = sorted(exact, key=lambda condition: counts[condition] - exact[condition])
        for condition in by_remainder[: negatives - sum(counts.values())]:
            counts[condition] += 1
        return cls({Condition.ORIGINAL: positives, **counts, Condition.MATCHED: unlabelled})

    @property
    def total(self) -> int:
        """Number of plans."""
        return sum(self.counts.values())


@attrs.define
class Report:
    """Counts of a mixture so far.

    Attributes
    ----------
    asked : mapping of Condition to int
        The recipe.
    drawn : Counter of Condition
        Number of plans yielded.
    tallies : dict of Condition to Tally
        Results of the draws: repeated draws, and the reasons of draws without a plan. For a generator that does not
        report its draws, only the plans that sound like another plan are counted.
    chance : dict of Condition to Counter of str
        Number of unmatched plans that fit by chance in "key" or "tempo", and in "any" axis that should not fit.
    exhausted : dict of Condition to str
        Conditions with fewer plans than asked for, each with the reason.
    failure : str, optional
        The generator's error after some plans; these plans were yielded.
    left_out : dict of Condition to mapping of str to int
        Number of clips that are never drawn, by reason (:meth:`Generator.left_out`).
    """

    asked: Mapping[Condition, int]
    drawn: Counter[Condition] = attrs.field(factory=Counter)
    tallies: dict[Condition, Tally] = attrs.field(factory=dict)
    chance: dict[Condition, Counter[str]] = attrs.field(factory=dict)
    exhausted: dict[Condition, str] = attrs.field(factory=dict)
    failure: str | None = None
    left_out: dict[Condition, Mapping[str, int]] = attrs.field(factory=dict)

    @property
    def chance_share(self) -> float | None:
        """Share of the negatives that fit by chance in an axis that should not fit; None without negatives."""
        negatives = sum(self.drawn[condition] for condition in UNMATCHED)
        return sum(count["any"] for count in self.chance.values()) / negatives if negatives else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "conditions": {
                str(condition): {
                    "asked": asked,
                    "drawn": self.drawn[condition],
                    "draws": self.tallies[condition].draws,
                    "repeated": self.tallies[condition].repeated,
                    "rejected": dict(self.tallies[condition].rejected),
                    "fit_by_chance": dict(self.chance[condition]),
                    "exhausted": self.exhausted.get(condition),
                    "clips_left_out": dict(self.left_out.get(condition, {})),
                }
                for condition, asked in self.asked.items()
            },
            "chance_share_of_negatives": self.chance_share,
            "failure": self.failure,
        }


class Mixture:
    """A stream of plans of several conditions; iterate over it once.

    At any time the conditions have their proportions, as nearly as whole plans allow. No two plans sound the same.

    Parameters
    ----------
    generator : Generator
    clips : sequence of Clip
    recipe : Recipe
    seed : int
        The same clips, options, recipe and seed give the same plans with any executor.
    vocal : str or sequence of str, optional
        Id of the clip whose vocal every plan uses. The vocals of several clips are used in turn; where one has no more
        plans, the others go on.
    executor : Executor, optional
        The executor that draws. Without it, or if the generator's draws depend on each other, this process draws.

    Attributes
    ----------
    report : Report
        Filled as plans are drawn.

    Raises
    ------
    UsageError
        In the same cases as in :meth:`Generator.plan`, if an argument has another type, and if it is iterated over a
        second time.
    GenerationError
        While iterating, if no condition has a single plan. A single condition without plans is reported in
        ``report``, and the others go on.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(0, "major"), 112.0), (mk.Key(6, "major"), 90.0)])
    >>> generator = mk.Registry().create("generator", "paper")
    >>> mixture = mk.Mixture(generator, songs.clips, mk.Recipe({"original": 2, "unmatched-key": 9}), seed=1)
    >>> [str(plan.condition) for plan in mixture]
    ['unmatched-key', 'original', 'original']
    >>> mixture.report.exhausted["unmatched-key"]
    'no more were found'
    """

    def __init__(
        self,
        generator: Generator,
        clips: Sequence[Clip],
        recipe: Recipe,
        *,
        seed: int,
        vocal: str | Sequence[str] | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._generator = require("generator", generator, Generator, "give a generator, such as kit.generator")
        self._recipe = require("recipe", recipe, Recipe, "give Recipe({condition: count, …})")
        self._table = ClipTable.of(clips)
        self._seed = seed = require_whole("seed", seed)
        self._vocals: tuple[str | None, ...] = (vocal,) if vocal is None or isinstance(vocal, str) else _ids(vocal)
        self._executor = executor
        if executor is not None:
            require("executor", executor, Executor, "give an executor, such as kit.executor, or none")
        self._begun = False
        for condition, one in itertools.product(recipe.counts, self._vocals):
            generator.require_sense(self._table, condition=condition, seed=seed, vocal=one)
        self.report = Report(
            recipe.counts,
            tallies={condition: Tally() for condition in recipe.counts},
            chance={condition: Counter() for condition in recipe.counts},
            left_out={condition: generator.left_out(self._table, condition) for condition in recipe.counts},
        )

    def __iter__(self) -> Iterator[MashupPlan]:
        if self._begun:
            raise UsageError("the plans of a mixture are drawn already", "keep them in a list, or make another Mixture")
        self._begun = True
        return self._checked()

    def _checked(self) -> Iterator[MashupPlan]:
        report = self.report
        try:
            with contextlib.closing(self._generator.backend_items("plan", self._plans)) as plans:
                yield from plans
        except ComponentError as error:
            if not report.drawn.total():
                raise
            report.failure = str(error)
            for condition, asked in report.asked.items():
                if report.drawn[condition] < asked:
                    report.exhausted.setdefault(condition, report.failure)

    def _plans(self) -> Iterator[MashupPlan]:
        report, wanted = self.report, self._recipe.counts
        hashes = CompactSet()
        failures: list[GenerationError] = []
        with contextlib.ExitStack() as stack:
            runs = self._runs(stack)
            while runs:
                # The condition that is furthest behind its share is next.
                condition = min(runs, key=lambda one: (report.drawn[one] + 0.5) / wanted[one])
                try:
                    found = next(runs[condition], None)
                    reason = NO_MORE
                except GenerationError as error:
                    failures.append(error)
                    found, reason = None, str(error)
                if found is None:
                    del runs[condition]
                    report.exhausted[condition] = reason
                    continue
                vocal, draw = found
                assert draw.plan is not None  # noqa: S101 — a run gives plans only
                plan = self._generator.as_asked(draw.plan, self._table, condition, vocal)
                sound = hash_of_sound(plan)
                if sound in hashes:
                    report.tallies[condition].repeated += 1
                    continue
                hashes.add(sound)
                report.drawn[condition] += 1
                if draw.chance:
                    report.chance[condition].update([*draw.chance, "any"])
                if report.drawn[condition] == wanted[condition]:
                    del runs[condition]
                yield plan
        if len(hashes) == 0:
            raise failures[0]

    def _runs(self, stack: contextlib.ExitStack) -> dict[Condition, Iterator[tuple[str | None, Draw]]]:
        """Return, for each condition, an iterator of its draws with a plan, each with the vocal that was asked for.

        The stack closes the workers.
        """
        generator = self._generator
        draws: Callable[[_Run], Iterator[Draw]] = self._planned
        if isinstance(generator, DrawingGenerator):
            spread = None
            if self._executor is not None:
                arguments = (generator, self._table, self._seed)
                work = Work(name="draw plans", start=_Drawers, arguments=arguments, run=_draw)
                spread = stack.enter_context(contextlib.closing(_Spread(self._executor, work, self._left)))
            draws = functools.partial(self._drawn, generator, spread)
        return {
            condition: _in_turn({vocal: draws((condition, vocal)) for vocal in self._vocals})
            for condition in self._recipe.counts
        }

    def _left(self, run: _Run) -> int:
        """Return the number of plans that are still to be drawn in a run: its share of those of its condition."""
        condition, _ = run
        if condition in self.report.exhausted:
            return 0
        return -(-(self._recipe.counts[condition] - self.report.drawn[condition]) // len(self._vocals))

    def _drawn(self, generator: DrawingGenerator, spread: _Spread | None, run: _Run) -> Iterator[Draw]:
        condition, vocal = run
        known = CompactSet()
        tally = self.report.tallies[condition]

        def drawer() -> Drawer:
            return generator.drawer(self._table, condition=condition, seed=self._seed, vocal=vocal)

        if spread is None:
            here = drawer()
            draws: Iterator[Draw] = (here.draw(number, known) for number in itertools.count())
        else:
            draws = spread.draws(run)
        try:
            yield from distinct(draws, known, tally)
        finally:
            if spread is not None:
                spread.end(run)
        if len(known) == 0:
            raise drawer().nothing_fits(tally.rejected)

    def _planned(self, run: _Run) -> Iterator[Draw]:
        """Yield the plans of a generator that does not report its draws."""
        condition, vocal = run
        clips, number = _FetchedClips(self._table), 0
        # More plans than needed are requested only where some of them sound like a plan of another condition, or where
        # another vocal has too few, because a generator may draw all that are requested before it yields the first.
        # Fewer plans are the first of more.
        wanted = self._recipe.counts[condition]
        for count in sorted({-(-wanted // len(self._vocals)), wanted, self._recipe.total}):
            plans = self._generator.plan(self._table, condition=condition, count=count, seed=self._seed, vocal=vocal)
            for plan in itertools.islice(plans, number, None):
                self.report.tallies[condition].draws += 1
                yield Draw(number=number, plan=plan, chance=fits_by_chance(plan, clips))
                number += 1
            if number < count:
                return


_Run = tuple[Condition, str | None]
"""The draws of one condition and one vocal; without a vocal, of any."""


def _ids(vocals: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(require_all("vocal", vocals, str, "give clips' ids")))
    if not found:
        raise UsageError("vocal names no clip", "give clips' ids, or leave it out")
    return found


def _in_turn(runs: Mapping[str | None, Iterator[Draw]]) -> Iterator[tuple[str | None, Draw]]:
    """Yield a draw of each run in turn, with its vocal, until all have ended; raise the first error if all have one."""
    going = dict(runs)
    errors: list[GenerationError] = []
    while going:
        for vocal, run in list(going.items()):
            try:
                draw = next(run, None)
            except GenerationError as error:
                errors.append(error)
                draw = None
            if draw is None:
                del going[vocal]
            else:
                yield vocal, draw
    if len(errors) == len(runs):
        raise errors[0]


class _FetchedClips(Mapping[str, Clip]):
    """The clips of a table by id, each fetched when it is asked for."""

    def __init__(self, table: ClipTable) -> None:
        self._table = table

    def __getitem__(self, clip_id: str) -> Clip:
        row = self._table.row_of(clip_id)
        if row is None:
            raise KeyError(clip_id)
        return self._table[row]

    def __iter__(self) -> Iterator[str]:
        return (clip.id for clip in self._table)

    def __len__(self) -> int:
        return len(self._table)


class _Spread:
    """The draws of several runs: an executor makes them in advance, and this class yields them in order.

    Parameters
    ----------
    executor : Executor
    work : Work
        Makes draws: its items are (run, first draw, number of draws).
    left : callable
        Returns the number of plans of a run still needed, which is the largest useful number of draws in advance.
    """

    def __init__(self, executor: Executor, work: Work, left: Callable[[_Run], int]) -> None:
        self._work = work
        self._left = left
        self._asked: dict[_Run, int] = {}
        self._given: Counter[_Run] = Counter()
        self._ended: dict[tuple[_Run, int], Outcome] = {}
        self._awaited: _Run | None = None
        self._outcomes = executor.run(self._jobs())

    def draws(self, run: _Run) -> Iterator[Draw]:
        """Yield the draws of a run; the iterator does not end."""
        self._asked[run] = first = 0
        while True:
            self._awaited = run
            while (run, first) not in self._ended:
                outcome = next(self._outcomes)
                self._ended[outcome.job.item[:2]] = outcome
            outcome = self._ended.pop((run, first))
            if outcome.error is not None:
                raise outcome.error
            draws: list[Draw] = outcome.result
            for draw in draws:
                self._given[run] += 1
                yield draw
            first += len(draws)

    def end(self, run: _Run) -> None:
        """Make no more draws of a run."""
        self._asked.pop(run, None)
        if self._awaited == run:
            self._awaited = None

    def close(self) -> None:
        """End the workers."""
        self._outcomes.close()

    def _jobs(self) -> Iterator[Job | None]:
        while True:
            run = self._next()
            if run is None:
                yield None
                continue
            first, count = self._asked[run], min(max(self._left(run), _SMALLEST), _LARGEST)
            self._asked[run] += count
            yield Job(self._work, (run, first, count), f"{run[0]} draws from {first}")

    def _next(self) -> _Run | None:
        """Return the run that needs draws most; None if enough draws are being made."""
        if self._awaited is not None and self._ahead(self._awaited) == 0:
            return self._awaited
        needy = [run for run in self._asked if self._ahead(run) < self._left(run)]
        return min(needy, key=lambda one: self._ahead(one) / self._left(one), default=None)

    def _ahead(self, run: _Run) -> int:
        return self._asked[run] - self._given[run]


class _Drawers:
    """The state of a worker: a drawer for each run of which it has made draws."""

    def __init__(self, generator: DrawingGenerator, clips: ClipTable, seed: int) -> None:
        self._make = functools.partial(generator.drawer, clips, seed=seed)
        self._drawers: dict[_Run, Drawer] = {}

    def draws(self, run: _Run, first: int, count: int) -> list[Draw]:
        if run not in self._drawers:
            condition, vocal = run
            self._drawers[run] = self._make(condition=condition, vocal=vocal)
        drawer = self._drawers[run]
        # A worker knows only the choices of earlier draws of this job; distinct() removes the other repeated choices.
        known: set[int] = set()
        made = []
        for number in range(first, first + count):
            draw = drawer.draw(number, known)
            if draw.plan is not None and draw.choice is not None:
                known.add(draw.choice)
            made.append(draw)
        return made


def _draw(drawers: _Drawers, item: tuple[_Run, int, int]) -> list[Draw]:
    return drawers.draws(*item)
