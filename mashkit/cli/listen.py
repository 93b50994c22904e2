"""`mashkit listen new | serve`: make a listening test and serve it. The import must be fast."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashkit.cli import listen_reports
from mashkit.cli.actions import Commands, Run, add_actions, add_collection, add_components, port, positive, whole
from mashkit.cli.status import DONE
from mashkit.paths import path_text

SUMMARY = "Make a listening test, serve it, and turn its answers into tables."
TOKEN_VARIABLE = "MASHKIT_ADMIN_TOKEN"  # noqa: S105 — the name of a variable
"""Environment variable that has the admin token if --admin-token is not given."""
PORT = 8765
_MASHUPS, _QUERIES = ("generation", "retrieval", "preference"), ("retrieval", "preference")
USED_BY = {
    "ask": ("custom",),
    **dict.fromkeys(("each", "count"), ("generation",)),
    **dict.fromkeys(("queries", "query", "candidates"), _QUERIES),
    **dict.fromkeys(("negatives", "training", "songs"), _MASHUPS),
}
"""Argument of the design → the tasks that use it; what may be stored in the settings is not refused."""
NEEDED = ("starlette", "uvicorn", "itsdangerous")
"""Packages of the extra ``listen`` that the servers of `listen` and `audition` need."""


def add_parser(commands: Commands) -> None:
    """Add `listen` and its actions to the command line."""
    action = add_actions(commands, "listen", SUMMARY)
    new = action("new", "Make a study: choose and render its sounds, and write its design.", _new)
    new.add_argument("songs", nargs="*", type=Path, help="sound files, and folders of them; not needed with --db")
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="new folder for the study")
    new.add_argument("--task", required=True, choices=("generation", "retrieval", "preference", "custom"),
                     help="the paper's two designs, choices between two, or your own sounds")  # fmt: skip
    new.add_argument("--systems", metavar="NAME,NAME", help="scorers to compare")
    new.add_argument("--table", type=Path, metavar="CSV",
                     help="custom: table of samples, with columns page, file, system, vocal; system "
                          "'original' is the vocal's own song, 'unmatched' a negative control")  # fmt: skip
    new.add_argument("--ask", choices=("rating", "preference"),
                     help="custom: what raters do on each page; default: rating")  # fmt: skip
    design = new.add_argument_group("design; the defaults are the paper's")
    design.add_argument("--each", type=positive, metavar="N",
                        help="generation: samples of each system's top and bottom; default: 20")  # fmt: skip
    design.add_argument("--count", type=positive, metavar="N",
                        help="generation: plans that each system ranks; default: 200")  # fmt: skip
    design.add_argument("--queries", type=positive, metavar="N",
                        help="retrieval, preference: number of vocals; default: 30")  # fmt: skip
    design.add_argument("--query", action="append", default=[], metavar="CLIP",
                        help="retrieval, preference: use the vocal of this clip instead of a random vocal; "
                             "repeatable")  # fmt: skip
    design.add_argument("--candidates", type=positive, metavar="N",
                        help="retrieval, preference: plans of each query; default: 180")  # fmt: skip
    design.add_argument(
        "--negatives",
        type=whole,
        metavar="N",
        help="not custom: pages with an unmatched mashup and its original; default: 3, or 5 for preferences",
    )
    design.add_argument("--training", type=whole, metavar="N",
                        help="not custom: number of practice pages, which do not count; default: 1")  # fmt: skip
    design.add_argument("--seed", type=whole, default=0, help="seed of all random choices; default: %(default)s")
    protocol = new.add_argument_group("session of a rater")
    protocol.add_argument("--pages-per-rater", type=positive, default=10, metavar="N", help="default: %(default)s")
    protocol.add_argument("--raters-per-page", type=positive, default=3, metavar="N", help="default: %(default)s")
    protocol.add_argument(
        "--negatives-per-rater",
        type=whole,
        metavar="N",
        help="number of the --negatives pages that a rater gets; default: 3, or 5 for preferences",
    )
    protocol.add_argument("--repeats", type=whole, default=2, metavar="N",
                          help="number of pages that a rater gets twice, of preferences those with controls; "
                               "default: %(default)s")  # fmt: skip
    protocol.add_argument("--must-play", type=float, default=5.0, metavar="SECONDS",
                          help="how long to play each sample before its rating; default: %(default)s")  # fmt: skip
    protocol.add_argument("--no-headphones", action="store_true", help="leave out the headphone check")
    protocol.add_argument("--no-level", action="store_true", help="leave out the page on which raters set their volume")
    protocol.add_argument("--completion-code", metavar="TEXT", help="code that is shown at the end")
    protocol.add_argument("--title", default="Listening test", help="title of the pages; default: %(default)s")
    protocol.add_argument("--contact", metavar="TEXT", help="person or address for questions of raters")
    protocol.add_argument("--texts", type=Path, action="append", default=[], metavar="FILE",
                          help="LANGUAGE.json: texts of a new language, or better texts; repeatable")  # fmt: skip
    add_components(new, "separator", "analyzer", "stretcher", "generator", "executor")
    add_collection(new)
    _add_serve(action)
    listen_reports.add_parsers(action)


def _add_serve(action: Callable[[str, str, Run], argparse.ArgumentParser]) -> None:
    serve = action("serve", "Serve a study to raters.", _serve)
    serve.add_argument("study", type=Path, help="folder that `mashkit listen new` made")
    serve.add_argument("--host", default="127.0.0.1", help="the server's address; default: %(default)s, this machine")
    serve.add_argument("--port", type=port, default=PORT, help="0 takes any free port; default: %(default)s")
    serve.add_argument(
        "--admin-token", metavar="TEXT", help=f"for the admin page; default: environment {TOKEN_VARIABLE}"
    )
    serve.add_argument("--public-url", metavar="URL", help="address of the server for raters, if it is behind a proxy")
    serve.add_argument("--links", type=positive, metavar="N", help="print N personal links")
    serve.add_argument("--days", type=positive, default=30, help="how many days links are valid; default: %(default)s")
    serve.add_argument("--backup", type=Path, metavar="FILE",
                       help="regular copy of the answers; default: backup.sqlite in the study")  # fmt: skip
    serve.add_argument("--dry-run", action="store_true", help="show all pages and save no answers")


def _new(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed, say
    from mashkit.cli.progress import ProgressListener
    from mashkit.listen.freezing import (
        CONDITIONS,
        Frame,
        MashupStudyOptions,
        freeze_mashups,
        freeze_table,
        kits_of,
        require_new,
    )
    from mashkit.listen.records import PageKind
    from mashkit.listen.study import CONTROLS, Protocol
    from mashkit.listen.texts import shipped, with_file

    custom = arguments.task == "custom"
    prefers = (arguments.ask if custom else arguments.task) == "preference"
    asks = PageKind.PREFERENCE if prefers else PageKind.RATING

    def controls(given: int | None) -> int:
        return CONTROLS[asks] if given is None else given

    _require_fitting(arguments, custom=custom)
    texts = shipped()
    for path in arguments.texts:
        texts = with_file(texts, path)
    protocol = Protocol(
        pages_per_rater=arguments.pages_per_rater,
        raters_per_page=arguments.raters_per_page,
        negatives_per_rater=controls(arguments.negatives_per_rater),
        repeats_per_rater=arguments.repeats,
        must_play_s=arguments.must_play,
        headphones=not arguments.no_headphones,
        level=not arguments.no_level,
        completion_code=arguments.completion_code or "",
    )
    frame = Frame(
        title=arguments.title,
        contact=arguments.contact or "",
        seed=arguments.seed,
        protocol=protocol,
        texts=texts,
    )
    notes: list[str] = []
    if custom:
        study = freeze_table(arguments.table, frame, arguments.output, asks=asks, note=say)
    else:
        from mashkit.arguments import parts_of
        from mashkit.cli.collection import catalog_of, notes_of
        from mashkit.cli.kits import kinds_for_songs, kit_of, require, require_downbeats, require_licences

        numbers = {name: getattr(arguments, name) for name in ("count", "each", "queries", "candidates", "training")}
        options = MashupStudyOptions(
            task=arguments.task,
            systems=tuple(parts_of(arguments.systems)),
            vocals=tuple(arguments.query),
            negatives=controls(arguments.negatives),
            **{name: given for name, given in numbers.items() if given is not None},
        )
        require_new(arguments.output)
        kit = require(kit_of(arguments), arguments, "generator", "stretcher", *kinds_for_songs(arguments))
        require_downbeats(kit, arguments, [kit.generator.require_condition(one) for one in CONDITIONS])
        for one in kits_of(kit, options.systems).values():  # what is wrong with one is found before songs are separated
            require_licences(one, arguments, {"scorer": "--systems"})
        with ProgressListener(kit.registry, quiet=arguments.quiet):
            catalog = catalog_of(kit, arguments, arguments.songs)
            study = freeze_mashups(kit, catalog, options, frame, arguments.output, note=say)
        notes = notes_of(kit, catalog)
    facts = {
        "study": path_text(arguments.output),
        "hash": study.hash,
        "samples": len([one for one in study.samples if one.id not in study.keys]),
        "pages": len(study.results),
        "loudness_lufs": study.loudness_lufs,
        "notes": [*notes, *study.notes],
    }
    if not printed(facts, arguments):
        print(
            f"{facts['samples']} samples on {facts['pages']} pages at {study.loudness_lufs:.1f} LUFS; hash {study.hash}"
        )
        say(f"try it: mashkit listen serve {arguments.output} --dry-run")
    return DONE


def _require_fitting(arguments: argparse.Namespace, *, custom: bool) -> None:
    """Raise UsageError if an option is missing for the task, or the task does not use it, or its value is too large."""
    from mashkit.errors import UsageError

    for option, given, wanted in (
        ("--table", arguments.table is not None, custom),
        ("--systems", arguments.systems is not None, not custom),
    ):
        if given != wanted:
            raise UsageError(
                f"--task {arguments.task} {'with' if given else 'without'} {option}", "see mashkit listen new --help"
            )
    for name, tasks in USED_BY.items():
        if arguments.task not in tasks and getattr(arguments, name) not in (None, []):
            said = name if name == "songs" else f"--{name}"
            raise UsageError(
                f"--task {arguments.task} with {said}, which it does not use",
                f"leave it out; it is for --task {' or '.join(tasks)}",
            )
    if not 0 < arguments.must_play < 60:
        raise UsageError(f"--must-play {arguments.must_play:g}", "give seconds, more than 0 and less than 60")


def _serve(arguments: argparse.Namespace) -> int:
    from mashkit.errors import require_packages

    require_packages("serving a study needs", NEEDED, "pip install 'mashkit[listen]'")
    from mashkit.listen.serving import serve

    token = arguments.admin_token or os.environ.get(TOKEN_VARIABLE, "")
    serve(
        arguments.study,
        host=arguments.host,
        port=arguments.port,
        admin_token=token,
        public_url=arguments.public_url or "",
        links=arguments.links or 0,
        days=arguments.days,
        backup=arguments.backup,
        dry_run=arguments.dry_run,
        tell=_told(arguments),
    )
    return DONE


def _told(arguments: argparse.Namespace) -> Callable[[dict[str, Any]], None]:
    """Return the function that prints the addresses and links of a started server."""
    from mashkit.cli.console import printed, say

    def tell(facts: dict[str, Any]) -> None:
        if not printed(facts, arguments):
            say(f"for raters: {facts['open_link']}")
            say(f"progress: {facts['admin']}")
            for link in facts["links"]:
                print(link)
        sys.stdout.flush()

    return tell
