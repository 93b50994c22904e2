"""Make a study: choose mashups by systems, or take sounds from a table, and freeze them in a folder."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mashkit.arguments import named_text
from mashkit.atomicfile import require_possible_folder
from mashkit.audio.files import load
from mashkit.bench.protocols import songs_in_turn
from mashkit.conditions import UNMATCHED as UNMATCHED_CONDITIONS
from mashkit.errors import CatalogError, MashkitError, UsageError
from mashkit.listen import designs
from mashkit.listen.designs import Candidate, Layout
from mashkit.listen.records import PageKind, Sample
from mashkit.listen.stimuli import Sounds, headphone_trials, level_trials
from mashkit.listen.study import (
    CHECK,
    GROUPS,
    ORIGINAL,
    STIMULI,
    STUDY_FILE,
    UNMATCHED,
    Protocol,
    Rules,
    Study,
    StudyError,
    write,
)
from mashkit.listen.texts import shipped
from mashkit.mashup import Mashup
from mashkit.paths import exists, is_folder, path_text
from mashkit.pipeline import Kit, Ranked
from mashkit.types import Audio, Condition, Role

TASKS = ("generation", "retrieval", "preference", "custom")
CONDITIONS = (Condition.MATCHED, Condition.ORIGINAL)
"""Conditions without which there is no study of mashups."""
_PART = ".part"
"""Folder inside the study's for what is not finished."""


@attrs.frozen(kw_only=True)
class MashupStudyOptions:
    """What a study of mashups holds.

    Parameters
    ----------
    task : str
        "generation", "retrieval" or "preference".
    systems : tuple of str
        Names of scorers.
    count : int
        "generation": plans to draw, of which each system ranks all.
    each : int
        "generation": samples of each end of a ranking; 20 in the paper.
    queries : int
        "retrieval" and "preference": vocals; 30 in the paper.
    candidates : int
        Plans of each query; 180 in the paper.
    vocals : tuple of str
        Ids of the queries' clips; drawn, one a song, if it is empty.
    negatives, training : int
        Pages with a negative control, and pages to train with (ours).

    Raises
    ------
    UsageError
        If the systems are not each named once, preferences have one system only, or ``count`` is less than both ends
        of a ranking need.

    Examples
    --------
    >>> from mashkit.listen.freezing import MashupStudyOptions
    >>> MashupStudyOptions(task="generation", systems=("amu",), each=5, count=6)
    Traceback (most recent call last):
        ...
    mashkit.errors.UsageError: --count 6 for a top 5 and a bottom 5 of each system (give --count 10 or more, or a
    smaller --each)
    """

    task: str
    systems: tuple[str, ...]
    count: int = 200
    each: int = 20
    queries: int = 30
    candidates: int = 180
    vocals: tuple[str, ...] = ()
    negatives: int = 3
    training: int = 1

    def __attrs_post_init__(self) -> None:
        if len(set(self.systems)) < len(self.systems) or not self.systems or not all(self.systems):
            raise UsageError(f"--systems {','.join(self.systems)}", "name one or more scorers, each once")
        if self.task == "preference" and len(self.systems) < 2:
            raise UsageError("preferences for one system", "name two or more scorers")
        if self.task == "generation" and self.count < 2 * self.each:
            raise UsageError(
                f"--count {self.count} for a top {self.each} and a bottom {self.each} of each system",
                f"give --count {2 * self.each} or more, or a smaller --each",
            )


@attrs.frozen(kw_only=True)
class Frame:
    """What surrounds the pages of a study of any task; the parts of :class:`mashkit.listen.study.Study`.

    Without ``rules``, they are those of :meth:`mashkit.listen.study.Rules.of`, for the controls that the study has.
    """

    title: str = "Listening test"
    contact: str = ""
    seed: int = 0
    protocol: Protocol = attrs.field(factory=Protocol)
    rules: Rules | None = None
    texts: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)


