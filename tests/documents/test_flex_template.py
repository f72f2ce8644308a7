"""The Dataflow Flex Template: its parameters are options of the jobs, and its program leaves a graph to start."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.contracts.records import records
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch import job
from tests.support.dataflow_scripts import arguments_of
from tests.support.exported_models import write_model
from tests.support.feature_records import make_film_record

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FLEX = DEPLOY / "dataflow" / "flex"
JOBS = ("extract", "prepare", "score")

# What the launcher gives beside the parameters, and parameters as a user would give them.
LAUNCHER = ("--runner=DataflowRunner", "--project=some-project", "--region=europe-west4", "--job_name=cineaffect",
            "--temp_location=gs://bucket/tmp", "--staging_location=gs://bucket/staging",
            "--template_location=gs://bucket/staging/graph.json", "--no_auth")  # fmt: skip
IMAGE = "europe-docker.pkg.dev/some-project/cineaffect/template:1"
GIVEN = {
    "films": "gs://bucket/films.csv",
    "records": "gs://bucket/features",
    "manifest": "gs://bucket/films.csv",
    "model": "gs://bucket/exports",
    "output": "gs://bucket/output",
    "splits": "train,test",
    "sdk_container_image": IMAGE,
    "config": "gs://bucket/all.yaml",
    "set": "failure_threshold=0.5",
    "log_format": "json",
    "retry_failed": "true",
    "force": "false",
    "dataflow_service_options": "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver",
}
# Not in the place of `films`, which the parser of score takes as the other choice.
EXCLUDED = {"score": {"films"}}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cineaffect_flex", FLEX / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parameters(name: str) -> dict[str, dict[str, Any]]:
    """Name -> a parameter of a template, as its metadata declare it."""
    declared = json.loads((FLEX / f"{name}.json").read_text())["parameters"]
    return {parameter["name"]: parameter for parameter in declared}


def given(name: str) -> dict[str, str]:
    """A value for each parameter of a template that may be given together."""
    values = {"job": name, **GIVEN}
    return {parameter: values[parameter] for parameter in parameters(name) if parameter not in EXCLUDED.get(name, ())}


class LookedAtError(ConfigurationError):
    """Raised in a job's place when its options have been read."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[PipelineOptions]:
    """Beam's options as a job builds them; the job ends there."""
    options: list[PipelineOptions] = []
    build = job.beam_options

    def look(*arguments: Any, **named: Any) -> PipelineOptions:
        options.append(build(*arguments, **named))
        raise LookedAtError("looked at")

    monkeypatch.setattr(job, "beam_options", look)
    # A job reads its section before that; the file is in a bucket that these tests don't have.
    read = storage.read_text
    monkeypatch.setattr(storage, "read_text", lambda uri: "" if uri == GIVEN["config"] else read(uri))
    return options


@pytest.mark.parametrize("name", JOBS)
def test_metadata_have_the_form_that_dataflow_asks_for(name):
    document = json.loads((FLEX / f"{name}.json").read_text())
    assert set(document) == {"name", "description", "parameters"}
    for parameter in document["parameters"]:
        assert set(parameter) <= {"name", "label", "helpText", "isOptional", "regexes"}
        assert parameter["name"].isidentifier()
        assert parameter["label"]
        assert parameter["helpText"]
    assert len(parameters(name)) == len(document["parameters"])


@pytest.mark.parametrize("name", JOBS)
def test_each_pattern_takes_what_is_meant_and_refuses_the_rest(name):
    values = {"job": name, **GIVEN}
    for parameter, declared in parameters(name).items():
        for pattern in declared["regexes"]:
            assert re.fullmatch(pattern, values[parameter]), parameter
            assert not re.fullmatch(pattern, ""), parameter
            assert not re.fullmatch(pattern, "/local/folder"), parameter


@pytest.mark.parametrize("name", JOBS)
def test_every_parameter_is_an_option_of_the_job_or_of_beam(name, program, seen, capsys):
    words = [f"--{parameter}={value}" for parameter, value in given(name).items()]
    chosen, arguments = program.job_and_arguments([*words, *LAUNCHER])
    assert chosen == name
    assert program.JOBS[chosen]([word for word in arguments if word != "--log-format=json"]) == 2
    assert capsys.readouterr().err == "error: looked at\n"  # the job's own parser has taken what is its own
    (options,) = seen
    known = options.get_all_options()
    assert set(options.get_all_options(retain_unknown_options=True)) == set(known)
    assert (known["sdk_container_image"], known["sdk_location"]) == (IMAGE, "container")
    # Of the parameters only extract has a GPU's.
    has_gpu = "dataflow_service_options" in given(name)
    assert has_gpu == (name == "extract")
    assert known["number_of_worker_harness_threads"] == (16 if has_gpu else 1)
    assert known["experiments"] == ["use_runner_v2", *(["no_use_multiple_sdk_containers"] if has_gpu else [])]
    assert known["machine_type"]


