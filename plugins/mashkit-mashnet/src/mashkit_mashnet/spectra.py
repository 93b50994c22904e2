"""The spectra of a mashup that the paper's networks score: one of each layer, or one of the mix."""

from __future__ import annotations

from collections.abc import Hashable

import attrs
import numpy as np

from mashkit.errors import PlanError
from mashkit.mashup import Mashup
from mashkit.types import Role
from mashkit_mashnet.frontend import Bands, FrontEnd

LONGEST_S = 90.0
"""Longest vocal clip whose whole time line is scored, seconds; for a longer clip, only the mashup's time is."""

FEWEST_BARS = 2
"""Smallest number of bars of the vocal that can be scored (docs/paper.md, row 27)."""

_TOLERANCE = 0.05  # two bars may be a little shorter than exactly two, because an analyzer measured them
_MICROSECOND = 6  # decimals to which times are compared; one sample is longer than a microsecond


@attrs.frozen(eq=False)
class Stage:
    """The time line on which layers are scored, and the part of it that is the mashup.

    Candidates for one vocal have different start and end times, because a mashup covers only the time in which all its
    stems sound. On the time line of the vocal's whole clip, a layer's place does not depend on the other layers, so the
    network's output for the layer can be used again for all mashups with this vocal.

    Parameters
    ----------
    mashup : Mashup
        The layers on the time line of the vocal's clip, or on the mashup's own time line if the vocal's is longer than
        :data:`LONGEST_S`.
    start_s, end_s : float
        Start and end of the mashup on this time line, seconds.
    """

    mashup: Mashup
    start_s: float
    end_s: float

    @classmethod
    def of(cls, mashup: Mashup) -> Stage:
        """Return the stage on which the layers of ``mashup`` are scored."""
        plan = mashup.plan
        first, last = plan.layer(Role.VOCAL).to_mashup([0.0, mashup.clips[Role.VOCAL].duration]).tolist()
        first, last = min(first, 0.0), max(last, plan.duration_s)
        if last - first > LONGEST_S:
            return cls(mashup, 0.0, plan.duration_s)
        layers = [attrs.evolve(layer, offset_s=round(layer.offset_s - first, _MICROSECOND)) for layer in plan.layers]
        whole = attrs.evolve(plan, layers=layers, duration_s=round(last - first, _MICROSECOND))
        return cls(mashup.renderer.mashup(whole), -first, plan.duration_s - first)

    def key(self, role: Role) -> Hashable:
        """Return a key that is equal for layers that sound the same except for their gain."""
        plan, layer = self.mashup.plan, self.mashup.plan.layer(role)
        altered = layer.time_map is not None or layer.speed != 1.0 or layer.semitones != 0.0
        stretcher = self.mashup.renderer.stretcher if altered else None
        time = (layer.speed, layer.time_map, layer.offset_s, plan.duration_s)
        return (self.mashup.stem_key(role), layer.semitones, *time, stretcher)

    def spectrum(self, role: Role, front_end: FrontEnd) -> Bands:
        """Return the spectrum of a layer over the whole time line, shape (bands, frames)."""
        return front_end.spectrum(self.mashup.layer_audio(role))

    def frames(self, rate: float, count: int) -> slice:
        """Return the slice of ``count`` frames over the whole time line that lie in the mashup.

        Parameters
        ----------
        rate : float
            Frames per second.
        count : int
        """
        # 1e-6 frames allow for rounding. The last frame of the time line counts, because it belongs to the end.
        first = int(np.ceil(self.start_s * rate - 1e-6))
        at_end = self.end_s >= self.mashup.plan.duration_s - 1e-6
        return slice(first, count if at_end else min(int(self.end_s * rate + 1e-6), count))


def require_two_bars(mashup: Mashup, judge: str) -> None:
    """Raise PlanError if the mashup is shorter than two bars of its vocal; pass if the bar length is unknown.

    Parameters
    ----------
    mashup : Mashup
    judge : str
        Name of the scorer, for the message.
    """
    analysis, layer = mashup.clips[Role.VOCAL].analysis, mashup.plan.layer(Role.VOCAL)
    if analysis.downbeats is not None and len(analysis.downbeats) >= 2:
        bar_s = float(np.median(np.diff(layer.to_mashup(analysis.downbeats))))
    elif analysis.tempo is not None:
        bar_s = 4 * 60 / analysis.tempo / layer.speed
    else:
        return
    if mashup.plan.duration_s < FEWEST_BARS * bar_s * (1 - _TOLERANCE):
        raise too_short(mashup, judge, f"{FEWEST_BARS} bars or more, {FEWEST_BARS * bar_s:.1f} s here")


def too_short(mashup: Mashup, judge: str, due: str) -> PlanError:
    """Return the error for a mashup that is shorter than ``due``."""
    return PlanError(
        f"plan {mashup.plan.id} is {mashup.plan.duration_s:.1f} s long: {judge!r} judges {due}", "give a longer plan"
    )
