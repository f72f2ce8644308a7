"""What a reader of a page of docs/ has: a directory in which the whole README has been followed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.commands_in_process import commands_in_this_process
from tests.support.kept_networks import kept_networks
from tests.support.page_reader import ROOT, SMALL, Reader, merged, write_inputs

DONE = "commands.json"


def follow_readme(directory: Path) -> None:
    """Does what the README says in a directory, and writes down the commands."""
    write_inputs(directory)
    retrain = yaml.safe_dump(merged(SMALL, {"retrain": {"manifest": "films.csv", "output": "models"}}))
    (directory / "retrain.yaml").write_text(retrain)
    with pytest.MonkeyPatch.context() as monkeypatch, commands_in_this_process(), kept_networks():
        reader = Reader(directory, monkeypatch)
        reader.follow(ROOT / "README.md")
    (directory / DONE).write_text(json.dumps(reader.done))


@pytest.fixture(scope="session")
def after_readme(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A directory in which the whole README has been followed, once for all test processes."""
    return made_once("readme", follow_readme)


@pytest.fixture
def reader(
    after_readme: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    networks_kept: None,
    commands_in_process: list[list[str]],
) -> Reader:
    """Somebody who has followed the README and goes on with a page."""
    directory = tmp_path / "reader"
    shutil.copytree(after_readme, directory)
    return Reader(directory, monkeypatch)
