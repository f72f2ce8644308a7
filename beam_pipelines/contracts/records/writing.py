"""Writing feature records: a film's tracks as segments in one TFRecord file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from beam_pipelines.contracts.film_warnings import to_rows
from beam_pipelines.contracts.records import layout, quantisation, tfrecord
from beam_pipelines.contracts.records.feature_track import FeatureTrack, FilmRecord
from beam_pipelines.contracts.records.layout import MAX_RECORD_BYTES, key_of
from beam_pipelines.contracts.records.sequence_example import BYTES, FLOATS, INTEGERS, SequenceExample, pack_rows
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.stage_times import WRITING, stage

# A float takes 4 bytes. Presence, timestamps, boxes and the framing of lists take less than this per second and
# modality.
_OTHER_BYTES = 600


def write_record(record: FilmRecord, uri: str) -> None:
    """Writes a film's record; it appears under its name only when it is whole. Equal records give equal bytes."""
    with stage(WRITING, 1), storage.whole_file(uri) as path:
        tfrecord.write_frames(path, to_sequence_examples(record))


def to_sequence_examples(record: FilmRecord) -> Iterator[bytes]:
    """The segments of a film in order, each a serialised `tf.train.SequenceExample` of at most `MAX_RECORD_BYTES`."""
    step = _seconds_per_segment(record)
    starts = range(0, record.header.seconds, step)
    for first in starts:
        example = _segment(record, first, min(first + step, record.header.seconds), len(starts))
        yield example.SerializeToString(deterministic=True)


def _seconds_per_segment(record: FilmRecord) -> int:
    per_second = sum(4 * track.values.shape[1] + _OTHER_BYTES for track in record.tracks.values()) or 1
    # 1/16 of the limit is reserved for the context (descriptions, paths).
    return max(1, (MAX_RECORD_BYTES - MAX_RECORD_BYTES // 16) // per_second)


def _segment(record: FilmRecord, first: int, stop: int, segments: int) -> Any:
    example = SequenceExample()
    texts, numbers = _context(record, first, stop, segments)
    context, lists = example.context.feature, example.feature_lists.feature_list
    for key, text in texts.items():
        context[key].bytes_list.value.append(text.encode("utf-8", "surrogateescape"))
    for key, number in numbers.items():
        context[key].int64_list.value.append(number)
    for modality, track in record.tracks.items():
        for name, packed in _pack_track(track, slice(first, stop)).items():
            lists[key_of(modality, name)] = packed
    return example


def _context(record: FilmRecord, first: int, stop: int, segments: int) -> tuple[dict[str, str], dict[str, int]]:
    header = record.header
    texts = {
        "clip/media_id": header.film_id,
        "clip/data_path": header.source_uri,
        "cineaffect/source/sha256": header.source_sha256,
        "cineaffect/quality": json.dumps(header.quality, sort_keys=True),
        layout.WARNINGS: json.dumps(to_rows(header.warnings), sort_keys=True),
    }
    if header.file_clock is not None:
        texts[layout.FILE_CLOCK] = json.dumps(header.file_clock.to_json(), sort_keys=True)
    numbers = {
        "clip/start/timestamp": header.start_us + first * 1_000_000,
        "clip/end/timestamp": header.start_us + min(stop * 1_000_000, header.duration_us),
        "cineaffect/film_seconds": header.seconds,
        "cineaffect/duration_us": header.duration_us,
        "cineaffect/start_us": header.start_us,
        "cineaffect/first_second": first,
        "cineaffect/segments": segments,
        "cineaffect/source/size_bytes": header.source_size_bytes,
    }
    for modality, track in record.tracks.items():
        description = json.dumps({"modality": modality, **track.description}, sort_keys=True)
        texts[key_of(modality, layout.FINGERPRINT)] = track.fingerprint
        texts[key_of(modality, layout.DESCRIPTION)] = description
    return texts, numbers


def _pack_track(track: FeatureTrack, seconds: slice) -> Mapping[str, bytes]:
    """The bytes of a track's feature lists, by name, for some seconds."""
    form = quantisation.stored_form(track.description)
    if form:
        packed = {layout.BYTES: pack_rows(quantisation.to_bytes(track.values[seconds], form), BYTES)}
    else:
        packed = {layout.FLOATS: pack_rows(track.values[seconds], FLOATS)}
    if track.boxes is not None:
        for side, name in enumerate(layout.BOXES):
            packed[name] = pack_rows(track.boxes[seconds, :, side], FLOATS)
    if track.scores is not None:
        packed[layout.CONFIDENCE] = pack_rows(track.scores[seconds], FLOATS)
    packed[layout.TIMESTAMP] = pack_rows(track.timestamps_us[seconds, np.newaxis], INTEGERS)
    packed[layout.PRESENT] = pack_rows(track.present[seconds], INTEGERS)
    return packed
