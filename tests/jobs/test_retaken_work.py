"""Films that a lost worker of the same run had finished count as done, those of an earlier run as skipped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest

from beam_pipelines import extract, score
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.contracts.runs import FAILED, FilmOutcome
from beam_pipelines.extraction.earlier_runs import EarlierRuns, ListedFilm, name_attempt
from beam_pipelines.extraction.missing import stat_source
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.films.catalogue import Film, list_films
from beam_pipelines.films.work_lists import write_work_list
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.launch import job
from beam_pipelines.transforms import predict_curves
from tests.support.exported_models import write_model
from tests.support.score_runs import write_films
from tests.support.synthetic_clips import regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")


def again(define, output: Path) -> dict[str, int]:
    """Runs a graph over what lies in `output` already; the counts of the run manifest."""
    with beam.Pipeline(options=job.beam_options([], workers=1)) as pipeline:
        define(pipeline)
    return json.loads((output / "run_manifest.json").read_text())["films"]


@pytest.mark.parametrize("is_same_run", [True, False])
def test_extraction(tmp_path, is_same_run):
    films, output = tmp_path / "films", tmp_path / "features"
    films.mkdir()
    write_clip(films / "film.mp4", regular_times(25, 25))
    settings = ["modalities=[audio]", "audio.weights=untrained", "audio.batch_size=4"]
    before_s = job.storage_time_s(str(output))
    assert extract.main(["--films", str(films), "--output", str(output), "--workers=1",
                         *(f"--set={setting}" for setting in settings)]) == 0  # fmt: skip
    after_s = job.storage_time_s(str(output))
    config = load_section("extract", ExtractConfig, None, settings)
    catalogue = list_films(str(films), config.suffixes, config.min_lines_px)
    listed = write_work_list(catalogue, lambda film: ListedFilm(film).row(), str(output), "extract")
    counts = again(
        lambda pipeline: extract.define_pipeline(
            pipeline,
            listed,
            config,
            str(output),
            describe_tracks(config),
            EarlierRuns(run_started_s=before_s if is_same_run else after_s),
        ),
        output,
    )
    assert counts == {"in": 1, "done": int(is_same_run), "skipped": int(not is_same_run), "failed": 0}
    assert not list(output.glob(".clock*"))


def test_a_failure_that_is_listed_with_its_film_is_kept_by_the_worker(tmp_path):
    film, output = Film("film", str(tmp_path / "film.mp4")), tmp_path / "features"
    (tmp_path / "film.mp4").write_bytes(b"no film")
    config = ExtractConfig(modalities=("picture_signals",))
    descriptions = describe_tracks(config)
    attempt, source = name_attempt(config, descriptions), stat_source(film)
    failure = FilmOutcome("film", film.uri, FAILED, "probe", "of_before", "", 0.0, source.size_bytes, source.modified_s)
    for tried, kept in (("another", 0), (attempt, 1)):
        earlier = EarlierRuns(failures={"film": replace(failure, attempt=tried)}, attempt=attempt)
        listed = write_work_list([film], lambda one, earlier=earlier: earlier.listed(one).row(), str(output), "extract")
        counts = again(
            lambda pipeline, listed=listed, earlier=earlier: extract.define_pipeline(
                pipeline, listed, config, str(output), descriptions, earlier
            ),
            output,
        )
        manifest = json.loads((output / "run_manifest.json").read_text())
        assert counts == {"in": 1, "done": 0, "skipped": 0, "failed": 1}
        assert (manifest["failures_carried_over"], "of_before" in manifest["failed_by_reason"]) == (kept, bool(kept))


@pytest.mark.parametrize("files", ["csv", "plots"])
@pytest.mark.parametrize("is_same_run", [True, False])
def test_scoring(tmp_path, is_same_run, files, monkeypatch):
    chosen = {"csv": files == "csv", "plots": files == "plots"}
    output = tmp_path / "scores"
    write_films(tmp_path / "features", {"film": 20})
    write_model(tmp_path / "exports", "1")
    arguments = ["--records", str(tmp_path / "features"), "--model", str(tmp_path / "exports")]
    before_s = job.storage_time_s(str(output))
    settings = [f"--set={key}={str(value).lower()}" for key, value in chosen.items()]
    assert score.main([*arguments, "--output", str(output), "--workers=1", *settings]) == 0
    after_s = job.storage_time_s(str(output))
    # A worker whose films are all done loads no model, and so no TensorFlow.
    monkeypatch.setattr(predict_curves, "ExportedModel", lambda *_: pytest.fail("a model was loaded"))
    counts = again(
        lambda pipeline: score.define_pipeline(
            pipeline,
            score.records_source(str(tmp_path / "features")).listed(str(output)),
            find_model(str(tmp_path / "exports")),
            ScoreConfig.model_validate(chosen),
            str(output),
            run_started_s=before_s if is_same_run else after_s,
        ),
        output,
    )
    assert counts == {"in": 1, "done": int(is_same_run), "skipped": int(not is_same_run), "failed": 0}
