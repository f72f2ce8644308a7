"""The transform graph that a real `prepare` left, loaded as a function."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import read_record, record_uri, slots_of
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.synthetic_films import DIMENSIONS, REPOSITORY, prepare
from trainer.data.dataset import read_statistics
from trainer.data.transform import load_transform
from trainer.training.run_identity import claim_directory


def rows_of(dataset, film_id: str) -> dict[str, np.ndarray]:
    rows = {}
    for modality, track in read_record(record_uri(dataset.records, film_id)).tracks.items():
        rows[modality], rows[f"{modality}_present"] = track.values, track.present
    return rows


def test_the_sizes_are_those_of_the_records(dataset):
    transform = load_transform(dataset.transform)
    assert transform.raw_dimensions == DIMENSIONS
    assert transform.dimensions == DIMENSIONS
    assert transform.slots == {modality: slots_of(modality) for modality in DIMENSIONS}


def test_the_training_films_come_out_with_mean_zero_and_deviation_one(dataset):
    transform = load_transform(dataset.transform)
    films = [rows_of(dataset, f"film{index}") for index in range(5)]
    transformed = [transform(film) for film in films]
    image = np.concatenate([film["image"] for film in transformed])
    np.testing.assert_allclose(image.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(image.std(axis=0), 1.0, atol=1e-3)
    for film, answer in zip(films, transformed, strict=True):
        np.testing.assert_array_equal(answer["face_present"], film["face_present"])


def test_a_modality_alone_comes_out_as_beside_the_others(dataset):
    transform = load_transform(dataset.transform)
    rows = rows_of(dataset, "film0")
    alone = transform({key: rows[key] for key in ("audio", "audio_present")})
    assert set(alone) == {"audio", "audio_present"}
    np.testing.assert_array_equal(alone["audio"], transform(rows)["audio"])


def identity_of(directory: str) -> dict[str, Any]:
    return {"transform": {"graph": load_transform(directory).digest(), **read_statistics(directory).identity()}}


@pytest.mark.slow
def test_its_identity_is_what_it_computes(dataset, tmp_path):
    """The same when prepare runs again, another with another setting; a run says which setting that is."""
    first = identity_of(dataset.transform)
    assert first == identity_of(dataset.transform)
    assert first == identity_of(prepare(dataset, str(tmp_path / "again")))
    whitened, plain = (
        identity_of(prepare(dataset, str(tmp_path / f"{whiten}"), "pca_components={face: 2}", f"pca_whiten={whiten}"))
        for whiten in (True, False)
    )
    assert len({one["transform"]["graph"] for one in (first, whitened, plain)}) == 3
    claim_directory(str(tmp_path / "run"), whitened)
    claim_directory(str(tmp_path / "run"), whitened)
    with pytest.raises(ConfigurationError, match=r"transform\.pca_whiten \(True there, False here\)") as raised:
        claim_directory(str(tmp_path / "run"), plain)
    assert "transform.graph" in str(raised.value)
    assert "it has another transform" in str(raised.value)


def test_rows_of_no_known_modality_are_refused(dataset):
    with pytest.raises(ValueError, match="no rows of"):
        load_transform(dataset.transform)({"smell": np.zeros((3, 2))})


def test_a_directory_without_a_transform_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="run prepare first"):
        load_transform(str(tmp_path))


def test_loading_it_needs_neither_beam_nor_tensorflow_transform(dataset):
    code = (
        "import sys; from trainer.data.transform import load_transform; load_transform(sys.argv[1]); "
        "assert not {'apache_beam', 'tensorflow_transform', 'tfx_bsl'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, dataset.transform]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
