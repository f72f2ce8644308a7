"""What the soak kills or makes to fail, and how it comes back: TaskManagers, workers, the job server, the storage."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.faulty_proxy import UNAVAILABLE, Fault, FaultyProxy
from tests.support.flink_cluster import children, fetched_jars
from tests.support.gcs_emulator import EmulatorProcess

LONG_OUTAGE_S = (125.0, 140.0)
"""Google's client repeats a listing, a question or a removal for 120 s; the transfers of this project for 1,800 s."""
_CUT_AT_ONCE = Fault(cut_request_after_bytes=0)
_REQUESTS_END_S = 0.3


class Storage:
    """The storage emulator, with its objects in a folder, behind a proxy whose address alone is known to others."""

    def __init__(self, folder: Path, proxy: FaultyProxy, ended: threading.Event):
        self.folder, self.proxy, self._ended = folder, proxy, ended
        self.process = EmulatorProcess(external_url=proxy.url, kept_in=folder)
        proxy.server_port = self.process.port

    def kinds(self, draws: random.Random) -> Mapping[str, tuple[float, Callable[[], bool]]]:
        """Name of a fault -> its weight, and what makes it."""
        return {
            "storage killed": (2, lambda: self.killed(_seconds(draws))),
            "storage answers 503": (3, lambda: self.unavailable(_seconds(draws))),
            "connections to the storage cut": (4, lambda: self.cut(_cuts(draws))),
            "storage answers 503 for 125 to 140 s": (0.4, lambda: self.unavailable(draws.uniform(*LONG_OUTAGE_S))),
        }

    def killed(self, for_s: float) -> bool:
        """Kills it, and starts it again after some seconds."""
        # The emulator writes an object and what it knows of it one after the other: killed in between it can't be
        # started again. So requests are cut off first, and those that have arrived may end.
        self.proxy.otherwise = _CUT_AT_ONCE
        self.proxy.close_connections()
        time.sleep(_REQUESTS_END_S)
        self.process.kill()
        self._ended.wait(for_s)
        self.process.start()
        self.proxy.otherwise = Fault()
        return True

    def unavailable(self, for_s: float) -> bool:
        """Lets every request be answered with 503 for some seconds."""
        self.proxy.otherwise = UNAVAILABLE
        self.proxy.close_connections()
        self._ended.wait(for_s)
        self.proxy.otherwise = Fault()
        return True

    def cut(self, faults: list[Fault]) -> bool:
        """Cuts the next connections somewhere."""
        self.proxy.harm(*faults)
        return True


