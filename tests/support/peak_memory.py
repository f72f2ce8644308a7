"""The largest test process of a run and the test at which it was that large; no process may need more than 3 GB."""

from __future__ import annotations

import resource
from typing import Any

import pytest

_largest: tuple[float, str] = (0.0, "")
_of_all: list[tuple[float, str]] = []


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Notes the test that made this process larger than it ever was."""
    global _largest
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if peak_mb > _largest[0]:
        _largest = (peak_mb, item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the figure of a process of pytest-xdist to the one that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["largest"] = _largest


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Takes what a test process handed over; one that crashed hands over nothing."""
    largest = getattr(node, "workeroutput", {}).get("largest")
    if largest:
        _of_all.append(tuple(largest))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the largest process."""
    peak_mb, test = max([*_of_all, _largest])
    if test:
        terminalreporter.write_line(f"largest test process: {peak_mb / 1024:.1f} GB, at {test}")
