"""The table of an experiment: figures of several predictors over seeds, as text, CSV and JSON.

A figure over two or more seeds is their mean and, after `±`, their sample standard deviation. Films whose correlation
is undefined (a constant curve) are left out of a mean over films, and counted.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.text_tables import aligned, csv_text
from trainer.evaluation.metrics import CONSTANT_MEAN, RATERS

FIGURES = ("mse", "pcc", "ccc")
SCOPES = ("mean of films", "pooled")

Row = Mapping[str, Any]
"""A row of `MetricsTable.to_dict` with the number of its seed, or None if it doesn't depend on the seed."""
Published = Mapping[str, Mapping[tuple[str, str], float]]
"""Published figures: predictor -> (target, figure) -> value."""


@dataclass(frozen=True)
class Summary:
    """One figure of one predictor over all seeds.

    Attributes:
        predictor, target, scope, figure: its names; `scope` is `mean of films` or `pooled`.
        mean: mean over the seeds that have a value; None if none has.
        sd: sample standard deviation over those seeds; None for fewer than two.
        seeds: number of seeds with a value.
        undefined: correlations without a value: of film curves (`mean of films`) or of seeds (`pooled`).
    """

    predictor: str
    target: str
    scope: str
    figure: str
    mean: float | None
    sd: float | None
    seeds: int
    undefined: int

    @property
    def text(self) -> str:
        """The figure as a cell of a table."""
        if self.mean is None:
            return "–"
        return f"{self.mean:.4f}" if self.sd is None else f"{self.mean:.4f} ±{self.sd:.4f}"


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """The mean and spread over seeds of every predictor, target, scope and figure, in the order of the rows."""
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["scope"] in SCOPES:
            grouped.setdefault((row["predictor"], row["target"], row["scope"]), []).append(row)
    return [
        _summary(*key, figure, found)
        for key, found in sorted(grouped.items(), key=lambda item: list(grouped).index(item[0]))
        for figure in FIGURES
    ]


def _summary(predictor: str, target: str, scope: str, figure: str, rows: Sequence[Row]) -> Summary:
    values = [float(row[figure]) for row in rows if row[figure] is not None]
    if scope == "pooled":
        undefined = len(rows) - len(values)
    else:
        undefined = 0 if figure == "mse" else sum(int(row[f"undefined_{figure}"]) for row in rows)
    return Summary(
        predictor,
        target,
        scope,
        figure,
        mean=statistics.fmean(values) if values else None,
        sd=statistics.stdev(values) if len(values) > 1 else None,
        seeds=len(values),
        undefined=undefined,
    )


def render(summaries: Sequence[Summary], published: Published | None = None) -> str:
    """The table for a terminal, with notes on undefined figures below it."""
    published = published or {}
    found = {(s.predictor, s.target, s.scope, s.figure): s for s in summaries}
    targets = [target for target in TARGETS if any(summary.target == target for summary in summaries)]
    columns = [(target, figure) for target in targets for figure in FIGURES]
    cells = [["", "", *(f"{target} {figure.upper()}" for target, figure in columns)]]
    for name in dict.fromkeys(summary.predictor for summary in summaries):
        if name in published:
            values = [published[name].get(column) for column in columns]
            cells.append([name, "paper", *("–" if value is None else f"{value:.4f}" for value in values)])
        for scope in SCOPES:
            figures = [found.get((name, target, scope, figure)) for target, figure in columns]
            if any(figures):
                cells.append([name, scope, *("–" if one is None else one.text for one in figures)])
    return "\n".join([*aligned(cells), *_undefined_notes(summaries)])


def _undefined_notes(summaries: Sequence[Summary]) -> list[str]:
    notes = []
    for figure in ("pcc", "ccc"):
        counts = [
            f"{s.predictor}, {s.target}, {s.scope}: {s.undefined}"
            for s in summaries
            if s.figure == figure and s.undefined and s.predictor != CONSTANT_MEAN
        ]
        if counts:
            notes.append(f"undefined {figure.upper()} (a constant curve), left out: {'; '.join(counts)}")
    return notes


def _constant_once(rows: Sequence[Row]) -> list[Row]:
    """The rows, first those of the constant mean, once and without a seed, since it depends on none, and of raters."""
    first: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if row["predictor"] == CONSTANT_MEAN:
            first.setdefault((row["target"], row["scope"], row["film_id"]), {**row, "seed": None})
    of_raters = [row for row in rows if row["predictor"] == RATERS]
    return [*first.values(), *of_raters, *(row for row in rows if row["predictor"] not in (CONSTANT_MEAN, RATERS))]


def write_table(
    output: str, name: str, rows: Sequence[Row], published: Published | None = None, **about: Any
) -> list[Summary]:
    """Writes `<name>.csv` (every row), `<name>.json` (the same, and mean and spread over seeds); returns the latter.

    Args:
        output: directory of the experiment.
        name: name of the files.
        rows: rows per film, mean of films and pooled, of every seed.
        published: published figures, written next to ours.
        about: further keys of the JSON file: settings, untrained networks.
    """
    rows = _constant_once(rows)
    summaries = summarise(rows)
    document = {
        **about,
        "published": {
            predictor: {f"{target}_{figure}": value for (target, figure), value in values.items()}
            for predictor, values in (published or {}).items()
        },
        "summary": [asdict(summary) for summary in summaries],
        "rows": list(rows),
    }
    storage.write_text(storage.join(output, f"{name}.json"), json.dumps(document, indent=2, allow_nan=False) + "\n")
    columns = list(rows[0])
    table = csv_text(columns, [[row.get(column) for column in columns] for row in rows])
    storage.write_text(storage.join(output, f"{name}.csv"), table)
    return summaries
