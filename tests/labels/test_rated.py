"""Tables of ratings: any rate, unit, order of columns and number of raters, averaged into the film's seconds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.labels.annotations import AnnotationError, align, on_clock, read_labels
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.layouts import label_files
from tests.support.hypothesis_profiles import examples


def config(table: dict | None = None, **further: object) -> LabelConfig:
    return LabelConfig.model_validate({"layout": "table", "table": table or {}, **further})


def write(folder: Path, text: str, name: str = "labels.csv") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@given(
    st.sampled_from([1, 2, 4, 10, 25, 29.97, 1000]),
    st.sampled_from(["s", "ms", "frames"]),
    st.integers(0, 1000),
    st.integers(1, 3),
    st.sampled_from([0.0, 2.0, -3.0]),
)
@examples(30)
def test_any_rate_is_averaged_as_numpy_averages_it(tmp_path_factory, rate_hz, unit, seed, least, first) -> None:
    generator = np.random.default_rng(seed)
    count = int(min(rate_hz * 8, 2500))
    times = np.arange(count) / rate_hz + first
    values = generator.uniform(-1, 1, (count, 2))
    values[generator.random(values.shape) < 0.3] = np.nan
    written = {"s": times, "ms": times * 1000, "frames": np.round(times * rate_hz)}[unit]
    per_second = {"s": 1.0, "ms": 1000.0, "frames": rate_hz}[unit]
    rows = [
        f"{float(time)!r};" + ";".join("" if math.isnan(v) else repr(float(v)) for v in row)
        for time, row in zip(written, values, strict=True)
    ]
    uri = write(tmp_path_factory.mktemp("rated"), "\n".join(["when;arousal;valence", *rows]))
    second = np.floor(written / per_second - first + 0.0005).astype(int)
    expected = {}
    for one in np.unique(second):
        mine = values[second == one][:, ::-1]
        means = [np.nanmean(column) if np.isfinite(column).sum() >= least else np.nan for column in mine.T]
        if np.isfinite(means).all():
            expected[float(one)] = means
    keys = {"time": "when", "unit": unit, "rate_hz": rate_hz, "least_samples": least}
    if not expected:
        with pytest.raises(AnnotationError, match="no second has a label"):
            read_labels(uri, config(keys, first_time_s=first))
        return
    labels = read_labels(uri, config(keys, first_time_s=first))
    assert labels.time_s.tolist() == list(expected)
    np.testing.assert_allclose(labels.values, list(expected.values()), atol=1e-6)


def test_rows_without_times_columns_by_place_and_a_scale_of_its_own(tmp_path: Path) -> None:
    uri = write(tmp_path, "\n".join(f"x,{n % 10},{9 - n % 10}" for n in range(40)))
    keys = {"header": False, "rate_hz": 10, "valence": 2, "arousal": 3, "range": [0, 9], "flipped": ["arousal"]}
    labels = read_labels(uri, config(keys, minimum=0.0, maximum=1.0, lag_s=1))
    assert labels.time_s.tolist() == [-1, 0, 1, 2]
    np.testing.assert_allclose(labels.values, 0.5, atol=1e-7)
    assert align(labels, 5)[1].tolist() == [True, True, True, False, False]


def three_raters(folder: Path) -> str:
    for name, by in (("anna", 0.0), ("ben", 0.2), ("cleo", 0.4)):
        rows = [f"{n / 4},{0.1 + by},{by - 0.5}" for n in range(24 if name != "cleo" else 12)]
        write(folder, "\n".join(["time,valence,arousal", *rows]), f"night/{name}.csv")
    return str(folder / "night" / "{rater}.csv")


def test_raters_in_files_columns_and_a_long_table_give_the_same(tmp_path: Path) -> None:
    names = ("anna", "ben", "cleo")
    files = read_labels(three_raters(tmp_path), config())
    assert files.values[:, 0].tolist() == pytest.approx([0.3] * 3 + [0.2] * 3)
    assert files.deviation[:, 1].tolist() == pytest.approx([0.2] * 3 + [np.std([0, 0.2], ddof=1)] * 3)
    table, long = [], []
    for n in range(24):
        given_ = [(0.1 + by, by - 0.5) if by < 0.4 or n < 12 else ("", "") for by in (0.0, 0.2, 0.4)]
        table.append(",".join([str(n / 4), *(f"{v},{a}" for v, a in given_)]))
        long += [f"{name},day,{n / 4},1,1" for name in names]
        long += [f"{name},night,{n / 4},{v},{a}" for name, (v, a) in zip(names, given_, strict=True)]
    header = "time," + ",".join(f"v_{name},a_{name}" for name in names)
    uri = write(tmp_path, "\n".join([header, *table]), "columns.csv")
    columns = read_labels(uri, config({"valence": "v_*", "arousal": "a_*"}))
    listed = read_labels(uri, config({"valence": [2, 4, 6], "arousal": ["a_anna", "a_ben", "a_cleo"]}))
    long = sorted(long, key=lambda row: row.split(",")[:2])
    uri = write(tmp_path, "\n".join(["who,film,time,valence,arousal", *long]), "long.csv")
    rows = read_labels(uri, config({"rater": "who", "film": "film"}), "night")
    for other in (columns, listed, rows):
        np.testing.assert_allclose(other.values, files.values, atol=1e-6)
        np.testing.assert_allclose(other.ratings.values, files.ratings.values, atol=1e-6)
        np.testing.assert_allclose(other.deviation, files.deviation, atol=1e-6)
    assert files.ratings.raters == columns.ratings.raters == rows.ratings.raters == names
    assert listed.ratings.raters == ("1", "2", "3")


def test_raters_names_may_be_in_either_unicode_form(tmp_path: Path) -> None:
    for name in ("Zoe\u0308", "Ren\u00e9"):
        write(tmp_path, "time,valence,arousal\n0,0,0\n1,0.5,0", f"ne\u0301e/{name}.csv")
    labels = read_labels(str(tmp_path / "n\u00e9e" / "{rater}.csv"), config())
    assert labels.ratings.raters == ("Ren\u00e9", "Zo\u00eb")


def test_ratings_on_the_clock(tmp_path: Path) -> None:
    labels = read_labels(three_raters(tmp_path), config(lag_s=2))
    found = on_clock(labels, labels.ratings.values, 5)
    assert found.shape == (5, 3, 2)
    np.testing.assert_array_equal(np.isfinite(found[:, 2, 0]), [True, False, False, False, False])
    np.testing.assert_array_equal(np.isfinite(found[:, 0, 0]), [True] * 4 + [False])


def test_one_target_and_the_files_of_an_address(tmp_path: Path) -> None:
    address = three_raters(tmp_path)
    labels = read_labels(address, config(targets=["arousal"], raters={"least": 3}))
    assert labels.values.shape == (3, 1)
    assert len(label_files(address, LabelConfig(layout="table"))) == 3
    assert label_files("{target}/a.csv", config(targets=["arousal"])) == ("arousal/a.csv",)
    with pytest.raises(AnnotationError, match="no such file of any rater"):
        label_files(str(tmp_path / "nobody" / "{rater}.csv"), LabelConfig(layout="table"))


@pytest.mark.parametrize(
    ("rows", "table", "expected"),
    [
        (["0,0.1,0.1", "1,x,0.1"], {}, r"line 3: 'x' in the column 'valence' is no finite number"),
        (["0,0.1,0.1", "1,7,0.1"], {}, r"line 3: valence 7 is outside of \[-1, 1\]; set labels.table.range"),
        (["0,0,0", "5,0,0", "0,0,0"], {}, r"line 4: time 0 s follows 5 s; .*labels.table.rater"),
        (["0,0,0", "0,0,0", "1,0,0", "1,0,0"], {}, r"line 3: many rows have the time of the row before"),
        (["0,0,0", "40,0,0", "80,0,0"], {}, r"ratings lie 40 s apart .*labels.table.unit"),
        (["0,0,0", "1,0,0", "2,0,0"], {"unit": "ms", "rate_hz": 25}, None),
        (["0,0,0", "0.1,0,0", "0.2,0,0"], {"unit": "ms"}, r"more than a thousand a second"),
        (["0,0,0", "50000,0,0"], {}, r"which is no film's"),
        (["0,0,0", "1,,", "2,0,0"], {"least_samples": 2}, r"no second has a label of valence and arousal"),
        (["0,0,0"], {"valence": "pleasure"}, r"line 1: has no column 'pleasure', which labels.table.valence names"),
        (["0,0,0"], {"valence": "p_*"}, r"no column's name is like 'p_\*'"),
        (["0,0,0"], {"time": 9}, r"has no column 9, which labels.table.time names"),
        (["0,0,0", "1,0,0"], {"range": "trace"}, r"the rater '1' gave 0 for valence throughout"),
        (["now,0,0"], {}, r"line 2: 'now' is no time"),
    ],
)
def test_what_is_no_rating_of_a_film_is_refused_with_line_and_key(tmp_path: Path, rows, table, expected) -> None:
    uri = write(tmp_path, "\n".join(["time,valence,arousal", *rows]))
    if expected is None:
        assert read_labels(uri, config(table)).time_s.tolist() == [0.0]
        return
    with pytest.raises(AnnotationError, match=expected):
        read_labels(uri, config(table))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"table": {"unit": "frames"}}, "rate_hz"),
        ({"table": {"range": [1, 1]}}, "must rise"),
        ({"table": {"header": False, "valence": "v"}}, "by place only"),
        ({"table": {"rate_hz": 2000}}, "less than or equal to 1000"),
        ({"targets": []}, "at least 1"),
        ({"targets": ["arousal", "arousal"]}, "twice"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        LabelConfig.model_validate(values)


def test_targets_have_one_order() -> None:
    assert config(targets=["arousal", "valence"]).targets == ("valence", "arousal")
