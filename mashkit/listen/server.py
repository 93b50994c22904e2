"""Serve a study: pages and sounds for raters, and a page for the one who runs it.

What a rater gets contains no system's name, and the pages ask no other server for anything. Nothing of a request is
logged, so no address is kept; addresses are in memory only, to limit how often one may ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import importlib.resources
import ipaddress
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mashkit.errors import MashkitError, UsageError
from mashkit.listen.answers import NotSaved, Refused, Store, fingerprint
from mashkit.listen.links import DAYS, Links
from mashkit.listen.study import Study, StudyError, sound_file
from mashkit.listen.writer import Writer
from mashkit.locks import held
from mashkit.paths import path_text

BODY_BYTES = 65_536
"""Longest body of a request (ours): answers and log of a page have some kilobytes."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
SHORTEST_TOKEN = 16
"""Fewest characters of an admin token (ours)."""
BACKUP_MINUTES = 10.0
LOCK_FILE = "server.lock"
ADMIN_HOURS = 12.0
MOST_LINKS = 1000
"""Most links that one request of the admin page makes."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-robots-tag": "noindex",
}
"""Headers of every response."""


@attrs.frozen
class Rate:
    """A limit: ``burst`` requests at once, and ``per_second`` in the long run."""

    burst: float
    per_second: float


@attrs.frozen(kw_only=True)
class Options:
    """How a study is served.

    Parameters
    ----------
    admin_token : str
        What the admin page asks for; empty for nothing, which :func:`require_token` allows on this machine only.
    hosts : tuple of str
        Names under which the server may be asked (:func:`names_of`); empty for any.
    public_url : str
        Beginning of the links that raters get, if they reach the server by another name than its own, as through a
        proxy. With https, cookies are sent over https only.
    dry_run : bool
    backup : Path, optional
        Where to copy the answers every :data:`BACKUP_MINUTES`.
    joining, answering, login : Rate
        Limits: first visits by a link and attempts to log in, for each address, and requests of each rater (ours: a lab
        whose computers share an address must be able to start together).
    """

    admin_token: str = ""
    hosts: tuple[str, ...] = ()
    public_url: str = ""
    dry_run: bool = False
    backup: Path | None = None
    joining: Rate = Rate(60, 1)
    answering: Rate = Rate(60, 10)
    login: Rate = Rate(5, 0.1)


class Buckets:
    """Count requests of addresses and raters, in memory only."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: dict[str, tuple[float, float]] = {}

    def require(self, key: str) -> float:
        """Return how many requests are left, at least one; count none.

        Raises
        ------
        Refused
            If there were too many.
        """
        now = time.monotonic()
        left, before = self._left.get(key, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - before) * self._rate.per_second)
        if left < 1:
            raise Refused("busy", "too many requests: wait a moment", 429)
        return left

    def take(self, key: str) -> None:
        """Count a request; errors as of :meth:`require`."""
        left, now = self.require(key), time.monotonic()
        self._left[key] = left - 1, now
        if len(self._left) > 10_000:  # forget those whose bucket has been full again for long
            old = now - self._rate.burst / self._rate.per_second
            self._left = {one: of for one, of in self._left.items() if of[1] > old}


