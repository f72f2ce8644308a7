"""The steps of an experiment: each has a directory named after what it depends on, and is made once.

    <output>/<name>-<digest>/…           what the step makes
    <output>/<name>-<digest>/done.json   written last: what it depends on, and its result

The digest is of settings, films, labels and features in plain values. So a step is never taken for one that was made
from something else: with other settings it is made again in a directory beside the old one, which stays.
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


class JobError(CineAffectError):
    """A job that an experiment started has failed; what it printed says why."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        directory: where it lies; it need not exist yet.
        dependencies: all that it follows from, as plain values.
    """

    directory: str
    dependencies: Mapping[str, Any]

    def result(self) -> dict[str, Any] | None:
        """What the step was finished with; None where it isn't finished.

        Raises:
            ConfigurationError: where `done.json` is no JSON, or tells of other dependencies than its directory's name.
        """
        uri = storage.join(self.directory, DONE)
        try:
            content = json.loads(storage.read_text(uri))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{uri}: not readable as JSON ({error}); remove this directory") from error
        if content.get("dependencies") != self.dependencies:
            raise ConfigurationError(
                f"{uri}: this step was made from other settings or data than the name of its directory says "
                f"({_digest(content.get('dependencies'))} there, {_digest(self.dependencies)} here); remove it"
            )
        return dict(content["result"])

    def finish(self, **result: Any) -> dict[str, Any]:
        """Marks the step as finished and gives its result back, as it will be read."""
        content = {"dependencies": self.dependencies, "result": result}
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        storage.write_text(storage.join(self.directory, DONE), text + "\n")
        return dict(json.loads(text)["result"])


def step(output: str, name: str, dependencies: Mapping[str, Any]) -> Step:
    """The step `name` with these dependencies below `output`; the program's version is one of them."""
    plain = json.loads(json.dumps({**dependencies, "code_version": __version__}))
    return Step(storage.join(output, f"{name}-{_digest(plain)}"), plain)


def assert_experiment_directory(output: str) -> None:
    """Refuses what an experiment can't write to.

    Raises:
        ConfigurationError: for an address of object storage, or a local directory that can't be made or written to.
    """
    if storage.is_remote(output):
        raise ConfigurationError(
            f"--output {output}: an experiment writes to a local directory, since it starts again from many small "
            "files; data, records and manifests may lie in gs://. Name a local directory, and copy it afterwards"
        )
    assert_output_directory(output)


def run_job(*command: str) -> None:
    """Runs `cineaffect <command>` as a process of its own; what it prints is shown.

    Raises:
        JobError: when it ends with another exit code than 0.
    """
    print("cineaffect", *command, flush=True)
    code = subprocess.run([sys.executable, "-m", "beam_pipelines.cli", *command], check=False).returncode
    if code:
        raise JobError(f"`cineaffect {command[0]}` ended with exit code {code}; what it printed above says why")


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:_DIGITS]
