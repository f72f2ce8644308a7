"""Mean squared error, Pearson's and Lin's correlation: per film, as mean over films, and pooled. NumPy only.

The task's own script takes MSE and PCC of each film and their unweighted mean over films. The tables here also have the
pooled figure, over the seconds of all films together. A correlation with a constant series is undefined: it is NaN for
that film. The mean over films leaves such films out and counts them (`undefined_pcc`, `undefined_ccc`); in the task's
script the whole mean would be NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.text_tables import aligned, csv_text

CONSTANT_MEAN = "constant mean"
"""The predictor that always gives the mean of the training labels: the baseline that every model must beat."""

RATERS = "raters"
"""The predictor that is human: each rater against the mean of the others (`rater_rows`)."""

_FIGURES = ("mse", "pcc", "ccc")

Scope = Literal["pooled", "mean of films", "film"]


def mse(predicted: ArrayLike, true: ArrayLike) -> float:
    """The mean of the squared differences of two series [N], N > 0."""
    x, y = _pair(predicted, true)
    return float(np.mean((x - y) ** 2))


def pcc(predicted: ArrayLike, true: ArrayLike) -> float:
    """Pearson's correlation of two series [N], N > 0: cov(x, y) / (sd(x) sd(y)); NaN if either is constant."""
    x, y = _pair(predicted, true)
    if _is_constant(x) or _is_constant(y):
        return math.nan
    x, y = _unit_deviation(x), _unit_deviation(y)
    return float(np.clip(x @ y, -1.0, 1.0))


def ccc(predicted: ArrayLike, true: ArrayLike) -> float:
    """Lin's concordance of two series [N], N > 0: 2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2).

    It is 0 if one of them is constant, and NaN if both are the same constant.
    """
    x, y = _pair(predicted, true)
    x_constant, y_constant = _is_constant(x), _is_constant(y)
    if x_constant and y_constant and _is_constant(np.concatenate([x, y])):
        return math.nan
    if x_constant or y_constant:
        return 0.0
    dx, dy = x - x.mean(), y - y.mean()
    return float(2.0 * np.mean(dx * dy) / (np.mean(dx**2) + np.mean(dy**2) + (x.mean() - y.mean()) ** 2))