class Guard:
    """Check every request before the application sees it, and add the headers to every response."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        problem = self._problem(scope)
        if problem is not None:
            await problem(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _problem(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self._hosts and name.strip("[]").lower() not in self._hosts:
            return refusal(Refused("host", "this server is not called so", 421))
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("content-type", "").partition(";")[0] != "application/json":
                return refusal(Refused("invalid", "JSON is needed", 415))
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                return refusal(Refused("invalid", "a request of another site", 403))
        return None


def application(study: Study, store: Store, links: Links, options: Options, secret: bytes = b"") -> Starlette:
    """Return the application that serves a study; it uses and closes the store.

    Parameters
    ----------
    study : Study
    store : Store
    links : Links
    options : Options
    secret : bytes
        Key with which names that crowd platforms put into links are made unreadable.
    """
    served = _Served(study, store, links, options, secret)
    static = StaticFiles(directory=str(static_of("mashkit.listen")))
    routes = [
        Route("/", served.front),
        Route("/admin", served.admin),
        Route("/p/{token}", served.enter),
        Route("/texts/{language}.json", served.texts),
        Route("/sound/{sample}.flac", served.sound),
        *(
            Route(f"/api/{name}", served.rater(handler), methods=["GET" if name == "state" else "POST"])
            for name, handler in served.steps.items()
        ),
        Route("/api/admin/login", served.login, methods=["POST"]),
        Route("/api/admin/progress", served.progress),
        Route("/api/admin/links", served.links_made, methods=["POST"]),
        Route("/api/admin/backup", served.backup_made, methods=["POST"]),
        Mount("/static", static),
    ]
    app = Starlette(
        routes=routes,
        lifespan=served.lifespan,
        exception_handlers={Refused: refused, NotSaved: not_saved, 404: not_found, 405: not_found},
    )
    app.add_middleware(Guard, hosts=options.hosts)
    return app


def static_of(package: str) -> Path:
    """Return the folder of a package's page."""
    with importlib.resources.as_file(importlib.resources.files(package) / "static") as folder:
        return folder


def refusal(error: Refused) -> JSONResponse:
    """Return the response that states why a request is refused."""
    return JSONResponse({"reason": error.reason, "problem": error.problem}, error.status)


async def refused(_: Request, error: Exception) -> Response:
    """Answer a request that raised :class:`Refused`."""
    assert isinstance(error, Refused)  # noqa: S101 — registered for this class
    return refusal(error)


async def not_saved(_: Request, error: Exception) -> Response:
    """Answer a request whose change could not be saved."""
    # The error has a path of the server, which is no business of a rater; the admin page shows the disk's state.
    return JSONResponse({"reason": "unsaved", "problem": "the answer could not be saved; it will be sent again"}, 503)


async def not_found(_: Request, error: Exception) -> Response:
    """Answer a request of a path that does not exist."""
    return JSONResponse({"reason": "missing", "problem": "there is nothing here"}, getattr(error, "status_code", 404))


