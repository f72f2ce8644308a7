"""The `tune` section of a configuration: the search space and the search method.

The paper searched encoders, units (32 to 256), layers (1 to 2), lengths (10, 30, 60 s), dropout, L2, batch
normalisation, experts and learning rate. It gives no bounds for the last five, and no search method: those are ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from beam_pipelines.foundation.configuration import Section

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
Lag = Annotated[int, Field(ge=0, le=60)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class SpaceConfig(Section):
    """The search space. A pair is [lowest, highest], both included; a list is a choice.

    Attributes:
        encoders: kinds of encoder, drawn independently for each modality.
        units: units of GRU and LSTM (paper: 32 to 256), on a logarithmic scale.
        layers: layers of GRU and LSTM (paper: 1 to 2).
        filters: filters of the TCN's first level (ours), on a logarithmic scale.
        window_s: lengths of windows in seconds (paper: 10, 30, 60).
        dropout: dropout rate (bounds ours).
        l2: L2 weight, on a logarithmic scale (bounds ours).
        batch_normalization: whether batch normalisation is on.
        experts: logistic experts per target (bounds ours).
        learning_rate: learning rate, on a logarithmic scale (bounds ours).
        lag_s: choices of `train.labels.lag_s` (ours); empty keeps that of the section `train`. All are judged on the
            same ratings: those that each of them puts on a second of the film.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    encoders: tuple[Literal["gru", "lstm", "tcn"], ...] = Field(("gru", "lstm", "tcn"), min_length=1)
    units: tuple[Count, Count] = (32, 256)
    layers: tuple[Count, Count] = (1, 2)
    filters: tuple[Count, Count] = (32, 128)
    window_s: tuple[Count, ...] = Field((10, 30, 60), min_length=1)
    dropout: tuple[Rate, Rate] = (0.0, 0.6)
    l2: tuple[Positive, Positive] = (1e-7, 1e-3)
    batch_normalization: tuple[bool, ...] = Field((False, True), min_length=1)
    experts: tuple[Count, Count] = (1, 8)
    learning_rate: tuple[Positive, Positive] = (1e-4, 1e-2)
    lag_s: tuple[Lag, ...] = ()

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> SpaceConfig:
        for key in ("units", "layers", "filters", "dropout", "l2", "experts", "learning_rate"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} must be [lowest, highest], it is [{low:g}, {high:g}]")
        return self


class TuneConfig(Section):
    """How the space is searched.

    Attributes:
        trials: the number of finished or pruned trials at the end, including those of earlier starts.
        seed: seed of the sampler and of the folds. A trial's draw depends on it, on the trial's number and on the
            trials before.
        folds: 0 uses the manifest's splits; else the number of folds, by film, of training and validation films
            together.
        sampler: Optuna's tree-structured Parzen estimator, or independent random draws.
        startup_trials: random draws before the sampler learns, and trials that are never pruned.
        pruner: `median` ends a trial that is worse than the median at its epoch; `halving` is successive halving.
        warmup_epochs: epochs before a trial may be pruned.
        space: the search space.
    """

    trials: int = Field(50, ge=1)
    seed: int = Field(2018, ge=0)
    folds: int = Field(0, ge=0)
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: int = Field(10, ge=1)
    pruner: Literal["median", "halving", "none"] = "median"
    warmup_epochs: int = Field(3, ge=1)
    space: SpaceConfig = SpaceConfig()

    @model_validator(mode="after")
    def _folds_are_several(self) -> TuneConfig:
        if self.folds == 1:
            raise ValueError("folds must be 0 (the manifest's splits) or at least 2")
        return self


def suggest(trial: Any, space: SpaceConfig, modalities: tuple[str, ...]) -> dict[str, Any]:
    """Draws a point of the space: keys of the `train` section, as nested plain values.

    Args:
        trial: an `optuna.Trial`.
        space: the bounds.
        modalities: the modalities; each gets its own encoder.
    """
    encoders: dict[str, dict[str, Any]] = {}
    for modality in modalities:
        kind = trial.suggest_categorical(f"{modality}.kind", list(space.encoders))
        if kind == "tcn":
            encoders[modality] = {
                "kind": kind,
                "filters": trial.suggest_int(f"{modality}.filters", *space.filters, log=True),
            }
            continue
        units = trial.suggest_int(f"{modality}.units", *space.units, log=True)
        layers = trial.suggest_int(f"{modality}.layers", *space.layers)
        encoders[modality] = {"kind": kind, "units": units, "layers": layers}
    model = {
        "encoders": encoders,
        "window_s": trial.suggest_categorical("window_s", list(space.window_s)),
        "dropout": trial.suggest_float("dropout", *space.dropout),
        "l2": trial.suggest_float("l2", *space.l2, log=True),
        "batch_normalization": trial.suggest_categorical("batch_normalization", list(space.batch_normalization)),
        "experts": trial.suggest_int("experts", *space.experts),
    }
    drawn = {"learning_rate": trial.suggest_float("learning_rate", *space.learning_rate, log=True), "model": model}
    if space.lag_s:
        drawn["labels"] = {"lag_s": trial.suggest_categorical("lag_s", list(space.lag_s))}
    return drawn
