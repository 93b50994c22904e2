"""Run a script of this folder so that it prints a mistake of the user in one line, without a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


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
    raise SystemExit(status or 0)


def existing_folder(text: str) -> Path:
    """Read the path of a folder that exists (argparse's ``type``)."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return path
