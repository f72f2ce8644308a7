"""Help, and refusals of a command's own options and keys, come at once: they import neither Beam nor TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.commands import extract, import_features, prepare, score
from beam_pipelines.foundation.command_line import BEAMS_OWN, nearly

HEAVY = (
    "apache_beam",
    "tensorflow",
    "keras",
    "tensorflow_transform",
    "matplotlib",
    "scipy",
    "pyarrow",
    "onnx",
    "onnxruntime",
)
PLACES = ("--manifest", "m.csv", "--records", "r", "--output", "o")
WRONG_KEYS = {
    "extract": ("--films", "f", "--output", "o", "--set", "imge.batch_size=2"),
    "prepare": (*PLACES, "--set", "splitz=[train]"),
    "train": (*PLACES, "--transform", "t", "--set", "epohcs=2"),
    "tune": (*PLACES, "--transform", "t", "--set", "trails=2"),
    "score": ("--records", "r", "--model", "m", "--output", "o", "--set", "smothing.order=2"),
}
ASK_ALL = """
import contextlib, io, json, sys
from beam_pipelines import cli
answers = {}
for name, arguments in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        try:
            code = cli.main([name, *arguments])
        except SystemExit as ended:
            code = ended.code
    answers[name] = [code, out.getvalue()]
print(json.dumps([answers, sorted(set(sys.modules) & set(sys.argv[2].split(",")))]))
"""


def ask_all(commands: dict[str, list[str]], tmp_path: Path) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """Exit code and answer of every command, all in one fresh process, and which heavy modules that has imported."""
    command = [sys.executable, "-c", ASK_ALL, json.dumps(commands), ",".join(HEAVY)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    answers, heavy = json.loads(done.stdout)
    return {name: tuple(answer) for name, answer in answers.items()}, heavy


def test_the_help_of_no_command_imports_beam_or_tensorflow(tmp_path):
    from beam_pipelines import cli

    answers, heavy = ask_all({name: ["--help"] for name in cli.COMMANDS}, tmp_path)
    for name, (code, text) in answers.items():
        assert code == 0, name
        assert text.startswith(f"usage: cineaffect {name}"), name
    assert heavy == []


def test_a_misspelt_key_is_refused_before_beam_or_tensorflow_is_imported(tmp_path):
    answers, heavy = ask_all({name: list(arguments) for name, arguments in WRONG_KEYS.items()}, tmp_path)
    for name, (code, text) in answers.items():
        assert code == 2, name
        assert "did you mean" in text, (name, text)
    assert heavy == []


def test_a_misspelt_option_is_refused_before_beam_is_imported(tmp_path):
    misspelt = {"extract": ["--fimls", "f", "--output", "o"], "score": ["--records", "r", "--modle", "m"]}
    answers, heavy = ask_all(misspelt, tmp_path)
    assert answers["extract"] == (2, "error: unknown option --fimls; did you mean '--films'?\n")
    assert answers["score"] == (2, "error: unknown option --modle; did you mean '--model'?\n")
    assert heavy == []


@pytest.mark.parametrize("module", ["beam_pipelines.extract", "beam_pipelines.score"])
def test_a_job_by_its_own_name_shows_the_same_help(module):
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: cineaffect {module.rsplit('.', 1)[-1]}")
    assert "apache_beam" not in done.stderr


def test_options_of_beam_that_look_like_a_misspelt_one_of_ours_are_known():
    """Holds `BEAMS_OWN` against Beam's own list (written for 2.77), which is imported for a job only when it runs."""
    jobs = (extract, import_features, prepare, score)
    ours = {option for job in jobs for action in job._parser()._actions for option in action.option_strings}
    beams = {name for name in PipelineOptions([]).get_all_options() if nearly(f"--{name}", ours)}
    assert beams - {option.removeprefix("--") for option in ours} == BEAMS_OWN
