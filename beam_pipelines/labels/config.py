"""The `labels` section of a configuration: how label files are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from beam_pipelines.contracts.targets import TARGETS, Target
from beam_pipelines.foundation.configuration import Section, section_values, validate
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.table_config import RatersConfig, TableConfig

TABLE = "table"
Layout = Literal["mediaeval2018", "mediaeval2017", "mediaeval2016", "liris_accede", "table"]


class LabelConfig(Section):
    """How label files are read.

    Attributes:
        layout: the layout of the files, see `beam_pipelines.labels.layouts`.
        targets: what is learned: valence, arousal or both. A target that isn't named is neither learned, measured nor
            predicted.
        minimum, maximum: the labels' range; a value outside it is an error.
        first_time_s: the label time that is the film's first second. None takes each file's first row, which must then
            have time 0 or 1 (in MediaEval 2017's layout and in tables None is 0: their times are the film's).
        segment_label: how MediaEval 2017's segments of 10 s, one every 5 s, become seconds. `interpolated`: a segment's
            label belongs to its middle, with straight lines between middles; before the first middle and after the last
            one seconds are unknown. `mean`: each second has the mean of the segments that contain it (ours).
        lag_s: how many seconds viewers rate late (ours; studies find 1 to 6): a label of time t belongs to second
            t - lag_s of the film. Labels of the first `lag_s` seconds then lie before the film and are cut. The film's
            last `lag_s` seconds have no label, unless the file goes on beyond the film's end: they are neither learned
            nor measured.
        table: the columns, times and scale of the layout `table`; of no effect on others.
        raters: how the raters of a table are fused.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    layout: Layout = "mediaeval2018"
    targets: tuple[Target, ...] = Field(TARGETS, min_length=1)
    minimum: float = -1.0
    maximum: float = 1.0
    first_time_s: float | None = None
    segment_label: Literal["interpolated", "mean"] = "interpolated"
    lag_s: int = Field(0, ge=0, le=60)
    table: TableConfig = TableConfig()
    raters: RatersConfig = RatersConfig()

    @field_validator("targets")
    @classmethod
    def _in_one_order(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if len(set(targets)) < len(targets):
            raise ValueError("names a target twice")
        return tuple(target for target in TARGETS if target in targets)

    @model_validator(mode="after")
    def _has_a_range(self) -> LabelConfig:
        if not self.minimum < self.maximum:
            raise ValueError(f"minimum ({self.minimum:g}) must be below maximum ({self.maximum:g})")
        return self

    def with_lag_of(self, model: str, lag_s: int | None) -> LabelConfig:
        """The same with a model's lag, since its curves must not be compared with labels of other seconds.

        Args:
            model: the model, for the message.
            lag_s: `lag_s` of its training; None if that is unknown.

        Raises:
            ConfigurationError: if the section gives another lag.
        """
        if lag_s is None or lag_s == self.lag_s:
            return self
        if "lag_s" in self.model_fields_set:
            raise ConfigurationError(
                f"train.labels.lag_s: is {self.lag_s}, but {model} was trained with {lag_s}; leave the key out, and "
                "labels are read as in training"
            )
        return self.model_copy(update={"lag_s": lag_s})

    def with_targets_of(self, model: str, targets: Sequence[str]) -> LabelConfig:
        """The same with those targets only that a model predicts.

        Args:
            model: the model or its curves, for the message.
            targets: what it predicts.

        Raises:
            ConfigurationError: if the section asks for a target that the model doesn't predict.
        """
        if set(self.targets) <= set(targets):
            return self
        if "targets" in self.model_fields_set or not set(self.targets) & set(targets):
            raise ConfigurationError(
                f"train.labels.targets: is {list(self.targets)}, but {model} has {' and '.join(targets) or 'neither'}"
            )
        return self.model_copy(update={"targets": tuple(target for target in self.targets if target in targets)})


def load_label_config(path: str | None, label_range: tuple[float, float], lag_s: int = 0) -> LabelConfig:
    """The section `train.labels` of a configuration file, for commands that only show labels.

    Args:
        path: the YAML file with which the model was trained, local or `gs://`; None for the defaults.
        label_range: the labels' lowest and highest value where the section gives none.
        lag_s: the lag where the section gives none.

    Raises:
        ConfigurationError: if the file or the section can't be read; the text names file and key.
    """
    values = section_values("train", path).get("labels") or {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: train.labels must hold keys, it holds {values!r}")
    minimum, maximum = label_range
    return validate(
        LabelConfig, {"minimum": minimum, "maximum": maximum, "lag_s": lag_s, **values}, f"{path}: train.labels"
    )
