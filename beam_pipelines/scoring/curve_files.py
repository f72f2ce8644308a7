"""The files of a scored film in the directory of a run (contract 3), and finding them in a later run.

    curves/<film_id>.csv     the curve
    plots/<film_id>.png      its plot
    curves/<film_id>.json    the done marker: written last and removed first, so that the files next to it are always
                             whole and of one scoring

Without CSV files, done markers are only in the Parquet parts.

The table of a directory holds every film that the last run's scorer (its model and smoothing) ever scored into it:
films that the last run did not score, or that failed in it, are carried over with their rows. So the table depends on
the films, not on how they were divided among runs. Rows of another scorer are never mixed in; such films are left out
and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from beam_pipelines.contracts.curves.curve_table import (
    holds,
    list_parts,
    list_parts_before,
    part_uri,
    shard_of,
    write_part,
)
from beam_pipelines.contracts.curves.curves import COLUMNS, PLOTS, AffectCurve, curve_uri, from_csv, to_csv
from beam_pipelines.contracts.curves.done_marker import DoneMarker, from_json, marker_uri, to_json
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.stage_times import WRITING, stage
from beam_pipelines.scoring.earlier_table import EarlierTable


@dataclass(frozen=True)
class CurveFiles:
    """The files of a run.

    Attributes:
        output: the directory of the run.
        csv: whether each film has a CSV file.
        plots: whether each film has a plot.
        shards: the number of Parquet parts.
        scorer: digest of the model and the smoothing of this run (`scorer_digest`).
        columns: the value columns of the curves (`curves.columns_of`).
        run_started_s: when this run began (`job.storage_time_s`).
    """

    output: str
    csv: bool
    plots: bool
    shards: int
    scorer: str
    columns: tuple[str, ...] = COLUMNS
    run_started_s: float = math.inf

    def csv_uri(self, film_id: str) -> str:
        """The address of a film's CSV file."""
        return curve_uri(self.output, film_id)

    def marker_uri(self, film_id: str) -> str:
        """The address of a film's done marker."""
        return marker_uri(self.output, film_id)

    def plot_uri(self, film_id: str) -> str:
        """The address of a film's plot."""
        return storage.join(self.output, PLOTS, f"{film_id}.png")

    def part_uri(self, shard: int) -> str:
        """The address of a part of the table."""
        return part_uri(self.output, shard, self.shards)

    def shard_of(self, film_id: str) -> int:
        """The part that a film belongs to."""
        return shard_of(film_id, self.shards)

    @stage(WRITING, 1)
    def write_film(self, marker: DoneMarker, curve: AffectCurve) -> None:
        """Writes the files of one film except its plot, and removes the plot of an earlier scoring.

        If it is interrupted anywhere, also before a new plot is drawn, the next run scores the film again.
        """
        storage.remove(self.marker_uri(curve.film_id))
        if self.plots:
            storage.remove(self.plot_uri(curve.film_id))
        if self.csv:
            storage.write_text(self.csv_uri(curve.film_id), to_csv(curve))
        if self.csv:
            storage.write_text(self.marker_uri(curve.film_id), to_json(marker))

    def write_part(self, shard: int, markers: Sequence[DoneMarker], curves: dict[str, AffectCurve]) -> WrittenPart:
        """Writes a part of the table, unless it already holds exactly these films or there are none.

        Args:
            shard: the number of the part.
            markers: the done markers of this run's films in the part. Other films are carried over from earlier parts,
                as the docstring of this module says.
            curves: film id -> curve, for curves in memory; the others are read from the films' CSV files or, without
                CSV files, from the parts of an earlier run.
        """
        uri, before = self.part_uri(shard), list_parts_before(self.output, shard, self.shards)
        markers = sorted(markers, key=lambda marker: marker.film_id)
        if markers and before == [uri] and holds(uri, markers):
            return WrittenPart(uri, 0, 0)
        earlier = EarlierTable(before, lambda film_id: self.shard_of(film_id) == shard)
        in_run = {marker.film_id for marker in markers}
        others = [r for r in earlier.markers() if r.film_id not in in_run]
        carried = {marker.film_id: marker for marker in others if marker.scorer == self.scorer}
        left_out = {marker.film_id for marker in others} - set(carried)
        films = sorted([*markers, *carried.values()], key=lambda marker: marker.film_id)
        if shard and not films:
            return WrittenPart(None, 0, len(left_out))

        def load(marker: DoneMarker) -> AffectCurve:
            if marker.film_id in curves:
                return curves[marker.film_id]
            if self.csv and marker.film_id not in carried:
                return from_csv(storage.read_text(self.csv_uri(marker.film_id)), marker.film_id)
            return earlier.curve(marker)

        if not holds(uri, films):
            with stage("table", len(films)):
                write_part(uri, films, load, self.columns)
        return WrittenPart(uri, len(carried), len(left_out))

    def remove_other_parts(self, uris: Sequence[str]) -> None:
        """Removes parts of another division of the table; call it after all parts of this division are written."""
        for uri in sorted(set(list_parts(self.output)) - set(uris)):
            storage.remove(uri)


@dataclass(frozen=True)
class WrittenPart:
    """The result of writing one part of the table.

    Attributes:
        uri: its address; None if it has no films.
        carried: number of films of earlier runs that were kept.
        left_out: number of films of earlier runs that were dropped, because another scorer made their curves.
    """

    uri: str | None
    carried: int
    left_out: int


@dataclass
class FinishedFilms:
    """Looks up films whose files are whole, for any number of threads; it keeps what it reads of the table."""

    files: CurveFiles
    _earlier: EarlierTable = field(init=False)

    def __post_init__(self) -> None:
        self._earlier = EarlierTable(list_parts(self.files.output))

    def marker_of(self, film_id: str, record: str) -> DoneMarker | None:
        """The done marker of a film that this run's scorer made from this record, if all its files exist.

        Args:
            film_id: the film.
            record: `record_checksum` of its feature record.
        """
        files = self.files
        if files.plots and storage.stat(files.plot_uri(film_id)) is None:
            return None
        if not files.csv:
            return self._earlier.marker_of(film_id, files.scorer, record)
        try:
            marker = from_json(storage.read_text(files.marker_uri(film_id)))
        except FileNotFoundError:
            return None
        if marker is None or (marker.scorer, marker.record) != (files.scorer, record):
            return None
        return marker if storage.stat(files.csv_uri(film_id)) else None

    def is_of_this_run(self, film_id: str) -> bool:
        """Whether this same run has written a film's files: a worker did so before it was lost.

        Without CSV files and plots a film has no file of its own to show that, and it counts as done before.
        """
        files = self.files
        if not files.csv and not files.plots:
            return False
        left = storage.stat(files.marker_uri(film_id) if files.csv else files.plot_uri(film_id))
        return left is not None and left.modified_s > files.run_started_s
