"""Damaged feature records: a fault is an error that names the file, never another exception or a wrong value."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records import quantisation, records, tfrecord
from beam_pipelines.contracts.records.sequence_example import FLOATS, INTEGERS, SequenceExample, pack_rows
from tests.support.feature_records import make_film_record
from tests.support.hypothesis_profiles import examples

NAME = r"film\.tfrecord"
IMAGE = "RGB/feature/floats"
READERS = (records.read_record, records.read_presence, records.read_header, records.read_whole_header)


@contextmanager
def refused_by_name_or_read():
    """What a reader may do with content whose sum isn't wrong, or isn't looked at."""
    try:
        yield
    except records.RecordError as error:
        if "film.tfrecord" not in str(error):
            raise AssertionError(f"it doesn't name the file: {error}") from error


def mixed_record() -> records.FilmRecord:
    """A film with floats, float16, boxes, scores and absent slots."""
    record = make_film_record(seconds=6, dimensions={"image": 5, "audio": 3, "face": 4})
    audio = quantisation.as_stored(record.tracks["audio"], quantisation.FLOAT16)
    return records.make_record(record.header, {**record.tracks, "audio": audio})


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The bytes of a record's file."""
    path = tmp_path_factory.mktemp("whole") / "film.tfrecord"
    records.write_record(mixed_record(), str(path))
    return path.read_bytes()


@examples(200)
@given(data=st.data())
def test_flipped_bits_are_noticed(whole, tmp_path, data):
    path, content = tmp_path / "film.tfrecord", bytearray(whole)
    for place in data.draw(st.sets(st.integers(0, 8 * len(whole) - 1), min_size=1, max_size=3)):
        content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    for read in READERS[:3]:
        with pytest.raises(records.RecordError, match=NAME):
            read(str(path))
    with refused_by_name_or_read():  # the only one that doesn't read the sum of the content
        records.read_whole_header(str(path))


@examples(60)
@given(data=st.data())
def test_cut_files_are_noticed(whole, tmp_path, data):
    path = tmp_path / "film.tfrecord"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    for read in READERS[:3]:
        with pytest.raises(records.RecordError, match=NAME):
            read(str(path))
    assert records.read_whole_header(str(path)) is None


@examples(300)
@given(data=st.data())
def test_other_content_whose_sum_fits_is_read_or_refused_by_name(tmp_path, data):
    (segment,) = records.to_sequence_examples(mixed_record())
    content = bytearray(segment)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "film.tfrecord"
    tfrecord.write_frames(path, [bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])])
    for read in READERS:
        with refused_by_name_or_read():
            read(str(path))


def write_changed(path, change) -> None:
    """Writes a record whose only segment `change` was called with."""
    (segment,) = records.to_sequence_examples(mixed_record())
    example = SequenceExample.FromString(segment)
    change(example)
    tfrecord.write_frames(path, [example.SerializeToString()])


def set_text(key: str, text: bytes):
    def change(example) -> None:
        example.context.feature[key].bytes_list.value[:] = [text]

    return change


def set_list(key: str, packed: bytes):
    def change(example) -> None:
        example.feature_lists.feature_list[key] = packed

    return change


DEEP = b"[" * 100_000
CHANGES = {
    "no context": lambda example: example.ClearField("context"),
    "no film id": lambda example: example.context.feature.pop("clip/media_id"),
    "number as text": set_text("cineaffect/film_seconds", b"6"),
    "quality is no JSON": set_text("cineaffect/quality", b"{"),
    "quality is a list": set_text("cineaffect/quality", b"[]"),
    "quality is deep": set_text("cineaffect/quality", DEEP),
    "warnings are no JSON": set_text("cineaffect/warnings", b"[{"),
    "warnings are a number": set_text("cineaffect/warnings", b"7"),
    "a warning is a number": set_text("cineaffect/warnings", b"[7]"),
    "a warning without a number": set_text("cineaffect/warnings", b'[{"code": "hdr", "sentence": "HDR"}]'),
    "the file's clock is a number": set_text("cineaffect/file_clock", b"7"),
    "the file's clock has no start": set_text("cineaffect/file_clock", b'{"timecode": "", "jumps_us": []}'),
    "the file's clock starts with a text": set_text(
        "cineaffect/file_clock", b'{"start_us": "0", "timecode": "", "jumps_us": []}'
    ),
    "a jump of the clock is a number": set_text(
        "cineaffect/file_clock", b'{"start_us": 0, "timecode": "", "jumps_us": [7]}'
    ),
    "description is a number": set_text("RGB/description", b"7"),
    "description without modality": set_text("RGB/description", b"{}"),
    "description of another form": set_text(
        "RGB/description", json.dumps({"modality": "image", "stored": ["float16"]}).encode()
    ),
    "description of no modality here": set_text("RGB/description", b'{"modality": {"a": 1}}'),
    "no floats": lambda example: example.feature_lists.feature_list.pop(IMAGE),
    "floats of fewer seconds": set_list(IMAGE, pack_rows(np.ones((5, 5)), FLOATS)),
    "a step without values": set_list(IMAGE, pack_rows(np.ones((5, 5)), FLOATS) + b"\x0a\x00"),
    "timestamps of more seconds": set_list("RGB/feature/timestamp", pack_rows([[1]] * 7, INTEGERS)),
    "timestamps of no value": set_list("RGB/feature/timestamp", pack_rows([[]] * 6, INTEGERS)),
    "presence of three slots": set_list("FACE/present", pack_rows([[1, 0, 1]] * 6, INTEGERS)),
    "presence of no slot": set_list("AUDIO/present", pack_rows([[]] * 6, INTEGERS)),
    "presence of no second": set_list("AUDIO/present", b""),
    "scores of fewer seconds": set_list("FACE/region/label/confidence", pack_rows([[1, 1]] * 5, FLOATS)),
    "half of a float16": set_list("AUDIO/feature/bytes", b"\x0a\x05\x0a\x03\x0a\x01a" * 6),
    "floats instead of bytes": set_list("AUDIO/feature/bytes", pack_rows([[1, 1]] * 6, FLOATS)),
    "a list cut off": set_list(IMAGE, b"\x0a\x7f"),
    "a length of 2 ** 63": set_list(IMAGE, b"\x0a" + b"\xff" * 9 + b"\x01"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_lacks_something_is_refused_by_name(tmp_path, change):
    path = tmp_path / "film.tfrecord"
    write_changed(path, change)
    with pytest.raises(records.RecordError, match=NAME):
        records.read_record(str(path))


IMPOSSIBLE = (b"\x0a" + b"\xff" * 9 + b"\x01", b"\x0a" + b"\xff" * 20, b"\x0a\xff\xff\xff\x7f", b"\x12\x00")


@pytest.mark.parametrize("beginning", IMPOSSIBLE)
def test_a_context_of_impossible_length_is_refused_by_name(tmp_path, beginning):
    path = tmp_path / "film.tfrecord"
    tfrecord.write_frames(path, [beginning])
    for read in READERS[:3]:
        with pytest.raises(records.RecordError, match=NAME):
            read(str(path))
    with refused_by_name_or_read():
        assert records.read_whole_header(str(path)) is None
