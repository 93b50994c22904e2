"""Read the Harmonix Set: beats, downbeats and segments of 912 pop songs. Users must find the audio themselves.

Nieto, McCallum, Davies, Robertson, Stark, Egozy: "The Harmonix Set: Beats, Downbeats, and Functional Segment
Annotations of Western Popular Music", ISMIR 2019; labels at github.com/urinieto/harmonixset, MIT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from mashkit.arguments import named_path
from mashkit.audio.files import probe
from mashkit.catalog.adding import Unusable
from mashkit.catalog.protocols.base import Protocol, label_source
from mashkit.catalog.protocols.labels import Section, read_beats, read_segments, read_table
from mashkit.catalog.protocols.sections import section_excerpts
from mashkit.catalog.scanning import Found
from mashkit.catalog.songs import Song, find_songs, licence_beside
from mashkit.errors import AudioFileError, LabelError, MashkitError, UsageError
from mashkit.paths import is_folder, without_links

BEATS, SEGMENTS, METADATA = "beats_and_downbeats", "segments", "metadata.csv"
INDEX_COLUMNS = ("File", "path")
PART = re.compile(r"(verse|chorus)\d*[a-z]?")
"""Names of segments that are verses and choruses: "verse", "chorus2", "verse1a". The names in this data set are free
text; other names ("prechorus", "instchorus", "quietchorus") are other parts. 5,338 segments match. The paper has 5,310
vocal seeds, so that it seems to use each such segment as one seed."""
AFTER_MUSIC = frozenset({"end", "silence"})


@attrs.frozen(kw_only=True)
class Harmonix(Protocol):
    """The Harmonix Set's labels as published, and recordings of its songs.

    One of the given folders contains the labels (``metadata.csv``, ``beats_and_downbeats``, ``segments``, or a folder
    ``dataset`` with them); the others contain the recordings. A recording has the name of its entry,
    ``0001_12step.mp3``, or an index lists it.

    Parameters
    ----------
    index : str, optional
        CSV file with the columns File (the entry) and path (of the recording, relative to the CSV file's folder).
    length_tolerance_s : float
        Largest difference between the lengths of a recording and of the labelled recording, seconds; 1e9 accepts any.
        The default is ours: of pairs of different songs in the set, 13 % differ by less. Only 0.25 % also have beats
        that agree (:func:`mashkit.catalog.clips.agreement`); of pairs of one tempo, 8 %.
    """

    index: str | None = None
    length_tolerance_s: float = attrs.field(default=10.0, converter=float, validator=attrs.validators.ge(0))

    name = "harmonix"
    summary = "recordings of the Harmonix Set; the clips are verses and choruses"

    def songs(self, paths: Sequence[Path]) -> list[Song | Unusable]:
        """Return the recordings that belong to entries.

        Raises
        ------
        UsageError
            If no folder or several folders contain the labels.
        AudioFileError
            If there is no recording.
        LabelError
            If the metadata or the index cannot be read.
        """
        labels = _labels_among(paths)
        entries = {row["File"]: row for _, row in read_table(labels / METADATA, ("File", "Title", "Artist"))}
        chosen: dict[str, Path] = {}
        indexed = [] if self.index is None else list(_read_index(named_path(self.index)))
        listed = {without_links(path) for _, path, _ in indexed}
        files = Found() if indexed and not _sounds(paths) else find_songs(paths)
        found: Found[Song | Unusable] = Found(notes=files.notes)
        named = [(path.stem, path, None) for path in files if without_links(path) not in listed]
        for entry, path, line in [*indexed, *named]:
            try:
                if entry not in entries:
                    raise _no_entry(entry, path, self.index, line)
                if entry in chosen:
                    raise AudioFileError(
                        path, f"{chosen[entry]} is a recording of {entry} too", "keep only one of the two"
                    )
                found.append(self._song(path, labels, entry, entries[entry]))
                chosen[entry] = path
            except MashkitError as error:
                found.append((path, error))
        return found

    def _song(self, path: Path, labels: Path, entry: str, row: dict[str, str]) -> Song:
        if Path(entry).name != entry:
            raise LabelError(
                labels / METADATA, None, f"{entry!r} is not the name of an entry", "fetch the data set again"
            )
        beats_file, segments_file = (labels / folder / f"{entry}.txt" for folder in (BEATS, SEGMENTS))
        known = read_beats(beats_file, columns=3)
        segments = read_segments(segments_file)
        self._require_length(path, labels, row)
        last = segments[-1]
        ends = last.start if last.label in AFTER_MUSIC else math.inf
        assert known.downbeats is not None  # noqa: S101 — read_beats always returns downbeats
        excerpts = section_excerpts(_verses_and_choruses(segments), known.downbeats, music_ends=ends)
        if not excerpts:
            raise LabelError(segments_file, None, "no verse or chorus is long enough for a clip", "leave this song out")
        identifiers = {"musicbrainz": row.get("MusicBrainz Id") or "", "acoustid": row.get("Acoustid Id") or ""}
        return Song(
            path=path,
            title=f"{row['Artist']} - {row['Title']}",
            licence=licence_beside(path),
            excerpts=tuple(excerpts),
            known=known,
            source={
                "data_set": "Harmonix Set",
                "entry": entry,
                "labels_licence": "MIT",
                **label_source(beats=beats_file, segments=segments_file),
                **{name: value for name, value in identifiers.items() if value},
            },
        )

    def _require_length(self, path: Path, labels: Path, row: dict[str, str]) -> None:
        """Compare the lengths of the recording and of the labelled recording, if both are known."""
        try:
            labelled = float(row.get("Duration") or math.nan)
        except ValueError as error:
            raise LabelError(
                labels / METADATA, None, f"the duration of {row['File']} is {row['Duration']!r}", "write it in seconds"
            ) from error
        try:
            duration = probe(path).duration
        except AudioFileError:
            return  # a plugin may be able to decode it; otherwise the error comes when the song is added
        if abs(duration - labelled) > self.length_tolerance_s:
            raise AudioFileError(
                path,
                f"lasts {duration:.1f} s, but the labelled recording lasts {labelled:.1f} s: "
                "the labels do not fit the audio",
                "use the labelled recording, or give a larger length_tolerance_s if only the ends differ",
            )


def _labels_among(paths: Sequence[Path]) -> Path:
    """Return the folder with the labels; raises UsageError if there is none or more than one."""
    folders = [folder for path in paths for folder in (path, path / "dataset") if is_folder(folder / BEATS)]
    if len(folders) != 1:
        raise UsageError(
            f"{len(folders)} of the folders named hold the Harmonix Set's labels"
            + "".join(f": {folder}" for folder in folders),
            "name one clone of github.com/urinieto/harmonixset, and the folders of the recordings",
        )
    return folders[0]


def _sounds(paths: Sequence[Path]) -> bool:
    """Return whether the folders contain any sound file; with an index they need not."""
    try:
        return bool(find_songs(paths))
    except AudioFileError:
        return False


def _read_index(index: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield the entry, recording and line number of each row."""
    for line, row in read_table(index, INDEX_COLUMNS):
        yield row["File"], index.parent / row["path"], line


def _no_entry(entry: str, path: Path, index: str | None, line: int | None) -> MashkitError:
    if index is not None and line is not None:
        problem = f"{entry!r} is not an entry of the Harmonix Set"
        return LabelError(index, line, problem, "use a name from its metadata.csv")
    return AudioFileError(
        path,
        "belongs to no entry of the Harmonix Set",
        f"name it like its entry (0001_12step{path.suffix}), or list it in an index: -O protocol.index=FILE.csv",
    )


def _verses_and_choruses(segments: Sequence[Section]) -> Iterator[Section]:
    for segment in segments:
        part = PART.fullmatch(segment.label)
        if part:
            yield attrs.evolve(segment, label=part[1])
