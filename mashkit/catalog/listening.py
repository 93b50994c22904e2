"""Before songs are separated they are listened to: those that are another's recording are passed over.

Listening is decoding and a print (:mod:`mashkit.soundprint`): a second or two a song, beside the minute that separating
takes. What songs sound like is kept, so each is listened to once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import Heard, SongFacts, excerpts_of
from mashkit.catalog.recordings import Candidate, Match, Recordings, SameRecording
from mashkit.catalog.songs import Song, bytes_digest, stat_digest
from mashkit.errors import MashkitError


@attrs.frozen
class PassedOver:
    """A song that is not used.

    Parameters
    ----------
    match : Match
    used : Path
        Of the song whose recording it is.
    """

    match: Match
    used: Path


class Listening:
    """Which songs of a run have to be listened to, and which are not used because of what was heard.

    Parameters
    ----------
    database : MashupDB
        Keeps what is heard.
    songs : sequence of Song
        Those that are to be added.
    policy : ExcerptPolicy
        A song that gives no clip is no song.
    protocol : str
    choice : "once" or "separate", optional
        What the user said of songs that are one recording; by default what was said before, else "once".
    among_given : bool
        Compare songs with each other only, not with those of the database.
    tell : callable
        Hears of (song's path, how many are done, of how many).

    Attributes
    ----------
    digests : dict of Path to (str, str)
        Of the songs whose files could be read.
    facts : dict of Path to SongFacts
        Of the songs that were listened to in this run.
    errors : dict of Path to MashkitError
        Of the songs that cannot be used.
    notes : list of str
    """

    def __init__(
        self,
        database: MashupDB,
        songs: Sequence[Song],
        *,
        policy: ExcerptPolicy,
        protocol: str,
        choice: SameRecording | None,
        among_given: bool,
        tell: Callable[[Path, int, int], object] = lambda *_: None,
    ) -> None:
        self.digests: dict[Path, tuple[str, str]] = {}
        self.facts: dict[Path, SongFacts] = {}
        self.errors: dict[Path, MashkitError] = {}
        self.notes: list[str] = []
        self._database = database
        self._songs = {song.path: song for song in songs}
        self._policy = policy
        self._protocol = protocol
        self._choice = choice
        self._among_given = among_given
        self._tell = tell
        self._sounds: dict[Path, str] = {}  # path → sha256 of the songs that were given
        self._new: list[str] = []  # songs heard in this run
        self._done, self._total = 0, len(songs)
        self._waiting: deque[tuple[Song, str | None]] = deque()  # in the order in which they are stored
        self._outcomes: dict[Path, Heard | MashkitError] = {}

    def hear(self, song: Song, outcome: Heard | MashkitError) -> None:
        """Take what came of listening to a song that :meth:`ask` gave."""
        self._outcomes[song.path] = outcome

    def ask(self) -> Iterator[Song | None]:
        """Yield the songs to be listened to; None while others must be heard first."""
        if self._among_given and (self._choice == "separate" or len(self._songs) < 2):
            return  # there is nothing to compare with
        for song in self._songs.values():
            try:
                known = self._known(song)
            except MashkitError:
                self._done += 1
                continue  # that is said where its turn comes
            if known is not None and self._database.has_print(known):
                self._sounds[song.path] = known
                self._done += 1
                continue
            self._waiting.append((song, None))
            yield song
            self._store_ready()
        if not self._among_given:
            yield from self._those_of_before()
        while self._waiting:
            if self._waiting[0][0].path not in self._outcomes:
                yield None
            self._store_ready()

    def _known(self, song: Song) -> str | None:
        digests = self.digests[song.path] = (stat_digest(song), bytes_digest(song))
        return next((one for one in map(self._database.song_of_file, digests) if one is not None), None)

    def _those_of_before(self) -> Iterator[Song]:
        """Yield the songs that were added before anybody listened."""
        gone = []
        for sha256 in self._database.unheard():
            row = self._database.song(sha256)
            if row is None or row.song.path in self._songs:
                continue
            if not all(file.exists() for file in row.song.files):
                gone.append(row.song.path)
                continue
            self._waiting.append((row.song, sha256))
            self._total += 1
            yield row.song
            self._store_ready()
        if gone:
            self.notes.append(
                f"{len(gone)} songs of the database, {gone[0]} first, are no longer where they were: whether others "
                "are the same recordings is not known"
            )

    def _store_ready(self) -> None:
        """Store what was heard, in the order of the songs, whichever ended first."""
        while self._waiting and self._waiting[0][0].path in self._outcomes:
            song, sha256 = self._waiting.popleft()
            outcome = self._outcomes.pop(song.path)
            if sha256 is None:
                self._store_given(song, outcome)
            elif isinstance(outcome, Heard) and outcome.facts.sha256 == sha256:  # else its file has changed since
                with self._database.transaction() as cursor:
                    self._database.store_print(cursor, sha256, outcome.sound)
                self._new.append(sha256)
            self._done += 1
            if song.path not in self.errors:  # what failed is said where its turn comes
                self._tell(song.path, self._done, self._total)

    def _store_given(self, song: Song, outcome: Heard | MashkitError) -> None:
        try:
            if isinstance(outcome, MashkitError):
                raise outcome
            excerpts_of(song, outcome.facts, self._policy)
        except MashkitError as error:
            self.errors[song.path] = error
            return
        sha256 = outcome.facts.sha256
        with self._database.transaction() as cursor:
            if self._database.song(sha256) is None:
                self._database.store_facts(cursor, song, outcome.facts, self._protocol, self.digests[song.path])
            else:
                self._database.store_files(cursor, sha256, self.digests[song.path])
            self._database.store_print(cursor, sha256, outcome.sound)
        self.facts[song.path] = outcome.facts
        self._sounds[song.path] = sha256
        self._new.append(sha256)

    # --------------------------------------------------------------------------------------------------- choosing
    def passed_over(self) -> dict[Path, PassedOver]:
        """Return the songs that are not used, and store what a database is to remember of that."""
        order = [path for path in self._songs if path in self._sounds]
        given = list(dict.fromkeys(self._sounds[path] for path in order))
        if not self._among_given and self._choice is not None:
            with self._database.transaction() as cursor:
                for sha256 in given:
                    if self._choice == "separate":
                        self._database.store_recording(cursor, sha256, sha256)
                    elif self._database.recording_of(sha256) == sha256:
                        self._database.store_recording(cursor, sha256, None)
                        self._new.append(sha256)  # to be compared, as if it were heard now
        if self._choice == "separate":
            return {}
        before = [sha256 for sha256 in self._new if sha256 not in given]
        candidates = [
            self._candidate(sha256) for sha256 in (*given, *before) if self._among_given or self._is_open(sha256)
        ]
        if not candidates:
            return {}
        present = [] if self._among_given else self._database.words()
        matches = Recordings(present, self._database.print_of).matches(candidates)
        if not self._among_given:
            matches = self._stored(matches, [one.song for one in candidates])
        found = {match.song: match for match in matches}
        paths = {sha256: path for path, sha256 in reversed(self._sounds.items())}
        return {
            path: PassedOver(match, paths.get(match.of) or self._path(match.of))
            for path in order
            if (match := found.get(self._sounds[path])) is not None
        }

    def _is_open(self, sha256: str) -> bool:
        """Tell whether it is to be found out whose recording a song is."""
        if self._database.recording_of(sha256) == sha256:
            return False  # a person said so
        return sha256 in self._new or not self._database.has_clips(sha256)

    def _candidate(self, sha256: str) -> Candidate:
        row = self._database.song(sha256)
        assert row is not None  # noqa: S101 — it was stored when it was heard
        return Candidate(
            sha256,
            self._database.print_of(sha256),
            bool(row.song.stems),
            row.facts.sample_rate,
            row.facts.channels,
        )

    def _path(self, sha256: str) -> Path:
        row = self._database.song(sha256)
        assert row is not None  # noqa: S101 — as above
        return row.song.path

    def _stored(self, matches: Sequence[Match], candidates: Sequence[str]) -> list[Match]:
        """Remember whose recordings songs are; return those that are passed over, which have no clips yet."""
        found = {match.song: match for match in matches}
        passed = []
        with self._database.transaction() as cursor:
            for sha256 in candidates:
                match = found.get(sha256)
                other = None if match is None else self._database.recording_of(match.of) or match.of
                self._database.store_recording(cursor, sha256, other)
        for match in matches:
            if self._database.has_clips(match.song):
                this, that = self._path(match.song), self._path(match.of)
                self.notes.append(
                    f"{this} and {that}, both in the database, are the same recording (agreement "
                    f"{match.how.agreement:.2f}): they count as one song"
                )
            else:
                passed.append(match)
        return passed
