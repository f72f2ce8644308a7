"""Every command of the README and of the pages in docs/ runs, in the order of its page, on small made films.

What a reader has is made first: films with sound, labels, a manifest, a data set in the layout of MediaEval 2018. A
page's own files (`NAME.yaml`, `NAME.py`) are written as it prints them. Only sizes differ: untrained networks, few
epochs and trials, small windows, by a configuration that is added where a command takes one. A command that needs a
bucket, a cluster or a download is held against its parser and Beam's.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
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
from trainer.retraining.promotion import move_current

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
        "model": {"modalities": ["image", "audio"], "window_s": 4, "encoder": {"units": 4}},
    },
    "score": {"shards": 1},
    "tune": {
        "trials": 1,
        "space": {"encoders": ["gru"], "units": [4, 8], "window_s": [4], "batch_normalization": [False]},
    },
    "retrain": {"beat_constant_mean": False, "bootstrap_samples": 100},
}
SOUND_ONLY = {"extract": {"modalities": ["audio"]}, "train": {"model": {"modalities": ["audio"]}}}
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
    done: list[list[str]]

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


@pytest.fixture(scope="module")
def after_readme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A directory in which the whole README has been followed; the pages start from it."""
    root = tmp_path_factory.mktemp("readme")
    write_inputs(root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        reader = Reader(root, monkeypatch, [])
        retrain = yaml.safe_dump(merged(SMALL, {"retrain": {"manifest": "films.csv", "output": "models"}}))
        (root / "retrain.yaml").write_text(retrain)
        reader.follow(ROOT / "README.md")
        yield reader


@pytest.fixture
def reader(after_readme: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Somebody who has followed the README and goes on with a page."""
    directory = tmp_path / "reader"
    shutil.copytree(after_readme.directory, directory)
    return Reader(directory, monkeypatch, [])


@pytest.mark.slow
def test_the_readme(after_readme: Reader) -> None:
    root, names = after_readme.directory, {words[1] for words in after_readme.done}
    assert names >= {
        "extract",
        "prepare",
        "train",
        "score",
        "evaluate",
        "report",
        "tune",
        "ensemble",
        "reproduce",
        "compare",
    }
    films = json.loads((root / "features" / "run_manifest.json").read_text())["films"]
    assert (films["in"], films["failed"]) == (3, 0)
    assert (root / "scores" / "report" / "index.html").is_file()
    card = json.loads((root / "exports" / "1" / "model_card.json").read_text())
    assert len(card["members"]) == 2
    assert "run5" in (root / "paper" / "table1.txt").read_text()


@pytest.mark.slow
def test_own_films(reader: Reader) -> None:
    reader.follow(DOCS / "own-films.md")
    assert (reader.directory / "scores" / "curves" / "fourth.mp4.csv").is_file()
    assert (reader.directory / "trial" / "fourth.mp4.tfrecord").is_file()
    assert "NON-DROP" in (reader.directory / "scores" / "report" / "markers" / "fourth.mp4.edl").read_text()


@pytest.mark.slow
def test_own_labels(reader: Reader) -> None:
    reader.follow(DOCS / "own-labels.md")
    card = json.loads((reader.directory / "run-sliders" / "exports" / "1" / "model_card.json").read_text())
    assert card["label_range"] == [0.0, 1.0]
    card = json.loads((reader.directory / "run-all" / "exports" / "1" / "model_card.json").read_text())
    assert card["data"]["train_films"] == ["first", "second"]


@pytest.mark.slow
def test_repeat_the_paper(reader: Reader) -> None:
    reader.follow(DOCS / "repeat-the-paper.md")
    for folder in ("paper", "reproduction"):
        assert "run5" in (reader.directory / folder / "table1.txt").read_text()
    assert (reader.directory / "comparisons-demo" / "smoothing.txt").is_file()


@pytest.mark.slow
def test_catalogue(reader: Reader) -> None:
    reader.follow(DOCS / "catalogue.md")
    assert len(reader.done) > 5


@pytest.mark.slow
def test_retraining(reader: Reader) -> None:
    exports = reader.directory / "models" / "exports"

    def a_second_round_promoted() -> None:
        if not (exports / "2").exists():
            shutil.copytree(exports / "1", exports / "2")
            move_current(str(exports), 2, {"why": "a second round"})

    reader.follow(DOCS / "retraining.md", before={"rollback": a_second_round_promoted})
    assert (exports / "current").read_text().strip() == "1"
    assert list((reader.directory / "nightly" / "curves").glob("*.csv"))


@pytest.mark.slow
def test_adding_a_network(reader: Reader) -> None:
    page = DOCS / "adding-a-network.md"
    reader.follow(page)
    card = json.loads((reader.directory / "run-colours" / "exports" / "1" / "model_card.json").read_text())
    assert set(card["fingerprints"]) == {"image", "audio", "colours"}
    text = page.read_text(encoding="utf-8")
    for place in re.findall(r"`((?:beam_pipelines|configs|docs|tests)/[\w./]+\w)`", text):
        assert (ROOT / place).is_file(), place
    for place, names in {
        "networks": ("PICTURE_NETWORKS", "Networks"),
        "tracks": ("AudioAccumulator",),
        "config": ("NetworkConfig",),
    }.items():
        module = importlib.import_module(f"beam_pipelines.extractors.{place}")
        assert all(name in text and hasattr(module, name) for name in names)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for address in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not address.startswith("http"):
            assert (page.parent / address).exists(), address
