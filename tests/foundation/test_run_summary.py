"""The end of a command's output: a table on a terminal, else plain lines; within a larger run no next steps."""

from __future__ import annotations

import io
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from beam_pipelines.foundation.run_summary import as_steps_of_a_run, next_steps_of_job, print_summary
from beam_pipelines.launch.job_summary import places_of_job

PLACES = [("results", "out [dir]"), ("failures (probe: 1)", "out/failures.jsonl")]
NEXT = [("a page", "cineaffect report --scores out")]


def test_without_a_terminal_every_place_is_a_plain_line() -> None:
    stream = io.StringIO()
    print_summary(PLACES, NEXT, stream)
    assert stream.getvalue().splitlines() == [
        "results: out [dir]",
        "failures (probe: 1): out/failures.jsonl",
        "next, a page: cineaffect report --scores out",
    ]


def test_within_a_larger_run_nothing_is_said_to_come_next() -> None:
    stream = io.StringIO()
    with as_steps_of_a_run():
        with as_steps_of_a_run():
            pass
        print_summary(PLACES, NEXT, stream)
    assert "next" not in stream.getvalue()
    print_summary(PLACES, NEXT, stream)
    assert "next, a page" in stream.getvalue()


def on_a_terminal(places: list[tuple[str, str]], next_steps: list[tuple[str, str]]) -> str:
    master, slave = pty.openpty()
    code = f"from beam_pipelines.foundation.run_summary import print_summary; print_summary({places}, {next_steps})"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", code], stdout=slave, check=True, env=environment)
    os.close(slave)
    text = os.read(master, 65536).decode()
    os.close(master)
    return text


def test_names_are_shown_as_they_are() -> None:
    places, stream = [("results :cat:", "/data/:cat:/x[bold]")], io.StringIO()
    print_summary(places, [("a page", "report :cat:")], stream)
    assert stream.getvalue() == "results :cat:: /data/:cat:/x[bold]\nnext, a page: report :cat:\n"
    shown = on_a_terminal(places, [("a page", "report :cat:")])
    for text in ("results :cat:", "/data/:cat:/x[bold]", "report :cat:"):
        assert text in shown


@pytest.mark.parametrize("job", ["extract", "prepare", "train", "tune", "score", "score --records"])
def test_a_command_can_be_pasted_whatever_the_names(job: str) -> None:
    output, records = "my films/it's; $HOME", "the records"
    steps = next_steps_of_job(job, output, records=records)
    assert steps
    for _, command in steps:
        words = shlex.split(command)
        assert words[0] == "cineaffect"
        assert output in words
        assert records in words or job not in ("train", "score --records")


def test_on_a_terminal_it_is_a_table_with_aligned_columns() -> None:
    text = on_a_terminal(PLACES, NEXT)
    assert "\x1b[1m" in text  # bold names
    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in text.splitlines() if line.strip()]
    assert [line.index("out") for line in plain[:2]] == [plain[0].index("out [dir]")] * 2
    assert plain[-1].endswith("cineaffect report --scores out")


def test_on_a_narrow_terminal_a_command_is_one_line_that_can_be_copied() -> None:
    command = f"cineaffect score --records {'long/' * 20}features --model run/exports --output SCORES"
    lines = [line.rstrip() for line in on_a_terminal(PLACES, [("curves of an exported model", command)]).splitlines()]
    assert f"  {command}" in lines
    assert len(command) > 100


def test_of_a_local_job_only_what_is_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "curves.parquet").mkdir()
    assert places_of_job("score", str(tmp_path)) == [("table", str(tmp_path / "curves.parquet"))]
    assert [what for what, _ in places_of_job("score", "gs://bucket/scores")] == ["curves", "table", "plots"]
    assert next_steps_of_job("score", "out")[0][1] == "cineaffect report --scores out"
    assert places_of_job("another", "out") == []
