"""The history of a training run as files: `history.json` and `history.csv` for people, `logs/` for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf

from beam_pipelines.contracts.runs import HISTORY
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.text_tables import csv_text

LOGS = "logs"


class EventLog:
    """TensorBoard's events of a run, written to a local folder and copied from there to `gs://`; see `event_log`."""

    def __init__(self, folder: str, uri: str, writes: bool):
        self._folder, self._uri = folder, uri
        self._writer = tf.summary.create_file_writer(folder) if writes else tf.summary.create_noop_writer()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Writes the figures of an epoch's line of the history, and copies the file of events to the run's `logs/`."""
        with self._writer.as_default():
            _write_events(entry)
        self._writer.flush()
        if storage.is_remote(self._uri):
            storage.copy_tree(self._folder, self._uri)

    def close(self) -> None:
        """Closes the file of events."""
        self._writer.close()


@contextmanager
def event_log(output: str, writes: bool = True) -> Iterator[EventLog]:
    """The event log below `<output>/logs`, local or `gs://`; without `writes` it writes nothing."""
    uri = storage.join(output, LOGS)
    with TemporaryDirectory(prefix="cineaffect-") as temporary:
        log = EventLog(temporary if storage.is_remote(uri) else uri, uri, writes)
        try:
            yield log
        finally:
            log.close()


def write_history(history: Sequence[Mapping[str, Any]], output: str) -> None:
    """Writes `history.json` and `history.csv`, one entry per epoch."""
    storage.write_text(storage.join(output, HISTORY), json.dumps(list(history), indent=2, allow_nan=False) + "\n")
    columns = list(history[0]) if history else ["epoch"]
    rows = [[entry.get(column) for column in columns] for entry in history]
    storage.write_text(storage.join(output, "history.csv"), csv_text(columns, rows))


def _write_events(entry: Mapping[str, Any]) -> None:
    # `tf.summary.scalar` would write the same event, but needs the tensorboard package.
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
    )
    for name, value in entry.items():
        if isinstance(value, float):
            tag = f"training/{name}" if name in ("loss", "gradient_norm", "wall_s") else f"validation/{name}"
            tf.summary.write(tag, tf.constant(value, tf.float32), step=entry["epoch"], metadata=metadata)
