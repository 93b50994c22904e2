"""What the tests of pages in a browser share: Debian's chromium, driven by Playwright, and a server to look at."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(os.environ.get("MASHKIT_AXE", "axe.min.js"))
"""axe-core's axe.min.js: npm pack axe-core. It is no part of mashkit."""
ARGUMENTS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--disable-dev-shm-usage"]

LOOKS = {
    "desktop light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "desktop dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone light": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
    "phone dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
}
"""Screens on which pages are looked at: options of a browser's context."""

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
needs_chromium = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no {CHROMIUM}")
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not here: npm pack axe-core, and name its axe.min.js in MASHKIT_AXE"
)


class Serving:
    """A command that serves pages, in a process of its own; ``told`` is what it printed as JSON."""

    def __init__(self, *words: str) -> None:
        code = "import sys; from mashkit.cli import main; sys.exit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *words, "--json"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        self.told: dict[str, Any] = json.loads("".join(lines))

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


@contextlib.contextmanager
def opened_browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


def until(page: Any, expression: str, *, seconds: float = 30.0) -> None:
    """Wait until an expression of the page is true; the page's policy forbids what Playwright's own waiting does."""
    begun = time.monotonic()
    while not page.evaluate(expression):
        assert time.monotonic() - begun < seconds, expression
        page.wait_for_timeout(50)


_OVERPRINTED = """(selector) => {
  const boxes = [];
  for (const element of document.querySelectorAll(selector)) {
    const range = document.createRange();
    range.selectNodeContents(element);
    for (const box of range.getClientRects()) if (box.width && box.height) boxes.push([box, element]);
  }
  const found = [];
  boxes.forEach(([a, one], index) => boxes.slice(index + 1).forEach(([b, other]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (one !== other && across > 1 && down > 3) found.push(`${one.textContent} | ${other.textContent}`);
  }));
  return [boxes.length, found];
}"""


def overprinted(page: Any, selector: str) -> list[str]:
    """Return the texts of these elements that stand over each other; at least one element must show text."""
    count, found = page.evaluate(_OVERPRINTED, selector)
    assert count
    return list(found)
