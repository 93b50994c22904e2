"""Mashups before they are rendered: conditions, layers, plans."""

from __future__ import annotations

import difflib
import enum
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.errors import PlanError, StemError, TimeMapError, UsageError
from mashkit.numbers import plain_number, plain_whole
from mashkit.types.mappings import FrozenRecord, as_tuple, entries
from mashkit.types.stems import Role, as_role
from mashkit.types.timemap import TimeMap, Times


def _finite(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if type(value) is not float or not math.isfinite(value):
        raise PlanError(f"{type(instance).__name__}.{attribute.name} is {value!r}, not a finite number")


def _role(value: object) -> Role:
    try:
        return as_role(value)
    except StemError as error:
        raise PlanError(f"Layer.role: {error.problem}", error.fix) from error


def _text(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise PlanError(f"{type(instance).__name__}.{attribute.name} is {value!r}", "give the id of a clip")


def _time_map(value: object) -> TimeMap | None:
    """Return a time map or None; checked here, because the default speed is that of the map."""
    if value is not None and not isinstance(value, TimeMap):
        raise PlanError(f"Layer.time_map is {value!r}", "give TimeMap(source, target), or None")
    return value


class Condition(enum.StrEnum):
    """The rule by which a mashup's stems were chosen: an open set of names.

    The paper's five conditions ("Mashup Generation") are constants, and iterating yields these five. A generator may
    define its own conditions: ``Condition("slow-jam")`` returns the same object each time, which equals its name only.

    Raises
    ------
    ValueError
        If a name is not text, is empty, or has blanks at its ends or characters that cannot be printed.

    Examples
    --------
    >>> import mashkit as mk
    >>> [condition.value for condition in mk.Condition]
    ['original', 'matched', 'unmatched-key', 'unmatched-tempo', 'unmatched-key-tempo']
    >>> mk.Condition("matched") is mk.Condition.MATCHED
    True
    >>> mk.Condition("slow-jam") == "slow-jam"
    True
    """

    ORIGINAL = "original"
    MATCHED = "matched"
    UNMATCHED_KEY = "unmatched-key"
    UNMATCHED_TEMPO = "unmatched-tempo"
    UNMATCHED_KEY_TEMPO = "unmatched-key-tempo"

    @classmethod
    def _missing_(cls, value: object) -> Condition:
        if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
            raise ValueError(f"{value!r} is not the name of a condition")
        made = str.__new__(cls, value)
        made._name_, made._value_ = value, value
        # Each name has one object, as the constants do, because conditions are compared with "is".
        found = cls._value2member_map_.setdefault(value, made)
        assert isinstance(found, cls)  # noqa: S101 — the map holds nothing else
        return found


@attrs.frozen(kw_only=True)
class Layer:
    """One role of a mashup: the clip whose stem plays it, and how that stem is changed.

    The time ``t`` of the clip sounds at ``offset_s + t / speed`` of the mashup; with a time map, at
    ``offset_s + time_map.to_target(t)``.

    Parameters
    ----------
    role : Role
    clip_id : str
    speed : float
        Playing speed, > 0: at 1.25 the stem is a quarter faster and a fifth shorter. With a time map the speed only
        records the map's mean speed: leave it out, or give exactly that value.
    time_map : TimeMap, optional
        Maps the clip's times to times after stretching, counted from its first frame. Without it the speed is constant.
    semitones : float
        Pitch shift, semitones.
    offset_s : float
        Time of the stem's first frame in the mashup, seconds; negative if the beginning of the stem is cut off.
    gain_db : float
        Gain before mixing, dB.

    Examples
    --------
    >>> import mashkit as mk
    >>> layer = mk.Layer(role="harmonic", clip_id="c2", speed=1.25, semitones=-2, offset_s=0.5)
    >>> layer.to_mashup([0.0, 10.0]).tolist()
    [0.5, 8.5]
    >>> layer.to_clip([0.5, 8.5]).tolist()
    [0.0, 10.0]
    >>> along = mk.Layer(role="harmonic", clip_id="c2", time_map=mk.TimeMap([0, 4, 10], [0, 4, 9]))
    >>> round(along.speed, 3), along.at_one_speed().time_map
    (1.111, None)
    """

    role: Role = attrs.field(converter=_role)
    clip_id: str = attrs.field(validator=_text)
    time_map: TimeMap | None = attrs.field(default=None, converter=_time_map)
    speed: float = attrs.field(converter=plain_number, validator=_finite)
    semitones: float = attrs.field(default=0.0, converter=plain_number, validator=_finite)
    offset_s: float = attrs.field(default=0.0, converter=plain_number, validator=_finite)
    gain_db: float = attrs.field(default=0.0, converter=plain_number, validator=_finite)

    @speed.default
    def _mean_speed(self) -> float:
        return 1.0 if self.time_map is None else self.time_map.mean_speed

    def __attrs_post_init__(self) -> None:
        if self.speed <= 0:
            raise PlanError(f"speed of the {self.role} layer is {self.speed}", "give a positive number")
        if self.time_map is not None and not math.isclose(self.speed, self.time_map.mean_speed, rel_tol=1e-9):
            raise PlanError(
                f"speed of the {self.role} layer is {self.speed}, "
                f"but the mean speed of its time map is {self.time_map.mean_speed}",
                "leave out the speed or the time map",
            )

    def to_mashup(self, times: npt.ArrayLike) -> Times:
        """Convert times of the clip to times of the mashup, seconds."""
        at = np.asarray(times, dtype=np.float64)
        carried: Times = self.offset_s + (at / self.speed if self.time_map is None else self.time_map.to_target(at))
        return carried

    def to_clip(self, times: npt.ArrayLike) -> Times:
        """Convert times of the mashup to times of the clip, seconds: the inverse of :meth:`to_mashup`."""
        at = np.asarray(times, dtype=np.float64) - self.offset_s
        carried: Times = at * self.speed if self.time_map is None else self.time_map.to_source(at)
        return carried

    def at_one_speed(self) -> Layer:
        """Return the layer without its time map, at the map's mean speed and with the offset closest to its knots.

        Closest means: the median distance of the knots is 0. This is for stretchers that cannot follow a time map, and
        to compare a time map with one speed.
        """
        if self.time_map is None:
            return self
        late = np.array(self.time_map.target) - np.array(self.time_map.source) / self.speed
        return attrs.evolve(self, time_map=None, offset_s=self.offset_s + float(np.median(late)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a layer without a time map has no such entry."""
        data: dict[str, Any] = {
            "role": str(self.role),
            "clip_id": self.clip_id,
            "speed": self.speed,
            "semitones": self.semitones,
            "offset_s": self.offset_s,
            "gain_db": self.gain_db,
        }
        return data if self.time_map is None else {**data, "time_map": self.time_map.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layer:
        """Return the layer that :meth:`to_dict` wrote.

        Raises
        ------
        PlanError
            If the data is not a layer.
        """
        if not isinstance(data, Mapping):
            raise PlanError(f"the plan is malformed: {data!r} is not a layer", "give a mapping with role and clip_id")
        data = entries(data, ["role", "clip_id"], "a layer", PlanError)
        _require_known(data, [field.name for field in attrs.fields(cls)], f"its {data.get('role', 'nameless')} layer")
        fields = {**data}
        if fields.get("time_map") is not None:
            fields["time_map"] = TimeMap.from_dict(fields["time_map"])
        return cls(**fields)


def _require_known(data: Any, names: Sequence[str], what: str) -> None:
    """Raise PlanError if a mapping has an entry of another name, because an edit would have no effect."""
    for name in data if isinstance(data, Mapping) else ():
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
            raise PlanError(f"the plan is malformed: {what} has no {name!r}", fix)


def _at_least_zero(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if type(value) is not float or not (math.isfinite(value) and value >= 0):
        raise PlanError(f"{type(instance).__name__}.{attribute.name} is {value!r}", "give 0 (off) or more")


@attrs.frozen(kw_only=True)
class Mixing:
    """Processing of all layers together, after their gains; none by default, as in the paper.

    Parameters
    ----------
    fade_in_s, fade_out_s : float
        Length of the fades at the mashup's beginning and end, seconds, ≥ 0.
    duck_db : float
        Attenuation of the harmonic layer while the vocal sounds, dB, ≥ 0.
    limit_db : float
        Largest attenuation of single peaks by the limiter, dB, ≥ 0. If a peak needs more, the whole mix is lowered by
        the rest.

    Examples
    --------
    >>> import mashkit as mk
    >>> mk.Mixing(fade_out_s=2, duck_db=4)
    Mixing(fade_in_s=0.0, fade_out_s=2.0, duck_db=4.0, limit_db=0.0)
    >>> mk.Mixing(duck_db=-4)
    Traceback (most recent call last):
        ...
    mashkit.errors.PlanError: Mixing.duck_db is -4.0 (give 0 (off) or more)
    """

    fade_in_s: float = attrs.field(default=0.0, converter=plain_number, validator=_at_least_zero)
    fade_out_s: float = attrs.field(default=0.0, converter=plain_number, validator=_at_least_zero)
    duck_db: float = attrs.field(default=0.0, converter=plain_number, validator=_at_least_zero)
    limit_db: float = attrs.field(default=0.0, converter=plain_number, validator=_at_least_zero)


def _condition(value: Condition | str) -> Condition:
    try:
        return Condition(value)
    except ValueError as error:
        raise PlanError(str(error), "give a word or two, like slow-jam") from error


def _layers(values: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers in the order of their roles, because the order does not change the mashup."""
    layers = as_tuple(values)
    for layer in layers:
        if not isinstance(layer, Layer):
            raise PlanError(f"{layer!r} is not a layer", "give Layer(role=…, clip_id=…)")
    return tuple(sorted(layers, key=lambda layer: _PLACES[layer.role]))


def _record(value: Mapping[str, Any]) -> FrozenRecord:
    """Return the record of a generator as data that nobody can change; a frozen one is shared by all plans of a run."""
    if isinstance(value, FrozenRecord):
        return value
    if not isinstance(value, Mapping):
        raise PlanError(f"MashupPlan.generator is {value!r}", "give a mapping: the generator's record()")
    try:
        return FrozenRecord(value)
    except UsageError as error:
        raise PlanError(f"MashupPlan.generator: {error.problem}", error.fix) from error
    except RecursionError as error:
        raise PlanError("MashupPlan.generator has too many levels", "give the generator's record()") from error


def _read_record(value: Any) -> FrozenRecord:
    """Return the record of a plan's JSON; NaN and infinities become text, as in :func:`mashkit.components.plain`."""
    try:
        return _record(value)
    except PlanError:  # rarely, so that other plans are not read more slowly
        return _record(json.loads(json.dumps(value), parse_constant=str))


def _notes(values: Iterable[str]) -> tuple[str, ...]:
    notes = as_tuple(values)
    for note in notes:
        if not isinstance(note, str):
            raise PlanError(f"a note of the plan is {note!r}", "give text")
    return notes


_PLACES = {role: place for place, role in enumerate(Role)}

PLAN_FORMAT = 2
"""Version of the JSON form of a plan; a reader refuses newer versions than its own. Format 1 had no time maps, mixing
or notes, and is read as a plan without them."""


@attrs.frozen(kw_only=True)
class MashupPlan:
    """A mashup before it is rendered: plain data that is written to JSON and read back equal.

    A plan contains no audio. So the same plans can be rendered by two stretchers, or scored by two scorers, which makes
    the comparison fair.

    Parameters
    ----------
    condition : Condition or str
        One of the paper's conditions, or the name of one of the generator's own.
    layers : sequence of Layer
        At most one layer for each role; a vocal layer is required.
    duration_s : float
        Length of the mashup, seconds, > 0.
    seed : int
        Seed of the generator run that drew the plan.
    generator : mapping of str
        Name, version and options of the generator that drew the plan: JSON data. It is kept as mappings and tuples that
        nobody can change, because the plans of a run share it.
    mixing : Mixing
    notes : sequence of str
        Remarks for the user, for example why a layer is played at one speed.

    Examples
    --------
    >>> import attrs
    >>> import mashkit as mk
    >>> vocal = mk.Layer(role="vocal", clip_id="c1")
    >>> drums = mk.Layer(role="percussion", clip_id="c2", speed=1.04)
    >>> plan = mk.MashupPlan(condition="matched", layers=[vocal, drums], duration_s=30, seed=1)
    >>> plan.roles
    (<Role.VOCAL: 'vocal'>, <Role.PERCUSSION: 'percussion'>)
    >>> plan.layer(mk.Role.PERCUSSION).speed
    1.04
    >>> mk.MashupPlan.from_json(plan.to_json()) == plan
    True
    >>> quieter = attrs.evolve(plan, layers=[vocal, attrs.evolve(drums, gain_db=-3)])
    >>> plan.id, quieter.id
    ('e9c001392173', '250fb1ac755f')
    """

    condition: Condition = attrs.field(converter=_condition)
    layers: tuple[Layer, ...] = attrs.field(converter=_layers)
    duration_s: float = attrs.field(converter=plain_number, validator=_finite)
    seed: int = attrs.field(converter=plain_whole)
    generator: FrozenRecord = attrs.field(factory=lambda: FrozenRecord({}), converter=_record)
    mixing: Mixing = attrs.field(factory=Mixing)
    notes: tuple[str, ...] = attrs.field(default=(), converter=_notes)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.mixing, Mixing):
            raise PlanError(f"MashupPlan.mixing is a {type(self.mixing).__name__}", "give a Mixing")
        if type(self.seed) is not int:
            raise PlanError(f"MashupPlan.seed is {self.seed!r}", "give a whole number")
        roles = [layer.role for layer in self.layers]
        if Role.VOCAL not in roles or len(set(roles)) != len(roles):
            raise PlanError(f"a plan needs a vocal and at most one layer of each role, not {[str(r) for r in roles]}")
        if self.duration_s <= 0:
            raise PlanError(f"a plan's duration is {self.duration_s} s", "give a positive length")

    @property
    def id(self) -> str:
        """Twelve hex digits that depend on layers, mixing and length, because they decide the sound; not on the seed
        or the generator.
        """
        heard = {
            "duration_s": self.duration_s,
            "layers": [layer.to_dict() for layer in self.layers],
            "mixing": attrs.asdict(self.mixing),
        }
        return hashlib.sha256(json.dumps(heard, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of its layers, vocal first."""
        return tuple(sorted((layer.role for layer in self.layers), key=list(Role).index))

    def at_one_speed(self, reason: str) -> MashupPlan:
        """Return the plan with each layer played at one speed (:meth:`Layer.at_one_speed`) and a note of the reason."""
        if all(layer.time_map is None for layer in self.layers):
            return self
        layers = [layer.at_one_speed() for layer in self.layers]
        return attrs.evolve(self, layers=layers, notes=(*self.notes, f"one speed, not a beat map: {reason}"))

    def layer(self, role: Role | str) -> Layer:
        """Return the layer of ``role``, which may be its name; raise PlanError if there is none."""
        for layer in self.layers:
            if layer.role == role:
                return layer
        raise PlanError(f"plan {self.id} has no {role} layer")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "format": PLAN_FORMAT,
            "condition": str(self.condition),
            "seed": self.seed,
            "duration_s": self.duration_s,
            "layers": [layer.to_dict() for layer in self.layers],
            "mixing": attrs.asdict(self.mixing),
            "generator": self.generator.plain(),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return one line of JSON; :meth:`from_json` reads an equal plan from it."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: Any) -> MashupPlan:
        """Return the plan that :meth:`to_dict` wrote, or that a mashup's `plan.json` contains under "plan".

        Raises
        ------
        PlanError
            If the data is not a plan, or is a plan of a newer format.
        """
        if isinstance(data, Mapping) and "format" not in data and "plan" in data:
            data = data["plan"]
        if not isinstance(data, Mapping) or "format" not in data:
            raise PlanError("this is not a mashup plan", "give what `mashkit generate` wrote")
        if data["format"] not in range(1, PLAN_FORMAT + 1):
            raise PlanError(
                f"the plan has format {data['format']!r}, but this mashkit reads format {PLAN_FORMAT}", "update mashkit"
            )
        _require_known(data, ["id", "format", *(field.name for field in attrs.fields(cls))], "it")
        _require_known(data.get("mixing", {}), [field.name for field in attrs.fields(Mixing)], "its mixing")
        try:
            return cls(
                condition=data["condition"],
                layers=[Layer.from_dict(layer) for layer in data["layers"]],
                duration_s=data["duration_s"],
                seed=data["seed"],
                generator=_read_record(data["generator"]),
                mixing=Mixing(**data.get("mixing", {})),
                notes=data.get("notes", ()),
            )
        except (UsageError, TimeMapError) as error:
            raise PlanError(f"the plan is malformed: {error.problem}", error.fix) from error
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(f"the plan is malformed: {error!r}", "give what `mashkit generate` wrote") from error

    @classmethod
    def from_json(cls, text: str) -> MashupPlan:
        """Return the plan of the text of :meth:`to_json` or of a `plan.json`; raises PlanError as :meth:`from_dict`."""
        try:
            data = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise PlanError(f"a plan is not JSON: {error}", "give what `mashkit generate` wrote") from error
        return cls.from_dict(data)


@attrs.frozen(kw_only=True)
class Finish:
    """Changes to plans after they are drawn, the same for every generator.

    Parameters
    ----------
    duck_db : float, optional
        Attenuation of the harmonic layer while the vocal sounds, dB, ≥ 0; None keeps the plan's own value.
    plain : bool
        Use unit gains, no fades and no limiter, as the paper does.

    Examples
    --------
    >>> import mashkit as mk
    >>> layers = [mk.Layer(role="vocal", clip_id="c1"), mk.Layer(role="harmonic", clip_id="c2", gain_db=-2.5)]
    >>> plan = mk.MashupPlan(condition="matched", layers=layers, duration_s=30, seed=1)
    >>> ducked = mk.Finish(duck_db=4).of(plan)
    >>> ducked.mixing.duck_db
    4.0
    >>> mk.Finish(plain=True).of(plan).layer(mk.Role.HARMONIC).gain_db
    0.0
    """

    duck_db: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain_number),
        validator=attrs.validators.optional(_at_least_zero),
    )
    plain: bool = False

    def of(self, plan: MashupPlan) -> MashupPlan:
        """Return the plan with these changes; a second call makes no further change."""
        if self == Finish():
            return plan
        layers, mixing = plan.layers, plan.mixing
        if self.plain:
            layers = tuple(attrs.evolve(layer, gain_db=0.0) for layer in layers)
            mixing = Mixing(duck_db=mixing.duck_db)
        if self.duck_db is not None:
            mixing = attrs.evolve(mixing, duck_db=self.duck_db)
        return attrs.evolve(plan, layers=layers, mixing=mixing)
