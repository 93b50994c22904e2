"""An audition in a browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import auditions
from browsing import AXE, LOOKS, Serving, needs_axe, needs_chromium, opened_browser, until
from mashkit.audition.candidates import read_output
from mashkit.audition.store import DATABASE, Store
from mashkit.cli import main
from mashkit.types import MashupPlan, Role

pytestmark = [
    pytest.mark.plugins,
    needs_chromium,
]


class Server(Serving):
    """`mashkit audition`."""

    def __init__(self, *words: str) -> None:
        super().__init__("audition", *words, "--port", "0")

    @property
    def address(self) -> str:
        return str(self.told["address"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return auditions.made(tmp_path_factory)


@pytest.fixture
def served(made: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    out = Path(shutil.copytree(made[1], tmp_path / "out"))
    server = Server(str(out), "--db", str(made[0]))
    yield server, out
    server.close()


class Person:
    """Uses the page, and notes what it asked others for and what failed."""

    def __init__(self, browser: Any, server: Server, **look: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **look)
        self.page = self.context.new_page()
        self.foreign: list[str] = []
        self.errors: list[str] = []
        own = server.address.split("/s/")[0]
        self.page.on("request", lambda request: request.url.startswith(own) or self.foreign.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda one: one.type == "error" and self.errors.append(one.text))
        self.page.goto(server.address)
        self.page.wait_for_selector("html[data-ready]")
        self.ready()

    def ready(self) -> None:
        """Wait until what is open can be heard."""
        self.page.wait_for_selector("html[data-busy=false]", timeout=60_000)
        self.page.wait_for_selector("#play:not([disabled])", timeout=60_000)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def of(self, what: str) -> Any:
        """Return a value of the page's program."""
        return self.page.evaluate(f"import('/static/audition.js').then(({{ player, open, listed }}) => {what})")

    def gains(self) -> dict[str, float]:
        """Return what each layer is to have: deck and role → gain."""
        slots = (
            "Object.fromEntries(player.slots.map((one, place) => [`${one.deck} ${one.role}`, player.gains[place].to]))"
        )
        found: dict[str, float] = self.of(slots)
        return found


