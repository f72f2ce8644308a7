"""From a film's traces to its ratings by the second: files found, times checked, values brought to the labels' range.

    labels/night.csv                       one table, for all raters and targets
    labels/{film}/{rater}.csv              a file a rater, in a folder of each film
    arousal/{film}.csv, valence/…          written {target}/{film}.csv: a file a target

`{film}` is filled in where the manifest is read; `{rater}` stands for whatever is there, `{target}` for `valence` and
`arousal`, `{Target}` for `Valence` and `Arousal`.
"""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.targets import Target
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.tables.reading import TableError
from beam_pipelines.foundation.tables.seconds import MAX_SECONDS, SecondMeans, second_of
from beam_pipelines.labels.config import LabelConfig
from beam_pipelines.labels.raters import Ratings, stacked
from beam_pipelines.labels.traces import ALONE, Trace, read_traces

_RATER, _TARGET = "{rater}", "{target}"
_SPARSE_S, _DENSE_S = 1.5, 0.0009
_HELD_S = 0.1
_DOUBLED_SHARE = 0.1
_SWAPPED_S = 1.0
_SEVERAL = "if the table has several raters or films, name their columns in labels.table.rater and labels.table.film"


@dataclass(frozen=True)
class RatingFile:
    """A file with ratings of a film: its rater, if its name says who, and the targets that it holds."""

    uri: str
    rater: str
    targets: tuple[Target, ...]


def rating_files(address: str, targets: Sequence[Target]) -> list[RatingFile]:
    """The files that a manifest's label address means; those of raters sorted by name.

    Raises:
        TableError: if no file has such a name.
    """
    named: list[tuple[str, tuple[Target, ...]]]
    if _TARGET in address.casefold():
        named = [
            (address.replace(_TARGET, target).replace("{Target}", target.capitalize()), (target,)) for target in targets
        ]
    else:
        named = [(address, tuple(targets))]
    found = []
    for uri, held in named:
        if _RATER not in uri:
            found.append(RatingFile(uri, "", held))
            continue
        before, _, after = uri.partition(_RATER)
        listed = storage.list_files(f"{glob.escape(before)}*{glob.escape(after)}")
        # Listing finds names in either Unicode form, and gives them as they lie there.
        whose = re.compile(f"{re.escape(_nfc(before))}([^/]+){re.escape(_nfc(after))}")
        own = [RatingFile(info.uri, match[1], held) for info in listed if (match := whose.fullmatch(_nfc(info.uri)))]
        if not own:
            raise TableError(f"{uri}: there is no such file of any rater; correct the column 'labels' of the manifest")
        found += own
    return found


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def read_ratings(address: str, config: LabelConfig, film_id: str) -> tuple[Ratings, int]:
    """What every rater gave in every second of a film, in the labels' range.

    Args:
        address: the files, as the manifest names them.
        config: how labels are read. Its `first_time_s`, 0 if it has none, is taken off all times; `lag_s` isn't.
        film_id: the film.

    Returns:
        The ratings, and the second of their first row; it is below 0 where they begin before the film.

    Raises:
        TableError: if a file can't be read as such a table, or its times or values can't be ratings of a film; the text
            names the file, the line, and the key to correct.
        FileNotFoundError: if a file isn't there.
    """
    traces = []
    for file in rating_files(address, config.targets):
        own = read_traces(file.uri, config, file.targets, film_id)
        alone = all(trace.rater == ALONE for trace in own)
        for trace in own:
            name = trace.rater if not file.rater else file.rater if alone else f"{file.rater} {trace.rater}"
            traces.append((name, trace))
    traces = [(name, trace) for name, trace in traces if np.isfinite(trace.values).any()]
    if not traces:
        raise TableError(f"{address}: has no ratings of the film '{film_id}'")
    placed = {}
    for name, trace in traces:
        if (name, trace.target) in placed:
            raise TableError(f"{trace.uri}: the rater '{name}' is there twice for {trace.target}")
        placed[name, trace.target] = _on_clock(trace, config)
    first = min(0, *(int(seconds[0]) for seconds, _ in placed.values()))
    raters = tuple(sorted({name for name, _ in placed}))
    columns = []
    for target in config.targets:
        for name in raters:
            means = SecondMeans(1)
            seconds, values = placed.get((name, target), (np.zeros(0, np.int64), np.zeros(0)))
            means.add(seconds - first, values[:, None])
            columns.append(means.means(config.table.least_samples)[:, 0])
    by_target = stacked(columns).reshape(-1, len(config.targets), len(raters))
    return Ratings(raters, by_target.transpose(0, 2, 1)), first


