"""Ridge regression beside a network: its rows, its export by contract 2, and `train --model ridge` alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.models.explained import explain_films
from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures, features_of, find_model
from beam_pipelines.contracts.records.records import list_records, read_record
from tests.support.shapley_values import by_definition
from tests.support.synthetic_films import DataSet
from tests.support.trained_run import evaluated_rows, train_arguments
from trainer.commands import ensemble, train
from trainer.evaluation.curve_files import RAW, read_curve
from trainer.exporting.ensemble import member_curve


@pytest.fixture(scope="module")
def exported(trained: Path) -> ExportedModel:
    """The ridge regression that a network's training left."""
    return ExportedModel(find_model(str(trained / "ridge" / "exports")))


@pytest.fixture(scope="module")
def films(dataset: DataSet, exported: ExportedModel) -> dict[str, FilmFeatures]:
    """The features of all films, of different lengths."""
    return {
        name: features_of(read_record(uri), exported.card)
        for name, uri in sorted(list_records(dataset.records).items())
    }


def test_the_export_gives_the_curves_that_were_evaluated(trained: Path, exported, films):
    curves = sorted((trained / "ridge" / "curves").iterdir())
    assert len(curves) == 7
    for path in curves:
        found = exported.predict(films[path.stem])
        own = read_curve(str(path))[RAW]
        np.testing.assert_allclose(np.stack([found.valence, found.arousal], axis=1), own, atol=1e-5)


def test_films_together_have_the_bits_that_they_have_alone(exported, films):
    short = [FilmFeatures(*({m: a[:n] for m, a in kind.items()} for kind in (one.values, one.present)))
             for one, n in zip(films.values(), (1, 4, 5, 6, 29, 31, 100), strict=False)]  # fmt: skip
    for alone, together in zip(map(exported.predict, short), exported.predict_films(short), strict=True):
        np.testing.assert_array_equal(alone.valence, together.valence)
        np.testing.assert_array_equal(alone.arousal, together.arousal)


def test_single_seconds_have_the_values_of_whole_films(exported, films):
    whole, some = (exported.predict_films(list(films.values()), stride_s) for stride_s in (1, 7))
    for one, other in zip(whole, some, strict=True):
        np.testing.assert_array_equal(one.valence[::7], other.valence[::7])
    assert exported.card.takes_stride


def test_an_absent_modality_is_zeros_whatever_stands_there(exported, films):
    one = next(iter(films.values()))
    present = {**one.present, "audio": np.zeros_like(one.present["audio"])}
    answers = [
        exported.predict(FilmFeatures({**one.values, "audio": np.full_like(one.values["audio"], fill)}, present))
        for fill in (0.0, 7.0, np.nan)
    ]
    for other in answers[1:]:
        np.testing.assert_array_equal(answers[0].valence, other.valence)
    assert np.abs(answers[0].valence - exported.predict(one).valence).max() > 1e-3


def test_shares_are_those_of_all_subsets_and_add_up(exported, films):
    """Also where it clips to the labels' range, so that its parts alone don't add up."""
    one = next(iter(films.values()))
    modalities = list(exported.card.modalities)
    loud = {**one.values, "image": one.values["image"] * 3 - 5}
    for film, clipped in ((one, False), (FilmFeatures(loud, one.present), True)):
        (found,) = explain_films(exported, [film], [exported.predict(film)], "modalities")

        def curve(chosen: tuple[bool, ...], film: FilmFeatures = film) -> np.ndarray:
            present = {m: film.present[m] * here for m, here in zip(modalities, chosen, strict=True)}
            return exported.predict(FilmFeatures(film.values, present)).valence

        shares = np.stack([found.shares[f"valence_by_{m}"] for m in modalities])
        np.testing.assert_allclose(shares, by_definition(curve, len(modalities)), atol=1e-5)
        np.testing.assert_allclose(found.shares["valence_base"] + shares.sum(axis=0), found.valence, atol=1e-5)
        assert (np.abs(found.valence) == 1).any() == clipped
    strided = explain_films(exported, [one], exported.predict_films([one], 7), "modalities", 7)[0]
    total = sum(values for name, values in strided.shares.items() if name.startswith("valence"))
    np.testing.assert_allclose(total, strided.valence, atol=1e-5)
    assert exported.card.explained == "Shapley values of the modalities, exact"


def test_the_card_names_its_penalties_and_what_it_sees(trained: Path):
    card = json.loads((trained / "ridge" / "exports" / "1" / "model_card.json").read_text())
    network = json.loads((trained / "exports" / "1" / "model_card.json").read_text())
    assert set(card["penalty"]) == {"valence", "arousal"}
    assert card["models"][0]["kind"] == "ridge"
    assert card["sequence_length_s"] is None  # all seconds so far
    for key in ("fingerprints", "dimensions", "slots", "data", "constant_mean", "label_range"):
        assert card[key] == network[key]
    assert set(card["signatures"]) == {"serving_default", "films", "films_at", "films_explained"}


