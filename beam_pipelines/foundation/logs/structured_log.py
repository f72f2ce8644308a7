"""The log as one JSON object a line, with the film, the segment and the worker that a message is about.

    {"level": "WARNING", "message": "…", "logger": "beam_pipelines.extraction.one_film", "pid": 4711,
     "worker": "worker_3", "host": "node-7", "film": "first.mp4", "segment": [300, 600],
     "time": "2026-01-31T09:00:00.123456+00:00"}

`start_json_log` switches it on in a process; without it `about` costs next to nothing and the log is plain text.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

OURS = ("beam_pipelines", "trainer")
"""Loggers whose INFO is logged; of all others only warnings and worse."""

FORMAT_VARIABLE = "CINEAFFECT_LOG_FORMAT"
"""Environment variable that is `json` where the driver logs JSON; local worker processes inherit it."""

_ABOUT: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Every message from within the block says what it is about: `film` (its id), `segment` ([first, stop) seconds)."""
    before = _ABOUT.get()
    _ABOUT.set({**(before or {}), **facts})
    try:
        yield
    finally:
        # Not by a token: a generator that holds the block may be closed in another context than it was begun in.
        _ABOUT.set(before)


class JsonLines(JsonFormatter):
    """A record as one JSON object without a line break; its keys are those of the module's example.

    `extra={…}` adds facts to one message; a traceback is in `exception`.
    """

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "message", "name", "process"],
            rename_fields={"levelname": "level", "name": "logger", "process": "pid", "exc_info": "exception"},
            # Beam's name of a worker process.
            static_fields={"worker": os.environ.get("WORKER_ID", "driver"), "host": socket.gethostname()},
            timestamp="time",
            json_ensure_ascii=False,
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Adds what the block that the message comes from is about."""
        super().add_fields(log_data, record, {**message_dict, **(_ABOUT.get() or {})})


class _StandardError(logging.StreamHandler):
    """Writes to whatever `sys.stderr` is at the time."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        pass


def start_json_log(formatter: logging.Formatter | None = None) -> None:
    """From now on this process logs JSON to standard error: warnings, and INFO of this project.

    Python's warnings and an exception that ends the process become lines too. A second call changes nothing.
    """
    if is_json():
        return
    handler = _StandardError()
    handler.setFormatter(formatter or JsonLines())
    handler.addFilter(_is_logged)
    logging.getLogger().addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _log_exception


def is_json() -> bool:
    """Whether this process logs JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _is_logged(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.split(".", 1)[0] in OURS


def _log_exception(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("the process ends: %s", error, exc_info=(kind, error, traceback))


def format_worker_log() -> None:
    """In a worker process of Beam, gives what it sends to the runner this form; anywhere else it does nothing."""
    if "WORKER_ID" in os.environ:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


# Beam's local worker processes get no options, only this process's environment; and they import this first of all when
# they unpickle a step of a job.
if os.environ.get(FORMAT_VARIABLE) == "json":
    format_worker_log()
