"""An Optuna study in a file: its sampler and pruner, interrupted trials, the next trial, and its results.

The study is an SQLite file, whose transactions survive a kill and let several processes write. Every trial's sampling
has its own seed, from the study's seed and the trial's number, so that an interrupted study continues like an
uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from beam_pipelines.contracts.runs import BEST_CONFIG, STUDY_RESULTS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.text_tables import csv_text
from trainer.foundation.config import TrainConfig
from trainer.tuning.config import TuneConfig

STUDY_FILE = "study.db"
DIRECTORY, WHY, FOLDER = "directory", "why", "trials"
_NAME = "cineaffect"
TRIALS_FOR_IMPORTANCE = 20
"""The least number of finished trials for parameter importances: with fewer, the best tenth would be a single trial."""
_BUSY_S = 120
_SHARED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING


@contextmanager
def only_study(output: str) -> Iterator[None]:
    """Holds the study's lock until the `with` block ends.

    Raises:
        ConfigurationError: if another `tune` is working on this study.
    """
    Path(output).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(os.path.join(output, "tune.lock"), timeout=0):
            yield
    except Timeout as error:
        raise ConfigurationError(f"{output}: another tune is at this study; wait until it has ended") from error


def open_study(output: str, direction: Literal["minimize", "maximize"]) -> optuna.Study:
    """Opens or makes the study of a directory."""
    database = optuna.storages.RDBStorage(
        f"sqlite:///{Path(output).absolute() / STUDY_FILE}", engine_kwargs={"connect_args": {"timeout": _BUSY_S}}
    )
    return optuna.create_study(storage=database, study_name=_NAME, direction=direction, load_if_exists=True)


def claim_study(study: optuna.Study, identity: dict[str, Any], output: str) -> None:
    """Stores the study's identity, or refuses to continue a study with another one.

    Raises:
        ConfigurationError: if the study has another identity; the text names the keys that differ.
    """
    known = study.user_attrs.get("identity")
    plain = json.loads(json.dumps(identity))
    if known is None:
        study.set_user_attr("identity", plain)
    elif known != plain:
        keys = sorted(key for key in {*known, *plain} if known.get(key) != plain.get(key))
        raise ConfigurationError(f"{output}: holds a study that differs in {', '.join(keys)}; name another --output")


def retry_killed(study: optuna.Study) -> int:
    """Marks interrupted trials of a killed process as failed, and queues them again; returns how many.

    The caller holds the study's lock, so that no process runs a trial that is marked as running. The new trial has the
    old one's directory, and resumes from its checkpoint.
    """
    killed = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]
    for trial in killed:
        study.tell(trial.number, state=TrialState.FAIL)
        directory = trial.user_attrs.get(DIRECTORY, str(trial.number))
        study.enqueue_trial(trial.params, user_attrs={DIRECTORY: directory, "retry_of": trial.number})
    return len(killed)


def next_trial(study: optuna.Study, config: TuneConfig, output: str) -> optuna.Trial | None:
    """The next trial, for one process at a time; None if the study has the configured number."""
    with FileLock(os.path.join(output, "ask.lock")):
        trials = study.get_trials(deepcopy=False)
        waiting = any(trial.state == TrialState.WAITING for trial in trials)
        taken = sum(trial.state in _SHARED or WHY in trial.user_attrs for trial in trials)
        if taken >= config.trials and not waiting:
            return None
        study.sampler = make_sampler(config, len(trials))
        trial = study.ask()
        if DIRECTORY not in trial.user_attrs:
            trial.set_user_attr(DIRECTORY, str(trial.number))
        return trial


def make_sampler(config: TuneConfig, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial."""
    seed = (config.seed * 1_000_003 + number) % 2**32
    if config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=config.startup_trials)


def make_pruner(config: TuneConfig) -> optuna.pruners.BasePruner:
    """The pruner; its steps are epochs, from 1."""
    if config.pruner == "median":
        return optuna.pruners.MedianPruner(config.startup_trials, n_warmup_steps=config.warmup_epochs)
    if config.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=config.warmup_epochs)
    return optuna.pruners.NopPruner()


def importances(study: optuna.Study) -> dict[str, float]:
    """How much of the best trials' advantage each parameter explains, largest first; the sum is 1.

    The method is PED-ANOVA (Watanabe, Bansal and Hutter 2023). It compares the best tenth of the trials with all of
    them; for a parameter that not every trial draws (such as a TCN's filters), among those that do. The result is empty
    below `TRIALS_FOR_IMPORTANCE` finished trials.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < TRIALS_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        # The warnings: the evaluator is experimental, and equal trials give equal importances.
        warnings.simplefilter("ignore", UserWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def write_results(study: optuna.Study, output: str, selection: str, best: TrainConfig | None) -> None:
    """Writes `trials.csv`, `study.json` and, if a trial has finished, `best.yaml`."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    fields = ["number", "state", "value", "epochs", "seconds", "why"]
    rows = [{**_row(trial), **{name: trial.params.get(name) for name in names}} for trial in trials]
    columns = [*fields, *names]
    table = csv_text(columns, [[row.get(column) for column in columns] for row in rows])
    storage.write_text(storage.join(output, "trials.csv"), table)
    document = {
        "selection": selection,
        "direction": study.direction.name.lower(),
        "parameters": names,
        "best": None if best is None else study.best_trial.number,
        "importances": importances(study),
        "trials": rows,
    }
    storage.write_text(storage.join(output, STUDY_RESULTS), json.dumps(document, indent=2, allow_nan=False) + "\n")
    if best is not None:
        head = f"# Trial {study.best_trial.number} of a study: validation {selection} {study.best_value:.6g}.\n"
        head += "# Its validation films chose epochs and smoothing.\n"
        section = yaml.safe_dump({"train": best.model_dump(mode="json")}, sort_keys=False, allow_unicode=True)
        storage.write_text(storage.join(output, BEST_CONFIG), head + section)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    seconds = trial.duration.total_seconds() if trial.duration else None
    value = trial.value if trial.value is None or math.isfinite(trial.value) else None
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": value,
        "epochs": len(trial.intermediate_values),
        "seconds": None if seconds is None else round(seconds, 1),
        "why": trial.user_attrs.get(WHY, "killed" if trial.state == TrialState.FAIL else ""),
    }