def require_new(folder: Path) -> None:
    """Check the folder of a study before the work.

    Raises
    ------
    StudyError
        If the folder is a file, or holds anything.
    OutputError
        If it cannot be made.
    """
    # What an attempt that was killed has left is no study.
    if exists(folder) and (not is_folder(folder) or any(one.name != _PART for one in folder.iterdir())):
        raise StudyError(f"{path_text(folder)} is not empty", "a study is never changed: name a new folder")
    require_possible_folder(folder)


def kits_of(kit: Kit, systems: Sequence[str]) -> dict[str, Kit]:
    """Return a kit for each system, with its scorer.

    Raises
    ------
    MashkitError
        If a scorer cannot be used.
    """
    kits = {name: Kit(scorer=name, stretcher=kit.stretcher, registry=kit.registry) for name in systems}
    for one in kits.values():
        one.require("scorer")
    return kits


def freeze_mashups(
    kit: Kit,
    catalog: Any,
    options: MashupStudyOptions,
    frame: Frame,
    folder: Path,
    *,
    note: Callable[[str], object] = str,
) -> Study:
    """Choose mashups of a catalog's clips by systems, render them once, and freeze the study.

    Parameters
    ----------
    kit : Kit
        Generates and renders; its scorer is not used.
    catalog : Catalog
    options : MashupStudyOptions
    frame : Frame
    folder : Path
        Must not exist, or be empty.
    note : callable
        Called with what is left out, and why.

    Raises
    ------
    UsageError
        If a query is no clip of the catalog.
    StudyError
        If the folder is not empty or cannot be written to, or there are too few candidates for the design.
    OutputError
        If the folder cannot be made, or a file in it cannot be written.
    MashkitError
        If a scorer cannot be used, or no pool of mashups can be generated.
    """
    kits = kits_of(kit, options.systems)
    with _Making(folder, frame, note) as making:
        choice = _Choice(kit, kits, catalog, making)
        layout = making.layout
        if options.task == "generation":
            rankings = choice.rankings(choice.pool(options.count), options.each)
            designs.generation(layout, rankings, choice.originals, each=options.each)
        else:
            best: dict[str, dict[str, Candidate]] = {}
            beside: dict[str, Candidate] = {}
            even = options.task == "retrieval" and len(kits) % 2 == 0
            queries = choice.queries(options.queries, options.vocals)
            if len(queries) < options.queries and not options.vocals:
                making.tell([f"{options.queries - len(queries)} of the {options.queries} queries: no more vocals"])
            for vocal in queries:
                found = choice.best(vocal, options.candidates)
                control = choice.control(vocal) if even else None
                if found is None or (even and control is None):
                    continue
                best[vocal] = found
                if control is not None:
                    beside[vocal] = control
            if not best:
                raise StudyError("no query has candidates", "give more songs, or --query")
            if options.task == "retrieval":
                making.tell(designs.retrieval(layout, best, choice.originals, beside))
            else:
                making.tell(designs.preference(layout, best))
        kind = PageKind.PREFERENCE if options.task == "preference" else PageKind.RATING
        used = list(dict.fromkeys(one.vocal for one in layout.samples))
        controls = choice.some_controls(used, options.negatives, "pages with a control")
        designs.controls(layout, kind, controls, choice.originals)
        spare = [vocal for vocal in choice.all_vocals() if vocal not in used]
        training = choice.some_controls([*spare, *used], options.training, "training pages")
        designs.controls(layout, PageKind.TRAINING, training, choice.originals)
        described = {name: dict(one.scorer.described()) for name, one in kits.items()}
        return making.finish(options.task, described, choice.starts(), choice.plans())


