"""The page of `cineaffect reproduce` and `compare`: figures per film and pooled, with the spread over seeds.

`reproduce` has the paper's Table 1 beside ours.

data/page.js      all data; the other files are those of every page's folder (`page_folder`)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.report.page_folder import COMPARISON, TABLE, PageFolder

TABLE_1 = "table1.json"
"""The file in which `cineaffect reproduce` leaves its table."""

_FIGURES = ("mse", "pcc", "ccc")


def write_table_page(table: Mapping[str, Any], output: str) -> str:
    """Writes the page of a table and returns its address.

    Args:
        table: the content of `table1.json`, or of a comparison's JSON file.
        output: the page's folder.

    Raises:
        KeyError: if the content isn't such a table.
    """
    summary: list[dict[str, Any]] = table["summary"]
    films = by_film(table["rows"])
    film_ids = sorted({row["film_id"] for row in films})
    page = {
        "seeds": table["seeds"],
        "untrained": table.get("untrained", []),
        "published": table["published"],
        "targets": [target for target in TARGETS if any(row["target"] == target for row in summary)],
        "predictors": list(dict.fromkeys(row["predictor"] for row in summary)),
        "summary": summary,
        "films": film_ids,
        "names": {film_id: shown_name(film_id) for film_id in film_ids},
        "byFilm": films,
        "differences": table.get("differences", []),
        "settings": table.get("runs") or table.get("variants", {}),
    }
    folder = PageFolder(output)
    folder.write_data("page", page)
    return folder.finish(TABLE if table["published"] else COMPARISON)


def by_film(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mean and sample standard deviation over the seeds, of every film's figures.

    Args:
        rows: rows of the table; those of single films have the scope `film`.

    Returns:
        One entry per predictor, target, film and figure: `mean` (None if it is undefined in every seed) and `sd` (None
        for fewer than two seeds).
    """
    grouped: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["scope"] == "film":
            grouped.setdefault((row["predictor"], row["target"], row["film_id"]), []).append(row)
    found = []
    for (predictor, target, film_id), of_seeds in grouped.items():
        for figure in _FIGURES:
            values = [float(row[figure]) for row in of_seeds if row[figure] is not None]
            found.append(
                {
                    "predictor": predictor,
                    "target": target,
                    "film_id": film_id,
                    "figure": figure,
                    "mean": round(statistics.fmean(values), 6) if values else None,
                    "sd": round(statistics.stdev(values), 6) if len(values) > 1 else None,
                }
            )
    return found
