"""Run the pipeline (catalog → generate → render → score → rank) with components chosen by name."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast
from typing import Protocol as TypingProtocol

import attrs

from mashkit import display
from mashkit.arguments import require, require_all, require_paths, require_whole
from mashkit.catalog import Adder, AddReport, Catalog, MashupDB
from mashkit.catalog.adding import can_travel
from mashkit.catalog.excerpts import ExcerptPolicy, as_policy
from mashkit.catalog.protocols import Protocol, create_protocol
from mashkit.catalog.songs import Song, trusting
from mashkit.components import Component
from mashkit.discovery import ALLOWLIST_VARIABLE, require_kind
from mashkit.errors import (
    ComponentError,
    ComponentUnavailable,
    GenerationError,
    MashkitError,
    Unforeseen,
    UsageError,
    contained,
    said_of,
    with_article,
)
from mashkit.hookspecs import StageEvent, hookimpl
from mashkit.interfaces import INTERFACES, Analyzer, Executor, Generator, Scorer, Separator, Stretcher
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.mashup import ClipSource, Mashup, is_source
from mashkit.models import ModelError
from mashkit.numbers import column_format
from mashkit.registry import Registry
from mashkit.rendering.renderer import Renderer, playable
from mashkit.types import Clip, Condition, Finish, MashupPlan, Role, Score, by_id

S = TypeVar("S")
T = TypeVar("T")

SCORE_BATCH = 16
"""Number of mashups per call of a scorer: enough for a network's batch, and few enough to report progress often."""


class ListedSource(ClipSource, TypingProtocol):
    """A source whose clips are listed, for example a catalog. A generator draws from the list."""

    @property
    def clips(self) -> Sequence[Clip]:
        """All clips of the source."""


def _or_error(what: str, work: Callable[[S], T], item: S) -> T | MashkitError:
    """Return the result of ``work`` for an item, or its error, so that one plan's error does not stop the others."""
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001 — the error is returned, and the other items go on
        return contained(error, what, Unforeseen)


@attrs.frozen(eq=False)
class Ranked:
    """A mashup, its score and its rank: 1 is best.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(0, "major"), 112.0)])
    >>> kit = mk.Kit(scorer="random")
    >>> best = kit.rank(kit.generate(songs, count=3, seed=1))
    >>> [(one.rank, round(one.score.value, 3)) for one in best]
    [(1, 0.632), (2, 0.496)]
    >>> sorted(path.name for path in best[0].mashup.save("best").glob("[!.]*"))
    ['mix.flac', 'plan.json', 'stems']
    """

    mashup: Mashup
    score: Score
    rank: int

    def _repr_html_(self) -> str:
        """Return rank, score and the mashup, for notebooks."""
        scores = {"score": self.score.value, **self.score.parts}
        shown = {name: f"{value:{column_format([value], 3)}}" for name, value in scores.items()}
        return display.facts({"rank": self.rank, **shown}) + self.mashup._repr_html_()


class _Listener:
    """Pass stage events to a plain callback."""

    def __init__(self, notify: Callable[[StageEvent], object]) -> None:
        self._notify = notify

    @hookimpl
    def mashkit_stage(self, event: StageEvent) -> None:
        self._notify(event)


