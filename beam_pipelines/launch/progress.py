"""The progress of a running job, for people: it counts finished films by the files that appear.

This works for every runner, local or remote, and costs the workers nothing. A failed film leaves no file: it counts as
not yet done until the job's last stage writes the failures.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.logs.structured_log import is_json

_LOOK_EVERY_S = 1.0
_PAUSE_PER_LOOK = 20
"""The pause after listing, as a multiple of its time: listing a million files takes seconds, and may cost at most a
twentieth of a core."""
_LOG = logging.getLogger(__name__)


@contextmanager
def watch(output: str, films: int, suffix: str, film_seconds: Callable[[str], float] | None = None) -> Iterator[None]:
    """Shows how many of `films` have a file `*suffix` in `output` that is newer than now, until the `with` block ends.

    On a terminal it shows a bar with the time left; elsewhere it prints a line for each finished film, or logs a
    message if the log is JSON.

    Args:
        output: the directory of the run.
        films: the number of films.
        suffix: the suffix of the files, one per finished film.
        film_seconds: returns the length of a file's film, so that film-hours and speed are shown too.
    """
    if storage.is_remote(output):
        # Listing a bucket every second costs money; the runner's own page shows the progress there.
        yield
        return
    console = Console(file=sys.stderr)
    name = os.path.basename(output.rstrip("/")) or output
    stop = threading.Event()
    tally = Tally(output, films, suffix, film_seconds)
    show = _messages if is_json() else _bar if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(console, name, tally, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Tally:
    """The films that were finished since its creation, and their rate.

    Attributes:
        films: the number of films.
        done: the number of finished films.
        film_s: the length of the finished films together, in seconds.
        pause_s: the seconds until the next look: the more files there are, the longer a look takes.
    """

    def __init__(self, output: str, films: int, suffix: str, film_seconds: Callable[[str], float] | None = None):
        self.films = films
        self.done = 0
        self.film_s = 0.0
        self.pause_s = _LOOK_EVERY_S
        self._output, self._suffix, self._film_seconds = output, suffix, film_seconds
        self._started_s, self._since_s = time.monotonic(), time.time()
        self._seen: set[str] = set()

    def look(self) -> list[str]:
        """Lists the files again and returns the names of newly finished films."""
        # File systems may store times in whole seconds.
        since_s, started_s = math.floor(self._since_s), time.monotonic()
        new = []
        for info in storage.list_files(self._output):
            if info.uri.endswith(self._suffix) and info.modified_s >= since_s and info.uri not in self._seen:
                self._seen.add(info.uri)
                self.film_s += self._film_seconds(info.uri) if self._film_seconds else 0.0
                new.append(os.path.basename(info.uri).removesuffix(self._suffix))
        self.done = min(self.films, len(self._seen))
        self.pause_s = max(_LOOK_EVERY_S, _PAUSE_PER_LOOK * (time.monotonic() - started_s))
        return new

    def left_s(self) -> float | None:
        """The time left in seconds if the other films take as long as those so far; None before the first one."""
        elapsed_s = time.monotonic() - self._started_s
        return elapsed_s / self.done * max(0, self.films - self.done) if self.done else None

    def message(self) -> str:
        """Film-hours, speed in times real time, and the time left."""
        parts = []
        if self._film_seconds is not None and self.film_s:
            speed = self.film_s / max(time.monotonic() - self._started_s, 1e-3)
            parts.append(f"{self.film_s / 3600:.2f} film-hours, {speed:.1f} x real time")
        left_s = self.left_s()
        if left_s is not None:
            parts.append(f"left: {timedelta(seconds=round(left_s))}")
        return ", ".join(parts)


def _bar(console: Console, name: str, tally: Tally, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("films done"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=tally.films, message="")
        ended = False
        while not ended:
            ended = stop.wait(tally.pause_s)
            tally.look()
            progress.update(task, completed=tally.done, message=tally.message())


def _lines(console: Console, name: str, tally: Tally, stop: threading.Event) -> None:
    shown = 0
    ended = False
    while not ended:
        ended = stop.wait(tally.pause_s)
        new = tally.look()
        for film in new:
            shown += 1
            message = f", {tally.message()}" if film == new[-1] and tally.message() else ""
            line = f"{name}: {shown_name(film)}: {shown} of {tally.films} films{message}"
            # Without markup, since a film's name may have brackets.
            console.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)


def _messages(console: Console, name: str, tally: Tally, stop: threading.Event) -> None:
    ended = False
    while not ended:
        ended = stop.wait(tally.pause_s)
        if tally.look():
            facts = {"output": name, "films_done": tally.done, "films": tally.films, "left_s": tally.left_s()}
            _LOG.info("%d of %d films", tally.done, tally.films, extra=facts)
