"""Curves against labels: smoothing, its choice on validation films, the table of figures, and `cineaffect evaluate`.

Needs no TensorFlow: what it evaluates are curves, wherever they come from.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from beam_pipelines.contracts.curves.curves import (
    COLUMNS,
    CURVES,
    AffectCurve,
    CurveError,
    curve_uri,
    read_columns,
    to_csv,
)
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import EXIT_OK, EXIT_SOME_FILMS_FAILED, CineAffectError, ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.labels.annotations import LabelReport, align, read_labels, render_reports, report_alignment
from beam_pipelines.labels.config import LabelConfig
from trainer.evaluation.metrics import MetricsTable, mean_label, tabulate
from trainer.evaluation.run_files import read_run_file, run_name
from trainer.foundation.config import TrainConfig

RAW, SMOOTHED = "raw", "smoothed"


class LabelledFilm(Protocol):
    """What is needed of a film: its id, labels float32 [T, 2] and known bool [T]."""

    @property
    def film_id(self) -> str: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def known(self) -> np.ndarray: ...


def evaluate_curves(
    curves: Mapping[str, Mapping[str, np.ndarray]], films: Sequence[LabelledFilm], constant: np.ndarray
) -> MetricsTable:
    """The figures of one or several predictors beside the constant mean.

    Args:
        curves: predictor (`raw`, `smoothed`, …) -> film id -> [T, 2], in the labels' range.
        films: the films to score; each predictor must have them all.
        constant: [2], mean of the training labels (`metrics.mean_label`).

    Raises:
        ValueError: see `metrics.tabulate`.
    """
    return tabulate(curves, {film.film_id: (film.labels, film.known) for film in films}, constant)


def smooth_curves(
    curves: Mapping[str, np.ndarray], smoothing: SmoothingConfig, labels: LabelConfig
) -> dict[str, np.ndarray]:
    """Smooths each film's [T, 2], valence and arousal apart; float64 [T, 2], kept within the labels' range."""
    label_range = (labels.minimum, labels.maximum)
    smoothed = {}
    for film_id, curve in curves.items():
        columns = [smooth(column, smoothing, label_range=label_range).values for column in np.asarray(curve).T]
        smoothed[film_id] = np.stack(columns, axis=1)
    return smoothed


def choose_smoothing(
    curves: Mapping[str, np.ndarray], films: Sequence[LabelledFilm], config: TrainConfig
) -> SmoothingConfig:
    """The configured Butterworth filter with the cutoff that does best on some films by `config.selection`.

    Another method than Butterworth has no cutoff and is returned as it is; so is every filter where there are no films.
    Of equals the first wins, and `config.smoothing` is the first of all.
    """
    if not films or config.smoothing.method != "butterworth":
        return config.smoothing
    raw = {film.film_id: curves[film.film_id] for film in films}
    constant = mean_label(film.labels[film.known] for film in films)
    scores = {}
    for cutoff in dict.fromkeys((config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz)):
        candidate = SmoothingConfig.model_validate({**config.smoothing.model_dump(), "cutoff_hz": cutoff})
        table = evaluate_curves({SMOOTHED: smooth_curves(raw, candidate, config.labels)}, films, constant)
        scores[candidate] = selection_score(table, config.selection, SMOOTHED)
    return max(scores, key=lambda candidate: scores[candidate])


def selection_score(table: MetricsTable, selection: str, predictor: str) -> float:
    """The pooled figure that chooses, mean of valence and arousal; higher is better, so MSE counts negative.

    An undefined correlation (a constant prediction) is the worst: minus infinity.
    """
    figure = float(np.mean([getattr(table.find(predictor, target), selection) for target in TARGETS]))
    if math.isnan(figure):
        return -math.inf
    return -figure if selection == "mse" else figure


def write_curve(directory: str, film_id: str, raw: np.ndarray, smoothed: np.ndarray) -> None:
    """Writes `<directory>/curves/<film_id>.csv` of [T, 2] each, the very file of a scoring run (contract 3)."""
    curve = AffectCurve(film_id, *np.transpose(smoothed), *np.transpose(raw))
    storage.write_text(curve_uri(directory, film_id), to_csv(curve))


def read_curve(uri: str) -> dict[str, np.ndarray]:
    """Reads a curve of a scoring or a training run, or another system's, which needs time_s, valence and arousal only.

    Returns:
        `smoothed` float64 [T, 2], and `raw` where the file has those columns; NaN where a cell is empty.

    Raises:
        ConfigurationError: for a file that isn't such a CSV; it names file and line.
        FileNotFoundError: where there is none.
    """
    try:
        columns = read_columns(storage.read_text(uri), uri)
    except CurveError as error:
        raise ConfigurationError(str(error)) from error
    lacking = [target for target in TARGETS if target not in columns]
    if lacking:
        raise ConfigurationError(f"{uri}: not a curve: it has no column {', '.join(lacking)}")
    curve = {SMOOTHED: np.stack([columns[target] for target in TARGETS], axis=1)}
    if set(COLUMNS) <= set(columns):
        curve[RAW] = np.stack([columns[f"{target}_raw"] for target in TARGETS], axis=1)
    return curve


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate_run` found.

    Attributes:
        table: the figures.
        reports: what was cut of each film's labels.
        without_curve: films of the splits that have labels but no curve.
        without_labels: films of the splits that have none.
        untrained: modalities whose features come from random weights; None where the run doesn't say.
    """

    table: MetricsTable
    reports: tuple[LabelReport, ...]
    without_curve: tuple[str, ...]
    without_labels: tuple[str, ...]
    untrained: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class FilmLabels:
    """A film's labels, as long as its curve: labels float32 [T, 2], known bool [T]."""

    film_id: str
    labels: np.ndarray
    known: np.ndarray


