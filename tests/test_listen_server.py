"""A served study: what it accepts and refuses, what it keeps, and what it never says."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import html
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

import studies
from mashkit.errors import MashkitError, OutputError, UsageError
from mashkit.listen.answers import NotSaved, Store
from mashkit.listen.records import HEARD, PREFERRED, QUESTIONS, PageKind
from mashkit.listen.study import Study, StudyError, load

pytest.importorskip("starlette", reason="the extra listen is not installed")

from starlette.testclient import TestClient

from mashkit.listen.links import Links
from mashkit.listen.server import Options, Rate, application, listening, only_server, require_token
from mashkit.listen.writer import Writer

pytestmark = pytest.mark.whole  # a server, with whole studies

SECRET = b"a secret of tests, 32 bytes long"
TOKEN = "a long admin token"  # noqa: S105 — of tests
LOCAL = {"base_url": "http://127.0.0.1:8765"}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Case:
    """A study, its store and its application."""

    def __init__(self, folder: Path, study: Study, **options: Any) -> None:
        self.folder, self.study, self.clock = folder, study, Clock()
        self.store = Store(study, folder, now=self.clock)
        self.links = Links(SECRET, now=self.clock)
        self.app = application(study, self.store, self.links, Options(**options), SECRET)

    def enter(self, client: TestClient, token: str | None = None) -> dict[str, Any]:
        """Open a link, agree and pass the checks; return what is seen next."""
        reply = client.get(f"/p/{token or self.links.make()}", follow_redirects=False)
        assert reply.headers["location"] == "/"
        state = client.post("/api/consent", json={"agree": True, "language": "en"}).json()
        while state["stage"] in ("level", "headphones"):
            given = [self.study.keys[one] for one in state["samples"]]
            state = client.post("/api/check", json={"kind": state["stage"], "given": given}).json()
        return dict(state)

    def walk(self, client: TestClient, state: dict[str, Any]) -> int:
        """Answer everything; return the number of pages."""
        pages = 0
        while state["stage"] == "pages":
            self.clock.now += 40
            reply = client.post("/api/answer", json=studies.answered(self.study, state["page"]))
            assert reply.status_code == 200, reply.text
            state, pages = reply.json(), pages + 1
        assert state["stage"] == "done"
        return pages


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of ratings, and one of preferences."""
    folder = tmp_path_factory.mktemp("frozen")
    for asks in (PageKind.RATING, PageKind.PREFERENCE):
        (folder / asks).mkdir()
        studies.custom(folder / asks, asks=asks, protocol={"completion_code": "C-0DE"})
    return folder


