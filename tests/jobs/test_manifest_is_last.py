"""A run's manifest is its last file: in each job's graph it waits for everything else that the run writes.

Looked for in the graph, for a runner may happen to write the manifest last whether it waits or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from beam_pipelines import import_features, prepare, score
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.films.work_lists import WorkList
from beam_pipelines.normalisation.preprocessing import PrepareConfig
from beam_pipelines.scoring.scored_film import FilmToScore
from beam_pipelines.transforms.films_to_score import FromRecords
from tests.support.exported_models import write_model


def score_job(pipeline: beam.Pipeline, folder: Path) -> None:
    write_model(folder / "exports", "1")
    source = FromRecords([FilmToScore("a", "a.mp4", str(folder / "a.tfrecord"))]).listed(str(folder / "out"))
    score.define_pipeline(pipeline, source, find_model(str(folder / "exports")), ScoreConfig(), str(folder / "out"))


def prepare_job(pipeline: beam.Pipeline, folder: Path) -> None:
    shape = prepare.RecordShape({"image": 16}, {"image": {"network": "any"}})
    prepare.define_pipeline(
        pipeline, WorkList("any", 1), PrepareConfig(), str(folder), str(folder / "out"), shape, str(folder)
    )


def import_job(pipeline: beam.Pipeline, folder: Path) -> None:
    described = {"fc6": {"network": "any"}}
    import_features.define_pipeline(pipeline, WorkList("any", 1), str(folder), str(folder / "run"), described, 0.1)


def waited_for(pipeline: beam.Pipeline, name: str) -> set[str]:
    """Labels of all steps that the only step of this name waits for, by inputs and side inputs."""
    steps: list[AppliedPTransform] = []

    class Steps(PipelineVisitor):
        def visit_transform(self, transform_node: AppliedPTransform) -> None:
            steps.append(transform_node)

    pipeline.visit(Steps())
    found: set[str] = set()
    waiting: list[Any] = [step for step in steps if step.full_label.endswith(name)]
    assert len(waiting) == 1
    while waiting:
        step = waiting.pop()
        values = [*step.inputs, *(side.pvalue for side in step.side_inputs)]
        for producer in (value.producer for value in values):
            if producer is not None and producer.full_label not in found:
                found.add(producer.full_label)
                waiting.append(producer)
    return found


@pytest.mark.parametrize(
    ("define", "writers"),
    [
        (score_job, ("WriteFilm", "WritePart", "RemoveOtherParts")),
        (prepare_job, ("WriteTransform/Publish", "WriteStatistics")),
        (import_job, ("ImportFilm", "WriteDefects/WriteTable")),
    ],
)
def test_the_manifest_waits_for_all_other_files(define: Any, writers: tuple[str, ...], tmp_path: Path) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    define(pipeline, tmp_path)
    before = waited_for(pipeline, "WriteRunManifest")
    assert [name for name in writers if not any(name in label for label in before)] == []
