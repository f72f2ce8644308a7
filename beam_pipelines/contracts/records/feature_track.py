"""A film's features second by second: feature tracks, the record that joins them, and their fingerprints.

`records` writes and reads records; here they are only arrays and values, without any file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.records.file_clock import FileClock

SLOTS: Mapping[str, int] = {"face": 2}
"""The slots per second of each modality; 1 if neither this nor its description (`SLOTS_KEY`) names them.

The values of a second are its slots side by side."""

PRESENT_SUFFIX = "_present"
"""`<modality>_present` is the name of a modality's presence in the transform graph, the model and its signatures."""

UNTRAINED = "untrained"


SLOTS_KEY = "slots"
"""Key of a description: the slots per second of a modality that `SLOTS` doesn't name, if they aren't 1."""


def slots_of(modality: str, description: Mapping[str, Any] | None = None) -> int:
    """The number of slots per second of a modality with this description: 2 for faces, 1 for all others."""
    return int((description or {}).get(SLOTS_KEY, SLOTS.get(modality, 1)))


VIDEO_STREAM = "video_stream"
"""Key in a record's `quality`, part `film`: the index of the stream in the file from which its pictures come."""

SOUND_TRACK = "sound_track"
"""Key of a description: the sound track that the configuration named. It isn't part of the fingerprint, since a model
takes the features of any track; a record made of another track is made again (`same_features`)."""

SUBTITLES = "subtitles"
"""Key of a description whose features come from subtitles: which of them the configuration wants. Likewise it isn't
part of the fingerprint."""

CHOSEN = (SOUND_TRACK, SUBTITLES)
"""The keys of a description that say of what in the film's file features are made, and not how."""


def fingerprint(description: Mapping[str, Any]) -> str:
    """The stable name of a description of features: 16 hexadecimal digits of the SHA-256 of its canonical JSON.

    Args:
        description: network, weights (by hash), preprocessing, sampling, decode mode and precision. Device, batch size
            and versions don't belong here, since the features don't depend on them.
    """
    identity = {key: value for key, value in description.items() if key not in CHOSEN}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


def same_features(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether features with these descriptions of the same film are the same."""
    return fingerprint(one) == fingerprint(other) and all(one.get(key) == other.get(key) for key in CHOSEN)


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """In what the fingerprints of two descriptions differ, as `key is 1, was 2`; what lies within a key has a dot."""
    one, other = _flat(found), _flat(expected)
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return "; ".join(f"{key} is {one.get(key, 'not given')}, was {other.get(key, 'not given')}" for key in keys)


def _flat(description: Mapping[str, Any]) -> dict[str, str]:
    """Key -> value as JSON, since a description that was read from a file has lists where it had tuples."""
    flat: dict[str, str] = {}
    for key, value in description.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": text for inner, text in _flat(value).items()}
        elif key not in CHOSEN:
            flat[key] = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return flat


def is_untrained(description: Mapping[str, Any]) -> bool:
    """Whether features with this description come from a network with random weights."""
    return str(description.get("weights", "")).startswith(UNTRAINED)


@dataclass(frozen=True, eq=False)
class FeatureTrack:
    """One modality of one film.

    Attributes:
        values: float32 [T, D]; a second's slots side by side; zero if a slot is absent.
        present: float32 [T, slots]; 1 if the slot holds something. A zero vector alone does not mean absent.
        timestamps_us: int64 [T]; the real timestamp of the picture or sound, on the container's clock.
        description: how the track was made (see `fingerprint`).
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
        """The fingerprint of the track's description."""
        return fingerprint(self.description)

    @property
    def untrained(self) -> bool:
        """Whether a network with random weights made the track (demo and tests only)."""
        return is_untrained(self.description)


@dataclass(frozen=True)
class RecordHeader:
    """A record's data about its film, without the features.

    Attributes:
        film_id: the catalogue's name of the film, safe as a file name.
        source_uri: the address of the film's file.
        source_size_bytes, source_sha256: size and SHA-256 of the file's content.
        seconds: T, the number of one-second steps.
        duration_us: D, the exact duration rounded to microseconds.
        start_us: the timestamp of second 0 on the container's clock.
        descriptions: modality -> how its track was made.
        quality: the decoder's counts (frames decoded, damaged, …).
        warnings: what a user must know about the film, at most one per code.
        file_clock: how players count the film's time; None if it isn't known.
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
    warnings: tuple[FilmWarning, ...] = ()
    file_clock: FileClock | None = None

    @property
    def file_offset_s(self) -> Fraction | None:
        """What players show at second 0: by how much the pictures begin later than the file. None if unknown."""
        if self.file_clock is None:
            return None
        return Fraction(max(0, self.start_us - self.file_clock.start_us), 1_000_000)

    @property
    def video_stream(self) -> int | None:
        """Index of the stream in the file from which the pictures come; None in records of older versions."""
        film = self.quality.get("film")
        found = film.get(VIDEO_STREAM) if isinstance(film, Mapping) else None
        return found if isinstance(found, int) else None

    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each modality's track."""
        return {modality: fingerprint(description) for modality, description in self.descriptions.items()}


@dataclass(frozen=True, eq=False)
class FilmRecord:
    """A whole film's features: its header, and one track per modality, all of `header.seconds` steps."""

    header: RecordHeader
    tracks: Mapping[str, FeatureTrack]

    def __post_init__(self) -> None:
        for modality, track in self.tracks.items():
            slots, steps = slots_of(modality, track.description), self.header.seconds
            if track.values.ndim != 2 or len(track.values) != steps or track.present.shape != (steps, slots):
                raise ValueError(
                    f"{self.header.film_id}: {modality} has values {track.values.shape} and presence "
                    f"{track.present.shape} for {steps} seconds and {slots} slots"
                )


def make_record(header: RecordHeader, tracks: Mapping[str, FeatureTrack]) -> FilmRecord:
    """Joins a header and tracks; the header gets the descriptions of the tracks, in sorted order."""
    ordered = {modality: tracks[modality] for modality in sorted(tracks)}
    descriptions = {modality: dict(track.description) for modality, track in ordered.items()}
    return FilmRecord(replace(header, descriptions=descriptions), ordered)
