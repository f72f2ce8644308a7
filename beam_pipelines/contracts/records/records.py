"""Feature records: one film's features on the one-second clock, as `tf.train.SequenceExample`s in one TFRecord file.

This is the one writer and the one reader of contract 1. A record uses the keys of MediaPipe's *MediaSequence*, so that
others' tools read it; what that convention has no word for lies under `cineaffect/`. A film is a sequence of segments,
one SequenceExample each and none above `MAX_RECORD_BYTES`; a segment is a clip in MediaSequence's sense:

    context        clip/media_id, clip/data_path, clip/start/timestamp, clip/end/timestamp (microseconds)
                   cineaffect/film_seconds, cineaffect/duration_us, cineaffect/start_us, cineaffect/first_second,
                   cineaffect/segments,
                   cineaffect/source/size_bytes, cineaffect/source/sha256, cineaffect/quality (JSON)
                   <PREFIX>/fingerprint, <PREFIX>/description (JSON)
    feature lists  <PREFIX>/feature/floats [D], <PREFIX>/feature/timestamp [1], <PREFIX>/present [slots]
                   FACE/region/bbox/{xmin,ymin,xmax,ymax} [slots], FACE/region/label/confidence [slots]

A track whose description says `stored` (see `quantisation`) has <PREFIX>/feature/bytes [1] in place of its floats.
One step of a feature list is one second. Boxes are shares of the picture's width and height. Timestamps are on the
container's own clock, as the convention has it; `cineaffect/start_us` is where second 0 lies on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import quantisation, tfrecord
from beam_pipelines.contracts.records.feature_track import (
    PRESENT_SUFFIX,
    FeatureTrack,
    FilmRecord,
    RecordHeader,
    fingerprint,
    is_untrained,
    make_record,
    slots_of,
)
from beam_pipelines.contracts.records.record_context import read_context
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import CineAffectError

__all__ = [
    "MAX_RECORD_BYTES",
    "PRESENT_SUFFIX",
    "FeatureTrack",
    "FilmRecord",
    "RecordError",
    "RecordHeader",
    "digest",
    "fingerprint",
    "is_untrained",
    "list_records",
    "make_record",
    "read_header",
    "read_presence",
    "read_record",
    "read_whole_header",
    "record_uri",
    "slots_of",
    "to_sequence_examples",
    "write_record",
]

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""No record is larger: Flink's GroupByKey gives up at 10 MB."""

_PREFIXES = {"image": "RGB", "audio": "AUDIO", "face": "FACE"}
_BOX_KEYS = ("xmin", "ymin", "xmax", "ymax")
_SUFFIX = ".tfrecord"


class RecordError(CineAffectError):
    """A feature record that can't be read: cut off, damaged, or not one of ours; the text names the file."""


def record_uri(directory: str, film_id: str) -> str:
    """Where the record of a film lies in a directory of records."""
    return storage.join(directory, film_id + _SUFFIX)


def list_records(directory: str) -> dict[str, str]:
    """Film id -> address of every record of a directory, sorted by film id."""
    found = {}
    for info in storage.list_files(directory):
        film_id = info.uri.rsplit("/", 1)[-1].removesuffix(_SUFFIX)
        if info.uri == record_uri(directory, film_id):  # not what lies in folders below
            found[film_id] = info.uri
    return dict(sorted(found.items()))


def write_record(record: FilmRecord, uri: str) -> None:
    """Writes a film's record; it appears under its name only when it is whole. The same record gives the same bytes."""
    import tensorflow as tf

    with storage.whole_file(uri) as path, tf.io.TFRecordWriter(str(path)) as writer:
        for example in to_sequence_examples(record):
            writer.write(example.SerializeToString(deterministic=True))


def read_record(uri: str, modalities: Sequence[str] | None = None) -> FilmRecord:
    """Reads a film's record, all modalities or only those named (those it doesn't hold are left out).

    Raises:
        RecordError: for a file that is cut off, damaged or not a feature record.
        FileNotFoundError: where there is none.
    """
    with _parsing(uri):
        return _join_segments([_parse_segment(example, uri, modalities) for example in _read_examples(uri)], uri)


