"""Read and write tempo and key in the tags of sound files, with mutagen (`pip install 'mashkit[tags]'`).

Names of the fields: TBPM and TKEY in ID3 (mp3, WAV, AIFF; ID3v2.4, section 4.2.3), BPM and INITIALKEY in Vorbis
comments (FLAC, Ogg, Opus), which is what DJ software reads. ID3 wants whole BPM, so they are rounded there. A tag of
ID3v2.3 stays one, because ID3v2.4 lacks some of its fields and old players cannot read it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mashkit.atomicfile import replacing
from mashkit.audio.files import probe
from mashkit.errors import AudioFileError, ComponentUnavailable

ID3_FRAMES: Mapping[str, str] = {"bpm": "TBPM", "key": "TKEY"}
COMMENTS: Mapping[str, str] = {"bpm": "BPM", "key": "INITIALKEY"}
_OLD_ID3 = ((2, 2), (2, 3))
"""Versions of ID3 that are written as ID3v2.3; all others are written as ID3v2.4. Mutagen cannot write ID3v2.2."""


def require_mutagen() -> Any:
    """Return the library; raises ComponentUnavailable if it is not installed."""
    try:
        import mutagen
        import mutagen.id3
    except ImportError as error:
        raise ComponentUnavailable(
            "mutagen, which reads and writes tags, is not installed", "pip install 'mashkit[tags]'"
        ) from error
    return mutagen


def read_tags(path: Path) -> dict[str, str]:
    """Return the tags "bpm" and "key" of a file, those that it has.

    A tag that says nothing counts as missing: blank text, and a BPM that is 0 or no number, which some programs write
    where they know none. Of several values the first that says something is returned.

    Raises
    ------
    AudioFileError
        If the file cannot be read, or has a format whose tags are not known here.
    """
    opened = _open(path)
    tags = opened.tags
    if tags is None:
        return {}
    if _has_id3(opened):
        found = {name: tags[frame].text for name, frame in ID3_FRAMES.items() if frame in tags}
    else:
        found = {name: tags[comment] for name, comment in COMMENTS.items() if comment in tags}
    said = {name: [text for text in map(str, values) if _says(name, text)] for name, values in found.items()}
    return {name: texts[0] for name, texts in said.items() if texts}


def _says(name: str, text: str) -> bool:
    """Return whether the text of a tag says something."""
    if name != "bpm":
        return bool(text.strip())
    try:
        bpm = float(text.replace(",", "."))  # a decimal comma is a number, too
    except ValueError:
        return False
    return math.isfinite(bpm) and bpm > 0


def as_written(path: Path, *, bpm: float | None, key: str | None) -> dict[str, str]:
    """Return the tags as :func:`write_tags` would write them; None is left out.

    Parameters
    ----------
    path : Path
        Its format decides how exactly BPM are written: whole in ID3, to a hundredth in Vorbis comments.
    bpm : float, optional
    key : str, optional
    """
    whole = _has_id3(_open(path))
    values = {"bpm": None if bpm is None else f"{bpm:.0f}" if whole else f"{bpm:.2f}", "key": key}
    return {name: value for name, value in values.items() if value is not None}


def write_tags(path: Path, values: Mapping[str, str]) -> None:
    """Write tags into a file; the others, and the sound, stay as they are.

    A copy is changed, read again and compared; only then it takes the file's place. So the file is never half-written.

    Raises
    ------
    AudioFileError
        If the file cannot be read, or the copy has other sound or other tags than it should have.
    OutputError
        If the folder cannot be written to.
    """
    target = path.resolve()  # a link stays a link
    mode = target.stat().st_mode & 0o7777
    with replacing(target) as copy:
        shutil.copyfile(target, copy)
        _change(copy, values)
        due = {**read_tags(target), **values}
        kept = _others(copy, values) == _others(target, values)
        if read_tags(copy) != due or not kept or probe(copy) != probe(target):
            raise AudioFileError(path, "its tags could not be written: the copy differs", "the file is as it was")
    target.chmod(mode)


def _change(path: Path, values: Mapping[str, str]) -> None:
    mutagen = require_mutagen()
    opened = _open(path)
    try:
        if opened.tags is None:
            opened.add_tags()
        for name, value in values.items():
            if _has_id3(opened):
                frame = ID3_FRAMES[name]
                opened.tags.setall(frame, [getattr(mutagen.id3, frame)(encoding=3, text=[value])])
            else:
                opened.tags[COMMENTS[name]] = [value]
        if _has_id3(opened):
            # Mutagen would join several values of a field of ID3v2.3 with a slash.
            opened.save(v2_version=3 if opened.tags.version[:2] in _OLD_ID3 else 4, v23_sep=None)
        else:
            opened.save()
    except mutagen.MutagenError as error:
        raise AudioFileError(path, f"its tags cannot be written: {error}", "the file is as it was") from error


def _others(path: Path, changed: Iterable[str]) -> list[str]:
    """Return all tags of a file but those that are changed, in a form in which they can be compared."""
    opened = _open(path)
    if opened.tags is None:
        return []
    if _has_id3(opened):
        frames = [frame for frame in opened.tags.values() if frame.FrameID not in {ID3_FRAMES[one] for one in changed}]
        return sorted(map(repr, [*frames, *opened.tags.unknown_frames]))
    comments = {COMMENTS[one] for one in changed}
    return sorted(repr(comment) for comment in opened.tags if comment[0].upper() not in comments)


def _open(path: Path) -> Any:
    mutagen = require_mutagen()
    try:
        opened = mutagen.File(path)
        if opened is not None and opened.tags is not None and _has_id3(opened):
            # Without this, mutagen turns the fields of ID3v2.3 into those of ID3v2.4, and drops what has no such field.
            opened.tags = type(opened.tags)(path, translate=False)
    except mutagen.MutagenError as error:
        raise AudioFileError(path, f"its tags cannot be read: {error}", "check that it is a sound file") from error
    if opened is None or not (_has_id3(opened) or _has_comments(opened)):
        raise AudioFileError(path, "has tags of an unknown kind", "use mp3, WAV, AIFF, FLAC, Ogg or Opus")
    return opened


def _has_id3(opened: Any) -> bool:
    from mutagen.aiff import AIFF
    from mutagen.mp3 import MP3
    from mutagen.wave import WAVE

    return isinstance(opened, (AIFF, MP3, WAVE))


def _has_comments(opened: Any) -> bool:
    from mutagen.flac import FLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    return isinstance(opened, (FLAC, OggOpus, OggVorbis))
