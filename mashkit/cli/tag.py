"""`mashkit tag`: write tempo and key into the tags of songs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_command, add_components
from mashkit.cli.console import give, print_table, say, status_of

if TYPE_CHECKING:
    from mashkit.types import Key

NOTATIONS = {"name": "Am", "camelot": "8A", "open-key": "1m"}
"""How keys can be written, and A minor written so."""


def add_parser(commands: Commands) -> None:
    """Add `tag` to the command line."""
    tag = add_command(
        commands, "tag", "Show BPM and key in the tags of songs, and the values to write; --write writes them.", run
    )
    add_components(tag, "analyzer")
    tag.add_argument("songs", nargs="+", type=Path, help="sound files and folders of them")
    tag.add_argument("--write", action="store_true", help="change the files; without it nothing is written")
    tag.add_argument("--replace", action="store_true", help="replace existing tags; without it they are kept")
    tag.add_argument(
        "--key-as", choices=tuple(NOTATIONS), default="name",
        help=f"how keys are written ({', '.join(NOTATIONS.values())} for A minor); default: %(default)s",
    )  # fmt: skip
    tag.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the list to FILE as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show or write the tags."""
    from mashkit.audio.files import load, require_file
    from mashkit.audio.tags import as_written, read_tags, require_mutagen, write_tags
    from mashkit.catalog.songs import find_songs
    from mashkit.cli.eachfile import KEYS, of_each
    from mashkit.cli.kits import kit_of, require
    from mashkit.cli.outputs import require_output
    from mashkit.paths import path_text
    from mashkit.products import Keys

    require_mutagen()
    kit = require(kit_of(arguments), arguments, "analyzer")
    files = find_songs(arguments.songs)
    require_output(arguments.output, Keys([*KEYS, "analyzer", "dry_run"]), *files)

    def work(file: Path) -> dict[str, Any]:
        require_file(file)
        before = read_tags(file)  # comes first: a file whose tags cannot be read costs no analysis
        if len(before) == 2 and not arguments.replace:
            return {"path": path_text(file), "before": before, "after": before, "written": False, "notes": []}
        found = kit.analyzer.analyze(load(file, loader=kit.registry.plugins.hook.mashkit_load_audio))
        key = None if found.key is None else _written(found.key, arguments.key_as)
        new = as_written(file, bpm=found.tempo, key=key)
        after = {**before, **new} if arguments.replace else {**new, **before}
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        if arguments.write and changed:
            write_tags(file, changed)
        lacking = [name for name in ("bpm", "key") if name not in after]
        notes = [f"{' and '.join(lacking)} unknown: nothing to write"] if lacking else []
        written = bool(arguments.write and changed)
        return {"path": path_text(file), "before": before, "after": after, "written": written, "notes": notes}

    data = of_each(kit, "tag", "analyzer", files, work, quiet=arguments.quiet)
    results = data["results"]
    data["dry_run"] = not arguments.write
    if not give(data, arguments):
        print_table(
            ("file", "BPM", "key", ""),
            [(one["path"], _change(one, "bpm"), _change(one, "key"), _done(one, arguments.write)) for one in results],
        )
        if not arguments.write and any(one["before"] != one["after"] for one in results):
            say("nothing was written; give --write to write these tags")
    return status_of(results, data["failures"])


def _written(key: Key, notation: str) -> str:
    return {"name": key.short, "camelot": key.camelot, "open-key": key.open_key}[notation]


def _change(result: dict[str, Any], name: str) -> str:
    before, after = (result[when].get(name, "–") for when in ("before", "after"))
    return str(after) if before == after else f"{before} → {after}"


def _done(result: dict[str, Any], write: bool) -> str:
    if result["before"] == result["after"]:
        return "kept"
    return "written" if write else "would be written"
