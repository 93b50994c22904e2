"""Generator: which stems to combine, and how to fit them."""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, TypeAlias

import attrs
from attrs import validators

from mashkit.arguments import require, require_all, require_whole
from mashkit.cliptable import ClipTable
from mashkit.compactset import CompactSet
from mashkit.components import Component
from mashkit.errors import ContractViolation, GenerationError, UsageError, suggestion
from mashkit.types import Clip, Condition, FrozenMapping, MashupPlan

PATIENCE = 1000
"""Draws without a new plan after which the clips count as exhausted (a space of 100 plans is missed with p < 0.005)."""

Fit: TypeAlias = Literal["", "matched", "unmatched"]
"""Whether the backing fits the vocal in an axis, clashes with it, or nobody says."""


@attrs.frozen(kw_only=True)
class Promise:
    """What a condition means, and what its plans keep: contract and benchmark hold the generator to it.

    Parameters
    ----------
    description : str
        One line, for people.
    key : {"matched", "unmatched", ""}
        The harmonic layer, shifted, is in the vocal's key (relative keys are one), is not, or may be.
    tempo : {"matched", "unmatched", ""}
        The same of both backing layers' tempi at their speeds, where half and double tempo count as the same.
    downbeats : bool
        Downbeats of the backing layers lie on downbeats of the vocal.
    songs : {"one", "several", ""}
        All stems are of one clip, no backing stem is of the vocal's song, or either.
    """

    description: str
    key: Fit = attrs.field(default="", validator=validators.in_(("", "matched", "unmatched")))
    tempo: Fit = attrs.field(default="", validator=validators.in_(("", "matched", "unmatched")))
    downbeats: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    songs: Literal["", "one", "several"] = attrs.field(default="", validator=validators.in_(("", "one", "several")))


PROMISES: Mapping[str, Promise] = FrozenMapping(
    {
        Condition.ORIGINAL: Promise(
            description="all stems of one clip, as they are",
            key="matched", tempo="matched", downbeats=True, songs="one",
        ),
        Condition.MATCHED: Promise(
            description="backing of other songs in the vocal's key and tempo, downbeats on downbeats",
            key="matched", tempo="matched", downbeats=True, songs="several",
        ),
        Condition.UNMATCHED_KEY: Promise(
            description="as matched, but in another key", key="unmatched", tempo="matched", downbeats=True,
            songs="several",
        ),
        Condition.UNMATCHED_TEMPO: Promise(
            description="as matched, but in another tempo", key="matched", tempo="unmatched", songs="several"
        ),
        Condition.UNMATCHED_KEY_TEMPO: Promise(
            description="backing of other songs in another key and tempo", key="unmatched", tempo="unmatched",
            songs="several",
        ),
    }
)  # fmt: skip
"""What the paper's conditions mean, whatever generator draws them (docs/paper.md, rows 5–9, 11, 15 and 19)."""

PLAN_OPTIONS: Mapping[str, str] = FrozenMapping(
    {
        "align": '"beats": the backing follows the vocal\'s beats all along; "speed": it is played at one speed',
        "phrase_bars": "0, or: also enter at bars that are a multiple of so many away (variants() are all of them)",
    }
)
"""Options that mean the same in every generator that has them, and what: commands have flags for them."""


