"""Progress of a running job for the person who waits: counts finished films by the files that appear.

Looking at the output works for every runner, local or remote, and costs the workers nothing.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from beam_pipelines import storage

_LOOK_EVERY_S = 1.0


@contextmanager
def watch(output: str, films: int, suffix: str) -> Iterator[None]:
    """Shows how many of `films` have a file `*suffix` in `output`, newer than now, until the block ends.

    On a terminal this is a bar with the time left; elsewhere it is a plain line whenever the number has grown.
    """
    if storage.is_remote(output):
        # Listing a bucket every second costs money; the runner's own page shows the progress there.
        yield
        return
    started_s = time.time()
    console = Console(file=sys.stderr)
    name = os.path.basename(output.rstrip("/")) or output
    stop = threading.Event()
    show = _bar if console.is_terminal else _lines
    thread = threading.Thread(
        target=show,
        args=(console, name, films, stop, lambda: min(films, _finished(output, suffix, started_s))),
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _finished(output: str, suffix: str, since_s: float) -> int:
    # File systems may keep times to the second only.
    since_s = math.floor(since_s)
    return sum(info.uri.endswith(suffix) and info.modified_s >= since_s for info in storage.list_files(output))


def _bar(console: Console, name: str, films: int, stop: threading.Event, finished: Callable[[], int]) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("films"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=films)
        while not stop.wait(_LOOK_EVERY_S):
            progress.update(task, completed=finished())
        progress.update(task, completed=finished())


def _lines(console: Console, name: str, films: int, stop: threading.Event, finished: Callable[[], int]) -> None:
    shown = 0
    while True:
        ended = stop.wait(_LOOK_EVERY_S)
        now = finished()
        if now > shown:
            console.print(f"{name}: {now} of {films} films", highlight=False)
            shown = now
        if ended:
            return
