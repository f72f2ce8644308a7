"""The directory that a command writes to, looked at before hours are spent on what can't be written there."""

from __future__ import annotations

import os
from pathlib import Path

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


def assert_output_directory(output: str) -> None:
    """Refuses a directory that can't be made or written to, or a bucket that can't be listed; it makes nothing.

    Raises:
        ConfigurationError: where `output` is a file, lies below one, or may not be written to; it names the culprit.
        StorageError: without credentials, or for a bucket that is absent or closed to us.
    """
    if storage.is_remote(output):
        storage.check_reachable(output)
        return
    place = Path(output).absolute()
    # What doesn't exist yet can be made if the first of its parents that does is a directory that may be written to.
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise ConfigurationError(f"--output {output}: {place} is a file, not a directory; name another directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"--output {output}: {place} may not be written to; name another directory, or change its rights"
        )
