"""Store clips for generators as columns of the facts used for drawing; a clip itself is fetched when it is accessed.

The columns of a million clips are 49 MB; the objects with their beats would be gigabytes.

Conventions: a row is the number of a clip, from 0; tempo is BPM, durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.arguments import require_all
from mashkit.errors import CatalogError, UsageError
from mashkit.timing import metre
from mashkit.types import Analysis, Clip, Role

if TYPE_CHECKING:
    from mashkit.timing.beatmap import BeatGrid, BeatsDistrusted


LACKING = -1.0
"""Activity of a role that a clip lacks: less than any required share."""


def _column(values: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    array = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        # A read-only view is enough, because the table never writes; so a million rows are not copied.
        array = array.view()
        array.flags.writeable = False
    return array


def _int64(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return _column(values, np.int64)


def _int8(values: npt.ArrayLike) -> npt.NDArray[np.int8]:
    return _column(values, np.int8)


def _bool(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    return _column(values, np.bool_)


def _float64(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return _column(values, np.float64)


def _float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return _column(values, np.float32)


@attrs.frozen(kw_only=True, eq=False)
class ClipTable(Sequence[Clip]):
    """A sequence of clips that contains columns only: ``table[row]`` fetches the clip.

    Parameters
    ----------
    songs : array of int64, shape (n,)
        Number of the song; all clips of a song have the same number.
    tonics : array of int8, shape (n,)
        Pitch class of the key's relative major, 0–11 with C = 0; −1 if the key is unknown.
    minor : array of bool, shape (n,)
        Whether the key is minor; False if it is unknown.
    tempi : array of float64, shape (n,)
        BPM, > 0; NaN if unknown.
    downbeats : array of bool, shape (n,)
        Whether at least one downbeat is known.
    durations : array of float64, shape (n,)
        Seconds, > 0.
    activity : array of float32, shape (n, 3)
        Share of the clip in which each role's stem sounds, in the order of :class:`Role`; 1 if it was not measured,
        :data:`LACKING` if the clip has no such stem.
    fetch : callable
        Returns the clip of a row; it may cache clips.
    row_of : callable
        Returns the row of a clip's id, or None if no clip has that id.
    tunings : array of float64, shape (n,), optional
        Cents from A = 440 Hz, −50 to below 50; NaN if unknown. By default all are unknown.
    bars : array of int8, shape (n,), optional
        Beats per bar; 0 if unknown. By default all are unknown.
    doubtful : array of bool, shape (n,), optional
        Whether the beats per bar are doubtful (:func:`mashkit.timing.metre.doubt`). By default none are.
    grid_of : callable, optional
        Returns a clip's stored beat grid, or the reason why its beats are distrusted. Computing the grid takes
        milliseconds, and most clips of a large collection are used only once.

    Raises
    ------
    CatalogError
        If the columns differ in length or contain invalid values.

    Notes
    -----
    A table can be sent to other processes if its callables can.
    """

    songs: npt.NDArray[np.int64] = attrs.field(converter=_int64, repr=False)
    tonics: npt.NDArray[np.int8] = attrs.field(converter=_int8, repr=False)
    minor: npt.NDArray[np.bool_] = attrs.field(converter=_bool, repr=False)
    tempi: npt.NDArray[np.float64] = attrs.field(converter=_float64, repr=False)
    downbeats: npt.NDArray[np.bool_] = attrs.field(converter=_bool, repr=False)
    durations: npt.NDArray[np.float64] = attrs.field(converter=_float64, repr=False)
    activity: npt.NDArray[np.float32] = attrs.field(converter=_float32, repr=False)
    fetch: Callable[[int], Clip] = attrs.field(repr=False)
    row_of: Callable[[str], int | None] = attrs.field(repr=False)
    tunings: npt.NDArray[np.float64] = attrs.field(converter=_float64, repr=False)
    bars: npt.NDArray[np.int8] = attrs.field(converter=_int8, repr=False)
    doubtful: npt.NDArray[np.bool_] = attrs.field(converter=_bool, repr=False)
    grid_of: Callable[[Clip], BeatGrid | BeatsDistrusted] | None = attrs.field(default=None, repr=False)

    @tunings.default
    def _unknown_tunings(self) -> npt.NDArray[np.float64]:
        return np.full(len(self.songs), np.nan)

    @bars.default
    def _no_bars(self) -> npt.NDArray[np.int8]:
        return np.zeros(len(self.songs), np.int8)

    @doubtful.default
    def _no_doubts(self) -> npt.NDArray[np.bool_]:
        return np.zeros(len(self.songs), np.bool_)

    def __attrs_post_init__(self) -> None:
        count = len(self.songs)
        for name, shape in (
            ("songs", (count,)), ("tonics", (count,)), ("minor", (count,)), ("tempi", (count,)),
            ("downbeats", (count,)), ("durations", (count,)), ("activity", (count, len(Role))), ("tunings", (count,)),
            ("bars", (count,)), ("doubtful", (count,)),
        ):  # fmt: skip
            if getattr(self, name).shape != shape:
                raise CatalogError(f"column {name!r} has shape {getattr(self, name).shape}, not {shape}")
        if count and (self.tonics.min() < -1 or self.tonics.max() > 11):
            raise CatalogError("column 'tonics' must be from −1 to 11")
        if count and self.bars.min() < 0:
            raise CatalogError("column 'bars' must be numbers of beats in a bar, 0 if unknown")
        if not ((self.tempi > 0) & (self.tempi < math.inf) | np.isnan(self.tempi)).all():
            raise CatalogError("column 'tempi' must be positive BPM, NaN if unknown")
        if not ((self.durations > 0) & (self.durations < math.inf)).all():
            raise CatalogError("column 'durations' must be positive seconds")
        if not ((self.tunings >= -50) & (self.tunings < 50) | np.isnan(self.tunings)).all():
            raise CatalogError("column 'tunings' must be −50 to below 50 cents, NaN if unknown")

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructor makes the arrays read-only again, because pickle returns writable arrays.
        columns = {field.name: getattr(self, field.name) for field in attrs.fields(ClipTable)}
        return partial(ClipTable, **columns), ()

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> ClipTable:
        """Return a table of clips; a table is returned as it is.

        Raises
        ------
        UsageError
            If they are not clips, or two of them have the same id.
        """
        if isinstance(clips, ClipTable):
            return clips
        clips = require_all("clips", clips, Clip, "give clips: those of a catalog are catalog.clips")
        held = _Held(clips)
        songs: dict[str, int] = {}
        keys = [clip.analysis.key for clip in clips]
        return cls(
            songs=np.array([songs.setdefault(clip.song, len(songs)) for clip in clips], dtype=np.int64),
            tonics=np.array([-1 if key is None else key.relative_major_tonic for key in keys], dtype=np.int8),
            minor=np.array([key is not None and key.mode == "minor" for key in keys], dtype=np.bool_),
            tempi=np.array([clip.analysis.tempo or math.nan for clip in clips], dtype=np.float64),
            downbeats=np.array([clip.analysis.has("downbeats") for clip in clips], dtype=np.bool_),
            durations=np.array([clip.duration for clip in clips], dtype=np.float64),
            # If the activity was not measured, the stem counts as sounding all the time.
            activity=np.array(
                [[LACKING if role in clip.lacks else clip.activity.get(role, 1.0) for role in Role] for clip in clips]
            ).reshape(-1, 3),
            tunings=np.array([_or_nan(clip.analysis.tuning) for clip in clips], dtype=np.float64),
            bars=np.array([bar_column(clip.analysis) for clip in clips], dtype=np.int8),
            doubtful=np.array([metre.doubt(clip.analysis) is not None for clip in clips], dtype=np.bool_),
            fetch=held.fetch,
            row_of=held.row_of,
        )

    def __len__(self) -> int:
        return len(self.songs)

    def activity_of(self, role: Role) -> npt.NDArray[np.float32]:
        """Return the column of :attr:`activity` for a role."""
        column: npt.NDArray[np.float32] = self.activity[:, list(Role).index(role)]
        return column

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Clip]: ...

    def __getitem__(self, index: int | slice) -> Clip | Sequence[Clip]:
        if isinstance(index, slice):
            return [self.fetch(row) for row in range(len(self))[index]]
        return self.fetch(range(len(self))[index])


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def bar_column(analysis: Analysis) -> int:
    """Return the beats per bar for the column: 0 if unknown, and at most 127, the largest int8."""
    return min(analysis.beats_per_bar or 0, 127)


class _Held:
    """Clips in memory, by row and by id."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = tuple(clips)
        self._rows = {clip.id: row for row, clip in enumerate(self._clips)}
        if len(self._rows) != len(self._clips):
            raise UsageError("two of the clips have the same id")

    def fetch(self, row: int) -> Clip:
        return self._clips[row]

    def row_of(self, clip_id: str) -> int | None:
        return self._rows.get(clip_id)
