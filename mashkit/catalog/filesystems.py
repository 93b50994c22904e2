"""Find the type of the file system on which a folder lies."""

from __future__ import annotations

import os
import re
from pathlib import Path

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.ceph", "fuse.gcsfuse",
})  # fmt: skip
"""File systems to which several machines may write. SQLite's locks and shared memory do not work reliably there
(https://www.sqlite.org/wal.html, https://www.sqlite.org/howtocorrupt.html)."""
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
"""How the file of mounts writes blanks, tabs, line feeds and backslashes: a blank as \\040."""


def network_file_system(folder: Path, mounts: Path | None = None) -> str:
    """Return the type of the network file system on which a folder lies; "" if it is local or unknown.

    Parameters
    ----------
    folder : Path
        An existing folder.
    mounts : Path, optional
        Linux's file of mounts (proc_pid_mountinfo(5)).
    """
    try:
        lines = (mounts or MOUNTS).read_bytes().split(b"\n")
    except OSError:
        return ""
    wanted = folder.resolve()
    nearest, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields = before.split(b" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), fields[4])))
        # If several file systems are mounted on one folder, the last hides the earlier ones.
        if wanted.is_relative_to(point) and len(point.parts) >= nearest:
            nearest, kind = len(point.parts), os.fsdecode(after.split(b" ")[0])
    return kind if kind in NETWORK else ""
