"""The search of a study: the trials of one process, each trained on every fold."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from beam_pipelines.foundation.configuration import validate
from trainer.data.dataset import data_digest
from trainer.evaluation.evaluate import choose_smoothing
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import TuneConfig, suggest
from trainer.tuning.folds import Splits

if TYPE_CHECKING:
    import optuna

CHOSEN = "chosen"
"""The attribute of a trial that holds what its validation films chose: `epochs` and `smoothing`."""


@dataclass(frozen=True, eq=False)
class Search:
    """The shared state of one process's trials: data are loaded once.

    Attributes:
        output: the study's directory.
        base: the `train` section to which a trial's draws are added.
        config: the `tune` section.
        splits: training and validation films, one pair per fold.
        lagged: the same for each lag of the space, if it has any (`folds.with_lags`).
    """

    output: str
    base: TrainConfig
    config: TuneConfig
    splits: tuple[Splits, ...]
    lagged: Mapping[int, tuple[Splits, ...]] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """All on which the study depends, as plain values."""
        # More trials continue the same study; so does another pruner, which changes no trial's figure.
        return {
            "train": self.base.model_dump(mode="json"),
            "tune": self.config.model_dump(mode="json", exclude={"trials", "pruner", "warmup_epochs"}),
            "data": [[data_digest(train), data_digest(validation)] for train, validation in self.splits],
        }

    def trial_config(self, drawn: Mapping[str, Any], chosen: Mapping[str, Any] | None = None) -> TrainConfig:
        """The `train` section of a trial; with `chosen` that of its chosen epoch and filter.

        A drawn encoder keeps what the base says of its modality's and no draw changes, as `bidirectional`.
        """
        base = {**self.base.model_dump(mode="json"), **(chosen or {})}
        sections = {key: {**base[key], **drawn.get(key, {})} for key in ("model", "labels")}
        sections["model"]["encoders"] = {
            modality: {**self.base.model.encoder_of(modality).settings_for(encoder["kind"]), **encoder}
            for modality, encoder in sections["model"]["encoders"].items()
        }
        values = {**base, **drawn, **sections}
        return validate(TrainConfig, values, "a trial of the study")

    def run_trial(self, study: optuna.Study, trial: optuna.Trial) -> float:
        """Trains on every fold, and notes the chosen epoch and filter; returns the mean of the best validation figures.

        Of several folds the median of the epochs counts, and the filter that is best on all their validation films.

        Raises:
            optuna.TrialPruned: if the trial is worse than others.
            DivergenceError: if the loss is no longer finite.
        """
        import keras

        from trainer.training.train import train

        config = self.trial_config(suggest(trial, self.config.space, self.base.model.modalities))
        folder = os.path.join(self.output, "trials", trial.user_attrs["directory"])
        values, epochs, curves = [], [], {}
        splits = self.lagged.get(config.labels.lag_s, self.splits)
        for number, (films_train, films_validation) in enumerate(splits):
            keras.backend.clear_session()
            follow = self._follow(trial, number * config.most_epochs)
            with open(os.devnull, "w") as nowhere:
                from trainer.training.progress import TrainingProgress

                result = train(
                    films_train,
                    films_validation,
                    config,
                    os.path.join(folder, f"fold{number}"),
                    progress=TrainingProgress(nowhere),
                    on_epoch=follow,
                )
            best = next(entry for entry in result.history if entry["epoch"] == result.best_epoch)
            values.append(_figure(best["score"]))
            epochs.append(result.best_epoch)
            curves.update({film.film_id: result.predictions[film.film_id] for film in films_validation})
        smoothing = choose_smoothing(curves, [film for _, held_out in splits for film in held_out], config)
        chosen = {"epochs": round(statistics.median(epochs)), "smoothing": smoothing.model_dump(mode="json")}
        trial.set_user_attr(CHOSEN, chosen)
        return sum(values) / len(values)

    def _follow(self, trial: optuna.Trial, first_step: int) -> Callable[[Mapping[str, Any]], None]:
        import optuna

        def epoch_done(entry: Mapping[str, Any]) -> None:
            trial.report(_figure(entry["score"]), first_step + entry["epoch"])
            if trial.should_prune():
                raise optuna.TrialPruned

        return epoch_done


def _figure(score: float | None) -> float:
    # The correlation of a constant prediction is undefined, and counts as the worst value.
    return -1.0 if score is None else score


def direction_of(selection: str) -> Literal["minimize", "maximize"]:
    """Whether the selected figure is an error (`minimize`) or a correlation (`maximize`)."""
    return "minimize" if selection == "mse" else "maximize"


def work(search: Search, study: optuna.Study, log: Callable[[str], None]) -> None:
    """Runs trials until the study has the configured number; other processes may do the same at the same time."""
    import optuna

    from trainer.training.run import DivergenceError
    from trainer.tuning.study import FOLDER, WHY, make_pruner, next_trial

    study.pruner = make_pruner(search.config)
    while (trial := next_trial(study, search.config, search.output)) is not None:
        try:
            value = search.run_trial(study, trial)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            log(f"trial {trial.number}: pruned")
        except DivergenceError as error:
            trial.set_user_attr(WHY, str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            log(f"trial {trial.number}: {error}")
        else:
            study.tell(trial, value)
            log(f"trial {trial.number}: validation {search.base.selection} {value:.4f}, best {study.best_value:.4f}")
        folder = os.path.join(search.output, FOLDER, trial.user_attrs["directory"])
        # A finished trial doesn't need its checkpoints any more, which are most of its size.
        for number in range(len(search.splits)):
            shutil.rmtree(os.path.join(folder, f"fold{number}", "checkpoints"), ignore_errors=True)
