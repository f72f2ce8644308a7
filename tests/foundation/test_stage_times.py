"""Where the time goes: a stage counts for itself alone, once, on several threads too, and if it fails."""

from __future__ import annotations

import json
import threading
import time

import pytest

from beam_pipelines.foundation.stage_times import (
    REST,
    add_times,
    count,
    count_times,
    largest_shares,
    stage,
    sum_of,
    to_json,
)

BUSY_MS = 20.0


def work(ms: float = BUSY_MS) -> None:
    """Takes so many milliseconds of this thread's processor."""
    until_s = time.thread_time() + ms / 1000
    while time.thread_time() < until_s:
        sum(range(100))


def test_a_stage_within_a_stage_counts_for_itself_and_waiting_costs_nothing():
    began_s = time.process_time()
    with count_times() as times:
        work()
        with stage("outer", 2, 10):
            work()
            with stage("inner", 1):
                work(2 * BUSY_MS)
                count(3, 7)
            time.sleep(0.1)
        with stage("outer", 1, 5):
            pass
    all_ms = 1000 * (time.process_time() - began_s)
    assert {name: spent[:2] for name, spent in times.items()} == {REST: (0, 0), "outer": (3, 15), "inner": (4, 7)}
    assert BUSY_MS <= times[REST][2] < 3 * BUSY_MS
    assert BUSY_MS <= times["outer"][2] < 3 * BUSY_MS
    assert 2 * BUSY_MS <= times["inner"][2] < 4 * BUSY_MS
    assert sum(ms for _, _, ms in times.values()) <= all_ms


def test_what_fails_counts_too_and_what_nobody_counts_is_left_alone():
    @stage("decorated", 1)
    def fails() -> None:
        work()
        raise ValueError("no film")

    with count_times() as times:
        add_times({"decoding": [2, 30, 4.5]})
        with pytest.raises(ValueError, match="no film"):
            fails()
    assert times["decoding"] == (2, 30, 4.5)
    assert times["decorated"][:2] == (1, 0)
    assert times["decorated"][2] >= BUSY_MS
    before = dict(times)
    with pytest.raises(ValueError, match="no film"):
        fails()
    count(1, 1)
    add_times(before)
    assert times == before
    with count_times(), pytest.raises(RuntimeError, match="already"), count_times():
        pass


def test_threads_that_work_on_films_at_once_count_no_time_twice():
    started, found = threading.Barrier(3, timeout=60), []

    def film() -> None:
        with count_times() as times:
            started.wait()
            with stage("network", 1):
                work(3 * BUSY_MS)
            started.wait()
        found.append(times)

    threads = [threading.Thread(target=film) for _ in range(3)]
    began_s = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_ms = 1000 * (time.process_time() - began_s)
    items, _, ms = sum_of(found)["network"]
    assert items == 3
    assert 9 * BUSY_MS <= ms <= all_ms


def test_a_film_alone_counts_the_threads_that_work_for_it():
    with count_times() as times, stage("network"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert times["network"][2] >= BUSY_MS


def test_the_line_names_the_three_largest_shares():
    films = [{"image network": (3, 10, 40.04), "scaling": (1, 2, 5.0)}, {"image network": (1, 5, 4.0), REST: (0, 0, 1)}]
    films += [{"face detector": (4, 9, 25.0), "picture decoding": (7, 8, 25.5)}, {}]
    times = to_json(sum_of(films))
    assert times["image network"] == {"items": 4, "bytes": 15, "ms": 44.0}
    line = "image network 44 %, picture decoding 25 %, face detector 25 % of "
    assert largest_shares(json.loads(json.dumps(times)), film_s=0.5) == [("time", line + "201 core ms a film second")]
    assert largest_shares(times, film_s=100.0) == [("time", line + "1.0 core ms a film second")]
    assert largest_shares(times, film_s=0.0) == [], "where no film was done, it says nothing"
    assert largest_shares({}, film_s=10.0) == []
