"""Checkpoints in TensorFlow 1's first format, as VGGish was published: read by TensorFlow's own reader.

A process without TensorFlow, as workers are, lets a child process read it, once: its arrays then lie in the directory
of weights, under the checkpoint's hash. `cineaffect weights fetch` makes that file too.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.errors import WeightsError

_LOG = logging.getLogger(__name__)
_PROJECT_ROOT = Path(__file__).resolve().parents[3]
_VERSION = 2
"""Part of the converted file's name: to be raised when what it holds changes."""
_CHECKSUM = "checksum"


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """All variables of a checkpoint by their names.

    Raises:
        WeightsError: if the file is no checkpoint.
    """
    if "tensorflow" in sys.modules:
        return _read_here(path)
    name = f"{path.stem}-{weight_files.file_digest(path)[:16]}-v{_VERSION}.npy"
    folder = weight_files.cache_directory()
    if (found := _read_converted(folder / name)) is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Of several processes one converts, and the others wait for it.
        with FileLock(folder / f"{name}.lock"):
            if (found := _read_converted(folder / name)) is None:
                _convert(path, folder / name)
                found = _read_converted(folder / name)
        if found is not None:
            return found
    except OSError as error:
        _LOG.warning("%s: %s, so each process converts %s anew; `cineaffect weights fetch` there", folder, error, path)
    with tempfile.TemporaryDirectory() as own:
        _convert(path, Path(own, name))
        found = _read_converted(Path(own, name))
    if found is None:
        raise WeightsError(f"{path}: what it was converted to can't be read back")
    return found


def _read_converted(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a converted file, mapped and not read; None if it is absent or damaged, as its checksum shows."""
    if not path.is_file():
        return None
    try:
        records = np.load(path, mmap_mode="r")
        if records[_CHECKSUM] != _checksum(records):
            raise ValueError("its checksum isn't right")
    except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:  # also an empty or a zip file
        _LOG.warning("%s: %s; it is made anew", path, error)
        return None
    return {name: records[name][0] for name in records.dtype.names if name != _CHECKSUM}


def _write_converted(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as the fields of one record, which can be mapped; its last field is the checksum of all others."""
    fields: list[Any] = [(name, array.dtype, array.shape) for name, array in arrays.items()]
    records = np.zeros(1, [*fields, (_CHECKSUM, np.uint32)])
    for name, array in arrays.items():
        records[name] = array
    records[_CHECKSUM] = _checksum(records)
    with path.open("wb") as stream:
        np.save(stream, records, allow_pickle=False)


def _checksum(records: np.ndarray) -> int:
    return zlib.crc32(records.view(np.uint8)[:-4].data)


def _convert(path: Path, target: Path) -> None:
    """Writes a checkpoint's arrays into a file, which has its name only when it is whole."""
    paths = os.pathsep.join(filter(None, [str(_PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]))
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path), str(unfinished)],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stdout or done.stderr).strip()[-2000:]
            raise WeightsError(said or f"{path}: the process that converts it ended with exit code {done.returncode}")
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_here(path: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as a TensorFlow checkpoint: {error}") from error


def _main() -> int:
    import tensorflow  # noqa: F401  # reads it

    source, target = sys.argv[1:]
    try:
        arrays = _read_here(Path(source))
    except WeightsError as error:
        print(error)
        return 1
    _write_converted(Path(target), arrays)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
