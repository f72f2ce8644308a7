"""A film's data in the page: a row of the catalogue and, loaded when a reader opens it, the film's own data.

The page gets values as JSON in ASCII; every text in them is untrusted, and the page shows it as text. A curve is stored
as whole numbers of 1/10000, and in the catalogue as `SPARK_POINTS` letters, each one of 64 levels: 5,000 films then
take about two megabytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.report.arcs.arcs import resample
from beam_pipelines.report.markers.events import Event
from beam_pipelines.report.markers.file_times import FROM_FIRST_PICTURE, FileTimes
from beam_pipelines.report.markers.reasons import Shares, because, part_name
from beam_pipelines.report.markers.webvtt import Chapter
from beam_pipelines.report.scoring.thumbnails import Sprite

SPARK_POINTS = 64
LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
ABSENT = "."
ARC = "arc"
"""A row's arcs, target by target. The page loads them in files of their own, when a reader first compares films."""
SCALE = 10_000
"""The page's curves are whole numbers, value * SCALE."""


@dataclass(frozen=True, eq=False)
class FilmSheet:
    """A scored film, ready for the page.

    Attributes:
        curve: its curve.
        duration_s: D; T if D isn't known.
        events: peaks and turning points of the curves, in the order of time.
        chapters: the film's parts.
        split: the film's split in the manifest; may be empty.
        labels: float64 [T, 2], the film's valence and arousal, NaN in seconds without labels; or None.
        faces: int [T], faces found in each second, or None.
        sound: bool [T], whether the second has sound, or None.
        video: address of the film relative to the page, percent-encoded, or None.
        warnings: what a reader must know about the film itself.
        notes: sentences for the reader: why there is no video, no label, ….
        sprite: thumbnails, or None.
        file_times: how its seconds become times of its file, for players and other programs.
        family: its family, from 1, if `cineaffect families` found any.
        shares: what the curve is made of, smoothed as it is (`reasons.Shares`); empty if it isn't explained.
        loudness: float [T], LUFS, NaN in silence, to find the loudest second near an event; or None.
        failed_since: whether the curve is of an earlier run and the film failed in this one.
        agreement: `valence` and `arousal` -> Pearson correlation with the labels, if it was evaluated.
    """

    curve: AffectCurve
    duration_s: float
    events: Sequence[Event]
    chapters: Sequence[Chapter]
    split: str = ""
    labels: NDArray[np.float64] | None = None
    faces: NDArray[np.integer] | None = None
    sound: NDArray[np.bool_] | None = None
    video: str | None = None
    warnings: Sequence[FilmWarning] = ()
    notes: Sequence[str] = ()
    sprite: Sprite | None = None
    agreement: Mapping[str, float | None] = field(default_factory=dict)
    file_times: FileTimes = FROM_FIRST_PICTURE
    family: int | None = None
    failed_since: bool = False
    shares: Shares = field(default_factory=dict)
    loudness: NDArray[np.floating] | None = None

    @property
    def film_id(self) -> str:
        """The film's id, as in addresses and file names."""
        return self.curve.film_id

    @property
    def name(self) -> str:
        """The film's name as people wrote it, for display."""
        return shown_name(self.film_id)

    @property
    def key(self) -> str:
        """The name of the film's files in the page."""
        return film_key(self.film_id)