class Victims:
    """A Flink cluster whose processes are killed and started again.

    Attributes:
        cluster: the cluster as it is now.
        lost_job_servers: how many job servers were killed.
        groups: process groups of killed TaskManagers; their workers must end by themselves.
    """

    def __init__(self, home: Path, task_managers: int, ended: threading.Event):
        self._cache = fetched_jars()
        import cluster  # the project's own script, which `fetched_jars` has made known

        self._script, self._ended = cluster, ended
        self.cluster: Any = cluster.start(self._cache, home, task_managers)
        self.lost_job_servers = 0
        self.groups: list[int] = []

    def kinds(self, draws: random.Random) -> Mapping[str, tuple[float, Callable[[], bool]]]:
        """Name of a fault -> its weight, and what makes it."""
        return {
            "TaskManager killed": (2, lambda: self.task_manager_killed(draws, draws.uniform(0.5, 8))),
            "worker killed": (2, lambda: self.worker_killed(draws)),
            "job server killed": (1, lambda: self.job_server_killed(draws.uniform(0.5, 8))),
        }

    def task_managers(self) -> dict[str, int]:
        """Name -> process id of those that run."""
        running = {name: pid for name, pid in self.cluster.processes.items() if name.startswith("taskmanager")}
        return {name: pid for name, pid in running.items() if self._script.is_ours(pid, self.cluster.home)}

    def task_manager_killed(self, draws: random.Random, for_s: float) -> bool:
        """Kills a TaskManager, and starts another one after some seconds; False if too few run."""
        running = self.task_managers()
        if len(running) < 2:
            return False
        name = draws.choice(sorted(running))
        os.kill(running[name], signal.SIGKILL)
        self.groups.append(running[name])
        self._again(name, for_s)
        return True

    def worker_killed(self, draws: random.Random) -> bool:
        """Kills a Python worker of a TaskManager; False if none runs."""
        workers = [int(child) for pid in self.task_managers().values() for child in children(pid)]
        if not workers:
            return False
        with suppress(ProcessLookupError):
            os.kill(draws.choice(workers), signal.SIGKILL)
            return True
        return False

    def job_server_killed(self, for_s: float) -> bool:
        """Kills the job server, and starts it again after some seconds."""
        os.kill(self.cluster.processes[self._script.JOB_SERVER], signal.SIGKILL)
        self.lost_job_servers += 1
        self._again(self._script.JOB_SERVER, for_s)
        return True

    def jobs(self) -> list[str]:
        """The ids of the jobs that the cluster has not ended yet."""
        jobs = self._script.ask(self.cluster.rest_port, "/jobs")["jobs"]
        return [job["id"] for job in jobs if job["status"] not in ("FINISHED", "FAILED", "CANCELED")]

    def cancel_jobs(self) -> int:
        """Cancels what still runs, as the owner of a cluster does after a job server was lost; how many jobs."""
        jobs = self.jobs()
        for job in jobs:
            self._script.ask(self.cluster.rest_port, f"/jobs/{job}?mode=cancel", "PATCH")
        deadline_s = time.monotonic() + 120
        while self.jobs() and time.monotonic() < deadline_s:
            time.sleep(0.5)
        return len(jobs)

    def accepts_jobs(self) -> bool:
        """Whether the job server listens."""
        return bool(self._script.answers(self.cluster.job_port))

    def orphans(self) -> list[int]:
        """Process groups of killed TaskManagers that still have a process."""
        return [group for group in self.groups if _has_process(group)]

    def stop(self) -> None:
        """Ends everything."""
        self._script.stop(self.cluster.home)
        for group in self.orphans():
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _again(self, name: str, for_s: float) -> None:
        self._ended.wait(for_s)
        self.cluster = self._script.replace(self.cluster, self._cache, name)


class Faults:
    """Makes faults of some kinds at random moments, in a thread of its own.

    Attributes:
        counts: kind -> how many were made.
    """

    def __init__(
        self,
        kinds: Mapping[str, tuple[float, Callable[[], bool]]],
        draws: random.Random,
        every_s: float,
        ended: threading.Event,
        broken: list[str],
    ):
        self.counts: Counter[str] = Counter()
        self._kinds, self._draws, self._every_s, self._ended = kinds, draws, every_s, ended
        self._broken = broken
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def join(self) -> None:
        """Waits until the last fault is over; `ended` must be set."""
        self._thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No fault happens until the block ends."""
        with self._one_at_a_time:
            yield

    def _run(self) -> None:
        names = list(self._kinds)
        while not self._ended.wait(self._draws.expovariate(1 / self._every_s)):
            name = self._draws.choices(names, [self._kinds[name][0] for name in names])[0]
            with self._one_at_a_time:
                try:
                    made = self._kinds[name][1]()
                except Exception:  # noqa: BLE001 - the soak's own fault, which ends it with this text
                    self._broken.append(f"{name}: {traceback.format_exc()}")
                    return
            if made:
                self.counts[name] += 1
                print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)


def _seconds(draws: random.Random) -> float:
    """How long the storage is away: 0.5 to 20 s, short more often than long."""
    return float(0.5 * 40 ** draws.random())


def _cuts(draws: random.Random) -> list[Fault]:
    places = [round(20_000 ** draws.random()) for _ in range(draws.randint(1, 20))]
    kinds = draws.choices(("cut_request_after_bytes", "cut_answer_after_bytes"), k=len(places))
    return [Fault(**{kind: place}) for kind, place in zip(kinds, places, strict=True)]


def _has_process(group: int) -> bool:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                return True
    return False
