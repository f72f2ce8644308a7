"""`cineaffect reproduce`: the paper's five runs on the MediaEval 2018 layout, and its Table 1 beside ours.

development films ──▶ validation films | the rest ──▶ prepare ──▶ train: epoch and cutoff of each run
                  └─▶ all ──▶ prepare ──▶ train for that many epochs ──▶ export, test curves, run files, table

Each step leaves a file when it is done, and is skipped where that is there.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines import storage
from beam_pipelines.catalogue import films_of_splits, read_manifest
from beam_pipelines.configuration import load_section
from beam_pipelines.errors import EXIT_CONFIGURATION, EXIT_OK, CineAffectError, ConfigurationError
from beam_pipelines.mediaeval2018 import LayoutFilm, list_layout
from trainer.config import TrainConfig
from trainer.evaluate import evaluate_curves, read_curve, smooth_curves, write_curve
from trainer.metrics import CONSTANT_MEAN, TARGETS, mean_label
from trainer.run_files import write_run_file

RUNS = ("run1", "run2", "run3", "run4")
MEAN_RUN = "run5"
SHARE_RUN, FILM_SHARE = "run2", 0.7
PAPER = {
    "run1": (0.1193, 0.1175, 0.1384, 0.2911),
    "run2": (0.0945, 0.1376, 0.1479, 0.1957),
    "run3": (0.1133, 0.1883, 0.1778, 0.2773),
    "run4": (0.1073, 0.2779, 0.1396, 0.3513),
    "run5": (0.0837, 0.1786, 0.1334, 0.3358),
}
"""The paper's Table 1: valence MSE and PCC, arousal MSE and PCC."""
COLUMNS = ("valence_mse", "valence_pcc", "arousal_mse", "arousal_pcc")


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect reproduce`: returns the exit code."""
    try:
        return _main(_parser().parse_args(argv))
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION


def write_manifests(
    films: Sequence[LayoutFilm], output: str, validation_films: int, split_seed: int
) -> dict[tuple[str, bool], str]:
    """Writes a manifest for each set of training films; (`selection` or `final`, whether run 2's share) -> address."""
    development = [film for film in films if not film.is_test and film.labels]
    if not 0 < validation_films < len(development) - 1:
        raise ConfigurationError(f"--validation-films {validation_films}: there are {len(development)} to choose from")
    rng = np.random.default_rng(split_seed)
    drawn = [development[index].film_id for index in rng.permutation(len(development))]
    validation, rest = set(drawn[:validation_films]), drawn[validation_films:]
    shared = {"selection": rest[: max(1, round(FILM_SHARE * len(rest)))]}
    shared["final"] = drawn[: max(1, round(FILM_SHARE * len(drawn)))]
    manifests = {}
    for stage, whole in (("selection", rest), ("final", drawn)):
        for part in (False, True):
            trained = set(shared[stage] if part else whole)
            uri = storage.join(output, f"{stage}{'_part' if part else ''}.csv")
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["film_id", "path", "split", "labels"])
            for film in films:
                split = "test" if film.is_test else "train" if film.film_id in trained else "left-out"
                if stage == "selection" and film.film_id in validation:
                    split = "validation"
                writer.writerow([film.film_id, film.path or film.film_id, split, film.labels])
            storage.write_text(uri, text.getvalue())
            manifests[stage, part] = uri
    return manifests


def _start(*command: str) -> None:
    print("cineaffect", *command, flush=True)
    code = subprocess.run([sys.executable, "-m", "beam_pipelines.cli", *command], check=False).returncode
    if code:
        raise ConfigurationError(f"`cineaffect {command[0]}` ended with exit code {code}; what it printed says why")


def _prepare(manifest: str, records: str, config: str | None) -> str:
    transform = manifest.removesuffix(".csv") + "_transform"
    if storage.stat(storage.join(transform, "run_manifest.json")) is None:
        further = ("--config", config) if config else ()
        _start("prepare", "--records", records, "--manifest", manifest, "--output", transform, *further)
    return transform


def _train(
    manifest: str, records: str, output: str, config: TrainConfig, further: Sequence[str], transform: str
) -> None:
    from trainer import task

    if storage.stat(storage.join(output, "done.json")) is not None:
        return
    Path(output).mkdir(parents=True, exist_ok=True)
    section = storage.join(output, "train.yaml")
    storage.write_text(section, json.dumps({"train": config.model_dump(mode="json")}))
    where = ["--manifest", manifest, "--records", records, "--transform", transform, "--output", output]
    if task.main([*where, "--config", section, *further]):
        raise ConfigurationError(f"{output}: the training failed")
    storage.write_text(storage.join(output, "done.json"), "{}\n")


def _newest_card(run: str) -> dict[str, Any]:
    from trainer.exported_cards import exported_cards

    cards = exported_cards(run)
    return cards[max(cards)]


def _predict_test(run: str, manifest: str, records: str, transform: str, config: TrainConfig) -> None:
    """The exported model's curves of the test films, smoothed as its card says, into `<run>/test/curves`."""
    import tensorflow as tf

    from beam_pipelines.records import read_record, record_uri
    from beam_pipelines.smoothing import SmoothingConfig

    if storage.stat(storage.join(run, "test", "done.json")) is not None:
        return
    card = _newest_card(run)
    model = tf.saved_model.load(storage.join(run, "exports", card["version"])).signatures["serving_default"]
    raw = {}
    for film in films_of_splits(read_manifest(manifest), ["test"], manifest):
        record = read_record(record_uri(records, film.film_id), config.model.modalities)
        inputs = {m: tf.constant(track.values) for m, track in record.tracks.items()}
        inputs.update({f"{m}_present": tf.constant(track.present) for m, track in record.tracks.items()})
        answer = model(**inputs)
        raw[film.film_id] = np.stack([answer[target].numpy() for target in TARGETS], axis=1)
    smoothed = smooth_curves(raw, SmoothingConfig.model_validate(card["smoothing"]), config.labels)
    for film_id, curve in raw.items():
        write_curve(storage.join(run, "test"), film_id, curve, smoothed[film_id])
    storage.write_text(storage.join(run, "test", "done.json"), "{}\n")


def _run(name: str, seed: int, arguments: argparse.Namespace, manifests: Mapping[tuple[str, bool], str]) -> str:
    """Selects, trains anew on everything and predicts; returns the directory of the final run."""
    part = name == SHARE_RUN
    path = storage.join(arguments.runs, f"{name}.yaml")
    config = load_section("train", TrainConfig, path, arguments.overrides)
    config = config.model_copy(update={"seed": config.seed + 1000 * seed})
    root = storage.join(arguments.output, f"seed{seed}", name)
    records = arguments.records
    transforms = {
        stage: _prepare(manifests[stage, part], records, arguments.config) for stage in ("selection", "final")
    }
    selection, final = storage.join(root, "selection"), storage.join(root, "final")
    _train(manifests["selection", part], records, selection, config, (), transforms["selection"])
    card = _newest_card(selection)
    smoothing = type(config.smoothing).model_validate(card["smoothing"])
    chosen = config.model_copy(update={"epochs": card["best_epoch"], "smoothing": smoothing})
    alone = ("--validation-splits", "")
    _train(manifests["final", part], records, final, chosen, alone, transforms["final"])
    _predict_test(final, manifests["final", part], records, transforms["final"], chosen)
    return final


def _figures(curves: Mapping[str, Mapping[str, np.ndarray]], manifest: str, labels: Any) -> list[dict[str, Any]]:
    from trainer.annotations import align, read_labels
    from trainer.evaluate import _Labelled

    catalogue = read_manifest(manifest)
    constant = mean_label(read_labels(f.labels, labels).values for f in films_of_splits(catalogue, ["train"], manifest))
    films = []
    for film in films_of_splits(catalogue, ["test"], manifest):
        seconds = len(next(iter(curves.values()))[film.film_id])
        films.append(_Labelled(film.film_id, *align(read_labels(film.labels, labels), seconds)))
    table = evaluate_curves(curves, films, constant)
    return [row for row in table.to_dict() if row["scope"] != "film"]


def _render(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{'':<14}{'over':<15}{'valence MSE':>16}{'PCC':>16}{'arousal MSE':>16}{'PCC':>16}"]
    for name in (CONSTANT_MEAN, *RUNS, MEAN_RUN):
        if name in PAPER:
            lines.append(f"{name:<14}{'paper':<15}" + "".join(f"{value:>16.4f}" for value in PAPER[name]))
        for scope in ("mean of films", "pooled"):
            cells = ""
            for column in COLUMNS:
                target, figure = column.split("_")
                found = [r[figure] for r in rows if (r["predictor"], r["target"], r["scope"]) == (name, target, scope)]
                defined = [value for value in found if value is not None]
                cell = f"{np.mean(defined):.4f} ±{np.std(defined):.4f}" if defined else "–"
                cells += f"{cell:>16}"
            lines.append(f"{name:<14}{scope:<15}{cells}")
    return "\n".join(lines)


def _main(arguments: argparse.Namespace) -> int:
    films = list_layout(arguments.data)
    manifests = write_manifests(films, arguments.output, arguments.validation_films, arguments.split_seed)
    if not arguments.records:
        arguments.records = storage.join(arguments.output, "features")
        further = ("--config", arguments.config) if arguments.config else ()
        _start("extract", "--films", manifests["final", False], "--output", arguments.records, *further)
    labels = load_section("train", TrainConfig, storage.join(arguments.runs, "run1.yaml"), arguments.overrides).labels
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        curves: dict[str, dict[str, np.ndarray]] = {}
        for name in RUNS:
            final = _run(name, seed, arguments, manifests)
            folder = storage.join(final, "test", "curves")
            curves[name] = {
                film.film_id: read_curve(storage.join(folder, f"{film.film_id}.csv"))["smoothed"]
                for film in films
                if film.is_test
            }
        ids = curves[RUNS[0]]
        curves[MEAN_RUN] = {film_id: np.mean([curves[name][film_id] for name in RUNS], axis=0) for film_id in ids}
        for name, run in curves.items():
            write_run_file(storage.join(arguments.output, f"seed{seed}", f"{name}.txt"), run)
        rows += [{"seed": seed, **row} for row in _figures(curves, manifests["final", False], labels)]
    storage.write_text(
        storage.join(arguments.output, "table1.json"), json.dumps({"paper": PAPER, "rows": rows}, indent=2)
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_text(storage.join(arguments.output, "table1.csv"), text.getvalue())
    print(_render(rows))
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cineaffect reproduce", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", required=True, help="directory in the layout of MediaEval 2018")
    parser.add_argument("--output", required=True, help="local directory; started again, it goes on there")
    parser.add_argument("--records", default="", help="feature records that lie ready; without, films are extracted")
    parser.add_argument("--runs", default="configs/paper", help="directory of run1.yaml … run4.yaml")
    parser.add_argument("--config", help="YAML file whose sections extract and prepare hold for those steps")
    parser.add_argument("--seeds", type=int, default=1, help="how often each run is trained (default: 1)")
    parser.add_argument("--validation-films", type=int, default=13, help="of the development films (paper: 13)")
    parser.add_argument("--split-seed", type=int, default=2018, help="draws validation films and run 2's share (ours)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="train keys")
    return parser


if __name__ == "__main__":
    sys.exit(main())
