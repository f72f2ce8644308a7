"""`arcs.parquet` beside the scores of a run: one row per film, for programs, recommenders and vector databases.

    film_id string, seconds int32, and for each target of the model, here valence:
    valence fixed_size_list<float>[100]   the shape
    valence_mean, valence_spread, valence_range double; valence_peaks int32
    story string, story_distance double   only with valence: the nearest of six known shapes, and how far it is
    family int32                          null before cineaffect families

Rows are sorted by film id. The file's metadata, under `cineaffect.arcs`, says which scores it was made from. If they
have changed, it is made again, and the families, which were those of other films, are null.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.curve_table import list_parts, read_markers
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import StorageError
from beam_pipelines.report.arcs.arcs import POINTS, Arcs, arcs_of
from beam_pipelines.report.arcs.story_shapes import TARGET, nearest_stories
from beam_pipelines.report.scoring.scoring_run import ScoringRun

TABLE = "arcs.parquet"
FORMAT = 1
"""Raise it when new code makes other arcs of the same curves."""
_KEY = b"cineaffect.arcs"
_LOG = logging.getLogger(__name__)


def table_uri(directory: str) -> str:
    """The address of the table in the directory of a scoring run."""
    return storage.join(directory, TABLE)


def load_arcs(run: ScoringRun) -> Arcs:
    """The arcs of a run: from `arcs.parquet` if it is of these scores, else from the curves; then it is written.

    Raises:
        ConfigurationError: if the run has no films.
    """
    arcs = read_arcs(run)
    if arcs is None:
        arcs = arcs_of(run.curves(), run.label_range)
        try:
            write_arcs(run, arcs)
        except (PermissionError, StorageError) as error:
            _LOG.warning("%s: not written (%s); the next command makes the arcs again", table_uri(run.directory), error)
    return arcs


def read_arcs(run: ScoringRun) -> Arcs | None:
    """The arcs in the table of a run; None if it is absent, can't be read or is not of the run's scores."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = table_uri(run.directory)
    try:
        with storage.local_copy(uri) as path:
            table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
        if about.get("scores") != _scores_digest(run):
            if not table["family"].null_count:
                _LOG.warning("%s: its families are of other scores; cineaffect families finds those of these", uri)
            return None
        return _from_table(table, tuple(about["targets"]), run.label_range)
    except FileNotFoundError:
        return None
    except (pa.ArrowException, ValueError, KeyError) as error:
        _LOG.warning("%s: damaged, so it is made again (%s)", uri, error)
        return None


def families_of(run: ScoringRun) -> dict[str, int]:
    """Film id -> family, from the table of a run; empty before `cineaffect families`, or if the scores have changed."""
    if storage.stat(table_uri(run.directory)) is None:
        return {}
    arcs = read_arcs(run)
    if arcs is None or arcs.family is None:
        return {}
    return dict(zip(arcs.film_ids, arcs.family.tolist(), strict=True))


def write_arcs(run: ScoringRun, arcs: Arcs) -> None:
    """Writes the table of a run; equal scores and families give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "film_id": pa.array(arcs.film_ids, pa.string()),
        "seconds": pa.array(arcs.seconds, pa.int32()),
    }
    for place, target in enumerate(arcs.targets):
        points = pa.array(np.ascontiguousarray(arcs.shape[:, :, place]).reshape(-1), pa.float32())
        columns[target] = pa.FixedSizeListArray.from_arrays(points, POINTS)
        for name in ("mean", "spread", "range"):
            columns[f"{target}_{name}"] = pa.array(getattr(arcs, name)[:, place], pa.float64())
        columns[f"{target}_peaks"] = pa.array(arcs.peaks[:, place], pa.int32())
    if TARGET in arcs.targets:
        stories, far = nearest_stories(arcs)
        columns |= {"story": pa.array(stories), "story_distance": pa.array(np.round(far, 6), pa.float64())}
    families = arcs.family if arcs.family is not None else [None] * len(arcs)
    columns["family"] = pa.array(families, pa.int32())
    about = {"scores": _scores_digest(run), "targets": arcs.targets}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})
    with storage.whole_file(table_uri(run.directory)) as path:
        pq.write_table(table, path, compression="zstd")


def _from_table(table: Any, targets: tuple[str, ...], label_range: tuple[float, float]) -> Arcs:
    def stacked(suffix: str, dtype: Any) -> Any:
        return np.stack([table[target + suffix].to_numpy() for target in targets], axis=1).astype(dtype)

    shapes = [table[target].combine_chunks().flatten().to_numpy().reshape(-1, POINTS) for target in targets]
    family = table["family"]
    return Arcs(
        film_ids=tuple(table["film_id"].to_pylist()),
        targets=targets,
        label_range=label_range,
        seconds=table["seconds"].to_numpy().astype(np.int32),
        shape=np.stack(shapes, axis=2).astype(np.float32),
        mean=stacked("_mean", np.float64),
        spread=stacked("_spread", np.float64),
        range=stacked("_range", np.float64),
        peaks=stacked("_peaks", np.int32),
        family=family.to_numpy().astype(np.int32) if not family.null_count else None,
    )


def _scores_digest(run: ScoringRun) -> str:
    """What the arcs depend on: the films of the run's table, what scored them from which records, and this code."""
    films = sorted(
        (marker.film_id, marker.scorer, marker.record, marker.seconds)
        for uri in list_parts(run.directory)
        for marker in read_markers(uri)
    )
    return hashlib.sha256(json.dumps([FORMAT, run.label_range, films]).encode()).hexdigest()
