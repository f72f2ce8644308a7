"""`cineaffect ensemble`: the exported mean against the mean of the members' own exports, its filter, and refusals."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import COLUMNS, from_csv
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.models.explained import explain_films
from beam_pipelines.contracts.models.exported_model import (
    ExportedModel,
    FilmFeatures,
    ModelReference,
    features_of,
    find_model,
)
from beam_pipelines.contracts.models.model_card import ModelCard
from beam_pipelines.contracts.records.records import list_records, read_record, slots_of
from tests.support import numpy_reference as reference, score_runs
from tests.support.bare_process import BareProcess
from tests.support.exported_models import make_card
from tests.support.synthetic_films import DIMENSIONS, DataSet
from trainer.commands import ensemble
from trainer.data.dataset import read_statistics
from trainer.exporting.ensemble import ValidationFilm, best_weights
from trainer.exporting.ensemble_members import Member, common_explanation, ensemble_card, equal_weights, find_members
from trainer.exporting.export import export_model
from trainer.foundation.config import ModelConfig
from trainer.network.model import build_model

SEEDS = {"run1": 1, "run2": 2, "run3": 3}
# A member of each kind of encoder, one of them with batch normalisation.
BOTH_WAYS = {"kind": "gru", "units": 3, "bidirectional": True}
NETWORKS = {
    "run1": {"modalities": ("image", "audio"), "encoder": {"kind": "lstm", "units": 4, "layers": 2, "states": "all"}},
    "run2": {"modalities": ("audio",), "encoder": BOTH_WAYS, "lookahead_s": 3, "batch_normalization": True},
    "run3": {"modalities": ("face",), "encoder": {"kind": "tcn", "filters": 4, "filters_step": 2, "kernel_s": 3}},
}
SPLITS = np.array([0, 40, 49, 50])
FILTER = {"method": "butterworth", "order": 2, "cutoff_hz": 0.08}


def export_run(dataset: DataSet, run: Path, seed: int, network: dict[str, Any]) -> Path:
    """An export as `train` leaves it, of a network whose weights are drawn and not learned."""
    statistics = read_statistics(dataset.transform)
    config = ModelConfig.model_validate({"window_s": 6 * seed, **network})
    model = build_model(config, DIMENSIONS, seed)
    reference.scatter_weights(model, seed)
    modalities = config.modalities
    card = {
        "fingerprints": {m: statistics.fingerprints[m] for m in modalities},
        "descriptions": {m: dict(statistics.descriptions[m]) for m in modalities},
        "smoothing": FILTER,
        "data": {"train_films": [f"film{n}" for n in range(5)], "validation_films": ["film5", "film6"]},
        "seed": seed,
    }
    export_model([model], dataset.transform, card, str(run / "exports" / "1"), label_range=(-1.0, 1.0))
    return run


@pytest.fixture(scope="module")
def runs(dataset: DataSet, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("runs")
    return [str(export_run(dataset, root / name, SEEDS[name], NETWORKS[name])) for name in SEEDS]


@pytest.fixture(scope="module")
def models(runs: list[str]) -> list[ExportedModel]:
    """The members' own exports, loaded once."""
    return [ExportedModel(find_model(f"{run}/exports")) for run in runs]


