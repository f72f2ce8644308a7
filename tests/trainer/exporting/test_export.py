"""The export, loaded where Keras is blocked and this project is absent, against the models it was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures, find_model
from beam_pipelines.contracts.records.records import slots_of
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support import numpy_reference as reference
from tests.support.shapley_values import by_definition, without
from tests.support.synthetic_films import DIMENSIONS
from trainer.data.transform import RowTransform, load_transform
from trainer.exporting.export import NetworksModule, export_model
from trainer.foundation.config import ModelConfig
from trainer.network.model import AffectModel, build_model

LABEL_RANGE = (-2.0, 3.0)
FILMS = {"second": 1, "short": 9, "long": 310}
CARD = {
    "fingerprints": {modality: f"{index:016x}" for index, modality in enumerate(DIMENSIONS)},
    "smoothing": {"method": "butterworth", "order": 2, "cutoff_hz": 0.08},
    "metrics": {"valence": {"pcc": float("nan"), "mse": np.float32(0.25)}, "curve": np.arange(2)},
}


@dataclass(frozen=True)
class Exported:
    """An export with what it was made from."""

    directory: str
    models: list[AffectModel]
    rows: dict[str, np.ndarray]
    splits: np.ndarray


def make_models(**options) -> list[AffectModel]:
    configs = [
        ModelConfig(window_s=12, encoder={"units": 6}, batch_normalization=True, **options),
        ModelConfig(window_s=30, encoder={"units": 4, "layers": 2}, modalities=("audio",)),
    ]
    models = [build_model(config, DIMENSIONS, seed) for seed, config in enumerate(configs)]
    for seed, model in enumerate(models):
        reference.scatter_weights(model, seed)
    return models


def raw_rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = {}
    for modality, size in DIMENSIONS.items():
        rows[modality] = generator.normal(3.0, 1.0, (count, size)).astype(np.float32)
        present = generator.uniform(size=(count, slots_of(modality))) < 0.8
        rows[f"{modality}_present"] = present.astype(np.float32)
    return rows


@pytest.fixture(scope="module")
def exported(dataset, tmp_path_factory) -> Exported:
    directory = str(tmp_path_factory.mktemp("exports") / "7")
    models = make_models()
    assert export_model(models, dataset.transform, CARD, directory, label_range=LABEL_RANGE) == directory
    splits = np.cumsum([0, *FILMS.values()])
    return Exported(directory, models, raw_rows(int(splits[-1])), splits)


@pytest.fixture(scope="module")
def signatures(exported):
    """The export's signatures, loaded once."""
    return tf.saved_model.load(exported.directory).signatures


@pytest.fixture(scope="module")
def bare_outputs(exported, bare, tmp_path_factory) -> dict[str, np.ndarray]:
    """What both signatures give in a process without Keras and without this project, in an empty directory."""
    return bare.curves(exported.directory, exported.rows, exported.splits, tmp_path_factory.mktemp("bare"))


def expected_curves(exported: Exported, transform_directory: str, index: int) -> np.ndarray:
    """The mean of the models' own predictions for one film in the label range, float [T, 2]."""
    first, stop = exported.splits[index : index + 2]
    rows = load_transform(transform_directory)({key: values[first:stop] for key, values in exported.rows.items()})
    members = [model.predict_rows(rows, np.zeros(stop - first, np.int32)).numpy() for model in exported.models]
    return LABEL_RANGE[0] + np.mean(members, axis=0) * (LABEL_RANGE[1] - LABEL_RANGE[0])


@pytest.mark.parametrize("index", range(len(FILMS)), ids=list(FILMS))
def test_a_bare_process_predicts_what_the_trainer_predicts(exported, bare_outputs, dataset, index):
    expected = expected_curves(exported, dataset.transform, index)
    assert expected.shape == (list(FILMS.values())[index], 2)
    np.testing.assert_allclose(bare_outputs[f"film {index} valence"], expected[:, 0], atol=1e-5, rtol=0)
    np.testing.assert_allclose(bare_outputs[f"film {index} arousal"], expected[:, 1], atol=1e-5, rtol=0)