@pytest.fixture
def case(frozen: Path, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    made: list[Case] = []

    def make(asks: PageKind = PageKind.RATING, **options: Any) -> Case:
        folder = tmp_path / f"study-{len(made)}"
        shutil.copytree(frozen / asks / "study", folder)
        made.append(Case(folder, load(folder), **options))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.mark.parametrize("asks", [PageKind.RATING, PageKind.PREFERENCE])
def test_a_rater_answers_everything(case: Callable[..., Case], asks: PageKind) -> None:
    one = case(asks)
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        assert state["kind"] == "training"
        pages = one.walk(client, state)
        assert pages == studies.pages_each(one.study) == 1 + 4 + 1 + 2  # training, results, the control, repeats
        assert client.get("/api/state").json() == {"stage": "done", "code": "C-0DE"}
        answers = list(one.store.answers())
    questions = {answer.question for answer in answers}
    assert questions == ({PREFERRED, HEARD} if asks is PageKind.PREFERENCE else {*QUESTIONS, HEARD})
    each = 2 * (1 if asks is PageKind.PREFERENCE else 5) + 1
    assert len(answers) == pages * each
    assert {answer.seconds for answer in answers} == {40.0}
    assert {answer.order for answer in answers} == set(range(pages))
    assert {answer.position for answer in answers if answer.sample} == {0, 1}
    assert {answer.position for answer in answers if not answer.sample} == {-1}


def test_the_same_answer_again_changes_nothing_and_another_is_refused(case: Callable[..., Case]) -> None:
    one = case()
    with TestClient(one.app, **LOCAL) as client, TestClient(one.app, **LOCAL) as tab:
        token = one.links.make()
        page = one.enter(client, token)["page"]
        assert tab.get(f"/p/{token}", follow_redirects=False).headers["location"] == "/"  # the link again: one rater
        assert tab.get("/api/state").json()["page"] == page
        given = studies.answered(one.study, page)
        after = client.post("/api/answer", json=given).json()
        assert tab.post("/api/answer", json=given).json() == after
        other = studies.answered(one.study, page, chance=studies.draws(1))
        reply = tab.post("/api/answer", json=other)
        assert (reply.status_code, reply.json()["reason"]) == (409, "answered")
        assert {answer.value for answer in one.store.answers() if answer.question == HEARD} == {int(given["heard"])}
        assert len(list(one.store.answers())) == 11
        assert len(one.store.progress()["raters"]) == 1


def invalid(study: Study, page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield answers that must be refused, each with the reason."""
    good = studies.answered(study, page)
    one, other = study.page[page].samples
    for value in (0, 6, -1, 3.0, 2.5, True, "3", None, [3], 10**30):
        yield "invalid", {**good, "ratings": {**good["ratings"], one: {**good["ratings"][one], "overall": value}}}
    yield "invalid", {**good, "ratings": {one: good["ratings"][one]}}
    yield "invalid", {**good, "ratings": {**good["ratings"], "other": good["ratings"][one]}}
    yield "invalid", {**good, "ratings": {**good["ratings"], one: {**good["ratings"][one], "beauty": 3}}}
    yield "invalid", {**good, "ratings": []}
    yield "invalid", {key: value for key, value in good.items() if key != "heard"}
    yield "invalid", {**good, "heard": 1}
    yield "unheard", {**good, "played": {one: 9.0}}
    yield "unheard", {**good, "played": {one: 9.0, other: 0.2}}
    yield "unheard", {**good, "played": {one: 9.0, other: "9"}}
    yield "unheard", {**good, "played": {one: 9.0, other: 1e300}}
    yield "elsewhere", {**good, "page": "'; DROP TABLE answers; --"}
    yield "invalid", {**good, "page": 7}


def test_answers_out_of_range_are_refused_and_nothing_of_them_is_kept(case: Callable[..., Case]) -> None:
    one = case(answering=Rate(1000, 1000))
    with TestClient(one.app, **LOCAL) as client:
        page = one.enter(client)["page"]
        for reason, given in invalid(one.study, page):
            reply = client.post("/api/answer", json=given)
            assert reply.json()["reason"] == reason, given
            assert reply.status_code in (400, 409)
        later = next(each for each, _ in one.store._steps(one.store.progress()["raters"][0]["rater"])[1:])
        reply = client.post("/api/answer", json=studies.answered(one.study, later))
        assert reply.json()["reason"] == "elsewhere"  # pages come in their order
        for body in (b"", b"[1]", b'{"page": NaN}', b"{" * 20_000, b"\xff\xfe"):
            reply = client.post("/api/answer", content=body, headers={"content-type": "application/json"})
            assert (reply.status_code, reply.json()["reason"]) == (400, "invalid")
        reply = client.post("/api/answer", content=b" " * 70_000, headers={"content-type": "application/json"})
        assert reply.status_code == 413
        assert client.post("/api/answer", content=b"{}").status_code == 415  # a form of another site sends no JSON
        reply = client.post("/api/answer", json={}, headers={"origin": "http://evil.example"})
        assert reply.status_code == 403
        assert list(one.store.answers()) == []
        assert client.get("/api/state").json()["page"] == page


def test_links_that_are_forged_or_expired(case: Callable[..., Case]) -> None:
    one = case()
    good = one.links.make(days=1)
    body, signature = good.rsplit(".", 1)
    forged = [good[:-2] + "AA", f"{body}x.{signature}", Links(b"y" * 32).make(), "x", one.links.cookie("rater", "1")]
    with TestClient(one.app, **LOCAL) as client:
        for token in forged:
            reply = client.get(f"/p/{token}", follow_redirects=False)
            assert reply.headers["location"] == "/?problem=link"
            assert "set-cookie" not in reply.headers
        assert client.get("/api/state").status_code == 401
        client.cookies.set(f"listen-{one.study.hash[:8]}", "forged.cookie")
        assert client.get("/api/state").json()["reason"] == "no-link"
        client.cookies.clear()
        one.clock.now -= 1e6  # a clock that is set back makes no link invalid
        assert client.get(f"/p/{good}", follow_redirects=False).headers["location"] == "/"
        one.clock.now += 1e6 + 86_401
        assert client.get(f"/p/{good}", follow_redirects=False).headers["location"] == "/?problem=expired"
        assert client.get("/api/state").json() == {"stage": "consent"}  # who was let in stays in


def test_an_open_link_makes_a_rater_for_each_worker_and_keeps_no_name(case: Callable[..., Case]) -> None:
    one = case()
    token = one.links.make(open_=True)
    with TestClient(one.app, **LOCAL) as client:
        for worker in ("5f3c-worker", "5f3c-worker", "another"):
            client.cookies.clear()
            client.get(f"/p/{token}?PROLIFIC_PID={worker}", follow_redirects=False)
        assert len(one.store.progress()["raters"]) == 2
        for _ in range(2):  # without a name the cookie tells who it is
            client.get(f"/p/{token}", follow_redirects=False)
        assert len(one.store.progress()["raters"]) == 2
    assert all(b"5f3c-worker" not in path.read_bytes() for path in one.folder.glob("answers*"))


def test_a_clock_that_goes_back_is_not_believed(case: Callable[..., Case]) -> None:
    one = case()
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        one.clock.now -= 5000
        client.post("/api/answer", json={**studies.answered(one.study, state["page"]), "seconds": 31.5})
        assert {answer.seconds for answer in one.store.answers()} == {31.5}


def test_drafts_come_back_after_the_browser_was_closed(case: Callable[..., Case]) -> None:
    one = case()
    token = one.links.make()
    with TestClient(one.app, **LOCAL) as client:
        page = one.enter(client, token)["page"]
        given = {"ratings": {one.study.page[page].samples[0]: {"harmony": 4}}, "played": {}}
        assert client.post("/api/draft", json={"page": page, "given": given}).status_code == 200
        client.cookies.clear()
        client.get(f"/p/{token}", follow_redirects=False)
        assert client.get("/api/state").json()["draft"] == given
        client.post("/api/answer", json=studies.answered(one.study, page))
        assert client.get("/api/state").json()["draft"] == {}


def test_a_rater_withdraws_and_nothing_is_left(case: Callable[..., Case], tmp_path: Path) -> None:
    one = case(backup=tmp_path / "copy.sqlite")
    token = one.links.make()
    with TestClient(one.app, **LOCAL) as client, TestClient(one.app, **LOCAL) as other:
        one.walk(other, one.enter(other))
        state = one.enter(client, token)
        client.post("/api/answer", json=studies.answered(one.study, state["page"]))
        rater = next(one_["rater"] for one_ in one.store.progress()["raters"] if one_["stage"] != "done")
        assert client.post("/api/admin/backup", json={}).status_code == 200
        assert rater.encode() in (tmp_path / "copy.sqlite").read_bytes()
        assert client.post("/api/withdraw", json={}).json() == {"stage": "withdrawn"}
        files = [tmp_path / "copy.sqlite", *one.folder.glob("answers*")]
        assert all(rater.encode() not in path.read_bytes() for path in files)
        assert client.get("/api/state").status_code == 401
        assert client.get(f"/p/{token}", follow_redirects=False).headers["location"] == "/?problem=withdrawn"
        progress = one.store.progress()
        assert (progress["withdrawn"], len(progress["raters"])) == (1, 1)
        assert rater not in {answer.rater for answer in one.store.answers()}


def test_a_clip_that_is_lost_or_changed_costs_its_pages_only(case: Callable[..., Case]) -> None:
    one = case()
    # The two systems' sounds are on all pages of results; the control's are on the control and the training page.
    lost = one.study.sample[one.study.negatives[0].samples[0]]
    (one.folder / lost.file).unlink()
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        assert one.walk(client, state) == len(one.study.results) + one.study.protocol.repeats_per_rater
        broken = [page for page in one.store.progress()["pages"] if page["broken"]]
        assert {page["kind"] for page in broken} == {"training", "control", "repeated"}
        assert client.get(f"/sound/{lost.id}.flac").status_code == 503
    with pytest.raises(StudyError, match=f"{lost.file}.*missing"):
        load(one.folder)
    shutil.copy(one.folder / one.study.sample[one.study.results[0].samples[0]].file, one.folder / lost.file)
    with pytest.raises(StudyError, match="was changed"):
        load(one.folder)


def test_a_rater_gets_another_page_for_one_that_was_lost(tmp_path: Path) -> None:
    study = studies.designed(tmp_path / "study", "generation", pages_per_rater=4, repeats_per_rater=0)
    assert len(study.results) == 12
    one = Case(tmp_path / "study", load(tmp_path / "study"))
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        rater = one.store.progress()["raters"][0]["rater"]
        drawn = [page for page, _ in one.store._steps(rater) if study.page[page] in study.results]
        systems = {one_: study.sample[one_] for one_ in study.page[drawn[-1]].samples}
        lost = next(sample for sample in systems.values() if sample.system != "original")
        (one.folder / lost.file).unlink()
        one.walk(client, state)
        answered = {answer.page for answer in one.store.answers()} & {page.id for page in study.results}
        assert drawn[-1] not in answered
        assert len(answered) == 4
    one.store.close()


def test_no_rater_is_left_out_for_a_page_that_was_lost(
    case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = case()
    rules = attrs.evolve(one.study.rules, negatives=False, most_difference=None)
    assert rules.fewest_pages == len(one.study.results) == 4
    one.store.study = attrs.evolve(one.study, rules=rules)
    monkeypatch.setattr(Store, "_broken", lambda _, page: page.id == one.study.results[2].id)
    with TestClient(one.app, **LOCAL) as client, TestClient(one.app, **LOCAL) as other:
        one.walk(client, one.enter(client))
        assert one.store.exclusions() == {}
        assert {one.store.ratings()[page.id] for page in one.study.results if page != one.study.results[2]} == {1}
        state = one.enter(other)
        while state["kind"] == "training" or one.study.page[state["page"]] not in one.study.results:
            state = other.post("/api/answer", json=studies.answered(one.study, state["page"])).json()
        other.post("/api/answer", json=studies.answered(one.study, state["page"]))
        (left_out,) = one.store.exclusions().values()  # who goes away is incomplete as ever
    assert left_out["incomplete"] in ("1 pages of 3", "1 pages of 4")


@pytest.mark.parametrize("change", ["rule", "path", "text"])
def test_a_study_that_was_changed_is_not_served(case: Callable[..., Case], change: str) -> None:
    one = case()
    path = one.folder / "study.json"
    text = path.read_text()
    changed = {
        "rule": text.replace('"most_difference": 1.25', '"most_difference": 5'),
        "path": text.replace(one.study.samples[0].file, "../../../etc/passwd"),
        "text": text[: len(text) // 2],
    }[change]
    assert changed != text
    path.write_text(changed)
    with pytest.raises(StudyError, match=r"not as it was frozen|cannot be read"):
        load(one.folder)


def test_a_file_outside_the_study_is_never_served(case: Callable[..., Case], tmp_path: Path) -> None:
    from mashkit.listen.records import Sample
    from mashkit.listen.study import sound_file

    one = case()
    (tmp_path / "outside.flac").write_bytes(b"secret")
    (one.folder / "stimuli" / "link.flac").symlink_to(tmp_path / "outside.flac")
    for file in ("../outside.flac", str(tmp_path / "outside.flac"), "stimuli/../study.json", "stimuli/link.flac", ""):
        assert sound_file(one.folder, Sample(id="x", system="s", vocal="v", song="s", file=file)) is None
    with TestClient(one.app, **LOCAL) as client:
        one.enter(client)
        for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/sound/..%2fstudy.flac", "/texts/..%2f.json"):
            assert client.get(path).status_code == 404


def test_answers_to_another_study_are_not_mixed(case: Callable[..., Case], frozen: Path) -> None:
    one = case()
    with pytest.raises(StudyError, match="another study"):
        Store(load(frozen / PageKind.PREFERENCE / "study"), one.folder)


def test_a_full_disk_refuses_the_answer_and_takes_it_later(case: Callable[..., Case]) -> None:
    one = case()
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        given = {**studies.answered(one.study, state["page"]), "playback": [["x" * 12_000]]}
        (pages,) = one.store._db.execute("PRAGMA page_count").fetchone()
        one.store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then says what it says of a full disk
        reply = client.post("/api/answer", json=given)
        assert (reply.status_code, reply.json()["reason"]) == (503, "unsaved")
        assert str(one.folder) not in reply.text
        assert list(one.store.answers()) == []
        one.store._db.execute("PRAGMA max_page_count = 1000000")
        assert client.post("/api/answer", json=given).status_code == 200
        assert len(list(one.store.answers())) == 11


def test_no_system_is_named_to_anybody_and_names_do_no_harm(tmp_path: Path) -> None:
    study = studies.custom(
        tmp_path, names=studies.HOSTILE, frame={"title": studies.HOSTILE[0], "contact": studies.HOSTILE[1]}
    )
    one = Case(tmp_path / "study", load(tmp_path / "study"))
    assert {sample.system for sample in study.samples} >= set(studies.HOSTILE[:2])
    with TestClient(one.app, **LOCAL) as client:
        said = [client.get(path).text for path in ("/", "/admin", "/api/admin/progress", "/texts/en.json")]
        state = one.enter(client)
        said.append(str(state))
        one.walk(client, state)
        said += [client.get("/api/admin/progress").text, client.get("/api/state").text]
        headers = client.get(f"/sound/{state['samples'][0]}.flac").headers
    (about,) = re.findall(r'data-about="([^"]*)"', said[0])
    assert json.loads(html.unescape(about))["title"] == studies.HOSTILE[0]
    assert "<" not in about
    # The title is shown as it is, in JSON, and by textContent; the systems' names occur nowhere.
    assert all(studies.HOSTILE[1] not in text for text in said)
    assert not any("unmatched" in text for text in said)
    assert one.study.sample[state["samples"][0]].system not in str(headers)
    one.store.close()


def test_every_reply_has_the_headers_that_keep_others_out(case: Callable[..., Case]) -> None:
    one = case(hosts=("127.0.0.1",))
    with TestClient(one.app, **LOCAL) as client:
        for path in ("/", "/admin", "/static/listen.js", "/api/state", "/nothing", "/p/forged"):
            reply = client.get(path, follow_redirects=False)
            policy = reply.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert reply.headers["x-content-type-options"] == "nosniff"
        assert client.get("/", headers={"host": "evil.example:8765"}).status_code == 421  # DNS that points here
    static = Path(sys.modules["mashkit.listen"].__file__ or "").parent / "static"
    for path in static.rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path


def test_the_admin_page_wants_its_token(case: Callable[..., Case]) -> None:
    for host, token in (("0.0.0.0", ""), ("192.168.1.7", ""), ("example.org", ""), ("127.0.0.1", "short")):  # noqa: S104
        with pytest.raises(UsageError):
            require_token(host, token)
    for host in ("127.0.0.1", "::1", "localhost"):
        require_token(host, "")
    one = case(admin_token=TOKEN, login=Rate(3, 0.001))
    with TestClient(one.app, **LOCAL) as client:
        for path in ("links", "backup"):
            assert client.post(f"/api/admin/{path}", json={}).status_code == 401
        assert client.get("/api/admin/progress").status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/admin/progress", headers=bearer).status_code == 200
        assert client.post("/api/admin/login", json={"token": "no"}).status_code == 403
        assert client.post("/api/admin/login", json={"token": TOKEN}).status_code == 200
        assert client.get("/api/admin/progress").status_code == 200
        links = client.post("/api/admin/links", json={"count": 2, "days": 1}).json()["links"]
        assert [one.links.read(link.split("/p/")[1]).open for link in links] == [False, False]
        for count in (0, -1, 10**9, True, "2", 1.5):
            assert client.post("/api/admin/links", json={"count": count}).status_code == 400
        assert client.post("/api/admin/login", json={"token": "no"}).status_code == 403
        assert client.post("/api/admin/login", json={"token": TOKEN}).status_code == 429  # guessing takes for ever
    with TestClient(one.app, **LOCAL) as client:
        assert client.get("/api/admin/progress", headers=bearer).status_code == 429
    local = case()
    with TestClient(local.app, **LOCAL) as client:
        assert client.get("/api/admin/progress").status_code == 200
        assert client.get("/api/admin/progress", headers={"x-forwarded-for": "1.2.3.4"}).status_code == 401


def test_a_public_address_wants_a_token_and_no_third_name_is_served(
    frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mashkit.listen import serving

    folder = tmp_path / "study"
    shutil.copytree(frozen / PageKind.RATING / "study", folder)
    seen: dict[str, int] = {}

    def ask(app: Any, _: Any) -> None:
        with TestClient(app) as client:
            for name in ("study.example.org", "xn--bung-zra.org", "127.0.0.1:8765", "localhost", "evil.example"):
                seen[name] = client.get("/admin", headers={"host": name}).status_code
            seen["progress"] = client.get("/api/admin/progress", headers={"host": "localhost"}).status_code

    monkeypatch.setattr(serving, "run", ask)
    with pytest.raises(UsageError, match=r"--public-url .* without --admin-token"):
        serving.serve(folder, public_url="https://study.example.org")
    for wrong in ("study.example.org", "https://", "https://[bad", "ftp://study.example.org", "https://a.org:70000"):
        with pytest.raises(UsageError, match="give the whole address"):
            serving.serve(folder, public_url=wrong, admin_token=TOKEN)
    for more in ("/listen", "/listen/", "?a=b", "/?", "#there"):
        with pytest.raises(UsageError, match=r"has more than a name .*: https://study.example.org:8443\)"):
            serving.serve(folder, public_url=f"https://study.example.org:8443{more}", admin_token=TOKEN)
    with pytest.raises(UsageError, match=r"has more than a name .*: https://study.example.org\)"):
        serving.serve(folder, public_url="https://me:secret@study.example.org", admin_token=TOKEN)
    assert not seen
    none = {"study.example.org": 421, "xn--bung-zra.org": 421, "evil.example": 421}
    local = {**none, "127.0.0.1:8765": 200, "localhost": 200, "progress": 200}
    serving.serve(folder, public_url="https://Study.example.org:8443/", admin_token=TOKEN)
    assert seen == {**local, "study.example.org": 200, "progress": 401}
    serving.serve(folder, public_url="https://\N{LATIN SMALL LETTER U WITH DIAERESIS}bung.org", admin_token=TOKEN)
    assert seen == {**local, "xn--bung-zra.org": 200, "progress": 401}
    serving.serve(folder)
    assert seen == local


def test_a_port_that_is_none_is_no_other_port() -> None:
    with pytest.raises(MashkitError, match=r"cannot listen at .*:99999"):
        listening("127.0.0.1", 99_999)
    with listening("127.0.0.1", 0) as one, pytest.raises(MashkitError, match="choose another --host or --port"):
        listening("127.0.0.1", one.getsockname()[1])


def test_an_unforeseen_error_of_one_request_costs_no_other(case: Callable[..., Case]) -> None:
    one = case()
    writer, free = Writer(one.store), threading.Event()

    def broken() -> None:
        raise KeyError("unforeseen")

    async def together() -> list[Any]:
        busy = asyncio.ensure_future(writer.run(free.wait))
        await asyncio.sleep(0.2)  # the thread is in the first step, so that the others share one commit
        links = ("a", "b")
        steps = [writer.run(functools.partial(one.store.join, link)) for link in links]
        others = [asyncio.ensure_future(step) for step in (steps[0], writer.run(broken), steps[1])]
        await asyncio.sleep(0)
        free.set()
        return list(await asyncio.gather(busy, *others, return_exceptions=True))

    _, first, error, second = asyncio.run(together())
    assert isinstance(error, KeyError)
    assert len({first, second}) == 2
    assert (one.store.join("a"), one.store.join("b")) == (first, second)
    writer.close()


def test_requests_are_limited_and_no_address_is_kept(case: Callable[..., Case]) -> None:
    one = case(answering=Rate(5, 0.001), joining=Rate(3, 0.001))
    with TestClient(one.app, **LOCAL) as client:
        one.enter(client)
        replies = [client.get("/api/state").status_code for _ in range(4)]
        assert replies[-1] == 429
        locations = [client.get("/p/x", follow_redirects=False).headers["location"] for _ in range(3)]
        assert locations[-1] == "/?problem=busy"
    assert all(b"testclient" not in path.read_bytes() for path in one.folder.glob("answers*"))


def test_who_fails_the_headphone_check_twice_cannot_go_on(case: Callable[..., Case]) -> None:
    one = case()
    with TestClient(one.app, **LOCAL) as client:
        client.get(f"/p/{one.links.make()}", follow_redirects=False)
        state = client.post("/api/consent", json={"agree": True}).json()
        assert state["stage"] == "level"
        right = [one.study.keys[sample] for sample in state["samples"]]
        state = client.post("/api/check", json={"kind": "level", "given": right}).json()
        keys = [one.study.keys[sample] for sample in state["samples"]]
        assert len(keys) == 6
        four = [*keys[:4], *(key % 3 + 1 for key in keys[4:])]
        for given in ([], keys[:5], ["1"] * 6, [True] * 6):
            assert client.post("/api/check", json={"kind": "headphones", "given": given}).status_code == 400
        state = client.post("/api/check", json={"kind": "headphones", "given": four}).json()
        assert (state["stage"], state["passed"], state["tries_left"]) == ("headphones", False, 1)
        state = client.post("/api/check", json={"kind": "headphones", "given": four}).json()
        assert state["stage"] == "no-headphones"
        assert client.post("/api/check", json={"kind": "headphones", "given": keys}).status_code == 409
        (rater,) = one.store.progress()["raters"]
        assert list(rater["excluded"]) == ["headphones"]


def test_five_of_six_are_enough(case: Callable[..., Case]) -> None:
    one = case()
    with TestClient(one.app, **LOCAL) as client:
        client.get(f"/p/{one.links.make()}", follow_redirects=False)
        state = client.post("/api/consent", json={"agree": True}).json()
        right = [one.study.keys[sample] for sample in state["samples"]]
        state = client.post("/api/check", json={"kind": "level", "given": right}).json()
        keys = [one.study.keys[sample] for sample in state["samples"]]
        given = [*keys[:5], keys[5] % 3 + 1]
        assert client.post("/api/check", json={"kind": "headphones", "given": given}).json()["stage"] == "pages"


def test_a_study_that_has_its_ratings_lets_nobody_in(tmp_path: Path) -> None:
    studies.custom(tmp_path, protocol={"raters_per_page": 2, "negatives_per_rater": 0, "repeats_per_rater": 0})
    one = Case(tmp_path / "study", load(tmp_path / "study"))
    with TestClient(one.app, **LOCAL) as client:
        for _ in range(2):
            one.walk(client, one.enter(client))
        reply = client.get(f"/p/{one.links.make()}", follow_redirects=False)
        assert reply.headers["location"] == "/?problem=full"
    one.store.close()


@pytest.mark.parametrize("fewest", [None, 4])
def test_who_stays_away_counts_for_what_the_report_keeps(case: Callable[..., Case], fewest: int | None) -> None:
    one = case()
    assert one.study.rules.fewest_pages == 4
    rules = attrs.evolve(one.study.rules, fewest_pages=fewest, negatives=False, most_difference=None)
    one.store.study = attrs.evolve(one.study, rules=rules)
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        page = state["page"]
        client.post("/api/answer", json=studies.answered(one.study, page))
        assert sum(one.store.ratings().values()) == studies.pages_each(one.study)
        one.clock.now += 3600 * 25
        assert one.store.ratings() == ({page: 1} if fewest is None else {})
        state = client.get("/api/state").json()  # back again, and with all pages
        assert sum(one.store.ratings().values()) == studies.pages_each(one.study)
        one.walk(client, state)
        one.clock.now += 3600 * 25
        assert sum(one.store.ratings().values()) == studies.pages_each(one.study)
        assert one.store.exclusions() == {}


def test_a_study_is_not_full_of_raters_who_left_before_the_end(tmp_path: Path) -> None:
    study = studies.designed(tmp_path / "study", "generation", pages_per_rater=10, headphones=False, level=False)
    rules = attrs.evolve(study.rules, negatives=False, most_difference=None)
    assert rules.fewest_pages == 10
    one = Case(tmp_path / "study", load(tmp_path / "study"), joining=Rate(1000, 1000), answering=Rate(1000, 1000))
    one.store.study = attrs.evolve(one.study, rules=rules)
    results = {page.id for page in study.results}
    with TestClient(one.app, **LOCAL) as client:
        for leaves in (*[True] * 8, *[False] * 4):
            client.cookies.clear()
            state, pages = one.enter(client), 0
            while state["stage"] == "pages" and not (leaves and pages == 9):
                pages += state["page"] in results
                state = client.post("/api/answer", json=studies.answered(study, state["page"])).json()
            one.clock.now += 3 * 86_400
        assert client.get(f"/p/{one.links.make()}", follow_redirects=False).headers["location"] == "/?problem=full"
        left_out = one.store.exclusions()
        answered = {(answer.page, answer.rater) for answer in one.store.answers()}
        kept = Counter(page for page, rater in answered if rater not in left_out)
        assert len(left_out) == 8
        assert min(kept[page] for page in results) >= study.protocol.raters_per_page
        ratings = one.store.ratings()
        assert {page: ratings[page] for page in results} == {page: kept[page] for page in results}
    one.store.close()


def test_two_servers_on_one_study_refuse(case: Callable[..., Case]) -> None:
    one = case()
    with only_server(one.folder), pytest.raises(StudyError, match="another server"), only_server(one.folder):
        pass
    with only_server(one.folder):
        pass


def test_a_backup_is_whole_while_answers_arrive(case: Callable[..., Case], tmp_path: Path) -> None:
    one = case(answering=Rate(10_000, 10_000), joining=Rate(1000, 1000))
    ended = threading.Event()
    copies = []

    def copy() -> None:
        while not ended.is_set():
            one.store.backup(tmp_path / "copy.sqlite")
            with sqlite3.connect(tmp_path / "copy.sqlite") as opened:
                copies.append(opened.execute("SELECT count(*) % 11 FROM answers").fetchone()[0])
                assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            opened.close()

    with TestClient(one.app, **LOCAL) as client:
        thread = threading.Thread(target=copy)
        thread.start()
        for _ in range(3):
            one.walk(client, one.enter(client))
        ended.set()
        thread.join()
    assert copies
    assert set(copies) == {0}  # a page has 11 answers: all of them, or none


def raters_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as opened:
        return int(opened.execute("SELECT count(*) FROM raters").fetchone()[0])


def answered_by(store: Store, links: Sequence[str], pages: int = 1) -> list[str]:
    """Let raters join and answer some pages; return them."""
    raters = []
    with store.transaction():
        for link in links:
            rater = store.join(link)
            store.consent(rater, "en")
            for kind in ("level", "headphones"):
                store.check(rater, kind, [store.study.keys[sample] for sample in store.state(rater)["samples"]])
            for _ in range(pages):
                page = store.state(rater)["page"]
                store.submit(rater, page, studies.answered(store.study, page))
            raters.append(rater)
    return raters


def test_a_lost_database_does_not_cost_its_backup(case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch) -> None:
    from mashkit.listen import serving

    one = case()
    answered_by(one.store, ["a", "b", "c"])
    backup = one.folder / "backup.sqlite"
    one.store.backup(backup)
    one.store.close()
    before = backup.read_bytes()
    for path in one.folder.glob("answers.sqlite*"):
        path.unlink()
    served: list[int] = []

    def run(app: Any, _: Any) -> None:
        with TestClient(app, **LOCAL) as client:
            served.append(len(client.get("/api/admin/progress").json()["raters"]))

    monkeypatch.setattr(serving, "run", run)
    with pytest.raises(StudyError, match=r"answers.sqlite is missing, .* 3 raters .*restore it: .*cp .*backup.sqlite"):
        serving.serve(one.folder)
    assert not (one.folder / "answers.sqlite").exists()
    with contextlib.closing(Store(one.study, one.folder)) as empty:  # as a server without this check left it
        assert list(empty.answers()) == []
    with pytest.raises(StudyError, match=r"answers.sqlite lacks answers of 3 raters"):
        serving.serve(one.folder)
    assert (served, backup.read_bytes()) == ([], before)
    shutil.copy(backup, one.folder / "answers.sqlite")
    serving.serve(one.folder)
    assert served == [3]
    (one.folder / "answers.sqlite").unlink()
    backup.rename(one.folder / "away.sqlite")
    serving.serve(one.folder)
    assert served == [3, 0]


def test_a_backup_is_only_replaced_by_all_that_it_has(case: Callable[..., Case], tmp_path: Path) -> None:
    one = case()
    backup = tmp_path / "copy.sqlite"
    raters = answered_by(one.store, ["a", "b"], pages=2)
    one.store.backup(backup)
    older = tmp_path / "older"
    shutil.copytree(one.folder, older, ignore=shutil.ignore_patterns("answers*"))
    with contextlib.closing(Store(one.study, older)) as other:
        answered_by(other, ["a", "b", "c"], pages=2)  # the same links: other raters, and more of them
        with pytest.raises(NotSaved, match=r"copy.sqlite has answers of 2 raters that .*answers.sqlite lacks"):
            other.backup(backup)
    with one.store.transaction():
        one.store.withdraw(raters[0])
    one.store.backup(backup)  # who has withdrawn is forgotten
    assert raters_of(backup) == 1
    with one.store.transaction():
        one.store._db.execute("DELETE FROM submissions WHERE rater = ?", (raters[1],))
    with pytest.raises(NotSaved, match="answers of 1 raters"):
        one.store.backup(backup)
    assert raters_of(backup) == 1
    backup.write_text("what is this?")
    with pytest.raises(NotSaved, match=r"copy.sqlite cannot be read: .*not a database"):
        one.store.backup(backup)
    assert backup.read_text() == "what is this?"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy.sqlite"]


def test_a_backup_takes_no_place_of_anything_else(
    case: Callable[..., Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mashkit.listen import serving

    one, other = case(), case(PageKind.PREFERENCE)
    answered_by(one.store, ["a"])
    other.store.backup(tmp_path / "other.sqlite")
    (tmp_path / "thesis.docx").write_text("my thesis")
    (tmp_path / "empty").write_text("")
    (tmp_path / "link.sqlite").symlink_to(one.folder / "answers.sqlite")
    monkeypatch.setattr(serving, "run", lambda *_: pytest.fail("it was served"))
    for name, said in (
        ("thesis.docx", "exists already, and is no copy of this study's answers"),
        ("empty", "exists already, and is no copy"),
        ("other.sqlite", "exists already, and is no copy"),
        ("study-0/study.json", "exists already, and is no copy"),
        ("study-0/answers.sqlite", "the answers themselves"),
        ("study-0/answers.sqlite-wal", "the answers themselves"),
        ("link.sqlite", "the answers themselves"),
        ("/", "it is a folder"),
        ("thesis.docx/copy.sqlite", "cannot write to .*--backup"),
    ):
        with pytest.raises(OutputError, match=said):
            serving.serve(one.folder, backup=tmp_path / name)
    assert (tmp_path / "thesis.docx").read_text() == "my thesis"
    assert len(list(one.store.answers())) == 11


def test_an_unforeseen_error_of_a_backup_stops_neither_the_server_nor_its_end(case: Callable[..., Case]) -> None:
    one = case(backup=Path("/"))
    with TestClient(one.app, **LOCAL) as client:
        state = one.enter(client)
        assert client.post("/api/admin/backup", json={}).status_code == 503
        assert "name" in client.get("/api/admin/progress").json()["backup_problem"]
        assert client.post("/api/answer", json=studies.answered(one.study, state["page"])).status_code == 200
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        list(one.store.answers())


def test_two_backups_at_once_are_both_made(case: Callable[..., Case], tmp_path: Path) -> None:
    one = case()
    one.store._db.execute("CREATE TABLE more (text TEXT)")
    with one.store.transaction():  # 20 MB, so that the copies meet
        one.store._db.executemany("INSERT INTO more VALUES (?)", [("x" * 1000,)] * 20_000)
    (tmp_path / ".copy.sqlite.part").write_text("left by a server that was killed")

    async def together() -> None:
        await asyncio.gather(*(asyncio.to_thread(one.store.backup, tmp_path / "copy.sqlite") for _ in range(3)))

    asyncio.run(together())
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.sqlite")) as opened:
        assert opened.execute("SELECT count(*) FROM more").fetchone() == (20_000,)
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert list(tmp_path.glob(".copy*")) == []


# ------------------------------------------------------------------------------------------------------ kill -9
def killed_and_asked(folder: Path, study: Study, kills: int, chance: random.Random) -> int:
    """Kill a server under load again and again; check that each acknowledged answer is there; return their number."""
    import httpx2 as httpx

    code = "import sys; from mashkit.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "listen", "serve", str(folder), "--port", "0", "--links", "40"]
    acknowledged: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(kills):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        links = [server.stdout.readline().strip() for _ in range(40)]

        def take(link: str, seed: int) -> None:
            draw = studies.draws(seed)
            base = link.split("/p/")[0]
            with httpx.Client(base_url=base, timeout=20) as client:
                try:
                    client.get(link)
                    state = client.post("/api/consent", json={"agree": True}).json()
                    while state.get("stage") == "pages":
                        given = studies.answered(study, state["page"], chance=draw)
                        reply = client.post("/api/answer", json=given)
                        if reply.status_code == 200:
                            cookie = next(iter(client.cookies.values()))
                            acknowledged[cookie, state["page"]] = given
                            state = reply.json()
                except (httpx.HTTPError, ValueError):
                    return  # the server was killed

        threads = [threading.Thread(target=take, args=(link, chance.getrandbits(32))) for link in links[:8]]
        for thread in threads:
            thread.start()
        before, begun = len(acknowledged), time.monotonic()
        while len(acknowledged) < before + 3 and time.monotonic() - begun < 60:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        server.stdout.close()
        for thread in threads:
            thread.join()
        check_acknowledged(folder, study, acknowledged)
    return len(acknowledged)


def check_acknowledged(folder: Path, study: Study, acknowledged: dict[tuple[str, str], dict[str, Any]]) -> None:
    from mashkit.listen.links import secret_of

    links = Links(secret_of(folder))
    store = Store(study, folder)
    found = {(one.rater, one.page, one.sample, one.question): one.value for one in store.answers()}
    pages = {(one.rater, one.page) for one in store.answers()}
    counted = len(list(store.answers()))
    store.close()
    assert counted == len(found) == 11 * len(pages)  # none doubled, none in part
    for (cookie, page), given in acknowledged.items():
        rater = links.value("rater", cookie)
        assert rater is not None
        for sample, of in given["ratings"].items():
            for question, value in of.items():
                assert found[rater, page, sample, question] == value


def endless(folder: Path) -> Study:
    """Freeze a study in which every rater has many pages."""
    return studies.custom(
        folder, pages=12, protocol={"headphones": False, "level": False, "raters_per_page": 10_000}, training=0
    )


@pytest.mark.whole
def test_every_acknowledged_answer_survives_a_kill(tmp_path: Path) -> None:
    study = endless(tmp_path)
    assert killed_and_asked(tmp_path / "study", study, 2, studies.draws(1)) > 0


@pytest.mark.slow
def test_every_acknowledged_answer_survives_twenty_kills(tmp_path: Path) -> None:
    study = endless(tmp_path)
    assert killed_and_asked(tmp_path / "study", study, 25, studies.draws(2)) > 100
