"""WriteOutcomes: the runner's page counts films, seconds and times as the manifest does; no step holds all outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.contracts.runs import DONE, FAILED, SKIPPED, FilmOutcome, read_failures
from beam_pipelines.contracts.summed_outcomes import SummedOutcomes, sum_up
from beam_pipelines.foundation.stage_times import count, stage
from beam_pipelines.transforms import outcomes as transform
from beam_pipelines.transforms.outcomes import COUNTERS, TIMES_TAG, TimedDoFn, WriteOutcomes

OUTCOMES = [
    FilmOutcome("first", "first.mp4", DONE, film_s=100.4),
    FilmOutcome("second", "second.mp4", DONE, film_s=50.6),
    FilmOutcome("third", "third.mp4", SKIPPED, film_s=30.0),
    FilmOutcome("fourth", "fourth.mp4", FAILED, "probe", "unreadable", "no film"),
]


class TakeFilm(TimedDoFn):
    """Takes a picture for each second of a film; one that was done before needs none."""

    bundles = 0

    def start_bundle(self) -> None:
        super().start_bundle()
        TakeFilm.bundles += 1

    def work(self, film: FilmOutcome) -> Iterator[FilmOutcome]:
        if film.status != SKIPPED:
            with stage("face detector", round(film.film_s)):
                count(size_bytes=1000 * len(film.film_id))
        yield film


def test_counters_and_times_are_those_of_the_manifest(tmp_path: Path) -> None:
    TakeFilm.bundles = 0
    workers = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *workers]))
    films = (
        pipeline
        | beam.Create(OUTCOMES)
        | beam.Reshuffle()
        | beam.ParDo(TakeFilm()).with_outputs(TIMES_TAG, main="films")
    )
    _ = (films["films"],) | WriteOutcomes(str(tmp_path), len(OUTCOMES), {"job": "test"}, 0.5, times=[films[TIMES_TAG]])
    result = pipeline.run()
    result.wait_until_finish()
    assert TakeFilm.bundles > 1
    found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))
    assert {counter.key.metric.name: counter.committed for counter in found["counters"]} == {
        "films_done": 2,
        "film_seconds_done": 151,
        "films_skipped": 1,
        "film_seconds_skipped": 30,
        "films_failed": 1,
        "film_seconds_failed": 0,
    }
    manifest = json.loads((tmp_path / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 4, "done": 2, "skipped": 1, "failed": 1}
    taken = manifest["time_by_stage"]["face detector"]
    assert (taken["items"], taken["bytes"]) == (151, 17_000)
    assert set(manifest["time_by_stage"]) == {"face detector", "rest"}
    shown = {one.key.metric.name: one.committed for one in found["distributions"]}
    assert shown.keys() == {f"{name}_{what}" for name in ("face_detector", "rest") for what in ("items", "bytes", "ms")}
    items, size = shown["face_detector_items"], shown["face_detector_bytes"]
    assert (items.count, items.sum, items.min, items.max) == (3, 151, 0, 100)
    assert (size.count, size.sum) == (3, 17_000)


def test_outcomes_are_summed_up_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With outcomes from two places, 3,000 in sums of about 100: none holds many, each film is in one."""
    sizes: list[int] = []

    def counted(outcomes: Iterable[FilmOutcome]) -> SummedOutcomes:
        taken = list(outcomes)
        sizes.append(len(taken))
        return sum_up(taken)

    monkeypatch.setattr(transform, "FILMS_PER_SUM", 100)
    monkeypatch.setattr(transform, "sum_up", counted)
    done = [FilmOutcome(f"film {number}", "", DONE) for number in range(2000)]
    failed = [FilmOutcome(f"other {number}", "", FAILED, "probe", "damaged") for number in range(1000)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        both = (pipeline | "Done" >> beam.Create(done), pipeline | "Failed" >> beam.Create(failed))
        both | WriteOutcomes(str(tmp_path), 3000, {}, 0.5)
    assert (len(sizes), sum(sizes)) == (30, 3000)
    assert max(sizes) < 150
    assert list(read_failures(str(tmp_path))) == sorted(film.film_id for film in failed)
