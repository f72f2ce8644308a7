"""The steps of an experiment: each runs once, in a directory named after its dependencies.

    <output>/<name>-<digest>/…           the step's files
    <output>/<name>-<digest>/done.json   written last: its dependencies and its result

The digest covers settings, films, labels and features as plain values. So a step is never confused with one of other
dependencies: with other settings it runs again in a directory next to the old one, which stays.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import CineAffectError, ConfigurationError
from beam_pipelines.foundation.output_directory import assert_output_directory
from beam_pipelines.foundation.version import __version__

DONE = "done.json"
_DIGITS = 12


class StepError(CineAffectError):
    """A job that an experiment started has failed; its output says why."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        directory: the step's directory; it need not exist yet.
        dependencies: all on which it depends, as plain values.
    """

    directory: str
    dependencies: Mapping[str, Any]

    def result(self) -> dict[str, Any] | None:
        """The step's result; None if it isn't finished.

        Raises:
            ConfigurationError: if `done.json` is no JSON, or has other dependencies than its directory's name says.
        """
        uri = storage.join(self.directory, DONE)
        try:
            content = storage.read_json(uri, "remove this directory")
        except FileNotFoundError:
            return None
        if content.get("dependencies") != self.dependencies:
            raise ConfigurationError(
                f"{uri}: this step was made from other settings or data than the name of its directory says "
                f"({_digest(content.get('dependencies'))} there, {_digest(self.dependencies)} here); remove it"
            )
        return dict(content["result"])

    def finish(self, **result: Any) -> dict[str, Any]:
        """Marks the step as finished and returns its result in the form in which it will be read."""
        content = {"dependencies": self.dependencies, "result": result}
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        storage.write_text(storage.join(self.directory, DONE), text + "\n")
        return dict(json.loads(text)["result"])


def step(output: str, name: str, dependencies: Mapping[str, Any]) -> Step:
    """The step `name` with these dependencies below `output`; the program's version is a further dependency."""
    plain = json.loads(json.dumps({**dependencies, "code_version": __version__}))
    return Step(storage.join(output, f"{name}-{_digest(plain)}"), plain)


def assert_experiment_directory(output: str) -> None:
    """Checks that an experiment can write to its output directory.

    Raises:
        ConfigurationError: if `output` is in object storage, or is a local directory that can't be made or written to.
    """
    if storage.is_remote(output):
        raise ConfigurationError(
            f"--output {output}: an experiment writes to a local directory, since it starts again from many small "
            "files; data, records and manifests may be in gs://. Name a local directory, and copy it afterwards"
        )
    assert_output_directory(output)


def run_job(*command: str) -> None:
    """Runs `cineaffect <command>` as a child process and shows its output.

    Raises:
        StepError: if its exit code is not 0.
    """
    print("cineaffect", *command, flush=True)
    code = subprocess.run([sys.executable, "-m", "beam_pipelines.cli", *command], check=False).returncode
    if code:
        raise StepError(f"`cineaffect {command[0]}` ended with exit code {code}; what it printed above says why")


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:_DIGITS]
