"""One run at a time in a bucket, where nothing can be locked: an object that its holder writes again and again.

    free ──written where there is none──▶ held ──written again every sixth of its expiry──▶ held ──▶ released
                                            │
                                            └──unchanged for as long as its expiry──▶ taken over by another

Each write is made only in place of exactly the content that was read (generation precondition), so that of two who
write at once one succeeds. No clocks of two machines are compared: whoever waits has itself seen the object unchanged
for that long, and the holder gives up, by its own clock, when it has not managed to write for two thirds of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, OutageError, StorageError
from trainer.foundation.lock_holder import describe_this_process, has_ended
from trainer.foundation.run_lock import HeldError

_WRITES_AN_EXPIRY = 6
_GIVEN_UP_AFTER = 2 / 3
_LOOKS_AN_EXPIRY = 20
_LONGEST_PAUSE_S = 1.0


class LostError(HeldError):
    """Another run has taken the lock over while it was held here."""


class UnrenewedError(OutageError):
    """The lock could not be written for so long that another run may take it over."""


class BucketLock:
    """A lock that is held, renewed by a thread; see `bucket_lock`."""

    descriptor = None

    def __init__(self, held: storage.Generation, expiry_s: float, written_s: float):
        """Takes a lock's object as this process wrote it, and when it began to do so (`_now_s`)."""
        self._held, self._expiry_s, self._written_s = held, expiry_s, written_s
        self._lost: HeldError | None = None
        self._trouble = ""
        self._writing, self._ended = threading.Lock(), threading.Event()
        # A daemon: a process that was told to end must not wait for a bucket that gives no answer.
        self._thread = threading.Thread(target=self._renew_until_ended, name="lock", daemon=True)
        self._thread.start()

    def assert_held(self) -> None:
        """Raises where the lock is no longer ours, or was not renewed for too long.

        Raises:
            LostError: where another run has it.
            UnrenewedError: where another run may have it by now.
        """
        if self._lost is not None:
            raise self._lost
        silent_s = _now_s() - self._written_s
        if silent_s > _GIVEN_UP_AFTER * self._expiry_s:
            raise UnrenewedError(
                f"{self._held.uri}: could not be renewed for {silent_s:.0f} s, so that another run may take it over: "
                f"{self._trouble or 'this process was stopped'}; start again to go on"
            )

    def confirm(self) -> None:
        """Renews the lock now, and raises as `assert_held` does."""
        self.assert_held()
        self._renew()
        self.assert_held()

    def release(self) -> None:
        """Gives the lock back, unless another has it by now."""
        self._ended.set()
        self._thread.join(self._expiry_s)
        if self._lost is None and not self._thread.is_alive():
            try:
                self._held.replace(_RELEASED, self._patience_s)
            except StorageError as error:
                # Whatever was done under it is done; others wait until it has expired.
                print(f"note: {self._held.uri}: not released ({error})", file=sys.stderr)

    @property
    def _patience_s(self) -> float:
        return self._expiry_s / _WRITES_AN_EXPIRY

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._expiry_s / _WRITES_AN_EXPIRY) and self._lost is None:
            self._renew()

    def _renew(self) -> None:
        with self._writing:
            began_s = _now_s()
            try:
                assert self._held.content is not None
                self._held, self._written_s = self._held.replace(self._held.content, self._patience_s), began_s
            except storage.ChangedError:
                self._lost = LostError(
                    f"{self._held.uri}: another run has taken the lock over, since this one did not renew it in time; "
                    "this one ends, the other goes on with the round"
                )
            except StorageError as error:
                self._trouble = str(error)


_RELEASED = b"{}\n"


@contextmanager
def bucket_lock(uri: str, expiry_s: float) -> Iterator[BucketLock]:
    """Holds a lock until the block ends.

    A holder whose process can be seen from here, and has ended, is replaced at once; one that can't be seen is watched.

    Args:
        uri: the lock's object, in `gs://`.
        expiry_s: how long it must stay unchanged until another may take it over.

    Raises:
        HeldError: while another process holds it.
        ConfigurationError: where `uri` is something else than a lock.
        StorageError: for a bucket that is absent or can't be written to.
    """
    holder = {**describe_this_process(), "expiry_s": expiry_s, "token": uuid.uuid4().hex}
    lock = BucketLock(*_acquire(uri, json.dumps(holder).encode() + b"\n", expiry_s))
    try:
        yield lock
    finally:
        lock.release()


def _acquire(uri: str, content: bytes, expiry_s: float) -> tuple[storage.Generation, float, float]:
    seen = storage.read_generation(uri)
    seen_s, said = _now_s(), False
    while True:
        holder = _holder_of(seen)
        if not holder or has_ended(holder) or _now_s() - seen_s > holder["expiry_s"]:
            began_s = _now_s()
            try:
                return seen.replace(content), expiry_s, began_s
            except storage.ChangedError as error:
                raise HeldError(f"{uri}: another run was faster: {_named(storage.read_generation(uri))}") from error
        if has_ended(holder) is False:
            raise HeldError(f"{uri}: held by another run: {_named(seen)}")
        if not said:
            print(
                f"{uri}: held by another run: {_named(seen)}; it is taken over if nobody renews it within "
                f"{holder['expiry_s']:g} s",
                file=sys.stderr,
                flush=True,
            )
            said = True
        time.sleep(min(holder["expiry_s"] / _LOOKS_AN_EXPIRY, _LONGEST_PAUSE_S))
        found = storage.read_generation(uri)
        if found.number != seen.number:
            if _holder_of(found):
                raise HeldError(f"{uri}: held by another run: {_named(found)}")
            seen = found


def _holder_of(lock: storage.Generation) -> dict[str, Any]:
    """What a lock says of its holder; nothing where it is free.

    Raises:
        ConfigurationError: where it is no lock.
    """
    if lock.content is None:
        return {}
    try:
        holder: dict[str, Any] = json.loads(lock.content)
        if holder:
            holder["expiry_s"] = float(holder["expiry_s"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{lock.uri}: is no lock of this program; remove it") from error
    return holder


def _named(lock: storage.Generation) -> str:
    return ", ".join(f"{key} {value}" for key, value in _holder_of(lock).items() if key in ("host", "pid", "started"))


def _now_s() -> float:
    # While a machine is suspended Linux's monotonic clock stands still, and this one doesn't.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
