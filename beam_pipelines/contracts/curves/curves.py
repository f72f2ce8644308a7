"""Affect curves: what a film makes its viewers feel, second by second, and the CSV file that holds one film's curve.

A curve has six decimals. It is rounded once, when it is made, so that the CSV files, the Parquet table and the plots
all show the same numbers, and CSV files and table can be rebuilt from each other.

    time_s,valence,arousal,valence_raw,arousal_raw
    0,-0.120311,0.304410,-0.153217,0.310054
    1,-0.118874,0.305920,,                              a second for which the model gave no finite value

The curve of an ensemble has two more columns, `valence_spread` and `arousal_spread`: how far apart its members are.
That of a calibrated model has bands (see `bands`): `valence_low_80, arousal_low_80, valence_high_80,
arousal_high_80`, and the same of 95 %. One that is explained has further columns (see `shares`). The columns of a
target that the model doesn't predict are left out: never zeros.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beam_pipelines.contracts.curves.bands import LEVELS, edges
from beam_pipelines.contracts.curves.shares import is_share
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError

TIME = "time_s"
"""The first column of a curve file: seconds, 0 … T-1."""

_SUFFIXES = ("", "_raw")
_SPREAD = "_spread"


def columns_of(targets: Iterable[str] = TARGETS, spread: bool = False, levels: Iterable[int] = ()) -> tuple[str, ...]:
    """The value columns of a curve, in the order of the files, after `TIME`.

    Args:
        targets: what the model predicts.
        spread: whether the curve is an ensemble's.
        levels: the levels of its bands, in percent.
    """
    given = tuple(targets)
    suffixes: tuple[str, ...] = (*_SUFFIXES, _SPREAD) if spread else _SUFFIXES
    suffixes += tuple(f"_{edge}_{level}" for level in levels for edge in ("low", "high"))
    return tuple(target + suffix for suffix in suffixes for target in TARGETS if target in given)


COLUMNS = columns_of()
"""The value columns of a curve with both targets."""

DECIMALS = 6
CURVES, PLOTS = "curves", "plots"
"""The folders of a run that hold `<film_id>.csv` and `<film_id>.png`, of scoring and training alike."""


def curve_uri(run: str, film_id: str) -> str:
    """Where the curve of a film is in the directory of a run."""
    return storage.join(run, CURVES, f"{film_id}.csv")


class CurveError(ValueError):
    """A curve file that can't be read; the text names the film."""


