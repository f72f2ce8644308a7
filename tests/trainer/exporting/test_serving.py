"""An export under TensorFlow Serving's conventions: found, loaded and asked as its model server does it.

The server itself is no package of PyPI or Debian. What stands for it is a bare TensorFlow process that follows its
rules: the highest number among the directories, the graph with the tag `serve` in a session, tensors by the names of
the signature, and the two forms of its JSON requests (a row is one second of the film here).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import slots_of
from tests.support import numpy_reference as reference
from tests.support.bare_process import BareProcess
from tests.support.synthetic_films import DIMENSIONS, DataSet
from trainer.data.transform import load_transform
from trainer.exporting.export import export_model
from trainer.foundation.config import ModelConfig
from trainer.network.model import AffectModel, build_model

SERVER = """
import sys
sys.modules["keras"] = None
import json, os
import numpy as np
import tensorflow as tf

base, requests = sys.argv[1], json.loads(open(sys.argv[2]).read())
version = max((name for name in os.listdir(base) if name.isdigit() and os.path.isdir(f"{base}/{name}")), key=int)
answers = []
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], f"{base}/{version}")
    for request in requests:
        signature = graph.signature_def[request.get("signature_name", "serving_default")]
        assert signature.method_name == "tensorflow/serving/predict", signature.method_name
        given = request.get("inputs")
        if given is None:
            given = {key: [row[key] for row in request["instances"]] for key in request["instances"][0]}
        assert set(given) == set(signature.inputs), (set(given), set(signature.inputs))
        feed = {
            signature.inputs[key].name: np.array(value, tf.as_dtype(signature.inputs[key].dtype).as_numpy_dtype)
            for key, value in given.items()
        }
        names = sorted(signature.outputs)
        values = session.run([signature.outputs[name].name for name in names], feed)
        outputs = {name: value.tolist() for name, value in zip(names, values)}
        if "inputs" in request:
            answers.append({"outputs": outputs})
        else:
            answers.append({"predictions": [dict(zip(names, row)) for row in zip(*outputs.values())]})
print(json.dumps({"version": version, "answers": answers}))
"""
SECONDS = 25


@pytest.fixture(scope="module")
def model() -> AffectModel:
    built = build_model(ModelConfig(window_s=6, encoder={"units": 4}), DIMENSIONS, 3)
    reference.scatter_weights(built, 3)
    return built


@pytest.fixture(scope="module")
def columns() -> dict[str, list[Any]]:
    """A film as the column form gives it: name -> one list of values a second."""
    generator = np.random.default_rng(1)
    given = {}
    for modality, size in DIMENSIONS.items():
        given[modality] = generator.normal(3.0, 1.0, (SECONDS, size)).astype(np.float32).tolist()
        given[f"{modality}_present"] = np.ones((SECONDS, slots_of(modality))).tolist()
    return given


@pytest.fixture(scope="module")
def answered(
    model, columns, dataset: DataSet, bare: BareProcess, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the server answers to: columns, rows, two films as columns."""
    exports = tmp_path_factory.mktemp("exports")
    export_model([build_model(model.config, DIMENSIONS, 4)], dataset.transform, {}, str(exports / "9"))
    export_model([model], dataset.transform, {}, str(exports / "12"))
    (exports / "current").write_text("9\n")
    (exports / ".unfinished.partial").mkdir()
    rows = [{key: values[second] for key, values in columns.items()} for second in range(SECONDS)]
    two_films = {**columns, "row_splits": [0, 10, SECONDS]}
    requests = [{"inputs": columns}, {"instances": rows}, {"signature_name": "films", "inputs": two_films}]
    folder = tmp_path_factory.mktemp("server")
    (folder / "requests.json").write_text(json.dumps(requests))
    printed = bare.run(SERVER, str(exports), str(folder / "requests.json"))
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def expected(model: AffectModel, dataset: DataSet, columns: dict[str, list[Any]], seconds: slice) -> np.ndarray:
    """The model's own curves of some seconds as a film, in the labels' range, float [T, 2]."""
    rows = load_transform(dataset.transform)({k: np.array(v[seconds], np.float32) for k, v in columns.items()})
    count = len(columns["image"][seconds])
    return 2.0 * np.asarray(model.predict_rows(rows, np.zeros(count, np.int32))) - 1.0


def as_curve(outputs: dict[str, list[float]]) -> np.ndarray:
    assert set(outputs) == {"valence", "arousal"}
    return np.stack([outputs["valence"], outputs["arousal"]], axis=1)


def test_the_highest_version_is_served_and_answers_columns(answered, model, dataset, columns) -> None:
    assert answered["version"] == "12"
    curve = as_curve(answered["answers"][0]["outputs"])
    assert curve.shape == (SECONDS, 2)
    np.testing.assert_allclose(curve, expected(model, dataset, columns, slice(None)), atol=1e-5, rtol=0)
    assert np.ptp(curve, axis=0).min() > 0.01


def test_a_row_a_second_gives_a_prediction_a_second(answered) -> None:
    predictions = answered["answers"][1]["predictions"]
    assert len(predictions) == SECONDS
    by_row = as_curve({name: [row[name] for row in predictions] for name in ("valence", "arousal")})
    np.testing.assert_array_equal(by_row, as_curve(answered["answers"][0]["outputs"]))


def test_several_films_go_as_columns_with_row_splits(answered, model, dataset, columns) -> None:
    curve = as_curve(answered["answers"][2]["outputs"])
    for film in (slice(0, 10), slice(10, SECONDS)):
        np.testing.assert_allclose(curve[film], expected(model, dataset, columns, film), atol=1e-5, rtol=0)
