"""The end of a command's output: where its files are, and what to do next.

On a terminal it is a small table, and below it one line per command, never broken, so that people can copy it. In a log
or a pipe it is plain lines, `what: where`.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

Places = Sequence[tuple[str, str]]
"""Pairs (what, where), in the order in which they are shown."""

_STEP_OF_A_RUN = "CINEAFFECT_STEP_OF_A_RUN"


def print_summary(places: Places, next_steps: Places = (), stream: TextIO | None = None) -> None:
    """Prints where a command's files are and what to do next.

    Args:
        places: pairs (what, where).
        next_steps: pairs (purpose, command or file to open).
        stream: the stream to print to; None for standard output.
    """
    if os.environ.get(_STEP_OF_A_RUN):
        next_steps = ()
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True, emoji=False)
    if not console.is_terminal:
        for what, where in places:
            console.print(f"{what}: {where}", markup=False)
        for what, command in next_steps:
            console.print(f"next, {what}: {command}", markup=False)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, where in places:
        table.add_row(Text(what), Text(where))
    console.print()
    console.print(table)
    for what, command in next_steps:
        console.print()
        console.print(Text(f"next, {what}:", style="bold"))
        console.print(Text(f"  {command}"), soft_wrap=True)


@contextmanager
def as_steps_of_a_run() -> Iterator[None]:
    """Silences the next steps of commands in this process and its children; the `with` block prints its own."""
    before = os.environ.get(_STEP_OF_A_RUN)
    os.environ[_STEP_OF_A_RUN] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_STEP_OF_A_RUN]
        else:
            os.environ[_STEP_OF_A_RUN] = before


def next_steps_of_job(job: str, output: str, **others: str) -> Places:
    """The usual commands after a job; capitals are placeholders of names that the job doesn't know.

    Args:
        job: the job's name.
        output: its result: a directory, a model, a file.
        others: further names that the commands after this job need.

    Returns:
        Pairs (purpose, command); names are quoted for a shell, so that people can paste the command.
    """
    names = {key: shlex.quote(name) for key, name in {"output": output, **others}.items()}
    return [(what, command.format(**names)) for what, command in _NEXT.get(job, ())]


_NEXT: dict[str, Places] = {
    "extract": (
        ("curves of an exported model", "cineaffect score --records {output} --model EXPORTS --output SCORES"),
        ("or a model of your labels", "cineaffect prepare --records {output} --manifest FILMS.csv --output TRANSFORM"),
    ),
    "import-features": (
        ("statistics", "cineaffect prepare --records RECORDS --manifest FILMS.csv --output TRANSFORM"),
    ),
    "prepare": (
        ("training", "cineaffect train --transform {output} --records RECORDS --manifest FILMS.csv --output RUN"),
    ),
    "train": (("curves", "cineaffect score --records {records} --model {output} --output SCORES"),),
    "tune": (
        (
            "train it",
            "cineaffect train --config {output} --manifest FILMS.csv --records RECORDS --transform TRANSFORM "
            "--output RUN",
        ),
    ),
    "score": (("a page to look at", "cineaffect report --scores {output}"),),
    "score --records": (("a page to look at", "cineaffect report --scores {output} --records {records}"),),
}
