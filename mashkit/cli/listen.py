"""`mashkit listen`: make a listening test, serve it, and turn its answers into tables."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashkit.cli import listen_reports
from mashkit.cli.actions import Commands, Run, add_actions, add_collection, add_components, positive, whole
from mashkit.cli.status import DONE
from mashkit.paths import path_text

SUMMARY = "Make a listening test, serve it, and turn its answers into tables."
TOKEN_VARIABLE = "MASHKIT_ADMIN_TOKEN"  # noqa: S105 — the name of a variable
"""Environment variable: the admin token, if --admin-token is not given."""
PORT = 8765
NEEDED = ("starlette", "uvicorn", "itsdangerous")
"""Packages of the extra ``listen`` that the server needs."""


def add_parser(commands: Commands) -> None:
    """Add `listen` and its actions to the command line."""
    action = add_actions(commands, "listen", SUMMARY)
    new = action("new", "Freeze a study: choose and render its sounds, and write its protocol down.", _new)
    new.add_argument("songs", nargs="*", type=Path, help="sound files and folders of them; or give --db")
    new.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="the study's folder, a new one")
    new.add_argument("--task", required=True, choices=("generation", "retrieval", "preference", "custom"),
                     help="the paper's two designs, pairs to choose from, or sounds of one's own")  # fmt: skip
    new.add_argument("--systems", metavar="NAME,NAME", help="the scorers to compare")
    new.add_argument("--table", type=Path, metavar="CSV",
                     help="custom: a row for each sample: page, file, system, vocal")  # fmt: skip
    new.add_argument("--ask", choices=("rating", "preference"), default="rating",
                     help="custom: what each page asks; default: %(default)s")  # fmt: skip
    design = new.add_argument_group("the design; defaults are the paper's")
    design.add_argument("--each", type=positive, default=20, metavar="N",
                        help="generation: samples of each system's top and bottom; default: %(default)s")  # fmt: skip
    design.add_argument("--count", type=positive, default=200, metavar="N",
                        help="generation: plans that each system ranks; default: %(default)s")  # fmt: skip
    design.add_argument("--queries", type=positive, default=30, metavar="N",
                        help="retrieval, preference: vocals; default: %(default)s")  # fmt: skip
    design.add_argument("--query", action="append", default=[], metavar="CLIP",
                        help="a clip whose vocal is a query, instead of drawn ones; repeatable")  # fmt: skip
    design.add_argument("--candidates", type=positive, default=180, metavar="N",
                        help="retrieval, preference: plans of each query; default: %(default)s")  # fmt: skip
    design.add_argument(
        "--negatives",
        type=whole,
        metavar="N",
        help="pages with an unmatched mashup and its original; default: 3, or 5 for preferences",
    )
    design.add_argument("--training", type=whole, default=1, metavar="N",
                        help="pages to practise with, which do not count; default: %(default)s")  # fmt: skip
    design.add_argument("--seed", type=whole, default=0, help="seed of all draws; default: %(default)s")
    protocol = new.add_argument_group("what a rater does")
    protocol.add_argument("--pages-per-rater", type=positive, default=10, metavar="N", help="default: %(default)s")
    protocol.add_argument("--raters-per-page", type=positive, default=3, metavar="N", help="default: %(default)s")
    protocol.add_argument(
        "--negatives-per-rater",
        type=whole,
        metavar="N",
        help="pages of --negatives that a rater sees; default: 3, or 5 for preferences",
    )
    protocol.add_argument("--repeats", type=whole, default=2, metavar="N",
                          help="pages that a rater sees twice, of preferences those with controls; "
                               "default: %(default)s")  # fmt: skip
    protocol.add_argument("--must-play", type=float, default=5.0, metavar="SECONDS",
                          help="of each sample, before it can be rated; default: %(default)s")  # fmt: skip
    protocol.add_argument("--no-headphones", action="store_true", help="without the headphone check")
    protocol.add_argument("--no-level", action="store_true", help="without setting the level")
    protocol.add_argument("--completion-code", metavar="TEXT", help="shown at the end")
    protocol.add_argument("--title", default="Listening test", help="shown to raters; default: %(default)s")
    protocol.add_argument("--contact", metavar="TEXT", help="whom raters may ask")
    protocol.add_argument("--texts", type=Path, action="append", default=[], metavar="FILE",
                          help="LANGUAGE.json: another language, or other words; repeatable")  # fmt: skip
    add_components(new, "separator", "analyzer", "stretcher", "generator", "executor")
    add_collection(new)
    _add_serve(action)
    listen_reports.add_parsers(action)


def _add_serve(action: Callable[[str, str, Run], argparse.ArgumentParser]) -> None:
    serve = action("serve", "Serve a study to raters.", _serve)
    serve.add_argument("study", type=Path, help="the folder of `mashkit listen new`")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine")
    serve.add_argument("--port", type=whole, default=PORT, help="0 for a free one; default: %(default)s")
    serve.add_argument(
        "--admin-token", metavar="TEXT", help=f"for the admin page; default: environment {TOKEN_VARIABLE}"
    )
    serve.add_argument("--public-url", metavar="URL", help="beginning of the links, if there is a proxy")
    serve.add_argument("--links", type=positive, metavar="N", help="print so many personal links")
    serve.add_argument("--days", type=positive, default=30, help="how long links are valid; default: %(default)s")
    serve.add_argument("--backup", type=Path, metavar="FILE",
                       help="copy the answers there now and then; default: backup.sqlite in the study")  # fmt: skip
    serve.add_argument("--dry-run", action="store_true", help="walk through all pages; nothing is kept")


def _new(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import print_json, say
    from mashkit.cli.progress import ProgressListener
    from mashkit.errors import UsageError
    from mashkit.listen.freezing import Frame, Wishes, freeze_mashups, freeze_table
    from mashkit.listen.records import PageKind
    from mashkit.listen.study import CONTROLS, Protocol, Rules
    from mashkit.listen.texts import shipped, with_file

    custom = arguments.task == "custom"
    prefers = (arguments.ask if custom else arguments.task) == "preference"
    asks = PageKind.PREFERENCE if prefers else PageKind.RATING

    def controls(given: int | None) -> int:
        return CONTROLS[asks] if given is None else given

    for option, given, wanted in (
        ("--table", arguments.table is not None, custom),
        ("--systems", arguments.systems is not None, not custom),
    ):
        if given != wanted:
            raise UsageError(
                f"--task {arguments.task} {'with' if given else 'without'} {option}", "see listen new --help"
            )
    if not 0 < arguments.must_play < 60:
        raise UsageError(f"--must-play {arguments.must_play:g}", "give seconds, more than 0 and less than 60")
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
        rules=Rules.of(asks, protocol),
        texts=texts,
    )
    if custom:
        study = freeze_table(arguments.table, frame, arguments.output, asks=asks, note=say)
    else:
        from mashkit.cli.collection import catalog_of
        from mashkit.cli.kits import kinds_for_songs, kit_of, require

        wishes = Wishes(
            task=arguments.task,
            systems=tuple(one.strip() for one in arguments.systems.split(",")),
            count=arguments.count,
            each=arguments.each,
            queries=arguments.queries,
            candidates=arguments.candidates,
            vocals=tuple(arguments.query),
            negatives=controls(arguments.negatives),
            training=arguments.training,
        )
        kit = require(kit_of(arguments), arguments, "generator", "stretcher", *kinds_for_songs(arguments))
        with ProgressListener(kit.registry, quiet=arguments.quiet):
            catalog = catalog_of(kit, arguments, arguments.songs)
            study = freeze_mashups(kit, catalog, wishes, frame, arguments.output, note=say)
    facts = {
        "study": path_text(arguments.output),
        "hash": study.hash,
        "samples": len([one for one in study.samples if one.id not in study.keys]),
        "pages": len(study.results),
        "loudness_lufs": study.loudness_lufs,
        "notes": list(study.notes),
    }
    if arguments.json:
        print_json(facts)
    else:
        print(
            f"{facts['samples']} samples on {facts['pages']} pages at {study.loudness_lufs:.1f} LUFS; hash {study.hash}"
        )
        say(f"try it: mashkit listen serve {arguments.output} --dry-run")
    return DONE


def _serve(arguments: argparse.Namespace) -> int:
    from mashkit.errors import ComponentUnavailable

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ComponentUnavailable(f"serving a study needs {', '.join(missing)}", "pip install 'mashkit[listen]'")
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
    """Return what prints the addresses and links of a server that has started."""
    from mashkit.cli.console import print_json, say

    def tell(facts: dict[str, Any]) -> None:
        if arguments.json:
            print_json(facts)
        else:
            say(f"for raters: {facts['open_link']}")
            say(f"progress: {facts['admin']}")
            for link in facts["links"]:
                print(link)
        sys.stdout.flush()

    return tell
