"""Messages arrive whole or not at all, and a worker that is lost says why."""

from __future__ import annotations

import gc
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mashkit.remote import messages
from mashkit.testing import signals
from mashkit.types import StemSet
from mashkit.workers.channel import MAGIC, BadMessageError, Channel, Lost, TimedOut
from mashkit.workers.interpreter import LAST_LINES, Interpreter, unnamed_file
from mashkit.workers.pickling import pack, unpack
from mashkit.workers.processes import how_it_ended

WORKER = "mashkit.builtin.local_worker"
"""A module that waits for its first message."""


class Json(Channel):
    """An end that accepts short messages without arrays, as the end towards another environment does."""

    longest = 1000


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    """One end of a connection as it is, and a channel at the other."""
    raw, theirs = socket.socketpair()
    with raw, theirs:
        yield raw, Channel(theirs)


# ---------------------------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize("length", [1, 3_000_000], ids=["small", "larger than the socket's buffer"])
def test_values_arrive_as_they_were_sent(ends: tuple[socket.socket, Channel], length: int) -> None:
    fixed = np.arange(length, dtype=np.float32)
    fixed.flags.writeable = False
    value = {"fixed": fixed, "free": np.ones(length, np.int16), "text": "beat " * length}
    raw, there = ends
    here = Channel(raw)

    def send_both() -> None:
        here.send(pack(value))
        here.send(pack("next"))

    sender = threading.Thread(target=send_both)
    sender.start()
    message = there.receive()
    assert len(message[1]) == 2  # the arrays are beside the pickle
    received = unpack(message)
    assert unpack(there.receive()) == "next"
    sender.join()
    np.testing.assert_array_equal(received["fixed"], fixed)
    np.testing.assert_array_equal(received["free"], value["free"])
    assert received["text"] == value["text"]
    assert (received["fixed"].flags.writeable, received["free"].flags.writeable) == (False, True)


def test_what_cannot_be_packed_leaves_the_connection_usable(ends: tuple[socket.socket, Channel]) -> None:
    here, there = Channel(ends[0]), ends[1]
    with pytest.raises(Exception, match=r"pickle|local"):
        here.send(pack(lambda: 0))
    here.send(pack(1))
    assert unpack(there.receive()) == 1


@pytest.mark.parametrize("junk", [b"la la la la la la la", MAGIC[:4] + bytes(20), b"\x80\x05K\x01." * 4])
def test_other_bytes_are_no_message(ends: tuple[socket.socket, Channel], junk: bytes) -> None:
    ends[0].sendall(junk)
    with pytest.raises(BadMessageError, match=r"sent no message of ours: .* where a message should begin"):
        ends[1].receive()


def test_a_connection_that_closes_within_a_message(ends: tuple[socket.socket, Channel]) -> None:
    raw, there = ends
    raw.sendall(MAGIC + b"\0\0\0\0" + b"\xff\0\0\0\0\0\0\0\0" + b"not 255 bytes")
    raw.close()
    with pytest.raises(EOFError):
        there.receive()


@pytest.fixture
def scratch() -> Iterator[messages.Scratch]:
    with unnamed_file() as file:
        yield messages.Scratch(file)


def test_another_environment_sends_no_arrays_and_nothing_endless(scratch: messages.Scratch) -> None:
    raw, theirs = socket.socketpair()
    with raw, theirs:
        Channel(raw).send(messages.encode({"text": "x" * 900}, scratch))
        there = Json(theirs)
        assert messages.decode(there.receive(), scratch) == {"text": "x" * 900}
        Channel(raw).send(messages.encode({"text": "x" * 1000}, scratch))
        with pytest.raises(BadMessageError, match="a message of 1012 bytes"):
            there.receive()
    raw, theirs = socket.socketpair()
    with raw, theirs:
        Channel(raw).send(pack(np.zeros(3)))
        with pytest.raises(BadMessageError, match="a message with arrays"):
            Json(theirs).receive()


