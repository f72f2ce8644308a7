"""The processes of a Flink cluster on this machine: starting, configuring, awaiting and ending them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

JAVA_VERSION = 17
WORKER = "worker"
WORKER_PROGRAM = Path(__file__).resolve().with_name("worker.py")
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 0.1

CONFIGURATION = {
    "jobmanager.memory.process.size": "1024m",
    # Such a process held 874 MiB at most in the steps of benchmarks/million_on_flink.py.
    "taskmanager.memory.process.size": "1280m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    # Buffers of each step's results; with the default of 512, a graph of many steps has not enough memory.
    "taskmanager.network.sort-shuffle.min-buffers": "64",
    # Beam's classes are Flink's own, not loaded anew for each job: only then does Beam keep a Python worker from one
    # step of a job to the next (for `environment_cache_millis`).
    "classloader.resolve-order": "parent-first",
    # A job restarts if a TaskManager is lost; it finds and keeps what is done already.
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "5",
    "restart-strategy.fixed-delay.delay": "1 s",
    # A lost TaskManager is noticed after two failed calls, or after this time without a heartbeat.
    "heartbeat.interval": "2000",
    "heartbeat.timeout": "30000",
    "heartbeat.rpc-failure-threshold": "2",
    "taskmanager.load-balance.mode": "SLOTS",
    "web.submit.enable": "false",
}

# Python workers send their log to their TaskManager, which writes it to its own log. With a job's `--log-format json`
# each such message is a JSON object, and also goes to a separate file without Flink's prefix: one object per line.
# After a warning Flink's side of Beam adds the traceback, which the object already holds.
LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
rootLogger.appenderRef.workers.ref = Workers
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
appender.workers.name = Workers
appender.workers.type = File
appender.workers.fileName = ${sys:cineaffect.log}.jsonl
appender.workers.createOnDemand = true
appender.workers.layout.type = PatternLayout
appender.workers.layout.pattern = %replace{%m}{(?s) Traceback [(]most recent call last[)]:\\n.*}{}%n
appender.workers.filter.object.type = RegexFilter
appender.workers.filter.object.regex = (?s)[{]"level": .*"worker": .*
appender.workers.filter.object.onMatch = ACCEPT
appender.workers.filter.object.onMismatch = DENY
"""

# Java 17 opens none of its packages by default; Flink's own start scripts pass the same list.
OPENED = (
    *("java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch"),
    *("java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util"),
    *(
        "java.base/java.util.concurrent",
        "java.base/java.util.concurrent.atomic",
        "java.base/java.util.concurrent.locks",
    ),
)


class ClusterError(RuntimeError):
    """A problem that the user can solve; the message says how."""


