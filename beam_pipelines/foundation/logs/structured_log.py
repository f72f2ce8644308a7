"""The log as one JSON object per line, with the film, segment and worker of each message.

    {"level": "WARNING", "message": "…", "logger": "beam_pipelines.extraction.one_film", "pid": 4711,
     "worker": "worker_3", "host": "node-7", "film": "first.mp4", "segment": [300, 600],
     "time": "2026-01-31T09:00:00.123456+00:00"}

`start_json_log` switches it on in a process; otherwise `about` costs next to nothing and the log is plain text.
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
"""The loggers whose INFO messages are logged; of all others only warnings and errors are."""

FORMAT_VARIABLE = "CINEAFFECT_LOG_FORMAT"
"""The environment variable that is `json` if the driver logs JSON; local worker processes inherit it."""

_ABOUT: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Adds facts to every message within the `with` block: `film` (its id), `segment` ([first, stop), in seconds)."""
    before = _ABOUT.get()
    _ABOUT.set({**(before or {}), **facts})
    try:
        yield
    finally:
        # Not with a token: a generator that holds the block may be closed in another context than it began in.
        _ABOUT.set(before)


class JsonLines(JsonFormatter):
    """Formats a record as one JSON object without line breaks, with the keys of the module's example.

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
        """Adds the facts of the message's `about` blocks."""
        super().add_fields(log_data, record, {**message_dict, **(_ABOUT.get() or {})})


class _StandardError(logging.StreamHandler[Any]):
    """Writes to the current `sys.stderr`, which may change."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        pass


def start_json_log(formatter: logging.Formatter | None = None) -> None:
    """Makes this process log JSON to standard error: warnings, and INFO messages of this project.

    Python's warnings and an exception that ends the process become JSON lines too. A second call changes nothing.
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
    """Gives the messages of a Beam worker process to its runner this form; in other processes it does nothing."""
    if "WORKER_ID" in os.environ:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


# Beam's local worker processes get no options, only this process's environment, and import this module first when they
# unpickle a step of a job.
if os.environ.get(FORMAT_VARIABLE) == "json":
    format_worker_log()
