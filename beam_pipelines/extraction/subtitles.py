"""The subtitle files beside a film: found, compared with those that a record was made of, and read with the film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_pipelines.contracts.film_warnings import refuse, warnings_of_quality
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.text.subtitle_choice import Subtitles, choose_subtitles, sidecars
from beam_pipelines.media.text.wanted_subtitles import WantedSubtitles
from beam_pipelines.media.worker.decoding_process import DecodingProcess


@dataclass(frozen=True)
class SubtitlesBeside:
    """The subtitle files beside a film.

    Attributes:
        wanted: which subtitles are wanted.
        found: all of them.
        taken: the one to read; None leaves the film's own tracks.
    """

    wanted: WantedSubtitles
    found: tuple[Subtitles, ...] = ()
    taken: storage.FileInfo | None = None


def subtitles_beside(film: Film, descriptions: Mapping[str, Mapping[str, Any]]) -> SubtitlesBeside | None:
    """Looks for subtitle files beside a film; None if none of the wanted modalities takes text.

    Args:
        film: the film.
        descriptions: wanted modality -> description of its features.

    Raises:
        StorageError: if the film's bucket can't be listed.
    """
    described = [d[records.SUBTITLES] for d in descriptions.values() if records.SUBTITLES in d]
    if not described:
        return None
    wanted = WantedSubtitles(**described[0])
    there = {info.uri.rsplit("/", 1)[-1]: info for info in storage.list_beside(film.uri)}
    found = sidecars(film.uri.rsplit("/", 1)[-1], there)
    taken = choose_subtitles(found, wanted.language).taken
    return SubtitlesBeside(wanted, tuple(found), None if taken is None else there[str(taken.where)])


def is_text_current(
    header: records.RecordHeader,
    film: Film,
    descriptions: Mapping[str, Mapping[str, Any]],
    record: storage.FileInfo | None,
) -> bool:
    """Whether a record was made of the subtitle file that is beside the film now, by name, size and times.

    It also is if none of `descriptions` takes text.
    """
    beside = subtitles_beside(film, descriptions)
    if beside is None:
        return True
    of_text = header.quality.get("text") or {}
    was = of_text.get("taken") or {}
    if beside.taken is None:
        return "sidecar" not in was
    return (
        record is not None
        and was.get("sidecar") == beside.taken.uri.rsplit("/", 1)[-1]
        and was.get("size_bytes") == beside.taken.size_bytes
        and beside.taken.modified_s <= record.modified_s
    )


def without_other_text(record: records.FilmRecord, text: Mapping[str, Any] | None) -> dict[str, FeatureTrack]:
    """A record's tracks without those of another subtitle file than the one that was read now.

    A record says of one file only what it was made of, so a track of another one could never be told from the others.

    Args:
        record: the record that the film has.
        text: what a record says of the subtitles that were read now; None if none were looked for.
    """
    if text is None or _file_of(record.header.quality.get("text") or {}) == _file_of(text):
        return dict(record.tracks)
    return {m: track for m, track in record.tracks.items() if records.SUBTITLES not in track.description}


def _file_of(text: Mapping[str, Any]) -> tuple[Any, Any]:
    taken = text.get("taken") or {}
    return taken.get("sidecar"), taken.get("sha256")


def read_text(
    film: Film,
    path: Path,
    probe: FilmProbe,
    beside: SubtitlesBeside | None,
    decoder: DecodingProcess,
    refused: Sequence[str] = (),
) -> FilmText | None:
    """Reads what is said in a film; None if no modality takes text.

    Args:
        film: the film.
        path: its file, local.
        probe: the probe of that file.
        beside: the subtitle files beside it.
        decoder: reads them in its process.
        refused: the codes of `extract.refuse`.

    Raises:
        FilmError: if the film can't be read, or there is a warning that `refused` names.
    """
    if beside is None:
        return None
    with ExitStack() as copies:
        try:
            sidecar = copies.enter_context(storage.local_copy(beside.taken.uri)) if beside.taken else None
        except FileNotFoundError:
            # A link that leads nowhere, or a file that has just gone: read as what it is, absent.
            sidecar = Path(beside.taken.uri) if beside.taken else None
        text = decoder.text(path, probe, beside.wanted, beside.found, sidecar)
    refuse(film.uri, warnings_of_quality({"text": text.quality}), refused)
    return text
