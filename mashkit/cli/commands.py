"""The commands: each takes parsed arguments, does its work through the library, prints, and returns the exit status."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import rich.console
import rich.markup
import rich.table

from mashkit import metre
from mashkit.arguments import default_cache
from mashkit.atomicfile import as_json, replacing, require_writable_folder, write_json, write_text
from mashkit.audiobuffer import settle, weighted_sum
from mashkit.audiofile import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES, load, require_encodable, save
from mashkit.catalog import Catalog
from mashkit.catalog.excerpts import LONGEST_S, SHORTEST_S, ExcerptPolicy
from mashkit.catalog.lone import VOICE, describe_lone
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, find_songs
from mashkit.cli.bench import bench as bench  # a command like the others; its handlers have a module of their own
from mashkit.cli.db import db as db  # likewise
from mashkit.cli.db import named, opened, print_clips
from mashkit.cli.env import env as env  # likewise
from mashkit.cli.main import COMPONENT_KINDS, KINDS, own_commands
from mashkit.cli.models import models as models  # the same
from mashkit.cli.progress import ProgressListener
from mashkit.discovery import Registered, how_to_install
from mashkit.errors import (
    CatalogError,
    GenerationError,
    MashkitError,
    OutputError,
    PlanError,
    TimeMapError,
    Unforeseen,
    UsageError,
    contained,
    said_of,
)
from mashkit.generation import UNMATCHED, Mixture, Recipe, Report
from mashkit.hookspecs import StageEvent
from mashkit.interfaces.generator import PLAN_OPTIONS
from mashkit.levels import complaints
from mashkit.mashup import Mashup
from mashkit.mixing import PEAK_CEILING_DB
from mashkit.output import MASHUP_FILES, environment, write_mashup
from mashkit.paths import path_text, printable, without_links
from mashkit.pipeline import Kit, Ranked
from mashkit.products import MARK, OutputSet, folder_for, require_replaceable
from mashkit.registry import Registry
from mashkit.scaffold import new_plugin
from mashkit.timemap import TimeMap
from mashkit.tuning import describe
from mashkit.types import Analysis, Audio, Condition, Finish, MashupPlan, Role, Score

DONE, FAILED, PARTLY = 0, 1, 3
TOP = 3
"""Mashups that `mash` keeps when nobody says how many."""
PLANS = 10
"""Plans that `generate` draws when nobody says how many."""
PARALLEL_FROM = 5000
"""Plans from which on it pays to start processes to draw them."""
STEM_FILE = "{name}.flac"
"""What `separate` calls a stem's file."""
PLANS_A_REPORT = 500
"""Plans drawn between two signs of progress."""


# --------------------------------------------------------------------------------------------------------- shared
def _value(text: str) -> Any:
    """Read an option's value as JSON ("true", "0.5", "[1, 2]"), else as the text it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _kit(arguments: argparse.Namespace) -> Kit:
    """Return the kit the arguments ask for; what they leave open is the library's default."""
    chosen = {kind: name for kind in COMPONENT_KINDS if (name := getattr(arguments, kind, None)) is not None}
    jobs = getattr(arguments, "jobs", None)
    options = {kind: values for kind, values in _options(arguments).items() if kind in COMPONENT_KINDS}
    if jobs is not None:
        options["executor"] = {"jobs": jobs, **options.get("executor", {})}
    return Kit(**chosen, options=options, finish=_finish(arguments))


def _finish(arguments: argparse.Namespace) -> Finish:
    """Return what the arguments ask to be done to every plan, whatever draws it."""
    duck = getattr(arguments, "duck", None)
    try:
        return Finish(duck_db=duck, plain=getattr(arguments, "plain", False))
    except PlanError as error:
        raise UsageError(f"--duck {duck:g}", "give decibels, 0 or more") from error


def _condition(kit: Kit, asked: str | None) -> Condition:
    """Return the condition asked for; by default matched, or the only one that the generator knows."""
    known = kit.generator.conditions
    by_default = next(iter(known)) if len(known) == 1 else Condition.MATCHED
    return kit.generator.require_condition(by_default if asked is None else asked)


def _require(kit: Kit, arguments: argparse.Namespace, *kinds: str) -> Kit:
    """Find what is wrong with the components a command needs, or is told of, before it touches the first song."""
    told = {kind for kind in COMPONENT_KINDS if getattr(arguments, kind, None) is not None}
    kit.require(*kinds, *told, *(set(_options(arguments)) & set(COMPONENT_KINDS)))
    return kit


