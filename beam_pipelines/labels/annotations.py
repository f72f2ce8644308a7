"""From label files to labels on the film's one-second clock.

`read_labels` reads a published file and refuses doubtful content. `align` puts its rows on the clock of contract 1.
`report_alignment` counts what was cut, since features and labels of real films differ in length (MediaEval 2018's film
46, for example, has labels for some 100 of 3,000 seconds).

`beam_pipelines.labels.layouts` reads the layouts of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.foundation.tables.reading import TableError
from beam_pipelines.foundation.text_tables import aligned
from beam_pipelines.labels.config import TABLE, LabelConfig
from beam_pipelines.labels.layouts import AnnotationError, LabelRow, read_rows
from beam_pipelines.labels.rated import read_ratings
from beam_pipelines.labels.raters import Ratings, disagreement, fused, standardised

_STEP_TOLERANCE_S, _RUNS_ON_S = 0.01, 5


@dataclass(frozen=True, eq=False)
class Labels:
    """The rows of one label file.

    Attributes:
        uri: the file.
        time_s: float64 [N], rising; seconds on the film's clock, where 0 is the film's first second, less the lag.
        values: float32 [N, targets], those of `LabelConfig.targets`, in the labels' own range.
        unpaired_rows: rows that give one target only, in a layout with two files; they are not among the N.
        deviation: float32 [N, targets], how far the raters are apart (sample standard deviation), NaN where fewer than
            two rated; None if the files don't say.
        ratings: every rater's values [N, R, targets]; None if the files have one value for all.
    """

    uri: str
    time_s: np.ndarray
    values: np.ndarray
    unpaired_rows: int = 0
    deviation: np.ndarray | None = None
    ratings: Ratings | None = None


@dataclass(frozen=True)
class LabelReport:
    """How many of one film's label rows have a second of the film, and what was cut.

    Attributes:
        film_id: the film.
        film_seconds: T of its features.
        label_rows: rows of its label file.
        used: rows with a second of the film.
        before_film: rows whose time is before second 0.
        after_film: rows whose time is at T or later.
        unlabelled_seconds: seconds without a row; they are neither trained on nor scored.
        unpaired_rows: rows that give one target only, in a layout with two files; they are left out.
    """

    film_id: str
    film_seconds: int
    label_rows: int
    used: int
    before_film: int
    after_film: int
    unlabelled_seconds: int
    unpaired_rows: int = 0

    @property
    def complete(self) -> bool:
        """Whether every row has a second and every second a row."""
        return self.used == self.label_rows == self.film_seconds and not self.unpaired_rows

    @property
    def runs_on(self) -> bool:
        """Whether all that differs are a few rows after the film's end: people stop rating a little later."""
        whole = self.used == self.film_seconds and not self.before_film and not self.unpaired_rows
        return whole and self.after_film <= _RUNS_ON_S


def read_labels(uri: str, config: LabelConfig, film_id: str = "") -> Labels:
    """Reads the labels of a film, local or `gs://`.

    Args:
        uri: the file, or for tables an address with `{rater}` or `{target}` (`labels.rated`).
        config: its layout, the range of its values, and `first_time_s`, the label time that is second 0 of the film.
            Without `first_time_s` the first row is second 0 and must have time 0 or 1: published files count from
            either, and any other origin would be a guess. MediaEval 2017's segments have their start in the film, so
            there it is 0, and so it is in tables. Then `lag_s` is taken off every time.
        film_id: the film; tables of several films are asked for it.

    Raises:
        AnnotationError: if the file is absent, is not text, or has no header or no rows; if a row doesn't fit the
            layout; if times don't rise, or aren't one second apart; if the first time leaves the origin open; or if a
            value is out of range.
    """
    if config.layout == TABLE:
        return _read_table(uri, config, film_id)
    rows, unpaired_rows = read_rows(uri, config)
    if not rows:
        raise AnnotationError(f"{uri}: has no rows of labels")
    _assert_rising(uri, rows)
    _assert_once_a_second(uri, rows)
    _assert_range(uri, rows, config)
    origin = _origin_s(uri, rows[0], config) if config.first_time_s is None else config.first_time_s
    return Labels(
        uri=uri,
        time_s=np.array([row.time_s - origin - config.lag_s for row in rows], np.float64),
        values=np.array([row.values for row in rows], np.float32),
        unpaired_rows=unpaired_rows,
        deviation=_deviation(rows),
    )


