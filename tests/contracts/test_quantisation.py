"""Fewer bits: YouTube-8M's 8-bit form and float16 come back as they were stored, in records of mixed forms too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records import quantisation, records
from beam_pipelines.contracts.records.quantisation import FLOAT16, UINT8, as_stored, dequantise, quantise
from beam_pipelines.foundation.errors import FilmError
from tests.support.feature_records import make_film_record
from tests.support.hypothesis_profiles import examples


def test_every_level_comes_back():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantise(dequantise(levels)), levels)


def test_dequantising_is_the_published_formula():
    assert dequantise(np.array([0], np.uint8))[0] == pytest.approx(4 / 512 - 2)
    assert dequantise(np.array([200], np.uint8))[0] == pytest.approx(200 * 4 / 255 + 4 / 512 - 2)


@given(st.floats(-2.0, 2.0))
def test_within_the_range_a_value_comes_back_near(value):
    error = float(dequantise(quantise(np.array([value])))[0]) - value
    # The published offset is half of 4/256, a little below half a step: the error is half a step and that little.
    assert -(quantisation.STEP - 4 / 512) - 1e-6 <= error <= 4 / 512 + 1e-6
    assert abs(error) <= quantisation.STEP / 2 + (quantisation.STEP / 2 - 4 / 512) + 1e-6


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_beyond_the_range_values_are_clipped(value):
    level = int(quantise(np.array([value]))[0])
    assert value > -2 or level == 0
    assert value < 2 or level == 255


@examples(15)
@given(forms=st.tuples(*[st.sampled_from([None, FLOAT16, UINT8])] * 3), seed=st.integers(0, 999))
def test_records_of_mixed_forms_are_read_bit_by_bit(tmp_path_factory, forms, seed):
    record = make_film_record(seconds=11, seed=seed)
    stored = {
        modality: as_stored(track, form) if form else track
        for form, (modality, track) in zip(forms, record.tracks.items(), strict=True)
    }
    uri = str(tmp_path_factory.mktemp("mixed") / "film.tfrecord")
    records.write_record(records.make_record(record.header, stored), uri)
    read = records.read_record(uri)
    for modality, track in stored.items():
        np.testing.assert_array_equal(read.tracks[modality].values, track.values)
        assert read.header.fingerprints()[modality] == track.fingerprint
        plain = record.tracks[modality].fingerprint
        assert (track.fingerprint == plain) == (quantisation.STORED not in track.description)
    records.write_record(read, uri + "2")
    assert records.digest(records.read_record(uri + "2"), list(stored)) == records.digest(read, list(stored))


def test_absent_slots_stay_zero_in_eight_bits():
    track = make_film_record(seconds=30).tracks["face"]
    stored = as_stored(track, UINT8)
    absent = np.repeat(track.present, track.values.shape[1] // 2, axis=1) == 0
    assert absent.any()
    assert not stored.values[absent].any()


def test_a_value_beyond_float16_is_the_film_s_fault():
    track = make_film_record(seconds=5).tracks["image"]
    values = track.values.copy()
    values[3, 2] = 1e6
    with pytest.raises(FilmError, match="second 3, value 2"):
        as_stored(dataclasses.replace(track, values=values), FLOAT16, "film")


def test_presence_alone_is_what_the_whole_record_says(tmp_path):
    record = make_film_record("long", 900, {"image": 2048, "audio": 128, "face": 1024})
    uri = str(tmp_path / "long.tfrecord")
    records.write_record(record, uri)
    header, present = records.read_presence(uri)
    assert header == record.header
    assert sorted(present) == ["audio", "face", "image"]
    for modality, track in record.tracks.items():
        np.testing.assert_array_equal(present[modality], track.present)
    assert list(records.read_presence(uri, ["face"])[1]) == ["face"]
