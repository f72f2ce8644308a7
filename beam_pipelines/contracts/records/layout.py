"""The layout of a feature record: the keys of contract 1.

A record uses the keys of MediaPipe's *MediaSequence*, so that other tools can read it. Keys that this convention lacks
begin with `cineaffect/`. A film is a sequence of segments, one SequenceExample each and none above `MAX_RECORD_BYTES`;
a segment is a clip in MediaSequence's sense:

    context        clip/media_id, clip/data_path, clip/start/timestamp, clip/end/timestamp (microseconds)
                   cineaffect/film_seconds, cineaffect/duration_us, cineaffect/start_us, cineaffect/first_second,
                   cineaffect/segments,
                   cineaffect/source/size_bytes, cineaffect/source/sha256, cineaffect/quality (JSON),
                   cineaffect/warnings, cineaffect/file_clock (JSON; absent in records of earlier versions)
                   <PREFIX>/fingerprint, <PREFIX>/description (JSON)
    feature lists  <PREFIX>/feature/floats [D], <PREFIX>/feature/timestamp [1], <PREFIX>/present [slots]
                   FACE/region/bbox/{xmin,ymin,xmax,ymax} [slots], FACE/region/label/confidence [slots]

A track whose description says `stored` (see `quantisation`) has <PREFIX>/feature/bytes [1] instead of floats. One step
of a feature list is one second. Boxes are shares of the picture's width and height. Timestamps are on the container's
own clock, as in the convention; `cineaffect/start_us` is the timestamp of second 0.
"""

from __future__ import annotations

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""The largest size of a segment: Flink's GroupByKey fails at 10 MB."""

FLOATS, BYTES, TIMESTAMP, PRESENT = "feature/floats", "feature/bytes", "feature/timestamp", "present"
BOXES = tuple(f"region/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax"))
CONFIDENCE = "region/label/confidence"
"""The names of a modality's feature lists, each after the modality's prefix."""

WARNINGS = "cineaffect/warnings"
"""The key of the film's warnings; a record without it has those of its quality."""

FILE_CLOCK = "cineaffect/file_clock"
"""The key of the clock by which players count; a record may lack it."""

DESCRIPTION, FINGERPRINT = "description", "fingerprint"
"""The names of a modality's context features, each after the modality's prefix."""

_PREFIXES = {"image": "RGB", "audio": "AUDIO", "face": "FACE"}


def key_of(modality: str, name: str) -> str:
    """The key of one of a modality's feature lists or context features."""
    return f"{_PREFIXES.get(modality, modality.upper())}/{name}"
