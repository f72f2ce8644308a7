"""Files on local disk and in Google Cloud Storage (`gs://bucket/name`), behind one small set of functions.

A file appears under its final name only when it is whole: on disk by a temporary name in the same directory and
`os.replace`, in object storage because an object becomes visible when its upload is finished. Both sides behave alike.
Errors of a bucket are `StorageError`s (see `object_storage`). What isn't there under a name is looked for under its
other Unicode form (see `unicode_forms`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_pipelines.foundation.errors import ConfigurationError, FilmError, StorageError
from beam_pipelines.foundation.stage_times import count
from beam_pipelines.foundation.storage import object_storage
from beam_pipelines.foundation.storage.local_errors import full_disk_explained, long_name_explained

# Needed to replace an object of a bucket only if nobody else has written it meanwhile.
from beam_pipelines.foundation.storage.object_storage import (
    ChangedError as ChangedError,
    Generation as Generation,
    read_generation as read_generation,
)
from beam_pipelines.foundation.storage.temporary_folders import temporary_folder
from beam_pipelines.foundation.storage.unicode_forms import found_elsewhere

TEMPORARY_SUFFIX = ".partial"
_UNFINISHED_NAME = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(TEMPORARY_SUFFIX)}")
_UNFINISHED_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a listing: its address, its size in bytes and its time of change (seconds since the epoch)."""

    uri: str
    size_bytes: int
    modified_s: float


def is_remote(uri: str) -> bool:
    """Whether `uri` is an object of Google Cloud Storage."""
    return uri.startswith(object_storage.SCHEME)


def join(base: str, *names: str) -> str:
    """Joins path components with `/`, for local paths and for `gs://` alike."""
    return "/".join([base.rstrip("/") or "/", *names]) if base != "/" else "/" + "/".join(names)


def check_reachable(uri: str) -> None:
    """Checks before any work that a bucket exists and can be listed; a local path passes.

    Raises:
        StorageError: if there are no credentials, no permission to list the bucket, or no such bucket.
    """
    if is_remote(uri):
        object_storage.list_prefix(uri, at_most=1)


def stat(uri: str) -> FileInfo | None:
    """The size and time of change of a file, or None if there is no such file (a folder is none).

    The time of a local file is that of its content or of its entry in the file system, whichever is later: a copy with
    an old date counts as a change too.

    Raises:
        FilmError: reason `name_too_long`, if the system takes no name of this length.
        OSError: if the system refuses a local name otherwise: links in a circle.
    """
    found = _stat_exactly(uri)
    if found is None and (elsewhere := found_elsewhere(uri)):
        found = _stat_exactly(elsewhere)
    return found


def _stat_exactly(uri: str) -> FileInfo | None:
    if is_remote(uri):
        found = object_storage.find(uri)
        return None if found is None else FileInfo(uri, found.size_bytes, found.modified_s)
    try:
        with long_name_explained(uri):
            status = os.stat(uri)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if os.path.isdir(uri) else FileInfo(uri, status.st_size, max(status.st_mtime, status.st_ctime))


def holds_files(folder: str) -> bool:
    """Whether a folder holds any file; far cheaper than listing it."""
    if is_remote(folder):
        return bool(object_storage.list_prefix(folder.rstrip("/") + "/", at_most=1))
    try:
        with os.scandir(folder) as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        elsewhere = found_elsewhere(folder)
        return elsewhere is not None and holds_files(elsewhere)


def read_bytes(uri: str) -> bytes:
    """The whole content of a (small) file.

    Raises:
        FileNotFoundError: if there is none.
    """
    try:
        with long_name_explained(uri):
            return object_storage.download_bytes(uri) if is_remote(uri) else Path(uri).read_bytes()
    except FileNotFoundError:
        elsewhere = found_elsewhere(uri)
        if elsewhere is None:
            raise
        return read_bytes(elsewhere)


def read_text(uri: str) -> str:
    """The whole content of a (small) UTF-8 text file; a byte order mark is dropped."""
    return read_bytes(uri).decode("utf-8-sig")


