"""`mashkit db`: databases of clips. The import must be fast, because every `mashkit --help` builds the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import (
    Commands,
    Run,
    add_actions,
    add_components,
    add_database,
    add_dry_run,
    add_excerpts,
    key_name,
    positive,
    whole,
)
from mashkit.cli.status import DONE, NOT_IN_ORDER
from mashkit.paths import folded, is_file, path_text, printable

if TYPE_CHECKING:
    from mashkit.catalog import MashupDB
    from mashkit.catalog.adding import Unusable
    from mashkit.catalog.songs import Song
    from mashkit.pipeline import Kit
    from mashkit.types import Clip

SUMMARY = "Manage a database of clips: add songs, and list, correct, check, prune and export clips."


def add_parser(commands: Commands) -> None:
    """Add `db` and its subcommands to the command line."""
    made = add_actions(commands, "db", SUMMARY)

    def action(name: str, help_: str, run: Run) -> argparse.ArgumentParser:
        parser = made(name, help_, run)
        add_database(parser)
        return parser

    add = action("add", "Add songs; existing results are not computed again, and an interrupted run continues.", _add)
    add.add_argument("songs", nargs="+", type=Path, metavar="FOLDER", help="sound files and folders of them")
    add.add_argument(
        "--protocol", default="songs", metavar="NAME",
        help="dataset layout of the folders: songs, preview, harmonix, ayumix, multitrack, roles, rekordbox or "
        "traktor; default: %(default)s",
    )  # fmt: skip
    add_components(add, "separator", "analyzer", "executor")
    add_excerpts(add)
    add.add_argument(
        "--trust-labels", action="store_true",
        help="take beats and tempo of a collection's labels as they are, without comparing them with the sound",
    )  # fmt: skip
    add_dry_run(add)
    add.add_argument("--no-features", action="store_true", help="keep stems and analyses only")

    listing = action("list", "List clips.", _list)
    listing.add_argument(
        "words", nargs="*", metavar="WORD", help="only clips whose id, title or path contain all of these words"
    )
    listing.add_argument(
        "--key",
        type=key_name,
        metavar="KEY",
        help='only clips with the notes of this key: "A minor" (or 8A, 1m) finds C major too',
    )
    listing.add_argument("--tempo", metavar="LOW-HIGH", help="only clips with a tempo from LOW to HIGH BPM")
    listing.add_argument("--label", metavar="LABEL", help='only clips with this label: "chorus"')
    listing.add_argument("--failures", action="store_true", help="list the songs that could not be used instead")
    listing.add_argument(
        "--same-recordings", action="store_true", help="list songs that are the same recording as another song instead"
    )
    listing.add_argument("--limit", type=whole, metavar="N", help="list at most N clips; default: all")

    show = action("show", "Show all facts about clips.", _show)
    show.add_argument("clips", nargs="+", metavar="CLIP")

    edit = action("edit", "Correct the analysis of a clip; nothing is separated or analysed again.", _edit)
    edit.add_argument("clip", metavar="CLIP")
    edit.add_argument("--key", type=key_name, metavar="KEY", help='"A minor"')
    edit.add_argument(
        "--tempo", metavar="BPM", help="new tempo; at twice or half the old tempo, beats are added or removed"
    )
    edit.add_argument("--tuning", metavar="CENTS", help="from A = 440 Hz, -50 to below 50; write --tuning=-45")
    edit.add_argument(
        "--beats-per-bar", metavar="N", help="number of beats in a bar; the first bar begins where it began before"
    )
    edit.add_argument("--downbeat", metavar="SECONDS", help="a time at which a bar begins, from the song's start")
    edit.add_argument(
        "--lock", action="store_true",
        help="keep these values when another analyzer is used; without values: the clip's present values",
    )  # fmt: skip
    edit.add_argument("--undo", action="store_true", help="delete all earlier edits of the clip first")

    verify = action("verify", "Look for damage: the index, every file, every clip.", _verify)
    verify.add_argument("--quick", action="store_true", help="compare the sizes of files, not their bytes")
    verify.add_argument(
        "--repair", action="store_true",
        help="delete the clips of damaged and missing files, so that `db add` makes them again",
    )  # fmt: skip

    prune = action("prune", "Delete what no clip needs: results of other components, and unused files.", _prune)
    prune.add_argument("--dry-run", action="store_true", help="delete nothing, and report what would be deleted")

    export = action("export", "Write all clips for training elsewhere; an interrupted export continues.", _export)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    export.add_argument(
        "--format", dest="layout", default="parquet", choices=("parquet", "webdataset"),
        help="an index in Parquet and tars of each field, or tars with all fields; default: %(default)s",
    )  # fmt: skip
    export.add_argument(
        "--field", dest="fields", action="append", choices=("vocal", "harmonic", "percussion", "features"),
        help="field to export; repeatable; default: all fields",
    )  # fmt: skip
    export.add_argument(
        "--shard-clips",
        type=positive,
        default=64,
        metavar="N",
        help="number of clips in each file; default: %(default)s",
    )

    stats = action("stats", "Count clips and the stems that fit them, and write a page about them.", _stats)
    stats.add_argument("-o", "--output", type=Path, metavar="PAGE", help="file to write the page to")
    stats.add_argument("--title", help="its heading; default: the database's name")
    add_components(stats, "generator")


# ------------------------------------------------------------------------------------------------------------ add
def _add(arguments: argparse.Namespace) -> int:
    from mashkit.catalog.protocols import create_protocol
    from mashkit.catalog.scanning import Found
    from mashkit.catalog.songs import Song, trusting
    from mashkit.catalog.upkeep import content_digest
    from mashkit.cli.collection import named_database, opened, say_what_would_be_done
    from mashkit.cli.console import printed, say, status_of
    from mashkit.cli.kits import kit_of, options_of, policy_of, require
    from mashkit.cli.progress import ProgressListener
    from mashkit.rendering.output import environment

    kit = require(kit_of(arguments), arguments, "separator", "analyzer", "executor")
    protocol = create_protocol(arguments.protocol, **options_of(arguments).get("protocol", {}))
    songs = protocol.songs(arguments.songs)
    notes = songs.notes if isinstance(songs, Found) else ()
    if arguments.trust_labels:
        songs = Found([trusting(song) if isinstance(song, Song) else song for song in songs], notes)
    if arguments.dry_run:
        policy_of(arguments)
        named_database(arguments.db)
        files = Found([song.files[0] if isinstance(song, Song) else song[0] for song in songs], notes)
        return say_what_would_be_done(kit, files, ("separator", "analyzer"), arguments)
    _require_usable(songs, kit, arguments)
    with opened(arguments.db, write=True, make=True) as database, ProgressListener(kit.registry, quiet=arguments.quiet):
        adder = kit.adder(
            database,
            policy=protocol.policy(policy_of(arguments)),
            with_features=not arguments.no_features,
            same_recording=arguments.same_recording,
        )
        for _ in adder.add(songs, protocol=protocol.name):
            pass
        report = adder.report
        for note in (*database.notes, *report.notes):
            say(note)
        failures = [{"path": path_text(path), "error": str(error)} for path, error in report.failures]
        data = {
            "db": str(database.root),
            "protocol": protocol.name,
            "songs": report.songs,
            "clips": report.clips,
            "cached": report.cached,
            "same_recordings": [{"path": str(path), "as": str(other)} for path, other in report.passed_over],
            "failures": failures,
            "notes": [*database.notes, *report.notes, *kit.registry.notes],
            "total_clips": len(database),
            "content_sha256": content_digest(database),
            "components": [kit.separator.described(), kit.analyzer.described()],
            "environment": environment(),
        }
    if not printed(data, arguments):
        print(
            f"{report.songs} songs, {report.clips} clips ({report.cached} songs were there already), "
            f"{_passed_over(report.passed_over)}{len(failures)} failed; {data['total_clips']} clips in {data['db']}"
        )
    return status_of(range(report.songs), failures)


def _require_usable(songs: Sequence[Song | Unusable], kit: Kit, arguments: argparse.Namespace) -> None:
    """Raise an error if a database would be made of songs of which none can be read: it would stay empty.

    The error is that of the only song, or one for all after theirs. Songs are decoded until one is whole, because the
    header of a FLAC that is cut short is in order.
    """
    from mashkit.audio.files import load
    from mashkit.catalog.schema import INDEX
    from mashkit.cli.collection import named_database
    from mashkit.cli.console import say
    from mashkit.errors import CatalogError, MashkitError, said_of

    if is_file(named_database(arguments.db) / INDEX):
        return
    errors: list[tuple[Path, MashkitError]] = []
    for one in songs:
        if isinstance(one, tuple):
            errors.append(one)
            continue
        try:
            for file in one.files:
                load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        except MashkitError as error:
            errors.append((one.path, error))
        else:
            return
    if len(errors) == 1:
        raise errors[0][1]
    for path, why in errors:
        say(said_of(path, why))
    raise CatalogError(f"none of the {len(errors)} songs can be used, so no database is made", "the reasons are above")


def _passed_over(songs: Sequence[object]) -> str:
    return f"{len(songs)} the same recording as another, " if songs else ""


# ------------------------------------------------------------------------------------------------------- list, show
_FILTERS = ("--key", "--tempo", "--label", "--limit")


def _require_filters_that_count(arguments: argparse.Namespace) -> None:
    """Raise UsageError if a list of songs is asked for with filters of clips."""
    from mashkit.errors import UsageError

    others = [option for option in ("--failures", "--same-recordings") if getattr(arguments, _name_of(option))]
    filters = [option for option in _FILTERS if getattr(arguments, _name_of(option)) is not None]
    filters += ["words"] if arguments.words else []
    if len(others) > 1:
        raise UsageError(f"{' and '.join(others)} are two lists", "give one of them")
    if others and filters:
        raise UsageError(f"{others[0]} with {', '.join(filters)}", f"{others[0]} lists all such songs: leave them out")


def _name_of(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _list(arguments: argparse.Namespace) -> int:
    from mashkit.cli.collection import opened, print_clips
    from mashkit.cli.console import print_json, print_table, printed

    _require_filters_that_count(arguments)
    with opened(arguments.db, write=False) as database:
        if arguments.failures:
            failures = [{"path": path_text(path), "error": str(error)} for path, error in database.failures()]
            if not printed({"failures": failures}, arguments):
                print_table(("song", "why"), [(one["path"], one["error"]) for one in failures])
            return DONE
        if arguments.same_recordings:
            alike = database.same_recordings()
            if arguments.json:
                rows = [{"path": str(path), "as": str(other), "clips": clips} for path, other, clips in alike]
                print_json({"same_recordings": rows})
            else:
                print_table(
                    ("song", "the same recording as", "clips of its own"),
                    [(path, other, "yes" if clips else "–") for path, other, clips in alike],
                )
            return DONE
        clips = [database.record(clip_id).clip for clip_id in _chosen(database, arguments)]
    if arguments.json:
        print_json({"clips": [_row(clip) for clip in clips]})
    else:
        print_clips(clips)
    return DONE


_CLIPS = "FROM clips c JOIN songs s ON s.number = c.song JOIN details d USING (number)"


def _chosen(database: MashupDB, arguments: argparse.Namespace) -> Iterator[str]:
    from mashkit.errors import UsageError
    from mashkit.types import Key

    where, values = ["1"], list[Any]()
    for word in arguments.words:
        where.append("(instr(folded(c.id), ?) OR instr(folded(s.title), ?) OR instr(folded(s.path), ?))")
        values += [folded(printable(word))] * 3
    if arguments.key is not None:
        where.append("c.tonic = ?")
        values.append(Key.parse(arguments.key).relative_major_tonic)
    if arguments.tempo is not None:
        try:
            low, high = map(float, arguments.tempo.split("-"))
        except ValueError as error:
            raise UsageError(f"--tempo {arguments.tempo}", "write it like 100-120") from error
        if not low <= high:
            raise UsageError(f"--tempo {arguments.tempo}: no tempo is in it", "write the lower tempo first")
        where.append("c.tempo BETWEEN ? AND ?")
        values += [low, high]
    if arguments.label is not None:
        where.append("d.label = ?")
        values.append(arguments.label)
    query = f"SELECT c.id {_CLIPS} WHERE {' AND '.join(where)} ORDER BY s.title, d.start_s, c.id LIMIT ?"
    for (clip_id,) in database.rows(query, [*values, -1 if arguments.limit is None else arguments.limit]):
        yield clip_id


def _row(clip: Clip) -> dict[str, Any]:
    from mashkit.timing import metre
    from mashkit.types import key_facts

    return {name: value for name, value in clip.to_dict().items() if name != "analysis"} | {
        "key": None if clip.analysis.key is None else str(clip.analysis.key),
        **key_facts(clip.analysis.key),
        "tempo": clip.analysis.tempo,
        "tuning": clip.analysis.tuning,
        **metre.facts(clip.analysis),
    }


def _show(arguments: argparse.Namespace) -> int:
    from mashkit.cli.collection import opened
    from mashkit.cli.console import printed
    from mashkit.timing import metre
    from mashkit.types import key_facts

    shown = []
    with opened(arguments.db, write=False) as database:
        for clip_id in arguments.clips:
            record = database.record(clip_id)
            row = database.song_of_clip(clip_id)
            sha256 = row.facts.sha256
            shown.append(
                record.clip.to_dict()
                | key_facts(record.clip.analysis.key)
                | metre.facts(record.clip.analysis)
                | {
                    "song_sha256": sha256,
                    "song_duration_s": row.facts.duration_s,
                    "same_recordings": [path_text(path) for path in database.other_files_of_recording(sha256)],
                    "protocol": row.protocol,
                    "song_source": dict(row.song.source),
                    "excerpt": {"start_s": record.excerpt.start, "duration_s": record.excerpt.duration},
                    "stems": {str(role): str(database.objects.path(ref.sha256)) for role, ref in record.stems.items()},
                    "features": str(database.objects.path(record.features, ".npz")) if record.features else None,
                    "separator": database.component(record.separator),
                    "analyzer": database.component(record.analyzer),
                }
            )
    if not printed({"clips": shown}, arguments):
        for one in shown:
            _print_fields(one)
    return DONE


def _print_fields(shown: dict[str, Any]) -> None:
    """Print a clip as a table: the number of beats, and the names of components."""
    from mashkit.cli.console import print_table

    analysis = shown["analysis"]
    counted = {name: len(analysis[name] or ()) for name in ("beats", "downbeats")}
    rows = {**shown, **analysis, **counted} | {
        name: " ".join(filter(None, (shown[name]["name"], shown[name].get("version"))))
        for name in ("separator", "analyzer")
    }
    del rows["analysis"]
    print_table(("field", "value"), [(name, value) for name, value in rows.items() if value not in (None, "", [], {})])


# ----------------------------------------------------------------------------------------------------------- edit
def _edit(arguments: argparse.Namespace) -> int:
    from mashkit.catalog.edits import FIELDS
    from mashkit.catalog.upkeep import edit
    from mashkit.cli.collection import opened, print_clips
    from mashkit.cli.console import printed, say
    from mashkit.errors import UsageError

    given = {name: getattr(arguments, name) for name in FIELDS}
    values = {name: value for name, value in given.items() if value is not None}
    if not (values or arguments.lock or arguments.undo):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in FIELDS)
        raise UsageError("nothing to edit", f"give {flags}, --lock or --undo")
    with opened(arguments.db, write=True) as database:
        record = edit(database, arguments.clip, values, lock=arguments.lock, undo=arguments.undo)
    if not printed({"clip": record.clip.to_dict(), "was": arguments.clip}, arguments):
        print_clips([record.clip])
    if record.clip.id != arguments.clip:
        say(f"{arguments.clip} was cut again and is now {record.clip.id}; draw plans that name it again")
    return DONE


# -------------------------------------------------------------------------------------------------- verify, prune
def _verify(arguments: argparse.Namespace) -> int:
    import attrs

    from mashkit.catalog.database import MEND_INDEX, DamagedIndex
    from mashkit.catalog.schema import INDEX
    from mashkit.catalog.upkeep import Finding, content_digest, repair, verify
    from mashkit.cli.collection import named_database, opened
    from mashkit.cli.console import print_table, printed, say
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry

    registry = Registry()

    def tell(done: int, total: int) -> None:
        event = StageEvent(stage="verify", item="", state="done", done=done, total=total)
        registry.plugins.hook.mashkit_stage(event=event)

    forgotten: list[str] = []
    repaired, digest = False, None
    try:
        with opened(arguments.db, write=arguments.repair) as database:
            with ProgressListener(registry, quiet=arguments.quiet):
                findings = list(verify(database, thorough=not arguments.quick, notify=tell))
            harm = [finding for finding in findings if not finding.harmless]
            broken = any(finding.of_index for finding in harm)
            if arguments.repair and not broken and any(finding.repairable for finding in harm):
                forgotten, repaired = repair(database, harm), True
            digest = None if any(finding.fault == "index" for finding in findings) else content_digest(database)
    except DamagedIndex as error:  # its first page, without which SQLite opens no file
        harm = findings = [Finding("index", str(named_database(arguments.db) / INDEX), error.problem)]
        broken = True
    left = [finding for finding in harm if not (repaired and finding.repairable)]
    data = {
        "findings": [{**attrs.asdict(one), "harmless": one.harmless} for one in findings],
        "forgotten": forgotten,
        "content_sha256": digest,
    }
    if not printed(data, arguments):
        print_table(
            ("fault", "what", "", "clips it costs"),
            [(one.fault, one.what, one.message, len(one.clips) or "") for one in findings],
        )
        print(f"{len(findings)} findings, {len(harm)} of them harmful; content {digest}")
    if forgotten:
        say(f"deleted {len(forgotten)} clips: add their songs again")
    elif repaired:
        say("repaired: no clip is lost by it")
    if broken:
        say(f"the index cannot be repaired: {MEND_INDEX}")
    elif any(finding.repairable for finding in left):
        say("`mashkit db verify --repair` deletes damaged clips, so that `mashkit db add` makes them again")
    if any(finding.fault == "unreadable" for finding in left):
        say("--repair leaves what is unreadable, because it may be whole: check the permissions and the disk")
    return NOT_IN_ORDER if left else DONE


def _prune(arguments: argparse.Namespace) -> int:
    from mashkit.catalog.upkeep import prune
    from mashkit.cli.collection import opened
    from mashkit.cli.console import printed

    with opened(arguments.db, write=True) as database:
        pruned = prune(database, dry_run=arguments.dry_run)
    if not printed(
        {"results": pruned.results, "objects": pruned.objects, "files": pruned.files, "bytes": pruned.bytes}, arguments
    ):
        verb = "would be deleted" if arguments.dry_run else "deleted"
        print(f"{pruned.results} results, {pruned.files} files, {pruned.bytes / 1e6:.1f} MB {verb}")
    return DONE


# --------------------------------------------------------------------------------------------------- export, stats
def _export(arguments: argparse.Namespace) -> int:
    from mashkit.catalog.export import export
    from mashkit.cli.collection import opened
    from mashkit.cli.console import printed
    from mashkit.cli.progress import ProgressListener
    from mashkit.registry import Registry

    registry = Registry()
    with opened(arguments.db, write=False) as database, ProgressListener(registry, quiet=arguments.quiet):
        manifest = export(
            database,
            arguments.output,
            layout=arguments.layout,
            fields=arguments.fields,
            shard_clips=arguments.shard_clips,
            notify=lambda event: registry.plugins.hook.mashkit_stage(event=event),
        )
    if not printed({"output": str(arguments.output), **manifest.to_dict()}, arguments):
        size = sum(shard.bytes for shard in manifest.shards)
        licences = ", ".join(f"{count} {licence}" for licence, count in manifest.licences.items())
        print(f"{manifest.clips} clips of {manifest.songs} songs, {size / 1e6:.1f} MB in {arguments.output}")
        print(f"{', '.join(manifest.fields)}; licences: {licences}")
    return DONE


def _stats(arguments: argparse.Namespace) -> int:
    from mashkit.atomicfile import write_text
    from mashkit.builtin.paper import PaperGenerator
    from mashkit.cli.collection import opened
    from mashkit.cli.console import print_json, print_table
    from mashkit.cli.kits import kit_of, require
    from mashkit.cli.outputs import require_output
    from mashkit.errors import UsageError
    from mashkit.products import OUR_PAGE
    from mashkit.report.statistics import statistics

    require_output(arguments.output, OUR_PAGE)
    generator = require(kit_of(arguments), arguments, "generator").generator
    if not isinstance(generator, PaperGenerator):
        raise UsageError(f"generator {generator.info.name!r} does not report numbers of candidates", "use `paper`")
    with opened(arguments.db, write=False) as database:
        found = statistics(database, generator)
        title = arguments.title or database.root.resolve().name
    if arguments.output is not None:
        from mashkit.report.collection import page

        write_text(arguments.output, page(found, title=title))
    if arguments.json:
        print_json(found)
        return DONE
    totals, candidates = found["totals"], found["candidates"]
    alike = f" ({totals['same_recordings']} more are the same recordings)" if totals["same_recordings"] else ""
    print(f"{totals['songs']} songs{alike}, {totals['clips']} clips, {totals['clips_s'] / 3600:.2f} h")
    print_table(
        ("condition", "role", "candidates: least", "median", "most", "vocals without"),
        [
            (row["condition"], row["role"], *(_count(row[name]) for name in ("least", "median", "most")),
             f"{row['by_decade'][0]} of {candidates['looked_at']}")
            for row in candidates["rows"]
        ],
    )  # fmt: skip
    if arguments.output is not None:
        print(f"page: {arguments.output}")
    return DONE


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
