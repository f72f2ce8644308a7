"""Feature records by plain protocol-buffer objects of TensorFlow, a Python object a step: what `contracts.records` is
compared with, in `benchmarks.records` and, byte by byte, in its tests. Also by the decoder of `tfx_bsl`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import quantisation, records, tfrecord
from beam_pipelines.contracts.records.feature_track import FeatureTrack, FilmRecord
from beam_pipelines.contracts.records.layout import BOXES, BYTES, CONFIDENCE, FLOATS, PRESENT, TIMESTAMP, key_of


def write_plainly(record: FilmRecord, path: Path, segments: Sequence[range]) -> None:
    """Writes a record step by step; `segments` are the seconds of each."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for seconds in segments:
            example = tf.train.SequenceExample()
            _add_context(example.context.feature, record, seconds, len(segments))
            for modality in record.tracks:
                _add_track(example.feature_lists.feature_list, record, modality, slice(seconds.start, seconds.stop))
            writer.write(example.SerializeToString(deterministic=True))


def segments_of(path: Path) -> list[range]:
    """The seconds of each segment of a record."""
    import tensorflow as tf

    contexts = [tf.train.SequenceExample.FromString(c).context.feature for c in tfrecord.read_frames(path)]
    starts = [context["cineaffect/first_second"].int64_list.value[0] for context in contexts]
    seconds = contexts[0]["cineaffect/film_seconds"].int64_list.value[0]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], seconds], strict=True)]


def read_plainly(path: Path) -> dict[str, FeatureTrack]:
    """Modality -> its track, each step's values gathered one by one."""
    import tensorflow as tf

    lists = [
        tf.train.SequenceExample.FromString(content).feature_lists.feature_list
        for content in tfrecord.read_frames(path)
    ]
    descriptions = records.read_header(str(path)).descriptions
    return {modality: _read_track(lists, modality, description) for modality, description in descriptions.items()}


def read_by_tfx_bsl(path: Path) -> list[dict[str, np.ndarray]]:
    """A segment each: key -> its values one after the other; integers are cut to 32 bits."""
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    decoder = SequenceExamplesToRecordBatchDecoder("lists")
    columns = [decoder.DecodeBatch([content]).column("lists") for content in tfrecord.read_frames(path)]
    return [
        {
            field.name: column.field(field.name).flatten().flatten().to_numpy(zero_copy_only=False)
            for field in column.type
        }
        for column in columns
    ]


def _add_context(context: Any, record: FilmRecord, seconds: range, segments: int) -> None:
    header = record.header
    texts = {
        "clip/media_id": header.film_id,
        "clip/data_path": header.source_uri,
        "cineaffect/source/sha256": header.source_sha256,
        "cineaffect/quality": json.dumps(header.quality, sort_keys=True),
        "cineaffect/warnings": json.dumps([vars(warning) for warning in header.warnings], sort_keys=True),
    }
    for modality, track in record.tracks.items():
        description = {"modality": modality, **track.description}
        texts[key_of(modality, "fingerprint")] = track.fingerprint
        texts[key_of(modality, "description")] = json.dumps(description, sort_keys=True)
    numbers = {
        "clip/start/timestamp": header.start_us + seconds.start * 1_000_000,
        "clip/end/timestamp": header.start_us + min(seconds.stop * 1_000_000, header.duration_us),
        "cineaffect/film_seconds": header.seconds,
        "cineaffect/duration_us": header.duration_us,
        "cineaffect/start_us": header.start_us,
        "cineaffect/first_second": seconds.start,
        "cineaffect/segments": segments,
        "cineaffect/source/size_bytes": header.source_size_bytes,
    }
    for key, text in texts.items():
        context[key].bytes_list.value.append(text.encode("utf-8", "surrogateescape"))
    for key, number in numbers.items():
        context[key].int64_list.value.append(number)


def _add_track(lists: Any, record: FilmRecord, modality: str, seconds: slice) -> None:
    track = record.tracks[modality]
    form = quantisation.stored_form(track.description)
    floats: dict[str, np.ndarray] = {} if form else {FLOATS: track.values}
    if form:
        steps = lists[key_of(modality, BYTES)].feature
        for row in track.values[seconds]:
            steps.add().bytes_list.value.append(quantisation.to_bytes(row[np.newaxis], form).tobytes())
    if track.boxes is not None and track.scores is not None:
        floats.update({name: track.boxes[:, :, side] for side, name in enumerate(BOXES)})
        floats[CONFIDENCE] = track.scores
    for name, values in floats.items():
        steps = lists[key_of(modality, name)].feature
        for row in values[seconds]:
            steps.add().float_list.value.extend(row.tolist())
    for name, values in ((TIMESTAMP, track.timestamps_us[:, np.newaxis]), (PRESENT, track.present)):
        steps = lists[key_of(modality, name)].feature
        for row in values[seconds].astype(np.int64):
            steps.add().int64_list.value.extend(row.tolist())


def _read_track(lists: list[Any], modality: str, description: Mapping[str, Any]) -> FeatureTrack:
    def rows(name: str, kind: str, dtype: type) -> np.ndarray:
        steps = [step for segment in lists for step in segment[key_of(modality, name)].feature]
        return np.stack([np.fromiter(getattr(step, kind).value, dtype) for step in steps])

    present, form = rows(PRESENT, "int64_list", np.float32), quantisation.stored_form(description)
    if form:
        held = [s.bytes_list.value[0] for segment in lists for s in segment[key_of(modality, BYTES)].feature]
        values = quantisation.from_bytes(np.stack([np.frombuffer(row, np.uint8) for row in held]), form, present)
    else:
        values = rows(FLOATS, "float_list", np.float32)
    has_boxes = key_of(modality, CONFIDENCE) in lists[0]
    return FeatureTrack(
        values,
        present,
        rows(TIMESTAMP, "int64_list", np.int64)[:, 0],
        description,
        np.stack([rows(name, "float_list", np.float32) for name in BOXES], axis=-1) if has_boxes else None,
        rows(CONFIDENCE, "float_list", np.float32) if has_boxes else None,
    )
