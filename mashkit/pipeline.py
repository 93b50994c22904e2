"""The pipeline on one screen: catalog → generate → render → score → rank, with every part chosen by name."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from mashkit.arguments import require, require_all, require_paths, require_whole
from mashkit.catalog import Adder, AddReport, Catalog, MashupDB
from mashkit.catalog.adding import can_travel
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.protocols import Protocol, create_protocol
from mashkit.catalog.songs import Song, trusting
from mashkit.components import Component
from mashkit.errors import (
    ComponentError,
    ComponentUnavailable,
    MashkitError,
    Unforeseen,
    UsageError,
    contained,
    said_of,
)
from mashkit.hookspecs import StageEvent, hookimpl
from mashkit.interfaces import INTERFACES, Analyzer, Executor, Generator, Scorer, Separator, Stretcher
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.mashup import Mashup
from mashkit.models import ModelError
from mashkit.registry import Registry
from mashkit.render import Renderer
from mashkit.types import Condition, Finish, MashupPlan, Role, Score, by_id

S = TypeVar("S")
T = TypeVar("T")

SCORE_BATCH = 16
"""Mashups given to a scorer at once: enough for a network to batch, few enough for progress to be seen."""


def _or_error(what: str, work: Callable[[S], T], item: S) -> T | MashkitError:
    """Return what ``work`` makes of an item, or why it cannot: whatever one plan raises is its own."""
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001 — listed with its place; the rest goes on
        return contained(error, what, Unforeseen)


@attrs.frozen(eq=False)
class Ranked:
    """A mashup, its score, and its place: 1 is best."""

    mashup: Mashup
    score: Score
    rank: int


class _Listener:
    """Hands stage events on to a plain callback."""

    def __init__(self, notify: Callable[[StageEvent], object]) -> None:
        self._notify = notify

    @hookimpl
    def mashkit_stage(self, event: StageEvent) -> None:
        self._notify(event)


class Kit:
    """A choice of components, and what can be done with them.

    Parameters
    ----------
    separator, analyzer, stretcher, scorer, generator, executor : str or component
        A name from `mashkit plugins`, or an instance. Created on first use: a kit that only stretches loads no model.
    options : mapping of kind to mapping, optional
        Options of the components given by name: ``{"stretcher": {"cheaper": True}}``.
    registry : Registry, optional
        Default: all installed plugins.
    finish : Finish, optional
        What is done to every plan before it is rendered: ducking, plain mixing.
    notify : callable, optional
        Hears every :class:`~mashkit.hookspecs.StageEvent` of the registry, in the thread that works: progress.

    Raises
    ------
    UsageError
        If ``options`` names a kind that does not exist.
    """

    def __init__(
        self,
        *,
        separator: str | Separator = "spleeter-torch",
        analyzer: str | Analyzer = "madmom",
        stretcher: str | Stretcher = "signalsmith",
        scorer: str | Scorer = "intervalnet",
        generator: str | Generator = "paper",
        executor: str | Executor = "local",
        options: Mapping[str, Mapping[str, Any]] | None = None,
        registry: Registry | None = None,
        finish: Finish | None = None,
        notify: Callable[[StageEvent], object] | None = None,
    ) -> None:
        require("options", options or {}, Mapping, 'give a mapping, like {"stretcher": {"cheaper": True}}')
        unknown = set(options or {}) - set(INTERFACES)
        if unknown:
            raise UsageError(f"options for {sorted(unknown)}", f"the kinds are {', '.join(INTERFACES)}")
        for kind, values in (options or {}).items():
            require(f"options[{kind!r}]", values, Mapping, 'give a mapping, like {"cheaper": True}')
        if registry is not None:
            require("registry", registry, Registry, "give a mashkit.Registry")
        self.registry = registry or Registry()
        self._options = dict(options or {})
        self._finish = finish or Finish()
        if notify is not None:
            listener = _Listener(notify)
            self.registry.plugins.register(listener)
            # A registry may outlive the kit, and serve others.
            weakref.finalize(self, self.registry.plugins.unregister, listener)
        self._chosen: dict[str, str | Component] = {
            "separator": separator,
            "analyzer": analyzer,
            "stretcher": stretcher,
            "scorer": scorer,
            "generator": generator,
            "executor": executor,
        }
        for kind, one in self._chosen.items():
            if not isinstance(one, (str, INTERFACES[kind])):
                raise UsageError(
                    f"{one!r} is not a {kind}", f"give a name, or an instance of {INTERFACES[kind].__name__}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        # Components chosen by name are made again where they are used; who hears of progress here does not there.
        return _kit, ({**self._chosen, "options": self._options, "registry": self.registry, "finish": self._finish},)

    @property
    def chosen(self) -> Mapping[str, str]:
        """Kind → name of the component chosen for it, created or not."""
        return {kind: one if isinstance(one, str) else one.info.name for kind, one in self._chosen.items()}

    def require(self, *kinds: str) -> None:
        """Make the components of these kinds and have each say what it is.

        So a wrong name or option, or weights that are missing, are found before an hour's work and not after it. Heavy
        things are loaded on first use, not here.

        Raises
        ------
        MashkitError
            What is wrong with a component. Of several, a UsageError that tells all.
        """
        problems: list[MashkitError] = []
        for kind in (kind for kind in INTERFACES if kind in kinds):
            try:
                component: Component = getattr(self, kind)
                component.described()
            except ModelError as error:
                problems.append(ComponentUnavailable(error.problem, error.fix))
            except MashkitError as error:
                problems.append(error)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            fixes = [error.fix for error in problems if error.fix]
            installs = [fix.removeprefix("pip install ") for fix in fixes if fix.startswith("pip install ")]
            if len(installs) == len(fixes) == len(problems):
                fixes = [f"pip install {' '.join(dict.fromkeys(installs))}"]
            raise UsageError("; ".join(error.problem for error in problems), "; ".join(fixes) or None)

    def _component(self, kind: str) -> Component:
        chosen = self._chosen[kind]
        if isinstance(chosen, str):
            return self.registry.create(kind, chosen, self._options.get(kind))
        return chosen

    @cached_property
    def separator(self) -> Separator:
        """The separator, created on first use; see :meth:`Registry.create` for what can go wrong, here and below."""
        return cast("Separator", self._component("separator"))

    @cached_property
    def analyzer(self) -> Analyzer:
        """The analyzer."""
        return cast("Analyzer", self._component("analyzer"))

    @cached_property
    def stretcher(self) -> Stretcher:
        """The stretcher."""
        return cast("Stretcher", self._component("stretcher"))

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer."""
        return cast("Scorer", self._component("scorer"))

    @cached_property
    def generator(self) -> Generator:
        """The generator."""
        return cast("Generator", self._component("generator"))

    @cached_property
    def executor(self) -> Executor:
        """The executor, which spreads work over processes or machines."""
        return cast("Executor", self._component("executor"))

    @property
    def ingest_executor(self) -> Executor | None:
        """The executor, if others can make this kit's separator and analyzer; components made by hand work here."""
        return self.executor if can_travel(self.separator, self.analyzer) else None

    def _notify(self, event: StageEvent) -> None:
        self.registry.plugins.hook.mashkit_stage(event=event)

    # ------------------------------------------------------------------------------------------------ the stages
    def catalog(
        self,
        paths: Path | str | Iterable[Path | str],
        *,
        policy: ExcerptPolicy | None = None,
        cache: Path | None = None,
        described: Sequence[Song] = (),
        same_recording: str | None = None,
    ) -> Catalog:
        """Separate and analyze songs with this kit's executor; see :meth:`Catalog.build`."""
        return Catalog.build(
            require_paths("paths", paths),
            separator=self.separator,
            analyzer=self.analyzer,
            policy=policy,
            cache=cache,
            executor=self.ingest_executor,
            notify=self._notify,
            loader=self.registry.plugins.hook.mashkit_load_audio,
            described=described,
            same_recording=same_recording,
        )

    def add(
        self,
        database: MashupDB,
        paths: Path | str | Iterable[Path | str],
        *,
        protocol: str | Protocol = "songs",
        policy: ExcerptPolicy | None = None,
        with_features: bool = True,
        same_recording: str | None = None,
        trust_labels: bool = False,
    ) -> AddReport:
        """Add songs to a database with this kit's separator, analyzer and executor; nothing is computed twice.

        Parameters
        ----------
        database : MashupDB
        paths : Path, str or iterable of them
            Sound files and folders of them.
        protocol : str or Protocol
            How songs lie in the folders: see :mod:`mashkit.catalog.protocols`.
        policy : ExcerptPolicy, optional
            Which parts of a song become clips, where the protocol does not say.
        with_features : bool
            Also keep features of the stems.
        same_recording : str, optional
            "once": a song that is a recording the database has is passed over; "separate": it is a song of its own; by
            default what was said of it before, else "once".
        trust_labels : bool
            Take labels of beats and tempo as they are, without comparing them with the sound.

        Returns
        -------
        AddReport
            What was added, and the songs that could not be used.

        Raises
        ------
        MashkitError
            If there is no song at all, or the database cannot be written.
        """
        require("database", database, MashupDB, "open one: MashupDB(folder)")
        given = require_paths("paths", paths)
        require("protocol", protocol, (str, Protocol), "give the name of a protocol, or one")
        if policy is not None:
            require("policy", policy, ExcerptPolicy, "give an ExcerptPolicy")
        way = create_protocol(protocol) if isinstance(protocol, str) else protocol
        adder = self.adder(
            database,
            policy=way.policy(policy or ExcerptPolicy()),
            with_features=with_features,
            same_recording=same_recording,
        )
        songs = way.songs(given)
        if trust_labels:
            songs = [trusting(song) if isinstance(song, Song) else song for song in songs]
        for _ in adder.add(songs, protocol=way.name):
            pass
        return adder.report

    def adder(
        self,
        database: MashupDB,
        *,
        policy: ExcerptPolicy | None = None,
        with_features: bool = True,
        same_recording: str | None = None,
    ) -> Adder:
        """Return what :meth:`add` adds with: for songs that were found already, and to hear what becomes of each."""
        return Adder(
            database,
            self.separator,
            self.analyzer,
            policy=policy,
            with_features=with_features,
            executor=self.ingest_executor,
            notify=self._notify,
            loader=self.registry.plugins.hook.mashkit_load_audio,
            same_recording=same_recording,
        )

    def generate(
        self,
        catalog: Catalog,
        *,
        condition: Condition | str = Condition.MATCHED,
        count: int = 50,
        seed: int = 0,
        vocal: str | None = None,
    ) -> list[Mashup]:
        """Plan mashups (see :meth:`Generator.plan`); nothing is rendered yet."""
        _require_catalog(catalog)
        drawn = self.generator.plan(catalog.clips, condition=condition, count=count, seed=seed, vocal=vocal)
        plans: list[MashupPlan] = []
        try:
            plans.extend(drawn)
        except ComponentError as error:
            if not plans:
                raise
            self.registry.note(f"drawing ended after {len(plans)} of {count} plans: {error}")
        return self.mashups(catalog, plans)

    def mashups(self, catalog: Catalog, plans: Iterable[MashupPlan]) -> list[Mashup]:
        """Bind plans to this kit's stretcher, with one renderer: a layer they share is stretched once.

        Where the stretcher follows no time maps, layers that have one are played at one speed; the plans' notes say so.

        Raises
        ------
        MashkitError
            If one of them cannot be bound: see :meth:`score_plans`.
        """
        _require_catalog(catalog)
        chosen = require_all("plans", plans, MashupPlan, "give plans; MashupPlan.from_json reads the text of one")
        renderer = Renderer(catalog, self.stretcher)
        return [renderer.mashup(self._playable(plan)) for plan in chosen]

    def score_plans(self, catalog: Catalog, plans: Sequence[MashupPlan]) -> list[Score | MashkitError]:
        """Score plans, one result each: of one whose clips the catalog does not hold, the error that says so."""
        renderer = Renderer(catalog, self.stretcher)
        bound = [_or_error(f"plan {plan.id}", lambda one: renderer.mashup(self._playable(one)), plan) for plan in plans]
        scores = iter(self.score([one for one in bound if isinstance(one, Mashup)]))
        return [next(scores) if isinstance(one, Mashup) else one for one in bound]

    def _playable(self, plan: MashupPlan) -> MashupPlan:
        plan = self._finish.of(plan)
        if self.stretcher.follows_time_maps:
            return plan
        return plan.at_one_speed(f"the stretcher {self.stretcher.info.name!r} follows no time map")

    def best_variants(self, mashups: Sequence[Mashup]) -> list[Mashup]:
        """Return, for each mashup, the variant the scorer likes best: the offset of its phrases, say.

        See :meth:`Generator.variants` for what varies. One whose variants cannot be scored stays as it is.
        """
        best = []
        mashups = _require_mashups(mashups)
        for done, mashup in enumerate(mashups, 1):
            variants = _or_error(f"varying plan {mashup.plan.id}", self._variants, mashup)
            if isinstance(variants, MashkitError):
                self.registry.note(said_of(f"plan {mashup.plan.id}", variants))
                best.append(mashup)
                continue
            if len(variants) == 1:
                best.append(variants[0])
                continue
            scores = zip(self._scores(variants), variants, strict=True)
            scored = [(score.value, variant) for score, variant in scores if isinstance(score, Score)]
            best.append(max(scored, key=lambda pair: pair[0])[1] if scored else mashup)
            self._notify(
                StageEvent(stage="vary", item=mashup.plan.id, state="done", done=done, total=len(mashups), message="")
            )
        return best

    def _variants(self, mashup: Mashup) -> list[Mashup]:
        clips = by_id(list(mashup.clips.values()))
        plans = [self._playable(plan) for plan in self.generator.variants(mashup.plan, clips)]
        return [mashup.renderer.mashup(plan) for plan in plans]

    def score(self, mashups: Sequence[Mashup]) -> list[Score | MashkitError]:
        """Score mashups, one result each; one that cannot be scored gives its error and does not stop the others.

        A :class:`mashkit.interfaces.scorer.RelativeScorer` compares all of them that could be measured.
        """
        results: list[Any] = []
        mashups = _require_mashups(mashups)
        for start in range(0, len(mashups), SCORE_BATCH):
            results += self._measured(mashups[start : start + SCORE_BATCH])
            for done, result in enumerate(results[start:], start + 1):
                failed = isinstance(result, MashkitError)
                self._notify(
                    StageEvent(
                        stage="score",
                        item=mashups[done - 1].plan.id,
                        state="failed" if failed else "done",
                        done=done,
                        total=len(mashups),
                        message=str(result) if failed else "",
                    )
                )
        return self._compared(results)

    def _scores(self, mashups: Sequence[Mashup]) -> list[Score | MashkitError]:
        return self._compared(self._measured(mashups))

    def _measured(self, mashups: Sequence[Mashup]) -> list[Any]:
        """Return the score of each mashup, or what a relative scorer measures of it, or its error."""
        scorer = self.scorer
        measure = scorer.measure if isinstance(scorer, RelativeScorer) else scorer.score
        try:
            return list(measure(mashups))
        except Exception:  # noqa: BLE001 — one of them: which, and what it is, is said below
            return [_or_error(f"scoring plan {one.plan.id}", lambda one: measure([one])[0], one) for one in mashups]

    def _compared(self, measured: Sequence[Any]) -> list[Score | MashkitError]:
        """Return the scores of what was measured; errors stay."""
        scorer = self.scorer
        if not isinstance(scorer, RelativeScorer):
            return list(measured)
        found = iter(scorer.compare([one for one in measured if not isinstance(one, MashkitError)]))
        return [one if isinstance(one, MashkitError) else next(found) for one in measured]

    def rank(
        self,
        mashups: Sequence[Mashup],
        *,
        top: int | None = None,
        per_vocal: int | None = None,
        failed: Callable[[Mashup, MashkitError], object] = lambda *_: None,
    ) -> list[Ranked]:
        """Score mashups and return the best first; equal scores keep their order.

        Parameters
        ----------
        mashups : sequence of Mashup
        top : int, optional
            How many to return; all when not given.
        per_vocal : int, optional
            At most so many that sing of the same song: the three best of fifty often differ in the drums only.
        failed : callable
            Hears of each mashup that could not be scored, and why.

        Raises
        ------
        MashkitError
            If not a single mashup could be scored: the first one's error.
        """
        mashups = _require_mashups(mashups)
        for name, count in (("top", top), ("per_vocal", per_vocal)):
            if count is not None and require_whole(name, count) < 1:
                raise UsageError(f"{name} is {count}", "give a whole number of 1 or more, or leave it out")
        results = self.score(mashups)
        scored = [(mashup, score) for mashup, score in zip(mashups, results, strict=True) if isinstance(score, Score)]
        for mashup, result in zip(mashups, results, strict=True):
            if isinstance(result, MashkitError):
                failed(mashup, result)
        if not scored and results:
            raise next(result for result in results if isinstance(result, MashkitError))
        ordered = sorted(scored, key=lambda pair: -pair[1].value)
        uses: Counter[str] = Counter()
        best: list[Ranked] = []
        for mashup, score in ordered:
            song = mashup.clips[Role.VOCAL].song
            if per_vocal is None or uses[song] < per_vocal:
                uses[song] += 1
                best.append(Ranked(mashup, score, len(best) + 1))
        return best[:top]


def _kit(arguments: Mapping[str, Any]) -> Kit:
    return Kit(**arguments)


def _require_catalog(catalog: object) -> None:
    """Raise UsageError unless something has clips and their stems, as a catalog does."""
    if not all(hasattr(catalog, name) for name in ("clips", "clip", "stem")):
        require("catalog", catalog, Catalog, "make one: kit.catalog(songs), or Catalog(MashupDB(folder))")


def _require_mashups(mashups: object) -> list[Mashup]:
    return require_all("mashups", mashups, Mashup, "give what kit.generate or kit.mashups returned")