def test_its_rows_stand_before_the_networks(trained: Path, dataset: DataSet, tmp_path: Path):
    table = json.loads((trained / "evaluation.json").read_text())["rows"]
    names = ["constant mean", "ridge, raw", "ridge, smoothed", "raw", "smoothed"]
    assert list(dict.fromkeys(row["predictor"] for row in table)) == names
    own = json.loads((trained / "ridge" / "evaluation.json").read_text())["rows"]
    for name in ("raw", "smoothed"):
        ours, again = (
            [row for row in rows if row["predictor"] == p] for rows, p in ((own, name), (table, f"ridge, {name}"))
        )
        assert [row["mse"] for row in ours] == [row["mse"] for row in again]
    card = json.loads((trained / "exports" / "1" / "model_card.json").read_text())
    assert {row["predictor"] for row in card["validation_metrics"]} == set(names)
    found = evaluated_rows(dataset, trained, tmp_path)
    assert list(dict.fromkeys(row["predictor"] for row in found)) == names


def test_alone_it_leaves_the_same_model(trained: Path, dataset: DataSet, tmp_path: Path, capsys):
    assert train.main(train_arguments(dataset, tmp_path, "--model", "ridge")) == 0
    assert "validation films, ridge regression, penalty" in capsys.readouterr().out
    assert not (tmp_path / "history.json").exists()
    assert (tmp_path / "report" / "index.html").is_file()
    cards = [
        json.loads((run / "exports" / "1" / "model_card.json").read_text()) for run in (tmp_path, trained / "ridge")
    ]
    assert cards[0] == cards[1]
    # So does a training that was killed between the two models' exports: its version of this one is there already.
    assert train.main(train_arguments(dataset, tmp_path, "--model", "ridge", "--export-version", "1")) == 0
    assert "exported already, as version 1" in capsys.readouterr().out
    assert train.main(train_arguments(dataset, tmp_path, "--set", "epochs=1")) == 2
    assert "holds a training run that differs in train." in capsys.readouterr().err


@pytest.mark.slow  # the first calls of three exports; an ensemble's weights have quick tests
def test_it_joins_a_network_with_the_weights_that_validation_chose(
    trained: Path, dataset: DataSet, films, tmp_path: Path
):
    members = ["--members", str(trained), str(trained / "ridge"), "--weights", "validation", "--output", str(tmp_path)]
    assert ensemble.main(members) == 2  # nothing to choose them
    assert ensemble.main([*members, "--manifest", dataset.manifest, "--records", dataset.records]) == 0
    card = json.loads((tmp_path / "1" / "model_card.json").read_text())
    weights = [member["weight"] for member in card["members"]]
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] != weights[1]
    assert card["sequence_length_s"] is None
    rows = {(row["predictor"], row["scope"], row["target"]): row["mse"] for row in card["validation_metrics"]}
    errors = {name: rows[name, "pooled", "valence"] + rows[name, "pooled", "arousal"] for name, *_ in rows}
    assert errors["mean, raw"] <= min(errors["member 1, raw"], errors["member 2, raw"])
    reference = find_model(str(tmp_path))
    assert reference.card.weights == tuple(weights)
    joined, film = ExportedModel(reference), films["film5"]
    alone = [read_curve(str(run / "curves" / "film5.csv"))[RAW][:, 1] for run in (trained, trained / "ridge")]
    expected = sum(weight * arousal for weight, arousal in zip(weights, alone, strict=True))
    np.testing.assert_allclose(joined.predict(film).arousal, expected, atol=1e-5)
    inputs = {**film.values, **{f"{name}_present": values for name, values in film.present.items()}}
    answer = joined._loaded.signatures["serving_default"](**{key: tf.constant(rows) for key, rows in inputs.items()})
    np.testing.assert_allclose(answer["arousal"], expected, atol=1e-5)
    # As a member of another ensemble it is the same weighted mean.
    given = {**inputs, "row_splits": np.array([0, film.seconds]), "rows": np.arange(0, film.seconds, 9)}
    curve = member_curve(joined._loaded, reference.card.weights, {key: tf.constant(v) for key, v in given.items()})
    np.testing.assert_allclose(curve[:, 1], expected[::9], atol=1e-5)


def test_where_it_is_left_out_it_is_not_trained_alone(dataset: DataSet, tmp_path: Path, capsys):
    assert train.main(train_arguments(dataset, tmp_path, "--model", "ridge", "--set", "ridge=null")) == 2
    assert "train.ridge: is null, which leaves ridge regression out" in capsys.readouterr().err
    assert not (tmp_path / "run.json").exists()
