"""The layouts of published label files: from the files' lines to rows of time, valence and arousal.

    mediaeval2018     one file per film, `MEDIAEVAL18_{ID}_Valence-Arousal.txt`: time, valence, arousal, a row a second
    mediaeval2017     one file per film, `{movie}-MEDIAEVAL2017-valence_arousal.txt`: segment id, start, MeanValence,
                      MeanArousal; segments of 10 s, one every 5 s
    mediaeval2016     two files per film, `{movie}_Valence.txt` and `{movie}_Arousal.txt`: time, mean and, in some
                      releases, standard deviation of the raters; one row per second
    liris_accede      the same two files, as LIRIS-ACCEDE published them first (its continuous annotations)

The published ones are separated by tabs; any table with a header line will do (`foundation.tables`). If a film has two
files, the manifest names either of them.

`labels.segment_label` says how segments become seconds. Seconds without a segment are unknown. In every layout, rows
outside the film are cut and counted (`beam_pipelines.labels.annotations`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

import numpy as np

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.tables.reading import Numbers, Table, TableError, read_table
from beam_pipelines.labels.config import TABLE, LabelConfig
from beam_pipelines.labels.rated import rating_files

SEGMENT_S = 10.0
SEGMENT_HOP_S = 5.0
"""The length and distance of MediaEval 2017's segments, in seconds."""

_TOLERANCE_S = 0.01


class AnnotationError(ConfigurationError):
    """A label file that can't be read as labels; the text names the file, the line and what is wrong with it."""


@dataclass(frozen=True)
class LabelRow:
    """One row of labels.

    Attributes:
        line: its line in the file.
        time_s: its time in seconds, as the file counts them.
        values: the value of each target.
        deviation: the standard deviation of each target's raters; empty if the file has none.
    """

    line: int
    time_s: float
    values: tuple[float, ...]
    deviation: tuple[float, ...] = ()


Rows = tuple[list[LabelRow], int]
Reader = Callable[[str, LabelConfig], Rows]


def read_rows(uri: str, config: LabelConfig) -> Rows:
    """The rows of a film's labels, in the file's own time; MediaEval 2017's segments are seconds already.

    The function also returns the number of rows without a partner: those at the end of the longer of a film's two
    files, which give one target only and are left out.

    Raises:
        AnnotationError: if the file is absent, is not text or has no header, or a row doesn't fit the layout.
    """
    rows, unpaired = _READERS[config.layout](uri, config)
    if config.targets == TARGETS:
        return rows, unpaired
    kept = [TARGETS.index(target) for target in config.targets]
    return [
        replace(
            row,
            values=tuple(row.values[place] for place in kept),
            deviation=tuple(row.deviation[place] for place in kept if row.deviation),
        )
        for row in rows
    ], unpaired


def label_files(uri: str, config: LabelConfig) -> tuple[str, ...]:
    """The files that a manifest's label address means: itself, both of a pair, valence first, or those of all raters.

    Of a table's files those of the targets that are learned.

    Raises:
        AnnotationError: if the name of one of two files doesn't say which it is, or there is none.
    """
    if config.layout == TABLE:
        with _faults_of_labels():
            return tuple(file.uri for file in rating_files(uri, config.targets))
    if config.layout not in _PAIRED:
        return (uri,)
    folder, _, name = uri.rpartition("/")
    for own in ("Valence", "Arousal"):
        stem, suffix, rest = name.rpartition(f"_{own}")
        if suffix:
            prefix = f"{folder}/" if folder or uri.startswith("/") else ""
            valence, arousal = (f"{prefix}{stem}_{target}{rest}" for target in ("Valence", "Arousal"))
            return valence, arousal
    raise AnnotationError(
        f"{uri}: a label file of the layout {config.layout} is named <movie>_Valence.txt or <movie>_Arousal.txt, "
        "and the other lies beside it; correct the column 'labels' of the manifest, or train.labels.layout"
    )


def _read_2018(uri: str, config: LabelConfig) -> Rows:
    table = _table(uri)
    _assert_targets_in_order(table)
    rows = [
        LabelRow(number, numbers[0], (numbers[1], numbers[2]))
        for number, numbers in _numbers_of(table, (3,), "three finite numbers (time, valence, arousal)")
    ]
    return rows, 0


def _read_2017(uri: str, config: LabelConfig) -> Rows:
    table = _table(uri)
    _assert_targets_in_order(table)
    wanted = "four finite numbers (segment id, start, valence, arousal)"
    segments = [
        LabelRow(number, numbers[1], (numbers[2], numbers[3])) for number, numbers in _numbers_of(table, (4,), wanted)
    ]
    for earlier, later in pairwise(segments):
        hops = (later.time_s - earlier.time_s) / SEGMENT_HOP_S
        if hops < 0.5 or abs(hops - round(hops)) * SEGMENT_HOP_S > _TOLERANCE_S:
            raise AnnotationError(
                f"{uri}, line {later.line}: this segment starts at {later.time_s:g} s after one at "
                f"{earlier.time_s:g} s; segments of this layout start {SEGMENT_HOP_S:g} s apart"
            )
    return _SEGMENT_LABELS[config.segment_label](segments), 0


