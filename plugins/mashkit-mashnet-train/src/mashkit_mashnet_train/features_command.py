"""`mashkit features`: makes stores of features, the training data of `mashkit train`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mashkit.hookspecs import Command

DONE, PARTLY = 0, 3
SUMMARY = "Make a store of features to train on: of a database's clips, or of songs rendered for it."


def _configure(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import add_telling, positive

    recipes = made.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    database = recipes.add_parser("db", help="the clips of a database")
    database.add_argument("database", type=Path, metavar="DB", help="what `mashkit db add` made")
    rendered = recipes.add_parser("rendered", help="songs of POP909, played, sung and drummed anew")
    rendered.add_argument("--midi", type=Path, required=True, metavar="TAR", help="POP909 as a tar file")
    rendered.add_argument("--drums", type=Path, required=True, metavar="TAR", help="Groove MIDI Dataset as a tar file")
    rendered.add_argument(
        "--soundfont", type=Path, action="append", metavar="SF2", help="repeatable; default: the one pretty_midi brings"
    )
    rendered.add_argument(
        "--windows", type=positive, default=3, metavar="N", help="clips of a song; default: %(default)s"
    )
    rendered.add_argument("--songs", type=positive, metavar="N", help="only the first N; default: all")
    rendered.add_argument(
        "--sung", type=float, default=0.35, metavar="SHARE", help="of the melodies, with pysinsy; default: %(default)s"
    )
    rendered.add_argument("--seed", type=int, default=0, help="of every choice; default: %(default)s")
    rendered.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes; default: %(default)s")
    for recipe in (database, rendered):
        recipe.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="of the store")
        add_telling(recipe, argparse.SUPPRESS)


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry
    from mashkit_mashnet_train.recipes.database import from_database
    from mashkit_mashnet_train.recipes.rendered import bundled_soundfont, render

    registry = Registry()
    left_out: list[str] = []

    def progress(item: str, done: int, total: int) -> None:
        registry.plugins.hook.mashkit_stage(
            event=StageEvent(stage="features", item=item, state="done", done=done, total=total)
        )

    with ProgressListener(registry, quiet=arguments.quiet):
        if arguments.recipe == "db":
            store = from_database(arguments.output, arguments.database, progress=progress, failed=left_out.append)
        else:
            store = render(
                arguments.output,
                arguments.midi,
                arguments.drums,
                arguments.soundfont or [bundled_soundfont()],
                windows=arguments.windows,
                songs=arguments.songs,
                seed=arguments.seed,
                sung=arguments.sung,
                jobs=arguments.jobs,
                progress=lambda done, total: progress("clip", done, total),
            )
    for message in left_out:
        print(message, file=sys.stderr)
    songs = len({record.song for record in store.records})
    told = {
        "store": str(store.folder),
        "clips": len(store),
        "songs": songs,
        "hours": sum(record.duration for record in store.records) / 3600,
        "fingerprint": store.fingerprint,
        "left_out": left_out,
    }
    if arguments.json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        print(f"{len(store)} clips of {songs} songs, {told['hours']:.2f} hours, in {store.folder}")
    return PARTLY if left_out else DONE


FEATURES = Command(name="features", summary=SUMMARY, configure=_configure, run=_run)