@dataclass(frozen=True)
class MetricsRow:
    """The figures of one predictor on one target.

    Attributes:
        predictor: for example `constant mean`, `raw` or `smoothed`.
        target: `valence` or `arousal`.
        scope: `pooled` (all seconds of all films together), `mean of films` (unweighted) or `film`.
        film_id: the film, if the scope is `film`; else empty.
        seconds: number of labelled seconds.
        mse, pcc, ccc: see the functions of these names; NaN if undefined.
        undefined_pcc, undefined_ccc: number of films that a `mean of films` leaves out because theirs is undefined.
    """

    predictor: str
    target: str
    scope: Scope
    film_id: str
    seconds: int
    mse: float
    pcc: float
    ccc: float
    undefined_pcc: int = 0
    undefined_ccc: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values for JSON; an undefined figure is None, since JSON has no NaN."""
        return {key: _none_for_nan(value) for key, value in asdict(self).items()}

    def renamed(self, predictor: str) -> MetricsRow:
        """The same figures under another name."""
        return replace(self, predictor=predictor)


@dataclass(frozen=True)
class MetricsTable:
    """All rows of an evaluation: for each predictor and target pooled, mean of films, and each film."""

    rows: tuple[MetricsRow, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that it has figures of."""
        return tuple(dict.fromkeys(row.target for row in self.rows))

    def find(self, predictor: str, target: str, scope: Scope = "pooled", film_id: str = "") -> MetricsRow:
        """The row with these names.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if (row.predictor, row.target, row.scope, row.film_id) == (predictor, target, scope, film_id):
                return row
        raise KeyError((predictor, target, scope, film_id))

    def beside_raters(self, rows: Sequence[MetricsRow]) -> MetricsTable:
        """The same with the rows of raters after those of the constant mean."""
        first = [row for row in self.rows if row.predictor == CONSTANT_MEAN]
        rest = [row for row in self.rows if row.predictor != CONSTANT_MEAN]
        return MetricsTable((*first, *rows, *rest))

    def to_dict(self) -> list[dict[str, Any]]:
        """The rows as plain values for JSON."""
        return [row.as_dict() for row in self.rows]

    def to_csv(self, untrained: Sequence[str] = ()) -> str:
        """The rows as CSV with a header; an undefined figure is an empty cell.

        Args:
            untrained: modalities whose features come from random weights. They fill the last column of every row,
                except those of the constant mean and of raters, which depend on labels only.
        """
        named = " ".join(untrained)
        rows = [[*row.values(), "" if row["predictor"] in (CONSTANT_MEAN, RATERS) else named] for row in self.to_dict()]
        return csv_text([*(field.name for field in fields(MetricsRow)), "untrained"], rows)

    def to_text(self, per_film: bool = False) -> str:
        """A table for a terminal: every predictor pooled and as mean of films, and with `per_film` every film."""
        shown = [row for row in self.rows if per_film or row.scope != "film"]
        names = [cell for target in self.targets for cell in (target, "", "")]
        cells = [["", "", *names], ["predictor", "over", *("MSE", "PCC", "CCC") * len(self.targets)]]
        for key in dict.fromkeys((row.predictor, row.scope, row.film_id) for row in shown):
            own = {row.target: row for row in shown if (row.predictor, row.scope, row.film_id) == key}
            # Raters may have rated one target of a film only.
            figures = [getattr(own.get(target), name, math.nan) for target in self.targets for name in _FIGURES]
            numbers = [_digits(value) for value in figures]
            cells.append([key[0], key[2] or ("all seconds" if key[1] == "pooled" else key[1]), *numbers])
        return "\n".join([*aligned(cells), *self._undefined_notes()])

    def correlations(self) -> MetricsTable:
        """The table of curves whose films have a range each: only PCC of films, and its mean over films, is left."""
        rows = [replace(row, mse=math.nan, ccc=math.nan, undefined_ccc=0) for row in self.rows]
        return MetricsTable(tuple(replace(row, pcc=math.nan) if row.scope == "pooled" else row for row in rows))

    def _undefined_notes(self) -> list[str]:
        notes = []
        for name in ("pcc", "ccc"):
            count = {row.predictor: 0 for row in self.rows}
            for row in self.rows:
                count[row.predictor] = max(count[row.predictor], getattr(row, f"undefined_{name}"))
            left_out = [f"{predictor}: {films}" for predictor, films in count.items() if films]
            if left_out:
                notes.append(
                    f"{name.upper()} is undefined for a constant series; films left out ({', '.join(left_out)})"
                )
        return notes


def tabulate(
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    labels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    constant: ArrayLike,
    targets: Sequence[str] = TARGETS,
) -> MetricsTable:
    """The table of several predictors next to the constant mean, which is always its first.

    Args:
        predictions: predictor -> film id -> [T, targets], in the labels' range; NaN in seconds without a prediction.
        labels: film id -> (values [T, targets], known bool [T]); only a film's known seconds count.
        constant: [targets], the mean of the training labels.
        targets: the names of the columns.

    Raises:
        ValueError: if a film has no prediction, one of another length, NaN in a known second, or no known second.
    """
    constants = np.asarray(constant, np.float64)
    if constants.shape != (len(targets),):
        raise ValueError(f"the constant mean has the shape {constants.shape} for the targets {', '.join(targets)}")
    everything: dict[str, Mapping[str, np.ndarray]] = {
        CONSTANT_MEAN: {film_id: np.tile(constants, (len(known), 1)) for film_id, (_, known) in labels.items()},
        **predictions,
    }
    rows: list[MetricsRow] = []
    for predictor, curves in everything.items():
        for column, target in enumerate(targets):
            pairs = {
                film_id: _known_pair(predictor, film_id, curves, labels[film_id], column)
                for film_id in sorted(labels)
                if labels[film_id][1].any()
            }
            if not pairs:
                raise ValueError("no film has a labelled second")
            rows.extend(_rows_of(predictor, target, pairs))
    return MetricsTable(tuple(rows))


def mean_label(rows: Iterable[np.ndarray]) -> np.ndarray:
    """The mean of each target, float64 [targets], over the label rows of some films, [N, targets] each.

    For training films these are all rows of the label files, even those outside the film. So training and `cineaffect
    evaluate`, which has label files but no records, give the same mean.

    Raises:
        ValueError: if there is no row.
    """
    films = [np.asarray(values, np.float64) for values in rows]
    if not sum(len(values) for values in films):
        raise ValueError("no film has a labelled second")
    return np.concatenate(films).mean(axis=0)


def _rows_of(predictor: str, target: str, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[MetricsRow]:
    films = [
        MetricsRow(predictor, target, "film", film_id, len(x), mse(x, y), pcc(x, y), ccc(x, y))
        for film_id, (x, y) in pairs.items()
    ]
    x, y = (np.concatenate(series) for series in zip(*pairs.values(), strict=True))
    pooled = MetricsRow(predictor, target, "pooled", "", len(x), mse(x, y), pcc(x, y), ccc(x, y))
    mean = MetricsRow(
        predictor,
        target,
        "mean of films",
        "",
        len(x),
        _nan_mean([row.mse for row in films]),
        _nan_mean([row.pcc for row in films]),
        _nan_mean([row.ccc for row in films]),
        undefined_pcc=sum(math.isnan(row.pcc) for row in films),
        undefined_ccc=sum(math.isnan(row.ccc) for row in films),
    )
    return [pooled, mean, *films]


def _known_pair(
    predictor: str, film_id: str, curves: Mapping[str, np.ndarray], labels: tuple[np.ndarray, np.ndarray], column: int
) -> tuple[np.ndarray, np.ndarray]:
    values, known = labels
    if film_id not in curves:
        raise ValueError(f"{predictor}: has no prediction of film '{film_id}'")
    curve = np.asarray(curves[film_id], np.float64)
    if curve.shape != values.shape:
        raise ValueError(f"{predictor}: film '{film_id}' has predictions {curve.shape} for labels {values.shape}")
    predicted = curve[known, column]
    if not np.isfinite(predicted).all():
        raise ValueError(f"{predictor}: film '{film_id}' has labelled seconds without a finite prediction")
    return predicted, np.asarray(values, np.float64)[known, column]


def _pair(predicted: ArrayLike, true: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"two series of the same length are needed, not {x.shape} and {y.shape}")
    return x, y


def _is_constant(series: np.ndarray) -> bool:
    # Rounding of its mean gives a constant series deviations of some 1e-17, which are no variation.
    return bool(np.ptp(series) <= 8 * np.finfo(np.float64).eps * np.max(np.abs(series)))


def _unit_deviation(series: np.ndarray) -> np.ndarray:
    # Scaled before squaring, so that neither tiny nor huge series leave the range of a float.
    deviation = series - series.mean()
    deviation /= np.max(np.abs(deviation))
    return deviation / np.linalg.norm(deviation)


def _nan_mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _none_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _digits(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
