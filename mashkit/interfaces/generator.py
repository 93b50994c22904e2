"""Generator: which stems to combine, and how to fit them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import attrs

from mashkit.cliptable import ClipTable
from mashkit.components import Component
from mashkit.errors import ContractViolation, GenerationError, UsageError
from mashkit.types import Clip, Condition, MashupPlan


@attrs.define(kw_only=True, eq=False)
class Generator(Component):
    """Draws plans from clips; ``info.provides`` names the conditions it knows."""

    kind: ClassVar[str] = "generator"

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
            If the condition is not one of ``info.provides``, the count is below 1, or ``vocal`` is no clip's id.
        GenerationError
            If not a single plan exists; it says which constraint leaves none.
        ContractViolation
            If a plan names a clip that was not given, or comes twice.
        """
        if condition not in self.info.provides:
            raise UsageError(
                f"generator {self.info.name!r} knows no condition {str(condition)!r}",
                f"use one of {', '.join(sorted(self.info.provides))}",
            )
        if count < 1:
            raise UsageError(f"count is {count}", "ask for at least one plan")
        table = ClipTable.of(clips)
        if vocal is not None and table.row_of(vocal) is None:
            raise UsageError(f"no clip has the id {vocal!r}", "see `mashkit generate --list-clips`")
        return self._checked(table, Condition(condition), count, seed, vocal)

    def _checked(
        self, clips: ClipTable, condition: Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[MashupPlan]:
        seen: set[str] = set()
        with self.backend_call("plan"):
            for plan in self._plan(clips, condition=condition, count=count, seed=seed, vocal=vocal):
                missing = {layer.clip_id for layer in plan.layers if clips.row_of(layer.clip_id) is None}
                if missing or plan.id in seen:
                    fault = f"uses unknown clips {sorted(missing)}" if missing else "comes twice"
                    raise ContractViolation(f"generator {self.info.name!r}: plan {plan.id} {fault}")
                seen.add(plan.id)
                yield plan
                if len(seen) == count:
                    return
        if not seen:
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
            found = {variant.id: variant for variant in self._variants(plan, clips)}
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
