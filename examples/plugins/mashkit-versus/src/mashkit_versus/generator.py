"""The generator: "A versus B", the oldest mashup there is: the voice of one song over all the rest of one other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import attrs
import numpy as np

import mashkit as mk
from mashkit.conditions import Promise
from mashkit_versus import GENERATOR


@attrs.define(kw_only=True, eq=False)
class VersusGenerator(mk.Generator):
    """The voice of one clip over harmony and drums of one clip of another song, in key and in time.

    Parameters
    ----------
    max_shift : int
        Largest shift of the backing, semitones.
    max_stretch : float
        Largest change of its speed: 0.2 allows 0.83 to 1.2.
    longest_s : float
        Length of a mashup at most, seconds; the least is 25.
    """

    info = GENERATOR
    promises: ClassVar[Mapping[str, Promise]] = {
        "versus": Promise(
            description="the voice of one song over all the rest of one other, in its key and tempo",
            key="matched", tempo="matched", downbeats=True, songs="several",
        )
    }  # fmt: skip

    max_shift: int = attrs.field(default=3, validator=[attrs.validators.ge(0), attrs.validators.le(6)])
    max_stretch: float = attrs.field(default=0.2, converter=float, validator=attrs.validators.ge(0))
    longest_s: float = attrs.field(default=60.0, converter=float, validator=attrs.validators.ge(25))

    def _plan(
        self, clips: Sequence[mk.Clip], *, condition: mk.Condition, count: int, seed: int, vocal: str | None
    ) -> Iterator[mk.MashupPlan]:
        known = [clip for clip in clips if clip.analysis.key and clip.analysis.tempo and _first_bar(clip) is not None]
        pairs = [(one, other) for one in known for other in known if vocal in (None, one.id) and one.song != other.song]
        for index in np.random.default_rng(seed).permutation(len(pairs)):
            plan = self._versus(*pairs[index], condition, seed)
            if plan is not None:
                yield plan

    def _versus(self, voice: mk.Clip, rest: mk.Clip, condition: mk.Condition, seed: int) -> mk.MashupPlan | None:
        if voice.lacks & {mk.Role.VOCAL} or rest.lacks:
            return None
        # A clip that is 20 cents flat is shifted 20 cents more.
        tunings = (voice.analysis.tuning or 0.0) - (rest.analysis.tuning or 0.0)
        semitones = rest.analysis.key.semitones_to(voice.analysis.key) + tunings / 100
        speed = voice.analysis.tempo / rest.analysis.tempo
        speed *= 2.0 ** -round(np.log2(speed))  # half and double tempo are one tempo
        begins, enters = _first_bar(voice), _first_bar(rest)
        duration = min(voice.duration - begins, (rest.duration - enters) / speed, self.longest_s)
        if abs(semitones) > self.max_shift + 0.5 or abs(np.log(speed)) > np.log1p(self.max_stretch) or duration < 25:
            return None
        backing = {"clip_id": rest.id, "speed": speed, "semitones": semitones, "offset_s": -enters / speed}
        return mk.MashupPlan(
            condition=condition,
            layers=[
                mk.Layer(role=mk.Role.VOCAL, clip_id=voice.id, offset_s=-begins),
                mk.Layer(role=mk.Role.HARMONIC, **backing),
                mk.Layer(role=mk.Role.PERCUSSION, **{**backing, "semitones": 0.0}),
            ],
            duration_s=duration,
            seed=seed,
            generator={"name": self.info.name, "options": self.options()},
        )


def _first_bar(clip: mk.Clip) -> float | None:
    downbeats = clip.analysis.downbeats
    return None if downbeats is None or len(downbeats) == 0 else float(downbeats[0])
