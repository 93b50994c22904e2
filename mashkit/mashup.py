"""Define mashups: a plan with its clips, and with its sound, which is rendered when it is first read.

Scorers score mashups. The renderer lies above this module, in :mod:`mashkit.rendering.renderer`, and is used through
the interface :class:`MashupRenderer`, because renderers need stretchers, and the interfaces of components need mashups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import display, pages
from mashkit.arguments import require_path
from mashkit.components import Component
from mashkit.features.tuning import settled
from mashkit.types import (
    TONIC_NAMES,
    Audio,
    Clip,
    FrozenMapping,
    Layer,
    MashupPlan,
    Role,
    Samples,
    Times,
)

EARLY_S = 0.02
"""How long before the start of a mashup a beat may lie and still be its first, seconds (ours): two tracker frames."""


class ClipSource(Protocol):
    """The source from which a renderer reads clips and their stems, for example a catalog.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> class OneBand:
    ...     # A source of one clip.
    ...     def __init__(self):
    ...         self.stems, found = signals.band(mk.Key(9, "minor"), bars=2)
    ...         duration = self.stems.role(mk.Role.VOCAL).duration
    ...         self.only = mk.Clip("c1", "s1", "Band", "band.wav", 0.0, duration, 44_100, found)
    ...     def clip(self, clip_id):
    ...         return self.only
    ...     def stem(self, clip_id, role):
    ...         return self.stems.role(role)
    ...     def provenance(self, clip_ids):
    ...         return ()
    >>> source = OneBand()
    >>> print(source.clip("c1").analysis.key, round(source.stem("c1", mk.Role.VOCAL).duration, 2))
    A minor 4.25
    """

    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raise CatalogError if there is none."""

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's stem for ``role``, neither stretched nor with a gain."""

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return :meth:`Component.describe` of the components that made the stems and analyses of these clips."""


def is_source(value: object, *members: str) -> bool:
    """Return whether a value has the members that a renderer calls of a :class:`ClipSource`, and these."""
    return all(hasattr(value, name) for name in ("clip", "stem", *members))


class _Stems(FrozenMapping[Role, Audio]):
    """The stems of a mashup by role, which may be its name; the KeyError for anything else names those it has."""

    __slots__ = ()

    def __getitem__(self, role: Role | str) -> Audio:
        try:
            return super().__getitem__(Role(role))
        except (KeyError, ValueError):
            raise KeyError(f"the mashup has no stem {str(role)!r}: it has {', '.join(self)}") from None


@attrs.frozen(eq=False)
class Rendering:
    """The sound of one plan.

    Parameters
    ----------
    stems : mapping of Role to Audio
        Each has the plan's length and all gains; the sum of the stems is ``mix``.
    mix : Audio
    gain_db : float
        The gain that lowers the whole mix so that its peaks are not clipped, ≤ 0 dB.
    limited_db : float
        The largest reduction by the limiter at any moment, ≥ 0 dB.
    """

    stems: _Stems = attrs.field(converter=_Stems)
    mix: Audio
    gain_db: float
    limited_db: float


class MashupRenderer(Protocol):
    """The interface by which a mashup is rendered and written; :class:`mashkit.Renderer` implements it."""

    @property
    def source(self) -> ClipSource:
        """The source of its clips and their stems."""

    @property
    def stretcher(self) -> Component:
        """The stretcher with which it changes layers."""

    def mashup(self, plan: MashupPlan) -> Mashup:
        """Return a plan as a mashup of this renderer."""

    def render(self, plan: MashupPlan) -> Rendering:
        """Return the sound of ``plan``."""

    def placed(self, layer: Layer, duration_s: float) -> Samples:
        """Return the layer, stretched and with its gain, on a time line of ``duration_s`` seconds."""

    def save(self, mashup: Mashup, folder: Path) -> None:
        """Write the files of :meth:`Mashup.save`."""


def as_audio(samples: Samples, sample_rate: int) -> Audio:
    """Return samples as audio without a copy; they become read-only, so no other code may need to write to them."""
    samples.flags.writeable = False
    return Audio(samples, sample_rate)


class _Identity:
    """A key that is equal to that of the same object only; it keeps the object, so that no other gets its address."""

    def __init__(self, one: object) -> None:
        self._one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._one is other._one

    def __hash__(self) -> int:
        return id(self._one)


@attrs.frozen(eq=False)
class Mashup:
    """A plan and the renderer that can render it.

    ``stems`` and ``mix`` are rendered when they are first read. If a scorer reads only ``plan``, ``clips`` and
    ``source_stem``, nothing is stretched.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.testing.mashups import mashup_of
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0)], bars=4)
    >>> mashup = mashup_of(songs, songs.clips[0])  # or kit.generate(catalog)[0]
    >>> mashup.roles
    (<Role.VOCAL: 'vocal'>, <Role.HARMONIC: 'harmonic'>, <Role.PERCUSSION: 'percussion'>)
    >>> mashup.beats()[:3].round(2).tolist()
    [0.2, 0.7, 1.2]
    >>> mashup.mix.duration, round(mashup.mix.peak, 3)
    (8.2, 0.891)
    >>> mashup.source_stem(mk.Role.VOCAL).frames == mashup.stems[mk.Role.VOCAL].frames
    True
    """

    plan: MashupPlan
    renderer: MashupRenderer = attrs.field(repr=False)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of its layers, vocal first."""
        return self.plan.roles

    @property
    def clips(self) -> Mapping[Role, Clip]:
        """The clip of each layer."""
        return FrozenMapping({layer.role: self.renderer.source.clip(layer.clip_id) for layer in self.plan.layers})

    def tuning(self, role: Role | str = Role.VOCAL) -> float:
        """Return the tuning of ``role``'s clip, cents from A = 440 Hz; 0 if it is unknown.

        The chroma of a clip's own stem is centred on it, and goes up by :meth:`transposition`. The chroma of a rendered
        stem is centred on :attr:`played_tuning`.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        return self._clip(role).analysis.tuning or 0.0

    @property
    def played_tuning(self) -> float:
        """The tuning of the vocal as it is played, cents from A = 440 Hz: its clip's, or that of a shifted vocal.

        Generators shift the vocal by nothing or by whole semitones. An edited plan may shift it by 30 cents, say.
        """
        semitones = self.plan.layer(Role.VOCAL).semitones
        return self.tuning() + 100 * (semitones - round(semitones))

    def transposition(self, role: Role | str) -> float:
        """Return the semitones from a pitch class in the clip's tuning to the played one in :attr:`played_tuning`.

        A clip at −43 cents that is shifted by +2.43 semitones to a vocal at 0 cents is two semitones higher. The result
        is whole if the layer is in tune with the vocal (:func:`mashkit.features.tuning.settled`). If the tunings are
        equal or unknown, and the vocal's shift is whole, it is the layer's shift.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        semitones, off = self.plan.layer(role).semitones, self.tuning(role) - self.played_tuning
        return settled(semitones + off / 100) if off else semitones

    def provenance(self) -> Sequence[Mapping[str, Any]]:
        """Return :meth:`Component.describe` of the components that made the stems and analyses of its clips."""
        return self.renderer.source.provenance([layer.clip_id for layer in self.plan.layers])

    @property
    def sample_rate(self) -> int:
        """The sample rate of stems and mix, Hz."""
        return self._clip(Role.VOCAL).sample_rate

    def source_stem(self, role: Role | str) -> Audio:
        """Return the clip's own stem for ``role``: the whole clip, before stretching, placing and gain.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        layer = self.plan.layer(role)
        return self.renderer.source.stem(layer.clip_id, layer.role)

    def stem_key(self, role: Role | str) -> Hashable:
        """Return a key under which a scorer can keep what it measured of :meth:`source_stem`.

        The ids of a source with provenance, such as a catalog, depend on the sound: equal ids are equal stems. Any
        other source chooses its ids, and two of them may give one id to different stems. So the source itself is in
        the key.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        clip_id, source = self.plan.layer(role).clip_id, self.renderer.source
        return clip_id, role, None if source.provenance([clip_id]) else _Identity(source)

    def beats(self, role: Role | str = Role.VOCAL) -> Times:
        """Return the times in the mashup of the beats of ``role``'s clip, seconds; the vocal's beats are its grid.

        Raises
        ------
        AnalysisError
            If the clip's analysis has no beats.
        PlanError
            If the plan has no such layer.
        """
        return self._carried(role, "beats")

    def grid(self) -> Times:
        """Return the times between which its stems are compared: the vocal's beats, or its ends if there are under two.

        Raises
        ------
        AnalysisError
            If the vocal's analysis has no beats.
        """
        beats = self.beats()
        return beats if len(beats) >= 2 else np.array([0.0, self.plan.duration_s])

    def downbeats(self, role: Role | str = Role.VOCAL) -> Times:
        """Return the times in the mashup of the downbeats of ``role``'s clip, seconds; see :meth:`beats`."""
        return self._carried(role, "downbeats")

    def known_downbeats(self) -> Times:
        """Return the vocal's downbeats as :meth:`downbeats` does, or none, shape (0,), if they are unknown."""
        known = self._clip(Role.VOCAL).analysis.has("downbeats")
        return self.downbeats() if known else np.zeros(0)

    def _clip(self, role: Role | str) -> Clip:
        return self.renderer.source.clip(self.plan.layer(role).clip_id)

    def _carried(self, role: Role | str, field: str) -> Times:
        clip = self._clip(role)
        clip.require(field)
        times = self.plan.layer(role).to_mashup(getattr(clip.analysis, field))
        # A mashup begins on a bar line of the smoothed beats. The detected beat there may be some milliseconds early.
        inside = (times >= -EARLY_S) & (times < self.plan.duration_s)
        found: Times = np.maximum(times[inside], 0.0)
        return found

    def layer_audio(self, role: Role | str) -> Audio:
        """Return ``role``'s layer before mixing: stretched, placed and with its own gain.

        Fades, ducking and the peak guard are missing, because mixing computes them from all layers. The layer is placed
        again at every call.

        Raises
        ------
        PlanError
            If the plan has no such layer.
        """
        return as_audio(self.renderer.placed(self.plan.layer(role), self.plan.duration_s), self._clip(role).sample_rate)

    @property
    def stems(self) -> _Stems:
        """The rendered stems; their sum is :attr:`mix`."""
        return self.renderer.render(self.plan).stems

    @property
    def mix(self) -> Audio:
        """The rendered mix; its peaks are at most −1 dBFS."""
        return self.renderer.render(self.plan).mix

    @property
    def gain_db(self) -> float:
        """The gain that lowers the whole mix so that its peaks are not clipped, ≤ 0 dB."""
        return self.renderer.render(self.plan).gain_db

    @property
    def limited_db(self) -> float:
        """The largest reduction by the limiter at any moment, ≥ 0 dB."""
        return self.renderer.render(self.plan).limited_db

    def _repr_html_(self) -> str:
        """Return a player, the layers, their beats and their pitch classes, for notebooks; it renders the mashup."""
        analyses = {role: clip.analysis for role, clip in self.clips.items()}
        layers = [
            (layer.role, self.clips[layer.role].title, analyses[layer.role].key or "no key",
             f"{layer.semitones:+.2f}", f"{layer.speed:.3f}", f"{layer.gain_db:+.1f} dB")
            for layer in self.plan.layers
        ]  # fmt: skip
        told = {"Mashup": self.plan.id, "condition": self.plan.condition, "length": pages.clock(self.plan.duration_s)}
        parts = [
            display.facts(told),
            display.player(self.mix.samples, self.sample_rate),
            pages.table(("layer", "song", "key", "semitones", "speed", "gain"), pages.text_rows(layers)),
        ]
        known = [role for role in self.roles if analyses[role].has("beats")]
        if known:
            rows = {
                str(role): (self.beats(role), self.downbeats(role) if analyses[role].has("downbeats") else ())
                for role in known
            }
            parts.append(display.beat_grid(rows, self.plan.duration_s))
        if Role.VOCAL in known:
            pitched = [role for role in (Role.VOCAL, Role.HARMONIC) if role in self.roles]
            parts += [display.chroma(self._chroma(role), TONIC_NAMES, str(role)) for role in pitched]
        return "".join(parts)

    def _chroma(self, role: Role) -> npt.NDArray[Any]:
        """Return the chroma of ``role``'s rendered stem on the vocal's beats, shape (12, beats)."""
        from mashkit.features.spectral import StemChroma  # imported here, because it imports scipy

        return StemChroma.of(self.stems[role], tuning=self.played_tuning).by_beat(self.grid())

    def save(self, folder: Path | str) -> Path:
        """Write the mix, the stems and the record of their origin; see :func:`mashkit.rendering.output.write_mashup`.

        They replace, as a set, the files that an earlier ``save`` wrote into the folder.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            If ``folder`` is not a path.
        OutputError
            If the folder cannot be written, or holds files of the same names that are not mashkit's.
        """
        path = require_path("folder", folder)
        self.renderer.save(self, path)
        return path
