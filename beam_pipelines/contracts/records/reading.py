"""Reading feature records: a film's tracks, only their presence, or only the header."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from beam_pipelines.contracts.film_warnings import FilmWarning, from_rows, warnings_of_quality
from beam_pipelines.contracts.records import layout, quantisation, tfrecord
from beam_pipelines.contracts.records.feature_track import FeatureTrack, FilmRecord, RecordHeader, slots_of
from beam_pipelines.contracts.records.file_clock import FileClock
from beam_pipelines.contracts.records.layout import MAX_RECORD_BYTES, key_of
from beam_pipelines.contracts.records.sequence_example import (
    BYTES,
    FLOATS,
    INTEGERS,
    SequenceExample,
    read_leading_context,
    unpack_rows,
)
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import CineAffectError
from beam_pipelines.foundation.stage_times import READING, count, stage

_MOST_CONTEXT_BYTES = 1 << 18
"""The largest context; usually it has a few kilobytes: addresses, fingerprints, descriptions."""


_Lists = dict[str, np.ndarray]
"""Feature lists by name (see `layout`), as rows."""


class RecordError(CineAffectError):
    """A feature record can't be read: it is incomplete, damaged, or no record of this project; the text names it."""


@stage(READING, 1)
def read_record(uri: str, modalities: Sequence[str] | None = None) -> FilmRecord:
    """Reads a film's record: all modalities, or the named ones that it holds.

    Raises:
        RecordError: if the file is incomplete, damaged or no feature record.
        FileNotFoundError: if there is no such file.
    """
    with _parsing(uri):
        header, parts = _read_segments(uri, modalities, _Segment.every_list)
        tracks = {m: _make_track(header.descriptions[m], _join(lists)) for m, lists in parts.items()}
        count(size_bytes=sum(track.values.nbytes for track in tracks.values()))
        return FilmRecord(header, tracks)


def read_presence(uri: str, modalities: Sequence[str] | None = None) -> tuple[RecordHeader, dict[str, np.ndarray]]:
    """Reads a record's header and the presence of each modality, float32 [T, slots]; values are not unpacked.

    Raises:
        RecordError: if the file is incomplete, damaged or no feature record.
        FileNotFoundError: if there is no such file.
    """
    with _parsing(uri):
        header, parts = _read_segments(uri, modalities, _Segment.presence_only)
        return header, {modality: _join(lists)[layout.PRESENT].astype(np.float32) for modality, lists in parts.items()}


def read_header(uri: str) -> RecordHeader:
    """Reads a record's header from its first segment; of a remote record only that segment is downloaded.

    Raises:
        RecordError: if the file is no feature record.
        FileNotFoundError: if there is no such file.
    """
    with _parsing(uri):
        for segment in _segments(uri, at_most_bytes=MAX_RECORD_BYTES + tfrecord.FRAMING_BYTES):
            return segment.header()
    raise RecordError(f"{uri}: holds no record")


def read_whole_header(uri: str) -> RecordHeader | None:
    """Reads the header of a record that has all its segments, judged by the lengths of its frames.

    Of a local record only the beginning is read, which takes a fraction of a millisecond for any length of film, so
    that a job can find out which of many films are done. A remote record is always whole, since an object appears only
    when its upload is finished.

    Returns:
        The header, or None if the record is incomplete or has too many frames.

    Raises:
        RecordError: if the file is no feature record.
        FileNotFoundError: if there is no such file.
    """
    if storage.is_remote(uri):
        return read_header(uri)
    with _parsing(uri), storage.local_copy(uri) as path:
        try:
            beginning, segments = tfrecord.read_beginning(path, _MOST_CONTEXT_BYTES)
            segment = _Segment(read_leading_context(beginning), uri)
        except (tfrecord.DamagedError, DecodeError):
            return None
        return segment.header() if segments == segment.number("cineaffect/segments") else None