def read_presence(uri: str, modalities: Sequence[str] | None = None) -> tuple[RecordHeader, dict[str, np.ndarray]]:
    """Reads what a record says of its film, and modality -> presence float32 [T, slots]; no values are unpacked.

    Raises:
        RecordError: for a file that is cut off, damaged or not a feature record.
        FileNotFoundError: where there is none.
    """
    with _parsing(uri):
        found: dict[str, list[np.ndarray]] = {}
        header: RecordHeader | None = None
        for example in _read_examples(uri):
            header = _parse_header(example, uri)
            first = _number(example, "cineaffect/first_second", uri)
            for modality in header.descriptions:
                if modalities is None or modality in modalities:
                    parts = found.setdefault(modality, [])
                    seconds = sum(map(len, parts))
                    if first != seconds:
                        raise RecordError(f"{uri}: second {seconds} is followed by a segment that starts at {first}")
                    parts.append(_rows(example, f"{_prefix(modality)}/present", "int64_list", np.float32, uri))
        if header is None:
            raise RecordError(f"{uri}: holds no record")
        presence = {modality: np.concatenate(parts) for modality, parts in found.items()}
        for modality, present in presence.items():
            if present.shape != (header.seconds, slots_of(modality)):
                raise RecordError(f"{uri}: {modality} has presence {present.shape} for {header.seconds} seconds")
        return header, presence


def read_header(uri: str) -> RecordHeader:
    """Reads what a record says of its film from its first segment only, of a remote record no more than that."""
    with _parsing(uri):
        for example in _read_examples(uri, at_most_bytes=MAX_RECORD_BYTES + tfrecord.FRAMING_BYTES):
            return _parse_header(example, uri)
    raise RecordError(f"{uri}: holds no record")


def read_whole_header(uri: str) -> RecordHeader | None:
    """What `read_header` reads, of a record that has all its segments, as far as the lengths of its frames tell.

    Of a local record only the header is read and parsed, which costs a millisecond whatever the film's length: for
    finding out which of many films are done. A remote record is always whole, for an object appears only when its
    upload is finished.

    Returns:
        The header, or None for a record that is cut off or has frames too many.

    Raises:
        RecordError: for a file that is not a feature record.
        FileNotFoundError: where there is none.
    """
    if storage.is_remote(uri):
        return read_header(uri)
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    with _parsing(uri), storage.local_copy(uri) as path:
        try:
            context, segments = read_context(path)
            example = tf.train.SequenceExample.FromString(context)
        except (tfrecord.DamagedError, DecodeError):
            return None
        return _parse_header(example, uri) if segments == _number(example, "cineaffect/segments", uri) else None


def digest(record: FilmRecord, modalities: Sequence[str]) -> str:
    """SHA-256 over the features of some modalities: the identity of what a model is given."""
    state = hashlib.sha256()
    for modality in sorted(modalities):
        track = record.tracks[modality]
        state.update(f"{modality}:{track.fingerprint}:{track.values.shape}".encode())
        state.update(np.ascontiguousarray(track.values, np.float32).tobytes())
        state.update(np.ascontiguousarray(track.present, np.float32).tobytes())
    return state.hexdigest()


def to_sequence_examples(record: FilmRecord) -> Iterator[Any]:
    """The segments of a film in order, each a `tf.train.SequenceExample` of at most `MAX_RECORD_BYTES`."""
    step = _seconds_per_segment(record)
    starts = range(0, record.header.seconds, step)
    for first in starts:
        yield _segment_example(record, first, min(first + step, record.header.seconds), len(starts))


