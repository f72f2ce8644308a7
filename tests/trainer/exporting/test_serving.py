"""An export under TensorFlow Serving's conventions: found, loaded and asked as its model server does it.

The server itself is no package of PyPI or Debian. What stands for it is a bare TensorFlow process that follows its
rules: the highest number among the directories, the graph with the tag `serve` in a session, tensors by the names of
the signature, and the two forms of its JSON requests (a row is one second of the film here).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import read_record, record_uri
from tests.support.bare_process import BareProcess
from tests.support.exported_models import write_model
from tests.support.synthetic_films import DataSet
from trainer.evaluation.curve_files import RAW, read_curve

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
FILMS = ("film5", "film6")


@pytest.fixture(scope="module")
def columns(dataset: DataSet) -> dict[str, dict[str, list[Any]]]:
    """Each film as the column form gives it: name -> one list of values a second."""
    given: dict[str, dict[str, list[Any]]] = {}
    for film in FILMS:
        given[film] = {}
        for modality, track in read_record(record_uri(dataset.records, film)).tracks.items():
            given[film][modality] = track.values.tolist()
            given[film][f"{modality}_present"] = track.present.tolist()
    return given


@pytest.fixture(scope="module")
def answered(columns, trained: Path, bare: BareProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the server answers to: columns, rows, two films as columns."""
    exports = tmp_path_factory.mktemp("exports")
    write_model(exports, "9")
    shutil.copytree(trained / "exports" / "1", exports / "12")
    (exports / "current").write_text("9\n")
    (exports / ".unfinished.partial").mkdir()
    first, second = (columns[film] for film in FILMS)
    seconds = len(first["image"])
    rows = [{key: values[row] for key, values in first.items()} for row in range(seconds)]
    both: dict[str, list[Any]] = {key: first[key] + second[key] for key in first}
    both["row_splits"] = [0, seconds, len(both["image"])]
    requests = [{"inputs": first}, {"instances": rows}, {"signature_name": "films", "inputs": both}]
    folder = tmp_path_factory.mktemp("server")
    (folder / "requests.json").write_text(json.dumps(requests))
    printed = bare.run(SERVER, str(exports), str(folder / "requests.json"))
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def expected(trained: Path, film: str) -> np.ndarray:
    """What the trainer predicted for a film, float [T, 2]."""
    return read_curve(str(trained / "curves" / f"{film}.csv"))[RAW]


def as_curve(outputs: dict[str, list[float]]) -> np.ndarray:
    assert set(outputs) == {"valence", "arousal"}
    return np.stack([outputs["valence"], outputs["arousal"]], axis=1)


def test_the_highest_version_is_served_and_answers_columns(answered, trained: Path) -> None:
    assert answered["version"] == "12"
    curve = as_curve(answered["answers"][0]["outputs"])
    np.testing.assert_allclose(curve, expected(trained, FILMS[0]), atol=1e-5, rtol=0)
    assert np.ptp(curve, axis=0).min() > 0.01


def test_a_row_a_second_gives_a_prediction_a_second(answered, columns) -> None:
    predictions = answered["answers"][1]["predictions"]
    assert len(predictions) == len(columns[FILMS[0]]["image"])
    by_row = as_curve({name: [row[name] for row in predictions] for name in ("valence", "arousal")})
    np.testing.assert_array_equal(by_row, as_curve(answered["answers"][0]["outputs"]))


def test_several_films_go_as_columns_with_row_splits(answered, trained: Path) -> None:
    curve = as_curve(answered["answers"][2]["outputs"])
    whole = np.concatenate([expected(trained, film) for film in FILMS])
    np.testing.assert_allclose(curve, whole, atol=1e-5, rtol=0)