@pytest.fixture(scope="module")
def combined(dataset: DataSet, runs: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    exports = str(tmp_path_factory.mktemp("ensemble"))
    argv = ["--members", *runs, "--output", exports, "--manifest", dataset.manifest, "--records", dataset.records]
    assert ensemble.main(argv) == 0
    return exports


def raw_rows() -> dict[str, np.ndarray]:
    generator, rows = np.random.default_rng(3), {}
    for modality, size in DIMENSIONS.items():
        rows[modality] = generator.normal(3.0, 1.0, (SPLITS[-1], size)).astype(np.float32)
        present = generator.uniform(size=(SPLITS[-1], slots_of(modality))) < 0.8
        rows[f"{modality}_present"] = present.astype(np.float32)
    return rows


def test_the_export_is_the_mean_of_its_members_in_a_bare_process(
    combined: str, models: list[ExportedModel], bare: BareProcess, tmp_path: Path
):
    rows = raw_rows()
    members = []
    for model in models:
        curves = []
        for first, stop in itertools.pairwise(SPLITS):
            film = {key: values[first:stop] for key, values in rows.items()}
            raw = model.predict(FilmFeatures(film, {m: film[f"{m}_present"] for m in DIMENSIONS}))
            curves.append(np.stack([raw.valence, raw.arousal]))
        members.append(np.concatenate(curves, axis=1))
    assert np.std(members, axis=0).max() > 0.01  # the members differ, or their mean would show nothing
    got = bare.curves(f"{combined}/1", rows, SPLITS, tmp_path)
    for index, target in enumerate(("valence", "arousal")):
        expected = np.mean(members, axis=0)[index]
        np.testing.assert_allclose(got[f"films {target}"], expected, atol=1e-5, rtol=0)
        alone = np.concatenate([got[f"film {number} {target}"] for number in range(3)])
        np.testing.assert_allclose(alone, expected, atol=1e-5, rtol=0)
        own = np.stack(members)[:, index, SPLITS[0] : SPLITS[1]]
        np.testing.assert_allclose(got[f"members {target}"], own, atol=1e-5, rtol=0)


def test_a_larger_block_reaches_every_member(combined: str, models: list[ExportedModel]):
    rows = raw_rows()
    film = FilmFeatures(rows, {m: rows[f"{m}_present"] for m in DIMENSIONS})
    ensemble = ExportedModel(find_model(combined), 64)
    assert [int(member.row_block.numpy()) for member in ensemble._loaded.loaded] == [64] * 3
    assert [int(model._loaded.row_block.numpy()) for model in models] == [256] * 3
    curves = ensemble.predict(film).members
    for number, model in enumerate(models):
        alone = model.predict(film)
        np.testing.assert_allclose(curves["valence"][number], alone.valence, atol=1e-6, rtol=0)
        np.testing.assert_allclose(curves["arousal"][number], alone.arousal, atol=1e-6, rtol=0)


@pytest.mark.slow  # the first call of three members' graphs; `placed` and the mean have quick tests
def test_its_shares_are_the_mean_of_its_members(combined: str, models: list[ExportedModel]):
    rows = raw_rows()
    film = FilmFeatures(rows, {m: rows[f"{m}_present"] for m in DIMENSIONS})
    ensemble = ExportedModel(find_model(combined))
    (found,) = explain_films(ensemble, [film], [ensemble.predict(film)], "modalities")
    assert list(found.shares) == [f"{t}_{part}" for t in ("valence", "arousal")
                                  for part in ("base", "by_image", "by_audio", "by_face")]  # fmt: skip
    # Only the third member takes faces.
    (member,) = explain_films(models[2], [film], [models[2].predict(film)], "modalities")
    np.testing.assert_allclose(found.shares["valence_by_face"], member.shares["valence_by_face"] / 3, atol=1e-6)
    total = sum(values for name, values in found.shares.items() if name.startswith("arousal"))
    np.testing.assert_allclose(total, found.arousal, atol=1e-5)


def test_it_is_explained_only_if_each_member_is():
    card = make_card("1") | {"explained": "exact"}
    able = card | {"signatures": {**card["signatures"], "films_explained": "shares"}}
    members = [Member(ModelReference("uri", "", ModelCard.model_validate(one)), one) for one in (able, able, card)]
    assert common_explanation(members[:2]) == "exact"
    assert common_explanation(members) == ""


def test_its_card_names_the_members_and_what_was_chosen(combined: str, runs: list[str]):
    card = json.loads(Path(combined, "1", "model_card.json").read_text())
    digests = [find_model(f"{run}/exports").sha256 for run in runs]
    assert [member["sha256"] for member in card["members"]] == digests
    assert [member["weight"] for member in card["members"]] == [pytest.approx(1 / 3)] * 3
    assert card["modalities"] == ["image", "audio", "face"]
    assert card["sequence_length_s"] == 18
    # Back as far as the window of the GRU, ahead as far as the TCN's convolutions reach.
    assert (card["back_s"], card["ahead_s"]) == (11, 9)
    assert [model["seed"] for model in card["models"]] == [1, 2, 3]
    assert card["untrained_networks"] == ["face"]
    rows = {(row["predictor"], row["target"]) for row in card["validation_metrics"] if row["scope"] == "pooled"}
    assert {("mean, smoothed", "valence"), ("member 3, raw", "arousal"), ("constant mean", "valence")} <= rows
    assert card["data"]["validation_films"] == ["film5", "film6"]


def test_it_knows_the_films_that_chose_its_filter_even_if_no_member_does(runs: list[str]):
    smoothing = SmoothingConfig.model_validate(FILTER)
    data = ensemble_card(find_members(runs), smoothing, equal_weights(3), {"film7": "7f"})["data"]
    assert data["validation_films"] == ["film5", "film6", "film7"]
    assert data["source_sha256"] == {"film7": "7f"}


def test_the_mean_of_squared_errors_bounds_that_of_the_mean(combined: str):
    # Jensen: the error of the mean is at most the mean error of the members; exact, whatever the weights.
    card = json.loads(Path(combined, "1", "model_card.json").read_text())
    for target in ("valence", "arousal"):
        mse = {
            row["predictor"]: row["mse"]
            for row in card["validation_metrics"]
            if row["scope"] == "pooled" and row["target"] == target
        }
        assert mse["mean, raw"] <= np.mean([mse[f"member {n}, raw"] for n in (1, 2, 3)]) + 1e-6


@pytest.fixture(scope="module")
def scores(combined: str, dataset: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scores")
    code, manifest = score_runs.run(Path(dataset.records), Path(combined), output)
    assert code == 0
    assert manifest is not None
    assert manifest["films"]["done"] == 8
    return output


def test_its_curves_say_how_far_the_members_lie_apart(
    scores: Path, combined: str, models: list[ExportedModel], dataset: DataSet
):
    smoothing = find_model(combined).card.smoothing
    table = score_runs.read_table(scores)
    for film_id, uri in list_records(dataset.records).items():
        curve = from_csv((scores / "curves" / f"{film_id}.csv").read_text(), film_id)
        record = read_record(uri)
        answers = [model.predict(features_of(record, model.card)) for model in models]
        for target in ("valence", "arousal"):
            raw = np.stack([getattr(answer, target) for answer in answers])
            np.testing.assert_allclose(getattr(curve, f"{target}_raw"), raw.mean(axis=0), atol=2e-6)
            smoothed = [smooth(member, smoothing) for member in raw]
            spread = getattr(curve, f"{target}_spread")
            np.testing.assert_allclose(spread, np.std(smoothed, axis=0), atol=2e-6)
            assert spread.max() > 0.001
            rows = [row for row, other in enumerate(table["film_id"]) if other == film_id]
            assert [table[f"{target}_spread"][row] for row in rows] == spread.tolist()


def test_a_single_model_leaves_no_spread(runs: list[str], dataset: DataSet, tmp_path: Path):
    assert score_runs.run(Path(dataset.records), Path(runs[1], "exports"), tmp_path)[0] == 0
    assert list(score_runs.read_table(tmp_path)) == ["film_id", "time_s", *COLUMNS]
    assert next((tmp_path / "curves").glob("*.csv")).read_text().startswith("time_s," + ",".join(COLUMNS) + "\n")


def test_without_validation_films_the_common_filter_stands(runs: list[str], tmp_path: Path):
    assert ensemble.main(["--members", *runs[:2], "--output", str(tmp_path), "--export-version", "7"]) == 0
    card = find_model(str(tmp_path)).card
    assert (card.version, card.smoothing.cutoff_hz) == ("7", FILTER["cutoff_hz"])
    assert ensemble.main(["--members", *runs[:2], "--output", str(tmp_path), "--export-version", "7"]) == 2


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"fingerprints": {"audio": "0123456789abcdef"}}, "audio features have fingerprints"),
        ({"label_range": [0.0, 1.0]}, "predicts labels in [0.0, 1.0]"),
        ({"own_range": True}, "gives every film a range of its own"),
        ({"label_lag_s": 3}, "was trained with labels.lag_s 3, "),
        ({"smoothing": {"cutoff_hz": 0.02}}, "give --manifest and --records"),
    ],
)
def test_refuses_members_that_do_not_fit(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], further: dict, said: str
):
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    path = other / "exports" / "1" / "model_card.json"
    card = json.loads(path.read_text())
    for key, value in further.items():
        card[key] = {**card[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(card))
    assert ensemble.main(["--members", runs[1], str(other), "--output", str(tmp_path / "exports")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "exports").exists()


def test_refuses_one_model_twice_and_films_that_a_member_knows(
    dataset: DataSet, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert ensemble.main(["--members", runs[0], f"{runs[0]}/exports/1", "--output", str(tmp_path)]) == 2
    assert "the same model" in capsys.readouterr().err
    argv = ["--members", *runs[:2], "--output", str(tmp_path), "--manifest", dataset.manifest]
    argv += ["--records", dataset.records, "--validation-splits", "validation,train"]
    assert ensemble.main(argv) == 2
    assert "has learned from film0" in capsys.readouterr().err


def test_the_best_weights_are_those_of_least_squares_on_the_simplex():
    generator = np.random.default_rng(5)
    films = []
    for number, seconds in enumerate((300, 50)):
        labels = generator.uniform(-0.5, 0.5, size=(seconds, 2))
        noise = generator.normal(size=(3, seconds, 2)) * np.array([0.1, 0.2, 0.9])[:, None, None]
        curves = [*(labels + noise), labels + 3.0 * noise[2]]  # the last one is the third, only worse
        known = generator.uniform(size=seconds) < 0.7
        films.append(ValidationFilm(f"film{number}", np.where(known[:, None], labels, 99.0), known, tuple(curves)))
    weights = np.array(best_weights(films))
    assert weights.sum() == pytest.approx(1.0)
    assert weights[3] == 0.0
    assert weights[0] > weights[1] > weights[2] >= 0.0

    def error(shares: np.ndarray) -> float:
        return sum(
            float((((np.tensordot(shares, film.curves, 1) - film.labels)[film.known]) ** 2).sum()) for film in films
        )

    best = error(weights)
    for other in generator.dirichlet(np.ones(4), size=200):
        assert error(weights + 0.05 * (other - weights)) >= best - 1e-9
