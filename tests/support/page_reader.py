"""A reader of the README or of a page in docs/: runs its commands in the order of the page, on small made films.

What a reader has is made first: films with sound, labels, a manifest, a data set in the layout of MediaEval 2018. A
page's own files (`NAME.yaml`, `NAME.py`) are written as it prints them. Only sizes differ: untrained networks, few
epochs and trials, small windows, by a configuration that is added where a command takes one. A command that needs a
bucket, a cluster or a download is held against its parser and Beam's.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from beam_pipelines import cli
from beam_pipelines.commands import weights as weights_command
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.launch import job
from tests.support.documentation import Block, blocks_of
from tests.support.synthetic_clips import Sound, regular_times, write_clip

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FILM_SECONDS = 8
SMALL: dict[str, Any] = {
    "extract": {
        "modalities": ["image", "audio"],
        "image": {"weights": "untrained", "batch_size": 8},
        "audio": {"weights": "untrained", "batch_size": 8},
    },
    "train": {
        "epochs": 2,
        "batch_size": 64,
        "stride_s": 2,
        "smoothing_cutoffs_hz": [0.1],
        "model": {"modalities": ["audio"], "window_s": 4, "encoder": {"units": 4}},
    },
    "score": {"shards": 1},
    "tune": {
        "trials": 1,
        "space": {"encoders": ["gru"], "units": [4, 8], "window_s": [4], "batch_normalization": [False]},
    },
    "retrain": {"beat_constant_mean": False},
}
SOUND_ONLY = {"extract": {"modalities": ["audio"]}, "train": {"ridge": None}}
CONFIGURED = ("extract", "prepare", "train", "score", "tune", "reproduce", "compare")
LOCAL_JOBS = ("extract", "prepare", "score", "import-features")
SMALLER = {"--seeds": "1"}


class LookedAtError(ConfigurationError):
    """Raised in a job's place when its options have been read."""


@dataclass
class Reader:
    """Somebody who does in `directory` what a page says, from its first line to its last.

    Attributes:
        directory: where the commands run.
        monkeypatch: undone when the test ends.
        done: the commands so far.
    """

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    done: list[list[str]] = field(default_factory=list)

    def follow(self, page: Path, before: Mapping[str, Any] | None = None) -> None:
        """Does what a page says; `before` names what else happens before a command of that name runs."""
        with chdir(self.directory):
            for block in blocks_of(page):
                if block.name:
                    self._write(block)
                elif block.text.startswith("from "):
                    self._execute(block.text)
                for words in block.commands:
                    if before and words[1] in before:
                        before[words[1]]()
                    self._run(words)
                    self.done.append(words)

    def _write(self, block: Block) -> None:
        text = block.text
        if block.name.endswith(".yaml"):
            text = yaml.safe_dump(merged(SMALL, yaml.safe_load(text)))
        # What lies in a bucket on the page lies here beside the others.
        Path(block.name).write_text(text.replace("gs://bucket/", "films/"))

    def _execute(self, text: str) -> None:
        section = json.dumps(SMALL["extract"])
        named = f'extract_features("film.mp4", ExtractConfig.model_validate_json({section!r}))'
        code = text.replace('extract_features("film.mp4")', named)
        assert code != text
        found: dict[str, Any] = {}
        exec("from beam_pipelines import ExtractConfig\n" + code, found)
        assert found["record"].tracks["image"].values.shape == (FILM_SECONDS, 2048)
        assert found["curve"].valence.shape == (FILM_SECONDS,)

    def _run(self, words: Sequence[str]) -> None:
        program, *arguments = words
        if program == "make":
            subprocess.run(["make", "-n", "-C", str(ROOT), *arguments], check=True, capture_output=True)
        elif program == "python" and arguments[0].startswith("deploy/"):
            script, step, *options = arguments
            shown = subprocess.run(
                [sys.executable, str(ROOT / script), step, "--help"], check=True, capture_output=True
            )
            assert all(option in shown.stdout.decode() for option in options if option.startswith("--"))
        elif program == "python":
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run([sys.executable, *arguments], check=True, env=environment)
        elif program == "export":
            for setting in arguments:
                self.monkeypatch.setenv(*setting.split("=", 1))
        elif program == "pip":  # `.ci/wheel` installs
            assert arguments == ["install", "."]
        elif program == "docker":
            assert "-f" not in arguments or (ROOT / arguments[arguments.index("-f") + 1]).is_file()
        elif program == "crontab":
            assert (ROOT / arguments[-1]).is_file()
        elif program.startswith("deploy/"):
            self._accept(self._started_by(program, arguments))
        elif arguments[:2] == ["weights", "fetch"]:
            weights_command._parser().parse_args(arguments[1:])
        elif any(argument.startswith(("gs://", "--runner=")) for argument in arguments):
            self._accept(arguments)
        else:
            assert program == "cineaffect", words
            code = cli.main(made_small(arguments))
            assert code == 0, words

    def _started_by(self, script: str, arguments: Sequence[str]) -> list[str]:
        """What a script of deploy/ starts `cineaffect` with: a program of that name writes it down."""
        folder = self.directory / "program"
        folder.mkdir(exist_ok=True)
        program, written = folder / "cineaffect", folder / "arguments.json"
        program.write_text(
            f"#!{sys.executable}\nimport json, sys\nopen({str(written)!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
        )
        program.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run([str(ROOT / script), *arguments], env=environment, check=True)
        return list(json.loads(written.read_text()))

    def _accept(self, arguments: Sequence[str]) -> None:
        """Holds a job's options against the job's parser and Beam's, and stops where the job would begin."""
        build, seen = job.beam_options, []

        def look(*given: Any, **named: Any) -> Any:
            seen.append(build(*given, **named))
            raise LookedAtError("looked at")

        with self.monkeypatch.context() as patch:
            patch.setattr(job, "beam_options", look)
            assert importlib.import_module(cli.COMMANDS[arguments[0]][0]).main(list(arguments[1:])) == 2
        (options,) = seen
        assert set(options.get_all_options(retain_unknown_options=True)) == set(options.get_all_options())


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two configurations as one; of a key in both that of `over` holds."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        result[key] = merged(base[key], value) if both else value
    return result


