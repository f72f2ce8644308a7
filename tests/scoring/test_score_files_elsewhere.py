"""What a scoring run leaves, opened with the tools that people have: pandas and DuckDB find sensible types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.records import records
from tests.support.exported_models import write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import run, write_films

REASON = "needs pandas and DuckDB: install the extra `test`"
pandas = pytest.importorskip("pandas", reason=REASON)
duckdb = pytest.importorskip("duckdb", reason=REASON)

# The first looks like a number; a second of the last has no raw value.
FILMS = {"007": 30, "a film, with commas": 12, "gap": 40}
VALUES = ["valence", "arousal", "valence_raw", "arousal_raw"]
SECOND_WITHOUT_VALUE = 10


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scores")
    write_model(root / "exports", "1")
    write_films(root / "features", FILMS)
    record = make_film_record("gap", FILMS["gap"], seed=2)
    record.tracks["image"].values[SECOND_WITHOUT_VALUE] = np.nan
    records.write_record(record, records.record_uri(str(root / "features"), "gap"))
    code, _ = run(root / "features", root / "exports", root / "scores")
    assert code == 0
    return root / "scores"


def assert_seconds(frame) -> None:
    """Every film has its seconds, and one of them has no raw valence."""
    assert frame.groupby("film_id").size().to_dict() == FILMS
    assert all(rows["time_s"].tolist() == list(range(len(rows))) for _, rows in frame.groupby("film_id"))
    absent = frame[frame["valence_raw"].isna()]
    assert list(zip(absent["film_id"], absent["time_s"], strict=True)) == [("gap", SECOND_WITHOUT_VALUE)]
    assert frame[VALUES[:2]].notna().all(axis=None)


def test_pandas_reads_the_table(scores: Path) -> None:
    frame = pandas.read_parquet(scores / "curves.parquet")
    assert list(frame.columns) == ["film_id", "time_s", *VALUES]
    assert pandas.api.types.is_string_dtype(frame["film_id"])
    assert frame["time_s"].dtype == np.int32
    assert [str(frame[name].dtype) for name in VALUES] == ["float64"] * 4
    assert_seconds(frame)


def test_duckdb_reads_the_table(scores: Path) -> None:
    with duckdb.connect() as connection:
        table = connection.read_parquet(f"{scores}/curves.parquet/*.parquet")
        described = dict(zip(table.columns, map(str, table.types), strict=True))
        assert described == {"film_id": "VARCHAR", "time_s": "INTEGER", **dict.fromkeys(VALUES, "DOUBLE")}
        assert_seconds(table.df())
        mean, least = connection.execute(
            f"SELECT avg(valence), min(time_s) FROM '{scores}/curves.parquet/*.parquet' WHERE film_id = '007'"
        ).fetchone()
    curve = pandas.read_csv(scores / "curves" / "007.csv")
    assert (mean, least) == (pytest.approx(curve["valence"].mean()), 0)


@pytest.mark.parametrize("film_id", FILMS)
def test_a_films_file_opens_with_numbers_as_in_the_table(scores: Path, film_id: str) -> None:
    path = scores / "curves" / f"{film_id}.csv"
    frame = pandas.read_csv(path)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "time_s": "int64",
        **dict.fromkeys(VALUES, "float64"),
    }
    with duckdb.connect() as connection:
        read = connection.read_csv(str(path))
        assert [str(kind) for kind in read.types] == ["BIGINT", *["DOUBLE"] * 4]
        pandas.testing.assert_frame_equal(read.df(), frame)
    table = pandas.read_parquet(scores / "curves.parquet")
    rows = table[table["film_id"] == film_id].sort_values("time_s").reset_index(drop=True)
    pandas.testing.assert_frame_equal(rows[VALUES], frame[VALUES], check_exact=True)
