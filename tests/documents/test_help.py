"""`--help` of the three jobs shows whole commands for a laptop, Flink and Dataflow, and none of them is misspelt."""

from __future__ import annotations

import re
import shlex

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines import cli
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.normalisation.config import PrepareConfig

JOBS = ("extract", "prepare", "score")
# Flink's own; its job server knows it, Beam's Python side does not.
OF_THE_JOB_SERVER = {"--parallelism"}


def text_of_help(job: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as raised:
        cli.main([job, "--help"])
    assert raised.value.code == 0
    return capsys.readouterr().out


def examples(job: str, text: str) -> list[list[str]]:
    """The arguments of every command of the help, continued lines joined."""
    return [shlex.split(line) for line in re.findall(rf"^ +cineaffect {job} (.*)$", text.replace("\\\n", " "), re.M)]


@pytest.mark.parametrize("job", JOBS)
def test_there_is_a_whole_command_for_each_place(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = examples(job, text_of_help(job, capsys))
    runners = [next((word for word in command if word.startswith("--runner=")), "") for command in commands]
    assert {"", "--runner=PortableRunner", "--runner=DataflowRunner"} <= set(runners)
    for command, runner in zip(commands, runners, strict=True):
        assert "--output" in command
        if runner:
            assert any(word.startswith("gs://") for word in command), command
        if runner.endswith("DataflowRunner"):
            names = {word.split("=")[0] for word in command}
            assert names >= {"--project", "--region", "--temp_location", "--sdk_container_image"}


@pytest.mark.parametrize("job", JOBS)
def test_every_option_of_an_example_exists(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of_help(job, capsys)
    ours = set(re.findall(r"^  (--[\w-]+)", text, re.M))
    beams = {f"--{name}" for name in PipelineOptions().get_all_options()}
    for command in examples(job, text):
        for word in command:
            if word.startswith("--"):
                assert word.split("=")[0] in ours | beams | OF_THE_JOB_SERVER, (word, command)


@pytest.mark.parametrize("job", JOBS)
def test_the_key_that_the_help_sets_is_one_of_the_jobs_own(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    models = {"extract": ExtractConfig, "prepare": PrepareConfig, "score": ScoreConfig}
    words = " ".join(text_of_help(job, capsys).split())
    (override,) = re.findall(r"for example --set (\S+=\S+);", words)
    assert load_section(job, models[job], None, [override]) != load_section(job, models[job])


@pytest.mark.parametrize("job", JOBS)
def test_the_form_of_the_log_is_an_option(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--log-format {text,json}" in text_of_help(job, capsys)
    with pytest.raises(SystemExit) as raised:
        cli.main([job, "--log-format=xml"])
    assert raised.value.code == 2
