"""One round of retraining: train a challenger, score it next to the champion, compare, and perhaps move the pointer."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from beam_pipelines.contracts.curves.bands import LEVELS, films_needed
from beam_pipelines.contracts.curves.curves import curve_uri
from beam_pipelines.contracts.models.current_version import read_current
from beam_pipelines.contracts.models.exported_cards import EXPORTS, exports_of, versions_of
from beam_pipelines.contracts.models.learned_films import LearnedFilms, find_among
from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.contracts.records.feature_changes import note_on_model
from beam_pipelines.contracts.runs import RUN_MANIFEST, read_failures
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import (
    EXIT_OK,
    EXIT_SOME_FILMS_FAILED,
    EXIT_TOO_MANY_FILMS_FAILED,
    ConfigurationError,
)
from beam_pipelines.labels.annotations import align, moved
from trainer.evaluation.bands import bands_of_run
from trainer.evaluation.curve_files import SMOOTHED, read_curve
from trainer.evaluation.metrics import CONSTANT_MEAN, mean_label
from trainer.evaluation.paired import Series
from trainer.foundation.config import TrainConfig
from trainer.retraining.comparison import compare
from trainer.retraining.config import RetrainConfig
from trainer.retraining.earlier_rounds import count_earlier_rounds, unlike_before
from trainer.retraining.films import RoundFilm, read_round_films, round_digest
from trainer.retraining.promotion import move_current, read_history
from trainer.retraining.report import REPORT, Decision, round_name, too_few, write_report
from trainer.retraining.stages import RoundError, Stages
from trainer.retraining.version import (
    Challenger,
    calibrated_model,
    choose_challenger,
    plan_version,
    planned_version,
    publish_challenger,
    trained_model,
)

ROUNDS = "rounds"


class Round:
    """A round. Its name is the digest of its dependencies.

    Args:
        config: the retrain section.
        train: the train section.
        stages: starts the jobs.
    """

    def __init__(self, config: RetrainConfig, train: TrainConfig, stages: Stages):
        self.config, self.labels, self.stages = config, train.labels, stages
        self.exports = storage.join(config.output, EXPORTS)
        self.films = read_round_films(config, train)
        self.digest = round_digest(stages.config, config, self.films)
        self.directory = storage.join(config.output, ROUNDS, self.digest[:16])
        self.manifest = storage.join(self.directory, "films.csv")

    def run(self) -> int:
        """Runs the remaining steps of the round and returns the exit code."""
        if _is_there(self.directory, REPORT):
            name = round_name(self.directory)
            print(f"nothing has changed since round {name}; its decision stands: {self.directory}")
            return EXIT_OK
        held_out = len(self.films.of(self.config.held_out_splits))
        if held_out < self.config.least_films:
            print(f"retrain: {too_few(held_out, self.config)}", file=sys.stderr, flush=True)
        version = self._version()
        challenger = self._train(version)
        champion, pointer, has_moved = self._champion(version)
        decision = replace(
            self._judge(version, challenger.uri, champion), challenger=challenger.kind, chosen_by=challenger.why
        )
        if decision.promoted and has_moved and read_current(self.exports) != version:
            remark = f"It was promoted before this round was interrupted; version {pointer} has been put back since."
            decision = replace(decision, promoted=False, remarks=[remark])
        if decision.promoted:
            self.stages.assert_held()
            publish_challenger(self.directory, self.exports, version)
            self.stages.assert_held()
            why = {"why": "retrain", "round": self.digest, "champion": champion, **asdict(decision.comparison)}
            move_current(self.exports, version, why, expected=pointer)
        self.stages.assert_held()
        print(write_report(self.directory, decision, self.config))
        return EXIT_OK

    def _version(self) -> int:
        """The challenger's number; a killed round keeps it, unless another process has exported it meanwhile."""
        version = planned_version(self.directory, self.exports)
        if version is None:
            storage.write_text(self.manifest, self.films.manifest())
            version = plan_version(self.directory, self.exports)
        return version

    def _champion(self, version: int) -> tuple[int | None, int | None, bool]:
        """The version to beat, the version that the pointer names, and whether this round has moved it already.

        The round looks it up when the challenger is ready, so that a rollback during an interrupted round counts.
        """
        pointer, history = read_current(self.exports), read_history(self.exports)
        for place, entry in enumerate(history):
            if entry.get("round") == self.digest and entry["to"] == version:
                return entry["champion"], pointer, pointer == version or place < len(history) - 1
        others = [other for other in versions_of(self.exports) if other != version]
        if pointer is not None and pointer not in others:
            raise ConfigurationError(
                f"{self.exports}/current: names version {pointer}, which is not there (there are {others}); run "
                f"`cineaffect rollback --exports {self.exports} --to VERSION`"
            )
        return max(others, default=None) if pointer is None else pointer, pointer, False

    def _train(self, version: int) -> Challenger:
        config, common = self.config, ["--manifest", self.manifest, "--records", self.config.records]
        transform, model = storage.join(self.directory, "transform"), trained_model(self.directory, version)
        if not _is_there(model, CARD):
            if not _is_there(transform, RUN_MANIFEST):
                splits = f"splits=[{','.join(config.train_splits)}]"
                self.stages.start("prepare", [*common, "--output", transform, "--set", splits])
            arguments = [*common, "--transform", transform, "--output", storage.join(self.directory, "model")]
            arguments += ["--train-splits", ",".join(config.train_splits), "--export-version", str(version)]
            self.stages.start("train", [*arguments, "--validation-splits", ",".join(config.validation_splits)])
        return self._calibrate(choose_challenger(self.directory, version, config.metric), version, common)

    def _calibrate(self, challenger: Challenger, version: int, common: Sequence[str]) -> Challenger:
        """The challenger with bands, if there are films enough; they take no part in the decision."""
        splits = self.config.calibration_splits
        if len(self.films.of(splits)) < films_needed(LEVELS[0]):
            return challenger
        calibrated = calibrated_model(self.directory, version)
        if not _is_there(calibrated, CARD):
            arguments = [*common, "--model", challenger.uri, "--splits", ",".join(splits), "--test-splits", ""]
            place = ["--output", exports_of(calibrated), "--export-version", str(version)]
            self.stages.start("calibrate", [*arguments, *place])
        return replace(challenger, uri=calibrated)

    def _judge(self, version: int, model: str, champion: int | None) -> Decision:
        """Compares challenger and champion (or the constant mean instead) on the films that both can score."""
        config, card = self.config, self._card(champion)
        films, known = self._held_out(champion, card)
        ours, failed = self._score(f"challenger-{version}", model, films, self.labels.lag_s)
        theirs: Series = {}
        unscorable = ""
        if champion is not None:
            misfits = _misfits(card, films)
            if len(misfits) < len(films):
                name, uri = f"champion-{champion}", storage.join(self.exports, str(champion))
                theirs, misfits = self._score(name, uri, films, card.get("label_lag_s", 0))
            if theirs:
                failed = {**misfits, **failed}
            else:
                unscorable = next(iter(misfits.values()))
        reference = CONSTANT_MEAN if unscorable or champion is None else f"version {champion}"
        self._assert_few(failed, films)
        ours = {film_id: series for film_id, series in ours.items() if film_id not in failed}
        theirs = {film_id: theirs[film_id] for film_id in ours} if theirs else self._constant(ours)
        found = compare(ours, theirs, config.metric, config.margin, config.confidence, config.least_films)
        held_out = {film_id: films[film_id].header.source_sha256 for film_id in sorted(ours)}
        labelled = [films[film_id].film for film_id in held_out]
        bands = bands_of_run(storage.join(self.directory, f"challenger-{version}"), labelled, self.labels)
        promoted = found.better or (champion is None and not config.beat_constant_mean)
        if unscorable and config.unscorable_champion == "keep":
            promoted = False
        return Decision(
            version,
            promoted,
            champion,
            unscorable,
            reference,
            found,
            held_out,
            failed,
            {**self.films.left_out, **known},
            count_earlier_rounds(storage.join(config.output, ROUNDS), held_out),
            bands=bands,
            unlike_percent=self._unlike({"challenger": f"challenger-{version}", reference: f"champion-{champion}"}),
            unlike_before=unlike_before(storage.join(config.output, ROUNDS)),
            calibration_films=len(self.films.of(config.calibration_splits)) if config.calibration_splits else None,
        )

    def _unlike(self, scored: Mapping[str, str]) -> dict[str, float]:
        """Model -> the mean share of seconds that are unlike its training films, if its scoring says it."""
        found = {}
        for name, directory in scored.items():
            uri = storage.join(self.directory, directory, RUN_MANIFEST)
            unlike = storage.read_json(uri).get("unlike_training") if storage.stat(uri) is not None else None
            if unlike:
                found[name] = unlike["mean_percent"]
        return found

    def _card(self, version: int | None) -> dict[str, Any]:
        if version is None:
            return {}
        card: dict[str, Any] = json.loads(storage.read_text(storage.join(self.exports, str(version), CARD)))
        return card

    def _held_out(self, champion: int | None, card: Mapping[str, Any]) -> tuple[dict[str, RoundFilm], dict[str, str]]:
        """The held-out films that the champion doesn't know, and film id -> how it knows the others."""
        learned, held_out = LearnedFilms.of_card(card).all, self.films.of(self.config.held_out_splits)
        known = {}
        for film_id, one in held_out.items():
            if (name := find_among(learned, film_id, one.header.source_sha256)) is not None:
                known[film_id] = f"held out, but version {champion} has learned from it or was chosen by it, as {name}"
        films = {film_id: one for film_id, one in held_out.items() if film_id not in known}
        if not films:
            raise ConfigurationError(
                f"{self.config.manifest}: no usable film of the splits {', '.join(self.config.held_out_splits)}"
                + (f" that version {champion} hasn't learned from" if champion is not None else "")
            )
        return films, known

    def _score(
        self, name: str, model: str, films: Mapping[str, RoundFilm], lag_s: int
    ) -> tuple[Series, dict[str, str]]:
        """The predictions and labels of each film's labelled seconds, and for other films the reason why not.

        Each model is compared with the labels of its own lag, those that it has learned to predict.
        """
        output = storage.join(self.directory, name)
        arguments = ["--records", self.config.records, "--manifest", self.manifest, "--model", model]
        arguments += ["--splits", ",".join(self.config.held_out_splits), "--output", output, "--workers=1"]
        arguments += ["--set", "plots=false", "--set", "csv=true", "--set", "failure_threshold=1.0"]
        # Nothing reads it, and a champion may be older than explanations.
        arguments += ["--set", "explain=nothing"]
        # Scoring wrote this file last: if it exists, scoring is done, since model and records don't change in a round.
        if not _is_there(output, RUN_MANIFEST):
            self.stages.start("score", arguments, allowed=(EXIT_OK, EXIT_SOME_FILMS_FAILED))
        failed = {
            film_id: f"{name}: {outcome.reason}: {outcome.detail}"
            for film_id, outcome in read_failures(output).items()
            if film_id in films
        }
        series = {}
        for film_id, one in films.items():
            if film_id in failed:
                continue
            curve = read_curve(curve_uri(output, film_id), self.labels.targets)[SMOOTHED]
            values, known = align(moved(one.labels, lag_s - self.labels.lag_s), len(curve))
            if known.any():
                series[film_id] = (curve[known], values[known])
            else:
                failed[film_id] = "no label row lies in the film"
        return series, failed

    def _assert_few(self, failed: Mapping[str, str], films: Mapping[str, RoundFilm]) -> None:
        if len(failed) == len(films) or len(failed) > self.config.failure_threshold * len(films):
            reasons = "; ".join(f"{film_id}: {reason}" for film_id, reason in sorted(failed.items())[:5])
            raise RoundError(
                f"{len(failed)} of {len(films)} held-out films can't be scored, above retrain.failure_threshold "
                f"({self.config.failure_threshold:g}), so nothing is decided: {reasons}",
                EXIT_TOO_MANY_FILMS_FAILED,
            )

    def _constant(self, ours: Series) -> Series:
        constant = mean_label(one.labels.values for one in self.films.of(self.config.train_splits).values())
        return {film: (np.broadcast_to(constant, true.shape), true) for film, (_, true) in ours.items()}


def _is_there(directory: str, name: str) -> bool:
    return storage.stat(storage.join(directory, name)) is not None


def _misfits(card: Mapping[str, Any], films: Mapping[str, RoundFilm]) -> dict[str, str]:
    """The films whose records hold other features than a model was trained on, with the difference."""
    found, note = {}, note_on_model(card.get("descriptions") or {})
    for film_id, one in films.items():
        have = one.header.fingerprints()
        for modality, expected in sorted(card["fingerprints"].items()):
            if have.get(modality) != expected:
                found[film_id] = (
                    f"{modality}: the record of {film_id} has the fingerprint {have.get(modality)}, it was trained on "
                    f"{expected}{f'; {note}' if note else ''}"
                )
                break
    return found
