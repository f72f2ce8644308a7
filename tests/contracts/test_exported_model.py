"""The exported model: found, held against records, called; in a process without Keras too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.models.exported_cards import exports_of
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.contracts.models.model_card import ModelCard
from beam_pipelines.contracts.records import records
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from tests.support.exported_models import expected_raw, make_card, write_model
from tests.support.feature_records import make_film_record

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    write_model(root, "9")
    write_model(root, "10", gain=0.4)
    (root / "11").mkdir()  # an export that was cut off: no card
    (root / "notes").mkdir()
    return root


def test_a_directory_of_exports_gives_its_highest_whole_version(exports):
    assert find_model(str(exports)).card.version == "10"
    assert find_model(str(exports) + "/").uri == str(exports / "10")
    assert find_model(str(exports / "9")).card.version == "9"


@pytest.mark.parametrize(
    ("version", "exports"),
    [
        ("run/exports/3", "run/exports"),
        ("/run/exports/3/", "/run/exports"),
        ("3", "."),
        (".", ".."),
        ("gs://bucket/exports/3", "gs://bucket/exports"),
    ],
)
def test_a_version_lies_in_a_directory_of_exports(version, exports):
    assert exports_of(version) == exports


def test_the_pointer_names_the_version_in_use(exports, tmp_path):
    shutil.copytree(exports, tmp_path / "exports")
    place = tmp_path / "exports"
    (place / "current").write_text("9\n")
    assert find_model(str(place)).uri == str(place / "9")
    assert find_model(str(place / "10")).card.version == "10"
    (place / "current").write_text("11\n")  # it has no card
    with pytest.raises(ConfigurationError, match="names version 11, which is not there"):
        find_model(str(place))
    (place / "current").write_text("newest")
    with pytest.raises(ConfigurationError, match="not the number of a version"):
        find_model(str(place))


def test_the_prediction_is_the_models(exports):
    record = make_film_record(seconds=33)
    model = ExportedModel(find_model(str(exports / "9")))
    raw = model.predict(features_of(record, model.card))
    expected = expected_raw(record)
    np.testing.assert_allclose(raw.valence, expected["valence"], atol=1e-6)
    np.testing.assert_allclose(raw.arousal, expected["arousal"], atol=1e-6)


def test_it_runs_without_keras_and_without_the_trainer(exports, tmp_path):
    record = make_film_record(seconds=5)
    records.write_record(record, str(tmp_path / "film.tfrecord"))
    program = f"""
import sys
sys.modules["keras"] = sys.modules["tf_keras"] = sys.modules["trainer"] = None
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
model = ExportedModel(find_model({str(exports / "9")!r}))
record = records.read_record({str(tmp_path / "film.tfrecord")!r}, model.card.modalities)
print(list(model.predict(features_of(record, model.card)).valence))
assert "apache_beam" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    values = [float(part.split("(")[-1].rstrip(")]")) for part in done.stdout.strip().strip("[]").split(", ")]
    np.testing.assert_allclose(values, expected_raw(record)["valence"], atol=1e-6)


def test_a_model_that_changed_after_it_was_found_is_not_used(exports, tmp_path):
    shutil.copytree(exports / "9", tmp_path / "9")
    reference = find_model(str(tmp_path / "9"))
    assert reference.sha256 == find_model(str(exports / "9")).sha256
    (tmp_path / "9" / "model_card.json").write_text(json.dumps(make_card("9") | {"metrics": {}}))
    assert find_model(str(tmp_path / "9")).sha256 != reference.sha256
    with pytest.raises(RuntimeError, match="has changed"):
        ExportedModel(reference)


def write_card(directory, text):
    directory.mkdir()
    (directory / "model_card.json").write_text(text)


def without(key):
    card = make_card("1")
    del card[key]
    return json.dumps(card)


def with_bands(half_widths):
    return json.dumps(make_card("1") | {"calibration": {"films": ["a", "b", "c", "d"], "half_widths": half_widths}})