def _read_pair(uri: str, config: LabelConfig) -> Rows:
    columns = []
    for target, file in zip(TARGETS, label_files(uri, config), strict=True):
        wanted = "two or three finite numbers (time, mean, standard deviation)"
        columns.append((target, file, _numbers_of(_table(file), (2, 3), wanted)))
    (_, _, valence), (_, arousal_uri, arousal) = columns
    rows = []
    for (number, first), (other, second) in zip(valence, arousal, strict=False):
        if abs(first[0] - second[0]) > _TOLERANCE_S:
            raise AnnotationError(
                f"{arousal_uri}, line {other}: has time {second[0]:g} where the valence file has {first[0]:g}; the two "
                "files of a film must tell the same seconds"
            )
        deviation = (first[2], second[2]) if len(first) == len(second) == 3 else ()
        rows.append(LabelRow(number, first[0], (first[1], second[1]), deviation))
    return rows, abs(len(valence) - len(arousal))


def _seconds_by_mean(segments: Sequence[LabelRow]) -> list[LabelRow]:
    """Each second has the mean of the segments that contain it: two, except at the ends."""
    gathered: dict[int, list[LabelRow]] = {}
    for segment in segments:
        first = math.ceil(segment.time_s - _TOLERANCE_S)
        for second in range(first, math.ceil(segment.time_s + SEGMENT_S - _TOLERANCE_S)):
            gathered.setdefault(second, []).append(segment)
    return [
        LabelRow(
            covering[0].line,
            float(second),
            (_mean([row.values[0] for row in covering]), _mean([row.values[1] for row in covering])),
        )
        for second, covering in sorted(gathered.items())
    ]


def _seconds_by_interpolation(segments: Sequence[LabelRow]) -> list[LabelRow]:
    """A segment's label belongs to its middle; seconds between two middles are interpolated, others are unknown."""
    rows = []
    for segment, following in zip_longest(segments, segments[1:]):
        middle = segment.time_s + SEGMENT_S / 2
        alone = following is None or following.time_s - segment.time_s > SEGMENT_HOP_S + _TOLERANCE_S
        # A middle without a following segment is still known itself, if it is a whole second.
        end = middle + 2 * _TOLERANCE_S if alone else following.time_s + SEGMENT_S / 2
        for second in range(math.ceil(middle - _TOLERANCE_S), math.ceil(end - _TOLERANCE_S)):
            share = 0.0 if alone else (second - middle) / (following.time_s - segment.time_s)
            values = segment.values if alone else _between(segment.values, following.values, share)
            rows.append(LabelRow(segment.line, float(second), values))
    return rows


def _between(first: tuple[float, ...], second: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _table(uri: str) -> Table:
    try:
        with _faults_of_labels():
            table = read_table(uri)
    except FileNotFoundError as error:
        how = "correct the column 'labels' of the manifest"
        if "{" in uri:
            how = (
                "an address with {rater} or {target} needs train.labels.layout: table, so the --config of the training"
            )
        raise AnnotationError(f"{uri}: no such label file; {how}") from error
    if not table.header:
        raise AnnotationError(f"{uri}: has no rows of labels")
    return table


def _assert_targets_in_order(table: Table) -> None:
    text = " ".join(table.header)
    places = [text.lower().find(target) for target in TARGETS]
    if -1 in places or places != sorted(places):
        raise AnnotationError(
            f"{table.uri}, line {table.header_line}: the header must name valence and then arousal; it reads {text!r}"
        )


def _numbers_of(table: Table, counts: tuple[int, ...], wanted: str) -> list[tuple[int, list[float]]]:
    numbers, rows = Numbers(table.uri), []
    with _faults_of_labels(f"a row must hold {wanted}"):
        for line, cells in table.lines():
            while cells and not cells[-1]:
                cells.pop()
            row = numbers.of(line, cells)
            if len(row) not in counts or not np.isfinite(row).all():
                raise TableError(f"{table.uri}, line {line}: it reads {' '.join(cells)!r}")
            rows.append((line, row.tolist()))
    return rows


@contextmanager
def _faults_of_labels(wanted: str = "") -> Iterator[None]:
    try:
        yield
    except TableError as error:
        raise AnnotationError(f"{error}; {wanted}" if wanted else str(error)) from error


_PAIRED = ("mediaeval2016", "liris_accede")
_READERS: Mapping[str, Reader] = {
    "mediaeval2018": _read_2018,
    "mediaeval2017": _read_2017,
    "mediaeval2016": _read_pair,
    "liris_accede": _read_pair,
}
_SEGMENT_LABELS: Mapping[str, Callable[[Sequence[LabelRow]], list[LabelRow]]] = {
    "mean": _seconds_by_mean,
    "interpolated": _seconds_by_interpolation,
}