def _from_songs(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of components that songs need, and a database does not."""
    return ("separator", "analyzer", "executor") if arguments.songs else ()


def _options(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what -O sets: of components and, where the command has one, of the protocol."""
    kinds = [kind for kind in (*COMPONENT_KINDS, "protocol") if hasattr(arguments, kind)]
    options: dict[str, dict[str, Any]] = {}
    for text in arguments.options:
        target, equals, value = text.partition("=")
        kind, dot, option = target.partition(".")
        if not (equals and dot and option):
            raise UsageError(f"-O {text}", "write it like -O stretcher.cheaper=true")
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, n=1)
            raise UsageError(
                f"-O {text}: this command uses no {kind!r}",
                f"{f'did you mean {near[0]}.{option}? ' if near else ''}it uses: {', '.join(kinds)}",
            )
        options.setdefault(kind, {})[option] = _value(value)
    return options


def _seeded_kit(arguments: argparse.Namespace, kind: str) -> Kit:
    """Return the kit with --seed given to the component of ``kind``; say so when that one leaves nothing to chance."""
    kit = _require(_kit(arguments), arguments, kind)
    if arguments.seed is None:
        return kit
    if "seed" not in getattr(kit, kind).options():
        _say(f"{kind} {kit.chosen[kind]!r} leaves nothing to chance: --seed changes nothing")
        return kit
    arguments.options.append(f"{kind}.seed={arguments.seed}")
    return _require(_kit(arguments), arguments, kind)


def _require_output(path: Path | None) -> None:
    """Prove that a file can be written, if one is asked for: better to know before the work than after."""
    if path is not None:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder", "name a file with -o")
        require_writable_folder(path.parent)


def _print_json(data: Any) -> None:
    print(as_json(data))


def _print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = rich.table.Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(rich.markup.escape(printable(str(cell))) for cell in row))
    # A pipe has no width: do not wrap what a program may read.
    console = rich.console.Console(width=None if sys.stdout.isatty() else 240)
    console.print(table, highlight=False)


def _say(text: str) -> None:
    print(printable(text, keep="\n\t"), file=sys.stderr)


def _policy(arguments: argparse.Namespace) -> ExcerptPolicy:
    try:
        return ExcerptPolicy(per_song=arguments.clips_per_song, length_s=arguments.clip_length)
    except ValueError as error:
        raise UsageError(
            f"--clip-length {arguments.clip_length}", f"give {SHORTEST_S:g} to {LONGEST_S:g} seconds"
        ) from error


def _catalog(kit: Kit, arguments: argparse.Namespace, songs: Sequence[Path]) -> Catalog:
    """Return the clips of songs, or of the database that is named instead."""
    if songs and arguments.db is not None:
        raise UsageError(f"songs and --db {arguments.db}", "give the ones or the other")
    if not songs:
        if _voice(arguments) is not None:
            raise UsageError(
                f"--vocal {arguments.vocal} with a database",
                "add it to the database: mashkit db add FOLDER --protocol roles; then give its clip's id",
            )
        catalog = Catalog(opened(arguments.db, write=False))
        if not catalog.clips:
            raise CatalogError(f"{named(arguments.db)} holds no clip", "add songs: mashkit db add FOLDER")
        return catalog
    voice = _voice(arguments)
    catalog = kit.catalog(
        songs,
        policy=_policy(arguments),
        cache=arguments.cache,
        described=[] if voice is None else [voice],
        same_recording=arguments.same_recording,
    )
    for note in catalog.notes:
        _say(note)
    if not catalog.clips:
        raise CatalogError(
            f"none of the {len(catalog.failures)} songs in {', '.join(map(path_text, songs))} could be used",
            "the reasons are above",
        )
    return catalog


def _voice(arguments: argparse.Namespace) -> Song | None:
    """Return the song that --vocal FILE means, with what the other options say of it; None for a clip's id."""
    vocal = getattr(arguments, "vocal", None)
    options = {"key": "--vocal-key", "tempo": "--vocal-bpm", "downbeat": "--vocal-downbeat"}
    names = {name: option.lstrip("-").replace("-", "_") for name, option in options.items()}
    said = {name: value for name, of in names.items() if (value := getattr(arguments, of, None)) is not None}
    if vocal is None or not _is_file(vocal):
        if said:
            raise UsageError(
                f"{', '.join(options[name] for name in said)} without --vocal FILE",
                "they are of a voice in a file; what is known of a clip is set with `mashkit db edit`",
            )
        return None
    if "downbeat" in said and "tempo" not in said:
        raise UsageError(f"--vocal-downbeat {said['downbeat']} without --vocal-bpm", "give both")
    return describe_lone(Path(vocal), VOICE, **said)


def _is_file(vocal: str) -> bool:
    """Tell whether --vocal names a file rather than a clip, whose ids have neither dots nor slashes."""
    return Path(vocal).suffix.lower() in AUDIO_SUFFIXES | UNREADABLE_SUFFIXES or Path(vocal).is_file()


def _vocals(catalog: Catalog, arguments: argparse.Namespace) -> list[str | None]:
    """Return the clips whose vocals --vocal means, the one that sings most first; [None] where any will do."""
    if arguments.vocal is None or not _is_file(arguments.vocal):
        return [arguments.vocal]
    for failure in catalog.failures:
        if failure.path == Path(arguments.vocal):
            raise failure.error
    clips = [clip for clip in catalog.clips if clip.source == path_text(Path(arguments.vocal))]
    return [clip.id for clip in sorted(clips, key=lambda clip: -clip.activity[Role.VOCAL])]


