"""Curves as files: what training writes is what a scoring run has, and what is no curve is refused by its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import from_csv, to_csv
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.evaluation.curve_files import RAW, SMOOTHED, read_curve, write_curve


def test_a_curve_file_is_that_of_a_scoring_run(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)
    raw[7, 1] = np.nan
    write_curve(str(tmp_path), "film", raw, np.nan_to_num(raw).astype(np.float64) / 3)
    path = tmp_path / "curves" / "film.csv"
    curve = read_curve(str(path))
    np.testing.assert_allclose(curve[RAW], raw, atol=5.1e-7)
    np.testing.assert_allclose(curve[SMOOTHED], np.nan_to_num(raw) / 3, atol=5.1e-7)
    again = from_csv(path.read_text(), "film")
    np.testing.assert_array_equal(np.stack([again.valence_raw, again.arousal_raw], axis=1), curve[RAW])
    assert to_csv(again) == path.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("valence,arousal\n0,1\n", "no column time_s"),
        ("time_s,valence\n0,1\n", "no column arousal"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1,x\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1\n", "line 3: not 3 numbers: 1"),
        ("time_s,valence,arousal\n0,0.1,0.2\n1,0.1,0.2,0.3\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n\n", "line 3: not 3 numbers"),
        ("time_s,valence,arousal\n0,0.1,0.2\n2,0.1,0.2\n", "must run from 0 without a gap"),
    ],
)
def test_files_that_are_no_curve(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "film.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_curve(str(tmp_path / "film.csv"))


def test_a_curve_without_raw_columns_and_with_an_empty_cell(tmp_path: Path) -> None:
    (tmp_path / "film.csv").write_text("time_s,valence,arousal\n0,0.1,\n1,0.2,0.3\n")
    curve = read_curve(str(tmp_path / "film.csv"))
    assert set(curve) == {SMOOTHED}
    np.testing.assert_array_equal(curve[SMOOTHED], [[0.1, np.nan], [0.2, 0.3]])
