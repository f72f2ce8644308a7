"""`cineaffect retrain`: the jobs as processes, a challenger beside the champion, and a pointer that moves or doesn't.

extract ──▶ prepare ──▶ train ──▶ score challenger, score champion ──▶ compare ──▶ `current`, report

A round is named after the digest of what it depends on (configuration, manifest, labels, records). Killed, it goes on
where it was; decided, it is not repeated, so that a rollback stands until the data or the configuration change.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines import records, storage
from beam_pipelines.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.configuration import load_section
from beam_pipelines.errors import (
    EXIT_CONFIGURATION,
    EXIT_OK,
    EXIT_SOME_FILMS_FAILED,
    CineAffectError,
    ConfigurationError,
)
from trainer.annotations import align, read_labels
from trainer.config import LabelConfig, TrainConfig
from trainer.evaluate import CURVES, SMOOTHED, read_curve
from trainer.exported_cards import CARD, EXPORTS, versions_of
from trainer.metrics import mean_label
from trainer.promotion import Comparison, Series, compare, former_version, move_current, read_current
from trainer.retrain_config import RetrainConfig
from trainer.run_lock import HeldError, only_run

EXIT_HELD = 5
EXIT_STAGE_FAILED = 1

EXAMPLES = """
example:
  retrain.yaml holds the section retrain (manifest, records, output, …) beside extract, prepare, train and score
    cineaffect retrain --config retrain.yaml
    cineaffect score --films new/ --model OUTPUT/exports --output scores     # follows OUTPUT/exports/current
    cineaffect rollback --exports OUTPUT/exports