@attrs.define(kw_only=True, eq=False)
class Generator(Component):
    """Draws plans from clips; ``info.provides`` names the conditions it knows.

    The paper's five names mean what :data:`PROMISES` says; what others mean is said in ``promises``. An option called
    as one of :data:`PLAN_OPTIONS` means what stands there. Gains, fades, ducking and limiting are the plan's
    (:class:`~mashkit.types.Mixing`), and can be asked for whatever drew it (:class:`~mashkit.types.Finish`).
    """

    kind: ClassVar[str] = "generator"
    promises: ClassVar[Mapping[str, Promise]] = FrozenMapping({})
    """Conditions of its own, and what they mean."""

    def promise(self, condition: Condition | str) -> Promise:
        """Return what a condition means; of one nobody describes, nothing."""
        return PROMISES.get(condition) or self.promises.get(condition) or Promise(description="")

    @property
    def conditions(self) -> Mapping[str, str]:
        """The conditions it knows, and what each means."""
        return {name: self.promise(name).description for name in sorted(self.info.provides)}

    @property
    def plan_options(self) -> tuple[str, ...]:
        """Those of :data:`PLAN_OPTIONS` that it has."""
        return tuple(name for name in PLAN_OPTIONS if name in self.options())

    def require_condition(self, condition: Condition | str) -> Condition:
        """Return the condition of that name; raises UsageError, with the nearest, unless it knows it."""
        if condition not in self.info.provides:
            raise UsageError(
                f"generator {self.info.name!r} knows no condition {str(condition)!r}",
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
        """Yield up to ``count`` different plans; fewer when no more exist.

        Parameters
        ----------
        clips : sequence of Clip
            What to draw from; the order matters to what a seed draws. A :class:`ClipTable` is used as it is, other
            sequences are made one.
        condition : Condition or str
            One of ``info.provides``.
        count : int
            How many plans, ≥ 1.
        seed : int
            Same clips, options and seed: same plans.
        vocal : str, optional
            Id of the clip whose vocal every plan uses; drawn at random when not given.

        Yields
        ------
        MashupPlan

        Raises
        ------
        UsageError
            If the condition is not one of ``info.provides``, the count is below 1, the seed below 0, or ``vocal`` is no
            clip's id.
        GenerationError
            If not a single plan exists; it says which constraint leaves none.
        ContractViolation
            If a plan names a clip that was not given, or comes twice.
        """
        count, seed = require_whole("count", count), require_whole("seed", seed)
        if count < 1:
            raise UsageError(f"count is {count}", "ask for at least one plan")
        if not isinstance(clips, ClipTable):
            clips = require_all("clips", clips, Clip, "give clips: those of a catalog are catalog.clips")
        table = ClipTable.of(clips)
        self.require_sense(table, condition=condition, seed=seed, vocal=vocal)
        return self._checked(table, Condition(condition), count, seed, vocal)

    def require_sense(self, clips: ClipTable, *, condition: Condition | str, seed: int, vocal: str | None) -> None:
        """Raise UsageError, as :meth:`plan` does, unless a run can be begun with these arguments."""
        self.require_condition(condition)
        if seed < 0:
            raise UsageError(f"seed is {seed}", "give a whole number of 0 or more")
        if vocal is not None:
            require("vocal", vocal, str, "give a clip's id")
        if vocal is not None and clips.row_of(vocal) is None:
            raise UsageError(f"no clip has the id {vocal!r}", "see `mashkit generate --list-clips`")

    def left_out(self, clips: ClipTable, condition: Condition) -> Mapping[str, int]:
        """Return how many of the clips are drawn for no plan of a condition though enough is known of them, by reason.

        For the report of a run; by default nothing is said.
        """
        del clips, condition
        return {}

    def require_known_clips(self, plan: MashupPlan, clips: ClipTable) -> None:
        """Raise ContractViolation if a plan of this generator's uses clips it was not given."""
        self.require_result(plan, MashupPlan, "plan")
        unknown = {layer.clip_id for layer in plan.layers if clips.row_of(layer.clip_id) is None}
        if unknown:
            raise ContractViolation(
                f"generator {self.info.name!r}: plan {plan.id} uses unknown clips {sorted(unknown)}"
            )

    def _checked(
        self, clips: ClipTable, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        seen = CompactSet()
        plans = self.backend_items(
            "plan", lambda: self._plan(clips, condition=condition, count=count, seed=seed, vocal=vocal)
        )
        with contextlib.closing(plans):
            for plan in plans:
                self.require_known_clips(plan, clips)
                heard = hash_of_sound(plan)
                if heard in seen:
                    raise ContractViolation(f"generator {self.info.name!r}: plan {plan.id} comes twice")
                seen.add(heard)
                yield plan
                if len(seen) == count:
                    return
        if len(seen) == 0:
            raise GenerationError(f"generator {self.info.name!r} found no {condition} mashup among {len(clips)} clips")

    def variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> list[MashupPlan]:
        """Return the plans that combine the same stems in every other way the options allow, and ``plan``'s own.

        Of these a scorer may choose: the offset of a phrase, say. A generator that knows only one way returns that.

        Parameters
        ----------
        plan : MashupPlan
            One of this generator's.
        clips : mapping of str to Clip
            The plan's clips by id.

        Returns
        -------
        list of MashupPlan
            One at least, no two alike.

        Raises
        ------
        ContractViolation
            If a variant combines other stems, or none is left.
        """
        with self.backend_call("vary a plan"):
            variants = list(self._variants(plan, clips))
        for variant in variants:
            self.require_result(variant, MashupPlan, "vary a plan")
        found = {variant.id: variant for variant in variants}
        stems = {(layer.role, layer.clip_id) for layer in plan.layers}
        if not found or any({(one.role, one.clip_id) for one in variant.layers} != stems for variant in found.values()):
            raise ContractViolation(f"generator {self.info.name!r}: the variants of plan {plan.id} are of other stems")
        return list(found.values())

    def _variants(self, plan: MashupPlan, clips: Mapping[str, Clip]) -> Iterable[MashupPlan]:
        """Yield the variants of a plan."""
        return (plan,)

    @abstractmethod
    def _plan(
        self, clips: ClipTable, *, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        """Yield different plans; raise GenerationError, saying why, when none exists.

        ``clips`` is a sequence like any other; of many clips, draw by its columns and touch only the clips drawn.
        """


def hash_of_sound(plan: MashupPlan) -> int:
    """Return a number of 64 bits that plans which sound the same share, in this process.

    That two of 100,000 plans which differ share one has a probability below 10⁻⁹.
    """
    return hash((plan.layers, plan.mixing, plan.duration_s))


@attrs.frozen(kw_only=True)
class Draw:
    """One draw of a :class:`DrawingGenerator`: a plan, or why there is none.

    Parameters
    ----------
    number : int
        Which draw of its run, from 0.
    choice : int, optional
        A number of what was chosen: draws of the same stems have the same. None if nothing could be chosen.
    plan : MashupPlan, optional
    rejected : str
        Why there is no plan; empty where there is one, or where the choice is a known one.
    chance : sequence of str
        Of an unmatched plan, the axes ("key", "tempo") in which its stems fit by chance.
    """

    number: int
    choice: int | None = None
    plan: MashupPlan | None = None
    rejected: str = ""
    chance: tuple[str, ...] = ()


class Drawer(Protocol):
    """The draws of one run. Any of them can be made at any time, in any process, with the same result."""

    def draw(self, number: int, known: Container[int]) -> Draw:
        """Make draw ``number``; of a choice that is ``known``, without its plan."""
        ...

    def nothing_fits(self, rejected: Counter[str]) -> GenerationError:
        """Return the error for a run without a single plan, given how often a draw was rejected for which reason."""
        ...


@attrs.define
class Tally:
    """What became of the draws of a run.

    Attributes
    ----------
    draws, repeated : int
        All draws, and those of a choice, or sound, there was a plan of already.
    rejected : Counter of str
        How many draws gave no plan, by reason.
    """

    draws: int = 0
    repeated: int = 0
    rejected: Counter[str] = attrs.field(factory=Counter)


@attrs.define(kw_only=True, eq=False)
class DrawingGenerator(Generator):
    """A generator whose draws do not depend on each other, so that several processes can share them.

    Draw ``number`` of a run follows from the clips, the options, the condition, the seed and the vocal alone. A run is
    its draws in order, without repeated ones, until :data:`PATIENCE` draws in a row gave nothing new.
    """

    @abstractmethod
    def drawer(self, clips: ClipTable, *, condition: Condition, seed: int, vocal: str | None) -> Drawer:
        """Return the draws of a run; raises GenerationError when no draw can be made at all."""

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
    """Yield the draws that have a plan nobody drew before, until :data:`PATIENCE` draws in a row have none.

    Parameters
    ----------
    draws : iterable of Draw
        In order of their numbers.
    known : CompactSet
        Choices there is a plan of: each new one is added. That is all a run remembers of a plan.
    tally : Tally
        Counts what becomes of the draws.
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