def test_a_person_browses_compares_changes_decides_and_exports(
    browser: Any, served: tuple[Server, Path], made: tuple[Path, Path], tmp_path: Path
) -> None:
    server, out = served
    person = Person(browser, server)
    page = person.page
    print(f"interactive after {page.get_attribute('html', 'data-ready')} ms")  # pytest -s; the target is 1000 ms

    # Browse: a title is text, whatever is in it; sorting and filtering show what they say.
    assert auditions.HOSTILE in page.inner_text("#table")
    assert page.locator("img").count() == 0
    assert page.title() == "Audition: out"
    plans = list(read_output(out).candidates)
    assert person.of("listed().map(([one]) => one.plan)") == plans  # ranked: the best first
    page.click("#table [data-column=random]")
    assert page.get_attribute("#table th:last-child", "aria-sort") == "ascending"
    assert person.of("listed().map(([one]) => one.plan)") == plans[::-1]
    page.click("#table [data-column=random]")
    page.fill("#search", "no such song")
    until(page, "document.getElementById('list-heading').textContent === 'Mashups: 0 of 4'")
    page.fill("#search", "")

    # A score that is missing is computed meanwhile, and stands beside the others.
    page.click("#scorers summary")
    page.get_by_label("loudness").check()
    until(page, "document.querySelectorAll('#table thead th').length === 5"
          " && ![...document.querySelectorAll('#table td')].some((one) => one.textContent === '–')")  # fmt: skip

    # Scores of an older version of the scorer are replaced when it is chosen again.
    shown = "[...document.querySelectorAll('#table td:last-child')].map((one) => one.textContent).join()"
    today = page.evaluate(shown)
    with contextlib.closing(sqlite3.connect(next(out.rglob(DATABASE)))) as database, database:
        database.execute("UPDATE scores SET version = 'older', score = json_set(score, '$.value', 0.123)"
                         " WHERE scorer = 'loudness'")  # fmt: skip
    page.reload()
    page.wait_for_selector("html[data-ready]")
    person.ready()
    assert "0.123" in page.evaluate(shown)
    page.click("#scorers summary")
    page.get_by_role("checkbox", name="loudness").uncheck()
    page.get_by_role("checkbox", name="loudness").check()
    until(page, f"{shown} === {today!r}")

    # A/B: the second mashup against the first, at one position.
    person.press("c", "j")
    until(page, f"document.querySelector('tr.on [data-plan]')?.dataset.plan === '{plans[1]}'")
    person.ready()
    person.press("p")
    page.wait_for_timeout(300)
    assert person.of("player.playing")
    before = person.of("player.position")
    person.press("x")
    after = person.of("player.position")
    assert person.of("player.deck") == "b"
    assert 0 <= after - before < 5
    assert {name for name, gain in person.gains().items() if gain} == {f"b {role}" for role in Role}
    person.press("x", "h")
    assert {name for name, gain in person.gains().items() if gain} == {"a vocal", "a percussion"}
    person.press("h", "V")
    assert {name for name, gain in person.gains().items() if gain} == {"a vocal"}
    person.press("V")

    # Change: a beat later, a semitone up; what was open is on B to compare with.
    person.press("]", "+")
    until(page, "document.getElementById('status').textContent.startsWith('Heard after')"
          " || document.getElementById('status').textContent.startsWith('All of it')")  # fmt: skip
    print(f"heard {person.of('open.ms')} ms after the change")  # the target is 2000 ms
    changed = person.of("open.now.plan")
    assert changed not in plans
    assert person.of("open.now.parent") == plans[1]
    assert page.inner_text("#beats-harmonic") == page.inner_text("#semitones-harmonic") == "+1"
    assert person.of("player.playing")
    until(page, "document.getElementById('status').textContent.startsWith('All of it')", seconds=60)

    # Decide: saved at once, and taken back.
    person.press("y", "4", "k", "n")  # quicker than the page loads: each is of what was open when it was pressed
    until(page, "document.querySelectorAll('tr.on td')[2]?.textContent === 'rejected'")
    person.press("j", "j", "n")
    until(
        page,
        "[...document.querySelectorAll('#table td')].filter((one) => one.textContent === 'rejected').length === 2",
    )
    person.press("u")
    until(page, "document.getElementById('status').textContent.startsWith('Taken back')")
    person.press("U")
    until(page, "document.getElementById('status').textContent.startsWith('Made again')")
    until(page, "document.getElementById('redo').disabled")
    person.press("u")
    until(page, "!document.getElementById('redo').disabled")
    store = Store(out)
    decisions = {plan: one.value for plan, one in store.decisions().items()}
    store.close()
    assert decisions == {
        changed: {"verdict": "keep", "stars": 4, "note": ""},
        plans[0]: {"verdict": "reject", "stars": 0, "note": ""},
    }

    # Export: from the page the preferences, from the command line the sound, too.
    page.click("#export")
    with page.expect_download() as download:
        page.click("a[download='preferences.jsonl']")
    (pair,) = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert MashupPlan.from_dict(pair["better"]).id == changed
    assert MashupPlan.from_dict(pair["worse"]).id == plans[0]
    page.click("#dialog-close")
    assert main(["audition", "export", str(out), "-o", str(tmp_path / "kept"), "--db", str(made[0])]) == 0
    assert (tmp_path / "kept" / changed / "mix.flac").is_file()
    assert person.foreign == []
    assert person.errors == []
    person.context.close()


@pytest.mark.slow
def test_two_windows_see_each_others_decisions_and_a_server_that_is_away_costs_none(
    browser: Any, served: tuple[Server, Path]
) -> None:
    server, out = served
    one = Person(browser, server)
    page = one.page
    other = one.context.new_page()
    other.goto(server.address)
    other.wait_for_selector("html[data-ready]")
    one.press("y")
    until(other, "document.querySelector('#table tbody td:nth-child(3)').textContent === 'kept'")
    other.click("#undo")
    until(page, "document.querySelector('#table tbody td:nth-child(3)').textContent === ''")
    page.click("#redo")
    until(other, "document.querySelector('#table tbody td:nth-child(3)').textContent === 'kept'")
    server.process.send_signal(signal.SIGSTOP)
    page.fill("#note", "a note while the server is away")
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    server.process.send_signal(signal.SIGCONT)
    until(page, "document.getElementById('status').textContent === 'Saved.'")
    one.context.close()
    store = Store(out)
    (decision,) = store.decisions().values()
    store.close()
    assert decision.value == {"verdict": "keep", "stars": 0, "note": "a note while the server is away"}