@dataclass(frozen=True, eq=False)
class AffectCurve:
    """One film's curve: one value per second, rounded to `DECIMALS`.

    Attributes:
        film_id: the film.
        valence, arousal: float64 [T]; smoothed, in the labels' range. None if the model doesn't predict it; then its
            other columns are None, too.
        valence_raw, arousal_raw: float64 [T]; the model's values, NaN where they are not finite.
        valence_spread, arousal_spread: float64 [T]; for an ensemble the population standard deviation of its members'
            smoothed curves at each second, in the labels' unit. None for a single model.
        bands: `valence_low_80`, … -> float64 [T]; the edges of the bands, for each target. Empty for a model that isn't
            calibrated.
        shares: column -> float64 [T], in the order of `shares.share_columns`; empty if the curve isn't explained.
    """

    film_id: str
    valence: NDArray[np.float64] | None = None
    arousal: NDArray[np.float64] | None = None
    valence_raw: NDArray[np.float64] | None = None
    arousal_raw: NDArray[np.float64] | None = None
    valence_spread: NDArray[np.float64] | None = None
    arousal_spread: NDArray[np.float64] | None = None
    bands: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    shares: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in columns_of(spread=True):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _rounded(getattr(self, name)))
        for further in ("bands", "shares"):
            rounded = {name: _rounded(values) for name, values in getattr(self, further).items()}
            object.__setattr__(self, further, rounded)
        expected = set(columns_of(self.targets, self.has_spread, self.levels)) | set(self.shares)
        if not self.targets or set(self.columns) | set(self.bands) != expected:
            raise ValueError(f"{self.film_id}: a curve has all columns of a target or none; it has {self.columns}")
        shapes = {name: self.of(name).shape for name in self.columns}
        if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
            raise ValueError(f"{self.film_id}: the columns of a curve are of one length [T]; these are {shapes}")

    @property
    def targets(self) -> tuple[str, ...]:
        """What the curve holds: valence, arousal or both, in the order of `TARGETS`."""
        return tuple(target for target in TARGETS if getattr(self, target) is not None)

    @property
    def has_spread(self) -> bool:
        """Whether it is the curve of an ensemble."""
        return any(getattr(self, target + _SPREAD) is not None for target in TARGETS)

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of its bands in percent, narrowest first."""
        return tuple(level for level in LEVELS if any(name.endswith(f"_low_{level}") for name in self.bands))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the value columns, in the order of the files."""
        names = columns_of(spread=True, levels=LEVELS)
        return (*(name for name in names if self._column(name) is not None), *self.shares)

    def of(self, column: str) -> NDArray[np.float64]:
        """A column by its name, float64 [T].

        Raises:
            KeyError: if the curve hasn't got it.
        """
        known = column in self.shares or column in columns_of(spread=True, levels=LEVELS)
        values = self._column(column) if known else None
        if values is None:
            raise KeyError(column)
        return values

    def _column(self, name: str) -> NDArray[np.float64] | None:
        values: NDArray[np.float64] | None = {**self.bands, **self.shares}.get(name, getattr(self, name, None))
        return values

    @classmethod
    def of_columns(cls, film_id: str, columns: Mapping[str, NDArray[np.float64]]) -> AffectCurve:
        """The curve with these columns, in any order; those of other names are ignored.

        Raises:
            ValueError: if a target's columns are not complete, or not of one length.
        """
        own = {name: columns[name] for name in columns_of(spread=True) if name in columns}
        further = columns_of(levels=LEVELS)[len(COLUMNS) :]
        bands = {name: columns[name] for name in further if name in columns}
        return cls(film_id, **own, bands=bands, shares={n: values for n, values in columns.items() if is_share(n)})

    @property
    def smoothed(self) -> dict[str, NDArray[np.float64]]:
        """Target -> smoothed values, float64 [T], for each target that the curve holds."""
        return {target: self.of(target) for target in self.targets}

    @property
    def seconds(self) -> int:
        """T, the number of seconds."""
        return len(self.of(self.targets[0]))

    @property
    def seconds_without_value(self) -> int:
        """How many seconds lack a finite value of a target from the model; smoothing interpolated them."""
        return int(np.isnan([self.of(f"{target}_raw") for target in self.targets]).any(axis=0).sum())


