"""The jobs on Beam's other local runners, Prism and multi-processing: the bytes of the default runner in one process.

That two processes extract the same bytes of pictures and faces is tested in test_extract_determinism, and that two
prepare the same transform in test_prepare.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract, prepare, score
from beam_pipelines.contracts.records import records
from beam_pipelines.launch import job
from tests.support.exported_models import write_model
from tests.support.score_runs import contents, write_films
from tests.support.synthetic_clips import Sound, regular_times, write_clip

SECONDS = {f"film{number}": 30 + number for number in range(4)}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("catalogue")
    samples = (0.4 * np.sin(np.arange(16_000 * 3) * 0.2)).astype(np.float32)[None]
    (root / "films").mkdir()
    for number in range(3):
        sound = Sound([(Fraction(0), samples[:, : 16_000 * (1 + number)])], 16_000)
        write_clip(root / "films" / f"film{number}.mp4", regular_times(25 * (1 + number), 25), sound=sound)
    (root / "films" / "text.mp4").write_text("this is no film\n" * 100)
    write_films(root / "features", SECONDS)
    write_model(root / "exports", "1")
    rows = [f"{film_id},{film_id}.mp4,train\n" for film_id in SECONDS]
    (root / "films.csv").write_text("film_id,path,split\n" + "".join(rows))
    return root


@pytest.fixture(scope="module")
def prism(tmp_path_factory) -> list[str]:
    """Options for Prism, from CINEAFFECT_PRISM or the PATH, or else built with Go."""
    found = os.environ.get("CINEAFFECT_PRISM") or shutil.which("prism")
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not found and not go:
        pytest.skip("needs Prism: set CINEAFFECT_PRISM to the program, or install Go, with which it is built")
    if not found:
        folder = tmp_path_factory.mktemp("prism")
        package = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{version('apache-beam')}"
        environment = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        # Neither optimised nor with the parts of gRPC that only Google uses: 75 s of a core, not 180.
        tags = "-tags=disable_grpc_modules,grpcnotrace"
        install = [go, "install", tags, "-gcflags=all=-N -l -dwarf=false", "-ldflags=-s -w", package]
        built = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
        if built.returncode:
            pytest.skip(f"needs Prism, which Go could not build: {built.stderr.strip()[-300:]}")
        found = str(folder / "prism")
    return ["--runner=PrismRunner", f"--prism_location={found}"]


@pytest.fixture(scope="module")
def alone(catalogue, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("alone")
    extract_and_score(catalogue, root, ["--workers=1"])
    return root


def extract_and_score(catalogue: Path, root: Path, options: list[str]) -> None:
    films = ["--films", str(catalogue / "films"), "--output", str(root / "extract"), "--set=modalities=[sound_signals]"]
    assert extract.main([*films, "--set=failure_threshold=1", *options]) == 3
    ready = ["--records", str(catalogue / "features")]
    model = ["--model", str(catalogue / "exports"), "--set=plots=false", "--set=shards=3", "--set=batch_s=40"]
    assert score.main([*ready, *model, "--output", str(root / "score"), *options]) == 0


def prepare_transform(catalogue: Path, root: Path, options: list[str]) -> None:
    ready = ["--records", str(catalogue / "features"), "--manifest", str(catalogue / "films.csv")]
    places = [f"--temp_location={root / 'temporary'}", "--output", str(root / "prepare")]
    assert prepare.main([*ready, *places, *options]) == 0


def assert_same_records_and_curves(root: Path, alone: Path) -> None:
    for name in ("extract", "score"):
        assert contents(root / name) == contents(alone / name), name


def assert_same_transform(root: Path, alone: Path, catalogue: Path) -> None:
    # The transform graph carries a random name; what it makes of a film is compared.
    assert contents(root / "prepare", ".json") == contents(alone / "prepare", ".json")
    ours, theirs = transformed(root, catalogue), transformed(alone, catalogue)
    assert set(ours) == {"image", "audio", "face"}
    for modality, rows in ours.items():
        np.testing.assert_array_equal(rows, theirs[modality])


def transformed(root: Path, catalogue: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    graph = tf.saved_model.load(str(root / "prepare" / "transform_fn"))
    record = records.read_record(str(catalogue / "features" / "film0.tfrecord"))
    rows = {modality: tf.constant(track.values) for modality, track in record.tracks.items()}
    rows |= {f"{modality}_present": tf.constant(track.present) for modality, track in record.tracks.items()}
    return {modality: value.numpy() for modality, value in graph.transform_fn(rows).items()}


@pytest.mark.slow
def test_prism_writes_the_same_bytes(catalogue, prism, alone, tmp_path):
    extract_and_score(catalogue, tmp_path, prism)
    assert_same_records_and_curves(tmp_path, alone)
    for root, options in ((alone, ["--workers=1"]), (tmp_path, prism)):
        prepare_transform(catalogue, root, options)
    assert_same_transform(tmp_path, alone, catalogue)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(catalogue, alone, tmp_path):
    extract_and_score(catalogue, tmp_path, ["--direct_running_mode=multi_processing", "--direct_num_workers=2"])
    assert_same_records_and_curves(tmp_path, alone)


def test_workers_are_threads_of_one_process_where_they_share_what_is_in_it():
    def mode(workers: int, *arguments: str) -> tuple[str, int]:
        options = job.beam_options(arguments, workers, one_process=lambda: True).get_all_options()
        return options["direct_running_mode"], options["direct_num_workers"]

    assert mode(3) == ("multi_threading", 3)
    assert mode(1) == ("in_memory", 1)
    assert mode(3, "--direct_running_mode=multi_processing") == ("multi_processing", 3)
    assert job.beam_options([], 3).get_all_options()["direct_running_mode"] == "multi_processing"

    def unwanted() -> bool:
        raise AssertionError("asked on a machine that only starts the job")

    job.beam_options(["--runner=PrismRunner"], 0, one_process=unwanted)
