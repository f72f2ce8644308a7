"""Cutting a long film into segments, which free workers extract (`joining`).

A film's record is always the same as if it had not been cut. So a film is cut only if a decode plan exists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beam_pipelines.extraction.film_parts import CutFilm, Segment, part_key
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import takes_pictures
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.worker.decoding_messages import probe_to_message
from beam_pipelines.media.worker.decoding_process import DecodingProcess


def is_cut(
    path: Path,
    probe: FilmProbe,
    descriptions: Mapping[str, Mapping[str, Any]],
    config: ExtractConfig,
    decoder: DecodingProcess,
) -> bool:
    """Whether cutting a film pays: it is long, and decoding its parts costs no more than decoding the whole."""
    if probe.seconds <= config.segment_s or probe.read_errors:
        return False
    if not any(takes_pictures(config, modality) for modality in descriptions):
        return False  # sound decodes quickly, and for most containers only from the film's beginning; so does text
    return decoder.is_planned(path, probe, config.decode.mode())


def cut_film(
    film: Film,
    source: storage.FileInfo,
    checksum: str,
    probe: FilmProbe,
    descriptions: Mapping[str, Mapping[str, Any]],
    segment_s: int,
    sidecar: storage.FileInfo | None = None,
) -> list[Segment]:
    """The segments of a film, in order."""
    cut = CutFilm(
        film=film,
        size_bytes=source.size_bytes,
        modified_s=source.modified_s,
        sha256=checksum,
        probe=json.dumps(probe_to_message(probe), sort_keys=True),
        modalities=tuple(sorted(descriptions)),
        key=part_key(checksum, probe.seconds, descriptions, sidecar),
        segment_s=segment_s,
        sidecar=sidecar,
    )
    starts = range(0, probe.seconds, segment_s)
    return [Segment(cut, start, min(start + segment_s, probe.seconds)) for start in starts]
