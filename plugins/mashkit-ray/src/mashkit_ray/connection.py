"""A connection to a cluster: the program's own, a cluster that is joined, or a cluster that is started and ended."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker

from mashkit.errors import ComponentUnavailable

ANSWER_S = 10.0
"""Seconds within which a cluster must answer."""

_lock = threading.Lock()
_users = 0
_ours: contextlib.ExitStack | None = None
"""The steps that end the connection; None if the program made the connection itself."""


@contextlib.contextmanager
def connected(address: str | None, num_cpus: int | None, num_gpus: int | None, *, log: bool) -> Iterator[None]:
    """Connect to a cluster inside the block; a process has only one connection, which its blocks share.

    Parameters
    ----------
    address : str, optional
        Address of a cluster to join; None starts a cluster, which ends with the last block.
    num_cpus, num_gpus : int, optional
        Cores and GPUs of a cluster that is started.
    log : bool
        True prints here what workers print.

    Raises
    ------
    ComponentUnavailable
        If there is no cluster at the address, or if none can be started.
    """
    global _users, _ours
    with _lock:
        if not ray.is_initialized():
            with contextlib.ExitStack() as made:
                if address is None:
                    _start(made, num_cpus, num_gpus, log=log)
                else:
                    _join(made, address, log=log)
                _ours = made.pop_all()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _ours is not None:
                _ours.close()
                _ours = None


def _join(made: contextlib.ExitStack, address: str, *, log: bool) -> None:
    try:
        host, colon, port = address.rpartition(":")
        if colon and port.isdigit() and "/" not in address:
            # Checked first, because Ray waits minutes for an address that does not answer.
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
        _init(made, address, log=log)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own errors
        raise ComponentUnavailable(
            f"executor 'ray': no cluster at {address!r}: {_first_line(error)}",
            "start one with `ray start --head`, or leave the option address out",
        ) from error


def _start(made: contextlib.ExitStack, num_cpus: int | None, num_gpus: int | None, *, log: bool) -> None:
    # A short path, because names of sockets in it have at most 107 bytes; Ray's default folder would keep all logs.
    folder = tempfile.mkdtemp(prefix="ray-")
    made.callback(shutil.rmtree, folder, ignore_errors=True)
    # Ray listens on all addresses except on macOS and Windows. It has no option for this, so its constant is replaced.
    loopback = _replaced(ray_constants, "ENABLE_RAY_CLUSTER", False)
    try:
        with loopback:
            _init(
                made, "local", log=log, num_cpus=num_cpus, num_gpus=num_gpus, include_dashboard=False, _temp_dir=folder
            )
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own errors
        raise ComponentUnavailable(f"executor 'ray': a cluster cannot be started here: {_first_line(error)}") from error


def _init(made: contextlib.ExitStack, address: str, *, log: bool, **arguments: Any) -> None:
    show = getattr(ray_worker, "print_to_stdstream", None)

    def on_stderr(data: Any, *others: Any, **named: Any) -> None:
        if log and show is not None:
            show({**data, "is_err": True}, *others, **named)

    # Ray prints workers' output and lost workers on standard output, which is for data; they go to stderr instead.
    made.enter_context(_replaced(ray_worker, "print_to_stdstream", on_stderr))
    ray.init(address, log_to_driver=log, logging_level=logging.ERROR, **arguments)
    made.callback(ray.shutdown)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Replace a module's value inside the block, if this version of Ray has the name."""
    missing = object()
    before = getattr(module, name, missing)
    if before is missing:
        yield
        return
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
