"""Runs a real Flink cluster for tests, with the project's own script; a TaskManager of it can be killed.

The jars lie in the folder CINEAFFECT_FLINK_CACHE, or else in ~/.cache/cineaffect-flink, and are fetched where absent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "flink"
_KILL_TIMEOUT_S = 600.0


def fetched_jars() -> Path:
    """Where the jars lie, fetched where they are absent; `cluster` and `fetch` can be imported then.

    Raises:
        RuntimeError: `cluster.ClusterError` or `fetch.FetchError`, where Java or the jars can't be had.
    """
    if str(DEPLOY) not in sys.path:
        sys.path.insert(0, str(DEPLOY))
    import cluster
    import fetch

    cache = Path(os.environ.get("CINEAFFECT_FLINK_CACHE", Path.home() / ".cache" / "cineaffect-flink"))
    cluster.find_java()
    fetch.fetch(cache)
    return cache


def jars_folder() -> Path:
    """The same; skips the test where Java or the jars can't be had, saying so."""
    try:
        return fetched_jars()
    except RuntimeError as error:  # both errors are
        pytest.skip(f"needs a Flink cluster: {error}")


@contextmanager
def running_cluster(home: Path, task_managers: int) -> Iterator[object]:
    """A cluster until the block ends; skips the test where Java or the jars can't be had, and says which.

    Args:
        home: an empty folder for it.
        task_managers: with two slots each.
    """
    cache = jars_folder()
    import cluster

    try:
        yield cluster.start(cache, home, task_managers)
    finally:
        cluster.stop(home)


@contextmanager
def busy_task_manager_killed(cluster, is_time: Callable[[], bool]) -> Iterator[list[int]]:
    """Kills (SIGKILL) a TaskManager with a worker at work as soon as `is_time` says so; gives its process id.

    Workers of an earlier job, which may wait for some seconds still, don't count.
    """
    killed: list[int] = []
    earlier = {worker for pid in _task_managers(cluster) for worker in children(pid)}
    ended = threading.Event()

    def wait_and_kill() -> None:
        deadline_s = time.monotonic() + _KILL_TIMEOUT_S
        while not ended.wait(0.005) and time.monotonic() < deadline_s:
            busy = [pid for pid in _task_managers(cluster) if not earlier.issuperset(children(pid))]
            if busy and is_time():
                os.kill(busy[0], signal.SIGKILL)
                killed.append(busy[0])
                return

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def _task_managers(cluster) -> list[int]:
    return [pid for name, pid in cluster.processes.items() if name.startswith("taskmanager")]


def children(pid: int) -> list[str]:
    """The process ids of a process's children."""
    found = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        try:
            found += path.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # that thread has just ended
    return found
