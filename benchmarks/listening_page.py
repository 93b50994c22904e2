"""How long does a rater wait until the page of a listening test can be used?

    python benchmarks/listening_page.py [--visits 20] [--write]

The server is `mashkit listen serve` in a process of its own on loopback; the browser is Debian's chromium, driven by
Playwright. Each visit is the first of a rater: an empty cache, a link, the page of consent. Measured is the time from
the beginning of the navigation, the link's redirection included, until the page with its box and button is there.
Prints the result, and with --write keeps it as benchmarks/results/listening_page.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mashkit.atomicfile import write_json
from mashkit.rendering.output import environment

sys.path.insert(0, str(Path(__file__).parent))

import listening
from script import RESULTS, refuse_fewer, run_script

from mashkit.cli.actions import positive

TARGET_MS = 1000.0
CHROMIUM = "/usr/bin/chromium"
WATCH = """
new MutationObserver(() => {
  if (window.shownAfter === undefined && document.getElementById("heading")) window.shownAfter = performance.now();
}).observe(document, { childList: true, subtree: true });
"""


def visits(links: list[str]) -> list[dict[str, Any]]:
    """Open each link in a browser without a cache; return for each visit when it could be used, and its requests."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for link in links:
            context = browser.new_context()
            page = context.new_page()
            requests: list[Any] = []
            page.on("request", lambda request, into=requests: into.append(request))  # type: ignore[misc]
            page.add_init_script(WATCH)
            page.goto(link)
            page.wait_for_selector("#start")
            found.append({"ms": page.evaluate("window.shownAfter"), "requests": len(requests)})
            context.close()
        browser.close()
    return found


def measured(count: int) -> dict[str, Any]:
    """Run the server and the browser, and return what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listening.frozen(folder, 3)
        code = "import sys; from mashkit.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "listen", "serve", str(folder / "study"), "--port", "0"]
        server = subprocess.Popen([*command, "--links", str(count + 1)], stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert server.stdout is not None  # noqa: S101 — it is a pipe
        try:
            links = [server.stdout.readline().strip() for _ in range(count + 1)]
            made = visits(links)[1:]  # the first visit starts the browser's own processes
        finally:
            server.terminate()
            server.wait(30)
            server.stdout.close()
    times = sorted(one["ms"] for one in made)
    return {
        "visits": count,
        "median_ms": statistics.median(times),
        "p90_ms": times[int(0.9 * len(times))],
        "longest_ms": times[-1],
        "requests": made[0]["requests"],
        "target_ms": TARGET_MS,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Measure, print, and keep the result if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visits", type=positive, default=20)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    path = RESULTS / "listening_page.json"
    if arguments.write:
        refuse_fewer(parser, path, "visits", arguments.visits)
    result = measured(arguments.visits)
    print(json.dumps(result, indent=2))
    if arguments.write:
        write_json(path, {**result, "environment": environment()})


if __name__ == "__main__":
    run_script(main)
