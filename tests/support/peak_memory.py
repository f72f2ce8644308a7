"""The largest test process of a run, and the test at which it was that large; none may need more than 3 GB."""

from __future__ import annotations

import resource
from typing import Any

import pytest

_largest: tuple[float, str] = (0.0, "")


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Notes the test at which this process was larger than ever before."""
    _note(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, item.nodeid)  # Linux has KiB


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the figure of a process of pytest-xdist to the one that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["largest"] = _largest


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Takes what a test process handed over; one that crashed hands over nothing."""
    _note(*getattr(node, "workeroutput", {}).get("largest", _largest))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the figure."""
    gb, test = _largest
    if test:
        terminalreporter.write_line(f"largest test process: {gb:.1f} GB, at {test}")


def _note(gb: float, test: str) -> None:
    global _largest
    _largest = max(_largest, (gb, test))
