"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from mashkit.cli.main import main

__all__ = ["main"]
