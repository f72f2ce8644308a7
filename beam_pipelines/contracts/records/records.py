"""Feature records: one film's features on the one-second clock, as `tf.train.SequenceExample`s in one TFRecord file.

Other rooms use contract 1 by the names in this module. `layout` has the keys, `reading` and `writing` are the only
reader and the only writer; neither needs Beam or TensorFlow.
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
    """The address of a film's record in a directory of records."""
    return storage.join(directory, film_id + _SUFFIX)


def list_records(directory: str) -> dict[str, str]:
    """The address of every record in a directory by film id, sorted."""
    found = {}
    for info in storage.list_files(directory):
        film_id = info.uri.rsplit("/", 1)[-1].removesuffix(_SUFFIX)
        if info.uri == record_uri(directory, film_id):  # without files in subfolders
            found[film_id] = info.uri
    return dict(sorted(found.items()))


def digest(record: FilmRecord, modalities: Sequence[str]) -> str:
    """The SHA-256 over the features of some modalities: it identifies a model's input."""
    state = hashlib.sha256()
    for modality in sorted(modalities):
        track = record.tracks[modality]
        state.update(f"{modality}:{track.fingerprint}:{track.values.shape}".encode())
        state.update(np.ascontiguousarray(track.values, np.float32).tobytes())
        state.update(np.ascontiguousarray(track.present, np.float32).tobytes())
    return state.hexdigest()
