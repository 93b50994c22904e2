"""Run the command line: `python -m mashkit` is the same as `mashkit`."""

import sys

# pip refuses older Pythons, but a clone can be started with any.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"mashkit needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: use another")

from mashkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
