"""Build components from other components: fields of analyzers, sums of scorers, means of separators, cached results.

The name of a composite lists its parts, and is valid wherever a component's name is:

- ``key:essentia,beats:madmom`` (analyzer): each field from the analyzer after its colon;
- ``amu+0.5*tiv`` (scorer): the weighted sum;
- ``rank(amu,0.5*tiv)``, ``z(amu,0.5*tiv)`` (scorer): the weighted mean of ranks, or of z-scores, among all mashups
  scored together: use it if the parts' values have different spreads;
- ``mean(demucs,2*openunmix)`` (separator): the weighted mean of each stem; ``mean(demucs,openunmix;vocals=3:1)`` has
  other weights for a stem;
- ``cached:amu`` (analyzer or scorer): results are stored in the cache folder and read from there the next time. At the
  beginning of a name it is for all that follows: ``cached:amu+tiv`` stores the sums.

A part is a component's name, ``cached:`` and a part, or a composite in brackets: ``tiv+cached:amu``,
``key:cached:essentia,beats:madmom``, ``rank(amu,0.5*(tiv+chords))``, ``(cached:amu)+tiv``, ``cached:(amu+tiv)``.

Options are passed to the parts: ``-O scorer.tiv.option=value``.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from mashkit.arguments import default_cache, parts_of
from mashkit.atomicfile import write_json
from mashkit.audio.buffers import weighted_sum
from mashkit.audio.levels import FULL_SCALE
from mashkit.components import Component, ComponentInfo, without_costs
from mashkit.components.code import code_sha256
from mashkit.errors import MashkitError, OptionError, OutputError, PluginWarning, UsageError
from mashkit.interfaces import Analyzer, Scorer, Separator
from mashkit.interfaces.analyzer import ANALYSIS_FIELDS
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.licences import joined
from mashkit.mashup import Mashup
from mashkit.types import Analysis, Audio, Score, StemSet
from mashkit.types.stems import REST

T = TypeVar("T")

Make = Callable[[str, str, Mapping[str, Any]], Component]
"""Makes a part, given its kind, name and options: :meth:`mashkit.Registry.create`."""

CACHED = "cached:"
FOLLOWING = {"beats": ("downbeats", "tempo")}
"""Field → fields from the same analyzer unless they are named: downbeats are among the beats, which have the tempo."""


def is_composite(name: str) -> bool:
    """Return whether a name is the name of a composite."""
    return any(sign in name for sign in ":+*(")


_OF = re.compile(r"(?P<how>rank|z|mean)(?P<parts>\(.*\))")
_FIELD = re.compile(r"(?P<field>\w+):(?P<part>.+)")
_WEIGHTED = re.compile(r"((?P<weight>\d*\.?\d+)\*)?(?P<part>.+)")
_TERM = r"[^*:()]+"
"""A part of a sum, or a field's analyzer: a component's name."""
_ENTRY = r"[^*()]+"
"""A part in a list: a component's name, or that of a composite without brackets and weights."""
EXAMPLES = (
    'write "key:essentia,beats:madmom" for an analyzer, "amu+0.5*tiv", "rank(amu,tiv)" or "z(amu,tiv)" for a scorer, '
    '"cached:amu" for either, "mean(demucs,2*openunmix)" for a separator; a part may also be "cached:amu", or a '
    'composite in brackets: "tiv+cached:(amu+chords)"'
)


