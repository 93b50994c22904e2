"""Start an audition: collect the candidates, open the store, print the address, and serve until stopped."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashkit.audition import session as sessions
from mashkit.audition.candidates import Pool, Sources, add_stored
from mashkit.audition.server import DAYS, application
from mashkit.audition.store import Store
from mashkit.errors import MashkitError
from mashkit.listen.links import Links
from mashkit.listen.server import address, is_loopback, listening, run
from mashkit.pipeline import Kit

PORTS_TRIED = 20
"""How many ports after the wanted one are tried if it is taken (ours)."""


def free_port(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, or at the next free one.

    Raises
    ------
    MashkitError
        If the host is not this machine, or none of :data:`PORTS_TRIED` ports is free.
    """
    if not is_loopback(host):
        raise MashkitError(f"{host} is not this machine alone", "an audition is local: leave --host out")
    ports = [0] if port == 0 else range(port, min(port + PORTS_TRIED, 65_536))
    last: MashkitError | None = None
    for one in ports:
        try:
            return listening(host, one)
        except MashkitError as error:
            last = error
    raise MashkitError(f"no port from {port} on is free: {last}", "choose another --port; 0 takes any that is free")


def serve(
    pool: Pool,
    home: Path,
    sources: Sources,
    kit: Callable[[str | None], Kit],
    *,
    port: int,
    folder: Path | None = None,
    title: str = "",
    scorers: tuple[str, ...] = (),
    tell: Callable[[dict[str, Any]], object] = lambda _: None,
) -> None:
    """Serve an audition until the process is told to stop.

    Parameters
    ----------
    pool : Pool
    home : Path
        Folder in which decisions are saved.
    sources : Sources
    kit : callable
        Returns a new kit; with the name of a scorer, one with that scorer.
    port : int
        The port after it is taken if it is not free; 0 is a free one.
    folder : Path, optional
        What `mashkit mash` wrote.
    title : str
    scorers : tuple of str
        Scorers to begin scoring with.
    tell : callable
        Called with "address" when the server listens.

    Raises
    ------
    MashkitError
        If a scorer cannot be used, decisions cannot be saved, or no port is free.
    """
    with contextlib.ExitStack() as stack:
        store = Store(home)
        stack.callback(store.close)
        add_stored(pool, store)
        session = sessions.Session(pool, store, sources, kit, folder=folder, title=title)
        for name in scorers:
            session.scoring.start(name)
        made = stack.enter_context(free_port("127.0.0.1", port))
        links = Links(secrets.token_bytes(32))
        tell({"address": f"{address(made, '127.0.0.1')}/s/{links.make(open_=True, days=DAYS)}"})
        run(application(session, links, scorers=lambda: sessions.scorers(kit(None))), made)
