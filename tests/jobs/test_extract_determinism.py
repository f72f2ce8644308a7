"""The same films give the same bytes, however many workers there are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from beam_pipelines.demo.films import make_demo_films, plan_demo_films
from beam_pipelines.extractors.configured_networks import Networks
from tests.support.onnx_files import patches_network, pictures_network, quantised_network, sounds_network

FILMS = {"films": 2, "seconds": 6, "seed": 2018}
# Small batches, so that a film has several, the last of them padded.
SETTINGS = ["--set=modalities=[audio,face]", "--set=face.detector_batch_size=4"]
SETTINGS += [
    f"--set={modality}.{key}" for modality in ("audio", "face") for key in ("weights=untrained", "batch_size=4")
]


def extracted(manifest: Path, output: Path, workers: int, *settings: str) -> dict[str, bytes]:
    arguments = ["--films", str(manifest), "--output", str(output), "--workers", str(workers)]
    code = extract.main([*arguments, *SETTINGS, *settings])
    assert code == 0
    return {film_id: Path(uri).read_bytes() for film_id, uri in records.list_records(str(output)).items()}


@pytest.mark.slow
def test_one_worker_and_two_write_the_same_bytes_of_films_with_faces(tmp_path: Path) -> None:
    manifest = make_demo_films(tmp_path / "data", **FILMS)
    picture = ("--set=modalities=[image,audio,face]", "--set=image.weights=untrained", "--set=image.batch_size=4")
    one = extracted(manifest, tmp_path / "one", 1, *picture)
    two = extracted(manifest, tmp_path / "two", 2, *picture)
    assert sorted(one) == sorted(film.film_id for film in plan_demo_films(**FILMS))
    assert {film_id for film_id in one if one[film_id] != two[film_id]} == set()
    tracks = {film_id: records.read_record(str(tmp_path / "one" / f"{film_id}.tfrecord")).tracks for film_id in one}
    for film_id, track in tracks.items():
        faces = track["face"]
        assert faces.present.any(), f"{film_id}: no second has a face, so the face network was not put to the test"
        assert not faces.present.all()
        assert (np.abs(faces.values).reshape(len(faces.values), 2, -1).max(axis=2) > 0).tolist() == (
            faces.present > 0
        ).tolist()


@pytest.mark.slow
def test_one_worker_and_two_write_the_same_bytes_of_networks_by_configuration(tmp_path: Path) -> None:
    manifest = make_demo_films(tmp_path / "data", **FILMS)
    picture = {"takes": "picture", "file": str(pictures_network(tmp_path / "vision.onnx")), "size_px": 24}
    wave = str(sounds_network(tmp_path / "wave.onnx", 32_000, 4_000))
    networks = {
        "vision": {**picture, "output": ["embeds", "tokens"], "pool": "mean", "batch_size": 4},
        "wave": {"takes": "sound", "file": wave, "rate_hz": 16_000, "window_s": 2.0, "pool": "max"},
        "tones": {"takes": "log_mel", "file": str(patches_network(tmp_path / "tones.onnx", 64))},
        "expression": {
            "takes": "face",
            "file": str(quantised_network(tmp_path / "bytes.onnx", 24)),
            "size_px": 24,
            "layout": "nhwc",
        },
    }
    settings = [f"--set=networks={json.dumps(networks)}", f"--set=modalities={json.dumps(list(networks))}"]
    one, two = (extracted(manifest, tmp_path / f"{count}", count, *settings) for count in (1, 2))
    assert len(one) == 2
    assert {film_id for film_id in one if one[film_id] != two[film_id]} == set()
    for film_id in one:
        tracks = records.read_record(str(tmp_path / "1" / f"{film_id}.tfrecord")).tracks
        assert all(track.values.any() for track in tracks.values())
        assert tracks["expression"].present.shape[1] == 2


@pytest.mark.slow
def test_films_that_share_batches_in_one_process_get_the_vectors_of_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_demo_films(tmp_path / "data", films=3, seconds=5, seed=2018)
    built: list[str] = []
    build = Networks._build

    def count(networks: Networks, kind: type, config: object) -> object:
        built.append(kind.__name__)
        return build(networks, kind, config)

    monkeypatch.setattr(Networks, "_build", count)
    sharing = "--set=device.share_batches=true"
    alone = extracted(manifest, tmp_path / "alone", 1, sharing)
    assert sorted(built) == ["InceptionResnetV1Face", "VGGishAudio"]
    together = extracted(manifest, tmp_path / "together", 3, sharing)
    # Three films at once, and one copy of each network: it is in this process, for the count to see it.
    assert sorted(built) == ["InceptionResnetV1Face"] * 2 + ["VGGishAudio"] * 2
    assert len(alone) == 3
    assert alone.keys() == together.keys()
    for film_id in alone:
        ones, others = (
            records.read_record(str(tmp_path / run / f"{film_id}.tfrecord")).tracks for run in ("alone", "together")
        )
        assert others["face"].present.any()
        for modality in ("audio", "face"):
            np.testing.assert_array_equal(others[modality].present, ones[modality].present)
            np.testing.assert_allclose(others[modality].values, ones[modality].values, rtol=0, atol=1e-5)
