"""Start a server for a study: check the folder, hold its lock, tell the links, and serve until stopped."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashkit.listen.answers import DATABASE, Store
from mashkit.listen.backups import BACKUP, require_usable
from mashkit.listen.links import DAYS, Links, secret_of
from mashkit.listen.server import (
    Options,
    address,
    application,
    listening,
    names_of,
    only_server,
    require_token,
    run,
)
from mashkit.listen.study import load


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    admin_token: str = "",
    public_url: str = "",
    links: int = 0,
    days: float = DAYS,
    backup: Path | None = None,
    dry_run: bool = False,
    tell: Callable[[dict[str, Any]], object] = lambda _: None,
) -> None:
    """Serve a study until the process is told to stop.

    Parameters
    ----------
    folder : Path
        A frozen study.
    host, port : str, int
        Where to listen; port 0 is a free one.
    admin_token : str
        Needed if other machines can reach the server, at ``host`` or by ``public_url``.
    public_url : str
        Beginning of the links, if raters reach the server by another name; requests to any third name are refused.
    links : int
        Number of personal links to make.
    days : float
        How long links are valid.
    backup : Path, optional
        Copy of the answers; by default ``backup.sqlite`` in the study's folder. Of another kind of file, and of answers
        that the database lacks, nothing is replaced.
    dry_run : bool
        Give each visitor all pages, and keep nothing.
    tell : callable
        Called when the server listens: "open_link", "admin", and "links".

    Raises
    ------
    UsageError
        If a needed token is missing or short, or the public URL is none.
    OutputError
        If the backup cannot be written, or is another kind of file.
    MashkitError
        If the study is not as it was frozen, another server has it, the backup has answers that the database lacks, or
        the server cannot listen.
    """
    require_token(host, admin_token, public_url)
    hosts = names_of(host, public_url)
    study = load(folder)
    copy = backup or folder / BACKUP
    with contextlib.ExitStack() as stack:
        own = folder
        if dry_run:
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mashkit-listen-")))
        else:
            stack.enter_context(only_server(folder))
            require_usable(study, own / DATABASE, copy)
        secret = secret_of(own)
        store = Store(study, folder, database=own / DATABASE, whole=dry_run)
        stack.callback(store.close)
        made = stack.enter_context(listening(host, port))
        signer = Links(secret)
        beginning = public_url.rstrip("/") or address(made, host)
        options = Options(
            admin_token=admin_token,
            hosts=hosts,
            public_url=public_url,
            dry_run=dry_run,
            backup=None if dry_run else copy,
        )
        tell(
            {
                "open_link": f"{beginning}/p/{signer.make(open_=True, days=days)}",
                "admin": f"{beginning}/admin",
                "links": [f"{beginning}/p/{signer.make(days=days)}" for _ in range(links)],
            }
        )
        run(application(study, store, signer, options, secret), made)
