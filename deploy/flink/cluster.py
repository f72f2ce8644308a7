"""A Flink cluster on this machine: a JobManager, TaskManagers and Beam's job server, one process each.

    python deploy/flink/cluster.py fetch --cache ~/flink                         # once: 0.3 GB, every hash is checked
    python deploy/flink/cluster.py run --cache ~/flink -- cineaffect score …     # starts it, runs a job on it, stops it

    python deploy/flink/cluster.py start --cache ~/flink --home cluster          # or in three steps
    cineaffect score … $(python deploy/flink/cluster.py options --home cluster)
    python deploy/flink/cluster.py stop --home cluster

It needs Java 17. The job's own code runs in Python processes next to each TaskManager, which starts them itself
(`environment_type=PROCESS`). Other TaskManagers take over the work of a killed one: slots are left free for that, and
the restart strategy is set. `options --home` prints the options that a job needs.

A worker pool (`EXTERNAL`) must serve only one TaskManager: all TaskManagers give their workers the same numbers, and
one that shares a pool stops the other's workers, so that its job hangs. On one machine only PROCESS is possible.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import fetch
from flink_processes import (
    WORKER,
    ClusterError,
    Launcher,
    answers,
    ask,
    end,
    find_java,
    free_port,
    is_ours,
    write_configuration,
)

STATE = "cluster.json"
JOB_SERVER = "jobserver"
WORKER_KEPT_MS = 10_000
"""How long a Python worker without work waits for the job's next step. Without it, each step starts workers of its own,
3 to 10 s of a core each."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        home: its directory: configuration, logs, `cluster.json`.
        processes: name -> process id.
        rest_port: port of the JobManager's own interface and page.
        job_port: port of Beam's job server.
        options: the options with which a Beam job runs there.
    """

    home: Path
    processes: dict[str, int]
    rest_port: int
    job_port: int
    options: list[str]

    def task_managers(self) -> int:
        """The number of TaskManagers that the JobManager counts at the moment."""
        return int(ask(self.rest_port, "/overview")["taskmanagers"])


def start(cache: Path, home: Path, task_managers: int = 2, slots: int = 2, parallelism: int = 2) -> Cluster:
    """Starts everything and returns when all TaskManagers have reported.

    Args:
        cache: the folder of the jars from `fetch`.
        home: a directory for this cluster only.
        task_managers: number of TaskManagers.
        slots: slots of each; slots beyond `parallelism` stay free in case a TaskManager is lost.
        parallelism: the parallelism of a job.

    Raises:
        ClusterError: if Java or a jar is absent, a cluster runs in `home` already, or a process ends at once.
    """
    launch = launcher(cache, home)
    if running(home):
        raise ClusterError(f"{home}: a cluster runs here already; stop it, or take another --home")
    (home / "log").mkdir(parents=True, exist_ok=True)
    rest, rpc, job = (free_port() for _ in range(3))
    write_configuration(home, rest, rpc, slots)
    try:
        launch.java("jobmanager", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", "JM")
        for number in range(task_managers):
            launch.task_manager(f"taskmanager{number}")
        launch.job_server(JOB_SERVER, rest, job)
        options = [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{job}",
            "--environment_type=PROCESS",
            "--environment_config=" + json.dumps({"command": str(home / WORKER)}, separators=(",", ":")),
            f"--parallelism={parallelism}",
            f"--environment_cache_millis={WORKER_KEPT_MS}",
        ]
        cluster = Cluster(home, launch.pids(), rest, job, options)
        _write_state(cluster)
        launch.wait_until(lambda: cluster.task_managers() == task_managers and answers(job))
    except BaseException:
        end(home, launch.pids())
        raise
    return cluster


def launcher(cache: Path, home: Path) -> Launcher:
    """What starts the processes of the cluster in `home`; errors as for `start`."""
    return Launcher(home, find_java(), fetch.flink_folder(cache), fetch.beam_folder(cache))


def replace(cluster: Cluster, cache: Path, name: str) -> Cluster:
    """Starts a process again that has ended: a TaskManager, or the job server at the same port. It writes the same log.

    Args:
        cluster: the cluster.
        cache: the folder of the jars from `fetch`.
        name: the process, as `cluster.processes` names it.

    Returns:
        The cluster with the new process, which needs some seconds until it can work.
    """
    launch = launcher(cache, cluster.home)
    if name == JOB_SERVER:
        launch.job_server(name, cluster.rest_port, cluster.job_port)
    else:
        launch.task_manager(name)
    cluster = dataclasses.replace(cluster, processes={**cluster.processes, **launch.pids()})
    _write_state(cluster)
    return cluster


def running(home: Path) -> Cluster | None:
    """The cluster that was started with this directory, or None if none of its processes is left."""
    try:
        state = json.loads((home / STATE).read_text())
    except FileNotFoundError:
        return None
    cluster = Cluster(home, **state)
    return cluster if any(is_ours(pid, home) for pid in cluster.processes.values()) else None


def stop(home: Path) -> None:
    """Ends every process of the cluster in `home`, and the workers that its TaskManagers have started."""
    cluster = running(home)
    if cluster:
        end(home, cluster.processes)
    (home / STATE).unlink(missing_ok=True)


def _write_state(cluster: Cluster) -> None:
    state = {key: value for key, value in vars(cluster).items() if key != "home"}
    (cluster.home / STATE).write_text(json.dumps(state, indent=2) + "\n")


def _fetch(parsed: argparse.Namespace, _: list[str]) -> int:
    fetch.fetch(parsed.cache, parsed.maven)
    return 0


def _start(parsed: argparse.Namespace, _: list[str]) -> int:
    cluster = start(parsed.cache, parsed.home.resolve(), parsed.task_managers, parsed.slots, parsed.parallelism)
    print(f"page: http://localhost:{cluster.rest_port}   logs: {cluster.home / 'log'}")
    print(f"give a job these options: {shlex.join(cluster.options)}")
    return 0


def _options(parsed: argparse.Namespace, _: list[str]) -> int:
    cluster = running(parsed.home.resolve())
    if cluster is None:
        raise ClusterError(f"{parsed.home}: no cluster runs here; start one")
    print(*cluster.options)
    return 0


def _stop(parsed: argparse.Namespace, _: list[str]) -> int:
    stop(parsed.home.resolve())
    return 0


def _run(parsed: argparse.Namespace, job: list[str]) -> int:
    if not job:
        raise ClusterError("run: name the job after --, for example: -- cineaffect extract --films films --output out")
    # If a scheduler or a time limit ends this process, the cluster ends too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with nullcontext(parsed.home) if parsed.home else tempfile.TemporaryDirectory(prefix="cineaffect-flink-") as folder:
        home = Path(folder).resolve()
        cluster = start(parsed.cache, home, parsed.task_managers, parsed.slots, parsed.parallelism)
        try:
            return subprocess.run([*job, *cluster.options], check=False).returncode
        finally:
            stop(home)


_COMMANDS = {"fetch": _fetch, "start": _start, "options": _options, "stop": _stop, "run": _run}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        if name in ("fetch", "start", "run"):
            command.add_argument("--cache", type=Path, required=True, help="folder of the fetched jars")
        if name == "fetch":
            command.add_argument("--maven", default=fetch.MAVEN_CENTRAL, help="Maven Central or a mirror of it")
        if name in ("start", "options", "stop"):
            command.add_argument("--home", type=Path, required=True, help="the cluster's own directory")
        if name == "run":
            command.add_argument("--home", type=Path, help="the cluster's own directory, kept with its logs afterwards")
        if name in ("start", "run"):
            command.add_argument("--task-managers", type=int, default=2)
            command.add_argument("--slots", type=int, default=2, help="of each TaskManager")
            command.add_argument("--parallelism", type=int, default=2, help="of a job; leave slots free")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; for `run` it is the job's."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    job = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    parsed = _parser().parse_args(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    try:
        return int(_COMMANDS[parsed.command](parsed, job))
    except (ClusterError, fetch.FetchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
