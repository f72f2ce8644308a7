"""A check that a command can write to its output directory, made before hours of work."""

from __future__ import annotations

import os
from pathlib import Path

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


def assert_output_directory(output: str) -> None:
    """Refuses a directory that can't be made or written to, or a bucket that can't be listed; creates nothing.

    Raises:
        ConfigurationError: if `output` is a file, lies below one, or is not writable; the text names the path at fault.
        StorageError: if credentials are missing, or the bucket is absent or access is denied.
    """
    if storage.is_remote(output):
        storage.check_reachable(output)
        return
    place = Path(output).absolute()
    # An absent directory can be made if its nearest existing parent is a writable directory.
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise ConfigurationError(f"--output {output}: {place} is a file, not a directory; name another directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"--output {output}: {place} may not be written to; name another directory, or change its rights"
        )