def freeze_table(
    table: Path, frame: Frame, folder: Path, *, asks: PageKind = PageKind.RATING, note: Callable[[str], object] = str
) -> Study:
    """Freeze a study of sounds that a table lists.

    The table is a CSV file with the columns ``page``, ``file``, ``system`` and ``vocal``, and if wanted ``song``,
    ``group``, ``rank`` and ``kind``. Two rows with one ``page`` make a page. ``kind`` is empty or "training", ``group``
    is empty, "top" or "bottom". A file's path is relative to the table's folder. System "original" is the vocal's own
    song, and "unmatched" a negative control. Spaces around a cell are left out.

    Raises
    ------
    UsageError
        If the table cannot be read, or there is no file where it names a sound.
    StudyError
        If the table is not so, or a sound cannot be decoded; the text has the line. If a sound is silent or shorter
        than 0.4 s; the text has its path. If the folder is not empty or cannot be written to.
    OutputError
        If the folder cannot be made, or a file in it cannot be written.
    """
    rows = _rows(table)
    with _Making(folder, frame, note) as making:
        layout = making.layout
        pages: dict[str, list[str]] = {}
        kinds = {row["page"]: PageKind(row.get("kind") or asks) for _, row in rows}
        for line, row in rows:
            path = table.parent / row["file"]
            key = path_text(path)
            if key not in making.sounds:
                making.sounds.add(key, _sound(table, line, path))
            try:
                rank = int(row.get("rank") or 0)
            except ValueError as error:
                raise StudyError(f"{path_text(table)}, line {line}: rank {row['rank']!r}", "give a number") from error
            candidate = Candidate(sound=key, vocal=row["vocal"], song=row.get("song") or row["vocal"])
            made = layout.sample(candidate, row["system"], group=row.get("group") or "", rank=rank)
            pages.setdefault(row["page"], []).append(made)
        for name, samples in pages.items():
            vocals = {one.vocal for one in layout.samples if one.id in samples}
            if len(set(samples)) != 2 or len(vocals) != 1:
                raise StudyError(
                    f"{path_text(table)}: page {name!r} has {len(set(samples))} samples of {len(vocals)} vocals",
                    "a page has two samples that share a vocal",
                )
            layout.page(kinds[name], samples)
        systems: dict[str, Any] = {one.system: {} for one in layout.samples}
        return making.finish("custom", systems, dict.fromkeys((one.file for one in layout.samples), 0.0))


def _sound(table: Path, line: int, path: Path) -> Audio:
    """Return the sound that a line of a table names; an error names the line."""
    where = f"{path_text(table)}, line {line}"
    if not path.is_file():
        raise UsageError(
            f"{where}: {path_text(path)}: no such file", "check the spelling; a path is relative to the table's folder"
        )
    try:
        return load(path)
    except MashkitError as error:
        raise StudyError(f"{where}: {error.problem}", error.fix) from error


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    fix = "give a CSV file in UTF-8 with the columns page, file, system and vocal"
    reader = csv.DictReader(io.StringIO(named_text(table, f"--table: {fix}", encoding="utf-8-sig")))
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        cells = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise StudyError(f"{path_text(table)} is no CSV: {error}", fix) from error
    missing = {"page", "file", "system", "vocal"} - set(reader.fieldnames)
    if missing or not cells:
        raise StudyError(
            f"{path_text(table)} has no {'column ' + ', '.join(sorted(missing)) if missing else 'row'}", fix
        )
    if surplus := next((line for line, row in cells if None in row), None):
        raise StudyError(
            f"{path_text(table)}, line {surplus}: more cells than the first line has",
            "put a cell with a comma into quotes",
        )
    rows = [(line, {name: (value or "").strip() for name, value in row.items()}) for line, row in cells]
    known = {"kind": ("", PageKind.TRAINING), "group": GROUPS}
    for line, row in rows:
        for name, values in known.items():
            if row.get(name, "") not in values:
                told = " or ".join(repr(str(one)) for one in values if one)
                raise StudyError(
                    f"{path_text(table)}, line {line}: {name} {row[name]!r}", f"give {told}, or leave it empty"
                )
        if _plain(row["system"]) == CHECK:
            raise StudyError(
                f"{path_text(table)}, line {line}: system {row['system']!r}, the name of the tones that check raters",
                "give it another name",
            )
        empty = [name for name in ("page", "file", "system", "vocal") if not row[name]]
        if empty:
            raise StudyError(f"{path_text(table)}, line {line}: no {', '.join(empty)}", "fill the cell")
    first: dict[str, tuple[int, str]] = {}
    for line, row in rows:
        before, kind = first.setdefault(row["page"], (line, row.get("kind", "")))
        if row.get("kind", "") != kind:
            raise StudyError(
                f"{path_text(table)}, lines {before} and {line}: kind {kind!r} and {row['kind']!r} of one page, "
                f"{row['page']!r}",
                "write the same kind in both rows",
            )
    for name, reserved in (("system", (ORIGINAL, UNMATCHED)), ("vocal", ()), ("song", ())):
        _one_spelling(table, rows, name, reserved)
    return rows