@pytest.mark.parametrize("name", JOBS)
def test_what_is_required_is_what_the_job_requires(name, program, seen, capsys):
    required = {p: v for p, v in given(name).items() if not parameters(name)[p].get("isOptional")}
    if name == "score":
        required["records"] = GIVEN["records"]  # it or films
    words = {parameter: f"--{parameter}={value}" for parameter, value in required.items()}
    _, arguments = program.job_and_arguments([*words.values(), *LAUNCHER])
    assert program.JOBS[name](arguments) == 2
    assert "looked at" in capsys.readouterr().err
    for parameter in set(words) - {"job", "sdk_container_image"}:
        _, fewer = program.job_and_arguments([*(w for p, w in words.items() if p != parameter), *LAUNCHER])
        with pytest.raises(SystemExit):
            program.JOBS[name](fewer)
        assert f"--{parameter}" in capsys.readouterr().err


def test_switches_and_defaults(program):
    _, arguments = program.job_and_arguments(
        ["--job=extract", "--retry_failed=true", "--force=false", "--log_format=json", "--machine_type=n1-standard-16"]
    )
    assert "--retry-failed" in arguments
    assert not [word for word in arguments if "force" in word]
    assert "--log-format=json" in arguments
    assert [word for word in arguments if word.startswith("--machine_type")] == ["--machine_type=n1-standard-16"]
    assert "--disk_size_gb=200" in arguments
    for wrong in (["--job=train"], []):
        with pytest.raises(SystemExit, match="must be one of extract, prepare, score"):
            program.job_and_arguments(wrong)


@pytest.mark.parametrize(("name", "gpu"), [*((name, "") for name in JOBS), ("extract", "1")])
def test_the_template_gives_what_the_scripts_give(name, gpu, program, tmp_path):
    script = PipelineOptions(arguments_of(name, tmp_path, GPU=gpu)).get_all_options()
    accelerator = [f"--dataflow_service_options={GIVEN['dataflow_service_options']}"] if gpu else []
    _, arguments = program.job_and_arguments([f"--job={name}", *accelerator])
    template = PipelineOptions(arguments).get_all_options()
    for option in {*program.DEFAULTS, *program.MACHINES[name], *program.ACCELERATED}:
        assert template[option] == script[option], option


def test_the_build_script_makes_a_template_a_job(tmp_path):
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\necho "$@"\n')
    gcloud.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "BUCKET": "some-bucket", "IMAGE": IMAGE}
    done = subprocess.run(
        [str(FLEX / "build.sh")], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    built = [line.split() for line in done.stdout.splitlines()]
    assert [words[:4] for words in built] == [
        ["dataflow", "flex-template", "build", f"gs://some-bucket/templates/{name}.json"] for name in JOBS
    ]
    for name, words in zip(JOBS, built, strict=True):
        options = dict(word.removeprefix("--").split("=", 1) for word in words[4:])
        assert (options["image"], options["sdk-language"]) == (IMAGE, "PYTHON")
        assert Path(options["metadata-file"]).samefile(FLEX / f"{name}.json")


def page_commands() -> list[list[str]]:
    """The template's `run` commands of deploy/README.md."""
    text = (DEPLOY / "README.md").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if "flex-template run" in line]


def test_the_commands_of_the_page_give_parameters_that_their_template_has():
    commands = page_commands()
    assert len(commands) == len(JOBS)
    for name, words in zip(JOBS, commands, strict=True):
        assert any(word.endswith(f"/templates/{name}.json") for word in words)
        chosen = dict(word.split("=", 1) for before, word in pairwise(words) if before == "--parameters")
        declared = parameters(name)
        assert set(chosen) <= set(declared)
        optional = {parameter for parameter, each in declared.items() if each.get("isOptional")}
        assert set(chosen) >= set(declared) - optional
        for parameter, value in chosen.items():
            value = value.replace("$BUCKET", "bucket").replace("$IMAGE", IMAGE)
            assert all(re.fullmatch(pattern, value) for pattern in declared[parameter]["regexes"])


def test_the_program_leaves_a_graph_and_starts_nothing(emulator, program, monkeypatch):
    """As the launcher runs it: the graph lies where it was asked for, and the run is still to come."""
    pytest.importorskip("google.cloud.dataflow_v1beta3", reason="needs the Dataflow runner: install the extra `gcp`")
    records.write_record(make_film_record("film", 20), records.record_uri("gs://bucket/features", "film"))
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), "1")
        storage.copy_tree(folder, "gs://bucket/exports")
    words = {p: v for p, v in given("score").items() if p not in ("config", "manifest", "splits", "log_format")}
    monkeypatch.setattr(sys, "argv", ["main.py", *(f"--{p}={v}" for p, v in words.items()), *LAUNCHER])
    assert program.main() == 0
    graph = json.loads(storage.read_text("gs://bucket/staging/graph.json"))
    assert graph["name"] == "cineaffect"
    pool = graph["environment"]["workerPools"][0]
    assert (pool["machineType"], graph["type"]) == ("n2-standard-4", "JOB_TYPE_BATCH")
    assert IMAGE in json.dumps(graph)
    assert not storage.list_files("gs://bucket/output")
