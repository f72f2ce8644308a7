"""A SavedModel run where Keras is blocked and this project is absent, as on a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

IN_A_BARE_PROCESS = """
import sys
sys.modules["keras"] = None
import json, pathlib
import numpy as np
import tensorflow as tf
for name in ("trainer", "beam_pipelines", "keras", "tensorflow_transform", "apache_beam"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} could be imported")
model = tf.saved_model.load(sys.argv[1])
inputs, outputs = dict(np.load(sys.argv[2], allow_pickle=False)), {}
splits = inputs.pop("row_splits")
film, films = model.signatures["serving_default"], model.signatures["films"]
for index, (first, stop) in enumerate(zip(splits[:-1], splits[1:])):
    answer = film(**{key: tf.constant(rows[first:stop]) for key, rows in inputs.items()})
    outputs.update({f"film {index} {target}": values.numpy() for target, values in answer.items()})
if "film_members" in model.signatures:
    first = {key: tf.constant(values[splits[0]:splits[1]]) for key, values in inputs.items()}
    answer = model.signatures["film_members"](**first)
    outputs.update({f"members {target}": values.numpy() for target, values in answer.items()})
answer = films(row_splits=tf.constant(splits), **{key: tf.constant(rows) for key, rows in inputs.items()})
outputs.update({f"films {target}": values.numpy() for target, values in answer.items()})
np.savez(sys.argv[3], **outputs)
"""
# All these are installed beside TensorFlow here, this project too; blocked, they are as absent as on a server.
BLOCK_THE_REST = """
import sys
for name in ("apache_beam", "tensorflow_transform", "tfx_bsl", "trainer", "beam_pipelines"):
    sys.modules[name] = None
"""


# Takes one script a line, with its arguments, and answers with what it printed and the trace of its failure. A process
# for each would pay TensorFlow's import each time; every script still finds Keras and this project blocked.
TAKE_SCRIPTS = """
import contextlib, io, json, sys, traceback
for line in sys.stdin:
    script, *sys.argv[1:] = json.loads(line)
    printed, failure = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
        except BaseException:
            failure = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failure]), flush=True)
"""


class BareProcess:
    """A process in which this project and all it brings but TensorFlow are blocked; it is started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="bare-")

    def __enter__(self) -> BareProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate(timeout=60)
        self._folder.cleanup()

    def run(self, script: str, *arguments: str) -> str:
        """Runs a script as `__main__` with `sys.argv[1:]`; returns what it printed. Its failure fails the test."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([script, *arguments]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"the bare process ended with exit code {process.wait(60)}"
        printed, failure = json.loads(answer)
        assert not failure, failure[-3000:]
        return str(printed)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
            # Isolated mode: neither the working directory nor the user's site directory is searched.
            command = [sys.executable, "-I", "-c", BLOCK_THE_REST + TAKE_SCRIPTS]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            # An empty directory, as on a server.
            self._process = subprocess.Popen(command, cwd=self._folder.name, env=environment, text=True, **pipes)
        return self._process

    def curves(
        self, directory: str, rows: Mapping[str, np.ndarray], splits: np.ndarray, folder: Path
    ) -> dict[str, np.ndarray]:
        """What the signatures of an export give.

        Args:
            directory: the export.
            rows: raw features of several films, one after another.
            splits: int [films + 1], where films begin and end.
            folder: an empty directory to work in.

        Returns:
            `film <index> <target>` from the first signature, `films <target>` from the second, and of an ensemble
            `members <target>`, [members, T], of the first film.
        """
        np.savez(folder / "inputs.npz", row_splits=splits.astype(np.int64), **rows)
        self.run(IN_A_BARE_PROCESS, directory, str(folder / "inputs.npz"), str(folder / "outputs.npz"))
        return dict(np.load(folder / "outputs.npz", allow_pickle=False))
