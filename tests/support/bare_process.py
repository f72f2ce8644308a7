"""A SavedModel run where Keras is blocked and this project is absent, as on a server."""

from __future__ import annotations

import os
import subprocess
import sys
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


def run_bare(directory: str, rows: Mapping[str, np.ndarray], splits: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """What both signatures of an export give in a process without Keras and without this project.

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
    run_isolated(IN_A_BARE_PROCESS, directory, str(folder / "inputs.npz"), str(folder / "outputs.npz"), folder=folder)
    return dict(np.load(folder / "outputs.npz", allow_pickle=False))


def run_isolated(script: str, *arguments: str, folder: Path) -> str:
    """Runs a script where this project and all it brings but TensorFlow are blocked; returns what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    # Isolated mode: neither the working directory nor the user's site directory is searched.
    command = [sys.executable, "-I", "-c", BLOCK_THE_REST + script, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
