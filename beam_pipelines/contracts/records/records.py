"""Feature records: one film's features on the one-second clock, as `tf.train.SequenceExample`s in one TFRecord file.

These are the names that others use of contract 1. `layout` says what lies where, `reading` and
`writing` are the one reader and the one writer; neither needs Beam or TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

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
from beam_pipelines.contracts.records.layout import MAX_RECORD_BYTES
from beam_pipelines.contracts.records.reading import (
    RecordError,
    read_header,
    read_presence,
    read_record,
    read_whole_header,
)
from beam_pipelines.contracts.records.writing import to_sequence_examples, write_record
from beam_pipelines.foundation import storage

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

_SUFFIX = ".tfrecord"


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


def digest(record: FilmRecord, modalities: Sequence[str]) -> str:
    """SHA-256 over the features of some modalities: the identity of what a model is given."""
    state = hashlib.sha256()
    for modality in sorted(modalities):
        track = record.tracks[modality]
        state.update(f"{modality}:{track.fingerprint}:{track.values.shape}".encode())
        state.update(np.ascontiguousarray(track.values, np.float32).tobytes())
        state.update(np.ascontiguousarray(track.present, np.float32).tobytes())
    return state.hexdigest()
