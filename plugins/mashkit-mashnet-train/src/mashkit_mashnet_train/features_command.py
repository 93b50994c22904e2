"""`mashkit features`: makes stores of features, the training data of `mashkit train`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.hookspecs import Command
from mashkit.numbers import number_of

if TYPE_CHECKING:
    from mashkit.registry import Registry
    from mashkit_mashnet_train.example_store import ExampleStore
    from mashkit_mashnet_train.store import Store

DONE, PARTLY = 0, 3
SUMMARY = "Make a store of features to train on: of a database's clips, or of songs rendered for it."


def _configure(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import add_dry_run, add_telling

    recipes = made.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    database = recipes.add_parser("db", help="the clips of a database")
    rendered = recipes.add_parser("rendered", help="songs of POP909, played, sung and drummed anew")
    pipeline = recipes.add_parser("pipeline", help="songs, separated, and mashups of them, stretched and mixed")
    _configure_database(database)
    _configure_rendered(rendered)
    _configure_pipeline(pipeline)
    for recipe in (database, rendered, pipeline):
        recipe.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="of the store")
        add_dry_run(recipe, "say what the store would be made of")
        add_telling(recipe, argparse.SUPPRESS)


def _configure_database(made: argparse.ArgumentParser) -> None:
    made.add_argument("database", type=Path, metavar="DB", help="what `mashkit db add` made")


def _configure_rendered(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import positive, whole

    made.add_argument("--midi", type=Path, required=True, metavar="TAR", help="POP909 as a tar file")
    made.add_argument("--drums", type=Path, required=True, metavar="TAR", help="Groove MIDI Dataset as a tar file")
    made.add_argument(
        "--soundfont", type=Path, action="append", metavar="SF2", help="repeatable; default: the one pretty_midi brings"
    )
    made.add_argument("--windows", type=positive, default=3, metavar="N", help="clips of a song; default: %(default)s")
    made.add_argument("--songs", type=positive, metavar="N", help="only the first N; default: all")
    made.add_argument("--seconds", type=float, default=23.0, metavar="S", help="of a clip, about; default: %(default)s")
    made.add_argument("--sound", type=Path, metavar="FOLDER", help="write each clip's mix there, as a song")
    made.add_argument(
        "--sung", type=float, default=0.35, metavar="SHARE", help="of the melodies, with pysinsy; default: %(default)s"
    )
    made.add_argument("--dry", action="store_true", help="no breaths, backing vocals, echoes, rooms, mastering")
    made.add_argument("--separator", metavar="NAME", help="takes each stem from a mix with stems of two other songs")
    made.add_argument("--stretcher", metavar="NAME", help="stretches and shifts half of the stems, there and back")
    made.add_argument("--seed", type=whole, default=0, help="of every choice; default: %(default)s")
    made.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes; default: %(default)s")


def _configure_pipeline(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import positive, whole

    made.add_argument("songs", type=Path, nargs="*", metavar="SONG", help="sound files, and folders of them")
    made.add_argument(
        "--stems", type=Path, action="append", default=[], metavar="FOLDER",
        help="folder of songs as stems, which are mixed down and then separated; repeatable",
    )  # fmt: skip
    made.add_argument(
        "--examples", type=positive, default=3000, metavar="N",
        help="mashups, a third each original, unmatched and matched; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--ranked", type=positive, default=500, metavar="N",
        help="matched mashups of the test songs, at least, to rank originals among; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--mismatch", choices=("strict", "literal"), default="strict",
        help="what unmatched means: it must clash, or it may; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--preset", action="append", metavar="NAME",
        help="make spectra for this size of network; repeatable; default: compact",
    )  # fmt: skip
    made.add_argument("--fold", metavar="K/N", help="leave the songs of fold K of N out; default: the split by name")
    made.add_argument(
        "--test-only", action="store_true", help="all songs are for the test of networks that were trained on others"
    )
    made.add_argument("--seed", type=whole, default=0, help="of every draw; default: %(default)s")
    made.add_argument("--jobs", type=positive, metavar="N", help="processes; default: one for each core")
    for kind in ("separator", "analyzer", "stretcher"):
        made.add_argument(f"--{kind}", metavar="NAME", help="another than mashkit's own choice")


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry

    registry = Registry()

    def progress(item: str, done: int, total: int) -> None:
        registry.plugins.hook.mashkit_stage(
            event=StageEvent(stage="features", item=item, state="done", done=done, total=total)
        )

    with ProgressListener(registry, quiet=arguments.quiet):
        return {"db": _database, "rendered": _rendered, "pipeline": _pipeline}[arguments.recipe](
            arguments, registry, progress
        )


def _database(arguments: argparse.Namespace, registry: Registry, progress: Callable[[str, int, int], None]) -> int:
    from mashkit.catalog import Catalog, MashupDB
    from mashkit_mashnet_train.recipes.database import check, from_database

    if arguments.dry_run:
        with MashupDB(arguments.database, write=False) as database:
            clips = check(arguments.output, Catalog(database), arguments.database)
            found = _clips((clip.song, clip.duration) for clip in clips)
            return _say_what_would_be_made(found, _counted(found), arguments)
    left_out: list[str] = []
    store = from_database(arguments.output, arguments.database, progress=progress, failed=left_out.append)
    return _say_what_was_made(store, _clips((one.song, one.duration) for one in store.records), left_out, arguments)


def _rendered(arguments: argparse.Namespace, registry: Registry, progress: Callable[[str, int, int], None]) -> int:
    from mashkit_mashnet_train.recipes.processing import Processing
    from mashkit_mashnet_train.recipes.production import DRY, Production
    from mashkit_mashnet_train.recipes.rendered import RenderedOptions, bundled_soundfont, check, render

    inputs = arguments.output, arguments.midi, arguments.drums, arguments.soundfont or [bundled_soundfont()]
    options = RenderedOptions(
        windows=arguments.windows,
        songs=arguments.songs,
        seconds=arguments.seconds,
        seed=arguments.seed,
        sung=arguments.sung,
        production=DRY if arguments.dry else Production(),
        processing=Processing(**_components(arguments, registry, "separator", "stretcher")),
        sound=arguments.sound,
    )
    if arguments.dry_run:
        excerpts, _ = check(*inputs, options)
        found = _clips((one.song, 4 * one.bars * 60 / one.tempo) for one in excerpts)
        return _say_what_would_be_made(found, _counted(found), arguments)
    store = render(*inputs, options, jobs=arguments.jobs, progress=lambda done, total: progress("clip", done, total))
    return _say_what_was_made(store, _clips((one.song, one.duration) for one in store.records), [], arguments)


def _components(arguments: argparse.Namespace, registry: Registry, *kinds: str) -> dict[str, Any]:
    """Return the components that options name; raises a MashkitError if one is not installed."""
    from mashkit.pipeline import Kit

    chosen = _named(arguments, *kinds)
    kit = Kit(**chosen, registry=registry)
    kit.require(*chosen)
    return {kind: getattr(kit, kind) for kind in chosen}


def _named(arguments: argparse.Namespace, *kinds: str) -> dict[str, Any]:
    """Return the names of the components that options name."""
    return {kind: name for kind in kinds if (name := getattr(arguments, kind)) is not None}


def _pipeline(arguments: argparse.Namespace, registry: Registry, progress: Callable[[str, int, int], None]) -> int:
    from mashkit.catalog.songs import Song
    from mashkit.pipeline import Kit
    from mashkit_mashnet_train.examples import Fold
    from mashkit_mashnet_train.recipes.pipeline import PipelineOptions, check, pipeline

    options = PipelineOptions(
        examples=arguments.examples,
        ranked=arguments.ranked,
        mismatch=arguments.mismatch,
        presets=tuple(arguments.preset or ["compact"]),
        fold=None if arguments.fold is None else Fold.parse(arguments.fold),
        test_only=arguments.test_only,
        seed=arguments.seed,
    )
    chosen = _named(arguments, "separator", "analyzer", "stretcher")
    of_jobs = {} if arguments.jobs is None else {"executor": {"jobs": arguments.jobs}}
    kit = Kit(**chosen, options=of_jobs, registry=registry)
    if arguments.dry_run:
        found_songs = check(arguments.output, arguments.songs, arguments.stems, options, kit)
        songs = sum(isinstance(one, Song) for one in found_songs)
        # A song may turn out to be unusable, or the same recording as another.
        said = f"{number_of(options.examples, 'example')} asked for, of at most {number_of(songs, 'song')}"
        return _say_what_would_be_made({"examples": options.examples, "songs": songs}, said, arguments)
    left_out: list[str] = []
    store = pipeline(
        arguments.output,
        arguments.songs,
        arguments.stems,
        options,
        kit=kit,
        progress=progress,
        failed=left_out.append,
    )
    counts = Counter((record.split, record.kind) for record in store.records)
    found = {
        "examples": len(store),
        "kinds": {f"{split}, {kind}": count for (split, kind), count in sorted(counts.items())},
        "songs": len(store.source["songs"]),
    }
    return _say_what_was_made(store, found, left_out, arguments)


def _clips(songs_and_seconds: Iterable[tuple[str, float]]) -> dict[str, Any]:
    found = list(songs_and_seconds)
    hours = sum(seconds for _, seconds in found) / 3600
    return {"clips": len(found), "songs": len({song for song, _ in found}), "hours": hours}


def _counted(found: Mapping[str, Any]) -> str:
    hours = f", {found['hours']:.2f} hours" if "hours" in found else ""
    kind = "clip" if "clips" in found else "example"
    return f"{number_of(found[f'{kind}s'], kind)} of {number_of(found['songs'], 'song')}{hours}"


def _say_what_would_be_made(found: Mapping[str, Any], said: str, arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed

    if not printed({"dry_run": True, **found}, arguments):
        print(f"dry run: {said}; nothing was made")
    return DONE


def _say_what_was_made(
    store: Store | ExampleStore, found: Mapping[str, Any], left_out: Sequence[str], arguments: argparse.Namespace
) -> int:
    from mashkit.cli.console import printed, say

    for message in left_out:
        say(message)
    told = {"store": str(store.folder), **found, "fingerprint": store.fingerprint, "left_out": left_out}
    if not printed(told, arguments):
        print(f"{_counted(found)}, in {store.folder}")
    return PARTLY if left_out else DONE


FEATURES = Command(name="features", summary=SUMMARY, configure=_configure, run=_run)