def with_seen(modality, **figures):
    return json.dumps(make_card("1") | {"seen": {modality: figures}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "a model card holds keys"),
        (without("smoothing"), "smoothing: Field required"),
        (without("version"), "version: Field required"),
        (json.dumps(make_card("1") | {"smoothing": {"cutof_hz": 0.1}}), "did you mean 'cutoff_hz'"),
        (json.dumps(make_card("1") | {"fingerprints": {"image": "x"}}), "fingerprints says nothing of audio"),
        (
            with_bands({"valence": {80: -0.1}, "arousal": {80: 0.1}}),
            r"half_widths\.valence\.80: .*greater than or equal",
        ),
        (with_bands({"valence": {80: float("nan")}, "arousal": {80: 0.1}}), r"half_widths\.valence\.80: .*finite"),
        (
            with_bands({"valence": {80: 0.1}, "arousal": {80: 0.1, 95: 0.2}}),
            "the levels are 80 and 95, the same for each",
        ),
        (with_bands({"valence": {50: 0.1}, "arousal": {50: 0.1}}), "the levels are 80 and 95"),
        (with_bands({"valence": {80: 0.1}}), "calibration.half_widths: says nothing of arousal"),
        (with_seen("audio", distance=-1), r"seen\.audio\.distance: .*greater than or equal"),
        (with_seen("audio", distance=float("nan")), r"seen\.audio\.distance: .*finite"),
        (with_seen("audio", distance=1, present=20), r"seen\.audio\.present: .*less than or equal"),
        (with_seen("face", distance=1), "seen: speaks of face, which the model doesn't take"),
        (json.dumps(make_card("1")), "no saved_model.pb"),
    ],
)
def test_a_bad_card_is_a_configuration_error_that_names_the_file(tmp_path, text, says):
    write_card(tmp_path / "1", text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        find_model(str(tmp_path))
    assert str(tmp_path / "1") in str(caught.value)


@pytest.mark.parametrize(
    ("further", "seen"),
    [
        ({"sequence_length_s": 60}, (59, 0)),  # exported before there was a look-ahead
        ({"sequence_length_s": 60, "takes_stride": False}, (None, None)),  # film statistics
        ({"sequence_length_s": 60, "back_s": 59, "ahead_s": 45}, (59, 45)),
        ({"sequence_length_s": None}, (None, 0)),
    ],
)
def test_the_card_says_how_far_a_model_sees(further, seen):
    card = ModelCard.model_validate(make_card("1") | further)
    assert (card.back_s, card.ahead_s) == seen


def test_no_model_is_a_configuration_error(tmp_path):
    (tmp_path / "7").mkdir()
    for place in (tmp_path, tmp_path / "7", tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="no exported model"):
            find_model(str(place))


def card():
    return ModelCard.model_validate(make_card("3"))


def test_another_fingerprint_is_refused_with_both_named():
    record = make_film_record(seconds=4)
    track = replace(record.tracks["audio"], description={"network": "test-audio", "weights": "vggish"})
    with pytest.raises(FilmError) as caught:
        features_of(records.make_record(record.header, {**record.tracks, "audio": track}), card())
    assert caught.value.reason == "fingerprint_mismatch"
    for part in ("audio", track.fingerprint, record.tracks["audio"].fingerprint, 'weights is "vggish", was'):
        assert part in caught.value.detail


def test_a_missing_modality_is_refused():
    record = make_film_record(seconds=4, dimensions={"image": 16, "face": 12})
    with pytest.raises(FilmError, match="missing_modality: audio: model 3 needs it, the record holds face, image"):
        features_of(record, card())


def test_another_dimension_is_refused():
    record = make_film_record(seconds=4, dimensions={"image": 16, "audio": 9})
    with pytest.raises(FilmError, match="wrong_dimension: audio: the record has 9 values a second, model 3 takes 8"):
        features_of(record, card())


def test_features_that_the_model_does_not_take_are_left_out():
    features = features_of(make_film_record(seconds=4), card())
    assert set(features.values) == set(features.present) == {"image", "audio"}
    assert features.seconds == 4
    assert features.size_bytes == 4 * 4 * (16 + 1 + 8 + 1)


def test_untrained_networks_are_named():
    assert card().untrained() == ["audio", "image"]


def test_a_card_without_the_key_takes_a_stride_unless_a_network_uses_the_films_statistics():
    card = make_card("1")
    film = {"batch_normalization": True, "batch_statistics_at_inference": "film"}
    for further, takes_stride in (
        ({}, True),
        ({"models": [{"batch_normalization": False, "batch_statistics_at_inference": "film"}]}, True),
        ({"models": [{}, film]}, False),
        ({"models": [film], "takes_stride": True}, True),
        ({"takes_stride": False}, False),
    ):
        assert ModelCard.model_validate({**card, **further}).takes_stride == takes_stride, further


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ([f"c{n}" for n in range(8)], True),
        (["c-1.x"] + [f"c{n}" for n in range(7)], True),
        ([f"c{n}" for n in range(7)], False),  # the eighth value has no name
        ([f"c{n}" for n in range(9)], False),
        (["a,b"] + [f"c{n}" for n in range(7)], False),
        (["c0"] * 8, False),
        ([0] * 8, False),
        ("12345678", False),
    ],
)
def test_columns_explain_a_curve_if_each_value_has_a_name_of_its_own(columns, named):
    described = {"image": {}, "audio": {"columns": columns}}
    card = ModelCard.model_validate(make_card("1") | {"descriptions": described})
    own = [f"audio/{name}" for name in columns] if named else []
    assert card.parts("columns") == ("image", "audio", *own)
    assert card.parts("modalities") == ("image", "audio")