def find_java() -> str:
    """The Java program of JAVA_HOME or else of the PATH.

    Raises:
        ClusterError: if there is none of the version with which Flink was tried here.
    """
    folder = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(folder, "bin") if folder else None)
    if java is None:
        raise ClusterError(f"Java {JAVA_VERSION} is needed: install it, or set JAVA_HOME")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version.group(1)) != JAVA_VERSION:
        raise ClusterError(f"{java}: Java {JAVA_VERSION} is needed, this is {said.splitlines()[0] if said else 'none'}")
    return java


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(rest_port: int, path: str, method: str = "GET") -> Any:
    """The JobManager's answer at its REST interface.

    Raises:
        ConnectionError: if no process listens; http.client.HTTPException: if the answer is incomplete.
    """
    connection = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=10)
    try:
        connection.request(method, path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


class Launcher:
    """Starts processes, each with its own log, and knows which of them have ended."""

    def __init__(self, home: Path, java: str, flink: Path, beam: Path):
        self.home, self.java_program = home, java
        self.flink, self.classes = flink, f"{beam}/*:{flink}/lib/*"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def pids(self) -> dict[str, int]:
        """The process ids by name."""
        return {name: process.pid for name, process in self.processes.items()}

    def java(self, name: str, entry: str, kind: str) -> None:
        """Starts a process of Flink: its class, and `JM` or `TM` for the division of its memory."""
        jvm, dynamic = self._memory(kind)
        host = ["--host", "localhost"] if kind == "JM" else []
        java = self._java(self.classes, self._log_of(name), *jvm)
        self._start(name, [*java, entry, *self._conf(), *host, *dynamic])

    def task_manager(self, name: str) -> None:
        """Starts a TaskManager."""
        self.java(name, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "TM")

    def job_server(self, name: str, rest_port: int, port: int) -> None:
        """Starts Beam's job server, which takes jobs at `port` and gives them to the JobManager."""
        ports = ["--flink-master", f"localhost:{rest_port}", "--job-port", str(port)]
        ports += ["--artifact-port", "0", "--expansion-port", "0"]
        folders = ["--artifacts-dir", str(self.home / "artifacts"), "--flink-conf-dir", str(self.home / "conf")]
        entry = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        java = self._java(self.classes, self._log_of(name), "-Xmx512m")
        self._start(name, [*java, entry, *ports, *folders])

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Waits until `is_ready` returns True; raises `ClusterError` if a process ends before."""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise ClusterError(f"{name} ended at once; see {self.home / 'log' / name}.log")
            try:
                if is_ready():
                    return
            except (ConnectionError, http.client.HTTPException, TimeoutError, KeyError, ValueError):
                pass  # not every process listens yet
            time.sleep(_LOOK_EVERY_S)
        raise ClusterError(f"the cluster did not come up within {_START_TIMEOUT_S:.0f} s; see {self.home / 'log'}")

    def _start(self, name: str, command: list[str]) -> None:
        with (self.home / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _java(self, classes: str, *arguments: str) -> list[str]:
        opened = [f"--add-opens={name}=ALL-UNNAMED" for name in OPENED]
        logging = [f"-Dlog4j.configurationFile={self.home}/conf/log4j.properties"]
        return [self.java_program, *opened, *logging, *arguments, "-cp", classes]

    def _log_of(self, name: str) -> str:
        return f"-Dcineaffect.log={self.home}/log/{name}"

    def _conf(self) -> list[str]:
        return ["--configDir", str(self.home / "conf")]

    def _memory(self, kind: str) -> tuple[list[str], list[str]]:
        """The options of the JVM and of the process, asked from Flink as its own scripts do."""
        jars = f"{self.flink}/bin/bash-java-utils.jar:{self.flink}/lib/*"
        command = [*self._java(jars), "org.apache.flink.runtime.util.bash.BashJavaUtils"]
        done = subprocess.run(
            [*command, f"GET_{kind}_RESOURCE_PARAMS", *self._conf()], capture_output=True, text=True, check=False
        )
        prefix = "BASH_JAVA_UTILS_EXEC_RESULT:"
        lines = [line.removeprefix(prefix) for line in done.stdout.splitlines() if line.startswith(prefix)]
        if done.returncode or not lines:
            raise ClusterError(f"Flink could not divide the memory: {done.stderr.strip() or done.stdout.strip()}")
        jvm, *dynamic = lines
        return jvm.split(), " ".join(dynamic).split()


def write_configuration(home: Path, rest_port: int, rpc_port: int, slots: int) -> None:
    """Writes Flink's configuration, and the program with which a TaskManager starts workers."""
    settings = {
        **CONFIGURATION,
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": str(rpc_port),
        "jobmanager.bind-host": "localhost",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": str(rest_port),
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": str(slots),
        "io.tmp.dirs": str(home / "tmp"),
    }
    (home / "conf").mkdir(exist_ok=True)
    (home / "tmp").mkdir(exist_ok=True)
    (home / "conf" / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    (home / WORKER).write_text(f"#!/bin/sh\nexec '{sys.executable}' '{WORKER_PROGRAM}' \"$@\"\n")
    (home / WORKER).chmod(0o755)
    (home / "conf" / "log4j.properties").write_text(LOGGING)


def answers(port: int) -> bool:
    """Whether a process listens at a port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_ours(pid: int, home: Path) -> bool:
    """Whether a process still runs and belongs to the cluster in `home`."""
    # Process ids are reused; every process here has the cluster's directory in its command line.
    try:
        return str(home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(home: Path, processes: dict[str, int]) -> None:
    """Ends processes and their children; kills those that don't end when asked."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        for pid in processes.values():
            if is_ours(pid, home):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal_number)
        while any(is_ours(pid, home) for pid in processes.values()) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_EVERY_S)
