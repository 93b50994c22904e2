"""The commands: each takes parsed arguments, does its work through the library, prints, and returns the exit status."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.markup
import rich.table

from mashkit import metre
from mashkit.atomicfile import replacing, require_writable_folder, write_json, write_text
from mashkit.audiobuffer import settle, weighted_sum
from mashkit.audiofile import load, save
from mashkit.catalog import Catalog
from mashkit.catalog.database import default_cache
from mashkit.catalog.excerpts import LONGEST_S, SHORTEST_S, ExcerptPolicy
from mashkit.catalog.songs import find_songs
from mashkit.cli.bench import bench as bench  # a command like the others; its handlers have a module of their own
from mashkit.cli.db import db as db  # likewise
from mashkit.cli.db import named, opened, print_clips
from mashkit.cli.env import env as env  # likewise
from mashkit.cli.main import COMPONENT_KINDS, KINDS, own_commands
from mashkit.cli.models import models as models  # the same
from mashkit.cli.progress import ProgressListener
from mashkit.errors import AudioFileError, CatalogError, MashkitError, PlanError, TimeMapError, UsageError
from mashkit.generation import UNMATCHED, Mixture, Recipe, Report
from mashkit.hookspecs import StageEvent
from mashkit.mixing import PEAK_CEILING_DB
from mashkit.output import clip_record, environment, with_clicks, write_mashup
from mashkit.pipeline import Kit, Ranked
from mashkit.registry import Registry
from mashkit.scaffold import new_plugin
from mashkit.timemap import TimeMap
from mashkit.types import Audio, Condition, MashupPlan, Role, Score

DONE, FAILED, PARTLY = 0, 1, 3
PLANS = 10
"""Plans that `generate` draws when nobody says how many."""
PARALLEL_FROM = 5000
"""Plans from which on it pays to start processes to draw them."""
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
    return Kit(**chosen, options=options)


def _options(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what -O sets: of components and, where the command has one, of the protocol."""
    kinds = (*COMPONENT_KINDS, "protocol") if hasattr(arguments, "protocol") else COMPONENT_KINDS
    options: dict[str, dict[str, Any]] = {}
    for text in arguments.options:
        target, equals, value = text.partition("=")
        kind, dot, option = target.partition(".")
        if not (equals and dot and option) or kind not in kinds:
            raise UsageError(f"-O {text}", "write it like -O stretcher.cheaper=true")
        options.setdefault(kind, {})[option] = _value(value)
    return options


