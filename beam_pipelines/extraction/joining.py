"""Extracting the segments of a film that was cut, and joining their parts to its record.

If a part had to be decoded entirely, or the demuxer failed somewhere, the whole film is extracted again in one piece:
its record is the same as if it had not been cut.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.film_parts import (
    CutFilm,
    PartAbsentError,
    Segment,
    join_parts,
    part_uri,
    read_part,
    write_part,
)
from beam_pipelines.extraction.missing import existing_header, kept_record, stat_source
from beam_pipelines.extraction.one_film import (
    ExtractedFilm,
    Extractor,
    extract_film,
    extract_part,
    fits,
    on_local_disk,
    write_record,
)
from beam_pipelines.extraction.subtitles import read_text, subtitles_beside
from beam_pipelines.extractors.tracks import FilmPart
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality

_LOG = logging.getLogger(__name__)


def extract_segment(segment: Segment, extractor: Extractor) -> str:
    """Extracts one segment of a film, unless an earlier run did; returns the address of its part.

    Raises:
        FilmError: as `extract_film` raises it, and step `read`, reason `changed` if the film's file has changed since
            it was cut.
    """
    cut, uri = segment.cut, part_uri(extractor.directory, segment)
    descriptions = {modality: extractor.descriptions[modality] for modality in cut.modalities}
    try:
        read_part(uri, descriptions)
        return uri
    except PartAbsentError:
        pass
    source = stat_source(cut.film)
    if (source.size_bytes, source.modified_s) != (cut.size_bytes, cut.modified_s):
        raise FilmError("read", "changed", f"{cut.film.uri}: was changed while it was extracted; run again")
    beside = subtitles_beside(cut.film, descriptions)
    if (beside.taken if beside else None) != cut.sidecar:
        raise FilmError("read", "changed", f"{cut.film.uri}: its subtitles were changed while it was read; run again")
    with ExitStack() as copies:
        path = on_local_disk(cut.film, copies)
        text = read_text(cut.film, path, cut.read_probe(), beside, extractor.decoder, extractor.config.refuse)
        part = extract_part(path, cut.read_probe(), descriptions, extractor, segment.seconds, text)
    write_part(part, uri)
    return uri


def finish_film(cut: CutFilm, uris: Sequence[str], extractor: Extractor) -> ExtractedFilm:
    """Joins the parts of a film to its record and removes them.

    If the joined parts would differ from an extraction of the whole film, it is extracted again in one piece.

    Raises:
        FilmError: as `extract_film` raises it.
    """
    descriptions = {modality: extractor.descriptions[modality] for modality in cut.modalities}
    try:
        parts = [read_part(uri, descriptions) for uri in sorted(uris)]
    except PartAbsentError:
        # This same step was done before by a worker that was lost afterwards; then the record exists.
        parts = []
    if parts and not any(_depends_on_cuts(part) for part in parts):
        uri = records.record_uri(extractor.directory, cut.film.film_id)
        probe, kept = cut.read_probe(), kept_record(uri, existing_header(uri), cut.sha256)
        kept = kept if kept and fits(kept, probe) else None
        done = write_record(cut.film, cut.size_bytes, cut.sha256, probe, join_parts(parts), kept, extractor)
    else:
        _LOG.info("%s: is extracted again in one piece, since its parts can't be planned", cut.film.film_id)
        whole = extract_film(cut.film, extractor, in_parts=False)
        assert isinstance(whole, ExtractedFilm)
        done = whole
    for uri in uris:
        storage.remove(uri)
    return done


def _depends_on_cuts(part: FilmPart) -> bool:
    picture, sound = part.picture or DecodeQuality(), part.sound or DecodeQuality()
    return bool(picture.full_decodings or picture.damaged or picture.read_errors or sound.read_errors)
