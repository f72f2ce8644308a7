"""The `retrain` section of a configuration; all its defaults are ours."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from beam_pipelines.foundation.configuration import Section


class RetrainConfig(Section):
    """The data of a scheduled retraining, and the conditions of a promotion.

    Attributes:
        manifest: CSV with the columns film_id, path, split and labels; needed.
        records: directory of feature records.
        output: directory of this job, local or `gs://`: `exports/`, `rounds/<digest>/` and the lock; needed.
        lock_expiry_s: in `gs://`, the seconds without renewal after which another run may take over the lock. A local
            lock ends with its process.
        extract: whether films are extracted first; False if another job keeps the records up to date.
        train_splits, validation_splits: as for `cineaffect train`.
        held_out_splits: the films on which challenger and champion are compared.
        calibration_splits: films that give the challenger's curves their bands (`cineaffect calibrate`), and nothing
            else; none by default, and then curves have no bands.
        metric: the figure that is compared: of each of those films, mean of all targets, smoothed.
        margin: the improvement that the challenger must exceed.
        confidence: confidence of the test: an equally good challenger is promoted in one minus this share of rounds.
        least_films: the number of held-out films below which nothing is decided, and nothing promoted.
        beat_constant_mean: whether the first model, which has no champion, must beat the constant mean.
        unscorable_champion: what happens if the champion can't be scored on today's records, because they hold other
            features than it was trained on. `beat_constant_mean`: the challenger must beat the constant mean instead;
            `keep`: nothing is promoted until a person moves the pointer.
        failure_threshold: the share of labelled films without a usable record or labels above which the round ends
            with exit code 4; the same is true of held-out films that a model can't score. Below it they are left out on
            both sides, and reported.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    manifest: str = ""
    records: str = "features"
    output: str = ""
    lock_expiry_s: float = Field(120.0, ge=10.0)
    extract: bool = True
    train_splits: tuple[str, ...] = Field(("train",), min_length=1)
    validation_splits: tuple[str, ...] = ("validation",)
    held_out_splits: tuple[str, ...] = Field(("test",), min_length=1)
    calibration_splits: tuple[str, ...] = ()
    metric: Literal["mse", "pcc", "ccc"] = "mse"
    margin: float = Field(0.0, ge=0.0)
    confidence: float = Field(0.9, gt=0.5, lt=1.0)
    least_films: int = Field(8, ge=2)
    beat_constant_mean: bool = True
    unscorable_champion: Literal["beat_constant_mean", "keep"] = "beat_constant_mean"
    failure_threshold: float = Field(0.5, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _calibration_films_have_no_other_part(self) -> Self:
        others = {*self.train_splits, *self.validation_splits, *self.held_out_splits}
        if shared := sorted(others.intersection(self.calibration_splits)):
            raise ValueError(
                f"calibration_splits: {', '.join(shared)} is a split for training, validation or holding out too; "
                "films that calibrate are a split of their own: the model doesn't know them, and others test its bands"
            )
        return self
