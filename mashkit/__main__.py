"""`python -m mashkit` is `mashkit`."""

import sys

from mashkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
