"""Commands that have commands of their own: `mashkit bench run`, `mashkit env create`, `mashkit models pull`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Protocol


class Commands(Protocol):
    """What argparse's add_subparsers returns, as far as it is used."""

    def add_parser(self, name: str, **arguments: Any) -> argparse.ArgumentParser:
        """Add a command and return its parser."""


def add_actions(
    commands: Commands, name: str, summary: str, epilog: str
) -> Callable[[str, str], argparse.ArgumentParser]:
    """Add the command ``name``; return what adds an action to it, given its name and help.

    The action chosen is ``arguments.action``; each has --json and --quiet.
    """
    actions = commands.add_parser(name, help=summary, description=summary, epilog=epilog).add_subparsers(
        dest="action", metavar="ACTION", required=True
    )

    def action(name: str, help_: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=help_, description=help_, epilog=epilog)
        made.add_argument("--json", action="store_true", help="print data as JSON on stdout")
        made.add_argument("--quiet", action="store_true", help="no progress")
        return made

    return action
