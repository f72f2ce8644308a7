"""The sections `train.labels.table` and `.raters`: where a table has its ratings, and how raters are fused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from beam_pipelines.contracts.targets import Target
from beam_pipelines.foundation.configuration import Section

Column = Annotated[int, Field(ge=1)] | str
"""A column by its name, in any case, or by its place, counted from 1."""


class TableConfig(Section):
    """How the layout `table` reads a CSV or TSV file.

    Attributes:
        valence, arousal: the column of each target. A list, or a name with `*` for a part that differs, are several
            raters; `*` alone is all columns but those that another key names.
        time: the column that says when. None takes the first of `time_s`, `timestamp`, `time` and `frame`; without any
            of them, rows come `rate_hz` times a second.
        unit: the unit of times; a column `frame` always holds frames.
        rate_hz: how many frames, or rows without a time, are a second.
        times_in: `columns` where the names of columns hold the times, a number in each, and a row is one rater (DEAM).
        rater: in a long table, the column that names the rater of a row.
        film: the column that names the film of a row, its `film_id` with or without a suffix; rows of others are left
            out.
        header: whether the file has a line with the columns' names.
        comment: lines that begin with this are left out.
        range: the file's lowest and highest value, which become `labels.minimum` and `labels.maximum`; `trace` for each
            rater's own lowest and highest in a film (scales without an end); None if they are the same.
        flipped: targets whose scale runs the other way round.
        hold: whether a value holds until the next, as tools that note changes only mean it.
        least_samples: how many samples of a rater a second needs; with fewer it has none.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    valence: Column | tuple[Column, ...] = "valence"
    arousal: Column | tuple[Column, ...] = "arousal"
    time: Column | None = None
    unit: Literal["s", "ms", "frames"] = "s"
    rate_hz: float | None = Field(None, gt=0.0, le=1000.0)
    times_in: Literal["rows", "columns"] = "rows"
    rater: Column | None = None
    film: Column | None = None
    header: bool = True
    comment: str = ""
    range: tuple[float, float] | Literal["trace"] | None = None
    flipped: tuple[Target, ...] = ()
    hold: bool = False
    least_samples: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> TableConfig:
        if self.unit == "frames" and self.rate_hz is None:
            raise ValueError("unit 'frames' needs rate_hz, how many of them are a second")
        if isinstance(self.range, tuple) and not self.range[0] < self.range[1]:
            raise ValueError(f"range ({self.range[0]:g}, {self.range[1]:g}) must rise")
        if not self.header and self.times_in == "columns":
            raise ValueError("times_in 'columns' takes the times from the header, so header can't be false")
        named = [self.time, self.rater, self.film, *_listed(self.valence), *_listed(self.arousal)]
        if not self.header and any(isinstance(one, str) for one in named if one not in ("valence", "arousal", "*")):
            raise ValueError("a file without a header has columns by place only: 1, 2, …")
        return self

    def columns_of(self, target: Target) -> tuple[Column, ...]:
        """The columns of a target, as they are named."""
        return _listed(self.valence if target == "valence" else self.arousal)


class RatersConfig(Section):
    """How several raters become one label.

    Attributes:
        fusion: `mean` of the raters that a second has; `ewe`, the evaluator weighted estimator of Grimm and Kroschel
            2005: each rater's weight is the correlation with the mean of all, over the film's seconds; below 0 it is 0.
        standardise: whether every rater is first brought to the raters' common mean and deviation in the film.
        least: how many raters a second needs; with fewer it has no label.
    """

    fusion: Literal["mean", "ewe"] = "mean"
    standardise: bool = False
    least: int = Field(1, ge=1)


def _listed(columns: Column | tuple[Column, ...]) -> tuple[Column, ...]:
    return columns if isinstance(columns, tuple) else (columns,)
