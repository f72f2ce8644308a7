"""The largest test process of a run, the largest process that one started, and the tests at which they were that large.

No process may need more than 3 GB.
"""

from __future__ import annotations

import resource
from typing import Any

import pytest

_KINDS = {"test process": resource.RUSAGE_SELF, "process started by one": resource.RUSAGE_CHILDREN}
_largest: dict[str, tuple[float, str]] = dict.fromkeys(_KINDS, (0.0, ""))


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Notes the test at which a process was larger than any before."""
    for kind, who in _KINDS.items():
        _note(kind, resource.getrusage(who).ru_maxrss / 2**20, item.nodeid)  # Linux has KiB


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the figures of a process of pytest-xdist to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["largest"] = _largest


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Takes what a test process handed over; one that crashed hands over nothing."""
    for kind, (gb, test) in getattr(node, "workeroutput", {}).get("largest", {}).items():
        _note(kind, gb, test)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the figures."""
    for kind, (gb, test) in _largest.items():
        if test:
            terminalreporter.write_line(f"largest {kind}: {gb:.1f} GB, at {test}")


def _note(kind: str, gb: float, test: str) -> None:
    if gb > _largest[kind][0]:
        _largest[kind] = (gb, test)