def made_small(arguments: Sequence[str]) -> list[str]:
    """A command with the sizes of this test."""
    name = arguments[0]
    small = [SMALLER.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]
    if name in CONFIGURED and "--config" not in arguments:
        small += ["--config", "sound.yaml" if name in ("reproduce", "compare") else "small.yaml"]
    if name in LOCAL_JOBS:
        small += ["--workers", "1"]
    if name == "reproduce":
        small += ["--runs", "runs"]
    if name == "compare" and "--seeds" not in arguments:
        small += ["--seeds", "1"]
    if name in ("reproduce", "compare") and "MEDIAEVAL2018" in arguments:
        small += ["--validation-films", "2"]
    return small


def write_film(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    times_s = np.arange(FILM_SECONDS * 16_000) / 16_000
    samples = (0.2 * times_s / FILM_SECONDS * np.sin(2 * np.pi * random.uniform(200, 900) * times_s)).astype(np.float32)
    sound = Sound([(Fraction(0), samples[None])], 16_000)
    write_clip(path, regular_times(FILM_SECONDS * 8, 8), rate_hz=8, sound=sound)


def write_inputs(root: Path) -> None:
    """What a reader of any page has: films, labels from 0 to 1, features of their own, MediaEval's data."""
    for folder in ("films", "labels", "new-films", "my-features", "runs"):
        (root / folder).mkdir()
    for seed, name in enumerate(("films/first.mp4", "films/second.mkv", "films/third.mp4", "new-films/fourth.mp4")):
        write_film(root / name, seed)
    shutil.copy(root / "films" / "first.mp4", root / "film.mp4")
    for seed, name in enumerate(("first", "second", "third")):
        values = np.random.default_rng(seed).uniform(0.1, 0.9, (FILM_SECONDS, 2))
        rows = [f"{second}\t{valence:.4f}\t{arousal:.4f}\n" for second, (valence, arousal) in enumerate(values)]
        (root / "labels" / f"{name}.txt").write_text("Time\tValence\tArousal\n" + "".join(rows))
        cells = "".join(f"{valence:.3f},{arousal:.3f}\n" for valence, arousal in values)
        (root / "my-features" / f"{name}.csv").write_text("warmth,motion\n" + cells)
    sound = merged(SMALL, SOUND_ONLY)
    (root / "small.yaml").write_text(yaml.safe_dump(SMALL))
    (root / "sound.yaml").write_text(yaml.safe_dump(sound))
    for name, run in {"run1": {"train": sound["train"]}, "run5": {"reproduce": {"members": ["run1"]}}}.items():
        (root / "runs" / f"{name}.yaml").write_text(yaml.safe_dump(run))
    sizes = ["--films", "6", "--test-films", "1", "--seconds", "6"]
    assert cli.main(["mediaeval-demo", "--output", str(root / "MEDIAEVAL2018"), *sizes]) == 0