@pytest.mark.slow
def test_a_broken_mashup_says_so_and_the_next_plays(
    browser: Any, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASHKIT_CACHE", str(tmp_path / "empty"))
    out = Path(shutil.copytree(made[1], tmp_path / "out"))
    (out / "mashup-1" / "stems" / "vocal.flac").write_bytes(b"no sound")
    (out / "mashup-2" / "plan.json").write_text("{")
    server = Server(str(out))
    try:
        context = browser.new_context(locale="de-AT")
        page = context.new_page()
        page.goto(server.address)
        until(page, "document.getElementById('problem').textContent.includes('missing, broken')")
        assert "mashup-2" in page.inner_text("#broken")
        page.keyboard.press("j")
        page.wait_for_selector("#play:not([disabled])")
        assert "lassen sich nicht ändern" in page.inner_text("#problem")
        assert page.get_attribute("html", "lang") == "de"
        assert page.is_disabled("#more-beats-harmonic")
        page.goto(f"{server.address[:-3]}xyz")
        until(page, "document.getElementById('status').textContent.includes('gilt nicht')")
        context.close()
    finally:
        server.close()


@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    browser: Any, served: tuple[Server, Path], look: str
) -> None:
    server, _ = served
    person = Person(browser, server, **LOOKS[look])
    page = person.page
    shots = os.environ.get("MASHKIT_SHOTS")

    def check(name: str) -> None:
        page.wait_for_timeout(300)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run().then((result) => result.violations)")
        said = [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found]
        assert said == [], (name, said)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        if shots:
            page.screenshot(path=f"{shots}/audition {look} {name}.png".replace(" ", "-"), full_page=True)

    check("open")
    page.click("#scorers summary")
    person.press("+", "y", "3")
    until(page, "document.getElementById('status').textContent.length > 0")
    person.ready()
    person.press("b")
    page.wait_for_selector("#backings button", timeout=30_000)
    check("changed")
    person.press("?")
    check("keys")
    page.click("#dialog-close")
    page.click("#export")
    check("export")
    assert person.errors == []
    person.context.close()


DECKS = """
async ([seconds, events]) => {
  const { Decks } = await import("/static/decks.js");
  const rate = 44100;
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  // Ramps in time: the value of each layer tells its position, and sums of them which layers sound.
  const ramp = (scale) => {
    const buffer = context.createBuffer(1, seconds * rate, rate);
    const data = buffer.getChannelData(0);
    for (let index = 0; index < data.length; index++) data[index] = scale * (0.5 + index / data.length);
    return buffer;
  };
  const decks = new Decks(context);
  decks.set("a", [["vocal", ramp(0.1)], ["harmonic", ramp(0.2)]], seconds);
  decks.set("b", [["vocal", ramp(-0.1)], ["harmonic", ramp(-0.2)]], seconds);
  decks.play();
  const actions = {
    switch: () => decks.switchTo(decks.deck === "a" ? "b" : "a"),
    mute: () => decks.toggleLayer(decks.muted, "vocal"),
    solo: () => decks.toggleLayer(decks.solo, "vocal"),
    replace: () => decks.set("a", [["vocal", ramp(0.1)], ["harmonic", ramp(0.2)]], seconds),
  };
  for (const [moment, action] of events) context.suspend(moment).then(() => { actions[action](); context.resume(); });
  const rendered = await context.startRendering();
  return [Array.from(rendered.getChannelData(0)), decks.started];
}
"""


def test_switching_muting_and_replacing_leave_no_gap_and_keep_the_position(
    browser: Any, served: tuple[Server, Path]
) -> None:
    import numpy as np

    server, _ = served
    page = browser.new_page()
    page.goto(server.address)
    seconds, rate = 4.0, 44_100
    events = [
        (0.5, "switch"),
        (1.0, "switch"),
        (1.5, "replace"),
        (2.0, "mute"),
        (2.5, "mute"),
        (3.0, "solo"),
        (3.5, "switch"),
    ]
    values, started = page.evaluate(DECKS, [seconds, events])
    page.close()
    sound = np.array(values)
    factors = [0.3, -0.3, 0.3, 0.3, 0.2, 0.3, 0.1, -0.1]  # what sounds between the events
    places = np.searchsorted([moment for moment, _ in events], np.arange(len(sound)) / rate, "right")
    expected = np.array(factors)[places] * (0.5 + (np.arange(len(sound)) / rate - started) / seconds)
    ramps = np.zeros(len(sound), bool)
    for moment in (0.0, *(moment for moment, _ in events)):
        ramps[round(moment * rate) : round((moment + 0.0251) * rate) + 128] = True
    # In 5 ms the sound of a factor of 0.3 grows by 0.0004.
    off = np.max(np.abs(sound - expected)[~ramps] / np.abs(np.array(factors)[places][~ramps])) * seconds
    print(f"the position is off by {1000 * off:.2f} ms")
    assert off < 0.005
    silent = np.abs(sound[round(0.03 * rate) :]) < 0.0015
    longest = max((len(run) for run in "".join("x" if one else " " for one in silent).split()), default=0)
    print(f"the longest silence has {1000 * longest / rate:.2f} ms")
    assert longest / rate < 0.005
    assert np.max(np.abs(np.diff(sound))) < 3 * 0.9 / (0.015 * rate)  # no step is larger than the ramps': no click
