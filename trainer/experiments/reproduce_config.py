"""The `reproduce` section of a run's file: settings of the paper's runs next to their `train` section."""

from __future__ import annotations

from pydantic import Field, model_validator

from beam_pipelines.foundation.configuration import Section


class ReproduceConfig(Section):
    """How a run divides the development films, and for how many epochs its final training runs.

    Attributes:
        validation_films: number of development films that choose epoch and filter (paper: 13; it doesn't say which).
        split_seed: seed of the draw of those films, and of the share `film_share` (ours).
        film_share: share of the films that the run learns from (paper: about 70 % of the data in run 2; drawing films,
            not seconds, is ours). The validation films stay the same.
        epoch_rank: the rank of the selection's epoch that gives the number of epochs on the whole development set: 1 is
            the best on the validation films, 2 the second best, … (paper: run 4 is of another epoch; taking the second
            best is ours). If there are fewer epochs, the last one is taken.
        members: runs of which this run is the mean, second by second, of the smoothed curves (paper: run 5 is the mean
            of all; smoothing before the mean is ours). A run with members trains nothing itself.
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
