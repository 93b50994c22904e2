"""Generator: the interface of components that draw plans, which state the stems to combine and how to fit them."""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import attrs

from mashkit.arguments import require, require_whole
from mashkit.cliptable import ClipTable
from mashkit.compactset import CompactSet
from mashkit.components import Component
from mashkit.conditions import PROMISES, Promise
from mashkit.errors import ContractViolation, GenerationError, UsageError, suggestion
from mashkit.types import Clip, Condition, FrozenMapping, MashupPlan, Role
from mashkit.types.mappings import FrozenRecord

PATIENCE = 1000
"""Draws in a row without a new plan after which a run ends. Of 100 possible plans, a run misses one with p < 0.005."""

PLAN_OPTIONS: Mapping[str, str] = FrozenMapping(
    {
        "align": '"beats": the backing follows each beat of the vocal; "speed": it is played at one speed',
        "phrase_bars": "0, or: the backing may also begin a multiple of this number of bars away (variants() has all)",
    }
)
"""Options with the same meaning in every generator that has them, and this meaning. Commands have flags for them."""


@attrs.define(kw_only=True, eq=False)
class Generator(Component):
    """Draws plans from clips. ``info.provides`` names its conditions.

    :data:`mashkit.conditions.PROMISES` defines the paper's five conditions, and ``promises`` defines the generator's
    own conditions. An option with a name in :data:`PLAN_OPTIONS` must have the meaning that is given there. Gains,
    fades, ducking and limiting are part of the plan (:class:`~mashkit.types.Mixing`). They can be changed for the plans
    of every generator (:class:`~mashkit.types.Finish`).

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> class Originals(mk.Generator):
    ...     # Every clip as it is, in the order of the clips.
    ...     info = mk.ComponentInfo(
    ...         name="originals", target="originals:Originals", summary="s", code_license="MIT", provides={"original"}
    ...     )
    ...     def _plan(self, clips, *, condition, count, seed, vocal):
    ...         for clip in clips:
    ...             if vocal in (None, clip.id):
    ...                 layers = [mk.Layer(role=role, clip_id=clip.id) for role in clip.roles]
    ...                 yield mk.MashupPlan(condition=condition, layers=layers, duration_s=clip.duration, seed=seed)
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(0, "major"), 96.0)])
    >>> [plan.duration_s for plan in Originals().plan(songs.clips, condition="original", count=5, seed=0)]
    [32.2, 40.3]
    >>> Originals().plan(songs.clips, condition="orignal", count=5, seed=0)
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: generator 'originals' has no condition 'orignal'
    (did you mean 'original'? known: original)
    """

    kind: ClassVar[str] = "generator"
    promises: ClassVar[Mapping[str, Promise]] = FrozenMapping({})
    """The generator's own conditions and their meaning."""

    def promise(self, condition: Condition | str) -> Promise:
        """Return the meaning of a condition; a Promise without properties if the condition is not defined."""
        return PROMISES.get(condition) or self.promises.get(condition) or Promise(description="")

    @property
    def conditions(self) -> Mapping[str, str]:
        """The generator's conditions, each with its description."""
        return {name: self.promise(name).description for name in sorted(self.info.provides)}

    @property
    def plan_options(self) -> tuple[str, ...]:
        """The options of :data:`PLAN_OPTIONS` that this generator has."""
        return tuple(name for name in PLAN_OPTIONS if name in self.options())

    def require_condition(self, condition: Condition | str) -> Condition:
        """Return the condition of that name; raises UsageError, with the nearest name, if the generator lacks it."""
        if condition not in self.info.provides:
            raise UsageError(
                f"generator {self.info.name!r} has no condition {str(condition)!r}",
                suggestion(str(condition), self.info.provides),
            )
        return Condition(condition)

    def plan(
        self,
        clips: Sequence[Clip],
        *,
        condition: Condition | str,
        count: int,
        seed: int,
        vocal: str | None = None,
    ) -> Iterator[MashupPlan]:
        """Yield up to ``count`` different plans; fewer if there are no more.

        Parameters
        ----------
        clips : sequence of Clip
            The clips to draw from. Their order affects the plans of a seed. A :class:`ClipTable` is used directly;
            another sequence is converted to a table.
        condition : Condition or str
            A condition in ``info.provides``.
        count : int
            Largest number of plans, ≥ 1.
        seed : int
            The same clips, options and seed give the same plans.
        vocal : str, optional
            Id of the clip whose vocal every plan uses. By default vocals are drawn at random.

        Yields
        ------
        MashupPlan

        Raises
        ------
        UsageError
            If the condition is not in ``info.provides``, the count is below 1, the seed is below 0, or ``vocal`` is no
            clip's id.
        GenerationError
            If no plan exists; the error names the constraint that is the reason.
        ContractViolation
            If a plan is not as asked (:meth:`as_asked`), or the same plan comes twice.
        """
        count, seed = require_whole("count", count), require_whole("seed", seed)
        if count < 1:
            raise UsageError(f"count is {count}", "give 1 or more")
        table = ClipTable.of(clips)
        self.require_sense(table, condition=condition, seed=seed, vocal=vocal)
        return self._checked(table, Condition(condition), count, seed, vocal)

    def require_sense(self, clips: ClipTable, *, condition: Condition | str, seed: int, vocal: str | None) -> None:
        """Raise UsageError, as :meth:`plan` does, if these arguments are not valid."""
        self.require_condition(condition)
        if seed < 0:
            raise UsageError(f"seed is {seed}", "give a whole number of 0 or more")
        if vocal is not None:
            require("vocal", vocal, str, "give a clip's id")
        if vocal is not None and clips.row_of(vocal) is None:
            raise UsageError(
                f"no clip has the id {vocal!r}",
                "give the id of one of the clips; `mashkit generate --list-clips` lists them",
            )

    def left_out(self, clips: ClipTable, condition: Condition) -> Mapping[str, int]:
        """Return the number of clips that are never drawn for a condition although their facts are known, by reason.

        The numbers are for the report of a run. By default the result is empty.
        """
        del clips, condition
        return {}

    def as_asked(self, plan: MashupPlan, clips: ClipTable, condition: Condition, vocal: str | None) -> MashupPlan:
        """Return a plan of this generator, with a record of the generator if it has none.

        Raises
        ------
        ContractViolation
            If it is of another condition, uses clips that were not given or another vocal than the one given, or alters
            the vocal's speed or pitch.
        """
        self.require_result(plan, MashupPlan, "plan")
        sung = plan.layer(Role.VOCAL)
        problem = ""
        if unknown := {layer.clip_id for layer in plan.layers if clips.row_of(layer.clip_id) is None}:
            problem = f"uses unknown clips {sorted(unknown)}"
        elif plan.condition != condition:
            problem = f"is of condition {str(plan.condition)!r}, not {str(condition)!r}"
        elif vocal not in (None, sung.clip_id):
            problem = f"has the vocal of clip {sung.clip_id!r}, not of {vocal!r}"
        elif (sung.speed, sung.semitones, sung.time_map) != (1.0, 0.0, None):
            problem = "alters its vocal, to which the other stems are to be fitted"
        if problem:
            raise ContractViolation(f"generator {self.info.name!r}: plan {plan.id} {problem}")
        return plan if plan.generator else attrs.evolve(plan, generator=self.record())

    def record(self) -> Mapping[str, Any]:
        """Return this generator's entry in its plans: name, distribution, version and options.

        It is frozen, so that all plans of a run can share it: a generator calls this once per run, not once per plan.
        """
        described = self.described()
        return FrozenRecord({name: described[name] for name in ("name", "distribution", "version", "options")})

    def _checked(
        self, clips: ClipTable, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        seen = CompactSet()
        plans = self.backend_items(
            "plan",
            lambda: self.required_items(
                self._plan(clips, condition=condition, count=count, seed=seed, vocal=vocal), "plan", "yield plans"
            ),
        )
        with contextlib.closing(plans):
            for drawn in plans:
                plan = self.as_asked(drawn, clips, condition, vocal)
                sound = hash_of_sound(plan)
                if sound in seen:
                    raise ContractViolation(f"generator {self.info.name!r}: it returned plan {plan.id} twice")
                seen.add(sound)
                yield plan
                if len(seen) == count:
                    return
        if len(seen) == 0:
            raise GenerationError(f"generator {self.info.name!r} found no {condition} mashup among {len(clips)} clips")

    def variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> list[MashupPlan]:
        """Return plans for all ways in which the options allow to combine the stems of ``plan``, its own way included.

        A scorer can choose among these plans, for example the best offset of a phrase. A generator with only one way
        returns a single plan.

        Parameters
        ----------
        plan : MashupPlan
            A plan of this generator.
        clips : mapping of str to Clip
            The plan's clips by id.

        Returns
        -------
        list of MashupPlan
            At least one plan; all plans differ.

        Raises
        ------
        UsageError
            If ``plan`` is no plan, or one of its clips is not among ``clips``.
        ContractViolation
            If a variant combines other stems, or there is no variant.
        """
        require("plan", plan, MashupPlan, "give a plan of this generator")
        require("clips", clips, Mapping, "give the plan's clips by id: mashkit.types.by_id(clips)")
        if lacking := sorted({layer.clip_id for layer in plan.layers} - set(clips)):
            raise UsageError(f"clips lack {lacking}, which plan {plan.id} uses", "give all of the plan's clips by id")
        with self.backend_call("vary a plan"):
            found_by = self._variants(plan, clips)
            variants = list(self.required_items(found_by, "vary a plan", "yield plans"))
        for variant in variants:
            self.require_result(variant, MashupPlan, "vary a plan")
        found = {variant.id: variant for variant in variants}
        stems = {(layer.role, layer.clip_id) for layer in plan.layers}
        if not found or any({(one.role, one.clip_id) for one in variant.layers} != stems for variant in found.values()):
            raise ContractViolation(f"generator {self.info.name!r}: the variants of plan {plan.id} use other stems")
        return list(found.values())

    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterable[MashupPlan]:
        """Yield the variants of a plan."""
        return (plan,)

    @abstractmethod
    def _plan(
        self, clips: ClipTable, *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        """Yield different plans; raise GenerationError with the reason if there is none.

        ``clips`` can be used as a sequence. Because reading many clips is slow, choose rows by the table's columns, and
        read only the chosen clips.
        """


def hash_of_sound(plan: MashupPlan) -> int:
    """Return a 64-bit hash that is equal for plans that sound the same, in this process.

    The probability that any two of 100,000 different plans have the same hash is below 10⁻⁹.
    """
    return hash((plan.layers, plan.mixing, plan.duration_s))


@attrs.frozen(kw_only=True)
class Draw:
    """One draw of a :class:`DrawingGenerator`: a plan, or the reason why there is no plan.

    Parameters
    ----------
    number : int
        Number of the draw in its run, from 0.
    choice : int, optional
        A number that identifies the chosen stems; it is equal for draws of the same stems. None if no stems could be
        chosen.
    plan : MashupPlan, optional
    rejected : str
        The reason why there is no plan; empty if there is a plan, or if the choice was known already.
    chance : sequence of str
        The axes ("key", "tempo") in which the stems of an unmatched plan fit by chance.
    """

    number: int
    choice: int | None = None
    plan: MashupPlan | None = None
    rejected: str = ""
    chance: tuple[str, ...] = ()


class Drawer(Protocol):
    """Makes the draws of one run. Each draw can be made at any time, in any process, with the same result."""

    def draw(self, number: int, known: Container[int]) -> Draw:
        """Make draw ``number``; if its choice is in ``known``, the draw has no plan."""
        ...

    def nothing_fits(self, rejected: Counter[str]) -> GenerationError:
        """Return the error for a run without any plan; ``rejected`` counts the rejected draws by reason."""
        ...


@attrs.define
class Tally:
    """Counts of the draws of a run.

    Attributes
    ----------
    draws, repeated : int
        Number of all draws, and of draws whose choice or sound an earlier plan has already.
    rejected : Counter of str
        Number of draws without a plan, by reason.
    """

    draws: int = 0
    repeated: int = 0
    rejected: Counter[str] = attrs.field(factory=Counter)


@attrs.define(kw_only=True, eq=False)
class DrawingGenerator(Generator):
    """A generator whose draws are independent of each other, so that several processes can share them.

    Draw ``number`` of a run depends only on the clips, the options, the condition, the seed and the vocal. A run
    consists of its draws in order, without repeated draws, until :data:`PATIENCE` draws in a row give no new plan.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.cliptable import ClipTable
    >>> from mashkit.interfaces.generator import DrawingGenerator
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.types import Condition
    >>> paper = mk.Registry().create("generator", "paper")
    >>> isinstance(paper, DrawingGenerator)
    True
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(0, "major"), 112.0)])
    >>> drawer = paper.drawer(ClipTable.of(songs.clips), condition=Condition.MATCHED, seed=1, vocal=None)
    >>> drawer.draw(3, known=()).plan == drawer.draw(3, known=()).plan  # any draw, at any time
    True
    """

    @abstractmethod
    def drawer(self, clips: ClipTable, *, condition: Condition, seed: int, vocal: str | None) -> Drawer:
        """Return the drawer of a run; raises GenerationError if no draw can be made at all."""

    def _plan(
        self, clips: ClipTable, *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        drawer = self.drawer(clips, condition=condition, seed=seed, vocal=vocal)
        known = CompactSet()
        tally = Tally()
        for draw in distinct((drawer.draw(number, known) for number in itertools.count()), known, tally):
            assert draw.plan is not None  # noqa: S101 — distinct() gives plans only
            yield draw.plan
        if len(known) == 0:
            raise drawer.nothing_fits(tally.rejected)


def distinct(draws: Iterable[Draw], known: CompactSet, tally: Tally) -> Iterator[Draw]:
    """Yield the draws with a new plan, until :data:`PATIENCE` draws in a row have no new plan.

    Parameters
    ----------
    draws : iterable of Draw
        Draws in the order of their numbers.
    known : CompactSet
        Choices that have a plan already; each new choice is added. A run stores nothing else about its plans.
    tally : Tally
        Counts of the draws; they are updated.
    """
    fruitless = 0
    for draw in draws:
        tally.draws += 1
        fruitless += 1
        if draw.choice in known:
            tally.repeated += 1
        elif draw.plan is None or draw.choice is None:
            tally.rejected[draw.rejected] += 1
        else:
            known.add(draw.choice)
            fruitless = 0
            yield draw
        if fruitless == PATIENCE:
            return