exit codes: 0 decided (promoted, not promoted, or nothing new), 1 a stage failed, 2 configuration error, 4 too many
films failed in a stage, 5 another run is at work. Killed, start it again: it goes on where it was.
"""


class StageError(CineAffectError):
    """A job ended with a code that stops the round."""

    def __init__(self, stage: str, code: int):
        super().__init__(f"the stage '{stage}' ended with exit code {code}; what it did is kept, start again to go on")
        self.code = code if code in (EXIT_CONFIGURATION, 4) else EXIT_STAGE_FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect retrain`: runs or continues one round and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="cineaffect retrain",
        description="Extracts what is new, trains a challenger, and promotes it if it is better than the champion.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="YAML file with a section retrain")
    try:
        return _main(parser.parse_args(argv).config)
    except HeldError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_HELD
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION


def _main(path: str) -> int:
    config = load_section("retrain", RetrainConfig, path)
    for key in ("manifest", "output"):
        if not getattr(config, key):
            raise ConfigurationError(f"{path}: retrain.{key}: must be given")
    if storage.is_remote(config.output):
        raise ConfigurationError(f"{path}: retrain.output: must be a local directory; records may lie in gs://")
    labels = load_section("train", TrainConfig, path).labels
    with only_run(config.output):
        if config.extract:
            arguments = ["--films", config.manifest, "--output", config.records, "--config", path]
            _start("extract", arguments, allowed=(EXIT_OK, EXIT_SOME_FILMS_FAILED))
        return _Round(config, path, labels).run()


def rollback(argv: Sequence[str] | None = None) -> int:
    """`cineaffect rollback`: moves the pointer to the former version, or to a named one."""
    parser = argparse.ArgumentParser(prog="cineaffect rollback", description="Returns to an earlier exported version.")
    parser.add_argument("--exports", required=True, help="directory of exports, local or gs://")
    parser.add_argument("--to", type=int, help="version to use (default: the one before the current one)")
    arguments = parser.parse_args(argv)
    try:
        version = former_version(arguments.exports) if arguments.to is None else arguments.to
        move_current(arguments.exports, version, {"why": "rollback"})
    except CineAffectError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    print(f"{arguments.exports}: version {version} is in use from the next scoring run on")
    return EXIT_OK


class _Round:
    def __init__(self, config: RetrainConfig, path: str, labels: LabelConfig):
        self.config, self.path, self.labels = config, path, labels
        self.exports = storage.join(config.output, EXPORTS)
        there = records.list_records(config.records)
        splits = (*config.train_splits, *config.validation_splits, *config.held_out_splits)
        films = films_of_splits(read_manifest(config.manifest), splits, config.manifest)
        self.films = [film for film in films if film.film_id in there and film.labels]
        self.left_out = sorted(film.film_id for film in films if film not in self.films)
        self.digest = _digest(path, self.films, there)
        self.directory = Path(config.output) / "rounds" / self.digest[:16]
        self.manifest = self.directory / "films.csv"

    def run(self) -> int:
        """Runs what is left of the round; returns the exit code."""
        report = self.directory / "report.json"
        if report.is_file():
            print(f"nothing has changed since round {self.directory.name}; its decision stands: {self.directory}")
            return EXIT_OK
        champion, version = self._plan()
        held_out = self._held_out(champion)
        challenger_exports = self._train(version)
        ours = self._score("challenger", str(challenger_exports / str(version)), held_out)
        theirs: Series = self._constant(ours)
        reference = "constant mean"
        if champion:
            theirs = self._score("champion", storage.join(self.exports, str(champion)), held_out)
            reference = f"version {champion}"
        config = self.config
        try:
            found = compare(
                ours, theirs, config.metric, config.margin, config.bootstrap_samples, config.confidence, config.seed
            )
        except ValueError as error:
            raise ConfigurationError(f"{config.manifest}: the models can't be compared: {error}") from error
        promoted = found.better or (champion is None and not config.beat_constant_mean)
        if promoted:
            self._publish(challenger_exports / str(version), version)
            move_current(self.exports, version, {"why": "retrain", "round": self.digest, **asdict(found)})
        self._report(found, version, reference, promoted, sorted(ours))
        return EXIT_OK

    def _plan(self) -> tuple[int | None, int]:
        """Champion and challenger's number, fixed when the round begins: a killed round keeps them."""
        plan = self.directory / "plan.json"
        if not plan.is_file():
            versions = versions_of(self.exports)
            champion = read_current(self.exports)
            champion = max(versions, default=None) if champion is None else champion
            self._write_manifest()
            content = {"champion": champion, "version": max(versions, default=0) + 1}
            storage.write_text(str(plan), json.dumps(content) + "\n")
        content = json.loads(plan.read_text())
        return content["champion"], content["version"]

    def _write_manifest(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["film_id", "path", "split", "labels"])
        writer.writerows([film.film_id, film.uri, film.split, film.labels] for film in self.films)
        storage.write_text(str(self.manifest), text.getvalue())

    def _held_out(self, champion: int | None) -> list[Film]:
        """The held-out films that the champion hasn't learned from either."""
        seen: set[str] = set()
        if champion:
            card = json.loads(storage.read_text(storage.join(self.exports, str(champion), CARD)))
            data = card.get("data", {})
            seen = {*data.get("train_films", ()), *data.get("validation_films", ())}
        held_out = [f for f in self.films if f.split in self.config.held_out_splits and f.film_id not in seen]
        if not held_out:
            raise ConfigurationError(f"{self.config.manifest}: no held-out film that version {champion} hasn't seen")
        return held_out

    def _train(self, version: int) -> Path:
        config, common = self.config, ["--manifest", str(self.manifest), "--records", self.config.records]
        transform, model = str(self.directory / "transform"), self.directory / "model"
        if not (model / EXPORTS / str(version) / CARD).is_file():
            splits = f"splits=[{','.join(config.train_splits)}]"
            if not (Path(transform) / "run_manifest.json").is_file():
                _start("prepare", [*common, "--output", transform, "--config", self.path, "--set", splits])
            arguments = [*common, "--transform", transform, "--output", str(model), "--config", self.path]
            arguments += ["--train-splits", ",".join(config.train_splits), "--export-version", str(version)]
            _start("train", [*arguments, "--validation-splits", ",".join(config.validation_splits)])
        return model / EXPORTS

    def _score(self, name: str, model: str, films: Sequence[Film]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        output = str(self.directory / name)
        arguments = ["--records", self.config.records, "--manifest", str(self.manifest), "--model", model]
        arguments += ["--splits", ",".join(self.config.held_out_splits), "--output", output, "--config", self.path]
        _start("score", [*arguments, "--workers=1", "--set", "plots=false"])
        series = {}
        for film in films:
            curve = read_curve(storage.join(output, CURVES, f"{film.film_id}.csv"))[SMOOTHED]
            values, known = align(read_labels(film.labels, self.labels), len(curve))
            series[film.film_id] = (curve[known], values[known])
        return series

    def _constant(self, ours: Series) -> Series:
        train = [film for film in self.films if film.split in self.config.train_splits]
        constant = mean_label(read_labels(film.labels, self.labels).values for film in train)
        return {film: (np.broadcast_to(constant, true.shape), true) for film, (_, true) in ours.items()}

    def _publish(self, model: Path, version: int) -> None:
        target = Path(self.exports) / str(version)
        if target.exists():
            return
        temporary = target.parent / f".{version}{storage.TEMPORARY_SUFFIX}"
        shutil.rmtree(temporary, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(model, temporary)
        os.replace(temporary, target)

    def _report(self, found: Comparison, version: int, reference: str, promoted: bool, films: list[str]) -> None:
        content: dict[str, Any] = {
            "version": version,
            "compared_with": reference,
            "promoted": promoted,
            **asdict(found),
        }
        content |= {"films": films, "left_out": self.left_out, "configuration": self.config.model_dump(mode="json")}
        verdict = f"version {version} is {'promoted' if promoted else 'not promoted'}"
        lines = [
            f"# Round {self.directory.name}: {verdict}",
            "",
            f"| {found.metric.upper()} on {len(films)} held-out films | |",
            "|---|---|",
            f"| challenger, version {version} | {found.challenger:.4f} |",
            f"| {reference} | {found.reference:.4f} |",
            f"| better by | {found.improvement:+.4f} |",
            f"| lower bound ({self.config.confidence:.0%}, must exceed {self.config.margin:g}) | "
            f"{found.lower_bound:+.4f} |",
            "",
            f"Held out: {', '.join(films)}. Left out (no record or no labels): {', '.join(self.left_out) or 'none'}.",
        ]
        storage.write_text(str(self.directory / "report.md"), "\n".join(lines) + "\n")
        storage.write_text(str(self.directory / "report.json"), json.dumps(content, indent=2, sort_keys=True) + "\n")
        print("\n".join(lines))


def _digest(path: str, films: Sequence[Film], there: dict[str, str]) -> str:
    state = hashlib.sha256(storage.read_bytes(path))
    for film in films:
        header = records.read_header(there[film.film_id])
        parts = [film.film_id, film.split, header.source_sha256, header.fingerprints()]
        state.update(json.dumps(parts, sort_keys=True).encode() + storage.read_bytes(film.labels))
    return state.hexdigest()


def _start(stage: str, arguments: Sequence[str], allowed: Sequence[int] = (EXIT_OK,)) -> None:
    print(f"retrain: {stage}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "beam_pipelines.cli", stage, *arguments]
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        raise StageError(stage, code)


if __name__ == "__main__":
    sys.exit(main())
