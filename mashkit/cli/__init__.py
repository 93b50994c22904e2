"""The command line: parse arguments, call the library, print results. Slow imports happen only when a command runs."""

from mashkit.cli.main import main

__all__ = ["main"]
