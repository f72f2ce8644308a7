"""Steps of an experiment: made once for what they depend on, and never taken for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.foundation.errors import ConfigurationError
from trainer.experiments.cached_steps import DONE, StepError, assert_experiment_directory, run_job, step


def test_other_dependencies_are_another_step(tmp_path: Path) -> None:
    first = step(str(tmp_path), "train", {"epochs": 3, "films": ["a"]})
    assert first.result() is None
    first.finish(best_epoch=2)
    assert step(str(tmp_path), "train", {"films": ["a"], "epochs": 3}).result() == {"best_epoch": 2}
    other = step(str(tmp_path), "train", {"epochs": 4, "films": ["a"]})
    assert other.result() is None
    assert other.directory != first.directory


def test_a_step_that_tells_of_other_settings_is_refused(tmp_path: Path) -> None:
    made = step(str(tmp_path), "train", {"epochs": 3})
    made.finish()
    path = Path(made.directory) / DONE
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(ConfigurationError, match="made from other settings or data"):
        made.result()
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="not readable as JSON"):
        made.result()


def test_object_storage_and_files_are_refused_as_output(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="writes to a local directory"):
        assert_experiment_directory("gs://bucket/experiment")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="is a file"):
        assert_experiment_directory(str(tmp_path / "file"))


def test_a_failed_job_is_an_error_with_its_code() -> None:
    with pytest.raises(StepError, match="`cineaffect nonsense` ended with exit code 2"):
        run_job("nonsense")
