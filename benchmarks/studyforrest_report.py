"""The figures of the studyforrest benchmark: a table, a CSV of every run, and a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from beam_pipelines.contracts.targets import TARGETS
from benchmarks.studyforrest_data import Recording
from trainer.evaluation.metrics import ccc, mse, pcc

METRICS = ("pcc", "ccc", "rmse")
HUMAN = {"arousal": 0.544, "valence": 0.723}
"""PCC of one observer against the mean of the other eight, as the data's README gives it.

The data hold the mean of all nine only, so that it can't be computed here.
"""

_SHOWN = ("arousal", "valence")
_ORANGE, _BLUE, _GREY = "#d55e00", "#0072b2", "#777777"


@dataclass(frozen=True)
class Row:
    """One predictor on one target.

    Attributes:
        predictor: its name in the table.
        target: `arousal` or `valence`.
        figures: metric -> test run -> figure; NaN where undefined. Of several seeds the mean over them.
        seeds_sd: metric -> sample standard deviation over seeds of the mean over runs; empty for less than two seeds.
    """

    predictor: str
    target: str
    figures: Mapping[str, Mapping[int, float]]
    seeds_sd: Mapping[str, float]

    def mean(self, metric: str) -> float:
        """Mean over the test runs; NaN where any is undefined."""
        return float(np.mean(list(self.figures[metric].values())))

    def deviation(self, metric: str) -> float:
        """Standard deviation over the test runs."""
        return float(np.std(list(self.figures[metric].values())))


def rows_of(predictor: str, seeds: Sequence[Mapping[int, np.ndarray]], recording: Recording) -> list[Row]:
    """The rows of a predictor, one a target.

    Args:
        predictor: its name.
        seeds: for each seed, test run -> curve [T, 2]; a predictor without seeds is given as one.
        recording: the labels.
    """
    rows = []
    for target in _SHOWN:
        column = TARGETS.index(target)
        each = [
            {
                run: figures_of(curve[:, column], recording.labels[recording.run == run, column])
                for run, curve in s.items()
            }
            for s in seeds
        ]
        figures = {m: {run: float(np.mean([one[run][m] for one in each])) for run in each[0]} for m in METRICS}
        means = {m: [np.mean([one[run][m] for run in one]) for one in each] for m in METRICS}
        spread = {m: float(np.std(means[m], ddof=1)) for m in METRICS} if len(seeds) > 1 else {}
        rows.append(Row(predictor, target, figures, spread))
    return rows


def figures_of(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """PCC, CCC and RMSE of one run, [T] each."""
    return {"pcc": pcc(predicted, true), "ccc": ccc(predicted, true), "rmse": math.sqrt(mse(predicted, true))}


def to_text(rows: Sequence[Row]) -> str:
    """The table: mean over the test runs, in brackets their standard deviation, and for seeds how they differ."""
    head = ["predictor", *(f"{target} {metric.upper()}" for target in _SHOWN for metric in METRICS)]
    cells = [head, *([name, *_cells(rows, name)] for name in dict.fromkeys(row.predictor for row in rows))]
    human = [text for target in _SHOWN for text in (f"{HUMAN[target]:.3f}", "–", "–")]
    cells.append(["one human observer (measured by us)", *human])
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def to_csv(rows: Sequence[Row]) -> str:
    """Every row: predictor, target, metric, the figure of each test run, mean and standard deviations."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    runs = list(rows[0].figures[METRICS[0]])
    writer.writerow(["predictor", "target", "metric", *(f"run{run}" for run in runs), "mean", "sd", "sd_over_seeds"])
    for row in rows:
        for metric in METRICS:
            figures = [*row.figures[metric].values(), row.mean(metric), row.deviation(metric)]
            spread = row.seeds_sd.get(metric, math.nan)
            numbers = ["" if math.isnan(figure) else f"{figure:.4f}" for figure in (*figures, spread)]
            writer.writerow([row.predictor, row.target, metric, *numbers])
    return text.getvalue()


def write_plot(
    path: Path, rows: Sequence[Row], ours: str, curves: Mapping[int, np.ndarray], recording: Recording
) -> None:
    """Writes a picture: our curves beside the observers' over the film, and every predictor's PCC on each run."""
    names = list(dict.fromkeys(row.predictor for row in rows if not math.isnan(row.mean("pcc"))))
    curves_height, row_height = 2.6, 0.28
    figure = Figure(figsize=(11, 2 * curves_height + row_height * len(names) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [curves_height, curves_height, row_height * len(names)]
    *tops, bottom = figure.subplots(3, 1, height_ratios=heights)
    for target, axis in zip(_SHOWN, tops, strict=True):
        column = TARGETS.index(target)
        axis.plot(
            recording.time_s / 60, recording.labels[:, column], color=_GREY, lw=0.7, label="mean of nine observers"
        )
        for run, curve in curves.items():
            minutes = recording.time_s[recording.run == run] / 60
            axis.plot(minutes, curve[:, column], color=_ORANGE, lw=1.2, label=ours if run == min(curves) else None)
            axis.axvline(minutes[0], color="black", lw=0.4)
        axis.set(ylabel=target, xlabel="minute of the film; each run predicted by models that never saw it")
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
    for target, colour, shift in (("arousal", _ORANGE, -0.12), ("valence", _BLUE, 0.12)):
        for place, name in enumerate(names):
            row = next(row for row in rows if (row.predictor, row.target) == (name, target))
            values = list(row.figures["pcc"].values())
            bottom.scatter(values, np.full(len(values), place + shift), s=10, color=colour, alpha=0.5)
            bottom.scatter([row.mean("pcc")], [place + shift], s=60, marker="|", color=colour)
        bottom.axvline(HUMAN[target], color=colour, ls="--", lw=0.8, label=f"one human, {target}")
    bottom.set_yticks(range(len(names)), names, fontsize=8)
    bottom.set(xlabel="PCC of each run; bar: mean", ylim=(len(names) - 0.5, -0.5))
    bottom.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _cells(rows: Sequence[Row], name: str) -> list[str]:
    texts = []
    for target in _SHOWN:
        row = next(row for row in rows if (row.predictor, row.target) == (name, target))
        for metric in METRICS:
            if metric != "rmse" and math.isnan(row.mean("pcc")):
                texts.append("–")  # of a constant
                continue
            seeds = f" ± {row.seeds_sd[metric]:.3f}" if row.seeds_sd else ""
            texts.append(f"{row.mean(metric):.3f}{seeds} ({row.deviation(metric):.2f})")
    return texts
