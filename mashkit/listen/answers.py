"""The answers of a study: a SQLite database beside it, in which each answer is safe before it is acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import secrets
import sqlite3
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mashkit.atomicfile import closed_on_error, transaction
from mashkit.errors import MashkitError
from mashkit.listen import backups, exclusions, sequences
from mashkit.listen.records import HEARD, HIGHEST, LOWEST, PREFERRED, Answer, Page, PageKind
from mashkit.listen.study import Study, StudyError, changed_files
from mashkit.paths import path_text

DATABASE = "answers.sqlite"
LONGEST_S = 24 * 3600.0
"""Longest time on a page, seconds; a longer time comes from a wrong clock (ours)."""
PLAYBACK_BYTES = 16_384
"""Longest log of the playback of a page, in bytes (ours): some hundred switches."""
PLAYED_SLACK_S = 0.5
"""Seconds by which the playback time may be too short, because browsers report it in steps (ours)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS links (id TEXT PRIMARY KEY, rater TEXT, withdrawn INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS raters (
    id TEXT PRIMARY KEY, stage TEXT NOT NULL, language TEXT NOT NULL, joined REAL NOT NULL, seen REAL NOT NULL,
    left_out INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS sequences (
    rater TEXT NOT NULL, place INTEGER NOT NULL, page TEXT NOT NULL, swapped INTEGER NOT NULL, shown REAL,
    PRIMARY KEY (rater, page)
) STRICT;
CREATE TABLE IF NOT EXISTS drafts (
    rater TEXT NOT NULL, page TEXT NOT NULL, given TEXT NOT NULL, PRIMARY KEY (rater, page)
) STRICT;
CREATE TABLE IF NOT EXISTS submissions (
    rater TEXT NOT NULL, page TEXT NOT NULL, given TEXT NOT NULL, seconds REAL NOT NULL, active REAL NOT NULL,
    playback TEXT NOT NULL, at REAL NOT NULL, broken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rater, page)
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    rater TEXT NOT NULL, page TEXT NOT NULL, sample TEXT NOT NULL, question TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (rater, page, sample, question)
) STRICT;
CREATE TABLE IF NOT EXISTS checks (
    rater TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, given TEXT NOT NULL, passed INTEGER NOT NULL,
    PRIMARY KEY (rater, kind, number)
) STRICT;
"""
_OF_RATER = ("sequences", "drafts", "submissions", "answers", "checks")


class Refused(MashkitError):
    """A request that the study does not accept.

    Parameters
    ----------
    reason : str
        A word that the page has a text for.
    problem : str
    status : int
        HTTP status.
    """

    def __init__(self, reason: str, problem: str, status: int = 400) -> None:
        super().__init__(problem)
        self.args = (reason, problem, status)
        self.reason = reason
        self.status = status


class NotSaved(MashkitError):
    """The database could not be written: the disk is full, or the file is gone."""


class Store:
    """The answers of one study.

    One thread at a time may use it; :mod:`mashkit.listen.writer` has the server's. Each public method but
    :meth:`backup` is one step of a transaction, which :meth:`transaction` commits.

    Parameters
    ----------
    study : Study
    folder : Path
        The study's folder.
    database : Path, optional
        Default: ``answers.sqlite`` in the folder.
    whole : bool
        Give each rater all pages: for a walk through the study.
    now : callable
        The clock, seconds since 1970.

    Raises
    ------
    StudyError
        If the database cannot be opened, or has answers to another study.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        *,
        database: Path | None = None,
        whole: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.study, self.folder = study, folder
        self.path = database or folder / DATABASE
        self._whole, self._now = whole, now
        self._checked: dict[str, tuple[int, int]] = {}
        self._copying = threading.Lock()
        self._judged: dict[str, tuple[int, bool]] = {}
        try:
            opened = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            with closed_on_error(opened) as self._db:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.executescript(_SCHEMA)
                self._db.execute("INSERT OR IGNORE INTO about VALUES ('study', ?)", (study.hash,))
                (known,) = self._db.execute("SELECT value FROM about WHERE name = 'study'").fetchone()
                if known != study.hash:
                    raise StudyError(
                        f"{path_text(self.path)} has answers to another study (hash {known[:12]}, not "
                        f"{study.hash[:12]})",
                        "restore the study's folder as it was, or move the database away",
                    )
        except sqlite3.Error as error:
            raise StudyError(f"{path_text(self.path)} cannot be used: {error}", "restore it from a backup") from error

        # An open connection keeps the file open, so it is closed at the latest when this object is deleted.
        self._closed = weakref.finalize(self, self._db.close)

    def close(self) -> None:
        """Close the database."""
        self._closed()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the steps in the block together, or none of them.

        Raises
        ------
        NotSaved
            If the database cannot be written.
        """
        try:
            with transaction(self._db):
                yield
        except sqlite3.Error as error:
            raise NotSaved(f"{path_text(self.path)} cannot be written: {error}", "make room on the disk") from error

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Undo the block alone if it raises an error; the transaction goes on."""
        self._db.execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # after a full disk SQLite has ended the transaction
                self._db.execute("ROLLBACK TO step")
                self._db.execute("RELEASE step")
            raise
        self._db.execute("RELEASE step")

    # ------------------------------------------------------------------------------------------------ a rater
    def join(self, link: str, *, language: str = "en") -> str:
        """Return the rater of a link; make one at its first use.

        Parameters
        ----------
        link : str
            Identity of a personal link, or of a visitor of an open link: the same gets the same rater.
        language : str

        Raises
        ------
        Refused
            If the rater of the link has withdrawn, or the study has all its ratings.
        """
        row = self._db.execute("SELECT rater, withdrawn FROM links WHERE id = ?", (link,)).fetchone()
        if row is not None:
            if row[1]:
                raise Refused("withdrawn", "the rater of this link has withdrawn", 410)
            return str(row[0])
        if sequences.is_full(self.study, self.ratings()) and not self._whole:
            raise Refused("full", "every page has its ratings", 410)
        rater = secrets.token_hex(6)
        moment = self._now()
        self._db.execute(
            "INSERT INTO raters VALUES (?, 'consent', ?, ?, ?, 0)", (rater, self._language(language), moment, moment)
        )
        self._db.execute("INSERT INTO links VALUES (?, ?, 0)", (link, rater))
        return rater

    def state(self, rater: str) -> dict[str, Any]:
        """Return what a rater is to see next, as plain data without any system's name.

        A page whose sound is missing or was changed is passed over; another takes its place, if there is one.

        Raises
        ------
        Refused
            If there is no such rater, as after a withdrawal.
        """
        stage = self._stage(rater)
        self._db.execute("UPDATE raters SET seen = ? WHERE id = ?", (self._now(), rater))
        if stage in ("level", "headphones"):
            page = self.study.of_kind(PageKind(stage))[0]
            tries = self._tries(rater, stage)
            samples = page.samples if stage == "headphones" else page.samples[tries : tries + 1]
            left = self._allowed(stage) - tries
            return {"stage": stage, "page": page.id, "samples": list(samples), "tries_left": left}
        if stage != "pages":
            told = {"stage": stage}
            return told | ({"code": self.study.protocol.completion_code} if stage == "done" else {})
        steps = self._steps(rater)
        done = self._done(rater)
        for place, (identity, swapped) in enumerate(steps):
            if identity in done:
                continue
            page = self.study.page[identity]
            if self._broken(page):
                self._db.execute(
                    "INSERT INTO submissions VALUES (?, ?, '{}', 0, 0, '[]', ?, 1)", (rater, identity, self._now())
                )
                if page in self.study.results and self._add_page(rater, len(steps)):
                    return self.state(rater)
                continue
            self._db.execute(
                "UPDATE sequences SET shown = coalesce(shown, ?) WHERE rater = ? AND page = ?",
                (self._now(), rater, identity),
            )
            draft = self._db.execute(
                "SELECT given FROM drafts WHERE rater = ? AND page = ?", (rater, identity)
            ).fetchone()
            return {
                "stage": "pages",
                "page": identity,
                "kind": str(page.kind),
                "asks": str(self.study.asks),
                "samples": _shown(page, swapped),
                "questions": list(self.study.questions),
                "place": place,
                "of": len(steps),
                "next_samples": self._next_samples(steps[place + 1 :], done),
                "draft": json.loads(draft[0]) if draft else {},
            }
        # The rules are applied at once, because the pages of a rater who is left out are given to other raters.
        self._db.execute(
            "UPDATE raters SET stage = 'done', left_out = ? WHERE id = ?", (self._is_left_out(rater), rater)
        )
        return self.state(rater)

    def consent(self, rater: str, language: str) -> None:
        """Record that a rater agrees to take part; once is enough.

        Raises
        ------
        Refused
            If there is no such rater, as after a withdrawal.
        """
        if self._stage(rater) == "consent":
            self._db.execute("UPDATE raters SET language = ? WHERE id = ?", (self._language(language), rater))
            self._enter(rater, self._after("consent"))

    def check(self, rater: str, kind: str, given: Any) -> bool:
        """Record the answers of a check; return whether it was passed.

        Raises
        ------
        Refused
            If the rater is not at this check, or the answers are not numbers, one for each sound.
        """
        if self._stage(rater) != kind or kind not in ("level", "headphones"):
            raise Refused("elsewhere", f"the rater is not at the check {kind!r}", 409)
        page = self.study.of_kind(PageKind(kind))[0]
        number = self._tries(rater, kind)
        samples = page.samples if kind == "headphones" else page.samples[number : number + 1]
        if not isinstance(given, list) or len(given) != len(samples) or not all(_whole(one, 0, 9) for one in given):
            raise Refused("invalid", f"answers of the check {kind}: {len(samples)} whole numbers are needed")
        right = sum(self.study.keys[sample] == one for sample, one in zip(samples, given, strict=True))
        needed: int = self.study.protocol.headphones_right if kind == "headphones" else 1
        passed: bool = right >= needed
        self._db.execute("INSERT INTO checks VALUES (?, ?, ?, ?, ?)", (rater, kind, number, json.dumps(given), passed))
        if passed:
            self._enter(rater, self._after(kind))
        elif number + 1 >= self._allowed(kind):
            self._enter(rater, f"no-{kind}")
        return passed

    def draft(self, rater: str, page: str, given: Any) -> None:
        """Save what a rater has chosen so far on a page; after the page is submitted, nothing is saved.

        Parameters
        ----------
        rater, page : str
        given : object
            A dict of what was chosen, as JSON; the same dict is in :meth:`state`.

        Raises
        ------
        Refused
            If there is no such rater, the page is not one of the rater's, or what is given is no dict or too long.
        """
        self._require_step(rater, page)
        text = json.dumps(given)
        if not isinstance(given, dict) or len(text) > PLAYBACK_BYTES:
            raise Refused("invalid", "a draft is an object of some kilobytes at most")
        if page not in self._done(rater):
            self._db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (rater, page, text))

    def submit(self, rater: str, page: str, given: Mapping[str, Any]) -> None:
        """Record the answers to a page. The same answers again change nothing; others are refused.

        Parameters
        ----------
        rater, page : str
        given : mapping
            "ratings": sample → question → 1 to 5, or "preferred": a sample's id, or "" for a tie; "heard": whether the
            vocal was known; "played": sample → seconds heard; "seconds": time on the page by the browser's clock;
            "playback": a list of what was played when.

        Raises
        ------
        Refused
            If something is missing or out of range, was not heard, or the page is not the rater's next.
        """
        steps = self._require_step(rater, page)
        values = dict(self._values(self.study.page[page], given))
        text = json.dumps(sorted((sample, question, value) for (sample, question), value in values.items()))
        known = self._db.execute("SELECT given FROM submissions WHERE rater = ? AND page = ?", (rater, page)).fetchone()
        if known is not None:
            if known[0] != text:
                raise Refused("answered", "this page was answered before; the first answer is kept", 409)
            return
        done = self._done(rater)
        if page != next((one for one, _ in steps if one not in done), None):
            raise Refused("elsewhere", "another page is the rater's next", 409)
        playback = json.dumps(given.get("playback", []))
        if len(playback) > PLAYBACK_BYTES:
            playback = '["too long"]'
        (shown,) = self._db.execute(
            "SELECT shown FROM sequences WHERE rater = ? AND page = ?", (rater, page)
        ).fetchone()
        active = _seconds(given.get("seconds"))
        elapsed = self._now() - (self._now() if shown is None else shown)
        # The browser's time is used if the clock of this machine was set back, or far forward.
        seconds = elapsed if 0 < elapsed <= LONGEST_S else active
        self._db.execute(
            "INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (rater, page, text, seconds, active, playback, self._now()),
        )
        self._db.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
            [(rater, page, sample, question, value) for (sample, question), value in values.items()],
        )
        self._db.execute("DELETE FROM drafts WHERE rater = ? AND page = ?", (rater, page))

    def withdraw(self, rater: str) -> None:
        """Delete all that is known of a rater; the link stays, marked, so that it cannot be used again.

        Raises
        ------
        Refused
            If there is no such rater, as after another withdrawal.
        """
        self._stage(rater)
        for table in _OF_RATER:
            self._db.execute(f"DELETE FROM {table} WHERE rater = ?", (rater,))  # noqa: S608 — a name of ours
        self._db.execute("DELETE FROM raters WHERE id = ?", (rater,))
        self._db.execute("UPDATE links SET rater = NULL, withdrawn = 1 WHERE rater = ?", (rater,))

    def may_hear(self, rater: str, sample: str) -> bool:
        """Return whether a sample is on one of the rater's pages or in a check.

        Raises
        ------
        Refused
            If the study has the sample, and there is no such rater.
        """
        if sample not in self.study.sample:
            return False
        stage = self._stage(rater)
        if sample in self.study.keys:
            return stage in ("level", "headphones")
        return any(sample in self.study.page[page].samples for page, _ in self._steps(rater))

    # ------------------------------------------------------------------------------------------------ all raters
    def ratings(self) -> dict[str, int]:
        """Return page → number of raters who have answered it or are about to.

        Raters who are left out of the results do not count, because the page still needs their ratings from others.
        The rules are also applied to raters who have been away for too long. Most often they are left out, because they
        have answered too few pages. Otherwise they count for the pages that they have answered.
        """
        old = self._now() - 3600 * self.study.protocol.hold_hours
        rows = self._db.execute(
            "SELECT s.rater, s.page FROM sequences s JOIN raters r ON r.id = s.rater "
            "LEFT JOIN submissions d ON d.rater = s.rater AND d.page = s.page "
            "WHERE NOT r.left_out AND NOT coalesce(d.broken, 0) AND (d.page IS NOT NULL OR r.seen >= ?)",
            (old,),
        ).fetchall()
        left_out = self._left_and_left_out(old)
        return dict(Counter(page for rater, page in rows if rater not in left_out))

    def _left_and_left_out(self, old: float) -> set[str]:
        """Return the raters who were last seen before a moment, have not finished, and are left out of the results."""
        rows = self._db.execute(
            "SELECT r.id, count(*) FROM raters r JOIN submissions d ON d.rater = r.id "
            "WHERE r.stage = 'pages' AND r.seen < ? GROUP BY r.id",
            (old,),
        ).fetchall()
        found = set()
        for rater, pages in rows:
            # Cached until the rater answers another page, because many raters may join at once.
            if self._judged.get(rater, (0, False))[0] != pages:
                self._judged[rater] = pages, self._is_left_out(rater)
            if self._judged[rater][1]:
                found.add(rater)
        return found

    def _is_left_out(self, rater: str) -> bool:
        """Return whether a rule leaves a rater out of the results, by the answers that there are."""
        return bool(exclusions.exclusions(self.study, self.answers(rater), possible=self._possible()))

    def answers(self, rater: str | None = None) -> Iterator[Answer]:
        """Yield all answers, or a rater's, in a fixed order, also to training pages and of raters that are left out."""
        rows = self._db.execute(
            "SELECT a.rater, a.page, a.sample, a.question, a.value, d.seconds, s.place, s.swapped FROM answers a "
            "JOIN submissions d ON d.rater = a.rater AND d.page = a.page "
            "JOIN sequences s ON s.rater = a.rater AND s.page = a.page "
            "WHERE a.rater = coalesce(?, a.rater) ORDER BY a.rater, s.place, a.sample, a.question",
            (rater,),
        ).fetchall()
        for of, page, sample, question, value, seconds, place, swapped in rows:
            position = _shown(self.study.page[page], bool(swapped)).index(sample) if sample else -1
            yield Answer(
                rater=of, page=page, sample=sample, question=question, value=value, seconds=seconds, order=place,
                position=position,
            )  # fmt: skip

    def exclusions(self) -> dict[str, dict[str, str]]:
        """Return rater → rule → reason for those whose answers are left out, checks that were failed included."""
        found = exclusions.exclusions(self.study, self.answers(), possible=self._possible())
        for rater, stage in self._db.execute("SELECT id, stage FROM raters WHERE stage LIKE 'no-%'").fetchall():
            found.setdefault(rater, {})[stage.removeprefix("no-")] = "the check was failed"
        return found

    def progress(self) -> dict[str, Any]:
        """Return what the admin page shows, without any system's name."""
        stages = dict(self._db.execute("SELECT stage, count(*) FROM raters GROUP BY stage"))
        (withdrawn,) = self._db.execute("SELECT count(*) FROM links WHERE withdrawn").fetchone()
        ratings = self.ratings()
        answered = dict(self._db.execute("SELECT page, count(*) FROM submissions WHERE NOT broken GROUP BY page"))
        raters = self._db.execute(
            "SELECT r.id, r.stage, r.language, count(d.page), avg(d.seconds), "
            "(SELECT count(*) FROM sequences s WHERE s.rater = r.id) FROM raters r "
            "LEFT JOIN submissions d ON d.rater = r.id AND NOT d.broken GROUP BY r.id ORDER BY r.joined"
        ).fetchall()
        left_out = self.exclusions()
        return {
            "title": self.study.title,
            "task": self.study.task,
            "hash": self.study.hash,
            "wanted": self.study.protocol.raters_per_page,
            "stages": stages,
            "withdrawn": withdrawn,
            "full": sequences.is_full(self.study, ratings),
            "pages": [
                {
                    "page": page.id,
                    "kind": self._called(page),
                    "answered": answered.get(page.id, 0),
                    "counted": ratings.get(page.id, 0),
                    "broken": self._broken(page),
                }
                for page in self.study.pages
                if page.kind not in (PageKind.LEVEL, PageKind.HEADPHONES)
            ],
            "raters": [
                {
                    "rater": rater,
                    "stage": stage,
                    "language": language,
                    "answered": count,
                    "of": of,
                    "seconds_a_page": seconds,
                    "excluded": left_out.get(rater, {}),
                }
                for rater, stage, language, count, seconds, of in raters
            ],
        }

    def _called(self, page: Page) -> str:
        if page.repeats:
            return "repeated"
        if page.kind is PageKind.TRAINING:
            return "training"
        return "control" if self.study.is_negative(page) else "results"

    def checkpoint(self) -> None:
        """Move all committed changes into the database's file, so that no file contains deleted data any more.

        Any thread may do this: it has a connection of its own.
        """
        with contextlib.closing(sqlite3.connect(self.path)) as apart, contextlib.suppress(sqlite3.Error):
            apart.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # if a transaction is in the way, the next one does it

    def backup(self, path: Path) -> None:
        """Copy the database while it is in use; the copy gets its name when it is whole.

        Any thread may do this; one after the other, because all write the same file.

        Raises
        ------
        NotSaved
            If the copy cannot be written, or would replace answers that the database lacks.
        """
        with self._copying:
            try:
                backups.copy(self.study, self.path, path)
            except StudyError as error:
                raise NotSaved(error.problem, error.fix) from error
            except (sqlite3.Error, OSError) as error:
                raise NotSaved(
                    f"the backup {path_text(path)} cannot be written: {error}", "make room on the disk"
                ) from error

    # ------------------------------------------------------------------------------------------------ inside
    def _language(self, language: str) -> str:
        return language if language in self.study.texts else "en"

    def _stage(self, rater: str) -> str:
        row = self._db.execute("SELECT stage FROM raters WHERE id = ?", (rater,)).fetchone()
        if row is None:
            raise Refused("unknown", "there is no such rater, or not any more", 410)
        return str(row[0])

    def _after(self, stage: str) -> str:
        order = ["consent", *(one for one in ("level", "headphones") if self.study.of_kind(PageKind(one))), "pages"]
        return order[order.index(stage) + 1]

    def _enter(self, rater: str, stage: str) -> None:
        if stage == "pages":
            drawn = sequences.draw(self.study, self.ratings(), random.SystemRandom(), whole=self._whole)
            self._db.executemany(
                "INSERT INTO sequences VALUES (?, ?, ?, ?, NULL)",
                [(rater, place, step.page, step.swapped) for place, step in enumerate(drawn)],
            )
        self._db.execute("UPDATE raters SET stage = ? WHERE id = ?", (stage, rater))

    def _add_page(self, rater: str, place: int) -> bool:
        """Add a page of results that the rater does not have yet, in place of a broken one; return whether there is."""
        known = {page for page, _ in self._steps(rater)}
        left = [page for page in self.study.results if page.id not in known and not self._broken(page)]
        if not left:
            return False
        ratings = self.ratings()
        page = min(left, key=lambda one: ratings.get(one.id, 0))
        swapped = random.SystemRandom().random() < 0.5
        self._db.execute("INSERT INTO sequences VALUES (?, ?, ?, ?, NULL)", (rater, place, page.id, swapped))
        return True

    def _possible(self) -> dict[str, int]:
        """Return rater → number of playable pages of results, for raters with a page that could not be played."""
        rows = self._db.execute(
            "SELECT s.rater, s.page, coalesce(d.broken, 0) FROM sequences s "
            "LEFT JOIN submissions d ON d.rater = s.rater AND d.page = s.page "
            "WHERE s.rater IN (SELECT rater FROM submissions WHERE broken)"
        )
        results = {page.id for page in self.study.results}
        found: dict[str, int] = {}
        for rater, page, broken in rows.fetchall():
            found[rater] = found.get(rater, 0) + (page in results and not broken)
        return found

    def _allowed(self, kind: str) -> int:
        protocol = self.study.protocol
        return protocol.headphones_tries if kind == "headphones" else protocol.level_tries

    def _tries(self, rater: str, kind: str) -> int:
        (tries,) = self._db.execute(
            "SELECT count(*) FROM checks WHERE rater = ? AND kind = ?", (rater, kind)
        ).fetchone()
        return int(tries)

    def _steps(self, rater: str) -> list[tuple[str, bool]]:
        rows = self._db.execute("SELECT page, swapped FROM sequences WHERE rater = ? ORDER BY place", (rater,))
        return [(page, bool(swapped)) for page, swapped in rows.fetchall()]

    def _done(self, rater: str) -> set[str]:
        return {page for (page,) in self._db.execute("SELECT page FROM submissions WHERE rater = ?", (rater,))}

    def _require_step(self, rater: str, page: str) -> list[tuple[str, bool]]:
        self._stage(rater)
        steps = self._steps(rater)
        if page not in {one for one, _ in steps}:
            raise Refused("elsewhere", "this page is not one of the rater's", 409)
        return steps

    def _next_samples(self, steps: list[tuple[str, bool]], done: set[str]) -> list[str]:
        following = next((page for page, _ in steps if page not in done), None)
        return [] if following is None else list(self.study.page[following].samples)

    def _broken(self, page: Page) -> bool:
        """Return whether a sound of a page is missing or was changed; a file is read again only if its time changed."""
        for one in page.samples:
            sample = self.study.sample[one]
            try:
                facts = (self.folder / sample.file).stat()
                seen = (facts.st_size, facts.st_mtime_ns)
            except OSError:
                return True
            if self._checked.get(sample.file) != seen:
                if any(changed_files(self.study, self.folder, [sample])):
                    return True
                self._checked[sample.file] = seen
        return False

    def _values(self, page: Page, given: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
        """Yield the values of a submission after checking that it is complete and in range."""
        played = given.get("played")
        must = self.study.protocol.must_play_s - PLAYED_SLACK_S
        if not isinstance(played, dict) or any(_seconds(played.get(one)) < must for one in page.samples):
            raise Refused("unheard", "a sample was not heard for long enough")
        heard = given.get("heard")
        if not isinstance(heard, bool):
            raise Refused("invalid", "whether the vocal was heard before: true or false is needed")
        yield ("", HEARD), int(heard)
        if self.study.asks is PageKind.PREFERENCE:
            preferred = given.get("preferred")
            if not isinstance(preferred, str) or preferred not in (*page.samples, ""):
                raise Refused("invalid", "which sample is preferred: one of the page's, or none, is needed")
            for one in page.samples:
                yield (one, PREFERRED), int(one == preferred)
            return
        ratings = given.get("ratings")
        if not isinstance(ratings, dict) or set(ratings) != set(page.samples):
            raise Refused("invalid", "ratings of the page's samples, and no other, are needed")
        for one in page.samples:
            of = ratings[one]
            if not isinstance(of, dict) or set(of) != set(self.study.questions):
                raise Refused("invalid", f"ratings of {', '.join(self.study.questions)} are needed")
            for question in self.study.questions:
                if not _whole(of[question], LOWEST, HIGHEST):
                    raise Refused("invalid", f"{question}: a whole number from {LOWEST} to {HIGHEST} is needed")
                yield (one, question), of[question]


def _shown(page: Page, swapped: bool) -> list[str]:
    """Return a page's samples in the order in which a rater sees them."""
    return list(reversed(page.samples)) if swapped else list(page.samples)


def _whole(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _seconds(value: object) -> float:
    """Return a number of seconds that a browser sent, 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_S:
        return 0.0
    return float(value)


def fingerprint(secret: bytes, text: str) -> str:
    """Return an identity of a text, such as a worker's name, from which the text cannot be found."""
    return hashlib.blake2b(text.encode(errors="replace"), key=secret[:64], digest_size=16).hexdigest()
