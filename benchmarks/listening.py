"""Does a server of a listening test lose, double or delay answers while 200 raters take part at once?

    python benchmarks/listening.py [--raters 200] [--pages 3] [--think 6] [--write]

The server is `mashkit listen serve` in a process of its own. Raters are simulated: each opens a link, agrees, and
answers pages with a pause between them; between the answers, static files are fetched from the same server to compare
with. At the end each acknowledged answer is looked for in the database. Prints the result, and with --write keeps it as
benchmarks/results/listening.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
from script import RESULTS, refuse_fewer, run_script

from mashkit.atomicfile import write_json
from mashkit.audio.files import save
from mashkit.cli.actions import positive
from mashkit.listen.answers import Store
from mashkit.listen.freezing import Frame, freeze_table
from mashkit.listen.records import QUESTIONS
from mashkit.listen.study import Protocol, Study
from mashkit.rendering.output import environment
from mashkit.synthetic import signals

TARGETS = {"answer_p95_ms": 150.0, "ratio_to_static_p95": 5.0}
STATIC = "/static/listen.js"
ADDRESSES = 200
"""Raters come from as many loopback addresses as there are raters, because the server limits visits of each."""


def frozen(folder: Path, pages: int) -> Study:
    """Freeze a study of two short sounds on many pages."""
    for name, seed in (("a", 1), ("b", 2)):
        save(folder / f"{name}.wav", signals.noise(2.0, seed=seed))
    rows = [f"p{page},{name}.wav,system {name},v{page}" for page in range(pages) for name in "ab"]
    (folder / "table.csv").write_text("page,file,system,vocal\n" + "\n".join(rows) + "\n")
    protocol = Protocol(
        pages_per_rater=pages, raters_per_page=100_000, repeats_per_rater=0, headphones=False, level=False
    )
    return freeze_table(folder / "table.csv", Frame(protocol=protocol), folder / "study")


class Rater:
    """One simulated rater."""

    def __init__(self, link: str, number: int, think_s: float) -> None:
        self.link, self.think_s = link, think_s
        self.chance = random.Random(number)  # noqa: S311 — a draw that can be repeated, no secret
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number % ADDRESSES + 1}")
        self.client = httpx.AsyncClient(base_url=link.split("/p/")[0], transport=transport, timeout=60)
        self.answer_s: list[float] = []
        self.static_s: list[float] = []
        self.acknowledged: list[dict[str, Any]] = []
        self.refused: list[str] = []

    async def timed(self, into: list[float], method: str, path: str, **given: Any) -> Any:
        """Send a request and keep how long the reply took, seconds."""
        begun = time.perf_counter()
        reply = await self.client.request(method, path, **given)
        into.append(time.perf_counter() - begun)
        return reply

    async def pause(self) -> None:
        """Wait, as who listens does."""
        await asyncio.sleep(self.chance.uniform(0.5, 1.5) * self.think_s)

    async def walk(self) -> None:
        """Take part from the first page to the last."""
        await asyncio.sleep(self.chance.uniform(0, 3 * self.think_s))
        await self.client.get(self.link)
        state = (await self.client.post("/api/consent", json={"agree": True})).json()
        while state.get("stage") == "pages":
            await self.pause()
            await self.timed(self.static_s, "GET", STATIC)
            await self.pause()
            given = {
                "page": state["page"],
                "ratings": {
                    one: {question: self.chance.randint(1, 5) for question in QUESTIONS} for one in state["samples"]
                },
                "heard": False,
                "played": dict.fromkeys(state["samples"], 30.0),
                "seconds": 60.0,
            }
            reply = await self.timed(self.answer_s, "POST", "/api/answer", json=given)
            if reply.status_code != 200:
                self.refused.append(reply.text)
                return
            self.acknowledged.append(given)
            state = reply.json()
        await self.client.aclose()


def percentile(values: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measured(raters: int, pages: int, think_s: float) -> dict[str, Any]:
    """Run the server and the raters, and return what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = frozen(folder, pages)
        code = "import sys; from mashkit.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "listen", "serve", str(folder / "study"), "--port", "0"]
        server = subprocess.Popen([*command, "--links", str(raters)], stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert server.stdout is not None  # noqa: S101 — it is a pipe
        try:
            links = [server.stdout.readline().strip() for _ in range(raters)]
            people = [Rater(link, number, think_s) for number, link in enumerate(links)]

            async def all_of_them() -> None:
                await asyncio.gather(*(one.walk() for one in people))

            load_before, begun = os.getloadavg()[0], time.perf_counter()
            asyncio.run(all_of_them())
            took = time.perf_counter() - begun
        finally:
            server.terminate()
            server.wait(30)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            server.stdout.close()
        store = Store(study, folder / "study")
        found = [(one.rater, one.page, one.sample, one.question) for one in store.answers()]
        values = sorted((one.page, one.sample, one.question, one.value) for one in store.answers() if one.sample)
        store.close()
    sent = sorted(
        (given["page"], sample, question, value)
        for one in people
        for given in one.acknowledged
        for sample, of in given["ratings"].items()
        for question, value in of.items()
    )
    answers = [value for one in people for value in one.answer_s]
    static = [value for one in people for value in one.static_s]
    return {
        "raters": raters,
        "answers": len(answers),
        "refused": [text for one in people for text in one.refused][:5],
        "doubled": len(found) - len(set(found)),
        "as_acknowledged": values == sent,
        "seconds": took,
        "answers_per_s": len(answers) / took,
        "answer_median_ms": 1000 * statistics.median(answers),
        "answer_p95_ms": percentile(answers, 0.95),
        "static_median_ms": 1000 * statistics.median(static),
        "static_p95_ms": percentile(static, 0.95),
        "ratio_to_static_p95": percentile(answers, 0.95) / percentile(static, 0.95),
        "server_cpu_s": used.ru_utime + used.ru_stime,  # its start, about 2 s, included
        "load_before": load_before,
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Measure, print, and keep the result if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--raters", type=positive, default=200)
    parser.add_argument("--pages", type=positive, default=3, help="pages of each rater")
    parser.add_argument("--think", type=float, default=6.0, help="mean pause between two requests, seconds")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    path = RESULTS / "listening.json"
    if arguments.write:
        refuse_fewer(parser, path, "raters", arguments.raters)
        refuse_fewer(parser, path, "pages", arguments.pages, lambda kept: kept["answers"] // kept["raters"])
    result = measured(arguments.raters, arguments.pages, arguments.think)
    result = {**result, "think_s": arguments.think, "targets": TARGETS, "machine": platform.machine()}
    print(json.dumps(result, indent=2))
    if arguments.write:
        write_json(path, {**result, "environment": environment()})


if __name__ == "__main__":
    run_script(main)
