"""The table that earlier runs have left: the done markers of its films, and their curves.

The done markers of a million films lie in a temporary database and not in memory; of the curves one row group of a part
is in memory.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import count
from typing import Any

from beam_pipelines.contracts.curves.curve_table import iterate_markers, read_curves
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker


class EarlierTable:
    """Parts of an earlier table, read when they are needed: footers first, curves only from the needed parts."""

    def __init__(self, uris: Sequence[str]):
        """Takes the addresses of the parts; of equal done markers in several parts, the last part's counts."""
        self._uris = tuple(uris)
        self._curves: dict[int, Iterator[AffectCurve]] = {}
        self._one_at_a_time = threading.Lock()

    def markers(self) -> Iterator[DoneMarker]:
        """The done markers of all films, part by part in the given order; a film may have several."""
        for (values,) in self._kept.execute("SELECT marker FROM kept ORDER BY place"):
            yield DoneMarker.from_values(json.loads(values))

    def marker_of(self, film_id: str, scorer: str, record: str) -> DoneMarker | None:
        """The done marker of a film in any part, if this scorer made it from this record."""
        found = self._find("marker", _identity(film_id, scorer, record))
        return None if found is None else DoneMarker.from_values(json.loads(found))

    def curve(self, marker: DoneMarker) -> AffectCurve:
        """The curve of a film that any part holds with this done marker; films must come in the order of their ids.

        Raises:
            KeyError: if no part has rows of it.
        """
        part = self._find("part", _identity(marker.film_id, marker.scorer, marker.record))
        curves = self._curves.setdefault(part, read_curves(self._uris[part]))
        for curve in curves:
            if curve.film_id == marker.film_id:
                return curve
        raise KeyError(marker.film_id)

    def _find(self, column: str, identity: str) -> Any:
        with self._one_at_a_time:
            row = self._kept.execute(f"SELECT {column} FROM kept WHERE identity = ?", (identity,)).fetchone()
        return row and row[0]

    @cached_property
    def _kept(self) -> sqlite3.Connection:
        # Without a name it is a temporary file, which disappears with its connection, or memory while it is small.
        kept = sqlite3.connect("", check_same_thread=False)
        kept.execute("CREATE TABLE kept (identity TEXT PRIMARY KEY, place, part, marker) WITHOUT ROWID")
        places = count()
        with kept:
            for part, uri in enumerate(self._uris):
                rows = (
                    (_identity(each.film_id, each.scorer, each.record), next(places), part, json.dumps(asdict(each)))
                    for each in iterate_markers(uri)
                )
                # A later part's done marker comes later.
                kept.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        return kept


def _identity(film_id: str, scorer: str, record: str) -> str:
    return json.dumps([film_id, scorer, record])
