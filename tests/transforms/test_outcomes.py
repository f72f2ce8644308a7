"""What the runner's own page counts, beside the manifest: films and seconds of film, by what became of them."""

from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
from apache_beam.metrics import MetricsFilter

from beam_pipelines.contracts.runs import DONE, FAILED, SKIPPED, FilmOutcome
from beam_pipelines.transforms.outcomes import COUNTERS, WriteOutcomes

OUTCOMES = [
    FilmOutcome("first", "first.mp4", DONE, film_s=100.4),
    FilmOutcome("second", "second.mp4", DONE, film_s=50.6),
    FilmOutcome("third", "third.mp4", SKIPPED, film_s=30.0),
    FilmOutcome("fourth", "fourth.mp4", FAILED, "probe", "unreadable", "no film"),
]


def test_the_counters_are_those_of_the_manifest(tmp_path: Path) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | beam.Create(OUTCOMES) | WriteOutcomes(str(tmp_path), len(OUTCOMES), {"job": "test"}, 0.5)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    assert {counter.key.metric.name: counter.committed for counter in found} == {
        "films_done": 2,
        "film_seconds_done": 151,
        "films_skipped": 1,
        "film_seconds_skipped": 30,
        "films_failed": 1,
        "film_seconds_failed": 0,
    }
    manifest = json.loads((tmp_path / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 4, "done": 2, "skipped": 1, "failed": 1}
