"""Who holds a lock: host and process, for people; and whether that process is still there, where that can be known."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_this_process() -> dict[str, Any]:
    """What a lock says of its holder: `host`, `pid`, `started` (of the holding, UTC), `processes`, `process`.

    `processes` names a running kernel and a process namespace in it. Within it, and while it is there, `process` is
    nobody else's: a process number is given again, together with its starting time it isn't. Both are empty where
    Linux's `/proc` is absent.
    """
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    own = {"processes": _processes(), "process": _process(os.getpid())}
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started, **own}


def has_ended(holder: Mapping[str, Any]) -> bool | None:
    """Whether the process that `describe_this_process` described has ended; None for one that can't be seen from here.

    It can be seen from the same container of the same start of the same machine, and from nowhere else: two containers
    may have the same host name, and both a process 1.
    """
    processes = _processes()
    if not processes or holder.get("processes") != processes:
        return None
    return _process(int(holder["pid"])) != holder.get("process")


def _processes() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # After the name, which may hold spaces, come the state and 18 more fields, and then the start in clock ticks.
    return "" if fields[0] in ("Z", "X") else f"{pid} since {fields[19]}"