def evaluate_run(scores: str, films: Sequence[Film], constant_films: Sequence[Film], config: LabelConfig) -> Evaluation:
    """Holds the curves of a scoring or training run against label files.

    Args:
        scores: the run's directory, with `curves/<film_id>.csv`.
        films: the films to evaluate.
        constant_films: the films whose labels' mean is the constant row: those of the training split.
        config: how labels are read.

    Raises:
        ConfigurationError: a label file or curve with a defect, or nothing to evaluate.
    """
    folder = storage.join(scores, CURVES)

    def curve_of(film_id: str) -> Mapping[str, np.ndarray] | None:
        try:
            return read_curve(curve_uri(scores, film_id))
        except FileNotFoundError:
            return None

    return _evaluate(folder, curve_of, films, constant_films, config, untrained_of_run(scores))


def evaluate_run_file(
    uri: str, films: Sequence[Film], constant_films: Sequence[Film], config: LabelConfig
) -> Evaluation:
    """Holds a run file in the task's format (`trainer.evaluation.run_files`) against label files; see `evaluate_run`.

    The predictor has the name of the file. As in the task's own script, the longer of a film's rows and labels is cut.

    Raises:
        RunFileError: for a file that is no run file.
        ConfigurationError: a label file with a defect, or nothing to evaluate.
    """
    run, name = read_run_file(uri), run_name(uri)

    def curve_of(film_id: str) -> Mapping[str, np.ndarray] | None:
        return {name: run[film_id]} if film_id in run else None

    return _evaluate(uri, curve_of, films, constant_films, config, None)


def _evaluate(
    source: str,
    curve_of: Callable[[str], Mapping[str, np.ndarray] | None],
    films: Sequence[Film],
    constant_films: Sequence[Film],
    config: LabelConfig,
    untrained: tuple[str, ...] | None,
) -> Evaluation:
    curves: dict[str, dict[str, np.ndarray]] = {}
    labelled, reports, without_curve = [], [], []
    for film in films:
        if not film.labels:
            continue
        curve = curve_of(film.film_id)
        if curve is None:
            without_curve.append(film.film_id)
            continue
        labels = read_labels(film.labels, config)
        seconds = len(next(iter(curve.values())))
        labelled.append(FilmLabels(film.film_id, *align(labels, seconds)))
        reports.append(report_alignment(film.film_id, labels, seconds))
        for predictor, values in curve.items():
            curves.setdefault(predictor, {})[film.film_id] = values
    if not any(film.known.any() for film in labelled):
        raise ConfigurationError(
            f"{source}: no curve of the {len(films)} chosen films has a labelled second "
            f"({len(without_curve)} have labels but no curve there)"
        )
    # Raw before smoothed, whatever the order of a file's columns.
    names = [name for name in dict.fromkeys((RAW, *curves)) if name in curves]
    whole = {name: curves[name] for name in names if len(curves[name]) == len(labelled)}
    try:
        table = evaluate_curves(whole, labelled, _constant(constant_films, config))
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    without_labels = tuple(film.film_id for film in films if not film.labels)
    return Evaluation(table, tuple(reports), tuple(without_curve), without_labels, untrained)


