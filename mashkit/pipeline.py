"""The pipeline on one screen: catalog → generate → render → score → rank, with every part chosen by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs

from mashkit.catalog import Adder, AddReport, Catalog, MashupDB
from mashkit.catalog.adding import can_travel
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.protocols import Protocol, create_protocol
from mashkit.catalog.songs import Song, trusting
from mashkit.components import Component
from mashkit.errors import MashkitError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import INTERFACES, Analyzer, Executor, Generator, Scorer, Separator, Stretcher
from mashkit.registry import Registry
from mashkit.render import Mashup, Renderer
from mashkit.types import Condition, MashupPlan, Role, Score, by_id

SCORE_BATCH = 16
"""Mashups given to a scorer at once: enough for a network to batch, few enough for progress to be seen."""


@attrs.frozen(eq=False)
class Ranked:
    """A mashup, its score, and its place: 1 is best."""

    mashup: Mashup
    score: Score
    rank: int


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
    ) -> None:
        unknown = set(options or {}) - set(INTERFACES)
        if unknown:
            raise UsageError(f"options for {sorted(unknown)}", f"the kinds are {', '.join(INTERFACES)}")
        self.registry = registry or Registry()
        self._options = dict(options or {})
        self._chosen: dict[str, str | Component] = {
            "separator": separator,
            "analyzer": analyzer,
            "stretcher": stretcher,
            "scorer": scorer,
            "generator": generator,
            "executor": executor,
        }

    @property
    def chosen(self) -> Mapping[str, str]:
        """Kind → name of the component chosen for it, created or not."""
        return {kind: one if isinstance(one, str) else one.info.name for kind, one in self._chosen.items()}

    def _component(self, kind: str) -> Component:
        chosen = self._chosen[kind]
        if isinstance(chosen, str):
            return self.registry.create(kind, chosen, self._options.get(kind))
        if not isinstance(chosen, INTERFACES[kind]):
            raise UsageError(
                f"{chosen!r} is not a {kind}", f"give a name, or an instance of {INTERFACES[kind].__name__}"
            )
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
    ) -> Catalog:
        """Separate and analyze songs with this kit's executor; see :meth:`Catalog.build`."""
        return Catalog.build(
            [paths] if isinstance(paths, (str, Path)) else paths,
            separator=self.separator,
            analyzer=self.analyzer,
            policy=policy,
            cache=cache,
            executor=self.ingest_executor,
            notify=self._notify,
            loader=self.registry.plugins.hook.mashkit_load_audio,
        )

    def add(
        self,
        database: MashupDB,
        paths: Path | str | Iterable[Path | str],
        *,
        protocol: str | Protocol = "songs",
        policy: ExcerptPolicy | None = None,
        with_features: bool = True,
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
        way = create_protocol(protocol) if isinstance(protocol, str) else protocol
        adder = self.adder(database, policy=way.policy(policy or ExcerptPolicy()), with_features=with_features)
        given = [paths] if isinstance(paths, (str, Path)) else paths
        songs = way.songs([Path(path) for path in given])
        if trust_labels:
            songs = [trusting(song) if isinstance(song, Song) else song for song in songs]
        for _ in adder.add(songs, protocol=way.name):
            pass
        return adder.report

    def adder(self, database: MashupDB, *, policy: ExcerptPolicy | None = None, with_features: bool = True) -> Adder:
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
        plans = self.generator.plan(catalog.clips, condition=condition, count=count, seed=seed, vocal=vocal)
        return self.mashups(catalog, plans)

    def mashups(self, catalog: Catalog, plans: Iterable[MashupPlan]) -> list[Mashup]:
        """Bind plans to this kit's stretcher, with one renderer: a layer they share is stretched once.

        Where the stretcher follows no time maps, layers that have one are played at one speed; the plans' notes say so.
        """
        renderer = Renderer(catalog, self.stretcher)
        return [renderer.mashup(self._playable(plan)) for plan in plans]

    def _playable(self, plan: MashupPlan) -> MashupPlan:
        if self.stretcher.follows_time_maps:
            return plan
        return plan.at_one_speed(f"the stretcher {self.stretcher.info.name!r} follows no time map")

    def best_variants(self, mashups: Sequence[Mashup]) -> list[Mashup]:
        """Return, for each mashup, the variant the scorer likes best: the offset of its phrases, say.

        See :meth:`Generator.variants` for what varies. One whose variants cannot be scored stays as it is.
        """
        best = []
        for done, mashup in enumerate(mashups, 1):
            clips = by_id(list(mashup.clips.values()))
            plans = [self._playable(plan) for plan in self.generator.variants(mashup.plan, clips)]
            variants = [mashup.renderer.mashup(plan) for plan in plans]
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

    def score(self, mashups: Sequence[Mashup]) -> list[Score | MashkitError]:
        """Score mashups, one result each; one that cannot be scored gives its error and does not stop the others."""
        results: list[Score | MashkitError] = []
        for start in range(0, len(mashups), SCORE_BATCH):
            results += self._scores(mashups[start : start + SCORE_BATCH])
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
        return results

    def _scores(self, mashups: Sequence[Mashup]) -> list[Score | MashkitError]:
        try:
            return list(self.scorer.score(mashups))
        except MashkitError:
            return [self._score_alone(mashup) for mashup in mashups]

    def _score_alone(self, mashup: Mashup) -> Score | MashkitError:
        try:
            return self.scorer.score([mashup])[0]
        except MashkitError as error:
            return error

    def rank(self, mashups: Sequence[Mashup], *, top: int | None = None, per_vocal: int | None = None) -> list[Ranked]:
        """Score mashups and return the best first; equal scores keep their order.

        Parameters
        ----------
        mashups : sequence of Mashup
        top : int, optional
            How many to return; all when not given.
        per_vocal : int, optional
            At most so many that sing of the same song: the three best of fifty often differ in the drums only.

        Raises
        ------
        MashkitError
            If not a single mashup could be scored: the first one's error.
        """
        results = self.score(mashups)
        scored = [(mashup, score) for mashup, score in zip(mashups, results, strict=True) if isinstance(score, Score)]
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
