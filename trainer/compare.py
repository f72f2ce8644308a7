"""`cineaffect compare`: the paper's comparisons, each a table with mean and spread over seeds, and a CSV.

The films of the split `test` are scored; epoch and filter are chosen on the split `validation`.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from beam_pipelines import storage
from beam_pipelines.catalogue import films_of_splits, read_manifest
from beam_pipelines.configuration import load_section
from beam_pipelines.errors import EXIT_CONFIGURATION, EXIT_OK, CineAffectError
from beam_pipelines.smoothing import SmoothingConfig
from trainer.config import TrainConfig
from trainer.dataset import TrainingFilm, assert_no_leak, load_films, read_statistics
from trainer.evaluate import SMOOTHED, evaluate_curves, selection_score, smooth_curves
from trainer.metrics import CONSTANT_MEAN, TARGETS, mean_label

ORDERS = (1, 2, 4)
WIDTHS_S = (5, 9, 15, 25, 41)
VARIANTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "features": {
        "own": ["model.modalities=[image,audio]"],
        "baseline": ["model.modalities=[fc6,emobase2010]"],
    },
    "faces": {
        "with faces": ["model.modalities=[image,audio,face]"],
        "without faces": ["model.modalities=[image,audio]"],
    },
    "window": {f"{seconds} s": [f"model.window_s={seconds}"] for seconds in (10, 30, 60)},
    "encoder": {kind.upper(): [f"model.encoder={{kind: {kind}}}"] for kind in ("gru", "lstm", "tcn")},
    "smoothing": {"": []},
    "ensemble": {"": []},
}
Films = Mapping[str, Sequence[TrainingFilm]]
Curves = Mapping[str, np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect compare`: returns the exit code."""
    try:
        return _main(_parser().parse_args(argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION


def smoothed_variants(
    curves: Curves, validation: Sequence[TrainingFilm], config: TrainConfig
) -> Iterator[tuple[str, SmoothingConfig]]:
    """Raw, and the filters of both kinds that do best on the validation films by `config.selection`."""
    cutoffs = dict.fromkeys((config.smoothing.cutoff_hz, *config.smoothing_cutoffs_hz))
    candidates = {
        "raw": [SmoothingConfig(method="none")],
        "Butterworth": [SmoothingConfig(order=order, cutoff_hz=cutoff) for order in ORDERS for cutoff in cutoffs],
        "moving average": [SmoothingConfig(method="moving_average", width_s=width) for width in WIDTHS_S],
    }
    constant = mean_label(film.labels[film.known] for film in validation)

    def score(candidate: SmoothingConfig) -> float:
        smoothed = smooth_curves({film.film_id: curves[film.film_id] for film in validation}, candidate, config.labels)
        return selection_score(evaluate_curves({SMOOTHED: smoothed}, validation, constant), config.selection, SMOOTHED)

    for name, filters in candidates.items():
        yield name, max(filters, key=score)


def _predict(films: Films, config: TrainConfig, output: str) -> tuple[dict[str, np.ndarray], SmoothingConfig]:
    from trainer.train import predict_films, train
    from trainer.windows import stack_films

    result = train(films["train"], films["validation"], config, output)
    curves = {**result.predictions, **predict_films(result.model, stack_films(films["test"]), config.labels)}
    return curves, result.smoothing


def _load(arguments: argparse.Namespace, config: TrainConfig) -> Films:
    from trainer.transform import load_transform

    statistics, catalogue = read_statistics(arguments.transform), read_manifest(arguments.manifest)
    transform = load_transform(arguments.transform)
    films = {}
    for split in ("train", "validation", "test"):
        chosen = films_of_splits(catalogue, [split], arguments.manifest)
        modalities = config.model.modalities
        films[split] = load_films(arguments.records, chosen, transform, statistics, config.labels, modalities)
    assert_no_leak(films["train"], [*films["validation"], *films["test"]], statistics)
    return films


def _predictors(
    arguments: argparse.Namespace, variant: str, settings: Sequence[str]
) -> Iterator[tuple[int, TrainConfig, Films, dict[str, Curves]]]:
    """Seed after seed, what one variant gives: predictor -> its smoothed curves of the test films."""
    config = load_section("train", TrainConfig, arguments.config, [*arguments.overrides, *settings])
    films, members = _load(arguments, config), []
    for seed in range(arguments.seeds):
        seeded = config.model_copy(update={"seed": config.seed + 1000 * seed})
        folder = f"{arguments.what}-{variant or 'base'}-{seed}".replace(" ", "_")
        curves, chosen = _predict(films, seeded, storage.join(arguments.output, "runs", folder))
        filters = {variant or "single runs": chosen}
        if arguments.what == "smoothing":
            filters = dict(smoothed_variants(curves, films["validation"], seeded))
        test = {film.film_id: curves[film.film_id] for film in films["test"]}
        found: dict[str, Curves] = {name: smooth_curves(test, one, config.labels) for name, one in filters.items()}
        members.append(next(iter(found.values())))
        if arguments.what == "ensemble" and seed == arguments.seeds - 1:
            found["mean of runs"] = {film_id: np.mean([m[film_id] for m in members], axis=0) for film_id in test}
        yield seed, config, films, found


def _main(arguments: argparse.Namespace) -> int:
    rows = []
    for variant, settings in VARIANTS[arguments.what].items():
        for seed, _, films, found in _predictors(arguments, variant, settings):
            constant = mean_label(film.label_rows for film in films["train"])
            table = evaluate_curves(found, films["test"], constant)
            rows += [{"seed": seed, **row} for row in table.to_dict() if row["scope"] != "film"]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_text(storage.join(arguments.output, f"{arguments.what}.csv"), text.getvalue())
    names = list(dict.fromkeys([CONSTANT_MEAN, *(str(row["predictor"]) for row in rows)]))
    print(f"{'pooled, test films':<20}" + "".join(f"{t + ' ' + f:>20}" for t in TARGETS for f in ("MSE", "PCC", "CCC")))
    for name in names:
        cells = ""
        for target in TARGETS:
            for figure in ("mse", "pcc", "ccc"):
                wanted = (name, target, "pooled")
                found_rows = [r[figure] for r in rows if (r["predictor"], r["target"], r["scope"]) == wanted]
                values = [value for value in found_rows if value is not None]
                cell = f"{np.mean(values):.4f} ±{np.std(values):.4f}" if values else "–"
                cells += f"{cell:>20}"
        print(f"{name:<20}{cells}")
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cineaffect compare", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--what", required=True, choices=list(VARIANTS), help="which comparison")
    parser.add_argument("--manifest", required=True, help="CSV with film_id, path, split and labels")
    parser.add_argument("--records", required=True, help="directory of feature records")
    parser.add_argument("--transform", required=True, help="directory that prepare made from the split train")
    parser.add_argument("--output", required=True, help="directory of runs and tables; started again, it goes on there")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant (default: 3)")
    parser.add_argument("--config", help="YAML file with a section train")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="train keys")
    return parser


if __name__ == "__main__":
    sys.exit(main())
