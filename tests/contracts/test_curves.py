"""Curves and their files: six decimals everywhere, absent values, the same bytes for the same curves."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from beam_pipelines.contracts.curves import curve_table
from beam_pipelines.contracts.curves.curves import COLUMNS, AffectCurve, CurveError, from_csv, smoothed_curve, to_csv
from beam_pipelines.contracts.curves.done_marker import DoneMarker, from_json, to_json
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.film_warnings import film_warning
from beam_pipelines.foundation.errors import FilmError
from tests.support.hypothesis_profiles import examples

ODD_ID = "a'b\"c <x> é 電影, 50%"


def make_curve(film_id="film", seconds=30, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (4, seconds))
    return AffectCurve(film_id, *values)


def both(values):
    return dict(zip(("valence", "arousal"), values, strict=True))


def marker_of(curve, scorer="s"):
    return DoneMarker(curve.film_id, scorer, "r", curve.seconds, curve.seconds_without_value)


def assert_same(one, other):
    assert one.film_id == other.film_id
    assert one.columns == other.columns
    for name in one.columns:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_the_csv_is_as_documented():
    curve = AffectCurve("f", *np.array([[-0.1203114, -0.0], [0.30441, 1.0], [-1e-9, np.nan], [0.5, np.inf]]))
    assert to_csv(curve) == (
        "time_s,valence,arousal,valence_raw,arousal_raw\n"
        "0,-0.120311,0.304410,0.000000,0.500000\n"
        "1,0.000000,1.000000,,\n"
    )
    assert curve.seconds_without_value == 1


@examples(60)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.sampled_from([4, 6]), st.integers(1, 40)),
        elements=st.floats(-5, 5) | st.just(np.nan) | st.sampled_from([1.0000005, -0.0000005, 0.1234565, 2.5e-7]),
    )
)
def test_csv_and_parquet_give_back_the_very_same_curve(tmp_path_factory, values):
    curve = AffectCurve(ODD_ID, *values)
    again = from_csv(to_csv(curve), ODD_ID)
    assert_same(again, curve)
    assert to_csv(again) == to_csv(curve)
    uri = str(tmp_path_factory.mktemp("part") / "p.parquet")
    curve_table.write_part(uri, [marker_of(curve)], lambda _: curve, curve.columns)
    assert_same(curve_table.read_part(uri)[ODD_ID], curve)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a curve"),
        ("time_s,valence\n0,0.1\n", "columns"),
        ("time_s,valence,arousal,valence_raw,arousal_raw\n0,x,0,0,0\n", "not a curve"),
        ("time_s,valence,arousal,valence_raw,arousal_raw\n0\n", "not a curve: line 2"),
        ("time_s,valence,arousal,valence_raw,arousal_raw\n0,0,1_0,0,0\n", "not a curve: line 2"),
        # What Python's csv module itself refuses: a cell beyond its limit, a line's end within a line.
        (f"time_s,valence,arousal,valence_raw,arousal_raw\n0,0,{'1' * 200_000},0,0\n", "not a curve: line 2"),
        ("time_s,valence,arousal,valence_raw,arousal_raw\n0,0\r1,0,0,0\n", "not a curve: line 2"),
        ("time_s,valence,arousal,valence_raw,arousal_raw\n1,0,0,0,0\n", "run from 0"),
        ("time_s,valence,arousal,valence_raw,arousal_raw,valence_spread\n0,0,0,0,0,0\n", "columns"),
    ],
)
def test_a_file_that_is_no_curve_is_named(text, says):
    with pytest.raises(CurveError, match=f"the-film.*{says}"):
        from_csv(text, "the-film")


def test_reading_a_curve_starts_no_thread_that_could_outlive_the_interpreter():
    """Arrow's CSV reader left such threads to trainings, of which one in some dozens aborted when it was all done."""
    code = f"""
import sys, threading
from beam_pipelines.contracts.curves.curves import from_csv
assert from_csv({to_csv(make_curve())!r}, "film").seconds == 30
assert "pyarrow" not in sys.modules
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        AffectCurve("f", np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="all columns of a target"):
        AffectCurve("f", *np.zeros((5, 3)))


def test_smoothed_curve_equals_the_filter_and_keeps_the_raw_values():
    raw = np.random.default_rng(1).uniform(-1, 1, (2, 120))
    raw[0, 7] = np.nan
    config = SmoothingConfig(cutoff_hz=0.1)
    curve = smoothed_curve("f", both(raw), config, (-1.0, 1.0))
    np.testing.assert_allclose(curve.valence, smooth(raw[0], config), atol=5e-7)
    np.testing.assert_allclose(curve.arousal_raw, raw[1], atol=5e-7)
    assert np.isnan(curve.valence_raw[7])
    assert np.isfinite(curve.valence).all()
    assert curve.seconds_without_value == 1


def test_the_curve_of_an_ensemble_says_how_far_its_members_lie_apart():
    members = np.random.default_rng(2).uniform(-1, 1, (2, 3, 60))
    members[0, 1, 4] = np.nan
    config = SmoothingConfig(cutoff_hz=0.1)
    raw = members.mean(axis=1)
    curve = smoothed_curve("f", both(raw), config, (-1.0, 1.0), both(members))
    spread_columns = ("valence_spread", "arousal_spread")
    assert curve.columns == ("valence", "arousal", "valence_raw", "arousal_raw", *spread_columns)
    for name, target in zip(spread_columns, members, strict=True):
        smoothed = np.stack([smooth(member, config) for member in target])
        expected = np.sqrt(np.mean(np.square(smoothed - smoothed.mean(axis=0)), axis=0))
        np.testing.assert_allclose(getattr(curve, name), expected, atol=6e-7)
        assert expected.max() > 0.1
    alone = smoothed_curve("f", both(raw), config, (-1.0, 1.0))
    assert alone.columns == COLUMNS
    assert to_csv(alone).splitlines() == [line.rsplit(",", 2)[0] for line in to_csv(curve).splitlines()]


@pytest.mark.parametrize("members", [None, {"arousal": [[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]}])
def test_a_model_of_one_target_has_no_columns_of_the_other(members, tmp_path):
    raw = {"arousal": np.array([0.5, np.nan, 0.25])}
    curve = smoothed_curve("f", raw, SmoothingConfig(method="none"), (-1.0, 1.0), members)
    further = ("arousal_spread",) if members else ()
    assert curve.targets == ("arousal",)
    assert curve.columns == ("arousal", "arousal_raw", *further)
    assert curve.valence is None
    assert (curve.seconds, curve.seconds_without_value) == (3, 1)
    text = to_csv(curve)
    assert text.splitlines()[0] == ",".join(["time_s", *curve.columns])
    assert_same(from_csv(text, "f"), curve)
    uri = str(tmp_path / "p.parquet")
    curve_table.write_part(uri, [marker_of(curve)], lambda _: curve, curve.columns)
    assert pq.read_table(uri).column_names == ["film_id", "time_s", *curve.columns]
    assert_same(curve_table.read_part(uri)["f"], curve)
    with pytest.raises(KeyError):
        curve.of("valence")


@pytest.mark.parametrize("target", [0, 1])
def test_a_film_without_any_finite_value_is_a_film_error(target):
    raw = np.zeros((2, 20))
    raw[target] = np.nan
    with pytest.raises(FilmError, match=f"no_finite_value.*{('valence', 'arousal')[target]}"):
        smoothed_curve("f", both(raw), SmoothingConfig(), (-1.0, 1.0))


def test_a_part_is_sorted_typed_and_deterministic(tmp_path):
    curves = {film_id: make_curve(film_id, seconds, seed) for seed, (film_id, seconds) in
              enumerate([("b", 3), ("a", 200_000), (ODD_ID, 100_000), ("é", 1)])}  # fmt: skip
    markers = [marker_of(curve) for curve in curves.values()]
    one, two = str(tmp_path / "1.parquet"), str(tmp_path / "2.parquet")
    curve_table.write_part(one, markers, lambda marker: curves[marker.film_id])
    curve_table.write_part(two, markers[::-1], lambda marker: curves[marker.film_id])
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()

    table = pq.read_table(one)
    assert {field.name: str(field.type) for field in table.schema} == {
        "film_id": "string", "time_s": "int32", **dict.fromkeys(COLUMNS, "double")}  # fmt: skip
    keys = list(zip(table["film_id"].to_pylist(), table["time_s"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 300_004
    assert pq.ParquetFile(one).num_row_groups > 1
    assert [marker.film_id for marker in curve_table.read_markers(one)] == sorted(curves)
    read = curve_table.read_part(one)
    assert list(read) == sorted(curves)
    for film_id, curve in read.items():
        assert_same(curve, curves[film_id])


def test_an_absent_value_is_null_in_parquet(tmp_path):
    curve = AffectCurve("f", *np.array([[0.0, 0.1], [0.0, 0.1], [np.nan, 0.1], [0.0, 0.1]]))
    uri = str(tmp_path / "p.parquet")
    curve_table.write_part(uri, [marker_of(curve)], lambda _: curve)
    assert pq.read_table(uri)["valence_raw"].to_pylist() == [None, 0.1]


def test_a_part_without_films_can_be_read(tmp_path):
    uri = str(tmp_path / "p.parquet")
    curve_table.write_part(uri, [], lambda marker: pytest.fail(f"asked for {marker}"))
    assert pq.read_table(uri).num_rows == 0
    assert curve_table.read_part(uri) == {}
    assert curve_table.read_markers(uri) == []


def test_a_damaged_part_has_no_markers(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really")
    assert curve_table.read_markers(str(tmp_path / "p.parquet")) == []
    assert curve_table.read_markers(str(tmp_path / "absent.parquet")) == []


def test_a_part_with_a_damaged_footer_has_no_markers_and_is_named(tmp_path, caplog):
    path, curve = tmp_path / "p.parquet", make_curve("f")
    curve_table.write_part(str(path), [marker_of(curve)], lambda _: curve)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:footer] + b"\xff" * 40 + content[footer + 40 :])
    assert curve_table.read_markers(str(path)) == []
    assert f"{path}: damaged" in caplog.text
    assert not curve_table.holds(str(path), [marker_of(curve)])


def test_what_the_system_refuses_is_no_damage(tmp_path, monkeypatch):
    def refused(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    uri = str(tmp_path / "p.parquet")
    curve_table.write_part(uri, [], lambda marker: pytest.fail(f"asked for {marker}"))
    monkeypatch.setattr(pq, "read_metadata", refused)
    with pytest.raises(PermissionError):
        curve_table.read_markers(uri)
    with pytest.raises(PermissionError):
        curve_table.holds(uri, [])


def test_of_a_part_of_another_version_the_films_before_the_unreadable_one_stay(tmp_path, monkeypatch, caplog):
    uri, markers = str(tmp_path / "p.parquet"), [marker_of(make_curve(film_id)) for film_id in "abc"]
    curve_table.write_part(uri, markers, lambda marker: make_curve(marker.film_id))
    text = curve_table._read_json(uri)
    monkeypatch.setattr(curve_table, "_read_json", lambda _uri: text[: text.rindex(b"{")] + b'{"unknown": 1}]')
    assert curve_table.read_markers(uri) == markers[:2]
    assert f"{uri}: damaged or of another version, so the rest of it is not kept" in caplog.text


def test_shards_are_stable_and_even():
    # From `printf film | sha256sum`: the first eight bytes as a number.
    assert curve_table.shard_of("film", 1000) == 0xD0607F7AD2628B2A % 1000
    counts = np.bincount([curve_table.shard_of(f"film-{number}", 16) for number in range(16_000)], minlength=16)
    assert counts.min() > 850
    assert counts.max() < 1150


def test_markers_survive_json_and_damage_is_no_marker():
    marker = DoneMarker(ODD_ID, "s", "r", 3, 1, (film_warning("truncated", 2.5), film_warning("damaged", 3)))
    assert from_json(to_json(marker)) == marker
    values = json.loads(to_json(marker))
    for text in ("", "{", "[]", "3", '{"film_id": "f"}', '{"unknown": 1}', json.dumps({**values, "warnings": [3]})):
        assert from_json(text) is None
    del values["warnings"]  # as earlier versions wrote it
    assert from_json(json.dumps(values)) == dataclasses.replace(marker, warnings=())


def test_a_part_keeps_the_warnings_of_its_films(tmp_path):
    curve = make_curve()
    marker = dataclasses.replace(marker_of(curve), warnings=(film_warning("frozen", 12),))
    uri = str(tmp_path / "p.parquet")
    curve_table.write_part(uri, [marker], lambda _: curve)
    assert curve_table.read_markers(uri) == [marker]


def test_a_part_holds_what_was_written_and_nothing_else(tmp_path):
    uri, markers = str(tmp_path / "p.parquet"), [marker_of(make_curve(film_id)) for film_id in "ab"]
    assert not curve_table.holds(uri, [])
    curve_table.write_part(uri, markers, lambda marker: make_curve(marker.film_id))
    assert curve_table.holds(uri, markers)
    assert not curve_table.holds(uri, markers[:1])
    assert not curve_table.holds(uri, [markers[0], dataclasses.replace(markers[1], record="other")])
    # As earlier versions wrote it: without a key that they didn't know.
    table = pq.read_table(uri)
    values = [{k: v for k, v in dataclasses.asdict(m).items() if k != "unlike_percent"} for m in markers]
    pq.write_table(table.replace_schema_metadata({b"cineaffect.receipts": json.dumps(values)}), uri)
    assert curve_table.holds(uri, markers)
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really")
    assert not curve_table.holds(uri, [])
