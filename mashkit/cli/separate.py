"""`mashkit separate`: split songs into stems."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mashkit.cli.actions import Commands, add_command, add_components, add_dry_run
from mashkit.cli.console import printed, status_of

STEM_FILE = "{name}.flac"
"""Name of a stem's file."""


def add_parser(commands: Commands) -> None:
    """Add `separate` to the command line."""
    separate = add_command(commands, "separate", "Split songs into stems.", run)
    add_components(separate, "separator")
    separate.add_argument("songs", nargs="+", type=Path, help="sound files and folders of them")
    separate.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder for the stems; each song gets a folder in it",
    )
    separate.add_argument(
        "--stems",
        metavar="NAME[,NAME…]",
        help="write only these stems; separators that can, such as spleeter-torch, then do less; default: all",
    )
    separate.add_argument("--roles", action="store_true", help="write vocal, harmonic, percussion instead of the stems")
    separate.add_argument("--seed", type=int, help="seed of the separator, if it has one")
    add_dry_run(separate)


def run(arguments: argparse.Namespace) -> int:
    """Split songs into stems."""
    from mashkit.atomicfile import require_possible_folder
    from mashkit.audio.files import load, require_encodable, save
    from mashkit.audio.levels import complaints
    from mashkit.catalog.songs import find_songs
    from mashkit.cli.collection import say_what_would_be_done
    from mashkit.cli.eachfile import of_each, unclipped
    from mashkit.cli.kits import seeded_kit
    from mashkit.errors import UsageError
    from mashkit.paths import path_text, without_links
    from mashkit.products import MARK, OutputSet, folder_for
    from mashkit.types import Role

    if arguments.stems is not None and arguments.roles:
        raise UsageError("--stems and --roles: a role is made of all of its stems", "give one of them")
    kit = seeded_kit(arguments, "separator")
    wanted = arguments.stems and kit.separator.stems_asked(name.strip() for name in arguments.stems.split(","))
    files = find_songs(arguments.songs)
    require_possible_folder(arguments.output)
    if arguments.dry_run:
        return say_what_would_be_done(kit, files, ("separator",), arguments)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        song = path_text(without_links(file))
        folder = folder_for(arguments.output, file.stem, song)
        require_encodable(folder / STEM_FILE.format(name="stem"), mix.sample_rate)
        with OutputSet(folder, made_of=song) as output:
            stems = kit.separator.separate(mix, stems=wanted)
            parts = (
                {str(role): stems.role(role) for role in Role if role in stems.roles}
                if arguments.roles
                else dict(stems.stems)
            )
            parts, gain_db = unclipped(parts)
            for name, part in parts.items():
                save(output.staging / STEM_FILE.format(name=name), part, comment=MARK)
        paths = {name: path_text(folder / STEM_FILE.format(name=name)) for name in parts}
        notes = complaints(mix)
        if gain_db:
            notes.append(f"its stems are lowered by {-gain_db:.1f} dB, because one of them would have been clipped")
        return {"path": path_text(file), "stems": paths, "gain_db": gain_db, "notes": notes}

    data = of_each(kit, "separate", "separator", files, work, quiet=arguments.quiet)
    results, failures = data["results"], data["failures"]
    if not printed(data, arguments):
        for result in results:
            print("\n".join(result["stems"].values()))
    return status_of(results, failures)