class _Served:
    """The handlers of the application."""

    def __init__(self, study: Study, store: Store, links: Links, options: Options, secret: bytes) -> None:
        self._study, self._store, self._links, self._options = study, store, links, options
        self._secret = secret or secrets.token_bytes(32)
        self._cookie = f"listen-{study.hash[:8]}"
        self._joining, self._answering = Buckets(options.joining), Buckets(options.answering)
        self._logins = Buckets(options.login)
        self._writer: Writer | None = None
        self._backup_problem = ""
        self.steps: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            "state": lambda rater, given: store.state(rater),
            "consent": self._consent,
            "check": self._check,
            "draft": lambda rater, given: store.draft(rater, text_of(given, "page"), given.get("given")),
            "answer": self._answer,
            "withdraw": lambda rater, given: store.withdraw(rater),
        }

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start the thread that writes, and the backups."""
        self._writer = Writer(self._store)
        backups = asyncio.create_task(self._backups())
        try:
            yield
        finally:
            backups.cancel()
            await asyncio.wait([backups])  # raises nothing, so that the answers are closed in any case
            await asyncio.to_thread(self._writer.close)
            self._store.close()

    async def _run(self, step: Callable[[], Any]) -> Any:
        assert self._writer is not None  # noqa: S101 — lifespan has started
        return await self._writer.run(step)

    # ------------------------------------------------------------------------------------------------ raters
    async def front(self, _: Request) -> Response:
        """Return the page of raters."""
        return HTMLResponse(self._front, headers={"cache-control": "no-cache"})

    @cached_property
    def _front(self) -> str:
        """The page, with what it shows at once: a request for that would make each rater wait longer."""
        about = {
            "title": self._study.title,
            "contact": self._study.contact,
            "languages": {one: texts.get("language", one) for one, texts in self._study.texts.items()},
            "must_play_s": self._study.protocol.must_play_s,
            "dry_run": self._options.dry_run,
        }
        page = (static_of("mashkit.listen") / "index.html").read_text(encoding="utf-8")
        return page.replace("{about}", html.escape(json.dumps(about)))

    async def enter(self, request: Request) -> Response:
        """Let a rater in by a link: give a cookie, and lead to the page without the link's signature in its address."""
        try:
            self._joining.take(_address(request))
            link = self._links.read(request.path_params["token"])
            identity, known = self._identity(link, request)
            language = request.headers.get("accept-language", "en")[:2].lower()
            rater = known if known else await self._run(lambda: self._store.join(identity, language=language))
        except (Refused, NotSaved) as error:
            reason = error.reason if isinstance(error, Refused) else "unsaved"
            return RedirectResponse(f"/?problem={reason}", 303)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._cookie, self._links.cookie("rater", rater), max_age=int(86400 * DAYS), httponly=True,
            samesite="lax", secure=self._secure(request),
        )  # fmt: skip
        return response

    def _identity(self, link: Any, request: Request) -> tuple[str, str | None]:
        """Return the identity for :meth:`Store.join`, or the rater whom the cookie of an open link names."""
        if not link.open:
            return f"one {link.id}", None
        worker = request.query_params.get("PROLIFIC_PID") or request.query_params.get("id")
        if worker:
            return f"open {link.id} {fingerprint(self._secret, worker)}", None
        return f"open {link.id} {secrets.token_hex(8)}", self._rater(request)

    def _secure(self, request: Request) -> bool:
        return (self._options.public_url or request.url.scheme).startswith("https")

    def _rater(self, request: Request) -> str | None:
        return self._links.value("rater", request.cookies.get(self._cookie))

    def rater(self, handler: Callable[[str, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint that runs a step of a rater and returns what the rater sees next."""

        async def endpoint(request: Request) -> Response:
            rater = self._rater(request)
            if rater is None:
                raise Refused("no-link", "open the link that you were given", 401)
            self._answering.take(rater)
            given = {} if request.method == "GET" else await body_of(request)
            result = await self._run(partial(handler, rater, given))
            if handler is self.steps["withdraw"]:
                await self._forget()
                response: Response = JSONResponse({"stage": "withdrawn"})
                response.delete_cookie(self._cookie)
                return response
            return JSONResponse({} if result is None else result)

        return endpoint

    def _consent(self, rater: str, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("agree") is not True:
            raise Refused("invalid", "consent is needed")
        self._store.consent(rater, str(given.get("language", "en")))
        return self._store.state(rater)

    def _check(self, rater: str, given: dict[str, Any]) -> dict[str, Any]:
        passed = self._store.check(rater, text_of(given, "kind"), given.get("given"))
        return {**self._store.state(rater), "passed": passed}

    def _answer(self, rater: str, given: dict[str, Any]) -> dict[str, Any]:
        self._store.submit(rater, text_of(given, "page"), given)
        return self._store.state(rater)

    async def _forget(self) -> None:
        """Remove what was deleted from the log of the database and from the backup, too."""
        await asyncio.to_thread(self._store.checkpoint)
        if self._options.backup is not None:
            await self._back_up()

    async def texts(self, request: Request) -> Response:
        """Return the texts of a language."""
        texts = self._study.texts.get(request.path_params["language"])
        if texts is None:
            raise Refused("missing", "there is no such language", 404)
        return JSONResponse(dict(texts), headers={"cache-control": "no-cache"})

    async def sound(self, request: Request) -> Response:
        """Return the sound of a sample that is on a page of the rater."""
        rater, identity = self._rater(request), request.path_params["sample"]
        if rater is None or not await self._run(lambda: self._store.may_hear(rater, identity)):
            raise Refused("missing", "there is no such sound on your pages", 404)
        path = sound_file(self._store.folder, self._study.sample[identity])
        if path is None:
            raise Refused("broken", "this sound is missing", 503)
        return FileResponse(path, media_type="audio/flac", headers={"cache-control": "private, max-age=86400"})

    # ------------------------------------------------------------------------------------------------ the admin
    async def admin(self, _: Request) -> Response:
        """Return the admin page, which asks for the token if there is one."""
        return FileResponse(static_of("mashkit.listen") / "admin.html", headers={"cache-control": "no-cache"})

    async def login(self, request: Request) -> Response:
        """Exchange the admin token for a cookie."""
        self._logins.take(_address(request))
        given = text_of(await body_of(request), "token")
        if not self._options.admin_token or not hmac.compare_digest(
            given.encode(errors="replace"), self._options.admin_token.encode()
        ):
            raise Refused("token", "this is not the admin token", 403)
        response = JSONResponse({})
        response.set_cookie(
            f"{self._cookie}-admin", self._links.cookie("admin", str(int(time.time() + 3600 * ADMIN_HOURS))),
            httponly=True, samesite="strict", secure=self._secure(request),
        )  # fmt: skip
        return response

    def _require_admin(self, request: Request) -> None:
        if not self._options.admin_token:
            if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
                raise Refused("token", "behind a proxy the admin page needs a token: --admin-token", 401)
            return
        until = self._links.value("admin", request.cookies.get(f"{self._cookie}-admin"))
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ").encode(errors="replace")
        if until is not None and until.isdigit() and time.time() < int(until):
            return
        if bearer:
            # After too many wrong tokens, a right token is refused too, so that tokens cannot be guessed.
            self._logins.require(_address(request))
        if not bearer or not hmac.compare_digest(bearer, self._options.admin_token.encode()):
            if bearer:
                self._logins.take(_address(request))
            raise Refused("token", "the admin token is needed", 401)

    async def progress(self, request: Request) -> Response:
        """Return what the admin page shows."""
        self._require_admin(request)
        progress = await self._run(self._store.progress)
        return JSONResponse({**progress, "dry_run": self._options.dry_run, "backup_problem": self._backup_problem})

    async def links_made(self, request: Request) -> Response:
        """Make links: personal ones, or one for everybody."""
        self._require_admin(request)
        given = await body_of(request)
        count, days = given.get("count", 1), given.get("days", DAYS)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_LINKS:
            raise Refused("invalid", f"count: a whole number from 1 to {MOST_LINKS} is needed")
        if not isinstance(days, int | float) or isinstance(days, bool) or not 0 < days <= 3650:
            raise Refused("invalid", "days: a number above 0 is needed")
        made = [self._links.make(open_=given.get("open") is True, days=days) for _ in range(count)]
        beginning = self._options.public_url or str(request.base_url)
        return JSONResponse({"links": [f"{beginning.rstrip('/')}/p/{token}" for token in made]})

    async def backup_made(self, request: Request) -> Response:
        """Make a backup now."""
        self._require_admin(request)
        if self._options.backup is None:
            raise Refused("invalid", "this server makes no backups")
        await self._back_up()
        if self._backup_problem:
            raise Refused("unsaved", self._backup_problem, 503)
        return JSONResponse({"backup": self._options.backup.name})

    async def _back_up(self) -> None:
        assert self._options.backup is not None  # noqa: S101 — the callers have asked
        try:
            await asyncio.to_thread(self._store.backup, self._options.backup)
            self._backup_problem = ""
        except Exception as error:  # noqa: BLE001 — the admin page shows it; raters go on, and the next attempt is made
            self._backup_problem = str(error) or type(error).__name__

    async def _backups(self) -> None:
        while self._options.backup is not None:
            await self._back_up()
            await asyncio.sleep(60 * BACKUP_MINUTES)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def body_of(request: Request) -> dict[str, Any]:
    """Return the object in a request's body.

    Raises
    ------
    Refused
        If the body is too long (status 413), no JSON, or no JSON object.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise Refused("invalid", f"more than {BODY_BYTES} bytes", 413)
    try:
        given = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid", "the body is not JSON") from error
    if not isinstance(given, dict):
        raise Refused("invalid", "the body is not an object")
    return given


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def text_of(given: dict[str, Any], name: str) -> str:
    """Return a text of a request's body.

    Raises
    ------
    Refused
        If there is no text of that name, or it has more than 1000 characters.
    """
    value = given.get(name)
    if not isinstance(value, str) or len(value) > 1000:
        raise Refused("invalid", f"{name}: a text is needed")
    return value


# ---------------------------------------------------------------------------------------------------- running it
def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can reach a server at this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str, public_url: str) -> tuple[str, ...]:
    """Return the names under which a server may be asked, without port; empty for any.

    A page of another site could otherwise reach a server of this machine by a name that it lets point here. Other
    machines may know this one by any name, unless raters are given one.

    Raises
    ------
    UsageError
        If the public URL has no name, or more than a name and a port.
    """
    own = (*LOOPBACK_NAMES, host.lower())
    if not public_url:
        return own if is_loopback(host) else ()
    try:
        given = urlsplit(public_url)
        # Browsers send a name with other letters than English ones in this form.
        public = (given.hostname or "").encode("idna").decode() if given.scheme in ("http", "https") else ""
        port = given.port  # a ValueError if it is none
    except ValueError:
        public = ""
    if not public:
        raise UsageError(f"--public-url {public_url}", "give the whole address, as https://study.example.org")
    if given.path.strip("/") or "?" in public_url or "#" in public_url or "@" in given.netloc:
        name = f"[{given.hostname}]" if ":" in public else given.hostname
        raise UsageError(
            f"--public-url {public_url} has more than a name",
            "the pages lead to the root of the server, so give it a name of its own: "
            f"{given.scheme}://{name}{'' if port is None else f':{port}'}",
        )
    return public, *own


def require_token(host: str, token: str, public_url: str = "") -> None:
    """Raise UsageError if a server that other machines can reach has no admin token, or a short one.

    Who gives a public URL lets others in by a proxy, whose requests come from this machine.
    """
    if not token and (public_url or not is_loopback(host)):
        raise UsageError(
            f"{'--public-url' if public_url else '--host'} {public_url or host} without --admin-token",
            "other machines could read the results: give a token, or stay local",
        )
    if token and len(token) < SHORTEST_TOKEN:
        raise UsageError(f"an admin token of {len(token)} characters", f"give {SHORTEST_TOKEN} or more")


def only_server(folder: Path) -> AbstractContextManager[None]:
    """Return a context that holds the study's lock, which ends with this process, however it ends.

    Raises
    ------
    StudyError
        If another server has it.
    OutputError
        If the study's folder cannot be written to.
    """
    taken = StudyError(f"another server serves {path_text(folder)}", "stop it first: two would count ratings apart")
    return held(folder / LOCK_FILE, taken)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    MashkitError
        If the address is not this machine's, or the port is taken.
    """
    try:
        # Not with the port, because a number that is too large would become another one there.
        family, kind, number, _, found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as stack:  # closes the socket if the port is taken
            made = stack.enter_context(socket.socket(family, kind, number))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((found[0], port, *found[2:]))
            stack.pop_all()
    except (OSError, OverflowError) as error:
        raise MashkitError(f"cannot listen at {host}:{port}: {error}", "choose another --host or --port") from error
    made.listen(2048)
    return made


def run(app: Starlette, made: socket.socket) -> None:
    """Serve until the process is told to stop (Ctrl-C, or SIGTERM)."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
    uvicorn.Server(config).run(sockets=[made])


def address(made: socket.socket, host: str) -> str:
    """Return the beginning of the links of a server."""
    port = made.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
