"""The paper's runs: their files, their settings, and their figures in the paper's Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section, validate
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.experiments.reproduce_config import ReproduceConfig
from trainer.foundation.config import TrainConfig

_COLUMNS = (("valence", "mse"), ("valence", "pcc"), ("arousal", "mse"), ("arousal", "pcc"))
_TABLE_1 = {
    "run1": (0.1193, 0.1175, 0.1384, 0.2911),
    "run2": (0.0945, 0.1376, 0.1479, 0.1957),
    "run3": (0.1133, 0.1883, 0.1778, 0.2773),
    "run4": (0.1073, 0.2779, 0.1396, 0.3513),
    "run5": (0.0837, 0.1786, 0.1334, 0.3358),
}
TABLE_1 = {run: dict(zip(_COLUMNS, values, strict=True)) for run, values in _TABLE_1.items()}
"""The paper's Table 1 (test set): run -> (target, figure) -> value."""

_PLACES = (Path(__file__).parents[1] / "paper", Path(__file__).parents[2] / "configs" / "paper")


@dataclass(frozen=True)
class PaperRun:
    """A run: its name (its file's name), and its sections `train` and `reproduce`."""

    name: str
    train: TrainConfig
    reproduce: ReproduceConfig


def paper_directory() -> str:
    """The directory of `run1.yaml` … `run5.yaml`: in the installed package, or `configs/paper` of a checkout.

    Raises:
        ConfigurationError: if neither has them.
    """
    for place in _PLACES:
        if (place / "run1.yaml").is_file():
            return str(place)
    raise ConfigurationError(
        f"the paper's runs are in neither of {', '.join(map(str, _PLACES))}; name the directory of their files (--runs)"
    )


def load_runs(directory: str, overrides: Sequence[str] = (), splits: Mapping[str, int] | None = None) -> list[PaperRun]:
    """Reads every `*.yaml` of a directory, sorted by name, runs with members last.

    Args:
        directory: the directory of the files.
        overrides: `key=value` of the section `train`, for all runs.
        splits: keys of the section `reproduce` that replace those of all files.

    Raises:
        ConfigurationError: if there is no file, a file is wrong, a member is no run that trains, or runs read labels
            differently.
    """
    runs = []
    for info in storage.list_files(storage.join(directory, "*.yaml")):
        name = info.uri.rsplit("/", 1)[-1].removesuffix(".yaml")
        section = load_section("reproduce", ReproduceConfig, info.uri)
        section = validate(ReproduceConfig, {**section.model_dump(), **(splits or {})}, "the command line: reproduce")
        train = load_section("train", TrainConfig, info.uri, () if section.members else overrides)
        runs.append(PaperRun(name, train, section))
    trained = [run for run in runs if not run.reproduce.members]
    if not trained:
        raise ConfigurationError(f"{directory}: holds no run that trains; name the directory of run1.yaml … (--runs)")
    for run in runs:
        unknown = sorted(set(run.reproduce.members) - {one.name for one in trained})
        if unknown:
            raise ConfigurationError(
                f"{storage.join(directory, run.name)}.yaml: reproduce.members names {', '.join(unknown)}, which is no "
                f"run of this directory that trains; those are {', '.join(one.name for one in trained)}"
            )
    for run in trained:
        if run.train.labels.targets != TARGETS:
            raise ConfigurationError(
                f"{directory}: {run.name} learns {run.train.labels.targets[0]} only, but Table 1 and run files "
                "have both targets; leave out train.labels.targets"
            )
        if run.train.labels != trained[0].train.labels:
            raise ConfigurationError(
                f"{directory}: {run.name} and {trained[0].name} differ in train.labels, and no table could hold both"
            )
    return [*trained, *(run for run in runs if run.reproduce.members)]
