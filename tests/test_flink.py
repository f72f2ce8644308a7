"""Extraction and scoring on a real Flink cluster: the bytes of the local runner, also where a TaskManager is killed."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from exported_models import write_model
from flink_cluster import busy_task_manager_killed, running_cluster
from score_runs import contents, write_films
from synthetic_clips import Sound, regular_times, write_clip

from beam_pipelines import extract, prepare, score

FILMS = 8
SOUND = ("--set=modalities=[audio]", "--set=audio.weights=untrained")
RECORDS = {f"film{number}": 40 + number for number in range(12)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three TaskManagers: each of two tests kills one, and what is left must do."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), task_managers=3) as running:
        yield running


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        times = np.arange(16_000 * 30) / 16_000
        samples = (0.4 * np.sin(2 * np.pi * (300 + 50 * number) * times)).astype(np.float32)[None]
        write_clip(folder / f"film{number}.mp4", regular_times(60, 2), sound=Sound([(Fraction(0), samples)], 16_000))
    return folder


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    """Feature records and a model of such features."""
    root = tmp_path_factory.mktemp("catalogue")
    write_films(root / "features", RECORDS)
    rows = [f"{film_id},{film_id}.mp4,train" for film_id in RECORDS]
    (root / "films.csv").write_text("\n".join(["film_id,path,split", *rows, ""]))
    write_model(root / "exports", "1")
    return root


def test_prepare_takes_the_same_statistics(cluster, catalogue, tmp_path):
    arguments = ["--records", str(catalogue / "features"), "--manifest", str(catalogue / "films.csv")]
    alone, output = tmp_path / "alone", tmp_path / "flink"
    assert prepare.main([*arguments, "--output", str(alone)]) == 0
    place = f"--temp_location={tmp_path / 'temporary'}"
    assert prepare.main([*arguments, "--output", str(output), place, *cluster.options]) == 0
    # The graph itself carries a random name.
    assert contents(output, ".json") == contents(alone, ".json")


def test_extraction_survives_the_loss_of_a_task_manager(cluster, films, tmp_path):
    arguments = ["--films", str(films), *SOUND]
    alone, output = tmp_path / "alone", tmp_path / "flink"
    assert extract.main([*arguments, "--output", str(alone), "--workers=1"]) == 0
    with busy_task_manager_killed(cluster, lambda: any(output.glob("*.tfrecord"))) as killed:
        assert extract.main([*arguments, "--output", str(output), *cluster.options]) == 0
    assert killed
    assert counts(output) == {"in": FILMS, "done": FILMS, "skipped": 0, "failed": 0}
    assert contents(output) == contents(alone)


def test_scoring_survives_the_loss_of_a_task_manager(cluster, catalogue, tmp_path):
    arguments = ["--records", str(catalogue / "features"), "--model", str(catalogue / "exports"), "--set", "shards=3"]
    alone, output = tmp_path / "alone", tmp_path / "flink"
    assert score.main([*arguments, "--output", str(alone), "--workers=1"]) == 0
    with busy_task_manager_killed(cluster, lambda: any(output.glob("curves/*.json"))) as killed:
        assert score.main([*arguments, "--output", str(output), *cluster.options]) == 0
    assert killed
    assert counts(output) == {"in": len(RECORDS), "done": len(RECORDS), "skipped": 0, "failed": 0}
    assert contents(output) == contents(alone)


def counts(output: Path) -> dict[str, int]:
    return json.loads((output / "run_manifest.json").read_text())["films"]