def smoothed_curve(
    film_id: str,
    raw: Mapping[str, ArrayLike],
    smoothing: SmoothingConfig,
    label_range: tuple[float, float],
    members: Mapping[str, ArrayLike] | None = None,
    half_widths: Mapping[str, Mapping[int, float]] | None = None,
    shares: Mapping[str, ArrayLike] | None = None,
) -> AffectCurve:
    """The smoothed curve of a film from the model's values.

    Args:
        film_id: the film.
        raw: target -> float [T], for each target of the model; for an ensemble the mean of its members.
        smoothing: the filter, also for the members' curves.
        label_range: lowest and highest label.
        members: for an ensemble, target -> each member's values before smoothing, float [members, T].
        half_widths: target -> level in percent -> half the width of its band (`ModelCard.half_widths`).
        shares: column -> float [T], what explains the model's values, if they are explained (`RawPrediction.shares`).

    Raises:
        FilmError: if a target has no finite value at all, so that nothing can be interpolated.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for target, values in raw.items():
        curve = smooth(values, smoothing, label_range=label_range)
        if np.isnan(curve).all():
            raise FilmError(
                "score", "no_finite_value", f"the model gave no finite {target} for any of {len(curve)} seconds"
            )
        columns |= {target: curve, f"{target}_raw": np.asarray(values, np.float64)}
        if members:
            columns[target + _SPREAD] = _spread(members[target], smoothing, label_range)
        for level, half in (half_widths or {}).get(target, {}).items():
            columns[f"{target}_low_{level}"], columns[f"{target}_high_{level}"] = edges(curve, half, label_range)
    columns |= {name: np.asarray(values, np.float64) for name, values in (shares or {}).items()}
    return AffectCurve.of_columns(film_id, columns)


def to_csv(curve: AffectCurve) -> str:
    """The CSV text of a curve: a header, then one row per second; an absent value is an empty cell."""
    columns = [[_cell(value) for value in curve.of(name).tolist()] for name in curve.columns]
    rows = (f"{second},{','.join(cells)}" for second, cells in enumerate(zip(*columns, strict=True)))
    return "\n".join([",".join((TIME, *curve.columns)), *rows, ""])


def from_csv(text: str, film_id: str) -> AffectCurve:
    """The curve in a text that `to_csv` wrote.

    Raises:
        CurveError: if the text is no such file, or its seconds are not 0 … T-1.
    """
    columns = read_columns(text, film_id)
    first, *names = columns
    targets = [target for target in TARGETS if target in names]
    own = tuple(name for name in names if not is_share(name))
    spread = any(name.endswith(_SPREAD) for name in own)
    levels = [level for level in LEVELS if any(name.endswith(f"_low_{level}") for name in own)]
    if first != TIME or not targets or own != columns_of(targets, spread, levels):
        raise CurveError(f"{film_id}: the columns of a curve are {TIME}, {', '.join(COLUMNS)}; not {[first, *names]}")
    return AffectCurve.of_columns(film_id, columns)


def read_columns(text: str, source: str) -> dict[str, NDArray[np.float64]]:
    """The columns of a CSV file of curves, including `time_s`, float64 [T] each; NaN for an empty cell.

    Args:
        text: a header, then one row per second.
        source: the file or film that an error names.

    Raises:
        CurveError: if the text is no such file, or its seconds are not 0 … T-1; the error names the line.
    """
    # Not with Arrow: its reader's threads hold a Python object. If one of them takes the interpreter's lock during
    # shutdown, the process aborts ("terminate called without an active exception", apache/arrow#34314).
    reader = csv.reader(io.StringIO(text))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise CurveError(f"{source}: not a curve: line {reader.line_num}: {error}") from error
    if not rows:
        raise CurveError(f"{source}: not a curve: the file is empty")
    header = rows[0]
    if TIME not in header:
        raise CurveError(f"{source}: not a curve: it has no column {TIME}")
    values = np.empty((len(rows) - 1, len(header)))
    for index, row in enumerate(rows[1:]):
        try:
            if len(row) != len(header):
                raise ValueError("another number of cells")
            values[index] = [_number(cell) for cell in row]
        except ValueError as error:
            line = f"{','.join(row):.80}"
            raise CurveError(f"{source}: not a curve: line {index + 2}: not {len(header)} numbers: {line}") from error
    columns = dict(zip(header, values.T.copy(), strict=True))
    if not np.array_equal(columns[TIME], np.arange(len(values))):
        raise CurveError(f"{source}: not a curve: its seconds ({TIME}) must run from 0 without a gap")
    return columns


def _spread(members: ArrayLike, smoothing: SmoothingConfig, label_range: tuple[float, float]) -> NDArray[np.float64]:
    """The population standard deviation over the members' smoothed curves, float [members, T] -> float64 [T]."""
    smoothed = [smooth(member, smoothing, label_range=label_range) for member in np.asarray(members)]
    spread: NDArray[np.float64] = np.std(smoothed, axis=0)
    return spread


def _rounded(values: ArrayLike) -> NDArray[np.float64]:
    given = np.asarray(values, np.float64)
    # Adding zero turns -0.0 into 0.0; otherwise it would be printed as -0.000000.
    return np.where(np.isfinite(given), np.round(given, DECIMALS) + 0.0, np.nan)


def _number(cell: str) -> float:
    if "_" in cell:
        raise ValueError("Python's own way to write numbers")
    return float(cell) if cell else np.nan


def _cell(value: float) -> str:
    return "" if value != value else f"{value:.{DECIMALS}f}"