def create(make: Make, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Component:
    """Return the composite of that name; ``make`` creates its parts.

    Raises
    ------
    UsageError
        If the name is not the name of a composite of that kind, or names a part twice.
    OptionError
        If no part has an option of that name.
    ComponentError
        If a part cannot be created.
    """
    given = dict(options or {})
    if name.startswith(CACHED) and kind in ("analyzer", "scorer"):
        inner = make(kind, _unbracketed(name.removeprefix(CACHED)), given)
        if isinstance(inner, Analyzer):
            return CachedAnalyzer(name=name, inner=inner, given=given)
        if isinstance(inner, RelativeScorer):
            raise UsageError(
                f"{name!r}: ranks and z-scores cannot be cached, because they depend on the other mashups",
                'cache the scorers that it combines: "rank(cached:amu,cached:tiv)"',
            )
        return CachedScorer(name=name, inner=cast("Scorer", inner), given=given)
    if kind == "analyzer" and (fields := _fields(name)):
        made = _made(make, kind, fields.values(), given)
        return CombinedAnalyzer(name=name, parts={field: made[one] for field, one in fields.items()}, given=given)
    listed = _OF.fullmatch(name)
    how, parts = (listed["how"], _unbracketed(listed["parts"])) if listed is not None else ("", "")
    if kind == "scorer" and how in STANDINGS and (weights := _weights(name, parts_of(parts), _ENTRY)):
        scorers = _made(make, kind, weights, given)
        return StandingScorer(name=name, how=how, parts=scorers, weights_of=weights, given=given)
    if kind == "scorer" and (weights := _weights(name, parts_of(name, "+"), _TERM)):
        scorers = _made(make, kind, weights, given)
        return EnsembleScorer(name=name, parts=scorers, weights_of=weights, given=given)
    separated, *stems = parts_of(parts, ";")
    if kind == "separator" and how == "mean" and (weights := _weights(name, parts_of(separated), _ENTRY)):
        stem_weights = _stem_weights(name, stems)
        separators = _made(make, kind, weights, given)
        return EnsembleSeparator(
            name=name, parts=separators, weights_of=weights, stem_weights=stem_weights, given=given
        )
    raise UsageError(f"no {kind} is called {name!r}, and no {kind} is composed in this way", EXAMPLES)


def _each_once(name: str, pairs: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return the pairs as a mapping; one that a composite's name has twice is refused, and not dropped."""
    found: dict[str, Any] = {}
    for part, value in pairs:
        if part in found:
            raise UsageError(f"{name!r} names {part!r} twice", "name it once")
        found[part] = value
    return found


def _unbracketed(text: str) -> str:
    """Return what is in a pair of brackets around the whole text; the text itself if there is none."""
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")):
        return text
    inside, depth = text[1:-1], 0
    for character in inside:
        depth += (character == "(") - (character == ")")
        if depth < 0:  # the first bracket ends before the last
            return text
    return inside.strip() if depth == 0 else text


def _is_part(text: str, plain: str) -> bool:
    """Return whether a text is a part: of the plain form, in brackets, or a part after "cached:"."""
    if text.startswith(CACHED):
        return _is_part(text.removeprefix(CACHED).strip(), plain)
    return re.fullmatch(plain, text) is not None or _unbracketed(text) not in (text, "")


def _fields(name: str) -> dict[str, str]:
    """Return field → part from "key:essentia,beats:madmom"; empty if the text is not of this form."""
    matches = [_FIELD.fullmatch(one) for one in parts_of(name)]
    pairs = [(one["field"], one["part"].strip()) for one in matches if one is not None]
    formed = len(pairs) == len(matches) and all(_is_part(part, _TERM) for _, part in pairs)
    return _each_once(name, [(field, _unbracketed(part)) for field, part in pairs]) if formed else {}


def _weights(name: str, texts: Sequence[str], plain: str) -> dict[str, float]:
    """Return part → weight from "amu" and "0.5*tiv"; empty if a text is not of this form."""
    matches = [_WEIGHTED.fullmatch(text) for text in texts]
    pairs = [(one["part"].strip(), float(one["weight"] or 1)) for one in matches if one is not None]
    formed = len(pairs) == len(matches) and all(_is_part(part, plain) for part, _ in pairs)
    return _each_once(name, [(_unbracketed(part), weight) for part, weight in pairs]) if formed else {}


def _stem_weights(name: str, texts: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """Return stem → weights of the parts, in their order, from "vocals=3:1" and "drums=1:0"."""
    weights = []
    for part in filter(None, texts):
        stem, _, numbers = part.partition("=")
        try:
            weights.append((stem.strip(), tuple(float(number) for number in numbers.split(":"))))
        except ValueError as error:
            raise UsageError(f"{name!r}: weights {part.strip()!r}", 'write them like "vocals=3:1"') from error
    return _each_once(name, weights)


def _made(make: Make, kind: str, names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return name → part, a component of that kind; each part is created once, with its own options."""
    distinct = list(dict.fromkeys(names))
    shares: dict[str, dict[str, Any]] = {name: {} for name in distinct}
    for option, value in given.items():
        # The longest, because a part that is a composite begins with the names of its own parts.
        part = max((one for one in distinct if option.startswith(f"{one}.")), key=len, default=None)
        if part is None:
            raise OptionError(
                f"option {option!r} does not name which of {', '.join(distinct)} it is for",
                f"write {distinct[0]}.option",
            )
        shares[part][option.removeprefix(f"{part}.")] = value
    return {name: make(kind, name, shares[name]) for name in distinct}


def _card(name: str, kind: str, parts: Sequence[Component], provides: Iterable[str], summary: str) -> ComponentInfo:
    return ComponentInfo(
        name=name,
        target=f"mashkit.composite:{kind}",
        summary=summary,
        provides=provides,
        code_license=joined(part.info.code_license for part in parts),
        weights_license=joined(part.weights_license() for part in parts),
        citation="; ".join(dict.fromkeys(part.info.citation for part in parts if part.info.citation)),
        engine=" + ".join(dict.fromkeys(part.info.engine for part in parts if part.info.engine)),
        thread_safe=all(part.info.thread_safe for part in parts),
    )


@attrs.define(kw_only=True, eq=False, slots=False)
class _Composite(Component):
    """Base of the composites: options and descriptions of their parts."""

    name: str
    given: Mapping[str, Any] = attrs.field(factory=dict)

    def options(self) -> dict[str, Any]:
        """Return the options of the parts that were given."""
        return dict(self.given)

    @abstractmethod
    def members(self) -> Sequence[Component]:
        """Return the parts, each once."""

    def weights(self) -> Mapping[str, str]:
        """Return every part's weight files, under the part's name."""
        return {
            f"{part.info.name}/{file}": digest for part in self.members() for file, digest in part.weights().items()
        }

    def weights_license(self) -> str:
        """Return the licences of every part's weights."""
        return joined(part.weights_license() for part in self.members())

    def trained_on(self) -> tuple[str, ...]:
        """Return the recordings that any part was trained on."""
        return tuple(dict.fromkeys(name for part in self.members() for name in part.recordings()))

    def describe(self) -> dict[str, Any]:
        """Return the description of every component, with the descriptions of the parts."""
        return super().describe() | {"parts": [part.described() for part in self.members()]}

    def _made_in_code(self) -> dict[str, Any]:
        """Return also how it is made of its parts, because a name that was given in code need not say it."""
        own = [field.name for field in attrs.fields(type(self)) if field.init and field.name not in _NO_RESULT]
        return super()._made_in_code() | {"made_of": {name: _identified(getattr(self, name)) for name in own}}


_NO_RESULT = ("name", "given", "folder")
"""Fields of a composite that do not say how it is made of its parts; ``given`` has the options of the parts."""


def _identified(value: object) -> Any:
    """Return a composite's field with the fingerprints of the components in it; the order of a mapping counts."""
    if isinstance(value, Component):
        return value.fingerprint()
    if isinstance(value, Mapping):
        return [[name, _identified(one)] for name, one in value.items()]
    return value


@attrs.define(kw_only=True, eq=False, slots=False)
class CombinedAnalyzer(_Composite, Analyzer):
    """An analyzer that takes each field from the analyzer named for that field.

    Parameters
    ----------
    parts : mapping of str to Analyzer
        Field → analyzer. The analyzer of ``beats`` also fills ``downbeats`` and ``tempo``, if it provides them and no
        other analyzer is named for them.

    Raises
    ------
    UsageError
        If a field does not exist, its analyzer does not provide it, or downbeats and beats are from different
        analyzers, because every downbeat must be one of the beats.
    """

    parts: Mapping[str, Analyzer]

    def __attrs_post_init__(self) -> None:
        for field, part in self.parts.items():
            if field not in ANALYSIS_FIELDS or field not in part.info.provides:
                raise UsageError(
                    f"analyzer {part.info.name!r} provides no {field!r}",
                    f"it provides {', '.join(sorted(part.info.provides))}",
                )
        if self.parts.get("downbeats", self.parts.get("beats")) is not self.parts.get("beats"):
            raise UsageError(
                "downbeats and beats come from different analyzers, so the downbeats are not among the beats",
                "take both from one",
            )

    @cached_property
    def sources(self) -> dict[str, Analyzer]:
        """Field → the analyzer that fills it."""
        sources = dict(self.parts)
        for leader, followers in FOLLOWING.items():
            for field in followers:
                if leader in self.parts and field in self.parts[leader].info.provides:
                    sources.setdefault(field, self.parts[leader])
        return sources

    @cached_property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # made from the cards of the parts
        """The card, made from the cards of the parts."""
        return _card(self.name, "CombinedAnalyzer", self.members(), self.sources, "fields of several analyzers")

    def members(self) -> Sequence[Analyzer]:
        """Return the analyzers, each once."""
        return list({id(part): part for part in self.parts.values()}.values())

    def _analyze(self, mix: Audio) -> Analysis:
        found = {id(part): part.analyze(mix) for part in self.members()}
        fields = {field: getattr(found[id(part)], field) for field, part in self.sources.items()}
        confidence = {
            field: found[id(part)].confidence[field]
            for field, part in self.sources.items()
            if field in found[id(part)].confidence
        }
        downbeats = self.sources.get("downbeats")
        if downbeats is not None and "metre" in found[id(downbeats)].confidence:
            confidence["metre"] = found[id(downbeats)].confidence["metre"]
        tempo = self.sources.get("tempo")
        candidates = () if tempo is None else found[id(tempo)].tempo_candidates
        return Analysis(**fields, confidence=confidence, tempo_candidates=candidates)


@attrs.define(kw_only=True, eq=False, slots=False)
class _Scorers(_Composite):
    """Base of the composites of scorers with weights, > 0. Each scorer scores a mashup by itself."""

    parts: Mapping[str, Scorer]
    weights_of: Mapping[str, float]

    def __attrs_post_init__(self) -> None:
        if not all(weight > 0 for weight in self.weights_of.values()):
            raise UsageError(f"weights {dict(self.weights_of)}", "give numbers above 0")
        for name, part in self.parts.items():
            if isinstance(part, RelativeScorer):
                raise UsageError(
                    f"scorer {name!r} already compares mashups with each other",
                    "name scorers that score each mashup by itself",
                )

    def members(self) -> Sequence[Scorer]:
        """Return the scorers."""
        return list(self.parts.values())

    def _scores_of(self, mashups: Sequence[Mashup]) -> list[dict[str, Score]]:
        """Return scorer → score for each mashup."""
        columns = {name: scorer.score(mashups) for name, scorer in self.parts.items()}
        return [{name: scores[row] for name, scores in columns.items()} for row in range(len(mashups))]


@attrs.define(kw_only=True, eq=False, slots=False)
class EnsembleScorer(_Scorers, Scorer):
    """A scorer that returns the weighted sum of scores; of probabilities, the weighted mean, which is a probability.

    Parameters
    ----------
    parts : mapping of str to Scorer
    weights_of : mapping of str to float
        > 0. The sum of ordinal scores is useful only if their spreads are similar, because otherwise the score with the
        largest spread decides the sum. If the spreads differ, use :class:`StandingScorer`.
    """

    @cached_property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # made from the cards of the parts
        """The card, made from the cards of the parts."""
        provides = [*self.parts] + [
            f"{name}.{part}" for name, scorer in self.parts.items() for part in scorer.info.provides
        ]
        return _card(self.name, "EnsembleScorer", self.members(), provides, "weighted sum of several scorers")

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        return [self._combined(scores) for scores in self._scores_of(mashups)]

    def _combined(self, scores: Mapping[str, Score]) -> Score:
        total = sum(self.weights_of[name] * score.value for name, score in scores.items())
        parts = {name: score.value for name, score in scores.items()}
        parts |= {f"{name}.{part}": value for name, score in scores.items() for part, value in score.parts.items()}
        if {score.scale for score in scores.values()} == {"probability"}:
            return Score(total / sum(self.weights_of.values()), "probability", parts)
        return Score(total, "ordinal", parts)


NOTHING = 1e-12
"""A spread below this share of the largest value is only the rounding of float64 (ours)."""


def ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank among all: 0 is the lowest, 1 the highest; equal values have their mean rank.

    A single value has the middle rank, 0.5, and so has each value if all values are equal.
    """
    count = len(values)
    if count == 1:
        return [0.5]
    ordered = sorted(values)
    # Equal values have the places from bisect_left to before bisect_right, counted from 0.
    return [(bisect_left(ordered, one) + bisect_right(ordered, one) - 1) / 2 / (count - 1) for one in values]


def z_scores(values: Sequence[float]) -> list[float]:
    """Return how many standard deviations (of all the values, divisor n) each value lies above the mean.

    All are 0 if the values do not differ, so also for a single value. Sums are exact, so the order has no effect.
    """
    largest = max(map(abs, values))
    if largest == 0:
        return [0.0] * len(values)
    scaled = [value / largest for value in values]  # because the squares of very large values overflow
    mean = math.fsum(scaled) / len(scaled)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in scaled) / len(scaled))
    return [0.0 if spread <= NOTHING else (value - mean) / spread for value in scaled]


STANDINGS = {"rank": ranks, "z": z_scores}
"""Way of measuring a value's place among all → the function that measures it."""


@attrs.define(kw_only=True, eq=False, slots=False)
class StandingScorer(_Scorers, RelativeScorer):
    """A scorer that returns the weighted mean of a mashup's ranks or z-scores among all mashups scored together.

    Each part has its own ranks or z-scores. Scores are ordinal: 0…1 for ranks, standard deviations for z-scores. Ranks
    do not change if an increasing function rescales a part's scores; z-scores do not change if they are scaled (by a
    positive factor) and shifted.

    Parameters
    ----------
    how : {"rank", "z"}
    parts : mapping of str to Scorer
    weights_of : mapping of str to float
        > 0.

    Raises
    ------
    UsageError
        If a weight is not above 0, or a part is itself relative.
    """

    how: str

    @cached_property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # made from the cards of the parts
        """The card, made from the cards of the parts."""
        provides = [f"{name}.{part}" for name, scorer in self.parts.items() for part in scorer.info.provides]
        provides += [*self.parts, *(f"{name}.{self.how}" for name in self.parts)]
        return _card(self.name, "StandingScorer", self.members(), provides, "mean standing by several scorers")

    def _measure(self, mashups: Sequence[Mashup]) -> Sequence[Mapping[str, Score]]:
        return self._scores_of(mashups)

    def _compare(self, measured: Sequence[Mapping[str, Score]]) -> Sequence[Score]:
        stands = {name: STANDINGS[self.how]([row[name].value for row in measured]) for name in self.parts}
        whole = math.fsum(self.weights_of.values())
        scores = []
        for index, row in enumerate(measured):
            total = math.fsum(self.weights_of[name] * stands[name][index] for name in self.parts)
            parts = {name: score.value for name, score in row.items()}
            parts |= {f"{name}.{part}": value for name, score in row.items() for part, value in score.parts.items()}
            parts |= {f"{name}.{self.how}": stands[name][index] for name in self.parts}
            scores.append(Score(total / whole, "ordinal", parts))
        return scores


@attrs.define(kw_only=True, eq=False, slots=False)
class EnsembleSeparator(_Composite, Separator):
    """A separator that returns the weighted mean of each stem of several separators.

    Stems that all separators give are averaged. What only some give (the bass of a four-stem model beside a two-stem
    one) is added to "other" first, so that the stems of each separator still sum to what they summed to. The means of
    stems that sum to the mix sum to the mix as well, if all stems have the same weights.

    Parameters
    ----------
    parts : mapping of str to Separator
    weights_of : mapping of str to float
        Separator → weight, > 0.
    stem_weights : mapping of str to tuple of float
        Stem → weights of the separators for this stem, in their order, ≥ 0 and not all 0, in place of ``weights_of``.

    Raises
    ------
    UsageError
        If a weight breaks these rules, or the separators have no stem in common to which the rest can be added.

    Examples
    --------
    >>> from mashkit.registry import Registry
    >>> ensemble = Registry().create("separator", "mean(librosa,3*spleeter-torch;drums=1:1)")
    >>> ensemble.weights_for("drums"), ensemble.weights_for("other")
    ((0.5, 0.5), (0.25, 0.75))
    """

    parts: Mapping[str, Separator]
    weights_of: Mapping[str, float]
    stem_weights: Mapping[str, tuple[float, ...]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not all(0 < weight < math.inf for weight in self.weights_of.values()):
            raise UsageError(f"weights {dict(self.weights_of)}", "give numbers above 0")
        every = [frozenset(part.info.provides) for part in self.parts.values()]
        if not self.common or (REST not in self.common and any(stems != self.common for stems in every)):
            raise UsageError(
                f"{self.name!r}: its separators give {'; '.join(', '.join(sorted(stems)) for stems in every)}",
                f"take separators that give the same stems, or {REST!r}",
            )
        for stem, weights in self.stem_weights.items():
            if stem not in self.common:
                raise UsageError(f"{self.name!r}: stem {stem!r}", f"it has {', '.join(sorted(self.common))}")
            if len(weights) != len(self.parts) or not all(0 <= one < math.inf for one in weights) or not sum(weights):
                raise UsageError(
                    f"{self.name!r}: weights {weights} of {stem}", f"give {len(self.parts)} numbers ≥ 0, not all 0"
                )

    @cached_property
    def common(self) -> frozenset[str]:
        """The stems that all separators give."""
        return frozenset.intersection(*(frozenset(part.info.provides) for part in self.parts.values()))

    @cached_property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # made from the cards of the parts
        """The card, made from the cards of the parts."""
        return _card(self.name, "EnsembleSeparator", self.members(), self.common, "mean of several separators")

    def members(self) -> Sequence[Separator]:
        """Return the separators."""
        return list(self.parts.values())

    def weights_for(self, stem: str) -> tuple[float, ...]:
        """Return the share of each separator in a stem, in their order; they sum to 1."""
        weights = self.stem_weights.get(stem, tuple(self.weights_of.values()))
        return tuple(weight / sum(weights) for weight in weights)

    def _separate(self, mix: Audio) -> StemSet:
        return self._separate_some(mix, self.common)

    def _separate_some(self, mix: Audio, stems: frozenset[str]) -> StemSet:
        """Separate; each separator computes only the stems that it adds to."""
        means: dict[str, Audio] = {}
        for place, part in enumerate(self.parts.values()):
            asked = {stem: self.weights_for(stem)[place] for stem in stems if self.weights_for(stem)[place] > 0}
            if not asked:
                continue
            rest = part.info.provides - self.common if REST in asked else frozenset()
            # At this level, which is that of the whole recording; a part must not change it once more.
            made = part.separate(mix, peak=FULL_SCALE, stems=asked.keys() | rest)
            for stem, weight in asked.items():
                names = [stem, *sorted(rest)] if stem == REST else [stem]
                terms = [(weight, made.stems[name]) for name in names]
                means[stem] = weighted_sum([(1, means[stem]), *terms] if stem in means else terms)
        return StemSet(means)


# ------------------------------------------------------------------------------------------------------ results kept
@attrs.define(kw_only=True, eq=False, slots=False)
class _Cached(_Composite):
    """Base of components that store each result in a small JSON file, named by a hash of all that it depends on."""

    inner: Component
    folder: Path = attrs.field(factory=lambda: default_cache() / "results")
    _told: bool = attrs.field(default=False, init=False, repr=False)

    @cached_property
    def info(self) -> ComponentInfo:  # type: ignore[override]  # made from the cards of the parts
        """The inner component's card, under the composite's name."""
        return attrs.evolve(self.inner.info, name=self.name)

    def members(self) -> Sequence[Component]:
        """Return the inner component."""
        return [self.inner]

    def _paths(self, keys: Iterable[Sequence[Any]]) -> list[Path]:
        """Return the files of some results; their keys are what they depend on besides the inner component."""
        # Anew for each call, because an option of the inner component may have been set since the last.
        depends_on = [self.inner.kind, self.inner.fingerprint(), code_sha256(self.inner)]
        texts = (json.dumps([*depends_on, *key], sort_keys=True, default=str) for key in keys)
        digests = (hashlib.sha256(text.encode()).hexdigest() for text in texts)
        return [self.folder / digest[:2] / f"{digest}.json" for digest in digests]

    def _known(self, path: Path, read: Callable[[Any], T]) -> T | None:
        try:
            return read(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, MashkitError):
            # The file is missing, incomplete or of another form, so the result is computed and written again.
            return None

    def _keep(self, path: Path, result: Mapping[str, Any]) -> None:
        try:
            write_json(path, result)
        except OutputError as error:  # the result is there all the same
            if not self._told:
                self._told = True
                note = f"results of {self.inner.kind} {self.inner.info.name!r} are not kept: {error}"
                warnings.warn(note, PluginWarning, stacklevel=2)


@attrs.define(kw_only=True, eq=False, slots=False)
class CachedAnalyzer(_Cached, Analyzer):
    """An analyzer that stores its analyses in files, named by a hash of the sound's samples."""

    inner: Analyzer

    def _analyze(self, mix: Audio) -> Analysis:
        (path,) = self._paths([_sound(mix)])
        known = self._known(path, Analysis.from_dict)
        if known is not None:
            return known
        analysis = self.inner.analyze(mix)
        self._keep(path, analysis.to_dict())
        return analysis


@attrs.define(kw_only=True, eq=False, slots=False)
class CachedScorer(_Cached, Scorer):
    """A scorer that stores its scores in files, named by a hash of plan, clips' provenance and stretcher."""

    inner: Scorer

    def _score(self, mashups: Sequence[Mashup]) -> Sequence[Score]:
        paths = self._paths(map(_identity, mashups))
        known = [self._known(path, lambda found: Score(**found)) for path in paths]
        missing = [index for index, one in enumerate(known) if one is None]
        fresh = iter(self.inner.score([mashups[index] for index in missing]) if missing else ())
        scores = []
        for path, one in zip(paths, known, strict=True):
            score = next(fresh) if one is None else one
            if one is None:
                self._keep(path, score.to_dict())
            scores.append(score)
        return scores


def _identity(mashup: Mashup) -> tuple[Any, ...]:
    """Return everything that a score may depend on, as plain data."""
    provenance = [without_costs(described) for described in mashup.provenance()]
    # The analysis may have been corrected (`mashkit db edit`), or be a label, which no component made.
    clips = {
        str(role): (clip.analysis.to_dict(), clip.duration, clip.sample_rate) for role, clip in mashup.clips.items()
    }
    stretcher = mashup.renderer.stretcher
    depends_on = mashup.plan.id, provenance, clips, stretcher.fingerprint(), code_sha256(stretcher)
    if any(described.get("kind") == "separator" for described in provenance):
        return depends_on
    # No component says which stems these are, and two sources may give one id to different clips.
    return *depends_on, {str(role): _sound(mashup.source_stem(role)) for role in mashup.roles}


def _sound(audio: Audio) -> tuple[Any, ...]:
    return hashlib.sha256(audio.samples.data).hexdigest(), audio.samples.shape, audio.sample_rate
