"""What a local file system refuses, as errors for people: no space, a name that is too long."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beam_pipelines.foundation.errors import DiskFullError, FilmError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def full_disk_explained(uri: str, folder: Path) -> Iterator[None]:
    """Turns the system's error about a full disk into a `DiskFullError` that names `uri`, `folder` and a way out."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFullError(
            f"{uri}: no room for it in {folder} ({error.strerror}); free some, or choose a larger disk "
            "(TMPDIR names the folder for copies of remote files)"
        ) from error


@contextmanager
def long_name_explained(uri: str) -> Iterator[None]:
    """Turns the system's error about a long name or path into a `FilmError`.

    Only names of films are of any length, so that the error concerns the one film that bears it.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        detail = f"{uri}: the file system takes no name or path of this length; choose shorter ones"
        raise FilmError("storage", "name_too_long", detail) from error
