"""`mashkit analyze`: find key, tuning, tempo, beats and downbeats of songs; chords and melody, if the analyzer does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Commands, add_command, add_components, add_dry_run
from mashkit.cli.console import give, print_table, say, status_of

if TYPE_CHECKING:
    from mashkit.types import Analysis


MOST_CHORDS = 8
"""Number of chords that are printed of a song; JSON has all of them."""


def add_parser(commands: Commands) -> None:
    """Add `analyze` to the command line."""
    analyze = add_command(commands, "analyze", "Find key, tuning, tempo, beats and downbeats.", run)
    add_components(analyze, "analyzer")
    analyze.add_argument("songs", nargs="+", type=Path, help="sound files and folders of them")
    analyze.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the analyses to FILE as JSON")
    analyze.add_argument("--seed", type=int, help="seed of the analyzer, if it has one")
    add_dry_run(analyze)


def run(arguments: argparse.Namespace) -> int:
    """Find key, tuning, tempo, beats and downbeats."""
    from mashkit.audio.files import load
    from mashkit.audio.levels import complaints
    from mashkit.catalog.songs import find_songs
    from mashkit.cli.collection import say_what_would_be_done
    from mashkit.cli.eachfile import KEYS, of_each
    from mashkit.cli.kits import seeded_kit
    from mashkit.cli.outputs import require_output
    from mashkit.features.tuning import describe
    from mashkit.paths import path_text
    from mashkit.products import Keys
    from mashkit.timing import metre
    from mashkit.types import key_facts

    kit = seeded_kit(arguments, "analyzer")
    files = find_songs(arguments.songs)
    require_output(arguments.output, Keys([*KEYS, "analyzer"]), *files, dry_run=arguments.dry_run)
    if arguments.dry_run:
        return say_what_would_be_done(kit, files, ("analyzer",), arguments)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        found = kit.analyzer.analyze(mix)
        notes = complaints(mix) or ([] if _says_something(found) else ["nothing was found in it: no key and no beats"])
        return {
            "path": path_text(file),
            "duration_s": mix.duration,
            **found.to_dict(),
            **key_facts(found.key),
            **metre.facts(found),
            "notes": notes,
        }

    data = of_each(kit, "analyze", "analyzer", files, work, quiet=arguments.quiet)
    results, failures = data["results"], data["failures"]
    if not give(data, arguments):
        print_table(
            ("file", "key", "Camelot", "Open Key", "tuning", "BPM", "beats", "downbeats", "bar", "first downbeat"),
            [
                (result["path"], result["key"] or "–", result["camelot"] or "–", result["open_key"] or "–",
                 describe(result["tuning"]),
                 f"{result['tempo']:.2f}" if result["tempo"] else "–",
                 _count(result["beats"]), _count(result["downbeats"]), _bar(result),
                 f"{result['downbeats'][0]:.3f} s" if result["downbeats"] else "–")
                for result in results
            ],
        )  # fmt: skip
        for result in results:
            if "chords" in result:
                say(f"{result['path']}: chords: {_chords(result['chords'])}")
            if "melody" in result:
                say(f"{result['path']}: melody: {_melody(result['melody'])}")
            if result["metre_doubt"]:
                say(f"{result['path']}: doubtful bars: {result['metre_doubt']}")
    return status_of(results, failures)


def _says_something(analysis: Analysis) -> bool:
    return any(getattr(analysis, name) is not None for name in ("key", "tempo", "beats", "chords", "melody"))


def _chords(chords: dict[str, Any]) -> str:
    """Return the first chords as text, with the second at which each begins."""
    pairs = list(zip(chords["times"], chords["labels"], strict=False))
    shown = ", ".join(f"{label} at {start:.1f} s" for start, label in pairs[:MOST_CHORDS])
    return shown + f" and {len(pairs) - MOST_CHORDS} more (--json has all)" * (len(pairs) > MOST_CHORDS)


def _melody(melody: dict[str, Any]) -> str:
    sung = sorted(hertz for hertz in melody["f0"] if hertz > 0)
    share = len(sung) / len(melody["f0"])
    return f"sung in {share:.0%} of the time" + (f", around {sung[len(sung) // 2]:.0f} Hz" if sung else "")


def _bar(result: dict[str, Any]) -> str:
    return (
        "–" if result["beats_per_bar"] is None else f"{result['beats_per_bar']}{'?' if result['metre_doubt'] else ''}"
    )


def _count(times: Sequence[float] | None) -> str:
    return "–" if times is None else str(len(times))
