"""The `labels` section of a configuration: how label files are read."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, model_validator

from beam_pipelines.foundation.configuration import Section, section_values, validate
from beam_pipelines.foundation.errors import ConfigurationError

Layout = Literal["mediaeval2018", "mediaeval2017", "mediaeval2016", "liris_accede"]


class LabelConfig(Section):
    """How label files are read.

    Attributes:
        layout: the layout of the files, see `beam_pipelines.labels.layouts`.
        minimum, maximum: the labels' range; a value outside it is an error.
        first_time_s: the label time that is the film's first second. None takes each file's first row, which must then
            have time 0 or 1 (in MediaEval 2017's layout None is 0: segments have their start in the film).
        segment_label: how MediaEval 2017's segments of 10 s, one every 5 s, become seconds. `interpolated`: a segment's
            label belongs to its middle, with straight lines between middles; before the first middle and after the last
            one seconds are unknown. `mean`: each second has the mean of the segments that contain it (ours).
    """

    model_config = ConfigDict(allow_inf_nan=False)

    layout: Layout = "mediaeval2018"
    minimum: float = -1.0
    maximum: float = 1.0
    first_time_s: float | None = None
    segment_label: Literal["interpolated", "mean"] = "interpolated"

    @model_validator(mode="after")
    def _has_a_range(self) -> LabelConfig:
        if not self.minimum < self.maximum:
            raise ValueError(f"minimum ({self.minimum:g}) must be below maximum ({self.maximum:g})")
        return self


def load_label_config(path: str | None, label_range: tuple[float, float]) -> LabelConfig:
    """The section `train.labels` of a configuration file, for commands that only show labels.

    Args:
        path: the YAML file with which the model was trained, local or `gs://`; None for the defaults.
        label_range: the labels' lowest and highest value where the section gives none.

    Raises:
        ConfigurationError: if the file or the section can't be read; the text names file and key.
    """
    values = section_values("train", path).get("labels") or {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: train.labels must hold keys, it holds {values!r}")
    minimum, maximum = label_range
    return validate(LabelConfig, {"minimum": minimum, "maximum": maximum, **values}, f"{path}: train.labels")