def untrained_of_run(scores: str) -> tuple[str, ...] | None:
    """The modalities whose features come from untrained networks, by a run's own account; None where it has none.

    A scoring run says so in `run_manifest.json`, a training run in the card of its newest model; another system's
    curves come with neither.

    Raises:
        ConfigurationError: for a manifest that is not JSON.
    """
    uri = storage.join(scores, RUN_MANIFEST)
    try:
        named = json.loads(storage.read_text(uri)).get("untrained")
    except FileNotFoundError:
        cards = exported_cards(scores)
        named = cards[max(cards)].get("untrained_networks") if cards else None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{uri}: not readable as JSON ({error}); run `cineaffect score` again") from error
    return None if named is None else tuple(named)


def untrained_note(modalities: Sequence[str]) -> str:
    """The line that stands under figures which mean nothing beyond a demonstration."""
    return f"made from untrained networks ({', '.join(modalities)}): for demonstration only"


def write_evaluation(evaluation: Evaluation, directory: str) -> None:
    """Writes `evaluation.json` and `evaluation.csv`; both name the untrained networks."""
    content = {
        "untrained": None if evaluation.untrained is None else list(evaluation.untrained),
        "rows": evaluation.table.to_dict(),
        "labels": [asdict(report) for report in evaluation.reports],
        "films_without_curve": list(evaluation.without_curve),
        "films_without_labels": list(evaluation.without_labels),
    }
    storage.write_text(
        storage.join(directory, "evaluation.json"), json.dumps(content, indent=2, allow_nan=False) + "\n"
    )
    storage.write_text(storage.join(directory, "evaluation.csv"), evaluation.table.to_csv(evaluation.untrained or ()))


def _constant(films: Sequence[Film], config: LabelConfig) -> np.ndarray:
    labels = [read_labels(film.labels, config) for film in films if film.labels]
    if not labels:
        raise ConfigurationError("--train-splits: none of these films has labels to take the constant mean from")
    return mean_label(one.values for one in labels)


EXAMPLES = """
examples:
  held-out films, scored before with `cineaffect score --output scores`:
    cineaffect evaluate --manifest films.csv --scores scores --splits test
  the trainer's own predictions of its validation films:
    cineaffect evaluate --manifest films.csv --scores run --splits validation --per-film
  a run file in the task's format:
    cineaffect evaluate --manifest films.csv --run-file run1.txt --splits test

The constant-mean row answers the mean of all label rows of --train-splits for every second: what a model must beat.
PCC and CCC of a constant series are undefined; means over films leave such films out and say how many.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some labelled films have no curve.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect evaluate`: prints the table, writes evaluation.json and evaluation.csv, returns the exit code."""
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    config = load_section("train", TrainConfig, arguments.config, arguments.overrides)
    output = arguments.output or arguments.scores or arguments.run_file.removesuffix(".txt") + "_evaluation"
    assert_output_directory(output)
    films = read_manifest(arguments.manifest)
    chosen = films_of_splits(films, arguments.splits.split(","), arguments.manifest)
    constant_films = films_of_splits(films, arguments.train_splits.split(","), arguments.manifest)
    if arguments.run_file:
        evaluation = evaluate_run_file(arguments.run_file, chosen, constant_films, config.labels)
    else:
        evaluation = evaluate_run(arguments.scores, chosen, constant_films, config.labels)
    write_evaluation(evaluation, output)
    print(render_reports(evaluation.reports))
    print()
    print(evaluation.table.to_text(per_film=arguments.per_film))
    if evaluation.untrained:
        print(untrained_note(evaluation.untrained))
    for film_ids, what in ((evaluation.without_labels, "no labels"), (evaluation.without_curve, "labels but no curve")):
        if film_ids:
            print(f"\nfilms with {what}, not evaluated: {', '.join(film_ids)}")
    print(f"\nresults: {storage.join(output, 'evaluation.json')}")
    return EXIT_SOME_FILMS_FAILED if evaluation.without_curve else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect evaluate",
        description="Holds predicted curves against labels: MSE, PCC and CCC, per film and pooled.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, path, split and labels")
    predictions = parser.add_mutually_exclusive_group(required=True)
    predictions.add_argument("--scores", help="directory of a scoring or training run, with curves/ in it")
    predictions.add_argument("--run-file", help="a run file in the task's format, a film's name and then its rows")
    parser.add_argument("--splits", default="test", help="which films, comma separated (default: test)")
    parser.add_argument("--train-splits", default="train", help="whose labels give the constant mean (default: train)")
    parser.add_argument(
        "--output", help="where evaluation.json and .csv go (default: the run's directory, or RUN_FILE_evaluation)"
    )
    parser.add_argument("--per-film", action="store_true", help="prints every film's figures too")
    parser.add_argument("--config", help="YAML file; its section train.labels says how labels are read")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="overrides one key of the section train, for example --set labels.minimum=0; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
