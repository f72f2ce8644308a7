"""Sequence examples without TensorFlow: the same messages, the same bytes, and arrays that come back bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records import sequence_example
from beam_pipelines.contracts.records.sequence_example import BYTES, FLOATS, INTEGERS, pack_rows, unpack_rows
from tests.support.hypothesis_profiles import examples

FOUR = np.array([[1.5, -2.0], [np.inf, 4.0]], np.float32)
INT64 = st.one_of(st.integers(0, 1), st.integers(0, 127), st.integers(-(2**63), 2**63 - 1))


def plainly_packed(rows: np.ndarray, kind: str) -> bytes:
    """The feature list as TensorFlow's messages write it, value by value."""
    import tensorflow as tf

    steps = tf.train.FeatureList()
    for row in rows:
        values = getattr(steps.feature.add(), kind).value
        values.extend([row.tobytes()] if kind == BYTES else row.tolist())
    return steps.SerializeToString()


def test_messages_are_those_of_tensorflow():
    import tensorflow as tf

    for theirs in (tf.train.Feature, tf.train.FeatureList, tf.train.Features, tf.train.FloatList, tf.train.Int64List):
        ours = sequence_example._CLASSES[theirs.DESCRIPTOR.name].DESCRIPTOR
        for field in theirs.DESCRIPTOR.fields:
            same = ours.fields_by_name[field.name]
            assert (same.number, same.type, same.is_packed) == (field.number, field.type, field.is_packed)
            assert (same.containing_oneof is None) == (field.containing_oneof is None)
    example = tf.train.SequenceExample()
    example.context.feature["a"].int64_list.value.append(-1)
    example.feature_lists.feature_list["b"].feature.add().float_list.value.append(2.0)
    example.feature_lists.feature_list["c"]
    read = sequence_example.SequenceExample.FromString(example.SerializeToString())
    assert read.SerializeToString(deterministic=True) == example.SerializeToString(deterministic=True)


@examples(150)
@given(
    kind=st.sampled_from([FLOATS, BYTES, INTEGERS]), count=st.integers(0, 5), width=st.integers(0, 40), data=st.data()
)
def test_rows_are_packed_as_tensorflow_does_it_and_come_back_bit_by_bit(kind, count, width, data):
    size = count * width
    if kind == INTEGERS:
        flat = np.array(data.draw(st.lists(INT64, min_size=size, max_size=size)), np.int64)
    else:
        raw = data.draw(st.binary(min_size=4 * size, max_size=4 * size))
        flat = np.frombuffer(raw, "<f4")[:size] if kind == FLOATS else np.frombuffer(raw, np.uint8)[:size]
        if kind == FLOATS:  # a signalling NaN becomes a quiet one in a Python float
            flat = np.where(np.isnan(flat), np.float32(np.nan), flat)
    rows = flat.reshape(count, width)
    packed = pack_rows(rows, kind)
    assert packed == plainly_packed(rows, kind)
    again = unpack_rows(packed, kind)
    assert again.dtype == rows.dtype
    assert again.tobytes() == rows.tobytes()
    assert again.shape == rows.shape or not count


def test_signalling_nans_keep_their_bits():
    rows = np.array([[0x7F800001, 0xFFC00123], [0x7FFFFFFF, 0x80000000]], np.uint32).view(np.float32)
    assert unpack_rows(pack_rows(rows, FLOATS), FLOATS).tobytes() == rows.tobytes()


def test_lists_that_others_framed_differently_are_read_step_by_step():
    # A step, its float_list (field 2), and in it the values one by one instead of as a block: not packed, as in proto2.
    unpacked = b"".join(b"\x0a\x0c\x12\x0a" + b"".join(b"\x0d" + v.tobytes() for v in row) for row in FOUR)
    np.testing.assert_array_equal(unpack_rows(unpacked, FLOATS), FOUR)
    # The same length in bytes as the first step, another framing.
    mixed = pack_rows(FOUR[:1], FLOATS) + b"\x0a\x0c\x12\x0a" + b"".join(b"\x0d" + v.tobytes() for v in FOUR[1])
    assert len(mixed) == len(unpacked)
    np.testing.assert_array_equal(unpack_rows(mixed, FLOATS), FOUR)


@pytest.mark.parametrize("lengths", [(1, 2), (2, 1), (1, 3, 2), (0, 1), (1, 0)])
@pytest.mark.parametrize("kind", [FLOATS, BYTES, INTEGERS])
def test_rows_of_different_length_are_refused(kind, lengths):
    packed = b"".join(pack_rows(np.ones((1, n)), kind) for n in lengths)
    with pytest.raises(ValueError, match="rows of different length"):
        unpack_rows(packed, kind)


def test_values_of_another_kind_are_rows_without_values():
    assert unpack_rows(pack_rows(FOUR, FLOATS), INTEGERS).shape == (2, 0)
    with pytest.raises(IndexError):
        unpack_rows(pack_rows(FOUR, FLOATS), BYTES)


@examples(300)
@given(kind=st.sampled_from([FLOATS, BYTES, INTEGERS]), data=st.data())
def test_damaged_lists_are_refused_or_read_as_tensorflow_reads_them(kind, data):
    import tensorflow as tf

    rows = np.arange(12).reshape(4, 3) * data.draw(st.sampled_from([1, 40]))
    packed = bytearray(pack_rows(rows, kind))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    packed = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    try:
        steps = [getattr(step, kind).value for step in tf.train.FeatureList.FromString(packed).feature]
    except DecodeError:
        with pytest.raises(DecodeError):
            unpack_rows(packed, kind)
        return
    try:
        read = unpack_rows(packed, kind)
    except (ValueError, IndexError):
        widths = {len(values[0]) if kind == BYTES and values else len(values) for values in steps}
        assert len(widths) > 1 or (kind == BYTES and not all(steps))
        return
    expected = [np.frombuffer(values[0], np.uint8) if kind == BYTES else np.array(values) for values in steps]
    assert len(read) == len(expected)
    for row, values in zip(read, expected, strict=True):
        np.testing.assert_array_equal(row, values.astype(row.dtype))
