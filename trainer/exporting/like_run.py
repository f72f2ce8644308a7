"""The settings of an earlier training run, with the epoch and the filter that its validation films chose."""

from __future__ import annotations

import json
from collections.abc import Sequence

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section, section_values
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.evaluation.curve_files import RIDGE
from trainer.foundation.config import TrainConfig


def settings_like(run: str, path: str | None, overrides: Sequence[str]) -> TrainConfig:
    """The `train` section of a run, or of a file, with what the run chose: `epochs`, the filter, ridge's penalties.

    Args:
        run: directory of a training run, local or `gs://`; its newest exported model counts. One of ridge regression
            alone has chosen no epoch.
        path: YAML file that replaces the run's settings, but for these; None keeps them all.
        overrides: `key=value` strings, which come last.

    Raises:
        ConfigurationError: if the run has exported no model or one that was not trained (an ensemble), or a key or
            value is wrong.
    """
    cards = exported_cards(run)
    if not cards:
        raise ConfigurationError(f"--like {run}: has exported no model; name the directory of a finished training")
    card = cards[max(cards)]
    try:
        chosen = {"smoothing": card["smoothing"]}
        if "penalty" not in card:
            chosen["epochs"] = card["best_epoch"]
        beside = exported_cards(storage.join(run, RIDGE))
        penalty = card.get("penalty") or (beside[max(beside)]["penalty"] if beside else None)
        given = section_values("train", path) if path else card["configuration"]["train"]
        if penalty and given.get("ridge", {}) is not None:
            chosen["ridge.penalty"] = penalty
        settings = {**({} if path else given), **chosen}
    except KeyError as error:
        raise ConfigurationError(
            f"--like {run}: the card of version {max(cards)} has no {error}; name a training run, not an ensemble"
        ) from error
    as_overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]  # JSON is YAML
    return load_section("train", TrainConfig, path, [*as_overrides, *overrides])
