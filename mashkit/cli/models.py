"""`mashkit models`: weight files. The import must be fast, because every `mashkit --help` builds the parser."""

from __future__ import annotations

import argparse
import fnmatch
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_actions
from mashkit.cli.console import print_json, print_table, say, status_of
from mashkit.cli.status import NOT_IN_ORDER

if TYPE_CHECKING:
    from mashkit.models import WeightFile

SUMMARY = "List, download and verify the weight files of plugins, and print their paths."


def add_parser(commands: Commands) -> None:
    """Add `models` and its four subcommands to the command line."""
    action = add_actions(commands, "models", SUMMARY)
    for name, help_, required in (
        (
            "list",
            "List weight files with component, size, licence and origin, and whether they are here.",
            False,
        ),
        ("pull", "Download weight files; an interrupted download is continued.", True),
        ("verify", "Read the weight files that are here and compare their hashes.", False),
        ("path", "Print the paths of weight files, whether they exist or not.", True),
    ):
        made = action(name, help_, run)
        made.add_argument("names", nargs="+" if required else "*", metavar="NAME",
                          help="names, components or patterns of them, like 'demucs/*'")  # fmt: skip
        if name == "pull":
            made.add_argument("--offline", action="store_true", help="download nothing, and list what is missing")


def run(arguments: argparse.Namespace) -> int:
    """List, download, verify or locate weight files."""
    from mashkit import models as library
    from mashkit.errors import MashkitError
    from mashkit.registry import Registry

    chosen = _chosen(Registry().weights(), arguments.names)
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for one in chosen:
        if arguments.action == "pull":
            try:
                library.pull(one, offline=arguments.offline, notify=_progress(one, quiet=arguments.quiet))
            except MashkitError as error:
                failures.append({"name": one.name, "error": str(error)})
                say(f"{one.name}: {error}")
        path = one.location()
        where = f" in environment {one.environment}" if one.environment else ""
        rows.append(
            {
                "name": one.name,
                "component": one.component,
                "model": one.model,
                # The path alone is known without reading the file.
                **({} if arguments.action == "path" else {"status": library.status(one)}),
                "path": None if path is None else str(path),
                "size": one.size,
                "sha256": one.sha256,
                "licence": one.licence,
                "from": one.url or f"package {one.package}{where}",
                "source": one.source,
            }
        )
    if arguments.action == "verify":
        failures += [
            {"name": row["name"], "error": f"damaged: {row['path']}"} for row in rows if row["status"] == "damaged"
        ]
    if arguments.json:
        print_json({"weights": rows, "failures": failures})
    elif arguments.action == "path":
        for row in rows:
            print(row["path"] or f"{row['name']}: its {row['from']} is not installed")
    else:
        print_table(
            ("name", "for", "model", "status", "MB", "licence", "from"),
            [
                (row["name"], row["component"], row["model"], row["status"],
                 "?" if row["size"] is None else f"{row['size'] / 1e6:.1f}", row["licence"], row["from"])
                for row in rows
            ],
        )  # fmt: skip
        for failure in failures if arguments.action == "verify" else ():
            say(f"{failure['name']}: {failure['error']}")
    if arguments.action == "verify" and failures:
        return NOT_IN_ORDER
    return status_of([row for row in rows if row.get("status") == "ok"], failures)


def _chosen(known: list[WeightFile], names: list[str]) -> list[WeightFile]:
    from mashkit.errors import UsageError

    if not names:
        return known
    chosen: dict[str, WeightFile] = {}
    for name in names:
        found = [
            one for one in known
            if fnmatch.fnmatchcase(one.name, name) or name in (one.component, one.component.split()[-1])
        ]  # fmt: skip
        if not found:
            raise UsageError(f"no weights are called {name!r}", f"known: {', '.join(one.name for one in known)}")
        chosen |= {one.name: one for one in found}
    return list(chosen.values())


def _progress(weights: WeightFile, *, quiet: bool) -> Any:
    import sys

    def show(done: int, total: int | None) -> None:
        if not quiet:
            share = f" of {total / 1e6:.1f}" if total else ""
            end = "\n" if done == total or not sys.stderr.isatty() else "\r"
            print(f"{weights.name}: {done / 1e6:.1f}{share} MB", file=sys.stderr, end=end, flush=True)

    return show
