"""`python -m mashkit` is `mashkit`."""

import sys

from mashkit.cli import main

sys.exit(main())
