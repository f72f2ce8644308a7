"""Label files: what is read, what is refused with file and line, and how rows come onto the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.annotations import (
    AnnotationError,
    Labels,
    align,
    moved,
    read_labels,
    render_reports,
    report_alignment,
)
from beam_pipelines.labels.config import LabelConfig, load_label_config

HEADER = "Time\tValence\tArousal"


def write(folder: Path, *lines: str, header: str = HEADER) -> str:
    path = folder / "MEDIAEVAL18_00_Valence-Arousal.txt"
    path.write_text("\n".join([header, *lines, ""]))
    return str(path)


def test_reads_mediaeval_2018(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path, "0\t-0.5\t0.25", "1\t1.0e-1\t-1", "2\t0.3\t0.4"), LabelConfig())
    np.testing.assert_array_equal(labels.time_s, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(labels.values, np.array([[-0.5, 0.25], [0.1, -1.0], [0.3, 0.4]], np.float32))
    assert labels.values.dtype == np.float32


@pytest.mark.parametrize(("first_time_s", "expected"), [(None, [0.0, 1.0]), (0.0, [1.0, 2.0]), (2.0, [-1.0, 0.0])])
def test_origin_of_time(tmp_path: Path, first_time_s: float | None, expected: list[float]) -> None:
    config = LabelConfig(first_time_s=first_time_s)
    labels = read_labels(write(tmp_path, "1\t0\t0", "2\t0\t0"), config)
    np.testing.assert_array_equal(labels.time_s, expected)


def test_a_lag_moves_ratings_to_earlier_seconds_and_the_films_end_has_none(tmp_path: Path) -> None:
    uri = write(tmp_path, *(f"{second}\t0.{second}\t-0.{second}" for second in range(7)))
    labels = read_labels(uri, LabelConfig(lag_s=2))
    values, known = align(labels, 7)
    # What viewers rate at 2 s to 6 s they saw at 0 s to 4 s; what they say of the last two seconds comes after the end.
    np.testing.assert_allclose(values[:, 0], [0.2, 0.3, 0.4, 0.5, 0.6, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(known, [True] * 5 + [False] * 2)
    report = report_alignment("film", labels, 7)
    assert (report.used, report.before_film, report.after_film, report.unlabelled_seconds) == (5, 2, 0, 2)
    # A file that goes on beyond the film's end says something of its last seconds too.
    _, known = align(labels, 5)
    assert known.all()
    np.testing.assert_array_equal(moved(read_labels(uri, LabelConfig()), 2).time_s, labels.time_s)
    by_clock = LabelConfig(first_time_s=1.0, lag_s=2)
    np.testing.assert_array_equal(read_labels(uri, by_clock).time_s, np.arange(7) - 3.0)


def test_labels_are_read_with_the_lag_of_the_model_unless_the_section_gives_another() -> None:
    plain = LabelConfig(maximum=2.0)
    assert plain.with_lag_of("run", None) == plain.with_lag_of("run", 0) == plain
    assert plain.with_lag_of("run", 3) == LabelConfig(maximum=2.0, lag_s=3)
    assert LabelConfig(lag_s=3).with_lag_of("run", 3).lag_s == 3
    with pytest.raises(ConfigurationError, match=r"labels\.lag_s: is 2, but run was trained with 3"):
        LabelConfig(lag_s=2).with_lag_of("run", 3)
    assert load_label_config(None, (0.0, 1.0), 4) == LabelConfig(minimum=0.0, maximum=1.0, lag_s=4)


@pytest.mark.parametrize("first", ["30", "2", "0.5", "-1"])
def test_an_origin_that_is_neither_0_nor_1_must_be_given(tmp_path: Path, first: str) -> None:
    uri = write(tmp_path, *(f"{float(first) + row}\t0.1\t0.2" for row in range(5)))
    with pytest.raises(
        AnnotationError, match=rf"line 2: the first row's time is {first}; .* labels\.first_time_s"
    ) as e:
        read_labels(uri, LabelConfig())
    assert str(e.value).startswith(uri)
    _, known = align(read_labels(uri, LabelConfig(first_time_s=0.0)), 40)
    np.testing.assert_array_equal(
        np.flatnonzero(known), [t for t in np.floor(np.arange(5) + float(first) + 0.5) if t >= 0]
    )


@pytest.mark.parametrize(
    ("step", "first_time_s", "shown"),
    [(1000, None, "1000"), (5, None, "5"), (5, 0.0, "5"), (0.04, None, "0.04"), (1.02, None, "1.02")],
)
def test_rows_that_do_not_come_once_a_second(
    tmp_path: Path, step: float, first_time_s: float | None, shown: str
) -> None:
    uri = write(tmp_path, *(f"{row * step}\t0.1\t0.2" for row in range(6)))
    with pytest.raises(AnnotationError, match=rf"its rows lie {shown} s apart .* one row for each second") as raised:
        read_labels(uri, LabelConfig(first_time_s=first_time_s))
    assert str(raised.value).startswith(uri)


def test_seconds_without_a_row_in_mid_film_stay_unknown(tmp_path: Path) -> None:
    seconds = [0, 1, 2, 3, 10, 11, 12, 40]
    labels = read_labels(write(tmp_path, *(f"{second}\t0.1\t0.2" for second in seconds)), LabelConfig())
    np.testing.assert_array_equal(np.flatnonzero(align(labels, 50)[1]), seconds)


def test_a_single_row_has_no_step(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_labels(write(tmp_path, "1\t0\t0"), LabelConfig()).time_s, [0.0])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("0\t0.1\t0.2", "1\t0.1"), "line 3: it reads '1 0.1'; a row must hold three finite numbers"),
        (("0\t0.1\t0.2", "1\t0.1\tx"), "line 3: it reads '1 0.1 x'; a row must hold three finite numbers"),
        (("0\t0.1\tnan",), "line 2: it reads '0 0.1 nan'; a row must hold three finite numbers"),
        (("0,0.1,0.2",), "line 2: it reads '0,0.1,0.2'; a row must hold three finite numbers"),
        (("0\t0.1\t0.2\t0.3",), "line 2: it reads '0 0.1 0.2 0.3'; a row must hold three finite numbers"),
        (("0\t0.1\t0,2",), "line 2: line 2 has a decimal point, line 2 a decimal comma"),
        (("0\t0.1\t0.2", "", "0\t0.1\t0.2"), "line 4: time 0 follows 0; times must rise"),
        (("0\t0.1\t1.25",), r"line 2: arousal 1.25 is outside of \[-1, 1\]; set labels.minimum"),
        (("0\t-1.5\t0",), "line 2: valence -1.5 is outside"),
        ((), "has no rows of labels"),
    ],
)
def test_defects_name_file_and_line(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    uri = write(tmp_path, *lines)
    with pytest.raises(AnnotationError, match=message) as raised:
        read_labels(uri, LabelConfig())
    assert str(raised.value).startswith(uri)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("0\t0.1\t0.2", "line 1: a header line"),
        ("Time\tArousal\tValence", "line 1: the header must name valence and then arousal"),
        ("<html>", "line 1: the header must name valence and then arousal"),
    ],
)
def test_header_is_asserted(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_labels(write(tmp_path, "1\t0\t0", header=header), LabelConfig())


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no such label file"):
        read_labels(str(tmp_path / "absent.txt"), LabelConfig())
    (tmp_path / "film.txt").write_bytes(b"\xff\xd8\x00\x81")
    with pytest.raises(AnnotationError, match="not UTF-8 text"):
        read_labels(str(tmp_path / "film.txt"), LabelConfig())
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(AnnotationError, match="has no rows"):
        read_labels(str(tmp_path / "empty.txt"), LabelConfig())


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfTime\tValence\tArousal\r\n0\t0.5\t-0.5\r\n1\t0.25\t0\r\n")
    np.testing.assert_array_equal(read_labels(str(path), LabelConfig()).values, [[0.5, -0.5], [0.25, 0.0]])


@pytest.mark.parametrize(("separator", "decimal"), [("\t", "."), ("\t", ","), (",", "."), (";", ","), ("  ", ".")])
def test_a_spreadsheet_s_export_is_read_too(tmp_path: Path, separator: str, decimal: str) -> None:
    rows = [("Time", "Valence", "Arousal"), ("0", "0.5", "-0.5"), ("1", "0.25", "0")]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(separator.join(row).replace(".", decimal) for row in rows), encoding="utf-8-sig")
    np.testing.assert_array_equal(read_labels(str(path), LabelConfig()).values, [[0.5, -0.5], [0.25, 0.0]])


def labels_at(times: list[float]) -> Labels:
    values = np.stack([np.arange(len(times)), -np.arange(len(times))], axis=1) / 1000.0
    return Labels("labels.txt", np.array(times, np.float64), values.astype(np.float32))


def test_align_cuts_and_reports() -> None:
    labels = labels_at([-2.0, -0.6, -0.5, 0.9, 2.49, 3.5, 5.0])
    values, known = align(labels, 5)
    np.testing.assert_array_equal(known, [True, True, True, False, True])
    np.testing.assert_array_equal(values[known], labels.values[2:6])
    np.testing.assert_array_equal(values[~known], 0.0)
    report = report_alignment("film", labels, 5)
    assert (report.label_rows, report.used, report.before_film, report.after_film) == (7, 4, 2, 1)
    assert report.unlabelled_seconds == 1
    assert not report.complete


def test_two_rows_of_one_second_are_refused() -> None:
    with pytest.raises(AnnotationError, match=r"rows 2 and 3 both belong to second 1"):
        align(labels_at([0.0, 0.6, 1.2]), 5)


@given(st.sets(st.integers(-20, 60), min_size=1), st.integers(0, 40), st.floats(-0.499, 0.499))
def test_every_row_is_used_or_counted(seconds_labelled: set[int], seconds: int, jitter: float) -> None:
    labels = labels_at([second + jitter for second in sorted(seconds_labelled)])
    values, known = align(labels, seconds)
    report = report_alignment("film", labels, seconds)
    assert report.used + report.before_film + report.after_film == report.label_rows == len(seconds_labelled)
    assert report.used == known.sum()
    assert report.unlabelled_seconds == (~known).sum()
    assert set(np.flatnonzero(known)) == {second for second in seconds_labelled if 0 <= second < seconds}
    for second in np.flatnonzero(known):
        index = sorted(seconds_labelled).index(int(second))
        np.testing.assert_array_equal(values[second], labels.values[index])


def test_table_of_what_was_cut() -> None:
    whole = report_alignment("film0", labels_at([0.0, 1.0, 2.0]), 3)
    cut = report_alignment("film46", labels_at([float(t) for t in range(100)]), 3000)
    assert render_reports([whole]) == "Labels and features match second by second in all 1 films."
    text = render_reports([whole, cut]).splitlines()
    assert text[0] == "Labels and features differ in 1 of 2 films:"
    assert text[2].split() == ["film46", "3000", "100", "100", "0", "0", "2900"]
    assert text[3].split()[2:] == ["3003", "103", "103", "0", "0", "2900"]
    on, far, short = (report_alignment("on", labels_at([float(t) for t in range(rows)]), 9) for rows in (11, 15, 7))
    assert render_reports([whole, on, on]) == (
        "Labels and features match second by second in all 3 films; in 2 of them labels go on for up to 2 s after the "
        "film's end (4 rows, left out)."
    )
    for other in (far, short):
        assert render_reports([whole, on, other]).splitlines()[0] == "Labels and features differ in 2 of 3 films:"


def test_an_address_of_raters_in_another_layout_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"needs train\.labels\.layout: table, so the --config of the training"):
        read_labels(str(tmp_path / "night" / "{rater}.csv"), LabelConfig())