def _seconds_per_segment(record: FilmRecord) -> int:
    # A float costs 4 bytes; presence, timestamps, boxes and the lists' own framing stay well below 600 bytes a second
    # and modality. 1/16 of the limit is left for the context (descriptions, paths).
    per_second = sum(4 * track.values.shape[1] + 600 for track in record.tracks.values()) or 1
    return max(1, (MAX_RECORD_BYTES - MAX_RECORD_BYTES // 16) // per_second)


def _prefix(modality: str) -> str:
    return _PREFIXES.get(modality, modality.upper())


def _segment_example(record: FilmRecord, first: int, stop: int, segments: int) -> Any:
    import tensorflow as tf

    header = record.header
    example = tf.train.SequenceExample()
    context = example.context.feature
    texts = {
        "clip/media_id": header.film_id,
        "clip/data_path": header.source_uri,
        "cineaffect/source/sha256": header.source_sha256,
        "cineaffect/quality": json.dumps(header.quality, sort_keys=True),
    }
    end_us = min(stop * 1_000_000, header.duration_us)
    numbers = {
        "clip/start/timestamp": header.start_us + first * 1_000_000,
        "clip/end/timestamp": header.start_us + end_us,
        "cineaffect/film_seconds": header.seconds,
        "cineaffect/duration_us": header.duration_us,
        "cineaffect/start_us": header.start_us,
        "cineaffect/first_second": first,
        "cineaffect/segments": segments,
        "cineaffect/source/size_bytes": header.source_size_bytes,
    }
    for modality, track in record.tracks.items():
        texts[f"{_prefix(modality)}/fingerprint"] = track.fingerprint
        texts[f"{_prefix(modality)}/description"] = json.dumps(
            {"modality": modality, **track.description}, sort_keys=True
        )
        _add_track(example, _prefix(modality), track, first, stop)
    for key, text in texts.items():
        context[key].bytes_list.value.append(text.encode("utf-8", "surrogateescape"))
    for key, number in numbers.items():
        context[key].int64_list.value.append(number)
    return example


def _add_track(example: Any, prefix: str, track: FeatureTrack, first: int, stop: int) -> None:
    form = quantisation.stored_form(track.description)
    floats: dict[str, np.ndarray] = {} if form else {"feature/floats": track.values}
    if form:
        steps = example.feature_lists.feature_list[f"{prefix}/feature/bytes"].feature
        for row in track.values[first:stop]:
            steps.add().bytes_list.value.append(quantisation.to_bytes(row, form))
    if track.boxes is not None:
        floats.update({f"region/bbox/{key}": track.boxes[:, :, i] for i, key in enumerate(_BOX_KEYS)})
    if track.scores is not None:
        floats["region/label/confidence"] = track.scores
    lists = example.feature_lists.feature_list
    for key, values in floats.items():
        steps = lists[f"{prefix}/{key}"].feature
        for row in values[first:stop]:
            steps.add().float_list.value.extend(row.tolist())
    for key, values in (("feature/timestamp", track.timestamps_us[:, None]), ("present", track.present)):
        steps = lists[f"{prefix}/{key}"].feature
        for row in values[first:stop].astype(np.int64):
            steps.add().int64_list.value.extend(row.tolist())


def _read_examples(uri: str, at_most_bytes: int | None = None) -> Iterator[Any]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    with storage.local_copy(uri, at_most_bytes) as path:
        if path.stat().st_size == 0:
            raise RecordError(f"{uri}: the file is empty")
        try:
            for content in tfrecord.read_frames(path):
                yield tf.train.SequenceExample.FromString(content)
        except (tfrecord.DamagedError, DecodeError) as error:
            raise RecordError(f"{uri}: cut off or damaged ({error}); extract this film again") from error


@contextmanager
def _parsing(uri: str) -> Iterator[None]:
    """Well-framed content that is none of ours can be anything: what fails on it is the record's fault."""
    try:
        yield
    except (KeyError, IndexError, ValueError) as error:
        raise RecordError(f"{uri}: not a feature record of this version ({error})") from error


def _number(example: Any, key: str, uri: str) -> int:
    context = example.context.feature
    values = context[key].int64_list.value if key in context else ()
    if not values:
        raise RecordError(f"{uri}: has no '{key}'; it is not a feature record of this project")
    return int(values[0])


def _parse_header(example: Any, uri: str) -> RecordHeader:
    context = example.context.feature

    def text(key: str) -> str:
        values = context[key].bytes_list.value if key in context else ()
        if not values:
            raise RecordError(f"{uri}: has no '{key}'; it is not a feature record of this project")
        return str(values[0].decode("utf-8", "surrogateescape"))

    descriptions = {}
    for key in sorted(context):
        if key.endswith("/description"):
            description = json.loads(text(key))
            descriptions[description.pop("modality")] = description
    return RecordHeader(
        film_id=text("clip/media_id"),
        source_uri=text("clip/data_path"),
        source_size_bytes=_number(example, "cineaffect/source/size_bytes", uri),
        source_sha256=text("cineaffect/source/sha256"),
        seconds=_number(example, "cineaffect/film_seconds", uri),
        duration_us=_number(example, "cineaffect/duration_us", uri),
        start_us=_number(example, "cineaffect/start_us", uri),
        descriptions=descriptions,
        quality=json.loads(text("cineaffect/quality")),
    )


def _parse_segment(
    example: Any, uri: str, modalities: Sequence[str] | None
) -> tuple[int, RecordHeader, dict[str, FeatureTrack]]:
    header = _parse_header(example, uri)
    first = _number(example, "cineaffect/first_second", uri)
    wanted = [m for m in header.descriptions if modalities is None or m in modalities]
    return first, header, {modality: _parse_track(example, modality, header, uri) for modality in wanted}


def _parse_track(example: Any, modality: str, header: RecordHeader, uri: str) -> FeatureTrack:
    prefix, lists = _prefix(modality), example.feature_lists.feature_list

    def floats(key: str) -> np.ndarray:
        return _rows(example, f"{prefix}/{key}", "float_list", np.float32, uri)

    description = header.descriptions[modality]
    present = _rows(example, f"{prefix}/present", "int64_list", np.float32, uri)
    form = quantisation.stored_form(description)
    if form:
        rows = [step.bytes_list.value[0] for step in _steps(example, f"{prefix}/feature/bytes", uri)]
        values = quantisation.from_bytes(rows, form, present)
    else:
        values = floats("feature/floats")
    boxes = scores = None
    if f"{prefix}/region/bbox/xmin" in lists:
        boxes = np.stack([floats(f"region/bbox/{key}") for key in _BOX_KEYS], axis=-1)
        scores = floats("region/label/confidence")
    return FeatureTrack(
        values=values,
        present=present,
        timestamps_us=_rows(example, f"{prefix}/feature/timestamp", "int64_list", np.int64, uri)[:, 0],
        description=description,
        boxes=boxes,
        scores=scores,
    )


def _steps(example: Any, key: str, uri: str) -> Any:
    lists = example.feature_lists.feature_list
    if key not in lists:
        raise RecordError(f"{uri}: has no '{key}'")
    return lists[key].feature


def _rows(example: Any, key: str, kind: str, dtype: type, uri: str) -> np.ndarray:
    steps: list[np.ndarray] = [np.fromiter(getattr(step, kind).value, dtype) for step in _steps(example, key, uri)]
    if len({len(step) for step in steps}) > 1:
        raise RecordError(f"{uri}: '{key}' has rows of different length")
    return np.stack(steps) if steps else np.zeros((0, 0), dtype)


def _join_segments(segments: list[tuple[int, RecordHeader, dict[str, FeatureTrack]]], uri: str) -> FilmRecord:
    if not segments:
        raise RecordError(f"{uri}: holds no record")
    _, header, first = segments[0]
    tracks = {}
    for modality in first:
        seconds = 0
        for first_second, _, parts in segments:
            if first_second != seconds:
                raise RecordError(f"{uri}: second {seconds} is followed by a segment that starts at {first_second}")
            seconds += len(parts[modality].values)
        if seconds != header.seconds:
            raise RecordError(f"{uri}: {modality} has {seconds} of {header.seconds} seconds")
        tracks[modality] = _join_tracks([parts[modality] for _, _, parts in segments])
    return FilmRecord(header, tracks)


def _join_tracks(parts: list[FeatureTrack]) -> FeatureTrack:
    def join(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    names = ("values", "present", "timestamps_us", "boxes", "scores")
    return replace(parts[0], **{name: join(name) for name in names})