def _read_table(uri: str, config: LabelConfig, film_id: str) -> Labels:
    try:
        ratings, first = read_ratings(uri, config, film_id)
        values = on_one_scale(ratings, config)
        columns = [fused(values[:, :, place], config.raters) for place in range(len(config.targets))]
    except FileNotFoundError as error:
        raise AnnotationError(
            f"{error.filename or uri}: no such label file; correct the manifest's 'labels'"
        ) from error
    except TableError as error:
        raise AnnotationError(str(error)) from error
    except ValueError as error:
        raise AnnotationError(f"{uri}: {error}") from error
    label = np.stack(columns, axis=1)
    known = ~np.isnan(label)
    rows = np.flatnonzero(known.all(axis=1))
    if not len(rows):
        raise AnnotationError(
            f"{uri}: no second has a label of {' and '.join(config.targets)}; see labels.table.least_samples "
            f"({config.table.least_samples}) and labels.raters.least ({config.raters.least})"
        )
    several = len(ratings.raters) > 1
    apart = [disagreement(values[rows, :, place]) for place in range(len(config.targets))] if several else []
    return Labels(
        uri=uri,
        time_s=(rows + first - config.lag_s).astype(np.float64),
        values=label[rows].astype(np.float32),
        unpaired_rows=int((known.any(axis=1) & ~known.all(axis=1)).sum()),
        deviation=np.stack(apart, axis=1).astype(np.float32) if several else None,
        ratings=Ratings(ratings.raters, values[rows].astype(np.float32)) if several else None,
    )


def on_one_scale(ratings: Ratings, config: LabelConfig) -> NDArray[np.float64]:
    """The raters' values, float64 [T, R, targets]: standardised if the configuration says so, within its range."""
    values = np.array(ratings.values, np.float64)
    if config.raters.standardise and len(ratings.raters) > 1:
        for place in range(values.shape[2]):
            values[:, :, place] = np.clip(standardised(values[:, :, place]), config.minimum, config.maximum)
    return values


def _deviation(rows: Sequence[LabelRow]) -> np.ndarray | None:
    if not any(row.deviation for row in rows):
        return None
    width = len(rows[0].values)
    return np.array([row.deviation or (np.nan,) * width for row in rows], np.float32)


def moved(labels: Labels, seconds: int) -> Labels:
    """The labels so many seconds earlier, as if `lag_s` were larger by so much."""
    return replace(labels, time_s=labels.time_s - seconds)


