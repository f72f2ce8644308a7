"""The Parquet table of a catalogue's curves: one row per second, divided into parts by a stable hash of the film id.

    curves.parquet/part-00003-of-00016.parquet
        film_id string, time_s int32, valence double, arousal double, valence_raw double, arousal_raw double
        and for an ensemble valence_spread double, arousal_spread double
        and for a calibrated model valence_low_80 double, …, arousal_high_95 double
        and for explained curves arousal_base double, arousal_by_image double, … (see `shares`)
        without the columns of a target that the model doesn't predict

A part is sorted by film id and second. Parts without films are not written, except the first, so that there is always
a table. An absent value is null. The done markers of a part's films are in its metadata under `cineaffect.receipts`, so
that a later run sees from the footer alone what the part holds.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.curves import COLUMNS, TIME, AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.foundation import storage

TABLE = "curves.parquet"
_MARKERS_KEY = b"cineaffect.receipts"
_BETWEEN = ", "
_LOG = logging.getLogger(__name__)
_ROW_GROUP_ROWS = 1 << 18
"""About 12 MB of values: the writer's memory stays constant, and a reader of one film skips the other groups."""


def shard_of(film_id: str, shards: int) -> int:
    """The part that a film belongs to: the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(film_id.encode("utf-8")).digest()[:8], "big") % shards


def part_uri(output: str, shard: int, shards: int) -> str:
    """The address of a part in the directory of a run."""
    return storage.join(output, TABLE, f"part-{shard:05d}-of-{shards:05d}.parquet")


def list_parts(output: str) -> list[str]:
    """All parts in the directory of a run, including those of an earlier division into another number of parts."""
    return [info.uri for info in _list_parts(output)]


def list_parts_before(output: str, shard: int, shards: int) -> list[str]:
    """The parts that may hold films of one part now: itself, and all parts of other divisions; oldest first."""
    own, division = part_uri(output, shard, shards), f"-of-{shards:05d}.parquet"
    infos = [info for info in _list_parts(output) if info.uri == own or not info.uri.endswith(division)]
    return [info.uri for info in sorted(infos, key=lambda info: (info.modified_s, info.uri))]


def write_part(
    uri: str, markers: Sequence[DoneMarker], load: Callable[[DoneMarker], AffectCurve], columns: Sequence[str] = COLUMNS
) -> None:
    """Writes one part; equal done markers and curves give equal bytes.

    Args:
        uri: the part's address.
        markers: the done markers of the part's films, in any order.
        load: returns a film's curve; it is called film by film, so that one film is in memory at a time.
        columns: the value columns, the same in every part of a table (`AffectCurve.columns`).
    """
    import pyarrow.parquet as pq

    markers = sorted(markers, key=lambda marker: marker.film_id)
    metadata = {_MARKERS_KEY: _to_json(markers)}
    schema = _schema(columns).with_metadata(metadata)
    with (
        storage.whole_file(uri) as path,
        pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["film_id"]) as writer,
    ):
        for group in _row_groups(load(marker) for marker in markers):
            writer.write_table(_to_table(group, columns).cast(schema), row_group_size=_ROW_GROUP_ROWS)


def read_markers(uri: str) -> list[DoneMarker]:
    """The done markers of a part, from its footer, as `iterate_markers` gives them."""
    return list(iterate_markers(uri))


def iterate_markers(uri: str) -> Iterator[DoneMarker]:
    """The done markers of a part, one by one: none of a file that is absent or damaged, and of another version's those
    before the first that can't be read.

    The log names a file that exists but can't be read, because this run loses its films.
    """
    decoder, place = json.JSONDecoder(), 1
    try:
        text = _read_json(uri).decode()
        while not text.startswith("]", place):  # one at a time: as objects they take ten times the memory of the text
            values, place = decoder.raw_decode(text, place)
            yield DoneMarker.from_values(values)
            place += len(_BETWEEN) if text.startswith(_BETWEEN, place) else 0
    except FileNotFoundError:
        return
    except (ValueError, TypeError, AttributeError) as error:  # a damaged file is a ValueError, too
        _LOG.warning("%s: damaged or of another version, so the rest of it is not kept (%s)", uri, error)


def holds(uri: str, markers: Sequence[DoneMarker]) -> bool:
    """Whether there is a part, and it holds exactly these films, sorted by film id."""
    try:
        # As text, since the markers of a part of a large table would take ten times the memory of their text.
        if _read_json(uri) == _to_json(markers):
            return True
    except (FileNotFoundError, ValueError):
        return False
    return read_markers(uri) == list(markers)


def read_part(uri: str, film_id: str | None = None) -> dict[str, AffectCurve]:
    """The curves of a part, by film id; of one film alone if it is named.

    Raises:
        FileNotFoundError: if there is no such part.
    """
    import pyarrow.parquet as pq

    with storage.local_copy(uri) as path:
        table = pq.read_table(path, filters=None if film_id is None else [("film_id", "=", film_id)])
    return {curve.film_id: curve for curve in _curves_of(table)}


def read_curves(uri: str) -> Iterator[AffectCurve]:
    """The curves of a part, sorted by film id; one row group is in memory, however large the part is.

    Raises:
        FileNotFoundError: if there is no such part.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with storage.local_copy(uri) as path, pq.ParquetFile(path) as file:
        rows = file.schema_arrow.empty_table()
        for group in range(file.num_row_groups):
            rows = pa.concat_tables([rows, file.read_row_group(group)])
            last = [0, *_starts_of(rows)][-1]  # that film may go on in the next group
            yield from _curves_of(rows.slice(0, last))
            rows = rows.slice(last)
        yield from _curves_of(rows)


