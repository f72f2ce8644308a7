"""Feature records: one film's features on the one-second clock, as `tf.train.SequenceExample`s in one TFRecord file.

This is the one writer and the one reader of contract 1. A record uses the keys of MediaPipe's *MediaSequence*, so that
others' tools read it; what that convention has no word for lies under `cineaffect/`. A film is a sequence of segments,
one SequenceExample each and none above `MAX_RECORD_BYTES`; a segment is a clip in MediaSequence's sense:

    context        clip/media_id, clip/data_path, clip/start/timestamp, clip/end/timestamp (microseconds)
                   cineaffect/film_seconds, cineaffect/duration_us, cineaffect/start_us, cineaffect/first_second,
                   cineaffect/source/size_bytes, cineaffect/source/sha256, cineaffect/quality (JSON)
                   <PREFIX>/fingerprint, <PREFIX>/description (JSON)
    feature lists  <PREFIX>/feature/floats [D], <PREFIX>/feature/timestamp [1], <PREFIX>/present [slots]
                   FACE/region/bbox/{xmin,ymin,xmax,ymax} [slots], FACE/region/label/confidence [slots]

One step of a feature list is one second. Boxes are shares of the picture's width and height. Timestamps are on the
container's own clock, as the convention has it; `cineaffect/start_us` is where second 0 lies on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from beam_pipelines import storage, tfrecord
from beam_pipelines.errors import CineAffectError

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""No record is larger: Flink's GroupByKey gives up at 10 MB."""

SLOTS: Mapping[str, int] = {"face": 2}
"""Slots a second of each modality; 1 where it isn't named. The values of a second are its slots side by side."""

_PREFIXES = {"image": "RGB", "audio": "AUDIO", "face": "FACE"}
_BOX_KEYS = ("xmin", "ymin", "xmax", "ymax")
_SUFFIX = ".tfrecord"


class RecordError(CineAffectError):
    """A feature record that can't be read: cut off, damaged, or not one of ours; the text names the file."""


def slots_of(modality: str) -> int:
    """How many slots a second of this modality has: 2 faces, 1 of everything else."""
    return SLOTS.get(modality, 1)


def fingerprint(description: Mapping[str, Any]) -> str:
    """A stable name of how features were made: 16 hexadecimal digits of the SHA-256 of the canonical JSON.

    Args:
        description: network, weights (by hash), preprocessing, sampling, decode mode and precision. Device, batch size
            and versions don't belong here, since the features don't depend on them.
    """
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class FeatureTrack:
    """One modality of one film.

    Attributes:
        values: float32 [T, D]; a second's slots side by side; zero where a slot is absent.
        present: float32 [T, slots]; 1 where the slot holds something. Absent is never the same as zero.
        timestamps_us: int64 [T]; the real timestamp of what was used, on the container's clock.
        description: how it was made (see `fingerprint`).
        boxes: float32 [T, slots, 4] (xmin, ymin, xmax, ymax as shares of the picture), for faces.
        scores: float32 [T, slots]; the detector's confidence, for faces.
    """

    values: np.ndarray
    present: np.ndarray
    timestamps_us: np.ndarray
    description: Mapping[str, Any]
    boxes: np.ndarray | None = None
    scores: np.ndarray | None = None

    @property
    def fingerprint(self) -> str:
        """The stable name of how this track was made."""
        return fingerprint(self.description)

    @property
    def untrained(self) -> bool:
        """Whether a network with random weights made it (demo and tests only)."""
        return str(self.description.get("weights", "")).startswith("untrained")


@dataclass(frozen=True)
class RecordHeader:
    """What a record says of its film, without the features.

    Attributes:
        film_id: the catalogue's name of the film, safe as a file name.
        source_uri: where the film lay.
        source_size_bytes, source_sha256: identity of the file's content.
        seconds: T, the number of one-second steps.
        duration_us: D, the exact duration rounded to microseconds.
        start_us: the timestamp of second 0 on the container's clock.
        descriptions: modality -> how its track was made.
        quality: counts of what the decoder met (frames decoded, damaged, …).
    """

    film_id: str
    source_uri: str
    source_size_bytes: int
    source_sha256: str
    seconds: int
    duration_us: int
    start_us: int
    descriptions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, str]:
        """Modality -> fingerprint of its track."""
        return {modality: fingerprint(description) for modality, description in self.descriptions.items()}


@dataclass(frozen=True, eq=False)
class FilmRecord:
    """A whole film's features: its header, and one track a modality, all of `header.seconds` steps."""

    header: RecordHeader
    tracks: Mapping[str, FeatureTrack]

    def __post_init__(self) -> None:
        for modality, track in self.tracks.items():
            slots, steps = slots_of(modality), self.header.seconds
            if track.values.ndim != 2 or len(track.values) != steps or track.present.shape != (steps, slots):
                raise ValueError(
                    f"{self.header.film_id}: {modality} has values {track.values.shape} and presence "
                    f"{track.present.shape} for {steps} seconds and {slots} slots"
                )

    def merged_with(self, tracks: Mapping[str, FeatureTrack]) -> FilmRecord:
        """This record with further or newer tracks; the others stay as they are."""
        merged = {**self.tracks, **tracks}
        return make_record(self.header, merged)


def make_record(header: RecordHeader, tracks: Mapping[str, FeatureTrack]) -> FilmRecord:
    """Joins a header and tracks; the header's descriptions are those of the tracks, in sorted order."""
    ordered = {modality: tracks[modality] for modality in sorted(tracks)}
    descriptions = {modality: dict(track.description) for modality, track in ordered.items()}
    return FilmRecord(replace(header, descriptions=descriptions), ordered)


