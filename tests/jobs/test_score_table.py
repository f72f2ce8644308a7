"""The table of a directory after several runs into it: nothing is lost silently, no two models are mixed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curve_table import list_parts, read_markers
from beam_pipelines.contracts.records import records
from tests.support.exported_models import expected_raw, write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import contents, read_table, run, write_films

REPOSITORY = Path(__file__).resolve().parents[2]
CSV_ON, CSV_OFF = ("--set", "csv=true"), ("--set", "csv=false")
MONDAY = {f"monday {number}": 5 + number for number in range(4)}
TUESDAY = {f"tuesday {number}": 11 + number for number in range(3)}


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models") / "exports"
    write_model(root, "1")
    write_model(root, "2", gain=0.4)
    return root


@pytest.fixture
def days(tmp_path) -> tuple[Path, Path]:
    """Two directories of records without a film in common."""
    write_films(tmp_path / "monday", MONDAY)
    write_films(tmp_path / "tuesday", TUESDAY)
    return tmp_path / "monday", tmp_path / "tuesday"


def films_in(output: Path) -> set[str]:
    return set(read_table(output)["film_id"])


@pytest.mark.parametrize("csv", [CSV_ON, CSV_OFF], ids=["csv", "no csv"])
def test_a_second_catalogue_keeps_the_films_of_the_first(exports, days, tmp_path, csv):
    monday, tuesday = days
    run(monday, exports, tmp_path / "out", *csv)
    code, manifest = run(tuesday, exports, tmp_path / "out", *csv)
    assert code == 0
    assert manifest["films"] == {"in": 3, "done": 3, "skipped": 0, "failed": 0}
    assert films_in(tmp_path / "out") == set(MONDAY) | set(TUESDAY)

    # The other way round, and both at once: the table depends on the films alone.
    run(tuesday, exports, tmp_path / "reversed", *csv)
    run(monday, exports, tmp_path / "reversed", *csv)
    both = tmp_path / "both"
    both.mkdir()
    for record in (*monday.iterdir(), *tuesday.iterdir()):
        os.link(record, both / record.name)
    run(both, exports, tmp_path / "at once", *csv)
    expected = contents(tmp_path / "at once", ".parquet", ".csv")
    assert contents(tmp_path / "out", ".parquet", ".csv") == expected
    assert contents(tmp_path / "reversed", ".parquet", ".csv") == expected

    # Films that were carried over still count as scored.
    _, manifest = run(both, exports, tmp_path / "out", *csv)
    assert manifest["films"] == {"in": 7, "done": 0, "skipped": 7, "failed": 0}
    assert contents(tmp_path / "out", ".parquet", ".csv") == expected


@pytest.mark.parametrize("csv", [CSV_ON, CSV_OFF], ids=["csv", "no csv"])
def test_a_film_that_fails_today_keeps_the_rows_of_yesterday(exports, days, tmp_path, csv):
    monday, _ = days
    run(monday, exports, tmp_path / "out", *csv)
    before = contents(tmp_path / "out", ".parquet", ".csv")
    (monday / "monday 2.tfrecord").write_bytes(b"damaged")
    code, manifest = run(monday, exports, tmp_path / "out", *csv)
    assert code == 3
    assert manifest["films"] == {"in": 4, "done": 0, "skipped": 3, "failed": 1}
    assert contents(tmp_path / "out", ".parquet", ".csv") == before


def test_a_film_that_was_scored_anew_has_its_new_rows_only(exports, days, tmp_path):
    monday, _ = days
    run(monday, exports, tmp_path / "out", *CSV_OFF)
    records.write_record(make_film_record("monday 1", 8, seed=50), records.record_uri(str(monday), "monday 1"))
    run(monday, exports, tmp_path / "out", *CSV_OFF)
    table = read_table(tmp_path / "out")
    rows = [row for row, film_id in enumerate(table["film_id"]) if film_id == "monday 1"]
    assert [table["time_s"][row] for row in rows] == list(range(8))
    raw = expected_raw(make_film_record("monday 1", 8, seed=50), gain=0.4)
    np.testing.assert_allclose([table["valence_raw"][row] for row in rows], raw["valence"], atol=2e-6)


@pytest.mark.parametrize("other", [("--model", "{exports}/1"), ("--set", "smoothing.cutoff_hz=0.03")])
def test_films_of_another_model_or_smoothing_leave_the_table_and_are_counted(exports, days, tmp_path, caplog, other):
    monday, tuesday = days
    run(monday, exports, tmp_path / "out")
    run(tuesday, exports, tmp_path / "out")
    caplog.clear()
    run(tuesday, exports, tmp_path / "out", *(text.format(exports=exports) for text in other))
    assert films_in(tmp_path / "out") == set(TUESDAY)
    (message,) = [entry.getMessage() for entry in caplog.records if "no longer in the table" in entry.getMessage()]
    assert message.startswith("4 films of earlier runs")
    markers = [marker for uri in list_parts(str(tmp_path / "out")) for marker in read_markers(uri)]
    assert len({marker.scorer for marker in markers}) == 1
    assert (tmp_path / "out" / "curves" / "monday 0.csv").exists()


@pytest.mark.slow
def test_the_count_reaches_the_terminal_from_worker_processes(exports, days, tmp_path):
    monday, tuesday = days
    run(monday, exports / "1", tmp_path / "out", *CSV_OFF)
    done = subprocess.run(
        [sys.executable, "-m", "beam_pipelines.score", "--records", str(tuesday), "--model", str(exports / "2"),
         "--output", str(tmp_path / "out"), "--direct_running_mode=multi_processing",
         "--direct_num_workers=2", "--set", "plots=false", *CSV_OFF],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 films of earlier runs are no longer in the table" in done.stderr
    assert "made from untrained networks (audio, image): for demonstration only" in done.stdout


def test_another_division_of_the_table_carries_all_films_over(exports, days, tmp_path):
    monday, tuesday = days
    run(monday, exports, tmp_path / "out", *CSV_OFF)
    run(tuesday, exports, tmp_path / "out", *CSV_OFF, "--set", "shards=2")
    assert films_in(tmp_path / "out") == set(MONDAY) | set(TUESDAY)
    assert all(uri.endswith("-of-00002.parquet") for uri in list_parts(str(tmp_path / "out")))


def test_a_run_that_was_cut_off_between_two_divisions_loses_no_film(exports, days, tmp_path):
    """Parts of both divisions lie there; what is younger holds."""
    monday, tuesday = days
    run(monday, exports, tmp_path / "out", *CSV_OFF)
    old = contents(tmp_path / "out", ".parquet")
    records.write_record(make_film_record("monday 1", 8, seed=50), records.record_uri(str(monday), "monday 1"))
    run(monday, exports, tmp_path / "out", *CSV_OFF, "--set", "shards=2")
    young = contents(tmp_path / "out", ".parquet")
    for name, content in (*old.items(), *young.items()):
        (tmp_path / "out" / name).write_bytes(content)
        time.sleep(0.02)
    run(tuesday, exports, tmp_path / "out", *CSV_OFF, "--set", "shards=5")
    table = read_table(tmp_path / "out")
    assert set(table["film_id"]) == set(MONDAY) | set(TUESDAY)
    assert table["film_id"].count("monday 1") == 8


def test_a_damaged_part_is_named_and_what_this_run_scores_is_written_again(exports, days, tmp_path, caplog):
    monday, _ = days
    run(monday, exports, tmp_path / "out", *CSV_OFF)
    before = contents(tmp_path / "out", ".parquet")
    part = tmp_path / "out" / sorted(before)[-1]
    part.write_bytes(part.read_bytes()[:-20])
    code, manifest = run(monday, exports, tmp_path / "out", *CSV_OFF)
    assert code == 0
    assert manifest["films"]["done"] > 0
    assert any(part.name in entry.getMessage() and "damaged" in entry.getMessage() for entry in caplog.records)
    assert contents(tmp_path / "out", ".parquet") == before


def test_only_the_first_part_is_written_without_films(exports, tmp_path):
    write_films(tmp_path / "one", {"film": 4})
    run(tmp_path / "one", exports, tmp_path / "out", *CSV_OFF, "--set", "shards=64")
    parts = list_parts(str(tmp_path / "out"))
    assert len(parts) == 2
    assert parts[0].endswith("part-00000-of-00064.parquet")
    assert films_in(tmp_path / "out") == {"film"}
