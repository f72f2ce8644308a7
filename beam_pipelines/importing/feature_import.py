"""One film's imported features, from others' files into its feature record; the record keeps its other tracks.

T is that of the existing record, else that of the film if it is available, else the longest of the kinds. Every kind
gets a track of T seconds; missing seconds are absent, and counted as defects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from beam_pipelines.contracts.records import records
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.tables.reading import Numbers, TableError, read_table
from beam_pipelines.foundation.tables.seconds import CLOCKS, second_of
from beam_pipelines.importing.imported_features import KINDS, Defects, ImportedRows, read_csv_rows, read_organisers_kind
from beam_pipelines.media.damage import describe_file
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe

IMPORTED = "imported"
"""Key of a record's quality: modality -> the files of its track, and their defects."""

_OF_THE_FILE = ("truncated", "rest_not_read", "clock_jumped", "damaged")
"""The warnings that concern a film of which only the length is taken; pictures and sound are not looked at."""


@dataclass(frozen=True)
class FilmImport:
    """The features to import for one film.

    Attributes:
        film_id: its name in all files.
        sources: modality -> folder with one file per second (MediaEval 2018's kinds), or CSV file.
        film_uri: the film itself, if it is available; else empty.
        labels_uri: its label file, whose rows are counted as well; empty if there is none.
    """

    film_id: str
    sources: Mapping[str, str]
    film_uri: str = ""
    labels_uri: str = ""

    def row(self) -> list[Any]:
        """This film as plain values."""
        return [self.film_id, dict(self.sources), self.film_uri, self.labels_uri]

    @classmethod
    def of_row(cls, row: list[Any]) -> FilmImport:
        """The film of these values."""
        return cls(*row)


@dataclass(frozen=True)
class DefectRow:
    """The defects of one kind of one film.

    Attributes:
        film_id, kind: the film and the kind; the kind `labels` means the film's labels.
        seconds: T of the film's record.
        present: seconds that have values.
        counts: defect -> how often it occurs, as `Defects` names them.
    """

    film_id: str
    kind: str
    seconds: int
    present: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Listed:
    """The files of one source: their addresses, a digest of their names and sizes, and the time of the last change."""

    files: tuple[str, ...]
    digest: str
    size_bytes: int
    modified_s: float


def describe_kind(kind: str) -> dict[str, Any]:
    """The description of one of the organisers' kinds, for its fingerprint."""
    return {"imported": "mediaeval2018", "kind": kind, "dimensions": KINDS[kind], "rate_hz": 1}


def describe_csv(name: str, version: str, columns: Sequence[str], rate_hz: Fraction | None = None) -> dict[str, Any]:
    """The description of a user's own features, for their fingerprint: name, version, columns in their order, rate."""
    named = hashlib.sha256("\n".join(columns).encode()).hexdigest()[:16]
    rate = {} if rate_hz is None else {"rows_per_s": str(rate_hz)}
    return {"imported": "csv", "name": name, "version": version, "columns": named, "dimensions": len(columns), **rate}


def import_film(
    film: FilmImport, directory: str, descriptions: Mapping[str, Mapping[str, Any]]
) -> tuple[records.RecordHeader, bool, list[DefectRow]]:
    """Brings the imported modalities of one film's record up to date.

    Args:
        film: the film and its sources; a modality without a source gets a track that is absent in all seconds.
        directory: the folder of records, local or `gs://`.
        descriptions: modality -> description of its track.

    Returns:
        The record's header, whether anything was imported, and one row of defects per modality.

    Raises:
        FilmError: if the film has no features, or its files can't be read.
    """
    uri = records.record_uri(directory, film.film_id)
    listed = {modality: _list(source) for modality, source in film.sources.items()}
    try:
        if _is_current(records.read_header(uri), listed, descriptions, storage.stat(uri)):
            header, presence = records.read_presence(uri)
            return header, False, _rows(header, presence, film)
        existing = records.read_record(uri)
    except FileNotFoundError:
        existing = None
    except records.RecordError as error:
        raise FilmError("import", "damaged_record", f"{error}; or remove the file") from error
    rows = {m: _read(m, film.sources[m], listed[m], descriptions[m]) for m in listed if listed[m].files}
    longest = max((len(found.values) for found in rows.values()), default=0)
    if not longest:
        raise FilmError("import", "no_features", f"{film.film_id}: none of {sorted(descriptions)} has a file for it")
    header = existing.header if existing else _new_header(film, listed, longest)
    _refuse_rows_that_are_no_seconds(film, rows, header.seconds)
    dimensions = {modality: int(description["dimensions"]) for modality, description in descriptions.items()}
    found = {m: rows[m] if m in rows else ImportedRows.nothing(dimensions[m]) for m in descriptions}
    tracks = {m: found[m].as_track(header.seconds, header.start_us, descriptions[m]) for m in descriptions}
    about = {
        m: {"files": listed[m].digest if m in listed else "", "defects": _nonzero(found[m].defects)} for m in tracks
    }
    quality = {**header.quality, IMPORTED: {**header.quality.get(IMPORTED, {}), **about}}
    kept = existing.tracks if existing else {}
    record = records.make_record(replace(header, quality=quality), {**kept, **tracks})
    records.write_record(record, uri)
    return record.header, True, _rows(record.header, {m: track.present for m, track in tracks.items()}, film)


