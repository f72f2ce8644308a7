"""Feature records: what is written is read again, bit by bit; MediaSequence's keys; damage is an error."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import unicodedata
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records import quantisation, records
from benchmarks import plain_records
from tests.support.feature_records import make_film_record, make_track
from tests.support.hypothesis_profiles import examples

ROOT = Path(__file__).resolve().parents[2]


def assert_same(left: records.FilmRecord, right: records.FilmRecord) -> None:
    assert left.header == right.header
    assert list(left.tracks) == list(right.tracks)
    for modality, track in left.tracks.items():
        other = right.tracks[modality]
        for name in ("values", "present", "timestamps_us", "boxes", "scores"):
            np.testing.assert_array_equal(getattr(track, name), getattr(other, name), err_msg=f"{modality}.{name}")
        assert track.description == other.description


@examples(25)
@given(
    seconds=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    names=st.sets(st.sampled_from(["image", "audio", "face", "vgg16"])),
)
def test_what_is_written_is_read(tmp_path_factory, seconds, seed, names):
    record = make_film_record("film", seconds, dict.fromkeys(sorted(names), 8) or {"image": 4}, seed)
    uri = str(tmp_path_factory.mktemp("records") / "film.tfrecord")
    records.write_record(record, uri)
    assert_same(records.read_record(uri), record)
    assert records.read_header(uri) == record.header
    assert records.read_whole_header(uri) == record.header


def test_a_description_says_how_many_slots_a_modality_of_any_name_has(tmp_path):
    faces = make_film_record("film", 5, {"face": 6}, 1).tracks["face"]
    track = dataclasses.replace(faces, description={**faces.description, "slots": 2})
    header = make_film_record("film", 5, {"image": 4}, 1).header
    record = records.make_record(header, {"expression": track})
    uri = str(tmp_path / "film.tfrecord")
    records.write_record(record, uri)
    assert_same(records.read_record(uri), record)
    with pytest.raises(ValueError, match=r"expression has .* presence \(5, 2\) for 5 seconds and 1 slots"):
        records.make_record(header, {"expression": faces})


@examples(25)
@given(
    seconds=st.integers(1, 30),
    start_us=st.integers(-(2**40), 2**40),
    form=st.sampled_from([None, quantisation.FLOAT16, quantisation.UINT8]),
    seed=st.integers(0, 2**32 - 1),
)
def test_bytes_and_arrays_are_those_of_plain_protocol_buffers(tmp_path, seconds, start_us, form, seed):
    record = make_film_record("Фильм", seconds, {"image": 7, "audio": 1, "face": 4}, seed)
    track = record.tracks["audio"]
    moved = dataclasses.replace(track, timestamps_us=track.timestamps_us + start_us)
    moved = quantisation.as_stored(moved, form) if form else moved
    record = records.make_record(record.header, {**record.tracks, "audio": moved})
    records.write_record(record, str(tmp_path / "ours"))
    plain_records.write_plainly(record, tmp_path / "plain", [range(seconds)])
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "plain").read_bytes()
    read = records.read_record(str(tmp_path / "ours"))
    assert_same(read, records.FilmRecord(record.header, plain_records.read_plainly(tmp_path / "plain")))


def test_a_files_clock_comes_back_and_records_without_one_are_read(tmp_path):
    record, uri = make_film_record(seconds=3), str(tmp_path / "a.tfrecord")
    records.write_record(record, uri)
    assert (records.read_header(uri).file_clock, records.read_header(uri).file_offset_s) == (None, None)
    clock = records.FileClock(-1_000_000, "10:00:00;00", ((5_000_000, -5_000_000), (7_500_000, 60_000_000)))
    records.write_record(dataclasses.replace(record, header=dataclasses.replace(record.header, file_clock=clock)), uri)
    header = records.read_header(uri)
    assert (header.file_clock, header.file_offset_s) == (clock, Fraction(1_012_345, 1_000_000))


def test_timestamps_after_35_minutes_come_back(tmp_path):
    # `tfx_bsl` 1.21 reads integers of feature lists as 32 bits: 2 ** 31 microseconds are 35 min 47 s.
    record = make_film_record("long", 2200, {"audio": 1})
    uri = str(tmp_path / "long.tfrecord")
    records.write_record(record, uri)
    assert records.read_record(uri).tracks["audio"].timestamps_us[-1] == 12_345 + 2199 * 1_000_000 > 2**31


def test_reading_and_writing_load_neither_beam_nor_tensorflow(tmp_path):
    uri = str(tmp_path / "film.tfrecord")
    records.write_record(make_film_record(), uri)
    code = f"""if True:
        import sys
        import beam_pipelines
        record = beam_pipelines.read_record({uri!r})
        beam_pipelines.write_record(record, {uri + "2"!r})
        print(sorted({{"apache_beam", "tensorflow", "keras", "tfx_bsl", "pyarrow"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert Path(uri).read_bytes() == Path(uri + "2").read_bytes()


def test_the_same_record_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        records.write_record(make_film_record(seconds=9, seed=3), str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_long_film_is_cut_into_segments_below_the_limit(tmp_path):
    import tensorflow as tf

    record = make_film_record("long", 900, {"image": 2048, "audio": 128, "face": 1024})
    uri = str(tmp_path / "long.tfrecord")
    records.write_record(record, uri)
    segments = list(tf.data.TFRecordDataset(uri).as_numpy_iterator())
    assert len(segments) >= 3
    assert max(map(len, segments)) <= records.MAX_RECORD_BYTES
    assert max(map(len, segments)) > records.MAX_RECORD_BYTES // 2
    assert_same(records.read_record(uri), record)


def test_keys_are_those_of_media_sequence(tmp_path):
    import tensorflow as tf

    (serialised,) = records.to_sequence_examples(make_film_record("film", 5))
    example = tf.train.SequenceExample.FromString(serialised)
    context, lists = example.context.feature, example.feature_lists.feature_list
    assert context["clip/media_id"].bytes_list.value[0] == b"film"
    assert context["clip/data_path"].bytes_list.value[0] == b"/films/film.mp4"
    assert context["clip/start/timestamp"].int64_list.value[0] == 12_345
    assert context["clip/end/timestamp"].int64_list.value[0] == 12_345 + 5_000_000 - 5
    for prefix, width in (("RGB", 16), ("AUDIO", 8), ("FACE", 12)):
        assert [len(step.float_list.value) for step in lists[f"{prefix}/feature/floats"].feature] == [width] * 5
        stamps = [step.int64_list.value[0] for step in lists[f"{prefix}/feature/timestamp"].feature]
        assert stamps == [12_345 + 1_000_000 * t for t in range(5)]
    assert len(lists["FACE/region/bbox/xmin"].feature[0].float_list.value) == 2


def test_only_the_wanted_modalities_are_read(tmp_path):
    uri = str(tmp_path / "film.tfrecord")
    records.write_record(make_film_record(), uri)
    assert list(records.read_record(uri, ["audio", "openSMILE"]).tracks) == ["audio"]


def test_a_newer_track_replaces_its_own_modality_only():
    record = make_film_record(seconds=6)
    newer = make_track("audio", 6, 8, np.random.default_rng(9), weights="other")
    merged = records.make_record(record.header, {**record.tracks, "audio": newer})
    np.testing.assert_array_equal(merged.tracks["audio"].values, newer.values)
    np.testing.assert_array_equal(merged.tracks["image"].values, record.tracks["image"].values)
    assert merged.header.fingerprints()["audio"] != record.header.fingerprints()["audio"]
    assert merged.header.fingerprints()["image"] == record.header.fingerprints()["image"]


@pytest.mark.parametrize("keep", [0, 7, 200, -9])
def test_a_cut_record_is_an_error_that_names_the_file(tmp_path, keep):
    path = tmp_path / "film.tfrecord"
    records.write_record(make_film_record(), str(path))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(records.RecordError, match=r"film\.tfrecord"):
        records.read_record(str(path))


def test_a_flipped_byte_is_an_error(tmp_path):
    path = tmp_path / "film.tfrecord"
    records.write_record(make_film_record(), str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(records.RecordError, match="damaged"):
        records.read_record(str(path))


def test_another_sequence_example_is_not_a_record(tmp_path):
    import tensorflow as tf

    path = str(tmp_path / "other.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(tf.train.SequenceExample().SerializeToString())
    with pytest.raises(records.RecordError, match="not a feature record"):
        records.read_header(path)
    with pytest.raises(records.RecordError, match="not a feature record"):
        records.read_whole_header(path)


def test_segments_out_of_order_or_doubled_are_an_error(tmp_path):
    import tensorflow as tf

    path = str(tmp_path / "long.tfrecord")
    record = make_film_record("long", 800, {"image": 2048})
    segments = list(records.to_sequence_examples(record))
    for order in ([1, 0], [0, 0], [0]):
        with tf.io.TFRecordWriter(path) as writer:
            for number in order:
                writer.write(segments[number])
        with pytest.raises(records.RecordError, match=r"long\.tfrecord"):
            records.read_record(path)
        # Only the frames are counted; `[0, 0]` is found out by who reads the values.
        assert (records.read_whole_header(path) is not None) == (len(order) == 2)


def test_records_in_folders_below_are_not_listed(tmp_path):
    for folder in (tmp_path, tmp_path / "below"):
        records.write_record(make_film_record("film"), records.record_uri(str(folder), "film"))
    assert records.list_records(str(tmp_path)) == {"film": str(tmp_path / "film.tfrecord")}


def test_records_whose_names_have_another_unicode_form_are_found_by_their_ids(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "Café.mp4") for form in ("NFC", "NFD"))
    records.write_record(make_film_record(nfc, 3, seed=1), records.record_uri(str(tmp_path), nfd))
    assert records.list_records(str(tmp_path)) == {nfc: records.record_uri(str(tmp_path), nfd)}
    assert records.read_header(records.record_uri(str(tmp_path), nfc)).seconds == 3


def test_tracks_of_another_length_are_refused():
    record = make_film_record(seconds=6)
    with pytest.raises(ValueError, match="image has values"):
        records.make_record(record.header, {"image": make_track("image", 5, 8, np.random.default_rng(0))})


def test_the_fingerprint_is_stable_and_depends_on_every_value():
    description = {"network": "n", "weights": "w", "thresholds": [0.6, 0.7]}
    canonical = b'{"network":"n","thresholds":[0.6,0.7],"weights":"w"}'
    assert records.fingerprint(description) == hashlib.sha256(canonical).hexdigest()[:16]
    assert records.fingerprint(dict(reversed(description.items()))) == records.fingerprint(description)
    assert records.fingerprint({**description, "thresholds": [0.6, 0.8]}) != records.fingerprint(description)


def test_the_digest_covers_values_and_presence():
    record = make_film_record(seconds=6)
    track = record.tracks["audio"]
    changed = dataclasses.replace(track, present=1 - track.present)
    other = records.make_record(record.header, {**record.tracks, "audio": changed})
    assert records.digest(record, ["audio"]) != records.digest(other, ["audio"])
    assert records.digest(record, ["image"]) == records.digest(other, ["image"])
