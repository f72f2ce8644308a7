"""The JSON log of a job: this process's own messages, and those that Beam's local worker processes send to it.

A local runner's driver gets a worker's message as the text form of Beam's `LogEntry`, which contains a line of JSON if
the worker logs JSON. That line is passed on unchanged. On a cluster the workers' messages stay in the runner's log, in
the same form.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from typing import Any

from beam_pipelines.foundation.logs.structured_log import FORMAT_VARIABLE, OURS, JsonLines, start_json_log

FORMATS = ("text", "json")
OPTION = "--log-format"
PLUGIN_OPTION = "--beam_plugins=beam_pipelines.foundation.logs.worker_log"
_FROM_WORKERS = "apache_beam.runners.portability.local_job_service"


def start_log(arguments: Sequence[str]) -> None:
    """Starts the JSON log if a command line asks for it, before it is parsed, so that errors are JSON lines too."""
    given = [*arguments, ""]
    if f"{OPTION}=json" in given or "json" in (given[i + 1] for i, name in enumerate(given) if name == OPTION):
        start_json_log(_DriverLines())
        os.environ[FORMAT_VARIABLE] = "json"
        logger = logging.getLogger(_FROM_WORKERS)
        logger.setLevel(logging.INFO)
        logger.addFilter(_is_logged)


class _DriverLines(JsonLines):
    def format(self, record: logging.LogRecord) -> str:
        sent = _sent_by_worker(record)
        return super().format(record) if sent is None else json.dumps(sent, ensure_ascii=False)


def _is_logged(record: logging.LogRecord) -> bool:
    sent = _sent_by_worker(record)
    if sent is not None:
        record.name = str(sent.get("logger"))
    return record.levelno >= logging.WARNING or record.name.split(".", 1)[0] in OURS


def _sent_by_worker(record: logging.LogRecord) -> dict[str, Any] | None:
    """A worker's message as a JSON object; None for a message of this process."""
    known: dict[str, Any] | None = record.__dict__.get("_sent_by_worker")  # underscored: no fact of a message
    if known is None and record.name == _FROM_WORKERS and isinstance(record.args, tuple) and record.args:
        known = record.__dict__["_sent_by_worker"] = _read_entry(str(record.args[0]), record.levelname)
    return known


def _read_entry(text: str, level: str) -> dict[str, Any] | None:
    from apache_beam.portability.api import beam_fn_api_pb2
    from google.protobuf import text_format

    try:
        entry = text_format.Parse(text, beam_fn_api_pb2.LogEntry())
    except text_format.ParseError:
        return None
    try:
        sent = json.loads(entry.message)
    except json.JSONDecodeError:
        sent = None
    if not isinstance(sent, dict):  # sent before the worker's log had its form
        sent = {"level": level, "message": entry.message, "logger": entry.log_location}
    return {**sent, "transform": entry.transform_id} if entry.transform_id else sent
