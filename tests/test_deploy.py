"""The templates in deploy/: they parse, and what they start is a command that the project has."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml

from beam_pipelines.cli import COMMANDS
from trainer import retrain

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def read_unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / "systemd" / name).read_text())
    return unit


def started() -> dict[str, list[str]]:
    cron = (DEPLOY / "cron" / "cineaffect.crontab").read_text().splitlines()[-1]
    job = yaml.safe_load((DEPLOY / "kubernetes" / "retrain.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    service = read_unit("cineaffect-retrain.service")["Service"]["ExecStart"]
    return {
        "cron": shlex.split(cron.split(">>")[0])[6:],
        "systemd": shlex.split(service)[1:],
        "kubernetes": container["args"],
    }


@pytest.mark.parametrize("kind", ["cron", "systemd", "kubernetes"])
def test_what_is_started_is_accepted_up_to_the_configuration_file(kind, capsys):
    command, *arguments = started()[kind]
    assert COMMANDS[command][0] == "trainer.retrain"
    assert retrain.main(arguments) == 2  # the parser takes it; the file is not there
    assert f"{arguments[-1]}: no such configuration file" in capsys.readouterr().err


def test_the_timer_starts_the_service_and_being_held_is_no_failure():
    assert read_unit("cineaffect-retrain.timer")["Timer"]["OnCalendar"]
    assert int(read_unit("cineaffect-retrain.service")["Service"]["SuccessExitStatus"]) == retrain.EXIT_HELD


def test_what_the_container_file_copies_exists():
    text = (DEPLOY / "containers" / "trainer.Dockerfile").read_text()
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert sources
    assert all((ROOT / name).exists() for name in sources)
