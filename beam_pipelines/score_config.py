"""The `score` section of a configuration."""

from __future__ import annotations

from pydantic import Field

from beam_pipelines.configuration import Section
from beam_pipelines.smoothing import SmoothingConfig


class ScoreConfig(Section):
    """How films are scored and what is left of it.

    Attributes:
        csv: whether each film gets its CSV file. Off for catalogues of short clips: the Parquet table has all of them,
            and a million small files are slow to write and to list.
        plots: whether each film gets a plot.
        shards: into how many Parquet files the table is divided; never more than there are films.
        failure_threshold: the share of failed films above which the run as a whole fails.
        smoothing: how curves are smoothed; as a whole in place of what the model card says, which holds without it.
        threads_per_worker: TensorFlow's threads in each worker process.
    """

    csv: bool = True
    plots: bool = True
    shards: int = Field(16, ge=1, le=99_999)
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)
    smoothing: SmoothingConfig | None = None
    threads_per_worker: int = Field(1, ge=1, le=256)
