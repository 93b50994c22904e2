"""Find the clips for a command's arguments: clips of songs, of a database, or of a voice in a file."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashkit.audio.files import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES, load, probe
from mashkit.catalog import Catalog, MashupDB
from mashkit.catalog.database import require_database
from mashkit.catalog.lone import VOICE, describe_lone
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, find_songs
from mashkit.cli import settings
from mashkit.cli.actions import DB_VARIABLE
from mashkit.cli.console import print_json, print_table, say, status_of
from mashkit.cli.kits import policy_of, policy_on_licences, require_licences_of_clips
from mashkit.errors import AudioFileError, CatalogError, MashkitError, UsageError, said_of
from mashkit.features.tuning import describe
from mashkit.generation import NO_MORE, Mixture, Recipe
from mashkit.mashup import Mashup
from mashkit.paths import absolute, folded, is_folder, path_text
from mashkit.pipeline import Kit
from mashkit.timing import metre
from mashkit.types import Clip, Condition, MashupPlan, Role, key_facts


def named_database(path: Path | None) -> Path:
    """Return the database's folder from --db, the environment variable or the settings; raises UsageError if none is
    set.
    """
    kept = settings.default("db") if path is None else None
    if path is None and kept is None:
        raise UsageError("no songs are named", f"name sound files or folders, give --db FOLDER, or set {DB_VARIABLE}")
    return path or Path(str(kept))


def opened(path: Path | None, *, write: bool, make: bool = False) -> MashupDB:
    """Open the database of --db, the environment variable or the settings.

    Parameters
    ----------
    path : Path, optional
        The folder of --db.
    write : bool
    make : bool
        Whether to make a database that is not there. A command that adds nothing must not, because a mistyped folder
        would become an empty database.

    Raises
    ------
    UsageError
        If no folder is named.
    CatalogError
        If the folder holds no database that is to be opened.
    """
    folder = named_database(path)
    if not make:
        require_database(folder)
    return MashupDB(folder, write=write)


def catalog_of(
    kit: Kit, arguments: argparse.Namespace, songs: Sequence[Path], plans: Sequence[MashupPlan] | None = None
) -> Catalog:
    """Return the clips of the songs, or of the database if no songs are given.

    Parameters
    ----------
    kit : Kit
    arguments : Namespace
    songs : sequence of Path
    plans : sequence of MashupPlan, optional
        The only plans for which clips are needed, if they are known before.

    Raises
    ------
    UsageError
        If options cannot be combined, or clips of the database, or of the plans, were made with components whose
        licences --licences does not allow.
    CatalogError
        If there is no clip.
    """
    voice = _voice(arguments, songs)
    if not songs:
        database = opened(arguments.db, write=False)
        _require_licences(database, arguments, plans)
        catalog = Catalog(database)
        if not catalog.clips:
            raise CatalogError(f"{named_database(arguments.db)} holds no clip", "add songs: mashkit db add FOLDER")
        return catalog
    catalog = kit.catalog(
        songs,
        policy=policy_of(arguments),
        cache=arguments.cache,
        described=[] if voice is None else [voice],
        same_recording=arguments.same_recording,
    )
    for note in catalog.notes:
        say(note)
    if not catalog.clips:
        raise CatalogError(
            f"none of the {len(catalog.failures)} songs in {', '.join(map(path_text, songs))} could be used",
            "the reasons are above",
        )
    return catalog


def _require_licences(
    database: MashupDB, arguments: argparse.Namespace, plans: Sequence[MashupPlan] | None = None
) -> None:
    """Raise UsageError if --licences does not allow what made the clips of a database, or those of ``plans``."""
    if policy_on_licences(arguments) == "any":
        return
    if plans is None:
        require_licences_of_clips(database.components_used(), arguments)
        return
    catalog = Catalog(database)
    made: list[Mapping[str, Any]] = []
    for clip_id in _clips_of(plans):
        with contextlib.suppress(CatalogError):  # a clip that is missing is an error of its plan, said later
            made += catalog.provenance([clip_id])
    require_licences_of_clips(made, arguments)


def _clips_of(plans: Sequence[MashupPlan]) -> list[str]:
    return list(dict.fromkeys(layer.clip_id for plan in plans for layer in plan.layers))


def provenance_of(catalog: Catalog, plans: Sequence[MashupPlan]) -> list[dict[str, Any]]:
    """Return the entry of --json for the components that made the clips of plans, which the catalog must have."""
    return [dict(described) for described in catalog.provenance(_clips_of(plans))]


def notes_of(kit: Kit, catalog: Catalog) -> list[str]:
    """Return the entry of --json for the notes: those on the songs, and those of the plugins and stages."""
    return [*catalog.notes, *kit.registry.notes]


def _voice(arguments: argparse.Namespace, songs: Sequence[Path]) -> Song | None:
    """Return the song of --vocal FILE with the facts from --vocal-key etc.; None if --vocal is of the clips.

    Without such facts, a file among the songs or in the database is a song, whose vocal is separated as that of any
    other.

    Raises
    ------
    UsageError
        If the options cannot be combined.
    """
    if songs and arguments.db is not None:
        raise UsageError(f"songs and --db {arguments.db} are both given", "give only one of them")
    vocal = getattr(arguments, "vocal", None)
    options = {"key": "--vocal-key", "tempo": "--vocal-bpm", "downbeat": "--vocal-downbeat"}
    names = {name: option.lstrip("-").replace("-", "_") for name, option in options.items()}
    said = {name: value for name, of in names.items() if (value := getattr(arguments, of, None)) is not None}
    if vocal is None or not is_file(vocal):
        if said:
            raise UsageError(
                f"{', '.join(options[name] for name in said)} without --vocal FILE",
                "they describe a voice in a file; correct a clip of a database with `mashkit db edit`",
            )
        return None
    own = absolute(vocal)
    if not said and (not songs or any(place in (own, *own.parents) for place in map(absolute, songs))):
        return None
    if not songs:
        raise UsageError(
            f"--vocal {vocal}: a voice in a file cannot be combined with a database",
            "add it to the database: mashkit db add FOLDER --protocol roles; then give its clip's id",
        )
    if "downbeat" in said and "tempo" not in said:
        raise UsageError(f"--vocal-downbeat {said['downbeat']} without --vocal-bpm", "give both")
    return describe_lone(Path(vocal), VOICE, **said)


def is_file(vocal: str) -> bool:
    """Return whether --vocal is a file and not a clip's id, which contains neither dots nor slashes."""
    return Path(vocal).suffix.lower() in AUDIO_SUFFIXES | UNREADABLE_SUFFIXES or Path(vocal).is_file()


