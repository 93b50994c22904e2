"""Find songs that are the same recording as another song before separation, and leave them out.

Each song is decoded and its soundprint computed (:mod:`mashkit.features.soundprint`). This takes a second or two, while
separating takes a minute. The database stores the soundprint, so that each song is decoded for it only once.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import SongFacts, Soundprinted, excerpts_of
from mashkit.catalog.recordings import Candidate, Match, Recordings, SameRecording
from mashkit.catalog.songs import Song, bytes_digest
from mashkit.errors import MashkitError
from mashkit.paths import absolute, exists


@attrs.frozen
class PassedOver:
    """A song that is not used.

    Parameters
    ----------
    match : Match
    used : Path
        Path of the song of the same recording that is used instead.
    """

    match: Match
    used: Path


class SoundprintStage:
    """Chooses the songs of a run whose soundprint is missing, and the songs that are not used as same recordings.

    Parameters
    ----------
    database : MashupDB
        Stores facts and soundprints.
    songs : sequence of Song
        The songs to add.
    policy : ExcerptPolicy
        A song without an excerpt is an error.
    protocol : str
        Name of the dataset layout.
    choice : "once" or "separate", optional
        The user's choice for songs that are the same recording. By default the choice of earlier runs, else "once".
    among_given : bool
        Whether to compare the songs with each other only, and not with the songs of the database.
    tell : callable
        Is called with (song's path, number of songs done, number of all songs).

    Attributes
    ----------
    digests : dict of Path to str
        Digests of the songs whose files could be read.
    facts : dict of Path to SongFacts
        Facts of the songs that were decoded in this run.
    errors : dict of Path to MashkitError
        Errors of the songs that cannot be used.
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
        self.digests: dict[Path, str] = {}
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
        self._sounds: dict[Path, str] = {}  # path → sha256 of each given song
        self._new: dict[str, None] = {}  # sha256 of the songs with a soundprint from this run, in their order
        self._mine: set[str] = set()  # sha256 of the songs that this run has stored
        self._others: dict[str, npt.NDArray[np.uint16]] = {}  # songs of other processes since then, with their words
        self._last_clip = 0  # of those that were compared
        self._done, self._total = 0, len(songs)
        self._waiting: deque[tuple[Song, str | None]] = deque()  # in the order in which the results are stored
        self._outcomes: dict[Path, Soundprinted | MashkitError] = {}

    def take_outcome(self, song: Song, outcome: Soundprinted | MashkitError) -> None:
        """Take the outcome for a song that :meth:`songs_to_decode` yielded."""
        self._outcomes[song.path] = outcome

    def songs_to_decode(self) -> Iterator[Song | None]:
        """Yield the songs to decode; yield None while the outcome of an earlier song is still missing."""
        if self._among_given and (self._choice == "separate" or len(self._songs) < 2):
            return  # there is nothing to compare with
        for song in self._songs.values():
            try:
                known = self._known(song)
            except MashkitError:
                self._done += 1
                continue  # the error comes again, and is reported, when the song is added
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
        digest = self.digests[song.path] = bytes_digest(song)
        return self._database.song_of_file(digest)

    def _those_of_before(self) -> Iterator[Song]:
        """Yield the songs of the database that were added without a soundprint."""
        gone = []
        given = set(map(absolute, self._songs))
        for sha256 in self._database.songs_without_soundprint():
            row = self._database.song(sha256)
            if row is None or absolute(row.song.path) in given:  # an older mashkit stored paths as given
                continue
            if not all(exists(file) for file in row.song.files):
                gone.append(row.song.path)
                continue
            self._waiting.append((row.song, sha256))
            self._total += 1
            yield row.song
            self._store_ready()
        if gone:
            self.notes.append(
                f"{len(gone)} songs of the database, {gone[0]} first, are no longer at their old paths: whether others "
                "are the same recordings is not known"
            )

    def _store_ready(self) -> None:
        """Store the outcomes in the order of the songs, which may differ from the order in which they arrived."""
        while self._waiting and self._waiting[0][0].path in self._outcomes:
            song, sha256 = self._waiting.popleft()
            outcome = self._outcomes.pop(song.path)
            if sha256 is None:
                self._store_given(song, outcome)
            elif isinstance(outcome, Soundprinted) and outcome.facts.sha256 == sha256:  # else the file has changed
                with self._database.transaction() as cursor:
                    self._database.store_print(cursor, sha256, outcome.sound)
                self._new[sha256] = None
            self._done += 1
            if song.path not in self.errors:  # an error is reported later, when the song is added
                self._tell(song.path, self._done, self._total)

    def _store_given(self, song: Song, outcome: Soundprinted | MashkitError) -> None:
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
                self._database.store_file(cursor, sha256, self.digests[song.path])
            self._database.store_print(cursor, sha256, outcome.sound)
        self.facts[song.path] = outcome.facts
        self._sounds[song.path] = sha256
        self._new[sha256] = None

    # --------------------------------------------------------------------------------------------------- choosing
    def passed_over(self) -> dict[Path, PassedOver]:
        """Return the songs that are not used, and store the same recordings in the database."""
        self._last_clip = self._database.last_clip()
        order = [path for path in self._songs if path in self._sounds]
        given = dict.fromkeys(self._sounds[path] for path in order)
        if not self._among_given and self._choice is not None:
            with self._database.transaction() as cursor:
                for sha256 in given:
                    if self._choice == "separate":
                        self._database.store_recording(cursor, sha256, sha256)
                    elif self._database.recording_of(sha256) == sha256:
                        self._database.store_recording(cursor, sha256, None)
                        self._new[sha256] = None  # compare it again, as a new song
        if self._choice == "separate":
            return {}
        before = [sha256 for sha256 in self._new if sha256 not in given]
        open_ = [sha256 for sha256 in (*given, *before) if self._among_given or self._is_open(sha256)]
        return self._choose(order, open_, [] if self._among_given else self._database.words())

    def passed_over_again(self, paths: Collection[Path], failed: Collection[Path]) -> dict[Path, PassedOver]:
        """Return which of these songs are still not used, after the songs that were used instead of them have failed.

        Parameters
        ----------
        paths : collection of Path
            Songs that :meth:`passed_over` returned.
        failed : collection of Path
            All songs of the run that have failed.
        """
        order = [path for path in self._sounds if path in paths]
        present = self._database.words()
        if self._among_given:
            used = {sha256 for path, sha256 in self._sounds.items() if path not in failed}
            present = [(sha256, words) for sha256, words in present if sha256 in used]
        return self._choose(order, list(dict.fromkeys(self._sounds[path] for path in order)), present)

    def meanwhile(self, cursor: sqlite3.Connection, sha256: str) -> PassedOver | None:
        """Return what is used instead of a song if another process has stored the same recording since the choice.

        It is called in the transaction that would store the song's clips, so that of two processes the second sees what
        the first has stored.
        """
        self._mine.add(sha256)
        if self._among_given or self._choice == "separate" or not self._database.has_print(sha256):
            return None
        if self._database.has_clips(sha256) or not self._is_open(sha256):
            return None
        new = self._database.words(after=self._last_clip)
        self._last_clip = self._database.last_clip()
        self._others.update((song, words) for song, words in new if song not in self._mine)
        if not self._others:
            return None
        matches = Recordings(list(self._others.items()), self._database.print_of).matches([self._candidate(sha256)])
        if not matches:
            return None
        other = self._database.recording_of(matches[0].of) or matches[0].of
        self._database.store_recording(cursor, sha256, other)
        return PassedOver(matches[0], self._path(matches[0].of))

    def _choose(
        self, order: Sequence[Path], compared: Sequence[str], present: Sequence[tuple[str, npt.NDArray[np.uint16]]]
    ) -> dict[Path, PassedOver]:
        """Return which songs are not used, and store in the database what was found about the compared songs."""
        if not compared:
            return {}
        matches = Recordings(present, self._database.print_of).matches([self._candidate(one) for one in compared])
        if not self._among_given:
            matches = self._stored(matches, compared)
        found = {match.song: match for match in matches}
        paths = {sha256: path for path, sha256 in reversed(self._sounds.items())}
        return {
            path: PassedOver(match, paths.get(match.of) or self._path(match.of))
            for path in order
            if (match := found.get(self._sounds[path])) is not None
        }

    def _is_open(self, sha256: str) -> bool:
        """Return whether a song is to be compared with the others."""
        if self._database.recording_of(sha256) == sha256:
            return False  # a person chose to use it as a separate song
        return sha256 in self._new or not self._database.has_clips(sha256)

    def _candidate(self, sha256: str) -> Candidate:
        row = self._database.song(sha256)
        assert row is not None  # noqa: S101 — the song was stored together with its soundprint
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
        """Store which songs are the same recording; return the matches of songs without clips, which are not used."""
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