def _curves_of(table: Any) -> Iterator[AffectCurve]:
    starts = _starts_of(table)
    columns = {name: table[name].to_numpy() for name in table.column_names if name not in ("film_id", TIME)}
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=False):
        rows = {name: column[start:stop] for name, column in columns.items()}
        yield AffectCurve.of_columns(table["film_id"][start].as_py(), rows)


def _starts_of(table: Any) -> list[int]:
    """Where the films of a table begin: their rows are contiguous."""
    import pyarrow.compute as pc

    if not table.num_rows:
        return []
    film_ids = table["film_id"].combine_chunks()
    changes = pc.not_equal(film_ids[1:], film_ids[:-1]).to_numpy(zero_copy_only=False)
    return [0, *(np.flatnonzero(changes) + 1).tolist()]


def _to_json(markers: Sequence[DoneMarker]) -> bytes:
    return ("[" + _BETWEEN.join(json.dumps(asdict(marker), sort_keys=True) for marker in markers) + "]").encode()


def _read_json(uri: str) -> bytes:
    """The done markers of a part's footer; a file that is no Parquet, or whose footer is damaged, is a ValueError."""
    import pyarrow.parquet as pq

    with storage.local_copy(uri) as path:
        try:
            found: bytes = (pq.read_metadata(path).metadata or {}).get(_MARKERS_KEY, b"[]")
        except OSError as error:
            if error.errno is not None:  # the system's: without a number it is pyarrow's own, about the content
                raise
            raise ValueError(str(error).strip()) from error
    return found


def _list_parts(output: str) -> list[storage.FileInfo]:
    files = storage.list_files(storage.join(output, TABLE))
    return [info for info in files if info.uri.rsplit("/", 1)[-1].startswith("part-")]


def _schema(columns: Sequence[str]) -> Any:
    import pyarrow as pa

    values = [pa.field(name, pa.float64()) for name in columns]
    return pa.schema(
        [pa.field("film_id", pa.string(), nullable=False), pa.field("time_s", pa.int32(), nullable=False), *values]
    )


def _row_groups(curves: Iterator[AffectCurve]) -> Iterator[list[AffectCurve]]:
    group: list[AffectCurve] = []
    rows = 0
    for curve in curves:
        group.append(curve)
        rows += curve.seconds
        if rows >= _ROW_GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _to_table(curves: Sequence[AffectCurve], columns: Sequence[str]) -> Any:
    import pyarrow as pa

    arrays = {
        "film_id": pa.array([curve.film_id for curve in curves for _ in range(curve.seconds)], pa.string()),
        "time_s": pa.array(np.concatenate([np.arange(curve.seconds) for curve in curves]), pa.int32()),
    }
    for name in columns:
        values = np.concatenate([curve.of(name) for curve in curves])
        arrays[name] = pa.array(values, pa.float64(), from_pandas=True)  # NaN becomes null
    return pa.table(arrays, schema=_schema(columns))