def align(labels: Labels, seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """Puts labels on the clock: a row belongs to the nearest second; half a second is rounded up.

    Args:
        labels: the labels from `read_labels`.
        seconds: T of the film.

    Returns:
        values, float32 [T, targets], zero in seconds without a row, and known, bool [T], true in seconds with one.

    Raises:
        AnnotationError: if two rows have one second.
    """
    nearest = _nearest_seconds(labels)
    doubled = np.flatnonzero(np.diff(nearest) == 0)
    if len(doubled):
        raise AnnotationError(
            f"{labels.uri}: rows {doubled[0] + 1} and {doubled[0] + 2} both belong to second {nearest[doubled[0]]}; "
            "labels must come once a second"
        )
    inside = (nearest >= 0) & (nearest < seconds)
    values, known = np.zeros((seconds, labels.values.shape[1]), np.float32), np.zeros(seconds, bool)
    values[nearest[inside]] = labels.values[inside]
    known[nearest[inside]] = True
    return values, known


def on_clock(labels: Labels, rows: np.ndarray, seconds: int) -> np.ndarray:
    """Puts what belongs to the labels' rows on the clock, as `align` does: [N, …] -> float32 [T, …], NaN elsewhere."""
    nearest = _nearest_seconds(labels)
    inside = (nearest >= 0) & (nearest < seconds)
    found = np.full((seconds, *rows.shape[1:]), np.nan, np.float32)
    found[nearest[inside]] = rows[inside]
    return found


def raters_on_clock(labels: Labels, seconds: int) -> tuple[np.ndarray | None, Ratings | None]:
    """How far the raters are apart, float32 [T, targets], and what each gave, in every second; None if unknown."""
    deviation = None if labels.deviation is None else on_clock(labels, labels.deviation, seconds)
    ratings = labels.ratings
    if ratings is not None:
        ratings = replace(ratings, values=on_clock(labels, ratings.values, seconds))
    return deviation, ratings


def report_alignment(film_id: str, labels: Labels, seconds: int) -> LabelReport:
    """How many of a film's label rows `align` used, and how many it cut."""
    nearest = _nearest_seconds(labels)
    before, after = int(np.sum(nearest < 0)), int(np.sum(nearest >= seconds))
    used = len(nearest) - before - after
    return LabelReport(film_id, seconds, len(nearest), used, before, after, seconds - used, labels.unpaired_rows)


def render_reports(reports: Sequence[LabelReport]) -> str:
    """A table of the films whose labels and features don't match second by second, with the sum over all films.

    Labels that only go on for some seconds are no fault, and cost one line.
    """
    columns = ["film_id", "film_seconds", "label_rows", "used", "before_film", "after_film", "unlabelled_seconds"]
    if any(report.unpaired_rows for report in reports):
        columns.append("unpaired_rows")
    cut = [report for report in reports if not report.complete]
    if not cut:
        return f"Labels and features match second by second in all {len(reports)} films."
    if all(report.runs_on for report in cut):
        longest, rows_cut = max(report.after_film for report in cut), sum(report.after_film for report in cut)
        return (
            f"Labels and features match second by second in all {len(reports)} films; in {len(cut)} of them labels go "
            f"on for up to {longest} s after the film's end ({rows_cut} rows, left out)."
        )
    rows = [[str(asdict(report)[column]) for column in columns] for report in cut]
    rows.append(["all films", *(str(sum(asdict(report)[column] for report in reports)) for column in columns[1:])])
    first = f"Labels and features differ in {len(cut)} of {len(reports)} films:"
    return "\n".join([first, *aligned([columns, *rows], words=1)])


def _assert_rising(uri: str, rows: Sequence[LabelRow]) -> None:
    for earlier, later in pairwise(rows):
        if later.time_s <= earlier.time_s:
            raise AnnotationError(
                f"{uri}, line {later.line}: time {later.time_s:g} follows {earlier.time_s:g}; times must rise"
            )


def _assert_once_a_second(uri: str, rows: Sequence[LabelRow]) -> None:
    # The median, so that a film may have seconds without a row in the middle: they stay unknown.
    step_s = float(np.median(np.diff([row.time_s for row in rows]))) if len(rows) > 1 else 1.0
    if abs(step_s - 1.0) > _STEP_TOLERANCE_S:
        raise AnnotationError(
            f"{uri}: its rows lie {step_s:g} s apart (median of {len(rows) - 1} steps), labels must come once a "
            "second; write the times in seconds (not in milliseconds or frames) and one row for each second"
        )


def _origin_s(uri: str, first: LabelRow, config: LabelConfig) -> float:
    if config.layout == "mediaeval2017":
        return 0.0
    if first.time_s not in (0.0, 1.0):
        raise AnnotationError(
            f"{uri}, line {first.line}: the first row's time is {first.time_s:g}; where it isn't 0 or 1, "
            "set labels.first_time_s to the time that stands for the film's first second (0 where times count from "
            "the film's beginning)"
        )
    return first.time_s


def _assert_range(uri: str, rows: Sequence[LabelRow], config: LabelConfig) -> None:
    for row in rows:
        for target, value in zip(config.targets, row.values, strict=True):
            if not config.minimum <= value <= config.maximum:
                raise AnnotationError(
                    f"{uri}, line {row.line}: {target} {value:g} is outside of [{config.minimum:g}, "
                    f"{config.maximum:g}]; set labels.minimum and labels.maximum to the labels' range"
                )


def _nearest_seconds(labels: Labels) -> np.ndarray:
    return np.floor(labels.time_s + 0.5).astype(np.int64)
