"""One run at a time in a directory: a file lock for a local directory, a lease for one in a bucket.

    free ──written if absent──▶ held ──rewritten every third of its expiry──▶ held ──▶ free
                                  │
                                  └──unchanged for as long as its expiry──▶ taken over by another

A lease replaces exactly the content that was read (generation precondition), so that of two processes that write at
once only one succeeds. Clocks of two machines are never compared: a waiting process has itself seen the object
unchanged. A holder that was suspended for longer than the expiry learns of it when it checks, so it checks before it
publishes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_HELD, CineAffectError, ConfigurationError, StorageError

LOCK = "retrain.lock"
AssertHeld = Callable[[], None]
_FREE = b"{}\n"


class HeldError(CineAffectError):
    """Another run is working in the directory."""

    exit_code = EXIT_HELD


@contextmanager
def only_run(directory: str, expiry_s: float) -> Iterator[AssertHeld]:
    """Holds the lock of a directory until the `with` block ends; yields a function that checks that it is still held.

    Args:
        directory: the directory, local or `gs://`.
        expiry_s: see `lease`; a local lock needs none, since it ends with the process that holds it.

    Raises:
        HeldError: if another process holds it.
    """
    if storage.is_remote(directory):
        with lease(storage.join(directory, LOCK), expiry_s) as assert_held:
            yield assert_held
        return
    path = Path(directory) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield lambda: None
    except Timeout as error:
        raise HeldError(f"{path}: held by another run") from error


@contextmanager
def lease(uri: str, expiry_s: float) -> Iterator[AssertHeld]:
    """Holds a lease in a bucket until the `with` block ends; yields a function that checks that it is still held.

    Args:
        uri: the lease's object.
        expiry_s: how many seconds it must stay unchanged until another process may take it over.

    Raises:
        HeldError: if another process holds it; the check also raises it, if another process has taken it over.
        ConfigurationError: if `uri` is no lease.
        StorageError: if the bucket is absent or can't be written to.
    """
    held, writing, ended = _take(uri, expiry_s), threading.Lock(), threading.Event()

    def write(content: bytes) -> None:
        nonlocal held
        with writing:
            try:
                held = held.replace(content, expiry_s / 3)
            except storage.ChangedError as error:
                raise HeldError(f"{uri}: another run has taken this over, since it wasn't renewed in time") from error

    def renew() -> None:
        while not ended.wait(expiry_s / 3):
            with suppress(StorageError, HeldError):  # the check raises the same
                write(content)

    content = held.content or b""
    # A daemon: a process that is asked to end must not wait for a bucket that doesn't answer.
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield lambda: write(content)
    finally:
        ended.set()
        thread.join(expiry_s)
        with suppress(StorageError, HeldError):  # the work under it is done; others wait until it expires
            write(_FREE)


def _take(uri: str, expiry_s: float) -> storage.Generation:
    own = {"host": socket.gethostname(), "pid": os.getpid(), "expiry_s": expiry_s, "token": uuid.uuid4().hex}
    seen = storage.read_generation(uri)
    if seen.content not in (None, _FREE):
        seen = _wait_for_expiry(seen)
    try:
        return seen.replace(json.dumps(own).encode() + b"\n")
    except storage.ChangedError as error:
        raise HeldError(f"{uri}: another run was faster") from error


def _wait_for_expiry(seen: storage.Generation) -> storage.Generation:
    """Returns the lease once nobody holds it any more; raises HeldError if its holder renews it."""
    try:
        holder = json.loads(seen.content or b"")
        text, expiry_s = f"held by host {holder['host']}, pid {holder['pid']}", float(holder["expiry_s"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{seen.uri}: is no lock of this program; remove it") from error
    print(f"{seen.uri}: {text}; taken over unless it is renewed within {expiry_s:g} s", file=sys.stderr, flush=True)
    until_s = time.monotonic() + expiry_s
    while time.monotonic() < until_s:
        time.sleep(min(expiry_s / 20, 1.0))
        found = storage.read_generation(seen.uri)
        if found.content in (None, _FREE):
            return found
        if found.number != seen.number:
            raise HeldError(f"{seen.uri}: {text}")
    return seen