def vocals_of(catalog: Catalog, arguments: argparse.Namespace) -> list[str] | None:
    """Return the ids of the clips of --vocal, those with most singing first; None if --vocal is not given.

    --vocal is a clip's id, a title, or a file.
    """
    vocal = arguments.vocal
    if vocal is None:
        return None
    if is_file(vocal):
        for failure in catalog.failures:
            if absolute(failure.path) == absolute(vocal):
                raise failure.error
        clips = [clip for clip in catalog.clips if clip.source == path_text(absolute(vocal))]
        if not clips and not arguments.songs:
            raise UsageError(
                f"--vocal {vocal}: no clip of the database is of this file",
                "add it: mashkit db add; or name a clip of `mashkit generate --list-clips`",
            )
        if not clips:
            raise UsageError(
                f"--vocal {vocal}: it is passed over, or none of its clips can be used",
                "name another copy of it, or a clip of `mashkit generate --list-clips`",
            )
    elif any(clip.id == vocal for clip in catalog.clips):
        return [vocal]
    else:
        clips = [clip for clip in catalog.clips if folded(clip.title) == folded(vocal) and Role.VOCAL in clip.roles]
        if not clips:
            return [vocal]  # the generator says that there is no such clip
    return [clip.id for clip in sorted(clips, key=lambda clip: -clip.activity[Role.VOCAL])]


def generated(kit: Kit, catalog: Catalog, condition: Condition, arguments: argparse.Namespace) -> list[Mashup]:
    """Return the requested number of mashups; with --vocal, those of its clips in turn.

    Raises
    ------
    GenerationError
        If there is no mashup at all.
    """
    count = arguments.count
    vocals = vocals_of(catalog, arguments)
    mixture = Mixture(kit.generator, catalog.clips, Recipe({condition: count}), seed=arguments.seed, vocal=vocals)
    mashups = kit.mashups(catalog, mixture)
    reason = mixture.report.exhausted.get(condition, NO_MORE)
    if reason != NO_MORE:
        kit.registry.note(f"drawing ended after {len(mashups)} of {count} plans: {reason}")
    return mashups


def failures_of(catalog: Catalog) -> list[dict[str, str]]:
    """Return the entries of --json for the songs that could not be used."""
    return [{"path": path_text(failure.path), "error": str(failure.error)} for failure in catalog.failures]


def print_clips(clips: Sequence[Clip]) -> None:
    """Print clips as a table."""
    print_table(
        ("clip", "title", "label", "start", "seconds", "key", "Camelot", "Open Key", "tuning", "BPM", "bar",
         *(f"{role}" for role in Role),
         "edited"),
        [
            (clip.id, clip.title, clip.label, f"{clip.start:.1f}", f"{clip.duration:.1f}", clip.analysis.key or "–",
             *(name or "–" for name in key_facts(clip.analysis.key).values()), describe(clip.analysis.tuning),
             f"{clip.analysis.tempo:.2f}" if clip.analysis.tempo else "–",
             metre.described(clip.analysis),
             *("–" if role in clip.lacks else f"{clip.activity[role]:.2f}" for role in Role), ", ".join(clip.edited))
            for clip in clips
        ],
    )  # fmt: skip


