"""Serve an audition: one page for one person, on this machine only.

A session begins at an address with a signed token, which gives the browser a cookie; without it only the page's own
files are served. No request goes to another server, and the page works offline.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mashkit.audition import export
from mashkit.audition.session import Session
from mashkit.errors import MashkitError
from mashkit.listen.answers import NotSaved, Refused
from mashkit.listen.links import Links
from mashkit.listen.server import LOOPBACK_NAMES, Guard, body_of, not_found, refusal, refused, static_of, text_of

DAYS = 30.0
"""How long the address of a session is valid, days (ours): longer than any server of an audition runs."""
LONGEST_POSITION_S = 86_400.0
"""Largest position that is a position at all, seconds."""

Handler = Callable[[Request], Awaitable[Response]]


def application(session: Session, links: Links, *, scorers: Callable[[], Any]) -> Starlette:
    """Return the application that serves a session; it closes the session when it ends.

    Parameters
    ----------
    session : Session
    links : Links
        Signs the address and the cookie.
    scorers : callable
        Returns the names and summaries of the scorers that are installed.
    """
    served = _Served(session, links, scorers)
    routes = [
        Route("/", served.front),
        Route("/s/{token}", served.enter),
        *(Route(f"/api/{name}", served.asked(handler)) for name, handler in served.questions.items()),
        *(Route(f"/api/{name}", served.told(handler), methods=["POST"]) for name, handler in served.orders.items()),
        Route("/sound/{plan}/{role}", served.guarded(served.sound)),
        Route("/export/{name}", served.guarded(served.exported)),
        Mount("/static", StaticFiles(directory=str(static_of("mashkit.audition")))),
        Mount("/listen", StaticFiles(directory=str(static_of("mashkit.listen")))),
    ]
    app = Starlette(
        routes=routes,
        lifespan=served.lifespan,
        exception_handlers={
            Refused: refused,
            NotSaved: _not_saved,
            MashkitError: _failed,
            404: not_found,
            405: not_found,
        },
    )
    app.add_middleware(Guard, hosts=LOOPBACK_NAMES)
    return app


async def _not_saved(_: Request, error: Exception) -> Response:
    return JSONResponse({"reason": "unsaved", "problem": str(error)}, 503)  # the reader is the owner of the disk


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"reason": "failed", "problem": str(error)}, 500)


class _Served:
    """The handlers of the application."""

    def __init__(self, session: Session, links: Links, scorers: Callable[[], Any]) -> None:
        self._session, self._links, self._scorers = session, links, scorers
        # Cookies are shared by all ports of a host: each server has one of its own.
        self._cookie = f"audition-{secrets.token_hex(4)}"
        self.questions: dict[str, Callable[[Request], Any]] = {
            "list": lambda request: session.listing(),
            "pulse": lambda request: session.pulse(),
            "status": lambda request: session.status(),
            "scorers": lambda request: scorers(),
            "candidate": lambda request: session.opened(session.candidate(request.query_params.get("plan"))),
        }
        self.orders: dict[str, Callable[[dict[str, Any]], Any]] = {
            "change": lambda given: session.shown(session.change(given.get("plan"), given.get("changes"))),
            "backings": lambda given: [session.row(one) for one in session.backings(given.get("plan"))],
            "decide": self._decide,
            "undo": lambda given: {"plan": session.store.undo(_operation(given)), **session.status()},
            "redo": lambda given: {"plan": session.store.redo(_operation(given)), **session.status()},
            "score": self._score,
        }

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Close the session at the end."""
        try:
            yield
        finally:
            await asyncio.to_thread(self._session.close)

    # -------------------------------------------------------------------------------------------------- entering
    async def front(self, _: Request) -> Response:
        """Return the page; without a cookie all it can do is to say so."""
        return FileResponse(static_of("mashkit.audition") / "index.html", headers={"cache-control": "no-cache"})

    async def enter(self, request: Request) -> Response:
        """Begin a session: give a cookie, and lead to the page without the token in its address."""
        try:
            self._links.read(request.path_params["token"])
        except Refused:
            return RedirectResponse("/?problem=link", 303)
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, self._links.cookie("session", "owner"), httponly=True, samesite="strict")
        return response

    def guarded(self, handler: Handler) -> Handler:
        """Return the handler for those who have the session's cookie."""

        async def endpoint(request: Request) -> Response:
            if self._links.value("session", request.cookies.get(self._cookie)) is None:
                return refusal(Refused("no-link", "open the address that mashkit audition printed", 401))
            return await handler(request)

        return endpoint

    def asked(self, handler: Callable[[Request], Any]) -> Handler:
        """Return the endpoint of a question."""

        async def endpoint(request: Request) -> Response:
            return JSONResponse(await asyncio.to_thread(handler, request))

        return self.guarded(endpoint)

    def told(self, handler: Callable[[dict[str, Any]], Any]) -> Handler:
        """Return the endpoint of an order."""

        async def endpoint(request: Request) -> Response:
            return JSONResponse(await asyncio.to_thread(handler, await body_of(request)))

        return self.guarded(endpoint)

    # -------------------------------------------------------------------------------------------------- working
    def _decide(self, given: dict[str, Any]) -> dict[str, Any]:
        change = given.get("change")
        if not isinstance(change, dict):
            raise Refused("invalid", "change: an object is needed")
        self._session.decide(_operation(given), self._session.candidate(given.get("plan")), change)
        return self._session.status()

    def _score(self, given: dict[str, Any]) -> Any:
        self._session.scoring.start(text_of(given, "scorer"))
        return self._session.scoring.jobs()

    async def sound(self, request: Request) -> Response:
        """Return a layer: the rendered file, or WAV of the whole or of the part around a position."""
        session = self._session
        candidate, role = session.candidate(request.path_params["plan"]), request.path_params["role"]
        file = await asyncio.to_thread(session.stem_file, candidate, role)
        if file is not None:
            return FileResponse(file, media_type="audio/flac", headers={"cache-control": "no-store"})
        at = _position(request.query_params.get("at"))
        data, span = await asyncio.to_thread(session.sound, candidate, role, at)
        headers = {"cache-control": "no-store", "x-start": f"{span.start:.6f}", "x-end": f"{span.end:.6f}"}
        return Response(data, media_type="audio/wav", headers=headers)

    async def exported(self, request: Request) -> Response:
        """Return a file of what was decided."""
        name = request.path_params["name"]
        make = export.FILES.get(name)
        if make is None:
            raise Refused("missing", "there is no such file", 404)
        text = await asyncio.to_thread(partial(make, self._session.store, self._session.scores()))
        kind = "text/csv" if name.endswith(".csv") else "application/x-ndjson"
        return Response(
            text, media_type=f"{kind}; charset=utf-8", headers={"content-disposition": f'attachment; filename="{name}"'}
        )


def _operation(given: dict[str, Any]) -> str:
    operation = text_of(given, "operation")
    if not operation:
        raise Refused("invalid", "operation: an id is needed")
    return operation


def _position(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = float(text)
    except ValueError:
        at = -1.0
    if not 0 <= at <= LONGEST_POSITION_S:  # false for NaN, too
        raise Refused("invalid", "at: seconds are needed")
    return at