def _generated(kit: Kit, catalog: Catalog, condition: Condition, arguments: argparse.Namespace) -> list[Mashup]:
    """Return the mashups that were asked for; of a voice in a file, as many of each of its clips."""
    vocals = _vocals(catalog, arguments)
    each = -(-arguments.count // len(vocals))
    found: list[Mashup] = []
    errors: list[GenerationError] = []
    for vocal in vocals:
        try:
            found += kit.generate(catalog, condition=condition, count=each, seed=arguments.seed, vocal=vocal)
        except GenerationError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found[: arguments.count]


def _failures(catalog: Catalog) -> list[dict[str, str]]:
    return [{"path": path_text(failure.path), "error": str(failure.error)} for failure in catalog.failures]


def _each(kit: Kit, stage: str, files: Sequence[Path], work: Any) -> tuple[list[Any], list[dict[str, str]]]:
    """Do ``work`` on every file; one that fails is listed and the rest goes on."""
    results, failures = [], []
    for number, file in enumerate(files, 1):
        try:
            results.append(work(file))
            state, message = "done", ""
        except OutputError:
            raise  # what cannot be written now cannot be written for the next file either
        except Exception as error:  # noqa: BLE001 — one file's own: it is listed, and the rest goes on
            message = said_of(file, contained(error, "it could not be used", Unforeseen))
            failures.append({"path": path_text(file), "error": message})
            state = "failed"
        event = StageEvent(
            stage=stage, item=path_text(file), state=state, done=number, total=len(files), message=message
        )
        kit.registry.plugins.hook.mashkit_stage(event=event)
    return results, failures


def _of_each(kit: Kit, stage: str, kind: str, files: Found[Path], work: Any, *, quiet: bool) -> dict[str, Any]:
    """Do ``work`` on every file, say what is noted of it, and return all that a record of it holds."""
    for note in files.notes:
        _say(note)
    with ProgressListener(kit.registry, quiet=quiet):
        results, failures = _each(kit, stage, files, work)
    for result in results:
        for note in result["notes"]:
            _say(f"{result['path']}: {note}")
    return {
        "results": results,
        "failures": failures,
        "notes": [*files.notes, *kit.registry.notes],
        kind: getattr(kit, kind).described(),
        "environment": environment(),
    }


def _status(results: Sequence[object], failures: Sequence[object]) -> int:
    if not failures:
        return DONE
    return PARTLY if results else FAILED


# ----------------------------------------------------------------------------------------------------------- mash
def mash(arguments: argparse.Namespace) -> int:
    """Make the best mashups of some songs."""
    if arguments.top is None:
        arguments.top = min(TOP, arguments.count)
    if arguments.top > arguments.count:
        raise UsageError(
            f"--top {arguments.top} of --count {arguments.count}", "draw as many plans as you keep mashups, or more"
        )
    output = OutputSet(
        arguments.output, made_of="mashkit mash", names=["index.html", "scores.json", *_mashup_files(arguments.top)]
    )
    arguments.options = [*_plan_options(arguments), *arguments.options]
    kit = _require(_kit(arguments), arguments, *KINDS, *_from_songs(arguments))
    condition = _condition(kit, arguments.condition)
    unscored: list[dict[str, str]] = []

    def failed(mashup: Mashup, error: MashkitError) -> None:
        unscored.append({"plan": mashup.plan.id, "error": str(error)})

    with ProgressListener(kit.registry, quiet=arguments.quiet), output:
        catalog = _catalog(kit, arguments, arguments.songs)
        mashups = _generated(kit, catalog, condition, arguments)
        if arguments.phrase_bars:
            mashups = kit.best_variants(mashups)
        alone = arguments.vocal is not None and _is_file(arguments.vocal)
        per_vocal = arguments.per_vocal or (None if alone else 1)
        best = kit.rank(mashups, top=arguments.top, per_vocal=per_vocal, failed=failed)
        saved = _save(kit, best, output, clicks=arguments.clicks)
        failures = [*_failures(catalog), *unscored, *saved.failures]
        result = {
            "mashups": saved.records,
            "drawn": len(mashups),
            "failures": failures,
            "notes": [*catalog.notes, *kit.registry.notes],
            "components": {kind: getattr(kit, kind).described() for kind in KINDS},
            "environment": environment(),
        }
        write_json(output.staging / "scores.json", result)
        write_text(output.staging / "index.html", _page(kit, saved, failures, catalog, arguments))
    if arguments.json:
        _print_json(result)
    else:
        _print_table(
            ("rank", "score", "vocal", "harmonic", "percussion", "seconds", "folder"),
            [
                (one.rank, f"{one.score.value:.3f}", *(one.mashup.clips[role].title for role in Role),
                 f"{one.mashup.plan.duration_s:.1f}", record["folder"])
                for one, record in zip(saved.ranked, saved.records, strict=True)
            ],
        )  # fmt: skip
        _say(f"listen: {arguments.output / 'index.html'}")
    if len(best) < arguments.top:
        left_out = len({one.plan.id for one in mashups}) - len(best)
        more = "--per-vocal" if per_vocal is not None and left_out else "more songs"
        why = f"; {left_out} more were drawn, which sing of the same songs or could not be scored" if left_out else ""
        _say(f"only {len(best)} of the {arguments.top} mashups asked for exist{why}; {more} would give more")
    return PARTLY if failures else DONE


def _plan_options(arguments: argparse.Namespace) -> list[str]:
    """Return what the flags named as plan options stand for, as -O sets it; a -O of the same name overrides it.

    Raises
    ------
    UsageError
        If the generator has no such option; it says which it has.
    """
    asked = {name: value for name in PLAN_OPTIONS if (value := getattr(arguments, name)) is not None}
    if asked:
        generator = _require(_kit(arguments), arguments, "generator").generator
        flags = {name: f"--{name.replace('_', '-')}" for name in PLAN_OPTIONS}
        for name, value in asked.items():
            if name not in generator.plan_options:
                taken = [flags[one] for one in generator.plan_options] or [f"none of {', '.join(flags.values())}"]
                raise UsageError(
                    f"{flags[name]} {value}: generator {generator.info.name!r} does not take it",
                    f"it takes {' and '.join(taken)}; leave it out, or choose another generator",
                )
    return [f"generator.{name}={value}" for name, value in asked.items()]


def _mashup_files(count: int) -> list[str]:
    """Return what every run that saves so many mashups writes of them."""
    return [f"mashup-{number}/{name}" for number in range(1, count + 1) for name in MASHUP_FILES]


@attrs.define
class _Saved:
    """What became of the mashups that were to be saved."""

    ranked: list[Ranked] = attrs.field(factory=list)
    records: list[dict[str, Any]] = attrs.field(factory=list)
    cards: list[str] = attrs.field(factory=list)
    failures: list[dict[str, str]] = attrs.field(factory=list)


def _save(kit: Kit, best: Sequence[Ranked], output: OutputSet, *, clicks: bool) -> _Saved:
    """Save mashups and make their part of the page, in turn, so that each is rendered once.

    One that fails is listed and the rest goes on.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the disk is full: the others would fare no better.
    MashkitError
        If not one could be saved: the first one's error.
    """
    from mashkit.report import card

    saved = _Saved()
    errors: list[MashkitError] = []
    for done, ranked in enumerate(best, 1):
        folder = f"mashup-{ranked.rank}"
        event = StageEvent(
            stage="save", item=path_text(output.folder / folder), state="done", done=done, total=len(best)
        )

        def write(ranked: Ranked = ranked, folder: str = folder) -> None:
            record = write_mashup(ranked.mashup, output.staging / folder, clicks=clicks)
            saved.cards.append(card(ranked, best))
            saved.records.append(_saved_record(ranked, record, output.folder / folder))
            saved.ranked.append(ranked)

        error = _failure(write, output.staging / folder)
        if error is not None:
            errors.append(error)
            saved.failures.append({"plan": ranked.mashup.plan.id, "error": str(error)})
            said = said_of(f"mashup {ranked.rank} (plan {ranked.mashup.plan.id})", error)
            event = attrs.evolve(event, state="failed", message=said)
        for note in ranked.mashup.plan.notes if error is None else ():
            _say(f"mashup {ranked.rank}: {note}")
        kit.registry.plugins.hook.mashkit_stage(event=event)
    if errors and not saved.ranked:
        raise errors[0]
    return saved


def _failure(write: Callable[[], None], folder: Path) -> MashkitError | None:
    """Write one mashup; return what that raised, with what it had written of ``folder`` removed.

    A disk that is full, or a folder that cannot be written, is raised: the others would fare no better.
    """
    try:
        write()
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 — one mashup's own: it is listed, and the rest goes on
        shutil.rmtree(folder, ignore_errors=True)
        return contained(error, "it could not be rendered", Unforeseen)
    return None


def _saved_record(ranked: Ranked, record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "rank": ranked.rank,
        "folder": path_text(folder),
        "score": ranked.score.to_dict(),
        **{name: record[name] for name in ("plan", "gain_db", "limited_db", "key_distance", "licences")},
        "titles": {str(role): clip.title for role, clip in ranked.mashup.clips.items()},
    }


def _page(
    kit: Kit, saved: _Saved, failures: Sequence[Mapping[str, str]], catalog: Catalog, arguments: argparse.Namespace
) -> str:
    from mashkit.report import page

    folders = arguments.songs or [named(arguments.db)]
    return page(
        saved.ranked,
        title=f"{len(saved.ranked)} mashups of {', '.join(path_text(path.name or path) for path in folders)}",
        failures=[(one.get("path") or f"plan {one['plan']}", one["error"]) for one in failures],
        notes=catalog.notes,
        components={kind: getattr(kit, kind).described() for kind in KINDS},
        shown=saved.cards,
    )


# ------------------------------------------------------------------------------------------------- single stages
def separate(arguments: argparse.Namespace) -> int:
    """Split songs into stems."""
    parent = require_writable_folder(arguments.output)
    kit = _seeded_kit(arguments, "separator")
    files = find_songs(arguments.songs)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        song = path_text(without_links(file))
        folder = folder_for(parent, file.stem, song)
        require_encodable(folder / STEM_FILE.format(name="stem"), mix.sample_rate)
        output = OutputSet(folder, made_of=song)
        stems = kit.separator.separate(mix)
        parts = (
            {str(role): stems.role(role) for role in Role if role in stems.roles}
            if arguments.roles
            else dict(stems.stems)
        )
        parts, gain_db = _guarded(parts)
        with output:
            for name, part in parts.items():
                save(output.staging / STEM_FILE.format(name=name), part, comment=MARK)
        paths = {name: path_text(folder / STEM_FILE.format(name=name)) for name in parts}
        return {"path": path_text(file), "stems": paths, "gain_db": gain_db, "notes": complaints(mix)}

    data = _of_each(kit, "separate", "separator", files, work, quiet=arguments.quiet)
    results, failures = data["results"], data["failures"]
    if arguments.json:
        _print_json(data)
    else:
        for result in results:
            print("\n".join(result["stems"].values()))
    return _status(results, failures)


def _guarded(parts: Mapping[str, Audio]) -> tuple[dict[str, Audio], float]:
    """Lower all parts by one gain when one would be clipped by FLAC; return them and the gain in dB."""
    peak = 0.0
    for part in parts.values():
        peak = max(peak, part.peak)
        settle(part.samples)
    if peak <= 1.0:
        return dict(parts), 0.0
    gain = 10 ** (PEAK_CEILING_DB / 20) / peak
    return (
        {name: weighted_sum([(gain, part)]) for name, part in parts.items()},
        float(20 * np.log10(gain)),
    )


def analyze(arguments: argparse.Namespace) -> int:
    """Find key, tuning, tempo, beats and downbeats."""
    _require_output(arguments.output)
    kit = _seeded_kit(arguments, "analyzer")
    files = find_songs(arguments.songs)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        found = kit.analyzer.analyze(mix)
        notes = complaints(mix) or ([] if _says_something(found) else ["nothing was found in it: no key and no beats"])
        return {
            "path": path_text(file),
            "duration_s": mix.duration,
            **found.to_dict(),
            **metre.facts(found),
            "notes": notes,
        }

    data = _of_each(kit, "analyze", "analyzer", files, work, quiet=arguments.quiet)
    results, failures = data["results"], data["failures"]
    if arguments.output is not None:
        write_json(arguments.output, data)
    if arguments.json:
        _print_json(data)
    else:
        _print_table(
            ("file", "key", "tuning", "BPM", "beats", "downbeats", "bar", "first downbeat"),
            [
                (result["path"], result["key"] or "–", describe(result["tuning"]),
                 f"{result['tempo']:.2f}" if result["tempo"] else "–",
                 _count(result["beats"]), _count(result["downbeats"]), _bar(result),
                 f"{result['downbeats'][0]:.3f} s" if result["downbeats"] else "–")
                for result in results
            ],
        )  # fmt: skip
        for result in results:
            if result["metre_doubt"]:
                _say(f"{result['path']}: doubtful bars: {result['metre_doubt']}")
    return _status(results, failures)


def _says_something(analysis: Analysis) -> bool:
    return any(getattr(analysis, name) is not None for name in ("key", "tempo", "beats"))


def _bar(result: dict[str, Any]) -> str:
    return (
        "–" if result["beats_per_bar"] is None else f"{result['beats_per_bar']}{'?' if result['metre_doubt'] else ''}"
    )


def _count(times: Sequence[float] | None) -> str:
    return "–" if times is None else str(len(times))


def stretch(arguments: argparse.Namespace) -> int:
    """Change speed and pitch of a sound file."""
    kit = _seeded_kit(arguments, "stretcher")
    audio = load(arguments.song, loader=kit.registry.plugins.hook.mashkit_load_audio)
    require_encodable(arguments.output, audio.sample_rate)
    require_replaceable(arguments.output)
    time_map = None if arguments.time_map is None else _read_time_map(arguments.time_map)
    stretched = kit.stretcher.stretch(audio, speed=arguments.speed, semitones=arguments.semitones, time_map=time_map)
    parts, gain_db = ({"": stretched}, 0.0) if arguments.output.suffix.lower() == ".wav" else _guarded({"": stretched})
    path = save(arguments.output, parts[""], comment=MARK)
    data = {
        "path": path_text(path),
        "frames": stretched.frames,
        "sample_rate": stretched.sample_rate,
        "speed": arguments.speed,
        "semitones": arguments.semitones,
        "time_map": None if time_map is None else time_map.to_dict(),
        "gain_db": gain_db,
        "stretcher": kit.stretcher.described(),
        "environment": environment(),
    }
    if arguments.json:
        _print_json(data)
    else:
        print(path_text(path))
    if gain_db:
        _say(f"{path}: lowered by {-gain_db:.1f} dB, it would have been clipped; write a .wav to keep the level")
    return DONE


def _read_time_map(path: Path) -> TimeMap:
    try:
        return TimeMap.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise TimeMapError(f"{path}: cannot be read as text: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise TimeMapError(
            f"{path}: is no time map: {error!r}", 'write {"source": [0, 30, 60], "target": [0, 29, 61]}, seconds'
        ) from error
    except TimeMapError as error:
        raise TimeMapError(f"{path}: {error.problem}", error.fix) from error


# ------------------------------------------------------------------------------------------------ plans and scores
def generate(arguments: argparse.Namespace) -> int:
    """Draw mashup plans."""
    kit = _kit(arguments)
    if arguments.list_conditions:
        _require(kit, arguments, "generator")
        if arguments.json:
            _print_json({"conditions": dict(kit.generator.conditions)})
        else:
            _print_table(("condition", "what it means"), kit.generator.conditions.items())
        return DONE
    _require(kit, arguments, *(() if arguments.list_clips else ("generator",)), *_from_songs(arguments))
    recipe = _recipe(kit, arguments)
    _require_output(arguments.output)
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = _catalog(kit, arguments, arguments.songs)
        status = PARTLY if catalog.failures else DONE
        if arguments.list_clips:
            if arguments.json:
                shown = [clip.to_dict() | metre.facts(clip.analysis) for clip in catalog.clips]
                _print_json({"clips": shown, "failures": _failures(catalog),
                             "notes": [*catalog.notes, *kit.registry.notes]})  # fmt: skip
            else:
                print_clips(catalog.clips)
            return status
        mixture = Mixture(
            kit.generator,
            catalog.clips,
            recipe,
            seed=arguments.seed,
            vocal=_vocals(catalog, arguments)[0],
            executor=kit.executor if _in_parallel(recipe, arguments) else None,
        )
        _write_plans(kit, mixture, recipe, arguments.output)
    report = mixture.report
    if arguments.output is not None and arguments.json:
        _print_json(
            {
                "plans": path_text(arguments.output),
                "seed": arguments.seed,
                "generator": kit.generator.described(),
                "report": report.to_dict(),
                "failures": _failures(catalog),
                "notes": catalog.notes,
            }
        )
    elif len(recipe.counts) > 1 and not arguments.quiet:
        _say_report(report)
    for condition, reason in report.exhausted.items():
        _say(f"{report.drawn[condition]} of the {recipe.counts[condition]} {condition} plans asked for: {reason}")
    missing = report.failure is not None or any(report.drawn[condition] == 0 for condition in recipe.counts)
    return PARTLY if missing else status


def _recipe(kit: Kit, arguments: argparse.Namespace) -> Recipe:
    """Return what the arguments ask for: so many plans of a condition, or a mixture, all known to the generator."""
    mixed = {name: getattr(arguments, name) or 0 for name in ("positives", "negatives", "unlabelled")}
    if not any(mixed.values()):
        return Recipe({_condition(kit, arguments.condition): arguments.count or PLANS})
    if arguments.condition or arguments.count:
        raise UsageError(
            "--condition and --count beside --positives, --negatives or --unlabelled", "give the former or the latter"
        )
    shares = arguments.negative_shares
    recipe = Recipe.for_training(**mixed, shares=None if shares is None else dict(zip(UNMATCHED, shares, strict=True)))
    for condition in recipe.counts:
        kit.generator.require_condition(condition)
    return recipe


def _in_parallel(recipe: Recipe, arguments: argparse.Namespace) -> bool:
    """Tell whether to draw in several processes; the plans are the same."""
    return recipe.total >= PARALLEL_FROM if arguments.jobs is None else arguments.jobs > 1


def _write_plans(kit: Kit, mixture: Mixture, recipe: Recipe, output: Path | None) -> None:
    """Write plans as they are drawn: to standard output, or to a file that is there when all are."""
    with contextlib.ExitStack() as stack:
        file = sys.stdout
        if output is not None:
            file = stack.enter_context(stack.enter_context(replacing(output)).open("w", encoding="utf-8"))
        for done, plan in enumerate(mixture, 1):
            file.write(f"{plan.to_json()}\n")
            if output is not None and (done % PLANS_A_REPORT == 0 or done == recipe.total):
                event = StageEvent(stage="generate", item=str(output), state="done", done=done, total=recipe.total)
                kit.registry.plugins.hook.mashkit_stage(event=event)


def _say_report(report: Report) -> None:
    for condition, tally in report.tallies.items():
        why = [f"{count} {reason}" for reason, count in [("repeated", tally.repeated), *tally.rejected.most_common()]]
        _say(f"{condition}: {report.drawn[condition]} plans of {tally.draws} draws ({'; '.join(why)})")
        for reason, count in report.left_out.get(condition, {}).items():
            _say(f"{condition}: {count} clips left out: {reason}")
    if report.chance_share is not None:
        _say(f"{100 * report.chance_share:.1f} % of the negatives fit by chance")


def _read_plans(path: Path) -> list[MashupPlan]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read as text: {error}", "give what `mashkit generate` wrote") from error
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        plans = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    plans.append(MashupPlan.from_json(line))
                except PlanError as error:
                    raise PlanError(f"{path}, line {number}: {error.problem}", error.fix) from error
        return plans
    return [MashupPlan.from_dict(whole)]  # a file of one line is one plan, and so is a plan.json


def render(arguments: argparse.Namespace) -> int:
    """Make mashups of plans."""
    plans = {plan.id: plan for path in arguments.plans for plan in _read_plans(path)}
    if not plans:
        raise PlanError(f"{', '.join(map(str, arguments.plans))}: no plan", "give what `mashkit generate` wrote")
    output = OutputSet(
        arguments.output, made_of="mashkit render", names=[f"{plan}/{name}" for plan in plans for name in MASHUP_FILES]
    )
    if arguments.same_recording is None:
        arguments.same_recording = "separate"  # as in `score`
    kit = _seeded_kit(arguments, "stretcher")
    rendered: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    with ProgressListener(kit.registry, quiet=arguments.quiet), output:
        catalog = _catalog(kit, arguments, arguments.songs)
        for done, plan in enumerate(plans.values(), 1):
            event = StageEvent(stage="render", item=plan.id, state="done", done=done, total=len(plans))

            def write(plan: MashupPlan = plan) -> None:
                (mashup,) = kit.mashups(catalog, [plan])
                record = write_mashup(mashup, output.staging / plan.id, clicks=arguments.clicks)
                rendered.append({"folder": path_text(arguments.output / plan.id), **record})

            error = _failure(write, output.staging / plan.id)
            if error is not None:
                failures.append({"plan": plan.id, "error": str(error)})
                event = attrs.evolve(event, state="failed", message=said_of(f"plan {plan.id}", error))
            kit.registry.plugins.hook.mashkit_stage(event=event)
        if not rendered:
            raise PlanError(f"none of the {len(plans)} plans could be rendered", "the reasons are above")
    failures = [*_failures(catalog), *failures]
    if arguments.json:
        _print_json({"mashups": rendered, "failures": failures, "notes": catalog.notes, "environment": environment()})
    else:
        print("\n".join(one["folder"] for one in rendered))
    return _status(rendered, failures)


def score(arguments: argparse.Namespace) -> int:
    """Score mashup plans."""
    _require_output(arguments.output)
    plans = _read_plans(arguments.plans)
    if not plans:
        raise PlanError(f"{arguments.plans}: holds no plan", "give what `mashkit generate` wrote")
    if arguments.same_recording is None:
        arguments.same_recording = "separate"  # plans say which song they mean, whoever else has its sound
    kit = _require(_seeded_kit(arguments, "scorer"), arguments, *KINDS[:4], *_from_songs(arguments))
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = _catalog(kit, arguments, arguments.songs)
        results = kit.score_plans(catalog, plans)
    for plan, result in zip(plans, results, strict=True):
        if isinstance(result, CatalogError | PlanError):  # the others were told as they came
            _say(said_of(f"plan {plan.id}", result))
    rows: list[dict[str, Any]] = [
        {"plan": plan.id, "condition": str(plan.condition)}
        | (result.to_dict() if isinstance(result, Score) else {"error": str(result)})
        for plan, result in zip(plans, results, strict=True)
    ]
    scored = [row for row in rows if "value" in row]
    data: dict[str, Any] = {
        "scores": rows,
        "failures": _failures(catalog),
        "notes": [*catalog.notes, *kit.registry.notes],
        "components": {kind: getattr(kit, kind).described() for kind in KINDS[:4]},
        "environment": environment(),
    }
    if arguments.output is not None:
        write_json(arguments.output, data)
    if arguments.json:
        _print_json(data)
    else:
        parts = sorted({part for row in scored for part in row["parts"]})
        _print_table(
            ("plan", "condition", "score", *parts),
            [
                (row["plan"], row["condition"], f"{row['value']:.4f}",
                 *(f"{row['parts'][part]:.4f}" if part in row["parts"] else "–" for part in parts))
                for row in sorted(scored, key=lambda row: -float(row["value"]))
            ],
        )  # fmt: skip
    return _status(scored, [*data["failures"], *(row for row in rows if "error" in row)])


# ------------------------------------------------------------------------------------------------ plugins, doctor
def plugins(arguments: argparse.Namespace) -> int:
    """List components."""
    registry = Registry()
    rows = [_component_record(registry, registered) for registered in registry.components()]
    broken = [
        {"distribution": one.distribution, "entry_point": one.entry_point, "reason": one.reason}
        for one in registry.broken
    ]
    commands = [
        {
            "name": name,
            "summary": one.command.summary,
            "distribution": one.origin.distribution,
            "version": one.origin.version,
        }
        for name, entries in registry.commands().items()
        for one in entries
    ]
    data = {"components": rows, "commands": commands, "broken": broken}
    if arguments.output is not None:
        write_json(arguments.output, data)
    if arguments.json:
        _print_json(data)
        return DONE
    _print_table(
        ("kind", "name", "available", "from", "code", "weights", "provides"),
        [
            (row["kind"], row["name"], "yes" if row["available"] else "no", f"{row['distribution']} {row['version']}",
             row["code_license"], row["weights_license"], ", ".join(row["provides"]))
            for row in rows
        ],
    )  # fmt: skip
    if commands:
        _print_table(
            ("command", "from", "summary"),
            [(one["name"], f"{one['distribution']} {one['version']}", one["summary"]) for one in commands],
        )
    for row in rows:
        if not row["available"]:
            _say(f"{row['kind']} {row['name']}: {row['reason']}: {row['fix']}")
    for one in broken:
        _say(f"broken: {one['distribution']} ({one['entry_point']}): {one['reason']}")
    return DONE


def _component_record(registry: Registry, registered: Registered) -> dict[str, Any]:
    info, available = registered.info, registry.availability(registered)
    return {
        "kind": registered.kind,
        "name": info.name,
        "summary": info.summary,
        "provides": sorted(info.provides),
        "distribution": registered.origin.distribution,
        "version": registered.origin.version,
        "available": available.ok,
        "reason": available.reason,
        "fix": available.fix,
        "engine": info.engine,
        "code_license": info.code_license,
        "weights_license": info.weights_license,
        "citation": info.citation,
        "thread_safe": info.thread_safe,
    }


def new(arguments: argparse.Namespace) -> int:
    """Write a new plugin."""
    folder = new_plugin(arguments.kind, arguments.name, arguments.output)
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if arguments.json:
        _print_json({"folder": path_text(folder), "files": written})
    else:
        print("\n".join(str(folder / name) for name in written))
        _say(f"next: pip install -e '{folder}[dev]' && python -m pytest {folder}")
    return DONE


def doctor(arguments: argparse.Namespace) -> int:
    """Create every component that is available, and check what the defaults need."""
    registry = Registry()
    checks: list[dict[str, Any]] = []

    def check(what: str, problem: str = "", fix: str = "", *, needed: bool = True) -> None:
        checks.append({"check": what, "ok": not problem, "needed": needed, "problem": problem, "fix": fix})

    for one in registry.broken:
        check(f"plugin {one.distribution}", one.reason, f"reinstall or remove {one.distribution}", needed=False)
    own = own_commands()
    for name, entries in registry.commands().items():
        owners = " and ".join(one.origin.distribution for one in entries)
        if name in own:
            check(
                f"command {name}",
                f"mashkit has one; that of {owners} is left out",
                f"do without {owners}",
                needed=False,
            )
        elif len(entries) > 1:
            check(f"command {name}", f"it is registered by {owners}", "uninstall one of them", needed=False)
        else:
            check(f"command {name}", needed=False)
    defaults = set(Kit(registry=registry).chosen.items())
    for registered in registry.components():
        needed = (registered.kind, registered.info.name) in defaults
        works = registry.works(registered)
        check(f"{registered.kind} {registered.info.name}", works.reason, works.fix, needed=needed)
    known = {(one.kind, one.info.name) for one in registry.components()}
    for kind, name in sorted(defaults - known):
        check(f"{kind} {name}", "not installed", how_to_install(kind, name))
    cache = arguments.cache or default_cache()
    try:
        require_writable_folder(cache)
        free = shutil.disk_usage(cache).free
        check(
            f"cache {cache}", "" if free > 1 << 30 else f"{free >> 20} MiB free", "free space, or name another --cache"
        )
    except MashkitError as error:
        check(f"cache {cache}", error.problem, "name another with --cache")
    data = {"checks": checks, "environment": environment()}
    if arguments.output is not None:
        write_json(arguments.output, data)
    if arguments.json:
        _print_json(data)
    else:
        _print_table(
            ("", "check", "problem", "what to do"),
            [
                ("ok" if one["ok"] else "FAIL" if one["needed"] else "no", one["check"], one["problem"],
                 "" if one["ok"] else one["fix"])
                for one in checks
            ],
        )  # fmt: skip
    return FAILED if any(one["needed"] and not one["ok"] for one in checks) else DONE
