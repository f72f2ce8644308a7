"""The versioned directory of an exported model: readers see a whole model there, or none.

<exports>/<version>/variables/, …        in object storage written in this order: nobody can load a SavedModel
<exports>/<version>/saved_model.pb       without its graph
<exports>/<version>/model_card.json      written last: a version without a card is no model
<exports>/.<version>.claim               in object storage: the lock of the export that writes this version
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from beam_pipelines.contracts.models.model_card import CARD, SAVED_MODEL
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.foundation.run_lock import AssertHeld, HeldError, lease

_CLAIM_EXPIRY_S = 60.0
_PART_OF_A_MODEL = re.compile(rf"{re.escape(SAVED_MODEL)}|fingerprint\.pb|variables/[^/]+|assets/.+")


def assert_free(directory: str) -> None:
    """Checks that a version's directory is empty or absent; files of a killed export in a bucket don't count.

    Raises:
        ConfigurationError: if it is not.
    """
    names = _names(directory)
    unfinished = storage.is_remote(directory) and all(_PART_OF_A_MODEL.fullmatch(name) for name in names)
    if names and not unfinished:
        raise ConfigurationError(f"{directory}: holds something already; export under a new version")


def publish_export(save: Callable[[str], None], card: str, directory: str) -> None:
    """Writes a SavedModel and its card; if it is killed at any moment, it leaves a whole version or none.

    A local directory is renamed into place, and files that killed exports left next to it are removed. In object
    storage, where nothing can be renamed, one export at a time writes a version, and graph and card come last; files of
    an earlier, killed export are overwritten.

    Args:
        save: writes the SavedModel to a local folder.
        card: the text of the card.
        directory: `<exports>/<version>`, local or `gs://`; see `assert_free`.

    Raises:
        ConfigurationError: if another export has written this version meanwhile, or is writing it.
        StorageError: if the bucket can't be written to.
    """
    if storage.is_remote(directory):
        with tempfile.TemporaryDirectory(prefix="cineaffect-") as folder:
            save(folder)
            with _claimed(directory) as assert_held:
                assert_free(directory)  # again, since a long training may have passed since the first check
                _upload(Path(folder), directory, assert_held)
                assert_held()
                _write_new_card(card, directory)
        return
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    storage.remove_unfinished(str(target.parent))
    temporary = target.parent / f".{uuid.uuid4().hex}{storage.TEMPORARY_SUFFIX}"
    try:
        save(str(temporary))
        storage.write_text(str(temporary / CARD), card)
        try:
            os.replace(temporary, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise ConfigurationError(
                f"{directory}: another export has written this version meanwhile; export under a new version"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _claimed(directory: str) -> Iterator[AssertHeld]:
    """Lets one export at a time write a version in a bucket: two would leave a mixture of both."""
    exports, _, version = directory.rstrip("/").rpartition("/")
    try:
        with lease(storage.join(exports, f".{version}.claim"), _CLAIM_EXPIRY_S) as assert_held:
            yield assert_held
    except HeldError as error:
        raise ConfigurationError(
            f"{directory}: another export is writing this version ({error}); export under a new version"
        ) from error


def _upload(folder: Path, directory: str, assert_held: AssertHeld) -> None:
    """Checks the claim before each change: an export that lost it while it was suspended ends at its next change."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    # A server would load a killed export's graph with half of these variables.
    assert_held()
    storage.remove(storage.join(directory, SAVED_MODEL))
    for name in sorted(files, key=lambda name: (name == SAVED_MODEL, name)):
        assert_held()
        storage.write_file(storage.join(directory, name), files[name])
    for name in _names(directory):
        if name not in files and _PART_OF_A_MODEL.fullmatch(name):
            assert_held()
            storage.remove(storage.join(directory, name))


def _write_new_card(card: str, directory: str) -> None:
    absent = storage.Generation(storage.join(directory, CARD), None, 0)
    try:
        absent.replace(card.encode())
    except storage.ChangedError as error:
        raise ConfigurationError(
            f"{directory}: somebody has written a card there meanwhile, without claiming the version; its graph and "
            "variables may be a mixture, so remove this directory, and export under a new version"
        ) from error


def _names(directory: str) -> list[str]:
    prefix = directory.rstrip("/") + "/"
    return [info.uri.removeprefix(prefix) for info in storage.list_files(directory)]
