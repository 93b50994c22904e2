"""Check the one file that a command writes, before its work. The import is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mashkit.paths import is_file, without_links

if TYPE_CHECKING:
    from mashkit.products import Keys


def require_output(path: Path | None, expected: str | Keys, *read: Path, dry_run: bool = False) -> None:
    """Check the file, if any, to which a command writes, so that an error comes before the work and not after.

    Parameters
    ----------
    path : Path, optional
        The file of ``-o``.
    expected : str or Keys
        What the command writes, by which its earlier output is recognized: see
        :func:`mashkit.products.require_replaceable_text`. Any other file is the user's.
    read : Path
        Files that the command reads, so that none of them is replaced by what it writes.
    dry_run : bool
        Whether nothing may be made, not even the file's folder.

    Raises
    ------
    OutputError
        If the file cannot be written, is one of the files that are read, is a device or a pipe, is not an earlier
        output of the same kind, or would be read as the labels of a song that lies beside it.
    """
    from mashkit.atomicfile import require_possible_folder, require_writable_folder
    from mashkit.errors import OutputError
    from mashkit.products import require_replaceable_text

    if path is None:
        return
    if without_links(path) in map(without_links, read):
        raise OutputError(f"cannot write {path}: the command reads it", "name another file with -o")
    require_replaceable_text(path, expected)
    song = _labelled_by(path)
    if song is not None:
        raise OutputError(
            f"cannot write {path}: it would be read as the labels of {song.name}", "name another file with -o"
        )
    if dry_run:
        require_possible_folder(path.parent)
    else:
        require_writable_folder(path.parent)


def _labelled_by(path: Path) -> Path | None:
    """Return the song whose labels a new file would be taken for; None for a file that a command wrote before."""
    from mashkit.catalog.scanning import is_sound

    if path.suffix != ".json" or not path.parent.is_dir() or (is_file(path) and path.stat().st_size):
        return None
    try:
        return next((one for one in sorted(path.parent.iterdir()) if one.stem == path.stem and is_sound(one)), None)
    except OSError:  # a folder that may not be listed; whether it can be written is another question
        return None
