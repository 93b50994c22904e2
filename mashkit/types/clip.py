"""Clips: excerpts of songs, as a database records them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mashkit.errors import AnalysisError
from mashkit.types.analysis import Analysis
from mashkit.types.mappings import as_tuple, entries, frozen_mapping
from mashkit.types.stems import Role, as_roles

LABELS_TRUSTED = "labels"
"""An entry of :attr:`Clip.edited`: a user trusted the song's labels, so they were not compared with the sound."""

_NEEDED = (
    *("id", "song", "title", "source", "start_s", "duration_s", "sample_rate", "licence", "analysis"),
    *("loudness_lufs", "activity", "entry_s", "label", "edited"),
)
"""Entries that the data of a clip must have; a clip that has all stems has no "lacks"."""


@attrs.frozen
class Clip:
    """One excerpt of a song as the MashupDB records it: plain data; the catalog returns its stems.

    Parameters
    ----------
    id : str
        Unique among all catalogs: it depends on the audio, the excerpt and the separator.
    song : str
        Identity of the excerpt's song; all clips of a song have the same.
    title : str
        The song's title, to be shown.
    source : str
        File the clip was cut from, as the user named it.
    start, duration : float
        Position of the clip in the file, and its length, seconds.
    sample_rate : int
        Sample rate of its stems, Hz.
    analysis : Analysis
        Times relative to the clip's start.
    licence : str
        Licence of the recording; "unknown" if none was given.
    loudness : mapping of Role to float
        Integrated loudness of each role's stem, LUFS; −inf for silence.
    activity : mapping of Role to float
        Share of the clip's time, 0–1, in which the role's stem sounds.
    entry : mapping of Role to float
        Time at which each role's stem first sounds, seconds; a role that is silent has no entry.
    label : str
        The part of the song ("verse", "chorus"), if it was given; else empty.
    edited : tuple of str
        Fields of the analysis that a user set; :data:`LABELS_TRUSTED` if labels were used without a check.
    lacks : frozenset of Role
        Roles of which the clip has no sound and no stem: an a cappella lacks harmony and percussion.

    Examples
    --------
    >>> import mashkit as mk
    >>> found = mk.Analysis(key=mk.Key(9, "minor"), tempo=104.0, beats=[0.4, 0.98, 1.55], downbeats=[0.4])
    >>> clip = mk.Clip("c1", "s1", "River", "river.ogg", 32.0, 36.9, 44_100, found, lacks={mk.Role.PERCUSSION})
    >>> clip.roles
    (<Role.VOCAL: 'vocal'>, <Role.HARMONIC: 'harmonic'>)
    >>> clip.require("key", "downbeats")
    >>> mk.Clip.from_dict(clip.to_dict()) == clip
    True
    """

    id: str
    song: str
    title: str
    source: str
    start: float
    duration: float
    sample_rate: int
    analysis: Analysis
    licence: str = "unknown"
    loudness: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    activity: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    entry: Mapping[Role, float] = attrs.field(factory=dict, converter=frozen_mapping)
    label: str = ""
    edited: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    lacks: frozenset[Role] = attrs.field(default=frozenset(), converter=as_roles)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of which the clip has a stem."""
        return tuple(role for role in Role if role not in self.lacks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; :meth:`from_dict` reads it back to an equal value. Silence is null, not −∞."""
        loudness = {str(role): value if math.isfinite(value) else None for role, value in self.loudness.items()}
        return {
            "id": self.id,
            "song": self.song,
            "title": self.title,
            "source": self.source,
            "start_s": self.start,
            "duration_s": self.duration,
            "sample_rate": self.sample_rate,
            "licence": self.licence,
            "analysis": self.analysis.to_dict(),
            "loudness_lufs": loudness,
            "activity": {str(role): value for role, value in self.activity.items()},
            "entry_s": {str(role): value for role, value in self.entry.items()},
            "label": self.label,
            "edited": list(self.edited),
            **({"lacks": sorted(self.lacks)} if self.lacks else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Clip:
        """Return the clip that :meth:`to_dict` wrote.

        Raises
        ------
        MashkitError
            If an entry is missing, or its value is invalid.
        """
        data = entries(data, _NEEDED, "a clip", AnalysisError)
        try:
            loudness = {role: -math.inf if value is None else value for role, value in data["loudness_lufs"].items()}
            by_role = {"loudness": loudness, "activity": data["activity"], "entry": data["entry_s"]}
            return cls(
                id=data["id"],
                song=data["song"],
                title=data["title"],
                source=data["source"],
                start=data["start_s"],
                duration=data["duration_s"],
                sample_rate=data["sample_rate"],
                licence=data["licence"],
                analysis=Analysis.from_dict(data["analysis"]),
                label=data["label"],
                edited=data["edited"],
                lacks=data.get("lacks", ()),
                **{name: {Role(role): value for role, value in values.items()} for name, values in by_role.items()},
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise AnalysisError(f"this is not a clip: {error}", "give what to_dict() returned") from error

    def require(self, *fields: str) -> None:
        """Raise AnalysisError unless the analysis has each of ``fields`` ("key", "tempo", "downbeats"…)."""
        for field in fields:
            if not self.analysis.has(field):
                alone = self.lacks >= {Role.HARMONIC, Role.PERCUSSION}
                raise AnalysisError(
                    f"{self.source}: clip {self.id} has no {field}",
                    "give it with --vocal-key, --vocal-bpm or --vocal-downbeat: it cannot be found from a voice alone"
                    if alone
                    else f"use an analyzer that provides {field} (`mashkit plugins`), or set it with `mashkit db edit`",
                )


def by_id(clips: Sequence[Clip]) -> dict[str, Clip]:
    """Return a mapping from id to clip.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> from mashkit.types import by_id
    >>> clips = by_id(SyntheticSource([(mk.Key(9, "minor"), 104.0)], bars=2).clips)
    >>> list(clips)
    ['band-0-A-minor-104-2-0']
    """
    return {clip.id: clip for clip in clips}
