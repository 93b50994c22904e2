"""`mashkit audition`: play, compare, change and judge mashups on a local page, and export what was kept."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_collection, add_command, add_components, add_drawing, port
from mashkit.cli.status import DONE
from mashkit.paths import path_text

if TYPE_CHECKING:
    from mashkit.audition.candidates import Pool, Sources
    from mashkit.catalog import Catalog
    from mashkit.mashup import Mashup
    from mashkit.pipeline import Kit
    from mashkit.types import MashupPlan

SUMMARY = "Play, compare, change and judge mashups on a local page; `audition export` writes what was kept."
PORT = 8775
CANDIDATES = 50
"""Number of mashups that are drawn from a database by default."""
EXPORT = "export"


def add_parser(commands: Commands) -> None:
    """Add `audition` to the command line."""
    audition = add_command(commands, "audition", SUMMARY, run)
    audition.add_argument(
        "words", nargs="*", metavar="[export] OUT",
        help="the folder of `mashkit mash -o`; or give --db. With the word export before it: write what was kept",
    )  # fmt: skip
    audition.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="export: where to write")
    audition.add_argument(
        "--port", type=port, default=PORT, help="the next free one if it is taken; 0 for any; default: %(default)s"
    )
    audition.add_argument(
        "--score", action="append", default=[], metavar="NAME", help="also score with this scorer; repeatable"
    )
    add_components(audition, "stretcher", "generator")
    add_drawing(audition, CANDIDATES)
    add_collection(audition)


def run(arguments: argparse.Namespace) -> int:
    """Serve an audition, or export one."""
    from mashkit.arguments import named_path
    from mashkit.errors import UsageError

    words = list(arguments.words)
    exporting = words[:1] == [EXPORT]
    if exporting:
        del words[0]
    if len(words) > 1:
        raise UsageError(f"{len(words)} folders: {', '.join(words)}", "name one folder of `mashkit mash -o`")
    if exporting != (arguments.output is not None):
        raise UsageError(
            "audition export without -o" if exporting else "audition with -o",
            "write it like: mashkit audition export OUT -o FOLDER",
        )
    folder = named_path(words[0]) if words else None
    return _export(arguments, folder) if exporting else _serve(arguments, folder)


def _serve(arguments: argparse.Namespace, folder: Path | None) -> int:
    from mashkit.cli.kits import require
    from mashkit.cli.listen import NEEDED
    from mashkit.errors import require_packages

    require_packages("an audition needs", NEEDED, "pip install 'mashkit[listen]'")
    from mashkit.audition.serving import serve

    kit = require(_kit(arguments), arguments, "stretcher", "generator")
    for name in arguments.score:  # a wrong name is found before anything is drawn
        _kit(arguments, name)
    pool, home, sources = _collected(arguments, folder, kit)
    serve(
        pool,
        home,
        sources,
        lambda scorer: _kit(arguments, scorer),
        port=arguments.port,
        folder=folder,
        title=path_text(home.absolute().name),
        scorers=tuple(arguments.score),
        tell=lambda facts: _tell(arguments, {**facts, "candidates": len(pool.candidates)}),
    )
    return DONE


def _tell(arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    from mashkit.cli.console import printed, say

    if not printed(facts, arguments):
        say(f"{facts['candidates']} mashups; open this address in a browser of this machine (Ctrl-C ends it):")
        print(facts["address"])
    sys.stdout.flush()


def _kit(arguments: argparse.Namespace, scorer: str | None = None) -> Kit:
    """Return the kit of the arguments; with the name of a scorer, one with that scorer, which is checked."""
    from mashkit.cli.kits import kit_of, require_licences

    if scorer is None:
        return kit_of(arguments)
    kit = kit_of(argparse.Namespace(**{**vars(arguments), "scorer": scorer}))
    kit.require("scorer")
    require_licences(kit, arguments, {"scorer": "--score"})
    return kit


def _collected(arguments: argparse.Namespace, folder: Path | None, kit: Kit) -> tuple[Pool, Path, Sources]:
    """Return the candidates, the folder of the store, and the source of the clips."""
    from mashkit.audition.candidates import Sources, read_output
    from mashkit.cli.collection import named_database

    if folder is not None:
        return read_output(folder), folder, Sources(_catalogs(arguments))
    database = named_database(arguments.db)
    return _drawn(arguments, kit), database, Sources(_catalogs(arguments))


def _drawn(arguments: argparse.Namespace, kit: Kit) -> Pool:
    """Return plans drawn from the database of --db."""
    from mashkit.audition.candidates import Candidate, Pool
    from mashkit.cli.collection import catalog_of, generated
    from mashkit.cli.kits import condition_of

    catalog = catalog_of(kit, arguments, [])
    pool = Pool()
    for mashup in generated(kit, catalog, condition_of(kit, arguments.condition), arguments):
        pool.add(Candidate(mashup.plan, dict(mashup.clips)))
    return pool


def _catalogs(arguments: argparse.Namespace) -> list[Catalog]:
    """Return the databases that may have the clips: that of --db, that of the environment or settings, the cache."""
    from mashkit.arguments import default_cache
    from mashkit.catalog import Catalog, MashupDB
    from mashkit.catalog.schema import INDEX
    from mashkit.cli import settings
    from mashkit.cli.console import say
    from mashkit.errors import MashkitError

    kept = settings.default("db")
    named = [arguments.db, None if kept is None else Path(kept), arguments.cache, default_cache()]
    found = []
    for path in dict.fromkeys(one for one in named if one is not None):
        if path != arguments.db and not (path / INDEX).is_file():
            continue  # nothing was computed there yet
        try:
            found.append(Catalog(MashupDB(path, write=False)))
        except MashkitError as error:
            if path == arguments.db:
                raise
            say(f"{path_text(path)} is not used: {error}")
    return found


def _export(arguments: argparse.Namespace, folder: Path | None) -> int:
    from mashkit.audition.candidates import Pool, Sources, add_stored, read_output, written_scores
    from mashkit.audition.export import write
    from mashkit.audition.store import DATABASE, Store
    from mashkit.cli.collection import named_database
    from mashkit.cli.console import printed, say, status_of
    from mashkit.cli.kits import require
    from mashkit.rendering.renderer import Renderer, playable

    home = folder or named_database(arguments.db)
    kit = require(_kit(arguments), arguments, "stretcher")
    catalogs = _catalogs(arguments)
    pool = Pool() if folder is None else read_output(folder)
    decided = (home / DATABASE).is_file()
    if not decided:
        say(f"nothing was decided in {path_text(home)} yet: mashkit audition")
    store = Store(home if decided else None)
    add_stored(pool, store)
    scores = dict(store.scores())
    if folder is not None and (name := written_scores(folder)[0]):
        scores[name] = {**written_scores(folder)[1], **scores.get(name, {})}
    renderer = Renderer(Sources(catalogs), kit.stretcher)

    def mashup(plan: MashupPlan) -> Mashup:
        return renderer.mashup(playable(plan, kit.stretcher))

    done = write(store, pool, scores, arguments.output, mashup=mashup)
    store.close()
    for failure in done.failures:
        say(failure["error"])
    for remark in done.notes:
        say(f"plan {remark['plan']}: {remark['note']}")
    folders = [path_text(one) for one in done.folders]
    if not printed({"folders": folders, "failures": done.failures, "notes": done.notes}, arguments):
        for one in folders:
            print(one)
        say(f"{len(done.folders)} kept mashups, all decisions and preferences: {path_text(arguments.output)}")
    return status_of([*done.folders, home], done.failures)
