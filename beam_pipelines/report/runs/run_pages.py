"""The pages of a training run, of a study and of `reproduce`: one folder each, like a scoring run's page.

data/page.js      everything except the curves
data/film-N.js    curves, labels and the raters' deviation of the N-th validation film, loaded when a reader chooses it

The other files are those of every page's folder (`page_folder`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.curves import AffectCurve, curve_uri, from_csv
from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.runs import BEST_CONFIG, EVALUATION, HISTORY, STUDY_RESULTS, VALIDATION
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.report.page_folder import STUDY, TRAINING, PageFolder
from beam_pipelines.report.runs.table_page import TABLE_1, write_table_page

FOLDER = "report"
CALIBRATION_BINS = 10

_OF_THE_CARD = ("version", "best_epoch", "penalty", "code_version", "seed", "smoothing", "back_s", "ahead_s")
_FIGURES = ("predictor", "target", "scope", "film_id", "seconds", "mse", "pcc", "ccc")


def write_run_page(directory: str, output: str | None = None) -> str:
    """Writes the page of a directory's content: a training run, a study or Table 1; returns the page's address.

    Args:
        directory: `--output` of `cineaffect train`, `tune` or `reproduce`.
        output: the page's folder; None for `<directory>/report`.

    Raises:
        ConfigurationError: if the directory holds none of them, or one of its files can't be read.
    """
    folder = output or storage.join(directory, FOLDER)
    if storage.stat(storage.join(directory, STUDY_RESULTS)) is not None:
        return write_study_page(directory, folder)
    if any(storage.stat(storage.join(directory, name)) is not None for name in (HISTORY, VALIDATION)):
        return write_training_page(directory, folder)
    table = _read_json(directory, TABLE_1)
    if table is not None:
        return write_table_page(table, folder)
    raise ConfigurationError(
        f"{directory}: neither a training run ({HISTORY}) nor a study ({STUDY_RESULTS}) nor a repetition of the paper "
        f"({TABLE_1}); name the --output of `cineaffect train`, `tune` or `reproduce`"
    )


def write_training_page(run: str, output: str) -> str:
    """Writes the page of a training run and returns its address. The page leaves out what the run doesn't have.

    Raises:
        ConfigurationError: if a file has the wrong content.
    """
    validation = _read_json(run, VALIDATION) or {}
    evaluation = _read_json(run, EVALUATION) or {}
    labels: dict[str, Any] = validation.get("labels", {})
    film_ids = sorted(labels)
    # Runs of earlier versions all had both.
    targets = [target for target in TARGETS if target in validation.get("constant", TARGETS)]
    folder = PageFolder(output)
    pairs: list[tuple[AffectCurve, dict[str, np.ndarray]]] = []
    for number, film_id in enumerate(film_ids):
        uri = curve_uri(run, film_id)
        try:
            curve = from_csv(storage.read_text(uri), film_id)
        except (FileNotFoundError, ValueError) as error:
            raise ConfigurationError(f"{uri}: not readable as a curve ({error}); train again") from error
        known: dict[str, np.ndarray] = {target: np.asarray(labels[film_id][target], np.float64) for target in targets}
        if any(len(values) != curve.seconds for values in known.values()):
            raise ConfigurationError(f"{uri}: not as long as the film's labels in validation.json; train again")
        pairs.append((curve, known))
        folder.write_data(
            f"film-{number}", _film(curve, labels[film_id], validation.get("deviation", {}).get(film_id), targets)
        )
    cards = exported_cards(run)
    card = cards[max(cards)] if cards else {}
    page = {
        "targets": targets,
        "history": _read_json(run, HISTORY) or [],
        "rows": [{key: row.get(key) for key in _FIGURES} for row in evaluation.get("rows", [])],
        "films": film_ids,
        "names": {film_id: shown_name(film_id) for film_id in film_ids},
        "smoothing": validation.get("smoothing", []),
        "selection": validation.get("selection"),
        "calibration": {target: calibration(pairs, target) for target in targets} if pairs else {},
        "range": card.get("label_range", [-1.0, 1.0]),
        "untrained": card.get("untrained_networks", []),
        "card": {key: card.get(key) for key in _OF_THE_CARD},
        "trainFilms": len(card.get("data", {}).get("train_films", ())),
        "configuration": card.get("configuration", {}).get("train", {}),
    }
    folder.write_data("page", page)
    return folder.finish(TRAINING)


def write_study_page(study: str, output: str) -> str:
    """Writes the page of a study from its `study.json`, and returns the page's address."""
    best = storage.join(study, BEST_CONFIG)
    configuration = storage.read_text(best) if storage.stat(best) is not None else ""
    folder = PageFolder(output)
    folder.write_data("page", {**(_read_json(study, STUDY_RESULTS) or {}), "configuration": configuration})
    return folder.finish(STUDY)


def calibration(
    pairs: Sequence[tuple[AffectCurve, Mapping[str, np.ndarray]]], target: str
) -> list[dict[str, float | int]]:
    """The mean label for each level of the prediction: seconds sorted by (smoothed) prediction, in bins of equal size.

    A calibrated model's bins lie on the diagonal. Seconds without a label are left out.

    Returns:
        One entry per bin: `predicted`, `labelled` (means) and `seconds`; fewer bins if there are few seconds.
    """
    predicted = np.concatenate([getattr(curve, target) for curve, _ in pairs])
    labelled = np.concatenate([known[target] for _, known in pairs])
    usable = np.isfinite(predicted) & np.isfinite(labelled)
    predicted, labelled = predicted[usable], labelled[usable]
    order = np.argsort(predicted, kind="stable")
    return [
        {
            "predicted": round(float(predicted[part].mean()), 6),
            "labelled": round(float(labelled[part].mean()), 6),
            "seconds": len(part),
        }
        for part in np.array_split(order, CALIBRATION_BINS)
        if len(part)
    ]


def _film(
    curve: AffectCurve, labels: Mapping[str, Any], deviation: Mapping[str, Any] | None, targets: Sequence[str]
) -> dict[str, Any]:
    def plain(values: np.ndarray) -> list[float | None]:
        return [value if np.isfinite(value) else None for value in values.tolist()]

    return {
        target: {
            "smoothed": plain(getattr(curve, target)),
            "raw": plain(getattr(curve, f"{target}_raw")),
            "label": labels[target],
            **({"deviation": deviation[target]} if deviation else {}),
        }
        for target in targets
    }


def _read_json(directory: str, name: str) -> Any:
    try:
        return storage.read_json(storage.join(directory, name))
    except FileNotFoundError:
        return None
