"""The section `train.ridge`: the linear model beside the network."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from beam_pipelines.foundation.configuration import Section

Penalty = Annotated[float, Field(gt=0.0)]
PENALTIES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)


class PenaltyConfig(Section):
    """The penalty of each target's regression; None for a target that isn't learned."""

    model_config = ConfigDict(allow_inf_nan=False)

    valence: Penalty | None = None
    arousal: Penalty | None = None


class RidgeConfig(Section):
    """Ridge regression on the network's features and seconds; all defaults are ours.

    Attributes:
        means_s: for each width w, the mean of every feature over the last w seconds is a further feature.
        mean_so_far: whether its mean over all seconds up to the present one is one, too.
        penalties: candidates, each the weight of the squared norm beside the mean squared error of a second; the best
            of each target on the validation films is taken.
        penalty: takes these instead; required if there are no validation films.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    means_s: tuple[Annotated[int, Field(ge=2)], ...] = (5, 30)
    mean_so_far: bool = True
    penalties: tuple[Penalty, ...] = Field(PENALTIES, min_length=1)
    penalty: PenaltyConfig | None = None

    @property
    def widths_s(self) -> tuple[int | None, ...]:
        """The widths of all causal means: 1 is the present second, None all seconds so far."""
        return (1, *self.means_s, *((None,) if self.mean_so_far else ()))