def say_what_would_be_made(
    kit: Kit, songs: Sequence[Path], kinds: Sequence[str], plans: int, arguments: argparse.Namespace,
    unread: Sequence[dict[str, str]] = (),
) -> int:  # fmt: skip
    """Do what :func:`say_what_would_be_done` does, for a command that gets its clips as :func:`catalog_of` does.

    Raises
    ------
    UsageError, CatalogError
        As :func:`catalog_of`, as far as it is known without reading the songs.
    """
    policy_of(arguments)
    voice = _voice(arguments, songs)
    if songs:
        found = find_songs(songs)
        if voice is not None:
            found = Found([*found, *(file for file in voice.files if file not in found)], notes=found.notes)
        return say_what_would_be_done(kit, found, kinds, arguments, plans=plans, unread=unread)
    _require_folder(arguments)
    with opened(arguments.db, write=False) as database:
        _require_licences(database, arguments)
    return say_what_would_be_done(kit, [], kinds, arguments, plans=plans, unread=unread)


def _require_folder(arguments: argparse.Namespace) -> None:
    """Raise CatalogError if there is no folder at the place of the database."""
    if not is_folder(database := named_database(arguments.db)):
        raise CatalogError(f"{database} is not a database", "make one: mashkit db add FOLDER --db FOLDER")


def say_what_would_be_made_of_plans(
    kit: Kit, plans: Sequence[MashupPlan], kinds: Sequence[str], arguments: argparse.Namespace,
    unread: Sequence[dict[str, str]],
) -> int:  # fmt: skip
    """Do what :func:`say_what_would_be_made` does, for plans that were read; a plan that cannot be used is listed.

    Plans are compared with the clips of a database. The clips of songs are not known before the songs are read.
    """
    if arguments.songs:
        return say_what_would_be_made(kit, arguments.songs, kinds, len(plans), arguments, unread)
    policy_of(arguments)
    _require_folder(arguments)
    catalog = catalog_of(kit, arguments, [], plans)
    failures: list[dict[str, str]] = []
    for plan in plans:
        try:
            kit.mashups(catalog, [plan])
        except MashkitError as error:
            say(said_of(f"plan {plan.id}", error))
            failures.append({"plan": plan.id, "error": str(error)})
    possible = len(plans) - len(failures)
    return say_what_would_be_done(kit, [], kinds, arguments, plans=possible, unread=[*unread, *failures])


def _seconds(kit: Kit, file: Path) -> float:
    """Return the length that a file's header says, or that of the sound if a plugin decodes such files.

    Raises
    ------
    AudioFileError
        If the file cannot be read, as far as its header tells.
    """
    try:
        return probe(file, loadable=True).duration
    except AudioFileError:
        return load(file, loader=kit.registry.plugins.hook.mashkit_load_audio).duration


def say_what_would_be_done(
    kit: Kit, files: Sequence[Path], kinds: Sequence[str], arguments: argparse.Namespace, *, plans: int | None = None,
    unread: Sequence[dict[str, str]] = (),
) -> int:  # fmt: skip
    """Print the songs that a command would read, how long they are, and its components; return the exit status.

    Only headers are read. What is damaged further inside is found by the command itself. A file that is not a song
    is listed as a failure. ``plans`` is the number of plans that the command would draw or use, if it does that, and
    ``unread`` are failures that were said when the plans were read.
    """
    notes = files.notes if isinstance(files, Found) else ()
    for note in notes:
        say(note)
    songs: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for file in files:
        try:
            songs.append({"path": path_text(file), "duration_s": _seconds(kit, file)})
        except MashkitError as error:
            failures.append({"path": path_text(file), "error": str(error)})
    chosen = {kind: kit.chosen[kind] for kind in kinds}
    if arguments.json:
        told = {
            "dry_run": True,
            "songs": songs,
            "failures": [*unread, *failures],
            "notes": list(notes),
            "components": chosen,
        }
        print_json(told if plans is None else {**told, "plans": plans})
    else:
        print_table(("song", "seconds"), [(one["path"], f"{one['duration_s']:.1f}") for one in songs])
        for failure in failures:
            say(failure["error"])
        total = sum(one["duration_s"] for one in songs) / 60
        counted = [f"{len(songs)} songs, {total:.1f} minutes"] if files else []
        counted += [] if plans is None else [f"{plans} plans"]
        with_ = ", ".join(f"{kind} {name}" for kind, name in chosen.items())
        say(f"dry run: {', '.join(counted)}, with {with_}; nothing was computed or written")
    return status_of(songs if files else range(plans or 0), [*unread, *failures])