def record_uri(directory: str, film_id: str) -> str:
    """Where the record of a film lies in a directory of records."""
    return storage.join(directory, film_id + _SUFFIX)


def list_records(directory: str) -> dict[str, str]:
    """Film id -> address of every record of a directory, sorted by film id."""
    uris = [info.uri for info in storage.list_files(directory) if info.uri.endswith(_SUFFIX)]
    return {uri.rsplit("/", 1)[-1].removesuffix(_SUFFIX): uri for uri in uris}


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
    return _join_segments([_parse_segment(example, uri, modalities) for example in _read_examples(uri)], uri)


def read_header(uri: str) -> RecordHeader:
    """Reads what a record says of its film from its first segment only, of a remote record no more than that."""
    for example in _read_examples(uri, at_most_bytes=MAX_RECORD_BYTES + tfrecord.FRAMING_BYTES):
        return _parse_header(example, uri)
    raise RecordError(f"{uri}: holds no record")


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
    for first in range(0, max(record.header.seconds, 1), step):
        yield _segment_example(record, first, min(first + step, record.header.seconds))


def _seconds_per_segment(record: FilmRecord) -> int:
    # A float costs 4 bytes; presence, timestamps, boxes and the lists' own framing stay well below 600 bytes a second
    # and modality. 1/16 of the limit is left for the context (descriptions, paths).
    per_second = sum(4 * track.values.shape[1] + 600 for track in record.tracks.values()) or 1
    return max(1, (MAX_RECORD_BYTES - MAX_RECORD_BYTES // 16) // per_second)


def _prefix(modality: str) -> str:
    return _PREFIXES.get(modality, modality.upper())


def _segment_example(record: FilmRecord, first: int, stop: int) -> Any:
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
    floats: dict[str, np.ndarray] = {"feature/floats": track.values}
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


def _parse_header(example: Any, uri: str) -> RecordHeader:
    context = example.context.feature

    def text(key: str) -> str:
        values = context[key].bytes_list.value if key in context else ()
        if not values:
            raise RecordError(f"{uri}: has no '{key}'; it is not a feature record of this project")
        return str(values[0].decode("utf-8", "surrogateescape"))

    def number(key: str) -> int:
        values = context[key].int64_list.value if key in context else ()
        if not values:
            raise RecordError(f"{uri}: has no '{key}'; it is not a feature record of this project")
        return int(values[0])

    descriptions = {}
    for key in sorted(context):
        if key.endswith("/description"):
            description = json.loads(text(key))
            descriptions[description.pop("modality")] = description
    return RecordHeader(
        film_id=text("clip/media_id"),
        source_uri=text("clip/data_path"),
        source_size_bytes=number("cineaffect/source/size_bytes"),
        source_sha256=text("cineaffect/source/sha256"),
        seconds=number("cineaffect/film_seconds"),
        duration_us=number("cineaffect/duration_us"),
        start_us=number("cineaffect/start_us"),
        descriptions=descriptions,
        quality=json.loads(text("cineaffect/quality")),
    )


def _parse_segment(
    example: Any, uri: str, modalities: Sequence[str] | None
) -> tuple[RecordHeader, dict[str, FeatureTrack]]:
    header = _parse_header(example, uri)
    wanted = [m for m in header.descriptions if modalities is None or m in modalities]
    return header, {modality: _parse_track(example, modality, header, uri) for modality in wanted}


def _parse_track(example: Any, modality: str, header: RecordHeader, uri: str) -> FeatureTrack:
    prefix, lists = _prefix(modality), example.feature_lists.feature_list

    def rows(key: str, kind: str, dtype: type) -> np.ndarray:
        if f"{prefix}/{key}" not in lists:
            raise RecordError(f"{uri}: has no '{prefix}/{key}'")
        features = lists[f"{prefix}/{key}"].feature
        steps: list[np.ndarray] = [np.fromiter(getattr(step, kind).value, dtype) for step in features]
        if len({len(step) for step in steps}) > 1:
            raise RecordError(f"{uri}: '{prefix}/{key}' has rows of different length")
        return np.stack(steps) if steps else np.zeros((0, 0), dtype)

    boxes = scores = None
    if f"{prefix}/region/bbox/xmin" in lists:
        boxes = np.stack([rows(f"region/bbox/{key}", "float_list", np.float32) for key in _BOX_KEYS], axis=-1)
        scores = rows("region/label/confidence", "float_list", np.float32)
    return FeatureTrack(
        values=rows("feature/floats", "float_list", np.float32),
        present=rows("present", "int64_list", np.float32),
        timestamps_us=rows("feature/timestamp", "int64_list", np.int64)[:, 0],
        description=header.descriptions[modality],
        boxes=boxes,
        scores=scores,
    )


def _join_segments(segments: list[tuple[RecordHeader, dict[str, FeatureTrack]]], uri: str) -> FilmRecord:
    if not segments:
        raise RecordError(f"{uri}: holds no record")
    header, first = segments[0]
    tracks = {}
    for modality in first:
        parts = [tracks_of_segment[modality] for _, tracks_of_segment in segments]
        tracks[modality] = replace(
            parts[0],
            values=np.concatenate([part.values for part in parts]),
            present=np.concatenate([part.present for part in parts]),
            timestamps_us=np.concatenate([part.timestamps_us for part in parts]),
            boxes=None if parts[0].boxes is None else np.concatenate([part.boxes for part in parts]),
            scores=None if parts[0].scores is None else np.concatenate([part.scores for part in parts]),
        )
        if len(tracks[modality].values) != header.seconds:
            raise RecordError(f"{uri}: {modality} has {len(tracks[modality].values)} of {header.seconds} seconds")
    return FilmRecord(header, tracks)
