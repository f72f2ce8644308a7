"""The `score` section of a configuration."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_serializer, field_validator

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation.configuration import Section


class ScoreConfig(Section):
    """How films are scored and what is left of it.

    Attributes:
        csv: whether each film gets its CSV file. Off for catalogues of short clips: the Parquet table has all of them,
            and a million small files are slow to write and to list.
        plots: whether each film gets a plot.
        shards: into how many Parquet files the table is divided; those that no film belongs to are not written.
        failure_threshold: the share of failed films above which the run as a whole fails.
        smoothing: what is set here takes the place of the same setting of the model card; the others hold as the card
            says.
        stride_s: the model is asked every so many seconds, and the curve is interpolated between; 1 asks for all.
            A model with film statistics (`batch_statistics_at_inference: film`) takes 1 only.
        batch_s: films are given to the model together until they have so many seconds; 0 gives it one at a time, and
            without a number it is 8,192 where TensorFlow sees a GPU, else 2,048. It makes no difference to a film's
            curve. Films that are extracted in the same run are never held back for it.
        block_s: seconds of film that the model advances at a time, a multiple of 64; without a number 8,192 where
            TensorFlow sees a GPU, else 256. The last bits of curves depend on it; on processors, with other numbers
            than 256, also on which films `batch_s` puts together.
        threads_per_worker: TensorFlow's threads in each worker process.
    """

    csv: bool = True
    plots: bool = True
    shards: int = Field(16, ge=1, le=99_999)
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)
    smoothing: SmoothingConfig = SmoothingConfig()
    stride_s: int = Field(1, ge=1, le=3600)
    batch_s: int | None = Field(None, ge=0, le=1_000_000)
    block_s: int | None = Field(None, ge=64, le=65_536, multiple_of=64)
    threads_per_worker: int = Field(1, ge=1, le=256)

    @field_validator("smoothing", mode="before")
    @classmethod
    def _null_sets_nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    def smoothing_over(self, card: SmoothingConfig) -> SmoothingConfig:
        """The settings that hold: those of a model card, with what is set here in their place."""
        return card.model_copy(update=self._smoothing_set())

    @field_serializer("smoothing")
    def _only_what_is_set(self, _: SmoothingConfig) -> dict[str, Any]:
        # The defaults of a filter don't hold here, so a run manifest must not name them.
        return self._smoothing_set()

    def _smoothing_set(self) -> dict[str, Any]:
        return self.smoothing.model_dump(mode="json", exclude_unset=True)
