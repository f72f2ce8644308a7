"""The decoding child as a process: how it is started, the queue of its messages, and how much it has read."""

from __future__ import annotations

import fcntl
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_pipelines.foundation.stage_times import add_times
from beam_pipelines.media.worker.decoding_messages import receive
from beam_pipelines.media.worker.kept_memory import keep_freed_memory

PIPE_BYTES = 1 << 20

# So many pictures wait; one of 1080p has 6 MB.
_QUEUE_LENGTH = 4
_PROJECT_ROOT = Path(__file__).resolve().parents[3]
_ITEMS = ("picture", "sound", "channels", "text")
"""The kinds of messages that are an item of their stage."""


@dataclass
class Child:
    """A started child.

    Attributes:
        process: the process.
        messages: its messages; None when it has ended.
        command: how it was started, for errors.
        counted_ms: how much of its processor time has been counted.
    """

    process: subprocess.Popen[bytes]
    messages: queue.Queue[tuple[dict[str, Any], memoryview] | None]
    command: str
    counted_ms: float = 0.0

    def bytes_read(self) -> int:
        """How many bytes it has read so far, from any file; 0 if the system doesn't say."""
        try:
            text = Path(f"/proc/{self.process.pid}/io").read_text()
        except OSError:
            return 0
        return int(text.split("rchar:", 1)[1].split(None, 1)[0])

    def count(self, stage: str, message: tuple[dict[str, Any], memoryview] | None) -> None:
        """Counts what a message brings for a stage; the last one of a task brings the task's times.

        Without a message the task has failed: it counts what the child has taken beyond what its answers told.
        """
        if message is None:
            times: dict[str, Any] = {stage: (0, 0, max(0.0, self._cpu_ms() - self.counted_ms))}
        else:
            brings = (int(message[0]["kind"] in _ITEMS), len(message[1]), 0.0)
            times = message[0].get("times", {stage: brings})
        self.counted_ms += sum(ms for _, _, ms in times.values())
        add_times(times)

    def _cpu_ms(self) -> float:
        """Its processor time so far; 0 if the system doesn't say, or the process has been waited for."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        in_user, in_system = map(int, text.rsplit(")", 1)[1].split()[11:13])
        return 1000 * (in_user + in_system) / os.sysconf("SC_CLK_TCK")


def start_child(memory_limit_mb: int) -> Child:
    """Starts the child and a thread that reads its messages; its first message says that it is ready."""
    keep_freed_memory()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # The child finds this package as its parent did, and nothing by chance in the current folder.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", "beam_pipelines.media.worker.decoding_child", str(memory_limit_mb)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        _widen(process.stdout.fileno())
    child = Child(process, queue.Queue(_QUEUE_LENGTH), " ".join(command))
    threading.Thread(target=_read, args=(process.stdout, child.messages), daemon=True).start()
    return child


def size_bytes(path: str) -> int:
    """The size of a file; 0 if the system doesn't say."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def _read(pipe: Any, messages: queue.Queue[tuple[dict[str, Any], memoryview] | None]) -> None:
    while (message := receive(pipe)) is not None:
        messages.put(message)
    messages.put(None)


def _widen(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        # The system's limit for pipes is lower: the pipe is then slower, but works.
        return
