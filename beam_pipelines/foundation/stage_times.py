"""Where a job's time goes: each stage counts items, bytes and milliseconds, for the film that this thread works on.

    with count_times() as times:                                    # one film, or one segment of it
        with stage("face detector", len(images), images.nbytes):    # one batch
            …
    times                                  # {"face detector": (8, 3110400, 412.7), "rest": (0, 0, 3.1)}

A millisecond is one of a processor core. A stage within a stage counts for itself alone, and waiting costs nothing.
While one film is at work in a process, the time is that of all its threads. While several are, each counts its own
thread, so that no time counts twice: then what an engine computes in threads of its own is missing. A GPU's time is in
neither. Outside `count_times` nothing is counted. A stage costs five microseconds: it belongs around a batch or a
picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

STARTING, READING, PROBING, SCALING, WRITING, REST = "starting", "reading", "probing", "scaling", "writing", "rest"
"""The stages that several modules name; the last one is what a film takes beside its stages."""

StageTimes = dict[str, tuple[int, int, float]]
"""Stage -> items, bytes, milliseconds: small, plain, and a sum of two is one again (`sum_of`)."""

_SHOWN = 3


class _Tally:
    """The times of one film, and the stages that are open, the innermost last."""

    def __init__(self, rest: str):
        self.times: StageTimes = {}
        self.open = [rest]
        self.since = _now()

    def charge(self) -> None:
        """Gives the time since the last charge to the innermost stage."""
        before, self.since = self.since, _now()
        is_alone = _AT_WORK.films == 1 and before[2] == self.since[2]
        clock = 1 if is_alone else 0
        _add(self.times, self.open[-1], 0, 0, 1000 * (self.since[clock] - before[clock]))


class _AtWork:
    """How many films are at work in this process, and how often that number has changed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.films = self.changes = 0

    def change(self, by: int) -> None:
        with self.lock:
            self.films += by
            self.changes += 1


_AT_WORK = _AtWork()
_OF_THREAD = threading.local()


def _add(times: StageTimes, name: str, items: int, size_bytes: int, ms: float) -> None:
    before = times.get(name, (0, 0, 0.0))
    times[name] = (before[0] + items, before[1] + size_bytes, before[2] + ms)


def _now() -> tuple[float, float, int]:
    return time.thread_time(), time.process_time(), _AT_WORK.changes


def _tally() -> _Tally | None:
    return getattr(_OF_THREAD, "tally", None)


@contextmanager
def count_times(rest: str = REST) -> Iterator[StageTimes]:
    """Counts what this thread does within the `with` block, also if it ends with an error; the times are whole then.

    Args:
        rest: the stage that has what is done outside all stages.
    """
    if _tally() is not None:
        raise RuntimeError("this thread counts the times of a film already")
    _AT_WORK.change(1)
    tally = _OF_THREAD.tally = _Tally(rest)
    try:
        yield tally.times
    finally:
        tally.charge()
        _OF_THREAD.tally = None
        _AT_WORK.change(-1)


@contextmanager
def stage(name: str, items: int = 0, size_bytes: int = 0) -> Iterator[None]:
    """Counts the `with` block, or a function that it decorates, for a stage; what fails counts too."""
    tally = _tally()
    if tally is None:
        yield
        return
    tally.charge()
    tally.open.append(name)
    _add(tally.times, name, items, size_bytes, 0.0)
    try:
        yield
    finally:
        tally.charge()
        tally.open.pop()


def count(items: int = 0, size_bytes: int = 0) -> None:
    """Counts items and bytes for the innermost stage."""
    tally = _tally()
    if tally is not None:
        _add(tally.times, tally.open[-1], items, size_bytes, 0.0)


def add_times(times: Mapping[str, Iterable[Any]]) -> None:
    """Adds what another process or an earlier step has counted for this film."""
    tally = _tally()
    if tally is not None:
        for name, (items, size_bytes, ms) in times.items():
            _add(tally.times, name, items, size_bytes, ms)


def sum_of(many: Iterable[StageTimes]) -> StageTimes:
    """The sum of the times of several films."""
    total: StageTimes = {}
    for times in many:
        for name, (items, size_bytes, ms) in times.items():
            _add(total, name, items, size_bytes, ms)
    return total


def to_json(times: StageTimes) -> dict[str, dict[str, float]]:
    """Times as a run's manifest has them."""
    return {name: {"items": items, "bytes": size, "ms": round(ms, 1)} for name, (items, size, ms) in times.items()}


def largest_shares(times: Mapping[str, Mapping[str, float]], film_s: float) -> list[tuple[str, str]]:
    """The three stages that took most, as a line `time` of a run's summary; empty if no film was done.

    Args:
        times: those of a manifest.
        film_s: the seconds of film that were done in that time.
    """
    ms = {name: each["ms"] for name, each in times.items()}
    whole = sum(ms.values())
    if not whole or not film_s:
        return []
    largest = sorted(ms, key=lambda name: (-ms[name], name))[:_SHOWN]
    shares = ", ".join(f"{name} {100 * ms[name] / whole:.0f} %" for name in largest)
    each_ms = whole / film_s
    return [("time", f"{shares} of {each_ms:.{0 if each_ms >= 10 else 1}f} core ms a film second")]