def test_the_curves_are_those_of_the_formulas(exported, bare_outputs, dataset):
    rows = load_transform(dataset.transform)({key: values[1:10] for key, values in exported.rows.items()})
    rows = {key: values.numpy() for key, values in rows.items()}
    members = [reference.model_rows(model, rows, [0] * 9) for model in exported.models]
    expected = -2.0 + 5.0 * np.mean(members, axis=0)
    np.testing.assert_allclose(bare_outputs["film 1 valence"], expected[:, 0], atol=2e-5, rtol=0)
    np.testing.assert_allclose(bare_outputs["film 1 arousal"], expected[:, 1], atol=2e-5, rtol=0)


def test_several_films_in_one_call_come_out_as_each_alone(exported, bare_outputs):
    for target in ("valence", "arousal"):
        alone = np.concatenate([bare_outputs[f"film {index} {target}"] for index in range(len(FILMS))])
        np.testing.assert_array_equal(bare_outputs[f"films {target}"], alone)


def test_the_signatures_are_those_of_contract_2(signatures):
    for name, further in (("serving_default", {}), ("films", {"row_splits": tf.int64})):
        inputs = {spec.name: spec for spec in signatures[name].structured_input_signature[1].values()}
        keys = {key for modality in DIMENSIONS for key in (modality, f"{modality}_present")}
        assert set(inputs) == keys | set(further)
        for modality, size in DIMENSIONS.items():
            assert inputs[modality].shape.as_list() == [None, size]
            assert inputs[f"{modality}_present"].shape.as_list() == [None, slots_of(modality)]
        outputs = signatures[name].structured_outputs
        assert {key: (spec.dtype, spec.shape.as_list()) for key, spec in outputs.items()} == {
            "valence": (tf.float32, [None]),
            "arousal": (tf.float32, [None]),
        }