def film_key(film_id: str) -> str:
    """A short name that is valid in every file system and address, whatever the film is called."""
    return hashlib.sha256(film_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def catalogue_row(sheet: FilmSheet, label_range: tuple[float, float]) -> dict[str, Any]:
    """A film's row in the catalogue."""
    row: dict[str, Any] = {
        "id": sheet.film_id,
        "name": sheet.name,
        "key": sheet.key,
        "seconds": sheet.curve.seconds,
        "events": len(sheet.events),
    }
    for target, values in sheet.curve.smoothed.items():
        row[target] = [_number(value, 4) for value in _low_mean_high(values)]
        row[f"{target}_line"] = spark(values, label_range)
    row[ARC] = "".join(arc_letters(values, label_range) for values in sheet.curve.smoothed.values())
    if sheet.failed_since:
        row["stale"] = "failed in the last run"
    if sheet.family is not None:
        row["family"] = sheet.family
    if sheet.split:
        row["split"] = sheet.split
    if sheet.warnings:
        row["warnings"] = [warning.code for warning in sheet.warnings]
    if sheet.agreement:
        row["agreement"] = [_number(sheet.agreement.get(target), 4) for target in sheet.curve.targets]
    return row


def failed_row(film: FilmOutcome) -> dict[str, Any]:
    """The catalogue's row of a film without a curve: step and reason as codes, and why as a sentence.

    The sentence lacks the film's address at its beginning, which the row has.
    """
    why = film.detail.removeprefix(f"{film.source_uri}: ") or film.reason
    if why != film.detail:  # else it may begin with another address
        why = why[:1].upper() + why[1:]
    return {
        "id": film.film_id,
        "name": shown_name(film.film_id),
        "source": film.source_uri,
        "failed": [film.step, film.reason, why],
    }


def film_data(sheet: FilmSheet, downloads: Mapping[str, str]) -> dict[str, Any]:
    """The data of the film's own view.

    Args:
        sheet: the film.
        downloads: file -> address relative to the page, percent-encoded.
    """
    curve = sheet.curve
    data: dict[str, Any] = {
        "id": sheet.film_id,
        "duration": round(sheet.duration_s, 3),
        "scale": SCALE,
        "events": [
            [e.time_s, e.target, e.kind, _number(e.value, 3), _number(e.prominence, 3), because(e)]
            for e in sheet.events
        ],
        "chapters": [[round(part.start_s, 3), round(part.end_s, 3), part.name] for part in sheet.chapters],
        "warnings": [[warning.code, warning.number, warning.sentence] for warning in sheet.warnings],
        "notes": list(sheet.notes),
        "downloads": sorted(downloads.items()),
    }
    if sheet.file_times.offset_s:
        data["offset"] = round(float(sheet.file_times.offset_s), 6)
    for name in curve.columns:
        if name not in curve.bands and name not in curve.shares:
            data[name] = whole_numbers(curve.of(name))
    if curve.levels:
        data["bands"] = {
            target: [[level, _half_width(curve, target, level)] for level in curve.levels] for target in curve.targets
        }
    if sheet.shares:
        data["shares"] = {
            target: [[part_name(part), whole_numbers(values)] for part, values in parts.items()]
            for target, parts in sheet.shares.items()
        }
        if sheet.loudness is not None:
            data["loudness"] = [None if np.isnan(value) else round(float(value)) for value in sheet.loudness]
    if sheet.labels is not None:
        data["labels"] = {
            target: whole_numbers(sheet.labels[:, i]) for i, target in enumerate(TARGETS) if target in curve.targets
        }
    if sheet.faces is not None:
        data["faces"] = "".join(str(min(9, int(count))) for count in sheet.faces)
    if sheet.sound is not None:
        data["sound"] = "".join("1" if present else "0" for present in sheet.sound)
    if sheet.video is not None:
        data["video"] = sheet.video
    if sheet.sprite is not None:
        sprite = sheet.sprite
        data["sprite"] = {
            "source": f"thumbs/{sheet.key}.jpg",
            "count": sprite.count,
            "width": sprite.width_px,
            "height": sprite.height_px,
            "step": round(sprite.step_s, 6),
            "of": sprite.of,
        }
    return data


def whole_numbers(values: NDArray[np.float64]) -> list[int | None]:
    """A curve as whole numbers of 1/SCALE; absent values are None."""
    finite = np.isfinite(values)
    scaled = np.round(np.where(finite, values, 0.0) * SCALE).astype(np.int64).tolist()
    return [number if known else None for number, known in zip(scaled, finite.tolist(), strict=True)]


def _half_width(curve: AffectCurve, target: str, level: int) -> float:
    """Half the width of a band, which is constant but for the cut at the labels' range."""
    values = curve.of(target)
    below, above = values - curve.of(f"{target}_low_{level}"), curve.of(f"{target}_high_{level}") - values
    return round(float(np.nanmax(np.maximum(below, above))), 4)


def spark(values: NDArray[np.float64], label_range: tuple[float, float]) -> str:
    """A curve as at most SPARK_POINTS letters: means of equal stretches, each as one of 64 levels of the range."""
    if not values.size:
        return ""
    low, high = label_range
    points = min(SPARK_POINTS, values.size)
    starts = np.arange(points) * values.size // points
    finite = np.isfinite(values)
    known = np.add.reduceat(finite.astype(np.int64), starts)
    means = np.add.reduceat(np.where(finite, values, 0.0), starts) / np.maximum(known, 1)
    levels = np.clip(np.round((means - low) / (high - low) * 63), 0, 63).astype(int)
    return "".join(LEVELS[level] if count else ABSENT for level, count in zip(levels, known, strict=True))


def arc_letters(values: NDArray[np.float64], label_range: tuple[float, float]) -> str:
    """A curve's arc (`resample`), two letters a point, its place in the range in 1/4095; empty without any value."""
    if not np.isfinite(values).any():
        return ""
    low, high = label_range
    places = np.clip(np.round((resample(values) - low) / (high - low) * 4095), 0, 4095).astype(int)
    return "".join(LEVELS[place // 64] + LEVELS[place % 64] for place in places)


def _low_mean_high(values: NDArray[np.float64]) -> tuple[float, ...]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.mean()), float(finite.max())) if finite.size else (np.nan,) * 3


def _number(value: float | None, decimals: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), decimals) + 0.0