def _seeded_kit(arguments: argparse.Namespace, kind: str) -> Kit:
    """Return the kit with --seed given to the component of ``kind``; say so when that one leaves nothing to chance."""
    kit = _kit(arguments)
    if arguments.seed is None:
        return kit
    if "seed" not in getattr(kit, kind).options():
        _say(f"{kind} {kit.chosen[kind]!r} leaves nothing to chance: --seed changes nothing")
        return kit
    arguments.options.append(f"{kind}.seed={arguments.seed}")
    return _kit(arguments)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def _print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = rich.table.Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(rich.markup.escape(str(cell)) for cell in row))
    # A pipe has no width: do not wrap what a program may read.
    console = rich.console.Console(width=None if sys.stdout.isatty() else 240)
    console.print(table, highlight=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


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
        catalog = Catalog(opened(arguments.db, write=False))
        if not catalog.clips:
            raise CatalogError(f"{named(arguments.db)} holds no clip", "add songs: mashkit db add FOLDER")
        return catalog
    catalog = kit.catalog(songs, policy=_policy(arguments), cache=arguments.cache)
    for note in catalog.notes:
        _say(note)
    if not catalog.clips:
        raise CatalogError(
            f"none of the {len(catalog.failures)} songs in {', '.join(map(str, songs))} could be used",
            "the reasons are above",
        )
    return catalog


def _failures(catalog: Catalog) -> list[dict[str, str]]:
    return [{"path": str(failure.path), "error": str(failure.error)} for failure in catalog.failures]


def _each(kit: Kit, stage: str, files: Sequence[Path], work: Any) -> tuple[list[Any], list[dict[str, str]]]:
    """Do ``work`` on every file; one that fails is listed and the rest goes on."""
    results, failures = [], []
    for number, file in enumerate(files, 1):
        try:
            results.append(work(file))
            state, message = "done", ""
        except MashkitError as error:
            # The file door names its file; a component does not know it.
            message = str(error) if isinstance(error, AudioFileError) else f"{file}: {error}"
            failures.append({"path": str(file), "error": message})
            state = "failed"
        event = StageEvent(stage=stage, item=str(file), state=state, done=number, total=len(files), message=message)
        kit.registry.plugins.hook.mashkit_stage(event=event)
    return results, failures


def _status(results: Sequence[object], failures: Sequence[object]) -> int:
    if not failures:
        return DONE
    return PARTLY if results else FAILED


# ----------------------------------------------------------------------------------------------------------- mash
def mash(arguments: argparse.Namespace) -> int:
    """Make the best mashups of some songs."""
    output = require_writable_folder(arguments.output)
    arguments.options = [*_mash_options(arguments), *arguments.options]
    kit = _kit(arguments)
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = _catalog(kit, arguments, arguments.songs)
        mashups = kit.generate(
            catalog, condition=arguments.condition, count=arguments.count, seed=arguments.seed, vocal=arguments.vocal
        )
        if arguments.phrase_bars:
            mashups = kit.best_variants(mashups)
        best = kit.rank(mashups, top=arguments.top, per_vocal=arguments.per_vocal)
        saved = [_save(kit, ranked, output, len(best), clicks=arguments.clicks) for ranked in best]
        failures = _failures(catalog)
        result = {
            "mashups": saved,
            "drawn": len(mashups),
            "failures": failures,
            "notes": catalog.notes,
            "components": {kind: getattr(kit, kind).describe() for kind in KINDS},
            "environment": environment(),
        }
        write_json(output / "scores.json", result)
        write_text(output / "index.html", _page(kit, best, catalog, arguments))
    if arguments.json:
        _print_json(result)
    else:
        _print_table(
            ("rank", "score", "vocal", "harmonic", "percussion", "seconds", "folder"),
            [
                (one.rank, f"{one.score.value:.3f}", *(one.mashup.clips[role].title for role in Role),
                 f"{one.mashup.plan.duration_s:.1f}", record["folder"])
                for one, record in zip(best, saved, strict=True)
            ],
        )  # fmt: skip
        _say(f"listen: {output / 'index.html'}")
    if len(best) < arguments.top:
        _say(f"only {len(best)} of the {arguments.top} mashups asked for exist; --per-vocal or more songs give more")
    return PARTLY if failures else DONE


def _mash_options(arguments: argparse.Namespace) -> list[str]:
    """Return what the short options of `mash` stand for; a -O of the same name overrides it."""
    options = []
    if arguments.plain:
        options += ["generator.match_loudness=false", "generator.fades=false", "generator.limit_db=0"]
    if arguments.align is not None:
        options.append(f"generator.align={arguments.align}")
    if arguments.duck:
        options.append(f"generator.duck_db={arguments.duck}")
    if arguments.phrase_bars:
        options.append(f"generator.phrase_bars={arguments.phrase_bars}")
    return options


def _save(kit: Kit, ranked: Ranked, output: Path, total: int, *, clicks: bool) -> dict[str, Any]:
    folder = output / f"mashup-{ranked.rank}"
    record = write_mashup(ranked.mashup, folder)
    if clicks:
        save(folder / "clicks.flac", with_clicks(ranked.mashup))
    for note in ranked.mashup.plan.notes:
        _say(f"mashup {ranked.rank}: {note}")
    kit.registry.plugins.hook.mashkit_stage(
        event=StageEvent(stage="save", item=str(folder), state="done", done=ranked.rank, total=total)
    )
    return {
        "rank": ranked.rank,
        "folder": str(folder),
        "score": ranked.score.to_dict(),
        **{name: record[name] for name in ("plan", "gain_db", "limited_db", "key_distance", "licences")},
        "titles": {str(role): clip.title for role, clip in ranked.mashup.clips.items()},
    }


def _page(kit: Kit, best: Sequence[Ranked], catalog: Catalog, arguments: argparse.Namespace) -> str:
    from mashkit.report import page

    folders = arguments.songs or [named(arguments.db)]
    return page(
        best,
        title=f"{len(best)} mashups of {', '.join(path.name or str(path) for path in folders)}",
        failures=[(str(failure.path), str(failure.error)) for failure in catalog.failures],
        notes=catalog.notes,
        components={kind: getattr(kit, kind).describe() for kind in KINDS},
    )


# ------------------------------------------------------------------------------------------------- single stages
def separate(arguments: argparse.Namespace) -> int:
    """Split songs into stems."""
    output = require_writable_folder(arguments.output)
    kit = _seeded_kit(arguments, "separator")
    files = find_songs(arguments.songs)
    names = _folder_names(files)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        stems = kit.separator.separate(mix)
        parts = (
            {str(role): stems.role(role) for role in Role if role in stems.roles}
            if arguments.roles
            else dict(stems.stems)
        )
        parts, gain_db = _guarded(parts)
        paths = {name: str(save(output / names[file] / f"{name}.flac", part)) for name, part in parts.items()}
        return {"path": str(file), "stems": paths, "gain_db": gain_db}

    with ProgressListener(kit.registry, quiet=arguments.quiet):
        kit.separator.describe()  # what is missing is said before the first file is read
        results, failures = _each(kit, "separate", files, work)
    data = {
        "results": results,
        "failures": failures,
        "separator": kit.separator.describe(),
        "environment": environment(),
    }
    if arguments.json:
        _print_json(data)
    else:
        for result in results:
            print("\n".join(result["stems"].values()))
    return _status(results, failures)


def _folder_names(files: Sequence[Path]) -> dict[Path, str]:
    """Return a folder name for each file: its stem, made distinct by its parent's name and then a number."""
    names: dict[Path, str] = {}
    for file in files:
        name = file.stem
        if name in names.values():
            name = f"{file.parent.name} {file.stem}"
        number = 2
        while name in names.values():
            name, number = f"{file.stem} {number}", number + 1
        names[file] = name
    return names


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
    """Find key, tempo, beats and downbeats."""
    kit = _seeded_kit(arguments, "analyzer")
    files = find_songs(arguments.songs)

    def work(file: Path) -> dict[str, Any]:
        mix = load(file, loader=kit.registry.plugins.hook.mashkit_load_audio)
        found = kit.analyzer.analyze(mix)
        return {"path": str(file), "duration_s": mix.duration, **found.to_dict(), **metre.facts(found)}

    with ProgressListener(kit.registry, quiet=arguments.quiet):
        kit.analyzer.describe()
        results, failures = _each(kit, "analyze", files, work)
    data = {"results": results, "failures": failures, "analyzer": kit.analyzer.describe(), "environment": environment()}
    if arguments.output is not None:
        write_json(arguments.output, data)
    if arguments.json:
        _print_json(data)
    else:
        _print_table(
            ("file", "key", "BPM", "beats", "downbeats", "bar", "first downbeat"),
            [
                (result["path"], result["key"] or "–", f"{result['tempo']:.2f}" if result["tempo"] else "–",
                 _count(result["beats"]), _count(result["downbeats"]), _bar(result),
                 f"{result['downbeats'][0]:.3f} s" if result["downbeats"] else "–")
                for result in results
            ],
        )  # fmt: skip
        for result in results:
            if result["metre_doubt"]:
                _say(f"{result['path']}: doubtful bars: {result['metre_doubt']}")
    return _status(results, failures)


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
    time_map = None if arguments.time_map is None else _read_time_map(arguments.time_map)
    stretched = kit.stretcher.stretch(audio, speed=arguments.speed, semitones=arguments.semitones, time_map=time_map)
    parts, gain_db = ({"": stretched}, 0.0) if arguments.output.suffix.lower() == ".wav" else _guarded({"": stretched})
    path = save(arguments.output, parts[""])
    data = {
        "path": str(path),
        "frames": stretched.frames,
        "sample_rate": stretched.sample_rate,
        "speed": arguments.speed,
        "semitones": arguments.semitones,
        "time_map": None if time_map is None else time_map.to_dict(),
        "gain_db": gain_db,
        "stretcher": kit.stretcher.describe(),
        "environment": environment(),
    }
    if arguments.json:
        _print_json(data)
    else:
        print(path)
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
    recipe = _recipe(arguments)
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = _catalog(kit, arguments, arguments.songs)
        status = PARTLY if catalog.failures else DONE
        if arguments.list_clips:
            if arguments.json:
                shown = [clip_record(clip) | metre.facts(clip.analysis) for clip in catalog.clips]
                _print_json({"clips": shown, "failures": _failures(catalog)})
            else:
                print_clips(catalog.clips)
            return status
        mixture = Mixture(
            kit.generator,
            catalog.clips,
            recipe,
            seed=arguments.seed,
            vocal=arguments.vocal,
            executor=kit.executor if _in_parallel(recipe, arguments) else None,
        )
        _write_plans(kit, mixture, recipe, arguments.output)
    report = mixture.report
    if arguments.output is not None and arguments.json:
        _print_json({"plans": str(arguments.output), "seed": arguments.seed, "generator": kit.generator.describe(),
                     "report": report.to_dict(), "failures": _failures(catalog)})  # fmt: skip
    elif len(recipe.counts) > 1 and not arguments.quiet:
        _say_report(report)
    for condition, reason in report.exhausted.items():
        _say(f"{report.drawn[condition]} of the {recipe.counts[condition]} {condition} plans asked for: {reason}")
    missing = any(report.drawn[condition] == 0 for condition in recipe.counts)
    return PARTLY if missing else status


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return what the arguments ask for: so many plans of a condition, or a mixture."""
    mixed = {name: getattr(arguments, name) or 0 for name in ("positives", "negatives", "unlabelled")}
    if not any(mixed.values()):
        return Recipe({arguments.condition or Condition.MATCHED: arguments.count or PLANS})
    if arguments.condition or arguments.count:
        raise UsageError(
            "--condition and --count beside --positives, --negatives or --unlabelled", "give the former or the latter"
        )
    shares = arguments.negative_shares
    return Recipe.for_training(**mixed, shares=None if shares is None else dict(zip(UNMATCHED, shares, strict=True)))


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
    # plan.json of a mashup holds its plan among other things; a file of one line is one plan.
    return [MashupPlan.from_dict(whole["plan"] if isinstance(whole, dict) and "plan" in whole else whole)]


def score(arguments: argparse.Namespace) -> int:
    """Score mashup plans."""
    kit = _seeded_kit(arguments, "scorer")
    plans = _read_plans(arguments.plans)
    if not plans:
        raise PlanError(f"{arguments.plans}: holds no plan", "give what `mashkit generate` wrote")
    with ProgressListener(kit.registry, quiet=arguments.quiet):
        catalog = _catalog(kit, arguments, arguments.songs)
        results = kit.score(kit.mashups(catalog, plans))
    rows: list[dict[str, Any]] = [
        {"plan": plan.id, "condition": str(plan.condition)}
        | (result.to_dict() if isinstance(result, Score) else {"error": str(result)})
        for plan, result in zip(plans, results, strict=True)
    ]
    scored = [row for row in rows if "value" in row]
    data: dict[str, Any] = {
        "scores": rows,
        "failures": _failures(catalog),
        "components": {kind: getattr(kit, kind).describe() for kind in KINDS[:4]},
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
                (row["plan"], row["condition"], f"{row['value']:.4f}", *(f"{row['parts'][part]:.4f}" for part in parts))
                for row in sorted(scored, key=lambda row: -float(row["value"]))
            ],
        )
    return _status(scored, [*data["failures"], *(row for row in rows if "error" in row)])


# ------------------------------------------------------------------------------------------------ plugins, doctor
def plugins(arguments: argparse.Namespace) -> int:
    """List components."""
    registry = Registry()
    rows = [_component_record(registered) for registered in registry.components()]
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


def _component_record(registered: Any) -> dict[str, Any]:
    info, available = registered.info, registered.availability()
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
        _print_json({"folder": str(folder), "files": written})
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
        try:
            registry.create(registered.kind, registered.info.name).describe()
            check(f"{registered.kind} {registered.info.name}", needed=needed)
        except MashkitError as error:
            check(f"{registered.kind} {registered.info.name}", error.problem, error.fix or "", needed=needed)
    known = {(one.kind, one.info.name) for one in registry.components()}
    for kind, name in sorted(defaults - known):
        check(f"{kind} {name}", "not installed", f"pip install mashkit-{name}")
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