def test_row_splits_that_do_not_fit_are_refused(exported, signatures):
    films = signatures["films"]
    rows = {key: tf.constant(values[:10]) for key, values in exported.rows.items()}
    for splits, message in (
        ([0, 4, 9], "end with the number of rows"),
        ([1, 10], "begin with 0"),
        ([0, 7, 4, 10], "not fall"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            films(row_splits=tf.constant(splits, tf.int64), **rows)
    empty = films(row_splits=tf.constant([0, 0, 10, 10], tf.int64), **rows)
    one = films(row_splits=tf.constant([0, 10], tf.int64), **rows)
    np.testing.assert_array_equal(empty["valence"], one["valence"])


def test_rows_that_are_not_there_are_refused(exported, signatures):
    films_at = signatures["films_at"]
    inputs = {key: tf.constant(values[:10]) for key, values in exported.rows.items()}
    inputs["row_splits"] = tf.constant([0, 10], tf.int64)
    for rows, message in (([0, -1], "not be negative"), ([10], "below the number of rows")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            films_at(rows=tf.constant(rows, tf.int64), **inputs)
    assert films_at(rows=tf.constant([0, 9], tf.int64), **inputs)["valence"].shape == (2, 2)
    assert films_at(rows=tf.zeros((0,), tf.int64), **inputs)["valence"].shape == (2, 0)


def test_the_scoring_job_reads_it(exported, dataset):
    found = find_model(str(Path(exported.directory).parent))
    assert found.card.version == "7"
    assert found.card.label_range == LABEL_RANGE
    assert found.card.dimensions == DIMENSIONS
    rows = {key: values[:1] for key, values in exported.rows.items()}
    features = FilmFeatures(
        {m: rows[m] for m in found.card.modalities}, {m: rows[f"{m}_present"] for m in found.card.modalities}
    )
    expected = expected_curves(exported, dataset.transform, 0)
    np.testing.assert_allclose(ExportedModel(found).predict(features).valence, expected[:, 0], atol=1e-5)


def test_the_card_says_what_it_was_given_and_what_the_model_is(exported):
    card = json.loads((Path(exported.directory) / "model_card.json").read_text(encoding="utf-8"))
    assert (Path(__file__).resolve().parents[3] / card["responsible_use"]).is_file()
    assert card["modalities"] == list(DIMENSIONS)
    assert card["dimensions"] == DIMENSIONS
    assert card["slots"] == {"image": 1, "audio": 1, "face": 2}
    assert card["sequence_length_s"] == 30
    assert (card["back_s"], card["ahead_s"]) == (29, 0)
    assert card["label_range"] == [-2.0, 3.0]
    assert [member["seed"] for member in card["models"]] == [0, 1]
    assert [member["window_s"] for member in card["models"]] == [12, 30]
    assert card["fingerprints"] == CARD["fingerprints"]
    assert card["metrics"] == {"valence": {"pcc": None, "mse": 0.25}, "curve": [0, 1]}


def test_an_export_is_never_written_over(exported, dataset):
    before = (Path(exported.directory) / "model_card.json").read_bytes()
    with pytest.raises(ConfigurationError, match="export under a new version"):
        export_model(exported.models, dataset.transform, {}, exported.directory)
    assert (Path(exported.directory) / "model_card.json").read_bytes() == before


def test_a_failed_export_leaves_nothing(exported, dataset, tmp_path):
    with pytest.raises(ConfigurationError, match="sequence_length_s"):
        export_model(exported.models, dataset.transform, {"sequence_length_s": 10}, str(tmp_path / "exports" / "1"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        export_model(exported.models, dataset.transform, {"metrics": object()}, str(tmp_path / "exports" / "1"))
    assert list(tmp_path.rglob("*")) == []


def test_a_transform_that_does_not_fit_is_refused(dataset):
    other = build_model(ModelConfig(modalities=("image",), window_s=3), {"image": 9}, 1)
    transform = load_transform(dataset.transform)
    with pytest.raises(ConfigurationError, match="takes image with 9 values a second, its transform gives 12"):
        NetworksModule([other], [transform], (-1.0, 1.0))
    with pytest.raises(ConfigurationError, match="label_range"):
        NetworksModule(make_models()[:1], [transform], (1.0, -1.0))
    with pytest.raises(ConfigurationError, match="no model"):
        NetworksModule([], [], (-1.0, 1.0))


class Doubled(RowTransform):
    """The same graph with other statistics: all values twice as large."""

    def __call__(self, rows):
        answer = super().__call__(rows)
        return {key: values if key.endswith("_present") else 2.0 * values for key, values in answer.items()}


@pytest.mark.usefixtures("eagerly")
def test_members_may_have_statistics_of_their_own(dataset):
    """Run 2 of the paper's five sees 70 % of the data, so the mean of runs holds two transforms."""
    models, rows = make_models(), {key: tf.constant(values) for key, values in raw_rows(5).items()}
    plain = load_transform(dataset.transform)
    transforms = [plain, Doubled(plain.graph)]
    scorer = NetworksModule(models, transforms, (0.0, 1.0))
    scored = scorer.film(scorer.curves, **rows)
    members = [m.predict_rows(t(rows), [0] * 5).numpy() for m, t in zip(models, transforms, strict=True)]
    np.testing.assert_allclose(scored["valence"], np.mean(members, axis=0)[:, 0], atol=1e-6)
    assert np.abs(members[1] - models[1].predict_rows(plain(rows), [0] * 5).numpy()).max() > 1e-3


def test_shares_are_those_of_all_subsets_and_add_up_to_the_curve(exported, signatures):
    """Of an ensemble whose second member takes one of three modalities, in films of 1, 9 and 310 s together."""
    modalities = list(DIMENSIONS)
    splits = tf.constant(exported.splits, tf.int64)
    rows = np.r_[0, 1:10, 10:320:7].astype(np.int64)

    def curves(chosen: tuple[bool, ...]) -> np.ndarray:
        given = without(exported.rows, modalities, chosen)
        answer = signatures["films"](row_splits=splits, **{key: tf.constant(v) for key, v in given.items()})
        return np.stack([answer[target].numpy()[rows] for target in ("valence", "arousal")])

    answer = signatures["films_explained"](
        row_splits=splits, rows=tf.constant(rows), **{key: tf.constant(v) for key, v in exported.rows.items()}
    )
    found = np.stack([answer[target].numpy() for target in ("valence", "arousal")], axis=1)
    order = list(find_model(exported.directory).card.modalities)
    found = np.concatenate([found[:1], found[1:][[order.index(m) for m in modalities]]])
    np.testing.assert_allclose(found[0], curves((False,) * 3), atol=1e-5)
    np.testing.assert_allclose(found[1:], by_definition(curves, 3), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), curves((True,) * 3), atol=1e-5)
    assert np.abs(found[1:]).max(axis=(1, 2)).min() > 0.01, "every modality says something"
