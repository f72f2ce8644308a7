"""The report page of a scoring run: one folder that opens from disk or any static server.

    index.html          the page, which loads everything else
    assets/             its script and style, and uPlot for the charts
    data/run.js         the run: counts, model, smoothing, evaluation
    data/rows-000.js …  the catalogue, `ROWS_PER_FILE` films per file
    data/arcs-000.js …  the arcs of these films, row by row; loaded when a reader first compares films
    data/film-<key>.js  one film's curves, events and tracks; loaded when a reader opens the film
    thumbs/<key>.jpg    its thumbnails
    responsible-use.txt whose feelings these are, and what the curves aren't for
    markers/<film id>.… its markers and WebVTT tracks, for other programs

`page_folder` has the common part of all pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from beam_pipelines.contracts.runs import FilmOutcome
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.report.markers.editing_markers import to_csv, to_edl
from beam_pipelines.report.markers.timecode import FrameRate
from beam_pipelines.report.markers.webvtt import chapters_vtt, metadata_vtt
from beam_pipelines.report.page_folder import SCORING, PageFolder
from beam_pipelines.report.responsible_use import PAGE as RESPONSIBLE_USE, responsible_use
from beam_pipelines.report.scoring.sheets import ARC, FilmSheet, catalogue_row, failed_row, film_data

ROWS_PER_FILE = 1000


@dataclass
class PageWriter:
    """Writes a report page film by film; `finish` writes the catalogue and, last, the page itself.

    Attributes:
        output: the folder, local or `gs://`.
        label_range: lowest and highest label: the axes.
    """

    output: str
    label_range: tuple[float, float] = (-1.0, 1.0)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._folder = PageFolder(self.output)

    def add_film(self, sheet: FilmSheet, rate: FrameRate) -> None:
        """Writes a film's data, thumbnails and markers.

        Args:
            sheet: the film.
            rate: the frame rate of its markers' timecode.
        """
        downloads = self._write_markers(sheet, rate)
        if sheet.sprite is not None:
            self._folder.write(f"thumbs/{sheet.key}.jpg", sheet.sprite.jpeg)
        self._folder.write_data(f"film-{sheet.key}", film_data(sheet, downloads))
        self.add_row(catalogue_row(sheet, self.label_range))

    def add_row(self, row: dict[str, Any]) -> None:
        """Adds a row to the catalogue (see `catalogue_row`) for a film whose data the page has already."""
        self._rows.append(row)

    def finish(
        self,
        manifest: Mapping[str, Any],
        failures: Iterable[FilmOutcome] = (),
        evaluation: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Writes the catalogue and the page, removes files of an earlier page, and returns the page's address.

        Args:
            manifest: the run's manifest.
            failures: films without a curve.
            evaluation: rows of the run's evaluation; the catalogue shows those of single films.
        """
        rows = sorted(self._rows, key=lambda row: row["id"])
        rows += [failed_row(film) for film in sorted(failures, key=lambda film: film.film_id)]
        files = [rows[first : first + ROWS_PER_FILE] for first in range(0, len(rows), ROWS_PER_FILE)]
        for number, part in enumerate(files):
            self._folder.write_data(f"rows-{number:03d}", [{k: v for k, v in row.items() if k != ARC} for row in part])
            self._folder.write_data(f"arcs-{number:03d}", [row.get(ARC, "") for row in part])
        self._folder.write_data("run", self._about(manifest, evaluation, len(files)))
        self._folder.write(RESPONSIBLE_USE, responsible_use())
        return self._folder.finish(SCORING)

    def _about(
        self, manifest: Mapping[str, Any], evaluation: Sequence[Mapping[str, Any]], row_files: int
    ) -> dict[str, Any]:
        model = manifest.get("model", {})
        targets = [target for target in TARGETS if target in model.get("targets", TARGETS)]
        shown = ("predictor", "target", "scope", "seconds", "mse", "pcc", "ccc")
        return {
            "rowFiles": row_files,
            "range": list(self.label_range),
            "targets": targets,
            "ownRange": bool(model.get("own_range", False)),
            "about": model.get("about") or _about_targets(targets),
            "films": manifest.get("films", {}),
            "hours": manifest.get("film_hours", {}),
            "model": model.get("version", ""),
            "smoothing": manifest.get("smoothing", {}),
            "explained": model.get("explained", ""),
            "untrained": manifest.get("untrained", []),
            "versions": manifest.get("versions", {}),
            "evaluation": [{key: row.get(key) for key in shown} for row in evaluation if row.get("scope") != "film"],
        }

    def _write_markers(self, sheet: FilmSheet, rate: FrameRate) -> dict[str, str]:
        curve, name, film_id, times = sheet.curve, sheet.name, sheet.film_id, sheet.file_times
        # A film id is safe as a file name; if one ever isn't, its markers still stay in this folder.
        file_name = sheet.key if "/" in film_id or film_id.startswith(".") else film_id
        files = {
            "EDL markers": (".edl", to_edl(name, sheet.events, rate, times)),
            "CSV markers": (".csv", to_csv(sheet.events, rate, times)),
            "WebVTT chapters": (".chapters.vtt", chapters_vtt(name, sheet.chapters, times)),
            "WebVTT metadata": (
                ".metadata.vtt",
                metadata_vtt(name, curve.smoothed, sheet.duration_s, times, sheet.shares),
            ),
        }
        for suffix, text in files.values():
            self._folder.write(f"markers/{file_name}{suffix}", text.encode("utf-8"))
        return {what: f"markers/{quote(file_name + suffix)}" for what, (suffix, _) in files.items()}


def _about_targets(targets: Sequence[str]) -> str:
    """Why a target is absent from the page; empty if none is."""
    lacking = [target for target in TARGETS if target not in targets]
    return f"There is no {lacking[0]}: the model predicts {targets[0]} only." if lacking else ""
