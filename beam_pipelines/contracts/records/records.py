"""Feature records: one film's features on the one-second clock, as `tf.train.SequenceExample`s in one TFRecord file.

Other rooms use contract 1 by the names in this module. `layout` has the keys, `reading` and `writing` are the only
reader and the only writer; neither needs Beam or TensorFlow.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np

from beam_pipelines.contracts.records.feature_track import (
    PRESENT_SUFFIX as PRESENT_SUFFIX,
    SOUND_TRACK as SOUND_TRACK,
    SUBTITLES as SUBTITLES,
    FeatureTrack as FeatureTrack,
    FilmRecord as FilmRecord,
    RecordHeader as RecordHeader,
    fingerprint as fingerprint,
    is_untrained as is_untrained,
    make_record as make_record,
    same_features as same_features,
    slots_of as slots_of,
)
from beam_pipelines.contracts.records.file_clock import FileClock as FileClock
from beam_pipelines.contracts.records.layout import MAX_RECORD_BYTES as MAX_RECORD_BYTES
from beam_pipelines.contracts.records.reading import (
    RecordError as RecordError,
    read_header as read_header,
    read_presence as read_presence,
    read_record as read_record,
    read_whole_header as read_whole_header,
)
from beam_pipelines.contracts.records.writing import (
    to_sequence_examples as to_sequence_examples,
    write_record as write_record,
)
from beam_pipelines.foundation import storage

_SUFFIX = ".tfrecord"


def record_uri(directory: str, film_id: str) -> str:
    """The address of a film's record in a directory of records."""
    return storage.join(directory, film_id + _SUFFIX)


def list_records(directory: str) -> dict[str, str]:
    """The address of every record in a directory by film id, sorted; ids are in NFC, whatever form the names have."""
    found = {}
    for info in storage.list_files(directory):
        name = info.uri.rsplit("/", 1)[-1].removesuffix(_SUFFIX)
        if info.uri == record_uri(directory, name):  # without files in subfolders
            found[unicodedata.normalize("NFC", name)] = info.uri
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