class _Segment:
    """One SequenceExample of a record; a missing key is an error that names file and key."""

    def __init__(self, example: Any, uri: str):
        self._context = example.context.feature
        self._lists = example.feature_lists.feature_list
        self._uri = uri

    def number(self, key: str) -> int:
        return int(self._first_value(key, INTEGERS))

    def text(self, key: str) -> str:
        return str(self._first_value(key, BYTES).decode("utf-8", "surrogateescape"))

    def _first_value(self, key: str, kind: str) -> Any:
        # Looking up an absent key in the map would add it.
        values = getattr(self._context[key], kind).value if key in self._context else ()
        if not values:
            raise RecordError(f"{self._uri}: has no '{key}'; it is not a feature record of this project")
        return values[0]

    def _json(self, key: str) -> dict[str, Any]:
        found = json.loads(self.text(key))
        if not isinstance(found, dict):
            raise ValueError(f"'{key}' is no JSON object")
        return found

    def header(self) -> RecordHeader:
        descriptions: dict[str, dict[str, Any]] = {}
        for key in sorted(self._context):
            if key.endswith("/" + layout.DESCRIPTION):
                description = self._json(key)
                descriptions[str(description.pop("modality"))] = description
        quality = self._json("cineaffect/quality")
        return RecordHeader(
            film_id=self.text("clip/media_id"),
            source_uri=self.text("clip/data_path"),
            source_size_bytes=self.number("cineaffect/source/size_bytes"),
            source_sha256=self.text("cineaffect/source/sha256"),
            seconds=self.number("cineaffect/film_seconds"),
            duration_us=self.number("cineaffect/duration_us"),
            start_us=self.number("cineaffect/start_us"),
            descriptions=descriptions,
            quality=quality,
            warnings=self._warnings(quality, descriptions),
            file_clock=self._file_clock(),
        )

    def _file_clock(self) -> FileClock | None:
        return FileClock.from_json(self._json(layout.FILE_CLOCK)) if layout.FILE_CLOCK in self._context else None

    def _warnings(
        self, quality: Mapping[str, Any], descriptions: Mapping[str, Mapping[str, Any]]
    ) -> tuple[FilmWarning, ...]:
        if layout.WARNINGS not in self._context:  # a record of a version without warnings
            return warnings_of_quality(quality, descriptions)
        return from_rows(json.loads(self.text(layout.WARNINGS)))

    def presence_only(self, modality: str, description: Mapping[str, Any]) -> _Lists:
        present, slots = self._rows(modality, layout.PRESENT, INTEGERS), slots_of(modality, description)
        if present.shape[1] != slots:
            raise RecordError(f"{self._uri}: {modality} has presence {present.shape} for {slots} slots")
        return {layout.PRESENT: present}

    def every_list(self, modality: str, description: Mapping[str, Any]) -> _Lists:
        kinds = {layout.TIMESTAMP: INTEGERS}
        if quantisation.stored_form(description):
            kinds[layout.BYTES] = BYTES
        else:
            kinds[layout.FLOATS] = FLOATS
        if key_of(modality, layout.BOXES[0]) in self._lists:
            kinds.update(dict.fromkeys((*layout.BOXES, layout.CONFIDENCE), FLOATS))
        lists = self.presence_only(modality, description)
        seconds = len(lists[layout.PRESENT])
        for name, kind in kinds.items():
            lists[name] = self._rows(modality, name, kind)
            if len(lists[name]) != seconds:
                key = key_of(modality, name)
                raise RecordError(f"{self._uri}: '{key}' has {len(lists[name])} of {seconds} seconds")
        return lists

    def _rows(self, modality: str, name: str, kind: str) -> np.ndarray:
        key = key_of(modality, name)
        if key not in self._lists:
            raise RecordError(f"{self._uri}: has no '{key}'")
        try:
            return unpack_rows(self._lists[key], kind)
        except ValueError as error:
            raise RecordError(f"{self._uri}: '{key}' has {error}") from error


def _read_segments(
    uri: str, modalities: Sequence[str] | None, read: Callable[[_Segment, str, Mapping[str, Any]], _Lists]
) -> tuple[RecordHeader, dict[str, list[_Lists]]]:
    """The header from the first segment, and for each modality the results of `read` for each segment."""
    header: RecordHeader | None = None
    parts: dict[str, list[_Lists]] = {}
    seconds: Counter[str] = Counter()
    for segment in _segments(uri):
        of_segment = segment.header()
        header = header or of_segment
        first = segment.number("cineaffect/first_second")
        for modality, description in of_segment.descriptions.items():
            if modalities is None or modality in modalities:
                before = seconds[modality]
                if first != before:
                    raise RecordError(f"{uri}: second {before} is followed by a segment that starts at {first}")
                lists = read(segment, modality, description)
                parts.setdefault(modality, []).append(lists)
                seconds[modality] += len(lists[layout.PRESENT])
    if header is None:
        raise RecordError(f"{uri}: holds no record")
    for modality, found in seconds.items():
        if found != header.seconds:
            raise RecordError(f"{uri}: {modality} has {found} of {header.seconds} seconds")
    return header, parts


def _segments(uri: str, at_most_bytes: int | None = None) -> Iterator[_Segment]:
    with storage.local_copy(uri, at_most_bytes) as path:
        if path.stat().st_size == 0:
            raise RecordError(f"{uri}: the file is empty")
        for content in tfrecord.read_frames(path):
            yield _Segment(SequenceExample.FromString(content), uri)


@contextmanager
def _parsing(uri: str) -> Iterator[None]:
    """Turns any error of parsing into a RecordError, since well-framed foreign content can be anything."""
    try:
        yield
    except (tfrecord.DamagedError, DecodeError) as error:
        raise RecordError(f"{uri}: cut off or damaged ({error}); extract this film again") from error
    except (KeyError, IndexError, ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"{uri}: not a feature record of this version ({error})") from error


def _join(parts: list[_Lists]) -> _Lists:
    return {name: np.concatenate([lists[name] for lists in parts]) for name in parts[0]}


def _make_track(description: Mapping[str, Any], lists: _Lists) -> FeatureTrack:
    present, form = lists[layout.PRESENT].astype(np.float32), quantisation.stored_form(description)
    return FeatureTrack(
        values=quantisation.from_bytes(lists[layout.BYTES], form, present) if form else lists[layout.FLOATS],
        present=present,
        timestamps_us=lists[layout.TIMESTAMP][:, 0],
        description=description,
        boxes=np.stack([lists[name] for name in layout.BOXES], axis=-1) if layout.BOXES[0] in lists else None,
        scores=lists.get(layout.CONFIDENCE),
    )
