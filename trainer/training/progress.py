"""The progress of a training, for people: a bar on a terminal, one line per epoch in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress:
    """Shows a run's progress; a context manager. `train` calls `start`, `batch_done` and `epoch_done`."""

    def __init__(self, stream: TextIO | None = None):
        """Shows progress on `stream`; None for standard error."""
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._epochs = 0
        self._task: Any = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, epochs: int, finished_epochs: int) -> None:
        """Shows the largest number of epochs, and how many an earlier run has finished."""
        self._epochs = epochs
        if finished_epochs:
            self._console.print(f"goes on after epoch {finished_epochs} of at most {epochs}")
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task("training", total=None)
            self._bar.start()

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        """Shows that batch `batch` of `batches` of epoch `epoch` (from 1) is done."""
        if self._bar is not None:
            done = (epoch - 1) * batches + batch
            self._bar.update(
                self._task, completed=done, total=self._epochs * batches, description=f"epoch {epoch}/{self._epochs}"
            )

    def epoch_done(self, entry: Mapping[str, Any]) -> None:
        """Shows that an epoch is done; `entry` is its line of the history."""
        score = "" if entry["score"] is None else f"  validation {entry['selection']} {entry['score']:.4f}"
        best = " *" if entry["best"] else ""
        self._console.print(
            f"epoch {entry['epoch']}/{self._epochs}  loss {entry['loss']:.4f}{score}{best}  {entry['wall_s']:.1f} s"
        )