class Kit:
    """A choice of components, with methods that run the stages of the pipeline with them.

    Parameters
    ----------
    separator, analyzer, stretcher, scorer, generator, executor : str or component
        A name from `mashkit plugins`, or an instance. Created on first use: a kit that only stretches loads no model.
    options : mapping of kind to mapping, optional
        Options of the components given by name: ``{"stretcher": {"cheaper": True}}``.
    registry : Registry, optional
        Default: all installed plugins.
    finish : Finish, optional
        Changes to every plan before it is rendered: ducking, plain mixing.
    notify : callable, optional
        Called with every :class:`~mashkit.hookspecs.StageEvent` of the registry, in the thread that does the work, to
        report progress.

    Raises
    ------
    UsageError
        If ``options`` names a kind that does not exist, or has options of a component that is given as an instance.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.synthetic.source import SyntheticSource
    >>> kit = mk.Kit(scorer="loudness", finish=mk.Finish(duck_db=3))
    >>> songs = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(0, "major"), 112.0)])  # or kit.catalog("songs")
    >>> kit.chosen["generator"]
    'paper'
    >>> best = kit.rank(kit.generate(songs, count=4, seed=1), top=2)
    >>> [(one.rank, round(one.score.value, 1)) for one in best]
    [(1, -13.6), (2, -14.8)]
    """

    def __init__(
        self,
        *,
        separator: str | Separator = "stemnet",
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
        if finish is not None:
            require("finish", finish, Finish, "give a mashkit.Finish")
        self._finish = finish or Finish()
        if notify is not None:
            listener = _Listener(notify)
            self.registry.plugins.register(listener)
            # A registry may exist longer than the kit and serve other kits, so the listener ends with this kit.
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
                    f"{one!r} is not {with_article(kind)}",
                    f"give a name, or an instance of {INTERFACES[kind].__name__}",
                )
            if isinstance(one, Component) and self._options.get(kind):
                raise UsageError(
                    f"options of the {kind} {one.info.name!r}, which is given as an instance",
                    f"give its name, or make it with these options: {', '.join(self._options[kind])}",
                )

    def __reduce__(self) -> tuple[Any, ...]:
        # The other process creates components chosen by name again; the progress callback stays in this process.
        arguments: dict[str, Any] = {**self._chosen, "options": self._options, "registry": self.registry}
        return partial(Kit, **arguments, finish=self._finish), ()

    @property
    def chosen(self) -> Mapping[str, str]:
        """Kind → name of the component chosen for it, whether it is created already or not."""
        return {kind: one if isinstance(one, str) else one.info.name for kind, one in self._chosen.items()}

    def require(self, *kinds: str) -> None:
        """Create the components of these kinds and compute each one's description.

        So a wrong name, a wrong option or missing weights are found before an hour's work and not after it. Models are
        loaded on first use, not here.

        Raises
        ------
        MashkitError
            The error of a component. If several components fail, a UsageError that lists all errors.
        UsageError
            If there is no such kind.
        """
        for kind in kinds:
            require_kind(kind)
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
            fixes = _joined(error.fix for error in problems if error.fix)
            raise UsageError("; ".join(error.problem for error in problems), "; ".join(fixes) or None)

    def _component(self, kind: str) -> Component:
        chosen = self._chosen[kind]
        if isinstance(chosen, str):
            return self.registry.create(kind, chosen, self._options.get(kind))
        return chosen

    @cached_property
    def separator(self) -> Separator:
        """The separator, created on first use; it and those below raise the errors of :meth:`Registry.create`."""
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
        """The executor, or None if other processes cannot create this kit's separator and analyzer.

        Components given as instances can often not be created again, so they work in this process.
        """
        return self.executor if can_travel(self.separator, self.analyzer) else None

    def _notify(self, event: StageEvent) -> None:
        self.registry.plugins.hook.mashkit_stage(event=event)

    # ------------------------------------------------------------------------------------------------ the stages
    def catalog(
        self,
        paths: Path | str | Iterable[Path | str],
        *,
        policy: ExcerptPolicy | None = None,
        cache: Path | str | None = None,
        described: Sequence[Song] = (),
        same_recording: str | None = None,
    ) -> Catalog:
        """Separate and analyze songs with this kit's executor; see :meth:`Catalog.build`."""
        return Catalog.build(
            paths,
            separator=self.separator,
            analyzer=self.analyzer,
            policy=policy,
            cache=cache,
            executor=self.ingest_executor,
            notify=self._notify,
            registry=self.registry,
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
        """Add songs to a database with this kit's separator, analyzer and executor; results in it are used again.

        Parameters
        ----------
        database : MashupDB
        paths : Path, str or iterable of them
            Sound files, and folders of sound files.
        protocol : str or Protocol
            The dataset layout of the folders: see :mod:`mashkit.catalog.protocols`.
        policy : ExcerptPolicy, optional
            The rule for which parts of a song become clips, unless the dataset layout gives one.
        with_features : bool
            Also store features of the stems.
        same_recording : str, optional
            The rule for a song whose recording the database contains already. "once": the song is skipped;
            "separate": it becomes a song of its own; by default the rule used for it before, else "once".
        trust_labels : bool
            Use labels of beats and tempo as they are, without comparing them with the sound.

        Returns
        -------
        AddReport
            The songs that were added, and the songs that could not be used.

        Raises
        ------
        MashkitError
            If there is no song at all, or the database cannot be written.
        """
        given = require_paths("paths", paths)
        require("protocol", protocol, (str, Protocol), "give the name of a protocol, or one")
        way = create_protocol(protocol) if isinstance(protocol, str) else protocol
        adder = self.adder(
            database,
            policy=way.policy(as_policy(policy)),
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
        """Return the adder that :meth:`add` uses, for callers that have a list of songs and need each song's result.

        Raises
        ------
        UsageError
            If an argument is of another type, or ``same_recording`` is another value.
        """
        return Adder(
            database,
            self.separator,
            self.analyzer,
            policy=policy,
            with_features=with_features,
            executor=self.ingest_executor,
            notify=self._notify,
            registry=self.registry,
            same_recording=same_recording,
        )

    def generate(
        self,
        catalog: ListedSource,
        *,
        condition: Condition | str = Condition.MATCHED,
        count: int = 50,
        seed: int = 0,
        vocal: str | None = None,
    ) -> list[Mashup]:
        """Plan mashups (see :meth:`Generator.plan`) without rendering them.

        ``catalog`` is a :class:`Catalog`, or another :class:`mashkit.ClipSource` with a list of its ``clips``.

        Raises
        ------
        GenerationError
            If no plan exists, or the catalog has no clip; the error then has the reason of the first song.
        UsageError, ContractViolation
            As :meth:`Generator.plan`.
        """
        _require_source(catalog, "clips")
        _require_clips(catalog)
        drawn = self.generator.plan(catalog.clips, condition=condition, count=count, seed=seed, vocal=vocal)
        plans: list[MashupPlan] = []
        try:
            plans.extend(drawn)
        except (ComponentError, GenerationError) as error:
            if not plans:
                raise
            self.registry.note(f"drawing ended after {len(plans)} of {count} plans: {error}")
        return self.mashups(catalog, plans)

    def mashups(self, catalog: ClipSource, plans: Iterable[MashupPlan]) -> list[Mashup]:
        """Bind plans to this kit's stretcher, with one renderer, so that a layer of several plans is stretched once.

        If the stretcher cannot follow time maps, layers with a time map are played at one speed, and the plan gets a
        note about it.

        Raises
        ------
        MashkitError
            If a plan cannot be bound; :meth:`score_plans` returns this error per plan instead.
        """
        _require_source(catalog)
        chosen = require_all("plans", plans, MashupPlan, "give plans; MashupPlan.from_json reads the text of one")
        renderer = Renderer(catalog, self.stretcher)
        return [renderer.mashup(self._playable(plan)) for plan in chosen]

    def score_plans(self, catalog: ClipSource, plans: Iterable[MashupPlan]) -> list[Score | MashkitError]:
        """Score plans, one result each: a score, or an error, for example if the catalog lacks the plan's clips."""
        _require_source(catalog)
        plans = require_all("plans", plans, MashupPlan, "give plans; MashupPlan.from_json reads the text of one")
        renderer = Renderer(catalog, self.stretcher)
        bound = [_or_error(f"plan {plan.id}", lambda one: renderer.mashup(self._playable(one)), plan) for plan in plans]
        scores = iter(self.score([one for one in bound if isinstance(one, Mashup)]))
        return [next(scores) if isinstance(one, Mashup) else one for one in bound]

    def _playable(self, plan: MashupPlan) -> MashupPlan:
        return playable(self._finish.of(plan), self.stretcher)

    def best_variants(self, mashups: Iterable[Mashup]) -> list[Mashup]:
        """Return, for each mashup, its variant with the highest score, for example the best offset of its phrases.

        :meth:`Generator.variants` defines the variants. If no variant of a mashup can be scored, the mashup stays as it
        is.
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

    def score(self, mashups: Iterable[Mashup]) -> list[Score | MashkitError]:
        """Score mashups, one result each; the result of a mashup that cannot be scored is its error.

        A :class:`mashkit.interfaces.scorer.RelativeScorer` compares all mashups that could be measured. A mashup with a
        silent layer is scored too, and the registry gets a note about the layer, because its score says little.
        """
        results: list[Any] = []
        mashups = _require_mashups(mashups)
        for start in range(0, len(mashups), SCORE_BATCH):
            results += self._measured(mashups[start : start + SCORE_BATCH])
            for done, result in enumerate(results[start:], start + 1):
                failed = isinstance(result, MashkitError)
                if not failed:
                    self._note_silence(mashups[done - 1])
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

    def _note_silence(self, mashup: Mashup) -> None:
        for role, clip in mashup.clips.items():
            if clip.activity.get(role, 1.0) == 0.0:
                self.registry.note(f"clip {clip.id} ({clip.title}): its {role} is silent, so scores with it say little")

    def _scores(self, mashups: Sequence[Mashup]) -> list[Score | MashkitError]:
        return self._compared(self._measured(mashups))

    def _measured(self, mashups: Sequence[Mashup]) -> list[Any]:
        """Return each mashup's score (with a relative scorer, its measurement), or its error."""
        scorer = self.scorer
        measure = scorer.measure if isinstance(scorer, RelativeScorer) else scorer.score
        try:
            return list(measure(mashups))
        except Exception:  # noqa: BLE001 — each mashup is measured alone, to find the one that fails and its error
            return [_or_error(f"scoring plan {one.plan.id}", lambda one: measure([one])[0], one) for one in mashups]

    def _compared(self, measured: Sequence[Any]) -> list[Score | MashkitError]:
        """Return the scores that follow from the measurements; errors stay as they are."""
        scorer = self.scorer
        if not isinstance(scorer, RelativeScorer):
            return list(measured)
        found = iter(scorer.compare([one for one in measured if not isinstance(one, MashkitError)]))
        return [one if isinstance(one, MashkitError) else next(found) for one in measured]

    def rank(
        self,
        mashups: Iterable[Mashup],
        *,
        top: int | None = None,
        per_vocal: int | None = None,
        failed: Callable[[Mashup, MashkitError], object] = lambda *_: None,
    ) -> list[Ranked]:
        """Score mashups and return the best first; equal scores keep their order.

        Parameters
        ----------
        mashups : iterable of Mashup
        top : int, optional
            Number of mashups to return; all by default.
        per_vocal : int, optional
            Largest number of mashups with a vocal from the same song; without a limit the three best of fifty often
            differ in the drums only.
        failed : callable
            Called with each mashup that could not be scored, and its error.

        Raises
        ------
        MashkitError
            The first mashup's error, if no mashup could be scored.
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


_LISTS: Mapping[str, str] = {"pip install ": " ", f"add to {ALLOWLIST_VARIABLE}: ": ","}
"""Beginnings of fixes that end with a list, and what stands between its items."""


def _joined(fixes: Iterable[str]) -> list[str]:
    """Return each fix once; fixes that differ only in the items of a list become one."""
    items: dict[str, dict[str, None]] = {}
    for fix in fixes:
        # A fix of several steps ("pip install NAME, and …") ends with something else than the list.
        start = next((one for one in _LISTS if fix.startswith(one) and ", and " not in fix), fix)
        items.setdefault(start, {}).setdefault(fix.removeprefix(start))
    return [start + _LISTS.get(start, "").join(given) for start, given in items.items()]


def _require_clips(catalog: ListedSource) -> None:
    """Raise GenerationError, with the reason of the first song that could not be used, if a catalog has no clip."""
    if len(catalog.clips):
        return
    failures = getattr(catalog, "failures", ())  # another source of clips need not have them
    if not failures:
        raise GenerationError("the catalog has no clip", "add songs")
    error = failures[0].error
    songs = "its song" if len(failures) == 1 else f"none of its {len(failures)} songs"
    cannot = "cannot" if len(failures) == 1 else "can"
    raise GenerationError(f"the catalog has no clip, because {songs} {cannot} be used: {error.problem}", error.fix)


def _require_source(catalog: object, *members: str) -> None:
    """Raise UsageError unless ``catalog`` has the members of a source of clips, and these."""
    if not is_source(catalog, *members):
        require("catalog", catalog, Catalog, "make one: kit.catalog(songs), or Catalog(MashupDB(folder))")


def _require_mashups(mashups: object) -> list[Mashup]:
    return require_all("mashups", mashups, Mashup, "give what kit.generate or kit.mashups returned")
