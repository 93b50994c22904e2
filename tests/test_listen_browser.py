"""Whole studies in a browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

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

import studies
from mashkit.listen.answers import Store
from mashkit.listen.records import HEARD, QUESTIONS, PageKind
from mashkit.listen.study import Study

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(os.environ.get("MASHKIT_AXE", "axe.min.js"))
"""axe-core's axe.min.js: npm pack axe-core. It is no part of mashkit."""
ARGUMENTS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--disable-dev-shm-usage"]

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no {CHROMIUM}")


class Server:
    """`mashkit listen serve` in a process of its own."""

    def __init__(self, folder: Path, *options: str, links: int = 2) -> None:
        code = "import sys; from mashkit.cli import main; sys.exit(main())"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                code,
                "listen",
                "serve",
                str(folder),
                "--port",
                "0",
                "--links",
                str(links),
                "--json",
                *options,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        self.told: dict[str, Any] = json.loads("".join(lines))

    @property
    def links(self) -> list[str]:
        return list(self.told["links"])

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


class Participant:
    """Walks through a study as a person would, and notes what the pages said and asked for."""

    def __init__(self, browser: Any, link: str, study: Study, **context: Any) -> None:
        self.study = study
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.bodies: list[str] = []
        self.own = link.split("/p/")[0]
        self.page.on("request", lambda request: request.url.startswith(self.own) or self.foreign.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda one: one.type == "error" and self.errors.append(one.text))
        self.page.on("response", self._keep)
        self.page.goto(link)

    def _keep(self, response: Any) -> None:
        if "/api/" in response.url or "/texts/" in response.url:
            self.bodies.append(response.text())

    def heading(self) -> str:
        self.page.wait_for_selector("#heading")
        return str(self.page.inner_text("#heading"))

    def consent(self) -> None:
        self.page.check("#agree")
        self.page.click("#start")

    def check(self, kind: str, *, right: bool = True) -> None:
        self.page.wait_for_selector(".trial")
        state = self.page.evaluate("fetch('/api/state').then((one) => one.json())")
        assert state["stage"] == kind
        for index, sample in enumerate(state["samples"]):
            trial = self.page.locator(".trial").nth(index)
            trial.locator("button").click()
            value = self.study.keys[sample] if right else self.study.keys[sample] % 3 + 1
            self.page.wait_for_timeout(60)
            trial.locator(f"input[value='{value}']").check()
        self.page.click("#next")

    def player(self, what: str) -> Any:
        """Return a value of the page's player."""
        return self.page.evaluate(
            f"import('/static/listen.js').then(({{ player, context }}) => {{ player.count(); return {what}; }})"
        )

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("fetch('/api/state').then((one) => one.json())")
        return found

    def listen(self) -> None:
        """Hear both samples for as long as is asked for, by keys alone."""
        self.page.wait_for_selector(".player button:not([disabled])", timeout=20_000)
        self.page.keyboard.press("p")
        for letter in "ab":
            self.page.keyboard.press(letter)
            index = "ab".index(letter)
            begun = time.monotonic()
            while self.player(f"player.played[{index}]") < self.study.protocol.must_play_s + 0.05:
                assert time.monotonic() - begun < 30
                self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(150)

    def rate(self, value: int) -> None:
        for letter in "AB":
            for question in QUESTIONS:
                self.page.check(f"input[name='{question}-{letter}'][value='{value}']")
        self.page.check("input[name=heard][value=no]")

    def prefer(self, place: int) -> None:
        self.page.locator("input[name=preferred]").nth(place).check()
        self.page.check("input[name=heard][value=yes]")

    def next(self) -> None:
        place = self.page.inner_text("#progress-text")
        self.page.click("#next")
        self.page.wait_for_function(
            "(place) => [document.getElementById('progress').hidden, "
            "document.getElementById('progress-text').textContent !== place].some(Boolean)",
            arg=place,
        )

    def walk(self) -> int:
        """Answer everything, and return how many pages there were."""
        self.heading()
        self.consent()
        for kind in (PageKind.LEVEL, PageKind.HEADPHONES):
            if self.study.of_kind(kind):
                self.check(str(kind))
        pages = 0
        self.page.wait_for_selector(".player")
        while not self.page.is_hidden("#progress"):
            self.listen()
            if self.study.asks is PageKind.PREFERENCE:
                self.prefer(pages % 3)
            else:
                self.rate(1 + pages % 5)
            self.next()
            pages += 1
        return pages


def check_clean(person: Participant, study: Study) -> None:
    """Nobody else was asked for anything, nothing failed, and no system was named."""
    assert person.foreign == []
    assert person.errors == []
    said = " ".join(person.bodies)
    assert "stage" in said
    for sample in study.samples:
        assert sample.system in ("check", "original", "unmatched") or sample.system not in said
    assert "unmatched" not in said.replace(study.texts["en"]["consent_text"], "")


def stored(study: Study, folder: Path) -> list[Any]:
    store = Store(study, folder)
    answers = list(store.answers())
    store.close()
    return answers


def test_a_short_study_in_the_browser(browser: Any, tmp_path: Path) -> None:
    protocol = {"headphones": False, "level": False, "completion_code": "C-0DE"}
    study = studies.custom(tmp_path, pages=1, protocol=protocol, training=0)
    server = Server(tmp_path / "study")
    try:
        person = Participant(browser, server.links[0], study)
        assert person.heading() == "About this study"
        begun = time.monotonic()
        assert person.walk() == 3  # a page, the control and the page again
        assert time.monotonic() - begun < 60
        assert person.page.inner_text("#code") == "C-0DE"
        check_clean(person, study)
    finally:
        server.close()
    answers = stored(study, tmp_path / "study")
    assert len(answers) == 3 * (2 * 5 + 1)
    assert {one.question for one in answers} == {*QUESTIONS, HEARD}
