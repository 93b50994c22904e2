"""What the scripts of this folder share: mistakes are told in one line, and results are replaced as a whole."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

RESULTS = Path(__file__).parent / "results"


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Call a script's ``main``, print an error of mashkit in one line, and leave with the status of `mashkit`."""
    # Imported here, because a script may set the number of threads before anything of mashkit is imported.
    from mashkit.cli.status import FAILED, WRONG_USAGE
    from mashkit.errors import ComponentUnavailable, MashkitError, UsageError

    try:
        status = main()
    except MashkitError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        status = WRONG_USAGE if isinstance(error, (UsageError, ComponentUnavailable)) else FAILED
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{Path(sys.argv[0]).name}: cannot read or write {error.filename}: {error.strerror}", file=sys.stderr)
        status = FAILED
    except ImportError as error:
        print(f"{Path(sys.argv[0]).name}: {error} (install the package that has it)", file=sys.stderr)
        status = WRONG_USAGE
    raise SystemExit(status or 0)


def rounded(data: Any, digits: int) -> Any:
    """Return JSON's data with so many decimals: more than they are sure to, because each clone has the file."""
    if isinstance(data, Mapping):
        return {name: rounded(value, digits) for name, value in data.items()}
    if isinstance(data, list):
        return [rounded(value, digits) for value in data]
    return round(data, digits) if isinstance(data, float) else data


def kept_in(path: Path) -> dict[str, Any]:
    """Return the collections of results at ``path``; none if there is no such file."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"collections": {}}
    return kept


def write_results(path: Path, data: Any, page: str, *, indent: int | None = None) -> None:
    """Write a script's results as JSON at ``path``, and its page beside it as ``.md``; each file is replaced whole.

    ``path`` ends with ``.json``. Without ``indent`` the JSON has no spaces. NaN is a ValueError, because JSON has none;
    then nothing is written.
    """
    # Imported here, as in run_script.
    from mashkit.atomicfile import write_text

    separators = (",", ":") if indent is None else None
    text = json.dumps(data, ensure_ascii=False, indent=indent, separators=separators, allow_nan=False)
    write_text(path, text + "\n")
    write_text(path.with_suffix(".md"), page)


def circumstances() -> dict[str, Any]:
    """Return when and where something was measured: date, cores, processor, load, and versions."""
    # Imported here, as in run_script.
    from mashkit.rendering.output import environment

    return {
        "date": f"{datetime.date.today()}", "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(), "load": os.getloadavg()[0],
        "environment": environment(),
    }  # fmt: skip


def refuse_fewer(
    parser: argparse.ArgumentParser, path: Path, name: str, given: int, count: Callable[[Any], int] | None = None
) -> None:
    """Leave with a message if the results at ``path`` are of more than the given songs, say, which ``name`` names.

    ``count`` returns that number from the results; by default it stands in them under that name.
    """
    if not path.exists():
        return
    kept = (count or itemgetter(name))(json.loads(path.read_text(encoding="utf-8")))
    if given < kept:
        parser.error(f"{path.name} is of {kept} {name}: --write needs --{name} {kept} or more")


def existing_folder(text: str) -> Path:
    """Read the path of a folder that exists (argparse's ``type``)."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return path
