"""Runs the score job on made-up feature records for tests, and reads what it leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_pipelines import score
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import RUN_MANIFEST
from tests.support.feature_records import make_film_record


def write_films(directory: Path, films: Mapping[str, int]) -> None:
    """Writes a record of so many seconds for each film; a film's place among them is the seed of its features."""
    for number, (film_id, seconds) in enumerate(films.items()):
        record = make_film_record(film_id, seconds, seed=number)
        records.write_record(record, records.record_uri(str(directory), film_id))


def run(
    features: Path, model: Path, output: Path, *arguments: str, workers: int = 1
) -> tuple[int, dict[str, Any] | None]:
    """Scores a directory of records without plots, the table in three parts; the exit code and the run manifest."""
    code = score.main(
        ["--records", str(features), "--model", str(model), "--output", str(output), f"--workers={workers}",
         "--set", "plots=false", "--set", "shards=3", *arguments]
    )  # fmt: skip
    manifest = output / "run_manifest.json"
    return code, json.loads(manifest.read_text()) if manifest.exists() else None


def read_table(output: Path) -> dict[str, list[Any]]:
    """The columns of a run's table."""
    table = pq.read_table(output / "curves.parquet")
    return {name: table[name].to_pylist() for name in table.column_names}


def contents(output: Path, *ending: str) -> dict[str, bytes]:
    """Path -> bytes of a run's files, of all or of those with one of these endings, as `without_times` leaves them."""
    return {
        path.relative_to(output).as_posix(): without_times(path.name, path.read_bytes())
        for path in sorted(output.rglob("*"))
        if path.is_file() and (not ending or path.suffix in ending)
    }


def without_times(name: str, content: bytes) -> bytes:
    """A file's bytes; those of a run's manifest without the time of its stages, which no two runs share."""
    if name != RUN_MANIFEST:
        return content
    manifest = json.loads(content)
    manifest.pop("time_by_stage", None)
    return json.dumps(manifest).encode()