def read_json(uri: str, advice: str = "") -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        ConfigurationError: if it is not JSON; the text names the file and ends with `advice`.
    """
    try:
        return json.loads(read_text(uri))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{uri}: not readable as JSON ({error}){advice and '; '}{advice}") from error


def write_bytes(uri: str, content: bytes) -> None:
    """Writes a whole file; it appears under its name at once or not at all."""
    if is_remote(uri):
        object_storage.upload_bytes(uri, content)
        return
    with whole_file(uri) as path:
        path.write_bytes(content)


def write_text(uri: str, content: str) -> None:
    """Writes a whole UTF-8 text file; it appears under its name at once or not at all.

    Bytes of file names that are not UTF-8 are written as `\\udcXX`.
    """
    write_bytes(uri, content.encode("utf-8", "backslashreplace"))


@contextmanager
def whole_file(uri: str) -> Iterator[Path]:
    """A local path to write to; if the `with` block ends without an error, the file is published as `uri`.

    Raises:
        DiskFullError: if the disk is full.
        FilmError: reason `name_too_long`, if the system takes no name of this length.
    """
    if is_remote(uri):
        with temporary_folder(uri) as folder:
            path = folder / "content"
            yield path
            object_storage.upload(uri, path)
        return
    target = Path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The name is hidden, so no listing shows it, and of fixed length, so a long film id can't make it too long.
    path = target.parent / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        with full_disk_explained(uri, target.parent):
            yield path
        count(size_bytes=path.stat().st_size)
        with long_name_explained(uri):
            os.replace(path, target)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def local_copy(uri: str, at_most_bytes: int | None = None) -> Iterator[Path]:
    """A local path of the file: itself, or a copy that is removed when the `with` block ends.

    A `FilmError` from the block names the file and not its copy.

    Args:
        uri: the file.
        at_most_bytes: how much of a remote file to copy; all of it by default.

    Raises:
        FileNotFoundError: if there is no such file.
        DiskFullError: if the disk has no space for the copy.
    """
    if not is_remote(uri):
        lies_at = uri if os.path.exists(uri) else found_elsewhere(uri)
        if lies_at is None:
            raise FileNotFoundError(uri)
        yield Path(lies_at)
        return
    with temporary_folder(uri) as folder:
        # The object's own name never becomes a local path; only a plain suffix is kept, which some demuxers need.
        suffix = Path(uri).suffix
        path = folder / ("copy" + (suffix if re.fullmatch(r"\.\w{1,8}", suffix) else ""))
        try:
            object_storage.download(uri, path, at_most_bytes)
        except FileNotFoundError:
            elsewhere = found_elsewhere(uri)
            if elsewhere is None:
                raise
            object_storage.download(elsewhere, path, at_most_bytes)
        try:
            yield path
        except FilmError as error:  # people know the film by its own address
            raise type(error)(error.step, error.reason, error.detail.replace(str(path), uri)) from error


@contextmanager
def local_tree(uri: str) -> Iterator[Path]:
    """A local path of a folder: itself, or a copy of the remote one that is removed when the `with` block ends.

    Hidden files are copied too. An absent folder is no error: there is nothing below its path.

    Raises:
        DiskFullError: if the disk has no space for the copy.
        StorageError: if an object's name leads out of the folder (`..`), or the bucket can't be read.
    """
    if not is_remote(uri):
        yield Path(uri)
        return
    prefix, (bucket, _) = uri.rstrip("/") + "/", object_storage.split(uri)
    with temporary_folder(uri) as folder:
        root = folder.resolve()
        for found in object_storage.list_prefix(prefix):
            object_uri = f"{object_storage.SCHEME}{bucket}/{found.name}"
            path = (root / object_uri.removeprefix(prefix)).resolve()
            if not path.is_relative_to(root):
                raise StorageError(f"{object_uri}: this object's name leads out of its folder; remove or rename it")
            path.parent.mkdir(parents=True, exist_ok=True)
            object_storage.download(object_uri, path)
        yield root


def remove(uri: str) -> None:
    """Removes a file; an absent file is no error."""
    if not is_remote(uri):
        Path(uri).unlink(missing_ok=True)
        return
    try:
        object_storage.delete(uri)
    except FileNotFoundError:
        return


def remove_unfinished(folder: str) -> None:
    """Removes half-written files and folders of killed processes, in a local folder and its hidden ones.

    Nobody reads such files, whatever their age. The function removes those that were not written to for ten minutes;
    younger ones may belong to another running job.
    """
    if is_remote(folder):
        return
    # A list, since a running search would fail on a folder that is removed.
    for path in list(Path(folder).glob(f"**/.*{TEMPORARY_SUFFIX}")):
        if not _UNFINISHED_NAME.fullmatch(path.name):
            continue
        with suppress(FileNotFoundError):
            written_s = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
            if time.time() - written_s > _UNFINISHED_AFTER_S:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def write_file(uri: str, source: Path) -> None:
    """Copies a local file to `uri`; it appears under its name at once or not at all."""
    if is_remote(uri):
        object_storage.upload(uri, source)
        return
    with whole_file(uri) as path:
        shutil.copyfile(source, path)


def copy_tree(source: str, target: str) -> None:
    """Copies a local folder to `target`, local or remote, file by file in sorted order."""
    root = Path(source)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        write_file(join(target, path.relative_to(root).as_posix()), path)
