"""The ridge regression of a training run: fitted, evaluated and exported to a run's directory of its own."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.evaluation.curve_files import RAW, RIDGE, SMOOTHED, ridge_rows
from trainer.evaluation.evaluate import evaluate_curves, smooth_curves
from trainer.evaluation.metrics import CONSTANT_MEAN, RATERS, MetricsTable
from trainer.evaluation.rater_rows import rater_rows
from trainer.exporting.run_results import RunInput, describe_model, export_next, write_results
from trainer.ridge.fit import RidgeFit, fit_ridge
from trainer.training.run_identity import claim_directory, run_identity


@dataclass(frozen=True, eq=False)
class RidgeRun:
    """A fitted ridge regression: its fit, its figures if there are validation films, and the exported version."""

    fit: RidgeFit
    table: MetricsTable | None
    directory: str

    def rows_beside(self, table: MetricsTable) -> MetricsTable:
        """A network's table with these figures before its own."""
        if self.table is None:
            return table
        of_labels = (CONSTANT_MEAN, RATERS)
        ours = [row.renamed(ridge_rows(row.predictor)) for row in self.table.rows if row.predictor not in of_labels]
        first = [row for row in table.rows if row.predictor in of_labels]
        return MetricsTable((*first, *ours, *(row for row in table.rows if row.predictor not in of_labels)))


def fit_and_export(given: RunInput, output: str, export_version: int | None) -> RidgeRun:
    """Fits, chooses penalties and filter on the validation films, evaluates and exports.

    Args:
        given: films, configuration and transform.
        output: directory of this run, local or `gs://`.
        export_version: number of the exported version; None for the next free one.

    Raises:
        ConfigurationError: if `output` holds another run, or as `fit_ridge` raises it.
    """
    from trainer.exporting.ridge_module import export_ridge

    config = given.config
    whole = run_identity(given.films_train, given.films_validation, config, given.identity())
    settings = {
        "modalities": list(config.model.modalities),
        "presence_input": config.model.presence_input,
        "labels": config.labels.model_dump(mode="json"),
    }
    claim_directory(output, {**whole, "train": {"model": RIDGE, **settings}})
    fit = fit_ridge(given.films_train, given.films_validation, config)
    table = None
    if given.films_validation:
        raw = {film.film_id: fit.predictions[film.film_id] for film in given.films_validation}
        curves = {RAW: raw, SMOOTHED: smooth_curves(raw, fit.smoothing, config.labels)}
        table = evaluate_curves(curves, given.films_validation, fit.constant, config.labels.targets)
        table = table.beside_raters(rater_rows(given.films_validation, config.labels.targets))
    card = describe_model(given, fit.smoothing, fit.constant, table, fit.model.sha256())
    card["penalty"] = dict(fit.penalty)
    write_results(given, fit.predictions, fit.smoothing, fit.constant, table, output)
    further = {**config.needed_ridge().model_dump(mode="json"), "penalty": card["penalty"], **settings}
    directory = export_next(
        output, card, export_version, lambda card, place: export_ridge(fit.model, given.transform, card, further, place)
    )
    return RidgeRun(fit, table, directory)
