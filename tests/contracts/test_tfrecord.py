"""The TFRecord framing against TensorFlow's own writer; every cut and every flipped bit is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.records import tfrecord
from tests.support.hypothesis_profiles import examples


@examples(30)
@given(contents=st.lists(st.binary(max_size=300), min_size=1, max_size=4), data=st.data())
def test_frames_are_those_of_tensorflow_and_damage_is_noticed(tmp_path_factory, contents, data):
    import tensorflow as tf

    path = tmp_path_factory.mktemp("tfrecord") / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    assert list(tfrecord.read_frames(path)) == contents
    assert [int.from_bytes(sums[:8], "little") for sums in tfrecord.read_sums(path)] == [len(c) for c in contents]

    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    with pytest.raises(tfrecord.DamagedError):
        list(tfrecord.read_frames(path))

    ends = {0}
    for content in contents:
        ends.add(max(ends) + 16 + len(content))
    keep = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:keep])
    if keep in ends:
        assert list(tfrecord.read_frames(path)) == contents[: sorted(ends).index(keep)]
    else:
        with pytest.raises(tfrecord.DamagedError):
            list(tfrecord.read_frames(path))
