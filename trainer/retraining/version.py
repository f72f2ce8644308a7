"""A challenger: its number, which of a round's two models it is, and copying it to the exports under that number."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_pipelines.contracts.models.exported_cards import EXPORTS, versions_of
from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.foundation import storage
from trainer.evaluation.curve_files import RIDGE, SMOOTHED, ridge_rows
from trainer.exporting.export_directory import publish_export
from trainer.retraining.stages import RoundError

PLAN = "plan.json"
CHOICE = "challenger.json"
NETWORK = "network"
CALIBRATED = "calibrated"
"""The folder of a round with its challenger once more, with bands, if films are there that calibrate it."""


def planned_version(round_directory: str, exports: str) -> int | None:
    """The number that a killed round chose; None if there is none, or another process has exported it."""
    try:
        plan = json.loads(storage.read_text(storage.join(round_directory, PLAN)))
    except FileNotFoundError:
        return None
    version: int = plan["version"]
    return version if version not in versions_of(exports) or _is_of(round_directory, exports, version) else None


def plan_version(round_directory: str, exports: str) -> int:
    """Chooses the next free number, and notes it."""
    version = max(versions_of(exports), default=0) + 1
    storage.write_text(storage.join(round_directory, PLAN), json.dumps({"version": version}) + "\n")
    return version


def trained_model(round_directory: str, version: int, kind: str = NETWORK) -> str:
    """The directory to which a round's own training exports its network, or the ridge regression beside it."""
    run = storage.join(round_directory, "model")
    return storage.join(run if kind == NETWORK else storage.join(run, kind), EXPORTS, str(version))


def calibrated_model(round_directory: str, version: int) -> str:
    """The directory to which a round exports its challenger with bands."""
    return storage.join(round_directory, CALIBRATED, str(version))


@dataclass(frozen=True)
class Challenger:
    """The one model of a round that is compared with the champion.

    Attributes:
        kind: `network` or `ridge`, whichever is better on the validation films.
        uri: the directory of its version.
        why: the figures of both, for people; empty if nothing could choose.
    """

    kind: str
    uri: str
    why: str


def choose_challenger(round_directory: str, version: int, metric: str) -> Challenger:
    """Chooses the better of network and ridge regression on the validation films, once in a round.

    One of them is tested on the held-out films: testing both there and taking the better one would promote too often.
    Without validation films it is the network.

    Args:
        round_directory: directory of the round, whose training is done.
        version: its number.
        metric: `mse`, `pcc` or `ccc` of the smoothed curves, pooled, mean of all targets.
    """
    card = json.loads(storage.read_text(storage.join(trained_model(round_directory, version), CARD)))
    rows = [row for row in card.get("validation_metrics", ()) if row["scope"] == "pooled"]
    figures = {(row["predictor"], row["target"]): row[metric] for row in rows}
    targets = dict.fromkeys(row["target"] for row in rows)
    names = {NETWORK: SMOOTHED, RIDGE: ridge_rows(SMOOTHED)}
    of_each = {kind: [figures.get((name, target)) for target in targets] for kind, name in names.items()}
    kind, why = NETWORK, ""
    if targets and None not in of_each[RIDGE]:  # without validation films the card has no rows at all
        network, ridge = (_mean(both) for both in of_each.values())
        better = ridge < network if metric == "mse" else ridge > network
        kind = RIDGE if better else NETWORK
        why = f"{metric.upper()} on the validation films: network {network:.4f}, ridge regression {ridge:.4f}"
    storage.write_text(storage.join(round_directory, CHOICE), json.dumps({"kind": kind}) + "\n")
    return Challenger(kind, trained_model(round_directory, version, kind), why)


def _mean(figures: Sequence[float | None]) -> float:
    """The mean of all targets; a constant curve has no correlation, which is worse than any."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if len(known) == len(figures) else -math.inf


def _chosen_model(round_directory: str, version: int) -> str:
    calibrated = calibrated_model(round_directory, version)
    if storage.stat(storage.join(calibrated, CARD)) is not None:
        return calibrated
    kind = json.loads(storage.read_text(storage.join(round_directory, CHOICE)))["kind"]
    return trained_model(round_directory, version, kind)


def publish_challenger(round_directory: str, exports: str, version: int) -> None:
    """Copies a round's model to the exports; if it is there already, that is no error.

    Raises:
        RoundError: if another model has this number.
        ConfigurationError: if another export is just writing it.
        StorageError: if the bucket can't be written to.
    """
    model, target = _chosen_model(round_directory, version), storage.join(exports, str(version))
    if version in versions_of(exports):
        if not _is_of(round_directory, exports, version):
            raise RoundError(f"{target}: was exported by somebody else meanwhile; start again, with another number")
        return
    with storage.local_tree(model) as trained:

        def save(folder: str) -> None:
            # The card is written separately, and last.
            shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(CARD), dirs_exist_ok=True)

        publish_export(save, (Path(trained) / CARD).read_text(encoding="utf-8"), target)


def _is_of(round_directory: str, exports: str, version: int) -> bool:
    try:
        model = _chosen_model(round_directory, version)
        ours, theirs = (storage.read_bytes(storage.join(uri, CARD)) for uri in (model, f"{exports}/{version}"))
    except FileNotFoundError:
        return False
    return ours == theirs
