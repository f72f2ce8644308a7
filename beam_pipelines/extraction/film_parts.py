"""Parts of a film's features: several workers write them, and one worker joins them to the film's record.

    <records>/.parts/<film_id>-<key>-<segment_s>-<first second>.npz

The folder is hidden, so that no listing mistakes a part for a result. The key is a digest of the film's content and the
networks. So the run after a killed one finds exactly the parts that it can use, if its segments have the same length.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import CHOSEN, FeatureTrack, fingerprint
from beam_pipelines.extraction.parts_folder import PARTS_FOLDER, part_name
from beam_pipelines.extractors.tracks import FilmPart
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.stage_times import WRITING, stage
from beam_pipelines.foundation.version import __version__
from beam_pipelines.media.damage import sum_of
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.worker.decoding_messages import probe_from_message

_ARRAYS = ("values", "present", "timestamps_us", "boxes", "scores")


class PartAbsentError(Exception):
    """A part is absent or can't be read."""


@dataclass(frozen=True)
class CutFilm:
    """A film that is extracted in parts: small and plain, since it travels between workers.

    Attributes:
        film: the film.
        size_bytes, modified_s: size and time of its file when it was cut.
        sha256: SHA-256 of its content.
        probe: its probe as JSON.
        modalities: the modalities to extract.
        key: the key in the names of its parts.
        segment_s: the length of its segments, in seconds.
        sidecar: the subtitle file that is read beside the film; None if there is none, or no modality takes text.
    """

    film: Film
    size_bytes: int
    modified_s: float
    sha256: str
    probe: str
    modalities: tuple[str, ...]
    key: str
    segment_s: int
    sidecar: storage.FileInfo | None = None

    def read_probe(self) -> FilmProbe:
        """The film's probe."""
        return probe_from_message(json.loads(self.probe))


@dataclass(frozen=True)
class Segment:
    """The seconds [start, stop) of a film, one worker's task."""

    cut: CutFilm
    start: int
    stop: int

    @property
    def seconds(self) -> range:
        """The seconds as a range."""
        return range(self.start, self.stop)


def part_key(
    sha256: str, seconds: int, descriptions: Mapping[str, Mapping[str, Any]], sidecar: storage.FileInfo | None = None
) -> str:
    """The key in the names of a film's parts."""
    about = {"source": sha256, "seconds": seconds, "version": __version__}
    made = {modality: [fingerprint(d), [d.get(key) for key in CHOSEN]] for modality, d in descriptions.items()}
    return fingerprint({**about, "made": made, "sidecar": None if sidecar is None else asdict(sidecar)})


def part_uri(directory: str, segment: Segment) -> str:
    """The address of a segment's part; names sort by second."""
    cut = segment.cut
    return storage.join(directory, PARTS_FOLDER, part_name(cut.film.film_id, cut.key, cut.segment_s, segment.start))


def write_part(part: FilmPart, uri: str) -> None:
    """Writes a part; it appears under its name only when it is whole."""
    arrays: dict[str, np.ndarray] = {}
    for modality, track in part.tracks.items():
        for name in _ARRAYS:
            if getattr(track, name) is not None:
                arrays[f"{modality}/{name}"] = getattr(track, name)
    message = {
        "without_a_fresh_frame": part.without_a_fresh_frame,
        "picture": None if part.picture is None else asdict(part.picture),
        "sound": None if part.sound is None else asdict(part.sound),
        "text": part.text,
        "modalities": sorted(part.tracks),
    }
    with stage(WRITING, 1), storage.whole_file(uri) as path, path.open("wb") as file:
        np.savez(file, message=np.array(json.dumps(message)), **arrays)  # type: ignore[arg-type]


def read_part(uri: str, descriptions: Mapping[str, Mapping[str, Any]]) -> FilmPart:
    """Reads a part.

    Raises:
        PartAbsentError: if it is absent or damaged.
    """
    try:
        with storage.local_copy(uri) as path, np.load(path, allow_pickle=False) as arrays:
            message = json.loads(str(arrays["message"]))
            tracks = {
                modality: FeatureTrack(
                    description=descriptions[modality],
                    **{name: arrays[f"{modality}/{name}"] for name in _ARRAYS if f"{modality}/{name}" in arrays},
                )
                for modality in message["modalities"]
            }
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise PartAbsentError(f"{uri}: {error}") from error
    picture, sound = _counts(message["picture"]), _counts(message["sound"])
    return FilmPart(tracks, message["without_a_fresh_frame"], picture, sound, message["text"])


def join_parts(parts: Sequence[FilmPart]) -> FilmPart:
    """Joins the parts of a film, in order, to one."""
    return FilmPart(
        {modality: _join_tracks([part.tracks[modality] for part in parts]) for modality in parts[0].tracks},
        None if parts[0].without_a_fresh_frame is None else sum(part.without_a_fresh_frame or 0 for part in parts),
        _sum([part.picture for part in parts]),
        _sum([part.sound for part in parts]),
        parts[0].text,
    )


def _join_tracks(tracks: Sequence[FeatureTrack]) -> FeatureTrack:
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(track, name) for track in tracks])
        for name in _ARRAYS
        if getattr(tracks[0], name) is not None
    }
    return replace(tracks[0], **joined)


def _sum(counts: Sequence[DecodeQuality | None]) -> DecodeQuality | None:
    known = [part for part in counts if part is not None]
    return sum_of(known) if known else None


def _counts(counts: Mapping[str, int] | None) -> DecodeQuality | None:
    return None if counts is None else DecodeQuality(**counts)