@pytest.mark.parametrize("body", [b"la", b"[1]", b"\xff", b"\x80\x05K\x01."])
def test_another_environments_messages_are_json_objects(scratch: messages.Scratch, body: bytes) -> None:
    with pytest.raises(BadMessageError, match=r"not (a )?JSON"):
        messages.decode(([body], []), scratch)


def test_audio_goes_beside_a_message_wherever_it_stands_in_it(scratch: messages.Scratch) -> None:
    mono, stereo = signals.noise(0.1, channels=1, sample_rate=8000), signals.noise(0.2)
    content = {"mix": stereo, "more": [{"vocals": mono}, 1.5, None, "audio"]}
    message = messages.encode(content, scratch)
    assert sum(map(len, message[0])) < 500
    received = messages.decode(message, scratch)
    assert received["more"][1:] == content["more"][1:]  # type: ignore[index]
    for there, here in ((received["mix"], stereo), (received["more"][0]["vocals"], mono)):
        np.testing.assert_array_equal(there.samples, here.samples)
        assert there.sample_rate == here.sample_rate
    with pytest.raises(TypeError, match="StemSet cannot be sent"):
        messages.encode({"stems": StemSet({"vocals": mono})}, scratch)


# --------------------------------------------------------------------------------------------------------- processes
def test_a_worker_that_cannot_be_imported_says_so() -> None:
    worker = Interpreter("mashkit.no_such_module")
    worker.allow(60.0)
    with pytest.raises(Lost) as raised:
        worker.receive()
    assert raised.value.reason == "ended with status 1"
    assert "\n  " in worker.last_words()
    assert "No module named mashkit.no_such_module" in worker.last_words()
    assert 1 <= len(worker.last_lines()) <= LAST_LINES
    worker.close()


def test_a_worker_that_says_nothing_is_given_up_and_killed_once() -> None:
    worker = Interpreter(WORKER)
    worker.allow(0.3)
    begun = time.monotonic()
    with pytest.raises(TimedOut) as raised:
        worker.receive()
    assert 0.3 <= time.monotonic() - begun < 10
    assert (raised.value.reason, raised.value.allowed_s) == ("was not done after 0.3 s", 0.3)
    worker.kill()
    assert worker.process.returncode == -signal.SIGKILL
    worker.allow(5.0)
    with pytest.raises(Lost, match="was ended by SIGKILL"):
        worker.receive()
    with pytest.raises(Lost, match="was ended by SIGKILL"):
        worker.send(pack("x" * 1_000_000))
    worker.close()
    worker.close()


def test_another_thread_may_end_the_wait() -> None:
    worker = Interpreter(WORKER)
    timer = threading.Timer(0.2, worker.kill)
    timer.start()
    worker.allow(60.0)
    with pytest.raises(Lost, match="was ended by SIGKILL"):
        worker.receive()
    timer.join()
    worker.close()


def test_a_worker_ends_with_the_last_reference() -> None:
    worker = Interpreter(WORKER)
    process = worker.process
    del worker
    gc.collect()
    assert process.wait(10) == -signal.SIGKILL


def test_how_it_ended_is_said_of_every_status() -> None:
    said = [how_it_ended(status) for status in range(-signal.NSIG + 1, 256)]
    assert len(set(said)) == len(said)
    assert how_it_ended(-signal.SIGKILL) == "was ended by SIGKILL"


def test_a_worker_that_a_signal_without_a_name_ends() -> None:
    worker = Interpreter(WORKER)
    worker.process.send_signal(signal.SIGRTMIN + 2)
    worker.allow(60.0)
    with pytest.raises(Lost, match=f"was ended by signal {signal.SIGRTMIN + 2}"):
        worker.receive()
    worker.close()


def test_what_cannot_be_started_leaves_nothing_open(tmp_path: Path) -> None:
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    with pytest.raises(OSError, match="No such file"):
        Interpreter(WORKER, python=tmp_path / "no-python")
    assert len(list(descriptors.iterdir())) == before