def _plain(name: str) -> str:
    """Return a name without what is easily mistaken: case and spaces."""
    return "".join(name.casefold().split())


def _one_spelling(
    table: Path, rows: Sequence[tuple[int, Mapping[str, str]]], column: str, reserved: Sequence[str]
) -> None:
    """Refuse two names that differ only by case or spaces: they would be taken for two systems, vocals or songs."""
    spelt = {_plain(name): name for name in reserved}
    for line, row in rows:
        name = row.get(column, "")
        known = spelt.setdefault(_plain(name), name)
        if known != name:
            raise StudyError(
                f"{path_text(table)}, line {line}: {column} {name!r} differs from {known!r} only by case or spaces",
                f"write {known!r}, or a name that differs by more",
            )


class _Making:
    """A study while it is made, in a folder inside its own, out of which it is moved when all is written."""

    def __init__(self, folder: Path, frame: Frame, note: Callable[[str], object]) -> None:
        require_new(folder)
        self._folder, self._frame, self._note = folder, frame, note
        self._is_new = not exists(folder)
        self._part = folder / _PART
        self._notes: list[str] = []
        self.layout = Layout(random.Random(frame.seed))  # noqa: S311 — a draw that can be repeated, no secret

    @property
    def seed(self) -> int:
        """The seed of the study's draws."""
        return self._frame.seed

    def __enter__(self) -> _Making:
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            (self._part / STIMULI).mkdir(parents=True)
        except OSError as error:
            raise StudyError(
                f"cannot write {path_text(self._part)}: {error.strerror}", "name another folder"
            ) from error
        self.sounds = Sounds(self._part, self.layout.chance)
        return self

    def __exit__(self, *_: object) -> None:
        self.sounds.__exit__()
        shutil.rmtree(self._part, ignore_errors=True)
        if self._is_new:
            with contextlib.suppress(OSError):  # it is not empty: the study is finished
                self._folder.rmdir()

    def tell(self, notes: Sequence[str]) -> None:
        """Tell what is left out or shown twice, and why, and keep it in the study."""
        self._notes.extend(notes)
        for one in notes:
            self._note(one)

    def finish(
        self,
        task: str,
        systems: Mapping[str, Any],
        starts: Mapping[str, float],
        plans: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Study:
        """Write the sounds and the study; ``plans`` has the plan of each sound that is a mashup."""
        plans = plans or {}
        layout, frame = self.layout, self._frame
        protocol = frame.protocol
        layout.with_repeats()
        files, common = self.sounds.finish({one.file: starts[one.file] for one in layout.samples})
        layout.samples = [
            attrs.evolve(
                one, file=files[one.file][0], sha256=files[one.file][1], plan=one.file if one.file in plans else ""
            )
            for one in layout.samples
        ]
        layout.chance.shuffle(layout.samples)
        keys: dict[str, int] = {}
        trials = {
            PageKind.LEVEL: level_trials(layout.chance, common, protocol.level_tries) if protocol.level else (),
            PageKind.HEADPHONES: headphone_trials(layout.chance) if protocol.headphones else (),
        }
        for kind, sounds in trials.items():
            made = []
            for audio, right in sounds:
                file, digest = self.sounds.write(audio)
                sample = Sample(
                    id=layout.identity(), system=CHECK, vocal=CHECK, song=CHECK, file=file, sha256=digest
                )  # fmt: skip
                layout.samples.append(sample)
                keys[sample.id] = right
                made.append(sample.id)
            if made:
                layout.page(kind, made)
        layout.chance.shuffle(layout.pages)
        study = Study(
            title=frame.title, contact=frame.contact, task=task, seed=frame.seed, protocol=protocol,
            texts=frame.texts or shipped(), systems=systems, samples=tuple(layout.samples), pages=tuple(layout.pages),
            keys=keys, loudness_lufs=common, plans=plans,
        )  # fmt: skip
        controls = len(study.negatives)
        if controls < protocol.negatives_per_rater:
            wanted = protocol.negatives_per_rater
            self.tell([f"pages with a control that a rater sees: {controls}, not {wanted}; the study has no more"])
        study = attrs.evolve(
            study, rules=frame.rules or Rules.of(study.asks, protocol, controls), notes=tuple(self._notes)
        )
        problems = list(study.problems())
        if problems:
            raise StudyError(f"this makes no study: {'; '.join(problems)}", "give other songs or numbers")
        # The study is read from its own JSON, because its hash must be the same when the file is read later.
        study = Study.from_dict(json.loads(json.dumps(study.to_dict())))
        self.sounds.__exit__()
        write(study, self._part)
        for name in (STIMULI, STUDY_FILE):  # the last makes a study of the folder
            (self._part / name).rename(self._folder / name)
        return study


class _Choice:
    """Choose mashups for a study. What cannot be generated, scored or rendered is left out, with a note."""

    def __init__(self, kit: Kit, kits: Mapping[str, Kit], catalog: Any, making: _Making) -> None:
        self._kit, self._kits, self._catalog, self._making = kit, kits, catalog, making
        self._seed = making.seed
        self._mashups: dict[str, Mashup] = {}
        self._bad: set[str] = set()
        self.originals: dict[str, Candidate] = {}

    def pool(self, count: int) -> list[Mashup]:
        """Return matched mashups of any vocal, whose original version exists."""
        drawn = self._kit.generate(self._catalog, condition=Condition.MATCHED, count=count, seed=self._seed)
        return [one for one in drawn if self._original(one.clips[Role.VOCAL].id)]

    def rankings(self, pool: Sequence[Mashup], each: int) -> dict[str, list[Candidate]]:
        """Return each system's ranking of the pool; what cannot be rendered at its ends is left out."""
        return {name: self._ends(self._ranked(name, pool), each) for name in self._kits}

    def _ends(self, ranking: Sequence[Ranked], each: int) -> list[Candidate]:
        kept = list(ranking)
        for backwards in (False, True):
            good = 0
            for one in reversed(kept) if backwards else list(kept):
                if good == each:
                    break
                if self._sounds(one.mashup):
                    good += 1
                else:
                    kept = [other for other in kept if other is not one]
        return [self._candidate(one.mashup) for one in kept]

    def queries(self, count: int, named: Sequence[str]) -> list[str]:
        """Return the clips whose vocals are the queries: the named ones, or ``count``, one a song while they last."""
        if named:
            return [self._query(one) for one in named]
        return self.all_vocals()[:count]

    def _query(self, named: str) -> str:
        try:
            clip: str = self._catalog.clip(named).id
        except CatalogError as error:
            raise UsageError(
                f"--query {named}: {error.problem}", "give the id of a clip: mashkit generate --list-clips"
            ) from error
        return clip

    def all_vocals(self) -> list[str]:
        """Return the clips that have a vocal, in random order, with one of each song first."""
        chance = random.Random(self._seed)  # noqa: S311 — a draw that can be repeated, no secret
        clips = [clip for clip in self._catalog.clips if Role.VOCAL in clip.roles and clip.activity.get(Role.VOCAL, 1)]
        chance.shuffle(clips)
        return [clip.id for clip in songs_in_turn(clips)]

    def best(self, vocal: str, count: int) -> dict[str, Candidate] | None:
        """Return each system's first mashup of a vocal; None if there is none, or no original version."""
        if not self._original(vocal):
            return None
        try:
            pool = self._kit.generate(
                self._catalog, condition=Condition.MATCHED, count=count, seed=self._seed, vocal=vocal
            )
        except MashkitError as error:
            self._making.tell([f"vocal {vocal}: {error}"])
            return None
        found: dict[str, Candidate] = {}
        for name in self._kits:
            first = next((one.mashup for one in self._ranked(name, pool) if self._sounds(one.mashup)), None)
            if first is None:
                return None
            found[name] = self._candidate(first)
        return found

    def some_controls(self, vocals: Sequence[str], count: int, what: str) -> dict[str, Candidate]:
        """Return negative controls of the first ``count`` vocals that have one; tell how many of ``what`` are missing.

        Parameters
        ----------
        vocals : sequence of str
        count : int
        what : str
            What the controls are for, in the plural.
        """
        found: dict[str, Candidate] = {}
        for vocal in vocals:
            if len(found) == count:
                break
            if self._original(vocal) and (made := self.control(vocal, len(found))) is not None:
                found[vocal] = made
        if len(found) < count:
            self._making.tell([f"{count - len(found)} of the {count} {what}: no more vocals have one"])
        return found

    def control(self, vocal: str, number: int = 0) -> Candidate | None:
        """Return an unmatched mashup of a vocal; ``number`` chooses which condition is tried first."""
        conditions = UNMATCHED_CONDITIONS[number % 3 :] + UNMATCHED_CONDITIONS[: number % 3]
        return next((made for one in conditions if (made := self._one(one, vocal)) is not None), None)

    def _original(self, vocal: str) -> bool:
        if vocal not in self.originals and vocal not in self._bad:
            made = self._one(Condition.ORIGINAL, vocal)
            if made is None:
                self._bad.add(vocal)
            else:
                self.originals[vocal] = made
        return vocal in self.originals

    def _one(self, condition: Condition, vocal: str) -> Candidate | None:
        try:
            made = self._kit.generate(self._catalog, condition=condition, count=1, seed=self._seed, vocal=vocal)
        except MashkitError as error:
            self._making.tell([f"vocal {vocal}, {condition}: {error}"])
            return None
        return self._candidate(made[0]) if made and self._sounds(made[0]) else None

    def _ranked(self, name: str, pool: Sequence[Mashup]) -> list[Ranked]:
        def failed(mashup: Mashup, error: MashkitError) -> None:
            self._making.tell([f"{name}: plan {mashup.plan.id}: {error}"])

        return self._kits[name].rank(pool, failed=failed)

    def _sounds(self, mashup: Mashup) -> bool:
        """Render a mashup once; return whether it can be heard."""
        key = mashup.plan.id
        if key in self._bad or key in self._making.sounds:
            return key not in self._bad
        try:
            self._making.sounds.add(key, mashup.mix)
        except MashkitError as error:
            self._making.tell([f"plan {key}: {error}"])
            self._bad.add(key)
            return False
        self._mashups[key] = mashup
        return True

    def _candidate(self, mashup: Mashup) -> Candidate:
        vocal = mashup.clips[Role.VOCAL]
        return Candidate(sound=mashup.plan.id, vocal=vocal.id, song=vocal.song)

    def plans(self) -> dict[str, dict[str, Any]]:
        """Return the plan of each chosen sound, as `mashkit mash` saves it, so that answers can be learnt from."""
        chosen = dict.fromkeys(one.file for one in self._making.layout.samples)
        return {key: {"id": key, **self._mashups[key].plan.to_dict()} for key in chosen}

    def starts(self) -> dict[str, float]:
        """Return the seconds to cut from each chosen sound, so that all sounds of a vocal begin at one moment of it.

        Two samples of a page then have the same moment of the vocal at the same position. A vocal that is not played at
        its own speed has no such moment, so nothing is left out.
        """
        begins: dict[str, dict[str, float]] = {}
        for one in self._making.layout.samples:
            layer = self._mashups[one.file].plan.layer(Role.VOCAL)
            own_speed = layer.time_map is None and layer.speed == 1.0
            begins.setdefault(one.vocal, {})[one.file] = -layer.offset_s if own_speed else 0.0
        return {key: max(of.values()) - start for of in begins.values() for key, start in of.items()}


__all__ = ["ORIGINAL", "TASKS", "UNMATCHED", "Frame", "MashupStudyOptions", "freeze_mashups", "freeze_table"]