def _on_clock(trace: Trace, config: LabelConfig) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The seconds int64 [N] and the values float64 [N] of a trace's samples."""
    _refuse_falling(trace)
    order = np.argsort(trace.time_s, kind="stable")
    trace = replace(trace, lines=trace.lines[order], time_s=trace.time_s[order], values=trace.values[order])
    _refuse_times(trace, config)
    values = _in_label_range(trace, config)
    time_s = trace.time_s - (config.first_time_s or 0.0)
    if config.table.hold:
        time_s, values = time_s[~np.isnan(values)], values[~np.isnan(values)]
        tenths = np.arange(np.floor(time_s[0] / _HELD_S), np.floor(time_s[-1]) / _HELD_S + 1.0 / _HELD_S) * _HELD_S
        last = np.searchsorted(time_s, tenths + _HELD_S / 2, side="right") - 1
        time_s, values = tenths[last >= 0], values[last[last >= 0]]
    return second_of(time_s), values


def _refuse_falling(trace: Trace) -> None:
    """Refuses rows that go back in time by more than a tool's server may swap them."""
    falls = np.flatnonzero(np.diff(trace.time_s) < -_SWAPPED_S)
    if len(falls):
        raise TableError(
            f"{trace.uri}, line {trace.lines[falls[0] + 1]}: time {trace.time_s[falls[0] + 1]:g} s follows "
            f"{trace.time_s[falls[0]]:g} s; times must rise; {_SEVERAL}"
        )


def _refuse_times(trace: Trace, config: LabelConfig) -> None:
    steps, file = np.diff(trace.time_s), f"{trace.uri}, line {trace.lines[0]}"
    if np.count_nonzero(steps == 0.0) > _DOUBLED_SHARE * len(steps):
        line = trace.lines[np.flatnonzero(steps == 0.0)[0] + 1]
        raise TableError(f"{trace.uri}, line {line}: many rows have the time of the row before; {_SEVERAL}")
    if trace.time_s[-1] - (config.first_time_s or 0.0) >= MAX_SECONDS or trace.time_s[0] <= -MAX_SECONDS:
        raise TableError(
            f"{file}: times run from {trace.time_s[0]:g} to {trace.time_s[-1]:g} s, which is no film's; correct "
            "labels.table.unit (s, ms or frames), or labels.first_time_s where times count from elsewhere"
        )
    step_s = float(np.median(steps)) if len(steps) else 0.0
    if step_s > _SPARSE_S and not config.table.hold:
        raise TableError(
            f"{file}: ratings lie {step_s:g} s apart (median of {len(steps)} steps), at least one a second is needed; "
            "correct labels.table.unit, or set labels.table.hold if the tool notes changes only"
        )
    if 0.0 < step_s < _DENSE_S:
        raise TableError(
            f"{file}: ratings lie {step_s:g} s apart, more than a thousand a second; correct labels.table.unit"
        )


def _in_label_range(trace: Trace, config: LabelConfig) -> NDArray[np.float64]:
    low, high = config.minimum, config.maximum
    if config.table.range == "trace":
        low, high = float(np.nanmin(trace.values)), float(np.nanmax(trace.values))
        if low == high:
            raise TableError(
                f"{trace.uri}: the rater '{trace.rater}' gave {low:g} for {trace.target} throughout, and labels.table."
                "range 'trace' needs a lowest and a highest value; leave this rater out"
            )
    elif config.table.range is not None:
        low, high = config.table.range
    outside = np.flatnonzero((trace.values < low) | (trace.values > high))
    if len(outside):
        raise TableError(
            f"{trace.uri}, line {trace.lines[outside[0]]}: {trace.target} {trace.values[outside[0]]:g} is outside of "
            f"[{low:g}, {high:g}]; set labels.table.range to the file's lowest and highest value"
        )
    share = (trace.values - low) / (high - low)
    if trace.target in config.table.flipped:
        share = 1.0 - share
    return np.asarray(config.minimum + share * (config.maximum - config.minimum), np.float64)
