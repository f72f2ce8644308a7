"""The table that earlier runs have left: the done markers of its films, and their curves.

The done markers of a million films lie in a temporary database and not in memory; of the curves one row group of each
open part is in memory. Films come in the order of their ids, so that all parts of another division are read at the same
time. Only the first of them stay open (and copied, if they lie in a bucket). Each of the others is read once, when its
first film comes, and its wanted curves go to the database.
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import count
from typing import Any

from beam_pipelines.contracts.curves.curve_table import iterate_markers, read_curves
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.foundation.errors import DiskFullError

_OPEN_PARTS = 16
"""A process may have some hundred files open, and several threads write parts."""


class EarlierTable:
    """Parts of an earlier table, read when they are needed: footers first, curves only from the needed parts.

    Every method raises `DiskFullError` if there is no room for the database.
    """

    def __init__(self, uris: Sequence[str], wanted: Callable[[str], bool] = lambda film_id: True):
        """Of equal done markers in several parts, the last part's counts.

        Args:
            uris: the addresses of the parts.
            wanted: whether a film of this id is one of those that are asked for.
        """
        self._uris, self._wanted = tuple(uris), wanted
        self._curves: dict[int, Iterator[AffectCurve]] = {}
        self._copied: set[int] = set()
        self._one_at_a_time = threading.Lock()

    def markers(self) -> Iterator[DoneMarker]:
        """The done markers of all wanted films, part by part in the given order; a film may have several."""
        with _full_disk_explained():
            for (values,) in self._kept.execute("SELECT marker FROM kept ORDER BY place"):
                yield DoneMarker.from_values(json.loads(values))

    def marker_of(self, film_id: str, scorer: str, record: str) -> DoneMarker | None:
        """The done marker of a film in any part, if this scorer made it from this record."""
        found = self._find("SELECT marker FROM kept WHERE identity = ?", _identity(film_id, scorer, record))
        return None if found is None else DoneMarker.from_values(json.loads(found))

    def curve(self, marker: DoneMarker) -> AffectCurve:
        """The curve of a film that any part holds with this done marker; films must come in the order of their ids.

        Raises:
            KeyError: if no part has rows of it.
        """
        identity = _identity(marker.film_id, marker.scorer, marker.record)
        part = self._find("SELECT part FROM kept WHERE identity = ?", identity)
        if part not in self._curves and len(self._curves) == _OPEN_PARTS:
            return self._copied_curve(part, marker.film_id)
        curves = self._curves.setdefault(part, read_curves(self._uris[part]))
        for curve in curves:
            if curve.film_id == marker.film_id:
                return curve
        raise KeyError(marker.film_id)

    def _copied_curve(self, part: int, film_id: str) -> AffectCurve:
        if part not in self._copied:
            curves = (each for each in read_curves(self._uris[part]) if self._wanted(each.film_id))
            with _full_disk_explained(), self._kept:
                rows = ((part, each.film_id, pickle.dumps(each)) for each in curves)
                self._kept.executemany("INSERT INTO curves VALUES (?, ?, ?)", rows)
            self._copied.add(part)
        found = self._find("SELECT curve FROM curves WHERE part = ? AND film_id = ?", part, film_id)
        if found is None:
            raise KeyError(film_id)
        curve: AffectCurve = pickle.loads(found)  # noqa: S301 - this object has written it
        return curve

    def _find(self, query: str, *values: Any) -> Any:
        with self._one_at_a_time, _full_disk_explained():
            row = self._kept.execute(query, values).fetchone()
        return row and row[0]

    @cached_property
    def _kept(self) -> sqlite3.Connection:
        # Without a name it is a temporary file, which disappears with its connection, or memory while it is small.
        kept = sqlite3.connect("", check_same_thread=False)
        kept.execute("CREATE TABLE kept (identity TEXT PRIMARY KEY, place, part, marker) WITHOUT ROWID")
        kept.execute("CREATE TABLE curves (part, film_id, curve, PRIMARY KEY (part, film_id))")
        places = count()
        with kept:
            for part, uri in enumerate(self._uris):
                rows = (
                    (_identity(each.film_id, each.scorer, each.record), next(places), part, json.dumps(asdict(each)))
                    for each in iterate_markers(uri)
                    if self._wanted(each.film_id)
                )
                # A later part's done marker comes later.
                kept.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        return kept


def _identity(film_id: str, scorer: str, record: str) -> str:
    return json.dumps([film_id, scorer, record])


@contextmanager
def _full_disk_explained() -> Iterator[None]:
    # SQLite says only that it can't write its file, and chooses the folder by these names.
    try:
        yield
    except sqlite3.OperationalError as error:
        folder = os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
        raise DiskFullError(
            f"the temporary database of earlier curves: no room for it in {folder} ({error}); free some, or let TMPDIR "
            "name a folder on a larger disk (each worker process has a database of its own)"
        ) from error
