"""The prepare job on its real runner: statistics over present rows of the training films, against NumPy in float64."""

from __future__ import annotations

import json

import numpy as np
import pytest

from beam_pipelines import prepare
from beam_pipelines.contracts.records import records
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.normalisation.config import PrepareConfig
from beam_pipelines.normalisation.preprocessing import preprocessing
from tests.support.feature_records import make_film_record

DIMENSIONS = {"image": 16, "audio": 8, "face": 12}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Four training films and one test film whose features are far off, with their manifest."""
    root = tmp_path_factory.mktemp("catalogue")
    films = {}
    rows = ["film_id,path,split"]
    for number in range(5):
        film_id = f"film{number}"
        record = make_film_record(film_id, 40 + number, DIMENSIONS, seed=number)
        films[film_id] = record
        records.write_record(record, records.record_uri(str(root / "features"), film_id))
        rows.append(f"{film_id},{film_id}.mp4,{'test' if number == 4 else 'train'}")
    (root / "films.csv").write_text("\n".join(rows) + "\n")
    return root, films


def run(root, output, *arguments):
    return prepare.main(
        [
            "--records",
            str(root / "features"),
            "--manifest",
            str(root / "films.csv"),
            "--output",
            str(output),
            *arguments,
        ]
    )


@pytest.fixture(scope="module")
def prepared(catalogue, tmp_path_factory):
    root, films = catalogue
    output = tmp_path_factory.mktemp("transform")
    assert run(root, output, "--set", "pca_components.image=3") == 0
    return output, films


def apply_transform(output, record):
    import tensorflow as tf

    graph = tf.saved_model.load(str(output / "transform_fn"))
    rows = {}
    for modality, track in record.tracks.items():
        rows[modality] = tf.constant(track.values)
        rows[modality + "_present"] = tf.constant(track.present)
    return {name: value.numpy() for name, value in graph.transform_fn(rows).items()}


def present_rows(films, modality, slot, chosen):
    tracks = [films[film_id].tracks[modality] for film_id in chosen]
    values = np.concatenate([t.values.reshape(len(t.values), records.slots_of(modality), -1)[:, slot] for t in tracks])
    return values.astype(np.float64)[np.concatenate([t.present[:, slot] for t in tracks]) > 0]


TRAIN = [f"film{number}" for number in range(4)]


def test_z_scores_are_those_of_present_training_rows(prepared):
    output, films = prepared
    record = films["film4"]
    transformed = apply_transform(output, record)
    for modality in ("audio", "face"):
        slots = records.slots_of(modality)
        track = record.tracks[modality]
        got = transformed[modality].reshape(len(track.values), slots, -1)
        raw = track.values.astype(np.float64).reshape(got.shape)
        for slot in range(slots):
            rows = present_rows(films, modality, slot, TRAIN)
            expected = (raw[:, slot] - rows.mean(axis=0)) / rows.std(axis=0) * track.present[:, slot, None]
            np.testing.assert_allclose(got[:, slot], expected, atol=2e-6)


def test_slots_of_a_modality_are_those_of_its_description():
    shape = prepare.RecordShape({"expression": 8, "audio": 3}, {"expression": {"slots": 2}, "audio": {}})
    assert shape.slots == {"expression": 2, "audio": 1}
    config = PrepareConfig(pca_components={"expression": 5})
    with pytest.raises(ConfigurationError, match="5 components of 4 dimensions a slot"):
        preprocessing(config, shape.dimensions, shape.slots)


def test_principal_components_are_those_of_numpy(prepared):
    output, films = prepared
    rows = present_rows(films, "image", 0, TRAIN)
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    eigenvalues, vectors = np.linalg.eigh(z.T @ z / len(z))
    components = z @ vectors[:, ::-1][:, :3] / np.sqrt(eigenvalues[::-1][:3])
    got = np.concatenate([apply_transform(output, films[film_id])["image"] for film_id in TRAIN])
    # An eigenvector's sign is free; the projection is rounded to 2^-16.
    signs = np.sign((got * components).sum(axis=0))
    np.testing.assert_allclose(got, components * signs, atol=2e-3)


def with_scores(films, film_ids, modality, column, scores):
    """A film whose values lie at their means, but those of one column so many deviations away, row by row."""
    rows = present_rows(films, modality, 0, film_ids)
    values = np.tile(rows.mean(axis=0), (len(scores), 1))
    values[:, column] += np.array(scores) * rows[:, column].std()
    record = make_film_record("rare", len(scores), DIMENSIONS)
    track = record.tracks[modality]
    track.values[:], track.present[:] = values, 1.0
    return record


def test_a_rare_feature_is_cut_at_eight_deviations(prepared):
    output, films = prepared
    got = apply_transform(output, with_scores(films, TRAIN, "audio", 2, [310.0, -310.0, 7.5]))["audio"]
    np.testing.assert_allclose(got[:, 2], [8.0, -8.0, 7.5], rtol=1e-5)
    np.testing.assert_allclose(np.delete(got, 2, axis=1), 0.0, atol=1e-5)
    # Whitened components: cut before they are taken, and after.
    far, further = apply_transform(output, with_scores(films, TRAIN, "image", 5, [8.0, 310.0]))["image"]
    np.testing.assert_array_equal(far, further)
    everywhere = with_scores(films, TRAIN, "image", slice(None), [[1e6], [-1e6]])
    assert np.abs(apply_transform(output, everywhere)["image"]).max() <= 8.0


def test_absent_rows_are_zero_and_damaged_ones_too(prepared):
    output, films = prepared
    record = films["film0"]
    record.tracks["audio"].values[0, 3] = np.nan
    transformed = apply_transform(output, record)
    record.tracks["audio"].values[0, 3] = 0.0
    absent = record.tracks["audio"].present[:, 0] == 0
    assert absent.any()
    assert not transformed["audio"][absent].any()
    assert not transformed["audio"][0].any()
    assert np.isfinite(transformed["audio"]).all()


def test_statistics_say_what_they_were_taken_over(prepared):
    output, films = prepared
    statistics = json.loads((output / "statistics.json").read_text())
    assert statistics["films"] == TRAIN
    assert statistics["seconds"] == sum(films[film_id].header.seconds for film_id in TRAIN)
    faces = np.sum([films[film_id].tracks["face"].present.sum(axis=0) for film_id in TRAIN], axis=0)
    assert statistics["present_seconds"]["face"] == faces.astype(int).tolist()
    assert statistics["fingerprints"] == films["film0"].header.fingerprints()
    manifest = json.loads((output / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 4, "done": 4, "skipped": 0, "failed": 0}


@pytest.mark.slow
def test_two_workers_give_the_same_transform(catalogue, prepared, tmp_path):
    root, films = catalogue
    assert run(root, tmp_path / "two", "--set", "pca_components.image=3", "--workers", "2") == 0
    one = apply_transform(prepared[0], films["film4"])
    two = apply_transform(tmp_path / "two", films["film4"])
    for modality, values in one.items():
        np.testing.assert_array_equal(values, two[modality])


@pytest.fixture(scope="module")
def of_test_split(catalogue, tmp_path_factory):
    """A run over another split, without clipping; one film has no record, and the temporary folder is its own."""
    root, _ = catalogue
    place = tmp_path_factory.mktemp("test-split")
    (place / "tmp").mkdir()
    manifest = place / "films.csv"
    manifest.write_text((root / "films.csv").read_text() + "lost,lost.mp4,test\n")
    settings = ("splits=[test]", "clip=null", "failure_threshold=0.6")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(place / "tmp"))
        places = ("--manifest", str(manifest), *(f"--set={setting}" for setting in settings))
        assert run(root, place / "out", *places) == 3
    return place


def test_another_split_gives_other_statistics_and_no_clip_cuts_nothing(catalogue, of_test_split):
    _, films = catalogue
    assert json.loads((of_test_split / "out" / "statistics.json").read_text())["films"] == ["film4"]
    rare = with_scores(films, ["film4"], "audio", 2, [310.0])
    np.testing.assert_allclose(apply_transform(of_test_split / "out", rare)["audio"][0, 2], 310.0, rtol=1e-5)


def test_a_film_without_a_record_is_a_failure_that_is_named(of_test_split):
    (row,) = map(json.loads, (of_test_split / "out" / "failures.jsonl").read_text().splitlines())
    assert (row["film_id"], row["reason"]) == ("lost", "no_record")


def test_nothing_is_left_in_the_temporary_folder(of_test_split):
    assert list((of_test_split / "tmp").iterdir()) == []


def test_mixed_features_are_refused_with_both_named(catalogue, tmp_path, capsys):
    root, films = catalogue
    features = tmp_path / "features"
    for film_id, record in films.items():
        if film_id == "film2":
            tracks = dict(record.tracks)
            audio = tracks["audio"]
            tracks["audio"] = records.FeatureTrack(
                audio.values, audio.present, audio.timestamps_us, {**audio.description, "weights": "other"}
            )
            record = records.make_record(record.header, tracks)
        records.write_record(record, records.record_uri(str(features), film_id))
    arguments = ["--records", str(features), "--manifest", str(root / "films.csv"), "--output", str(tmp_path / "out")]
    assert prepare.main(arguments) == 2
    message = capsys.readouterr().err
    assert "film0" in message
    assert "film2" in message


def test_a_cluster_needs_a_directory_that_all_workers_see(catalogue, tmp_path, capsys):
    root, _ = catalogue
    assert run(root, tmp_path / "out", "--runner=FlinkRunner", "--flink_master=localhost:1") == 2
    assert "--temp_location" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("pca_components.image=17", "pca_components.image"),
        ("pca_components.imag=3", "imag"),
        ("splits=[x]", "no film has the split 'x'"),
    ],
)
def test_configuration_errors_come_before_anything_starts(catalogue, tmp_path, capsys, override, expected):
    root, _ = catalogue
    assert run(root, tmp_path / "out", "--set", override) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
