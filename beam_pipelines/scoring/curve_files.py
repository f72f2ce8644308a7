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
from functools import cached_property

from beam_pipelines.contracts.curves.curve_table import (
    list_parts,
    list_parts_before,
    part_uri,
    read_markers,
    read_part,
    shard_of,
    write_part,
)
from beam_pipelines.contracts.curves.curves import COLUMNS, PLOTS, AffectCurve, curve_uri, from_csv, to_csv
from beam_pipelines.contracts.curves.done_marker import DoneMarker, from_json, marker_uri, to_json
from beam_pipelines.foundation import storage


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
        earlier = EarlierTable(list_parts_before(self.output, shard, self.shards))
        in_run = {marker.film_id for marker in markers}
        others = [r for r in earlier.markers() if r.film_id not in in_run and self.shard_of(r.film_id) == shard]
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

        uri = self.part_uri(shard)
        if storage.stat(uri) is None or read_markers(uri) != films:
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
    """Looks up films whose files are whole, one by one, and caches what it reads of the table."""

    files: CurveFiles
    _earlier: EarlierTable = field(init=False)

    def __post_init__(self) -> None:
        self._earlier = EarlierTable(list_parts(self.files.output))

    def read_table(self) -> None:
        """Reads the table's done markers now, and not when the first film asks for them."""
        self._earlier.markers()

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


class EarlierTable:
    """Parts of an earlier table, read when they are needed: footers first, curves only from the needed parts."""

    def __init__(self, uris: Sequence[str]):
        """Takes the addresses of the parts; of equal done markers in several parts, the last part's counts."""
        self._uris = tuple(uris)
        self._curves: dict[str, dict[str, AffectCurve]] = {}

    def markers(self) -> list[DoneMarker]:
        """The done markers of all films, part by part in the given order; a film may have several."""
        return [marker for marker, _ in self._places.values()]

    def marker_of(self, film_id: str, scorer: str, record: str) -> DoneMarker | None:
        """The done marker of a film in any part, if this scorer made it from this record."""
        marker, _ = self._places.get((film_id, scorer, record), (None, ""))
        return marker

    def curve(self, marker: DoneMarker) -> AffectCurve:
        """The curve of a film that any part holds with this done marker."""
        _, uri = self._places[_identity(marker)]
        if uri not in self._curves:
            self._curves[uri] = read_part(uri)
        return self._curves[uri][marker.film_id]

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], tuple[DoneMarker, str]]:
        places: dict[tuple[str, str, str], tuple[DoneMarker, str]] = {}
        for uri in self._uris:
            for marker in read_markers(uri):
                places.pop(_identity(marker), None)  # a later part's done marker comes later
                places[_identity(marker)] = (marker, uri)
        return places


def _identity(marker: DoneMarker) -> tuple[str, str, str]:
    return marker.film_id, marker.scorer, marker.record
