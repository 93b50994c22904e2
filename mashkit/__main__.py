"""Run the command line: `python -m mashkit` is the same as `mashkit`."""

import sys

from mashkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
