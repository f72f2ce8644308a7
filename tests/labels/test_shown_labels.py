"""Label tables for display: on the film's clock, in the layouts that people have, and never fatal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.labels.shown_labels import read_shown_labels


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("divider", ["\t", ",", ";", "  "])
def test_rows_belong_to_their_nearest_second(tmp_path: Path, divider: str) -> None:
    rows = [("Time", "Valence", "Arousal"), ("10.0", "0.1", "-0.1"), ("11.4", "0.2", "-0.2"), ("13.0", "0.3", "-0.3")]
    labels = read_shown_labels(write(tmp_path, "\n".join(divider.join(row) for row in rows)), 5)
    np.testing.assert_array_equal(labels.valence, [0.1, 0.2, np.nan, 0.3, np.nan])
    np.testing.assert_array_equal(labels.arousal, [-0.1, -0.2, np.nan, -0.3, np.nan])


def test_rows_beyond_the_film_are_left_out(tmp_path: Path) -> None:
    labels = read_shown_labels(write(tmp_path, "time valence arousal\n0 0.5 0.5\n1 0.6 0.6\n2 0.7 0.7\n"), 2)
    np.testing.assert_array_equal(labels.valence, [0.5, 0.6])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_columns"),
        ("0 0.1 0.2\n1 0.1 0.2", "no_columns"),
        ("time valence arousal\n0 x 0.2", "not_numbers"),
        ("time valence arousal\n0 0.2", "not_numbers"),
        ("time valence arousal\nnan 0.2 0.1", "not_numbers"),
    ],
)
def test_what_is_no_label_table_is_said_so(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(FilmError) as error:
        read_shown_labels(write(tmp_path, text), 5)
    assert error.value.reason == reason
    assert "labels.txt" in error.value.detail


def test_an_absent_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="unreadable"):
        read_shown_labels(str(tmp_path / "none.txt"), 5)


def test_layouts_whose_header_names_less_are_shown_as_the_trainer_reads_them(tmp_path: Path) -> None:
    for target, value in (("Valence", 0.5), ("Arousal", -0.5)):
        rows = "".join(f"{second}\t{value}\t0.1\n" for second in (1, 2))
        (tmp_path / f"film_{target}.txt").write_text(f"Time\tMean\tStdDev\n{rows}")
    shown = read_shown_labels(str(tmp_path / "film_Valence.txt"), 3)
    np.testing.assert_array_equal(shown.valence, [0.5, 0.5, np.nan])
    np.testing.assert_array_equal(shown.arousal, [-0.5, -0.5, np.nan])
    segments = "".join(f"{number}\t{5 * number}\t{number / 10}\t0\n" for number in range(3))
    shown = read_shown_labels(write(tmp_path, f"id\tstart\tMeanValence\tMeanArousal\n{segments}"), 12)
    np.testing.assert_allclose(shown.valence[[5, 10]], [0.0, 0.1])
    assert np.isnan(shown.valence[:5]).all()
