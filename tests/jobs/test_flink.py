"""The three jobs on a real Flink cluster: the bytes of the local runner, also where a TaskManager is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml

from beam_pipelines import cli, extract, score
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.foundation import storage
from tests.support.documentation import blocks_of
from tests.support.exported_models import write_model
from tests.support.flink_cluster import busy_task_manager_killed, jars_folder, running_cluster
from tests.support.score_runs import contents, without_times, write_films
from tests.support.synthetic_clips import Sound, regular_times, write_clip

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
FILMS = 8
SOUND = ("--set=modalities=[audio]", "--set=audio.weights=untrained")
SOUND_SECTION = "{modalities: [audio], audio: {weights: untrained}}"
OF_THE_CLUSTER = ("--runner=", "--job_endpoint=", "--environment_", "--parallelism=")
OUTPUTS = {"extract": "features", "prepare": "transform", "score": "curves"}
RECORDS = {f"film{number}": 40 + number for number in range(12)}


@pytest.fixture(scope="module", autouse=True)
def quick_java():
    """Java doesn't optimise what runs for a minute: a tenth less of the tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        yield


@pytest.fixture(scope="module")
def cluster(emulator, tmp_path_factory):
    """Three TaskManagers: each of two tests kills one, and what is left must do. They see the emulator's bucket."""
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
    write_model(root / "exports", "1")
    return root


def test_the_commands_of_the_catalogue_page(cluster, films, tmp_path):
    """From films in a bucket to curves in it, as docs/catalogue.md says; only addresses of the cluster differ."""
    commands = [words[1:] for words in page_commands() if "--runner=PortableRunner" in words]
    assert [job for job, *_ in commands] == ["extract", "prepare", "score"]
    storage.copy_tree(str(films), "gs://bucket/films")
    rows = [f"{path.stem},films/{path.name},train" for path in sorted(films.iterdir())[:3]]
    storage.write_text("gs://bucket/films.csv", "\n".join(["film_id,path,split", *rows, ""]))
    descriptions = describe_tracks(ExtractConfig.model_validate(yaml.safe_load(SOUND_SECTION)))
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), "1", dimensions={"audio": 128}, descriptions=descriptions)
        storage.copy_tree(folder, "gs://bucket/exports")
    for job, *arguments in commands:
        words = [word for word in arguments if not word.startswith(OF_THE_CLUSTER)]
        words += SOUND if job == "extract" else ()
        # TensorFlow's own gs:// knows no emulator, and tf.Transform keeps its temporary files by it.
        words = [word.replace("gs://bucket/tmp", str(tmp_path)) for word in words]
        assert cli.main([job, *words, *cluster.options, "--no_auth"]) == 0, job
        alone = [word.replace(f"gs://bucket/{OUTPUTS[job]}", f"gs://bucket/alone-{job}") for word in words]
        assert cli.main([job, *alone, "--workers=1", "--no_auth"]) == 0, job
        # The graph of prepare carries a random name; what it says is in its JSON files.
        ending = ".json" if job == "prepare" else ""
        assert objects(OUTPUTS[job], ending) == objects(f"alone-{job}", ending)
        assert json.loads(objects(OUTPUTS[job], "run_manifest.json")["run_manifest.json"])["films"]["done"] == 3


def test_extraction_survives_the_loss_of_a_task_manager(cluster, films, tmp_path):
    arguments = ["--films", str(films), *SOUND]
    alone, output = tmp_path / "alone", tmp_path / "flink"
    assert extract.main([*arguments, "--output", str(alone), "--workers=1"]) == 0
    with busy_task_manager_killed(cluster, lambda: any(output.glob("*.tfrecord"))) as killed:
        assert extract.main([*arguments, "--output", str(output), *cluster.options]) == 0
    assert killed
    assert counts(output) == {"in": FILMS, "done": FILMS, "skipped": 0, "failed": 0}
    assert finished(output) == contents(alone)


def test_scoring_survives_the_loss_of_a_task_manager(cluster, catalogue, tmp_path):
    arguments = ["--records", str(catalogue / "features"), "--model", str(catalogue / "exports"), "--set", "shards=3"]
    alone, output = tmp_path / "alone", tmp_path / "flink"
    assert score.main([*arguments, "--output", str(alone), "--workers=1"]) == 0
    with busy_task_manager_killed(cluster, lambda: any(output.glob("curves/*.json"))) as killed:
        assert score.main([*arguments, "--output", str(output), *cluster.options]) == 0
    assert killed
    assert counts(output) == {"in": len(RECORDS), "done": len(RECORDS), "skipped": 0, "failed": 0}
    assert finished(output) == contents(alone)


