"""Tables that people write: however they are written the same cells come out, or a line and a reason."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.foundation.tables.reading import Numbers, TableError, read_table
from beam_pipelines.foundation.tables.seconds import find_clock, means_of_seconds
from tests.support.hypothesis_profiles import examples


def write(folder: Path, content: str | bytes, encoding: str = "utf-8") -> str:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return str(path)


def numbers_of(uri: str) -> list[list[float]]:
    table = read_table(uri)
    numbers = Numbers(uri)
    return [numbers.of(line, cells).tolist() for line, cells in table.rows()]


@pytest.mark.parametrize("separator", ["\t", ";", ",", "  ", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_the_same_table_however_it_is_written(tmp_path, separator, encoding, line_end, decimal):
    rows = [["time_s", "Freude"], ["0", "0.5"], ["1", "-1.25e-1"]]
    quote = '"' if decimal == separator.strip() else ""
    cells = [[f"{quote}{cell.replace('.', decimal)}{quote}" for cell in row] for row in rows]
    uri = write(tmp_path, line_end.join(["", *map(separator.join, cells), ""]), encoding)
    table = read_table(uri)
    assert (table.header, table.header_line) == (("time_s", "Freude"), 2)
    assert numbers_of(uri) == [[0.0, 0.5], [1.0, -0.125]]


CELLS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5), st.sampled_from("\t;,"))
@examples(40)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows, separator):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([["a;,", "b", 'c"d'], *rows])
    table = read_table(write(tmp_path_factory.mktemp("tables"), text.getvalue()))
    assert table.header == ("a;,", "b", 'c"d')
    assert [cells for _, cells in table.rows()] == rows


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1\n", "line 2: fewer cells than columns (1, 2)"),
        ("a;b\n1;2\n1;2;3\n", "line 3: more cells than columns (3, 2); put a value that has a semicolon in quotes"),
        ('a,b\n1,"2\n3,4\n', "not readable as CSV"),
        ('a,b\n1,"2"3\n', "line 2: not readable as CSV"),
        ("1,2\n3,4\n", "line 1: a header line with a name for every column must come first"),
        ("1,5;2\n3;4\n", "line 1: a header line"),
        ("a,b,a\n1,2,3\n", "line 1: the column 'a' is there twice"),
        ("a;b\n0;0.5\n1;0,5\n", "line 3: line 2 has a decimal point, line 3 a decimal comma"),
        ("Größe;b\n".encode("latin-1"), "line 1: not UTF-8 text"),
        (b"a,b\n1,\0\n", "line 2: has a null character"),
    ],
)
def test_everything_else_is_refused_with_line_and_reason(tmp_path, content, expected):
    uri = write(tmp_path, content)
    with pytest.raises(TableError) as caught:
        numbers_of(uri)
    assert str(caught.value).startswith(uri)
    assert expected in str(caught.value)


def test_empty_cells_at_the_ends_are_no_columns_and_may_be_left_out_where_a_caller_says_so(tmp_path):
    table = read_table(write(tmp_path, "a,b,,\n1,2,,\n3,4\n5\n"))
    assert table.header == ("a", "b")
    assert [cells for _, cells in table.rows(may_be_short=True)] == [["1", "2"], ["3", "4"], ["5", ""]]
    assert (table.place("B"), table.place(1), table.place("c"), table.place(2)) == (1, 1, None, None)


def test_what_is_no_number_is_nan_and_thousands_are_not_grouped(tmp_path):
    numbers = Numbers("x")
    assert np.isnan(numbers.of(1, ["", "x", "1,234,567", "nan"])).all()
    np.testing.assert_array_equal(numbers.of(2, ["1,5", "v1.0", "7"]), [1.5, np.nan, 7])
    np.testing.assert_array_equal(numbers.of(3, [" 2 ", "-3e2"]), [2, -300])
    with pytest.raises(TableError, match="line 4 has a decimal point, line 2 a decimal comma"):
        numbers.of(4, ["1.5"])


def means(uri: str, rate_hz: Fraction | None = None):
    table = read_table(uri)
    clock = find_clock(table, rate_hz)
    places = [place for place, name in enumerate(table.header) if name.startswith("x")]
    return means_of_seconds(table, places, clock)


@pytest.mark.parametrize(
    ("header", "row", "rate_hz"),
    [
        ("time_s,x", lambda frame: f"{frame / 25:.2f}", None),
        ("frame, Timestamp, x", lambda frame: f"{frame + 1}, {frame * 0.04:.3f}", None),
        ("x0,time", None, None),
        ("frame;x", lambda frame: f"{frame}", Fraction(25)),
        ("Frame;timestamp;x", lambda frame: f"{frame + 1};{frame * 40}", Fraction(25)),
        ("x", lambda frame: "", Fraction(25)),
    ],
)
def test_25_rows_a_second_are_averaged_into_seconds_whatever_says_when(tmp_path, header, row, rate_hz):
    separator = ";" if ";" in header else ","
    value = [frame % 7 + frame // 25 for frame in range(190)]
    lines = [
        f"{v},{frame / 25}" if row is None else separator.join(filter(None, [row(frame), str(v)]))
        for frame, v in enumerate(value)
    ]
    found = means(write(tmp_path, "\n".join([header, *lines])), rate_hz)
    expected = [np.mean(value[25 * second : 25 * second + 25]) for second in range(8)]
    np.testing.assert_allclose(found.means[:, 0], expected, rtol=1e-12)
    assert (found.absent, found.empty, found.not_numbers, found.doubled, found.averaged) == (0, 0, 0, 0, 8)


def test_a_second_s_mean_leaves_out_rows_without_numbers_and_times_that_were_there(tmp_path):
    rows = ["0,1,1", "0.5,3,x", "0.5,9,9", "2,,", "2.25,4,4", "1,nan,0", "2.75,6,8", "2.5,1e39,0", "4.9996,5,5"]
    found = means(write(tmp_path, "\n".join(["time_s,x,x2", *rows])))
    np.testing.assert_array_equal(found.means, [[1, 1], [np.nan] * 2, [5, 6], [np.nan] * 2, [np.nan] * 2, [5, 5]])
    assert (found.absent, found.empty, found.not_numbers, found.doubled) == (2, 1, 3, 1)
    assert found.first_fault == "line 3: 'x' in the column 'x2' is no finite number"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time_s,x\n0,1\n40,2\n80,3\n", "its rows lie 40 s apart (median)"),
        ("time_s,x\n0,1\nsoon,2\n", "line 3: time_s is 'soon', wanted seconds from the beginning of the film"),
        ("time,x\n-1,1\n", "line 2: time is '-1'"),
        ("timestamp,x\n1700000000,1\n", "line 2: timestamp is '1700000000'"),
        ("time,x\n00:00:01,1\n", "line 2: time is '00:00:01'"),
        ("frame,x\n0,1\n", "only its column 'frame' says when; name the frames' rate"),
        ("x\n1\n\n3\n", "line 4: lines before it are empty, so its second is unclear"),
    ],
)
def test_times_that_are_none_of_a_film_are_refused(tmp_path, text, expected):
    uri = write(tmp_path, text)
    with pytest.raises(TableError) as caught:
        means(uri)
    assert str(caught.value).startswith(uri)
    assert expected in str(caught.value)


@given(
    st.lists(
        st.tuples(st.integers(0, 90_000), st.integers(-50, 50)), min_size=1, max_size=60, unique_by=lambda row: row[0]
    )
)
@examples(40)
def test_rows_at_a_thousand_a_second_in_any_order_give_the_mean_of_each_second(tmp_path_factory, rows):
    lines = [f"{time_ms / 1000:.3f};{value}" for time_ms, value in rows]
    uri = write(tmp_path_factory.mktemp("tables"), "\n".join(["time_s;x", *lines]))
    by_second: dict[int, list[int]] = {}
    for time_ms, value in rows:
        by_second.setdefault(time_ms // 1000, []).append(value)
    steps = np.diff(sorted(time_ms for time_ms, _ in rows)) / 1000
    if len(steps) and np.median(steps) > 1.5:
        with pytest.raises(TableError, match="apart"):
            means(uri)
        return
    found = means(uri)
    for second, mean in enumerate(found.means[:, 0]):
        assert mean == pytest.approx(np.mean(by_second[second])) if second in by_second else np.isnan(mean)
    assert found.absent == len(found.means) - len(by_second)
