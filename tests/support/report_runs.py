"""Scoring runs for the tests of the report page, written with the score job's own writers; no score job runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.commands.report import main
from beam_pipelines.contracts.curves.bands import edges
from beam_pipelines.contracts.curves.curve_table import part_uri, write_part
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.done_marker import DoneMarker
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.records.records import write_record
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.report.scoring.sheets import film_key
from tests.support.feature_records import make_film_record
from tests.support.synthetic_clips import regular_times, write_clip

ODD_NAME = '"><img src=x onerror="window.hacked=1"> O\'Neill & Why?/${hacked} 映画 فيلم.mp4'
ODD_ID = escape_film_id(ODD_NAME)
ODD_REASON = "</script><script>window.hacked=2</script><b>bold</b>"
FILM_SECONDS = 40


def curve_of(
    film_id: str,
    seconds: int,
    seed: int,
    lift: float = 0.0,
    spread: float | None = None,
    targets: Sequence[str] = TARGETS,
    half_widths: Mapping[int, float] | None = None,
) -> AffectCurve:
    """Waves of a pace of their own; with `spread` the curve of an ensemble whose members lie so far apart.

    With `half_widths`, level -> half the width, the curve of a calibrated model.
    """
    random, time_s = np.random.default_rng(seed), np.arange(seconds)
    pace, phase = random.uniform(8, 14, 2), random.uniform(0, 6, 2)
    smooth = [0.5 * np.sin(2 * np.pi * time_s / pace[n] + phase[n]) + lift for n in range(2)]
    raw = [values + random.normal(0, 0.05, seconds) for values in smooth]
    columns = {
        name: values
        for target, *given in zip(TARGETS, smooth, raw, strict=True)
        for name, values in zip((target, f"{target}_raw"), given, strict=True)
        if target in targets
    }
    if spread is not None:
        columns |= {f"{target}_spread": np.full(seconds, spread) for target in targets}
    for level, half in (half_widths or {}).items():
        for target in targets:
            low, high = edges(columns[target], half, (-1.0, 1.0))
            columns |= {f"{target}_low_{level}": low, f"{target}_high_{level}": high}
    return AffectCurve.of_columns(film_id, columns)


def write_scores(
    directory: Path,
    curves: list[AffectCurve],
    failures: list[dict[str, str]],
    warnings: Mapping[str, tuple[FilmWarning, ...]] | None = None,
) -> None:
    """A scoring run as contract 3 has it, written with the score job's own writers; `warnings` by film id."""
    found = warnings or {}
    markers = [DoneMarker(c.film_id, "s", "r", c.seconds, 0, found.get(c.film_id, ())) for c in curves]
    by_id = {curve.film_id: curve for curve in curves}
    write_part(part_uri(str(directory), 0, 1), markers, lambda marker: by_id[marker.film_id], curves[0].columns)
    model = {"version": "7", "targets": list(curves[0].targets)}
    manifest = {"job": "score", "model": model, "smoothing": {"method": "none"}, "untrained": ["face"]}
    films = {"in": len(curves) + len(failures), "done": len(curves), "skipped": 0, "failed": len(failures)}
    (directory / "run_manifest.json").write_text(json.dumps({**manifest, "films": films}))
    (directory / "failures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in failures))


def write_evaluation(directory: Path) -> None:
    """An evaluation as `cineaffect evaluate` leaves it beside the curves."""
    rows = [
        {"predictor": predictor, "target": target, "scope": scope, "film_id": film, "mse": 0.25, "pcc": pcc, "ccc": pcc}
        for predictor, pcc in (("constant mean", None), ("raw", 0.5), ("smoothed", 0.75))
        for target in ("valence", "arousal")
        for scope, film in (("pooled", ""), ("film", "play"))
    ]
    (directory / "evaluation.json").write_text(json.dumps({"rows": rows}))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run: a film that plays and has labels, one of an odd name, ten more, one that failed."""
    root = tmp_path_factory.mktemp("run")
    (root / "films").mkdir()
    write_clip(root / "films" / "play.mp4", regular_times(FILM_SECONDS * 10, 10), rate_hz=10)
    labels = "".join(f"{second}\t{np.sin(second / 5):.4f}\t0.1\n" for second in range(FILM_SECONDS))
    (root / "labels.txt").write_text("Time\tValence\tArousal\n" + labels)
    (root / "films.csv").write_text(
        "film_id,path,split,labels\nplay,films/play.mp4,test,labels.txt\nlost,films/lost.mp4,test,\n"
    )
    curves = [curve_of("play", FILM_SECONDS, 1), curve_of(ODD_ID, 30, 2)]
    curves += [curve_of(f"film {n}", 20 + n, n, lift=n / 30) for n in range(1, 11)]
    failure = {
        "film_id": "broken",
        "source_uri": "x.mp4",
        "step": "probe",
        "reason": "empty_file",
        "detail": ODD_REASON,
    }
    write_scores(root, curves, [failure])
    write_evaluation(root)
    write_record(make_film_record("play", FILM_SECONDS, seed=3), str(root / "records" / "play.tfrecord"))
    # As extract writes them: with what tells whether the film is tried again.
    failure |= {"source_size_bytes": 3, "source_modified_s": 1.5, "attempt": "a"}
    late = {**failure, "film_id": "play", "step": "extract", "reason": "earlier_run"}
    lost = {**failure, "film_id": "lost", "step": "extract", "reason": "truncated", "detail": "ends at 0:12"}
    (root / "records" / "failures.jsonl").write_text(json.dumps(late) + "\n" + json.dumps(lost) + "\n")
    arguments = ["--scores", str(root), "--manifest", str(root / "films.csv"), "--thumbnails"]
    assert main(arguments) == 0
    return root / "report"


def film_data(report: Path, film_id: str) -> dict[str, Any]:
    text = (report / "data" / f"film-{film_key(film_id)}.js").read_text()
    return json.loads(text.split(",", 1)[1].removesuffix(");\n"))


def rows_of(report: Path) -> list[dict[str, Any]]:
    text = (report / "data" / "rows-000.js").read_text()
    return json.loads(text.split(",", 1)[1].removesuffix(");\n"))