def test_the_model_that_comes_with_the_package_scores_films(cluster, films, tmp_path):
    chosen, alone, output = tmp_path / "films", tmp_path / "alone", tmp_path / "flink"
    chosen.mkdir()
    for path in sorted(films.iterdir())[:2]:
        shutil.copy(path, chosen)
    arguments = ["--films", str(chosen), "--model", "builtin:signals", "--set", "plots=false"]
    assert score.main([*arguments, "--output", str(alone), "--workers=1"]) == 0
    assert score.main([*arguments, "--output", str(output), *cluster.options]) == 0
    assert counts(output) == {"in": 2, "done": 2, "skipped": 0, "failed": 0}
    assert finished(output) == contents(alone)
    assert len(list(output.glob("curves/*.csv"))) == len(list(output.glob("records/*.tfrecord"))) == 2


def test_the_command_starts_a_cluster_and_stops_it(tmp_path):
    steps = [words for words in page_commands() if words[:2] == ["python", "deploy/flink/cluster.py"]]
    assert [words[2] for words in steps] == ["fetch", "start", "options", "stop", "run"]
    places = {"~/flink": str(jars_folder()), "cluster": str(tmp_path / "cluster")}
    said = {}
    for _, script, step, *options in steps[:-1]:  # the last is another test's
        command = [sys.executable, str(REPOSITORY / script), step, *(places.get(word, word) for word in options)]
        said[step] = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if step == "start":
            state = json.loads((tmp_path / "cluster" / "cluster.json").read_text())
            assert len(state["processes"]) == 4  # JobManager, two TaskManagers, job server
            assert all(runs(pid) for pid in state["processes"].values())
    assert said["options"].startswith("--runner=PortableRunner ")
    assert not any(runs(pid) for pid in state["processes"].values())


def test_one_command_starts_a_cluster_runs_a_job_and_stops_it(films, tmp_path):
    """`cluster.py run`, with a job that logs JSON: workers' messages are whole objects in the files of the page."""
    home, output, chosen = tmp_path / "cluster", tmp_path / "features", tmp_path / "films"
    chosen.mkdir()
    for path in sorted(films.iterdir())[:3]:
        shutil.copy(path, chosen)
    (chosen / "text.mp4").write_text("this is no film\n" * 100)
    command = [sys.executable, str(REPOSITORY / "deploy" / "flink" / "cluster.py"), "run"]
    job = [sys.executable, "-m", "beam_pipelines.cli", "extract", "--films", str(chosen), "--output", str(output)]
    done = subprocess.run(
        [*command, f"--cache={jars_folder()}", f"--home={home}", "--", *job, *SOUND, "--log-format=json"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr  # the job's own: one file is no film
    assert counts(output) == {"in": 4, "done": 3, "skipped": 0, "failed": 1}
    assert not processes_of(home)
    lines = [line for path in (home / "log").glob("taskmanager*.jsonl") for line in path.read_text().splitlines()]
    log = [json.loads(line) for line in lines]
    outcomes = {entry["film"]: entry for entry in log if entry["logger"] == "beam_pipelines.transforms.outcomes"}
    assert set(outcomes) == {path.name for path in chosen.iterdir()}
    assert (outcomes["text.mp4"]["level"], outcomes["text.mp4"]["reason"]) == ("WARNING", "unreadable")
    extraction = [entry for entry in log if entry["logger"] == "beam_pipelines.extraction.one_film"]
    assert {entry["film"] for entry in extraction} >= set(outcomes) - {"text.mp4"}
    assert all(entry["worker"] not in ("", "driver") and entry["host"] and entry["pid"] for entry in log)


def processes_of(home: Path) -> list[int]:
    """Processes of a cluster: each has the cluster's directory in its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


def runs(pid: int) -> bool:
    # One that has ended and that nobody has asked about keeps its number, but has no command line any more.
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def page_commands() -> list[list[str]]:
    page = REPOSITORY / "docs" / "catalogue.md"
    return [words for block in blocks_of(page) for words in block.commands]


def objects(folder: str, ending: str) -> dict[str, bytes]:
    """Name -> bytes of what lies below a folder of the bucket, as `contents` has them."""
    place = f"gs://bucket/{folder}"
    uris = [info.uri for info in storage.list_files(place) if info.uri.endswith(ending)]
    names = [uri.removeprefix(f"{place}/") for uri in uris]
    return {name: without_times(name, storage.read_bytes(uri)) for name, uri in zip(names, uris, strict=True)}


def finished(output: Path) -> dict[str, bytes]:
    """Name -> bytes of whole files: a TaskManager killed while it writes leaves a part, which a later run removes."""
    return {name: data for name, data in contents(output).items() if not name.endswith(storage.TEMPORARY_SUFFIX)}


def counts(output: Path) -> dict[str, int]:
    return json.loads((output / "run_manifest.json").read_text())["films"]
