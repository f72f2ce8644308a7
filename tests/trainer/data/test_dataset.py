"""Loading records with labels: what comes out, and every reason to refuse."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import make_record, read_record, record_uri, write_record
from beam_pipelines.films.catalogue import Film, films_of_splits, read_manifest
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.config import LabelConfig
from tests.support.synthetic_films import DIMENSIONS, DataSet, write_labels
from trainer.data.dataset import Statistics, TrainingFilm, data_digest, load_films, read_statistics
from trainer.data.transform import RowTransform, load_transform

MODALITIES = list(DIMENSIONS)


@pytest.fixture(scope="module")
def statistics(dataset: DataSet) -> Statistics:
    return read_statistics(dataset.transform)


@pytest.fixture(scope="module")
def transform(dataset: DataSet) -> RowTransform:
    return load_transform(dataset.transform)


@pytest.fixture(scope="module")
def train_films(dataset: DataSet) -> list[Film]:
    return films_of_splits(read_manifest(dataset.manifest), ["train"])


@pytest.fixture(scope="module")
def loaded(
    dataset: DataSet, statistics: Statistics, transform: RowTransform, train_films: list[Film]
) -> list[TrainingFilm]:
    return load_films(dataset.records, train_films, transform, statistics, LabelConfig(), MODALITIES)


def test_films_come_transformed_and_labelled(
    dataset: DataSet, loaded: list[TrainingFilm], statistics: Statistics
) -> None:
    assert [film.film_id for film in loaded] == [f"film{index}" for index in range(5)]
    assert statistics.films == tuple(film.film_id for film in loaded)
    for film in loaded:
        record = read_record(record_uri(dataset.records, film.film_id))
        assert film.seconds == record.header.seconds
        assert film.known.all()
        assert film.report.complete
        absent = np.repeat(film.present["face"] == 0, DIMENSIONS["face"] // 2, axis=1)
        assert absent.any()
        np.testing.assert_array_equal(film.features["face"][absent], 0.0)
        np.testing.assert_array_equal(film.present["face"], record.tracks["face"].present)
    rows = np.concatenate([film.features["image"] for film in loaded])
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(rows.std(axis=0), 1.0, atol=1e-4)


def test_a_part_of_the_modalities_is_enough(
    dataset: DataSet,
    statistics: Statistics,
    transform: RowTransform,
    train_films: list[Film],
    loaded: list[TrainingFilm],
) -> None:
    (film,) = load_films(dataset.records, train_films[:1], transform, statistics, LabelConfig(), ["audio"])
    assert set(film.features) == set(film.present) == {"audio"}
    np.testing.assert_array_equal(film.features["audio"], loaded[0].features["audio"])
    with pytest.raises(ConfigurationError, match=r"has no statistics of \['smell'\]"):
        load_films(dataset.records, train_films, transform, statistics, LabelConfig(), ["audio", "smell"])


def test_other_fingerprints_are_refused_with_both_named(
    dataset: DataSet, statistics: Statistics, transform: RowTransform, train_films: list[Film], tmp_path: Path
) -> None:
    record = read_record(record_uri(dataset.records, "film0"))
    audio = replace(record.tracks["audio"], description={"network": "another"})
    write_record(make_record(record.header, {**record.tracks, "audio": audio}), record_uri(str(tmp_path), "film0"))
    with pytest.raises(ConfigurationError) as raised:
        load_films(str(tmp_path), train_films[:1], transform, statistics, LabelConfig(), MODALITIES)
    assert audio.fingerprint in str(raised.value)
    assert statistics.fingerprints["audio"] in str(raised.value)
    assert record_uri(str(tmp_path), "film0") in str(raised.value)


def test_records_that_are_absent_or_incomplete_are_refused(
    dataset: DataSet, statistics: Statistics, transform: RowTransform, train_films: list[Film], tmp_path: Path
) -> None:
    def load() -> None:
        load_films(str(tmp_path), train_films[:1], transform, statistics, LabelConfig(), MODALITIES)

    with pytest.raises(ConfigurationError, match="1 of the 1 chosen films have no record: film0"):
        load()
    record, uri = read_record(record_uri(dataset.records, "film0")), record_uri(str(tmp_path), "film0")
    write_record(make_record(record.header, {m: record.tracks[m] for m in ("image", "face")}), uri)
    with pytest.raises(ConfigurationError, match="holds no audio features"):
        load()
    shutil.copyfile(record_uri(dataset.records, "film0"), uri)
    with open(uri, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ConfigurationError, match="cut off or damaged"):
        load()


def test_films_that_extraction_failed_for_are_all_named_with_what_to_do(
    dataset: DataSet, statistics: Statistics, transform: RowTransform, train_films: list[Film], tmp_path: Path
) -> None:
    for film_id in ("film0", "film2", "film3"):
        shutil.copyfile(record_uri(dataset.records, film_id), record_uri(str(tmp_path), film_id))
    with pytest.raises(ConfigurationError) as raised:
        load_films(str(tmp_path), train_films, transform, statistics, LabelConfig(), MODALITIES)
    text = str(raised.value)
    assert text.startswith(f"{tmp_path}: 2 of the 5 chosen films have no record: film1, film4. ")
    assert "failures.jsonl" in text
    assert "take them out of the manifest, or give them another split" in text


def test_settings_that_change_nothing_are_no_identity(statistics: Statistics) -> None:
    def identity(**settings: object) -> dict[str, object]:
        whole = {"splits": ["train"], "pca_components": {}, "pca_whiten": True, "rows_per_batch": 512, **settings}
        return replace(statistics, settings=whole).identity()

    assert identity() == identity(rows_per_batch=64) == identity(splits=["a", "b"]) == identity(pca_whiten=False)
    components = {"face": 2}
    assert identity() != identity(pca_components=components)
    assert identity(pca_components=components) != identity(pca_components=components, pca_whiten=False)


def test_labels_longer_and_shorter_than_the_film_are_cut_and_reported(
    dataset: DataSet, statistics: Statistics, transform: RowTransform, train_films: list[Film], tmp_path: Path
) -> None:
    def load(rows: int, **keys: float) -> TrainingFilm:
        write_labels(tmp_path / "labels.txt", np.full((rows, 2), 0.5))
        film = replace(train_films[0], labels=str(tmp_path / "labels.txt"))
        config = LabelConfig.model_validate(keys)
        return load_films(dataset.records, [film], transform, statistics, config, ["audio"])[0]

    seconds = 70
    longer, shorter = load(seconds + 3), load(seconds - 20)
    assert longer.known.all()
    assert len(longer.label_rows) == seconds + 3
    assert longer.report.after_film == 3
    assert shorter.known.sum() == shorter.report.used == seconds - 20
    assert shorter.report.unlabelled_seconds == 20
    with pytest.raises(ConfigurationError, match=r"none of its 5 rows lies within the 70 seconds of film 'film0'"):
        load(5, first_time_s=500.0)
    unlabelled = replace(train_films[0], labels="")
    with pytest.raises(ConfigurationError, match=r"film 'film0' \(split 'train'\) has no labels in the manifest"):
        load_films(dataset.records, [unlabelled], transform, statistics, LabelConfig(), MODALITIES)


def test_digest_knows_films_features_and_labels_but_no_order(
    dataset: DataSet,
    statistics: Statistics,
    transform: RowTransform,
    train_films: list[Film],
    loaded: list[TrainingFilm],
    tmp_path: Path,
) -> None:
    digest = data_digest(loaded)
    assert digest == data_digest(loaded[::-1])
    assert digest != data_digest(loaded[1:])
    values = loaded[0].labels.copy()
    values[3, 1] += 0.01
    write_labels(tmp_path / "labels.txt", values)
    changed = replace(train_films[0], labels=str(tmp_path / "labels.txt"))
    (film,) = load_films(dataset.records, [changed], transform, statistics, LabelConfig(), MODALITIES)
    assert digest != data_digest([film, *loaded[1:]])


def test_splits_are_named_or_refused(dataset: DataSet) -> None:
    films = read_manifest(dataset.manifest)
    assert [film.film_id for film in films_of_splits(films, ["validation", "test"])] == ["film5", "film6", "film7"]
    assert films_of_splits(films, []) == []
    with pytest.raises(ConfigurationError, match="the split 'validaton'; did you mean 'validation'"):
        films_of_splits(films, ["validaton"])


def test_statistics_that_are_absent_or_damaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cineaffect prepare"):
        read_statistics(str(tmp_path))
    (tmp_path / "statistics.json").write_text("{")
    with pytest.raises(ConfigurationError, match="not readable as JSON"):
        read_statistics(str(tmp_path))
    (tmp_path / "statistics.json").write_text(json.dumps({"modalities": []}))
    with pytest.raises(ConfigurationError, match="has no key 'fingerprints'"):
        read_statistics(str(tmp_path))
