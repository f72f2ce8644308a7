"""The `score` section of a configuration."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_serializer, field_validator

from beam_pipelines.contracts.curves.shares import Explain
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import ConfigurationError


class ScoreConfig(Section):
    """How films are scored, and which files a run leaves.

    Attributes:
        csv: whether each film gets its CSV file. Switch it off for catalogues of short clips: the Parquet table has all
            of them, and a million small files are slow to write and to list.
        plots: whether each film gets a plot.
        shards: the number of Parquet files of the table; files without films are not written.
        failure_threshold: the share of failed films above which the run as a whole fails.
        smoothing: settings that replace those of the model card, one by one.
        stride_s: the distance in seconds between predictions; seconds between them are interpolated. 1 predicts all. A
            model with film statistics (`batch_statistics_at_inference: film`) takes 1 only.
        explain: what curves are explained by (`shares`): `nothing`; `modalities`, what each adds; or `columns`, also
            what single columns do of modalities that name theirs (the signals), at the price of a curve for each.
        batch_s: the model gets films together until they have so many seconds; 0 gives it one at a time. None is 8,192
            if TensorFlow sees a GPU, else 2,048. It doesn't change a film's curve. Films that are extracted in the same
            run never wait for others.
        block_s: seconds of film that the model advances at a time, a multiple of 64. None is 8,192 if TensorFlow sees a
            GPU, else 256. The last bits of curves depend on it; on processors, with other numbers than 256, they also
            depend on which films `batch_s` puts together.
        threads_per_worker: TensorFlow's threads in each worker process.
    """

    csv: bool = True
    plots: bool = True
    shards: int = Field(16, ge=1, le=99_999)
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)
    smoothing: SmoothingConfig = SmoothingConfig()
    stride_s: int = Field(1, ge=1, le=3600)
    explain: Explain = "nothing"
    batch_s: int | None = Field(None, ge=0, le=1_000_000)
    block_s: int | None = Field(None, ge=64, le=65_536, multiple_of=64)
    threads_per_worker: int = Field(1, ge=1, le=256)

    @field_validator("smoothing", mode="before")
    @classmethod
    def _null_sets_nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    def smoothing_over(self, card: SmoothingConfig) -> SmoothingConfig:
        """The settings of a model card, with those that are set here in their place.

        Raises:
            ConfigurationError: if settings of a filter are set for a model that chose none.
        """
        chosen = self._smoothing_set()
        if card.method == "none" and chosen and "method" not in chosen:
            raise ConfigurationError(
                f"score.smoothing: {', '.join(chosen)} has no effect, since the model's card says method none (no "
                "filter was best on its validation films); set smoothing.method too, to butterworth for example"
            )
        return card.model_copy(update=chosen)

    @field_serializer("smoothing")
    def _only_what_is_set(self, _: SmoothingConfig) -> dict[str, Any]:
        # A filter's defaults have no effect here (the card's settings have), so a run manifest must not name them.
        return self._smoothing_set()

    def _smoothing_set(self) -> dict[str, Any]:
        return self.smoothing.model_dump(mode="json", exclude_unset=True)
