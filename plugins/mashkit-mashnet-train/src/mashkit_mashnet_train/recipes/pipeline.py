"""The recipe "pipeline": training examples like those of the paper, made in the same way.

Songs are mixed down, separated and analysed; the generator `paper` plans originals, matched and unmatched mashups; the
stretcher plays them; and a network gets the spectra of the three layers and of the mix. Originals are not stretched, so
a network can recognise them by the lack of stretching artefacts, as in the paper (protocol ``paper``).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.atomicfile import require_writable_folder, writing_alone
from mashkit.audio.files import load, save
from mashkit.bench.protocols import PAPER_OPTIONS
from mashkit.catalog import Catalog, MashupDB
from mashkit.catalog.adding import Unusable, can_travel
from mashkit.catalog.protocols import create_protocol
from mashkit.catalog.songs import Song, bytes_digest, describe_song, find_songs
from mashkit.conditions import UNMATCHED
from mashkit.errors import GenerationError, MashkitError, UsageError
from mashkit.interfaces import Generator, Stretcher
from mashkit.interfaces.executor import Job, Work
from mashkit.mashup import Mashup
from mashkit.numbers import number_of
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit.types import Clip, Condition, MashupPlan, Role
from mashkit_mashnet.frontend import FrontEnd
from mashkit_mashnet.networks import PRESETS
from mashkit_mashnet.stem_features import ROLES, Bytes
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleStore, ExampleWriter
from mashkit_mashnet_train.examples import Fold, Split, splits
from mashkit_mashnet_train.recipes.database import licences_of
from mashkit_mashnet_train.recipes.mixing import mixed
from mashkit_mashnet_train.store import LICENCES, StoreError

DATABASE, MIXES = "songs.db", "mixes"
"""Folders that the recipe makes beside the store: what was separated and analysed, and the mixes of stems."""
SPLITS: tuple[Split, ...] = ("training", "validation", "test")
MIXED_SONGS = 2
"""Least number of songs of an unmatched mashup: its backing is of other songs than its vocal."""
SECONDS = 24.0
"""Longest part of a mashup that is kept, from its start on: a training example is a crop of 10.4 s in it."""


@attrs.frozen(kw_only=True)
class PipelineOptions:
    """What examples the recipe makes.

    Parameters
    ----------
    examples : int
        Number of examples: a third each of originals, unmatched and matched. There are at most as many originals as
        clips.
    ranked : int
        Least number of matched mashups of the test songs. The paper ranks each original among all matched mashups of
        the test ("Objective evaluation", Table 1), so these should be many.
    mismatch : {"strict", "literal"}
        What unmatched means; see :class:`mashkit.builtin.paper.PaperGenerator`.
    test_only : bool
        All songs are for the test of networks that were trained on other songs.
    presets : tuple of str
        Presets whose front ends the spectra are made for.
    fold : Fold, optional
        Songs that are left out, for the test; see :func:`mashkit_mashnet_train.examples.splits`.
    seed : int

    Raises
    ------
    UsageError
        If a preset does not exist, or a fold is given where all songs are for the test.
    """

    examples: int = 3000
    ranked: int = attrs.field(default=500, validator=attrs.validators.ge(0))
    mismatch: str = "strict"
    fold: Fold | None = None
    test_only: bool = attrs.field(default=False)
    presets: tuple[str, ...] = attrs.field(default=("compact",))
    seed: int = 0

    @presets.validator
    def _check_presets(self, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
        for name in value:
            _front_end(name)

    @test_only.validator
    def _check_fold(self, attribute: attrs.Attribute[bool], value: bool) -> None:
        if value and self.fold is not None:
            raise UsageError(f"fold {self.fold} of songs that are all for the test", "give one of the two")


def pipeline(
    folder: Path,
    songs: Sequence[Path],
    stems: Sequence[Path] = (),
    options: PipelineOptions | None = None,
    *,
    kit: Kit | None = None,
    progress: Callable[[str, int, int], None] = lambda item, done, total: None,
    failed: Callable[[str], None] = lambda message: None,
) -> ExampleStore:
    """Make a store of examples; songs and examples that an interrupted run has made already are kept.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    songs : sequence of Path
        Sound files, and folders of them.
    stems : sequence of Path
        Folders of songs as stems (dataset layout "multitrack"). They are mixed down and then separated, so that leakage
        and artefacts are those of the separator; their own stems are not used.
    options : PipelineOptions, optional
    kit : Kit, optional
        Separator, analyzer, stretcher and executor; by default the defaults of mashkit.
    progress : callable
        Called with (example, done, total) after each example.
    failed : callable
        Called with the reason when a song or a plan is left out; the run goes on with the next.

    Raises
    ------
    StoreError
        If training or validation, or a test alone, get no original or no unmatched example.
    OutputError
        If the folder cannot be written to, or another run is writing into it.
    MashkitError
        As for :func:`check`, and if there is no song.
    """
    options = options or PipelineOptions()
    front_ends = {name: _front_end(name) for name in options.presets}
    kit = kit or Kit()
    found = check(folder, songs, stems, options, kit)
    with writing_alone(require_writable_folder(folder)):
        ExampleWriter.require_possible(folder, _known(options, kit), whole=False)  # another run may have finished it
        return _made_of(found, folder, options, front_ends, kit, progress, failed)


def _made_of(
    found: Sequence[Song | Unusable],
    folder: Path,
    options: PipelineOptions,
    front_ends: Mapping[str, FrontEnd],
    kit: Kit,
    progress: Callable[[str, int, int], None],
    failed: Callable[[str], None],
) -> ExampleStore:
    """Return the store of :func:`pipeline`, in a folder that this run has for itself."""
    with MashupDB(folder / DATABASE) as database:
        adder = kit.adder(database, with_features=False)
        for added in adder.add([_mixed_down(song, folder / MIXES) for song in found]):
            del added  # the adder's report has what failed
        for path, error in adder.report.failures:
            failed(f"{path}: {error}")
        catalog = Catalog(database)
        clips = list(catalog.clips)
        source = {
            **_known(options, kit),
            "songs": sorted({clip.song for clip in clips}),
            "titles": sorted({clip.title for clip in clips}),
            LICENCES: licences_of(clips),
            "components": list(catalog.provenance(clip.id for clip in clips)),
        }
        writer = ExampleWriter(folder, source)
        planned = list(_plans(clips, options, failed))
        _require_classes(folder, planned, _needed(options))
        records = [_record(split, plan, catalog) for split, plan in planned]
        writer.keep({record.id: record.to_dict() for record in records})
    missing = [(record, plan) for record, (_, plan) in zip(records, planned, strict=True) if not writer.has(record.id)]
    work = Work(name="examples", start=_maker, arguments=(folder / DATABASE, kit.stretcher, front_ends), run=_made)
    # A stretcher that was given as an instance, not by its name, cannot be created in another process.
    executor = kit.executor if can_travel(kit.stretcher) else kit.registry.create("executor", "local", {"jobs": 0})
    jobs = (Job(work, one, one[0].id) for one in missing)
    for done, outcome in enumerate(executor.run(jobs), len(records) - len(missing) + 1):
        record, plan = outcome.job.item
        if outcome.error is None:
            writer.add(record, outcome.result)
        else:
            failed(f"plan {plan.id}: {outcome.error}")
        progress(record.id, done, len(records))
    return writer.close(front_ends)


def check(
    folder: Path, songs: Sequence[Path], stems: Sequence[Path], options: PipelineOptions, kit: Kit
) -> list[Song | Unusable]:
    """Return the songs of :func:`find`; before any work, raise what would be an error after hours. Nothing is written.

    Raises
    ------
    StoreError
        If ``folder`` holds a finished store, or examples made with other options, or there are too few songs.
    UsageError
        If no songs are given, a path does not exist, or there are more folds than songs.
    MashkitError
        If the folder cannot be written to, another run is writing into it, or the separator or another component is
        not installed.
    """
    kit.require("separator", "analyzer", "stretcher")
    with writing_alone(folder):
        ExampleWriter.require_possible(folder, _known(options, kit), whole=False)
        components = ExampleWriter.begun(folder).get("components", ())
    for kind in ("separator", "analyzer"):
        name = getattr(kit, kind).describe()["name"]
        begun = {one["name"] for one in components if one["kind"] == kind}
        if begun and name not in begun:
            raise StoreError(
                f"{folder} holds an unfinished store made with {kind} {', '.join(sorted(begun))}, not {name}",
                f"give --{kind} {min(begun)} to go on with it, or another folder; or remove this one",
            )
    found = find(songs, stems)
    _require_songs(folder, [one.title for one in found if isinstance(one, Song)], options)
    return found


def _needed(options: PipelineOptions) -> tuple[Split, ...]:
    """Return the parts without which a store is of no use."""
    return ("test",) if options.test_only else ("training", "validation")


def _require_songs(folder: Path, titles: Sequence[str], options: PipelineOptions) -> None:
    """Raise an error if some part would get too few songs, whatever they sound like; ``titles`` are those of all songs.

    Which song is in which part depends on its sound, but how many there are in each part of a fold does not.
    """
    needed = _needed(options)
    if options.fold is not None:
        parts = splits({str(number): title for number, title in enumerate(titles)}, options.fold)
        # Songs of one title are in one part. Which part gets the surplus ones is not known.
        of = {title or number: parts[str(number)] for number, title in enumerate(titles)}
        surplus = len(titles) - len(of)
        for split in needed:
            count = sum(own == split for own in of.values())
            _require_both(folder, split, original=count > 0, unmatched=count > 0 and count + surplus >= MIXED_SONGS)
    if len(titles) < MIXED_SONGS * len(needed):
        raise StoreError(
            f"{number_of(len(titles), 'song')} for {folder}, but {' and '.join(needed)} need "
            f"{MIXED_SONGS} each, because the backing of an unmatched mashup is of other songs than its vocal",
            "add songs",
        )


def _known(options: PipelineOptions, kit: Kit) -> dict[str, Any]:
    """Return the part of the source that is known before the songs are separated."""
    return {
        "recipe": "pipeline",
        "examples": options.examples,
        "ranked": options.ranked,
        "mismatch": options.mismatch,
        "fold": None if options.fold is None else str(options.fold),
        "test_only": options.test_only,
        "presets": list(options.presets),
        "seed": options.seed,
        "generator": dict(_generator(options).describe()),
        "stretcher": dict(kit.stretcher.describe()),
    }


def _generator(options: PipelineOptions) -> Generator:
    return Kit(options={"generator": {**PAPER_OPTIONS, "mismatch": options.mismatch}}).generator


def _front_end(preset: str) -> FrontEnd:
    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}", f"there are {', '.join(PRESETS)}")
    return PRESETS[preset].front_end


def find(songs: Sequence[Path], stems: Sequence[Path] = ()) -> list[Song | Unusable]:
    """Return the songs that :func:`pipeline` would use, and those that it cannot read.

    Parameters
    ----------
    songs : sequence of Path
        Sound files, and folders of them.
    stems : sequence of Path
        Folders of songs as stems.

    Raises
    ------
    UsageError
        If nothing is given, or a path does not exist.
    """
    if not (songs or stems):
        raise UsageError("no songs", "give sound files, folders of them, or --stems FOLDER")
    plain = [describe_song(path) for path in find_songs(songs)] if songs else []
    return [*plain, *(create_protocol("multitrack").songs(stems) if stems else [])]


def _mixed_down(song: Song | Unusable, mixes: Path) -> Song | Unusable:
    """Return a song as one file: where it is given as stems alone, their mix is written to ``mixes``.

    The mix lies in a folder named by what the stems hold, because songs of two folders may have one name, and stems may
    be replaced.
    """
    if not isinstance(song, Song) or not song.stems:
        return song
    try:
        path = song.path if song.has_mix else mixes / bytes_digest(song)[:16] / f"{song.path.name}.flac"
        if not path.exists():
            require_writable_folder(path.parent)
            save(path, mixed([load(stem) for stem in song.stems.values()]))
    except MashkitError as error:
        return song.path, error
    return attrs.evolve(song, path=path, stems={})


def _plans(
    clips: Sequence[Clip], options: PipelineOptions, failed: Callable[[str], None]
) -> list[tuple[Split, MashupPlan]]:
    """Return the plans of each split, drawn from its own songs alone."""
    generator = _generator(options)
    planned: list[tuple[Split, MashupPlan]] = []
    songs: dict[str, str | None] = {clip.song: clip.title for clip in clips}
    parts = dict.fromkeys(songs, SPLITS[-1]) if options.test_only else splits(songs, options.fold)
    for number, split in enumerate(SPLITS):
        own = [clip for clip in clips if parts[clip.song] == split]
        if not own:
            continue
        third = max(1, round(options.examples / 3 * len(own) / len(clips)))
        counts: Mapping[Condition, int] = {
            Condition.ORIGINAL: third,
            Condition.MATCHED: max(third, options.ranked) if split == "test" else third,
            **dict.fromkeys(UNMATCHED, max(1, round(third / 3))),
        }
        for kind, count in counts.items():
            seed = int(np.random.SeedSequence([options.seed, number, list(Condition).index(kind)]).generate_state(1)[0])
            wanted = min(count, len(own)) if kind == Condition.ORIGINAL else count
            try:
                drawn = generator.plan(own, condition=kind, count=wanted, seed=seed)
                found = [(split, plan) for plan in itertools.islice(drawn, wanted)]
            except GenerationError as error:
                failed(f"{split}, {kind}: {error}")
                continue
            if len(found) < wanted:
                failed(
                    f"{split}, {kind}: {len(found)} mashups and not {wanted}, because no more of {len(own)} clips fit"
                )
            planned += found
    # Plans of one vocal follow each other, because they share its layer.
    return sorted(planned, key=lambda one: (one[0], one[1].layer(Role.VOCAL).clip_id, one[1].id))


def _require_classes(folder: Path, planned: Sequence[tuple[Split, MashupPlan]], needed: Sequence[Split]) -> None:
    for split in needed:
        conditions = {plan.condition for own, plan in planned if own == split}
        original, unmatched = Condition.ORIGINAL in conditions, not conditions.isdisjoint(UNMATCHED)
        _require_both(folder, split, original=original, unmatched=unmatched)


def _require_both(folder: Path, split: Split, *, original: bool, unmatched: bool) -> None:
    """Raise StoreError unless a part gives what a network has to tell apart."""
    lacking = ["original"] * (not original) + ["unmatched mashup"] * (not unmatched)
    if lacking:
        raise StoreError(
            f"the {split} songs give no {' and no '.join(lacking)} for {folder}",
            "add songs: each song belongs to one part by the hash of its name",
        )


def _record(split: Split, plan: MashupPlan, catalog: Catalog) -> ExampleRecord:
    return ExampleRecord(
        id=f"{split}-{plan.id}",
        split=split,
        kind=str(plan.condition),
        vocal=plan.layer(Role.VOCAL).clip_id,
        songs=tuple(catalog.clip(plan.layer(role).clip_id).song for role in ROLES),
        titles=tuple(catalog.clip(plan.layer(role).clip_id).title for role in ROLES),
    )


@attrs.frozen(eq=False)
class _Maker:
    """What a worker keeps: one renderer, so that a layer of several plans is stretched once."""

    renderer: Renderer
    front_ends: Mapping[str, FrontEnd]


def _maker(folder: Path, stretcher: Stretcher, front_ends: Mapping[str, FrontEnd]) -> _Maker:
    database = MashupDB(folder, write=False)
    maker = _Maker(Renderer(Catalog(database), stretcher), front_ends)
    weakref.finalize(maker, database.close)  # because an executor does not say when its work ends
    return maker


def _made(maker: _Maker, item: tuple[ExampleRecord, MashupPlan]) -> dict[str, Bytes]:
    """Return the spectra of a plan for each front end."""
    mashup = maker.renderer.mashup(item[1])
    return {name: _spectra(mashup, one) for name, one in maker.front_ends.items()}


def _spectra(mashup: Mashup, front_end: FrontEnd) -> Bytes:
    """Return the spectra of a mashup's layers, as they are before mixing, and of its mix, shape (frames, 4, bands)."""
    sounds = [*(mashup.layer_audio(role) for role in ROLES), mashup.mix]
    spectra = [front_end.spectrum(sound) for sound in sounds]
    frames = min(round(SECONDS * front_end.frame_rate), *(one.shape[1] for one in spectra))
    stacked = np.stack([one[:, :frames].T for one in spectra], axis=1)
    quantised: Bytes = np.rint(stacked * np.float32(255)).astype(np.uint8)
    return quantised