def _list(uri: str) -> _Listed:
    state, size_bytes, modified_s, files = hashlib.sha256(), 0, 0.0, []
    for info in storage.list_files(uri):
        state.update(f"{info.uri.removeprefix(uri)}:{info.size_bytes}\n".encode("utf-8", "surrogateescape"))
        size_bytes += info.size_bytes
        modified_s = max(modified_s, info.modified_s)
        files.append(info.uri)
    return _Listed(tuple(files), state.hexdigest(), size_bytes, modified_s)


def _is_current(
    header: records.RecordHeader,
    listed: Mapping[str, _Listed],
    descriptions: Mapping[str, Mapping[str, Any]],
    record: storage.FileInfo | None,
) -> bool:
    have, about = header.fingerprints(), header.quality.get(IMPORTED, {})
    return record is not None and all(
        have.get(m) == records.fingerprint(description)
        and about.get(m, {}).get("files") == (listed[m].digest if m in listed else "")
        and (m not in listed or listed[m].modified_s <= record.modified_s)
        for m, description in descriptions.items()
    )


def _read(modality: str, uri: str, listed: _Listed, description: Mapping[str, Any]) -> ImportedRows:
    try:
        if description["imported"] == "mediaeval2018":
            rows = read_organisers_kind(uri, modality, listed.files)
            if len(rows.values) and not np.isfinite(rows.values).any():
                raise FilmError("import", "no_values", f"{uri}: none of its {len(listed.files)} files can be read")
            return rows
        rate_hz = Fraction(description["rows_per_s"]) if "rows_per_s" in description else None
        rows, columns = read_csv_rows(uri, rate_hz)
    except OSError as error:
        raise FilmError("import", "not_readable", f"{error.filename or uri}: {error.strerror or error}") from error
    if describe_csv("", "", columns)["columns"] != description["columns"]:
        raise FilmError(
            "import",
            "other_columns",
            f"{uri}: its {len(columns)} columns are not those of the first film, in its order",
        )
    return rows


def _refuse_rows_that_are_no_seconds(film: FilmImport, rows: Mapping[str, ImportedRows], seconds: int) -> None:
    for modality, found in rows.items():
        if len(found.values) > 2 * seconds + 10:
            raise FilmError(
                "import",
                "too_long",
                f"{film.sources[modality]}: has rows for {len(found.values)} seconds, the film has {seconds}; if its "
                "rows are frames, add a column of times, or name their rate with --rate",
            )


def _new_header(film: FilmImport, listed: Mapping[str, _Listed], seconds: int) -> records.RecordHeader:
    if not film.film_uri:
        joined = "".join(f"{modality}:{listed[modality].digest}\n" for modality in sorted(listed))
        return records.RecordHeader(
            film_id=film.film_id,
            source_uri=next(iter(film.sources.values())),
            source_size_bytes=sum(one.size_bytes for one in listed.values()),
            source_sha256=hashlib.sha256(joined.encode()).hexdigest(),
            seconds=seconds,
            duration_us=seconds * 1_000_000,
            start_us=0,
        )
    with storage.local_copy(film.film_uri) as path:
        probe = probe_film(path)
        warned = tuple(warning for warning in warnings_of_probe(probe) if warning.code in _OF_THE_FILE)
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return records.RecordHeader(
            film_id=film.film_id,
            source_uri=film.film_uri,
            source_size_bytes=path.stat().st_size,
            source_sha256=checksum,
            seconds=probe.seconds,
            duration_us=round(probe.duration_s * 1_000_000),
            start_us=round(probe.first_pts_s * 1_000_000),
            quality={"film": describe_file(probe)},
            warnings=warned,
            file_clock=probe.file_clock,
        )


def _nonzero(defects: Defects) -> dict[str, int]:
    return {name: count for name, count in defects.counts().items() if count}


def _rows(header: records.RecordHeader, presence: Mapping[str, np.ndarray], film: FilmImport) -> list[DefectRow]:
    seconds, about = header.seconds, header.quality[IMPORTED]
    rows = [
        DefectRow(film.film_id, modality, seconds, int(presence[modality].sum()), about[modality]["defects"])
        for modality in sorted(film.sources)
    ]
    if film.labels_uri and "{" not in film.labels_uri:  # several files of raters: only the trainer knows their form
        labelled = _labelled_seconds(film.labels_uri)
        short = {"short_by": seconds - labelled} if labelled < seconds else {}
        beyond = {"beyond": labelled - seconds} if labelled > seconds else {}
        rows.append(DefectRow(film.film_id, "labels", seconds, min(labelled, seconds), {**short, **beyond}))
    return rows


def _labelled_seconds(uri: str) -> int:
    """The seconds that a label file has rows of: by its column of times if there is one, else its rows."""
    try:
        table = read_table(uri)
        place = next((there for name in CLOCKS[:-1] if (there := table.place(name)) is not None), None)
        if place is None:
            return sum(1 for _ in table.rows())
        numbers = Numbers(uri)
        times = np.array([numbers.of(line, [cells[place]])[0] for line, cells in table.rows()])
        return len(np.unique(second_of(times[np.isfinite(times)])))
    except TableError as error:
        raise FilmError("import", "labels_unreadable", str(error)) from error
