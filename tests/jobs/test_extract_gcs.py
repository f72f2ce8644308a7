"""The extract job with films and records in a bucket of a real emulator: the same records as on local disk, resumed."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from beam_pipelines.foundation import storage
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

ONLY_AUDIO = ("--workers=1", "--set=audio.weights=untrained", "--set=audio.batch_size=4", "--set=modalities=[audio]")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "clip.mp4", 2.2)
    (folder / "text.mp4").write_text("this is no film\n" * 100)
    return folder


def write_film(path: Path, seconds: float) -> None:
    samples = np.random.default_rng(7).normal(0, 0.1, (1, round(seconds * 16_000))).astype(np.float32)
    write_clip(path, regular_times(round(seconds * 25), 25), sound=Sound([(Fraction(0), samples)], 16_000))


def run(films: str, output: str, *arguments: str) -> int:
    return extract.main(["--films", films, "--output", output, *ONLY_AUDIO, *arguments])


def counts(output: str) -> dict[str, int]:
    return json.loads(storage.read_text(storage.join(output, "run_manifest.json")))["films"]


def test_films_and_records_in_a_bucket_are_those_of_a_folder(emulator, films, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    storage.copy_tree(str(films), "gs://bucket/films")
    storage.write_text("gs://bucket/lists/films.csv", "film_id,path\nclip.mp4,../films/clip.mp4\n")

    assert run("gs://bucket/films", "gs://bucket/features") == 3
    assert counts("gs://bucket/features") == {"in": 2, "done": 1, "skipped": 0, "failed": 1}
    (failure,) = [json.loads(row) for row in storage.read_text("gs://bucket/features/failures.jsonl").splitlines()]
    assert (failure["film_id"], failure["reason"]) == ("text.mp4", "unreadable")
    assert failure["detail"].startswith(
        "gs://bucket/films/text.mp4: not a film"
    )  # and not its copy, which has a random name
    assert str(temporary) not in failure["detail"]
    assert emulator.object_names("bucket") == [
        "features/clip.mp4.tfrecord",
        "features/failures.jsonl",
        "features/run_manifest.json",
        "features/warnings.jsonl",
        "films/clip.mp4",
        "films/text.mp4",
        "lists/films.csv",
    ]

    assert run(str(films), str(tmp_path / "features")) == 3
    remote = records.read_record("gs://bucket/features/clip.mp4.tfrecord")
    local = records.read_record(str(tmp_path / "features" / "clip.mp4.tfrecord"))
    assert remote.header.source_uri == "gs://bucket/films/clip.mp4"
    assert remote.tracks["audio"].values.std() > 0
    assert remote.header.source_sha256 == local.header.source_sha256
    assert records.digest(remote, ["audio"]) == records.digest(local, ["audio"])

    before = storage.stat("gs://bucket/features/clip.mp4.tfrecord")
    assert run("gs://bucket/lists/films.csv", "gs://bucket/features") == 0
    assert counts("gs://bucket/features") == {"in": 1, "done": 0, "skipped": 1, "failed": 0}
    assert storage.stat("gs://bucket/features/clip.mp4.tfrecord") == before

    write_film(films / "clip.mp4", 3.2)
    storage.copy_tree(str(films), "gs://bucket/films")
    assert run("gs://bucket/films/c*.mp4", "gs://bucket/features") == 0
    assert counts("gs://bucket/features") == {"in": 1, "done": 1, "skipped": 0, "failed": 0}
    assert records.read_header("gs://bucket/features/clip.mp4.tfrecord").seconds == 4
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("gs://bucket/nothing", "gs://bucket/nothing: no films found"),
        ("gs://absent/films", "there is no bucket absent"),
        ("gs://bucket/nothing.csv", "gs://bucket/nothing.csv: no such manifest"),
    ],
)
def test_films_that_are_not_there_are_told_before_anything_starts(emulator, tmp_path, uri, expected, capsys):
    assert run(uri, str(tmp_path / "out")) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_absent_credentials_are_told_before_anything_starts(tmp_path, monkeypatch, capsys):
    for variable in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert run("gs://bucket/films", str(tmp_path / "out")) == 2
    assert "error: gs://bucket/films/: no Google Cloud credentials" in capsys.readouterr().err
