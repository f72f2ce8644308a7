"""The `reproduce` section of a run's file: what tells one run of the paper from another beside its `train` section."""

from __future__ import annotations

from pydantic import Field, model_validator

from beam_pipelines.foundation.configuration import Section


class ReproduceConfig(Section):
    """How a run takes the development films, and which epoch of its selection it is trained for.

    Attributes:
        validation_films: how many development films select epoch and filter (paper: 13; which ones it doesn't say).
        split_seed: draws those films, and the share of `film_share` (ours).
        film_share: share of the films that the run learns from (paper: about 70 % in run 2, of the data; that films are
            drawn, and not seconds, is ours). The validation films stay the same.
        epoch_rank: which of the selection's epochs gives the number of epochs on the whole development set: 1 is the
            best on the validation films, 2 the second best, … (paper: run 4 is of another epoch; that it is the second
            best is ours). With fewer epochs than that the last of them stands.
        members: runs whose mean this one is, second by second, of the smoothed curves (paper: run 5 is the mean of all;
            that they are smoothed before is ours). A run with members trains nothing itself.
    """

    validation_films: int = Field(13, ge=1)
    split_seed: int = Field(2018, ge=0)
    film_share: float = Field(1.0, gt=0.0, le=1.0)
    epoch_rank: int = Field(1, ge=1)
    members: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _members_train_nothing(self) -> ReproduceConfig:
        if self.members and (self.film_share != 1.0 or self.epoch_rank != 1):
            raise ValueError("'film_share' and 'epoch_rank' have no effect on a run with members; leave them out")
        if len(set(self.members)) != len(self.members):
            raise ValueError(f"members must be a list without repetition, not {list(self.members)}")
        return self
