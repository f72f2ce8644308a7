"""Files on local disk and in Google Cloud Storage (`gs://bucket/name`), behind one small set of functions.

Every write appears under its final name only when it is whole: locally by a temporary name in the same directory and
`os.replace`, in object storage because an object becomes visible when its upload is finished. `STORAGE_EMULATOR_HOST`
is honoured by google-cloud-storage itself.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"
_GLOB_CHARACTERS = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class FileInfo:
    """One file of a listing: its address, its size in bytes and its time of change (seconds since the epoch)."""

    uri: str
    size_bytes: int
    modified_s: float


def is_remote(uri: str) -> bool:
    """Whether `uri` is an object of Google Cloud Storage."""
    return uri.startswith("gs://")


def join(base: str, *names: str) -> str:
    """Joins path components with `/`, for local paths and for `gs://` alike."""
    return "/".join([base.rstrip("/") or "/", *names]) if base != "/" else "/" + "/".join(names)


def stat(uri: str) -> FileInfo | None:
    """Size and time of change of a file, or None where there is no such file."""
    if is_remote(uri):
        bucket, name = _split(uri)
        blob = _client().bucket(bucket).get_blob(name)
        return None if blob is None else FileInfo(uri, blob.size, blob.updated.timestamp())
    try:
        status = os.stat(uri)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileInfo(uri, status.st_size, status.st_mtime)


def list_files(pattern: str) -> list[FileInfo]:
    """All files below a folder, or those that match a glob (`*` stays in a folder, `**` does not); sorted by address.

    Unfinished and hidden files (names that begin with a dot) are left out. An absent folder gives an empty list.
    """
    found = _list_remote(pattern) if is_remote(pattern) else _list_local(pattern)
    visible = (info for info in found if not os.path.basename(info.uri).startswith("."))
    return sorted(visible, key=lambda info: info.uri)


def read_bytes(uri: str) -> bytes:
    """The whole content of a (small) file.

    Raises:
        FileNotFoundError: where there is none.
    """
    if is_remote(uri):
        from google.api_core.exceptions import NotFound

        bucket, name = _split(uri)
        try:
            return _client().bucket(bucket).blob(name).download_as_bytes()
        except NotFound as error:
            raise FileNotFoundError(uri) from error
    return Path(uri).read_bytes()


def read_text(uri: str) -> str:
    """The whole content of a (small) UTF-8 text file; a byte order mark is dropped."""
    return read_bytes(uri).decode("utf-8-sig")


def write_bytes(uri: str, content: bytes) -> None:
    """Writes a whole file; it appears under its name at once or not at all."""
    if is_remote(uri):
        bucket, name = _split(uri)
        _client().bucket(bucket).blob(name).upload_from_string(content, content_type="application/octet-stream")
        return
    with whole_file(uri) as path:
        path.write_bytes(content)


def write_text(uri: str, content: str) -> None:
    """Writes a whole UTF-8 text file; it appears under its name at once or not at all.

    The bytes of a file name that is not UTF-8 come out as `\\udcXX`.
    """
    write_bytes(uri, content.encode("utf-8", "backslashreplace"))


@contextmanager
def whole_file(uri: str) -> Iterator[Path]:
    """A local path to write to; when the block ends without an error the file is published as `uri`."""
    if is_remote(uri):
        bucket, name = _split(uri)
        with tempfile.TemporaryDirectory(prefix="cineaffect-") as folder:
            path = Path(folder) / "content"
            yield path
            _client().bucket(bucket).blob(name).upload_from_filename(str(path))
        return
    target = Path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A hidden name of bounded length: no listing shows it, and a long film id can't make it too long.
    path = target.parent / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        yield path
        os.replace(path, target)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """A local path of the file: itself, or a copy that is removed when the block ends.

    Raises:
        FileNotFoundError: where there is no such file.
    """
    if not is_remote(uri):
        if not os.path.exists(uri):
            raise FileNotFoundError(uri)
        yield Path(uri)
        return
    from google.api_core.exceptions import NotFound

    bucket, name = _split(uri)
    with tempfile.TemporaryDirectory(prefix="cineaffect-") as folder:
        # The object's own name never becomes a local path; only a plain suffix is kept, which some demuxers want.
        suffix = Path(name).suffix
        path = Path(folder) / ("copy" + (suffix if re.fullmatch(r"\.\w{1,8}", suffix) else ""))
        try:
            _client().bucket(bucket).blob(name).download_to_filename(str(path))
        except NotFound as error:
            raise FileNotFoundError(uri) from error
        yield path


def remove(uri: str) -> None:
    """Removes a file; that there is none is no error."""
    if is_remote(uri):
        from google.api_core.exceptions import NotFound

        bucket, name = _split(uri)
        try:
            _client().bucket(bucket).blob(name).delete()
        except NotFound:
            return
        return
    Path(uri).unlink(missing_ok=True)


def copy_tree(source: str, target: str) -> None:
    """Copies a local folder to `target`, local or remote, file by file in sorted order."""
    root = Path(source)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        with whole_file(join(target, path.relative_to(root).as_posix())) as destination:
            shutil.copyfile(path, destination)


@contextmanager
def local_tree(uri: str) -> Iterator[Path]:
    """A local path of a folder: itself, or a copy of the remote one that is removed when the block ends."""
    if not is_remote(uri):
        yield Path(uri)
        return
    prefix = uri.rstrip("/") + "/"
    with tempfile.TemporaryDirectory(prefix="cineaffect-") as folder:
        root = Path(folder).resolve()
        for info in list_files(uri):
            path = (root / info.uri.removeprefix(prefix)).resolve()
            if not path.is_relative_to(root):
                raise ValueError(f"{info.uri}: this object's name leads out of its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_bytes(info.uri))
        yield root


def _list_local(pattern: str) -> Iterator[FileInfo]:
    if os.path.isdir(pattern):
        for folder, folders, names in os.walk(pattern):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                info = stat(os.path.join(folder, name))
                if info is not None:
                    yield info
        return
    if _GLOB_CHARACTERS.search(pattern):
        import glob

        for path in glob.iglob(pattern, recursive=True):
            if os.path.isfile(path):
                info = stat(path)
                if info is not None:
                    yield info
        return
    info = stat(pattern)
    if info is not None:
        yield info


def _list_remote(pattern: str) -> Iterator[FileInfo]:
    bucket, name = _split(pattern)
    glob_at = _GLOB_CHARACTERS.search(name)
    prefix = name[: glob_at.start()] if glob_at else name
    accept = re.compile(_glob_regex(name)) if glob_at else None
    for blob in _client().list_blobs(bucket, prefix=prefix):
        below = blob.name == name or blob.name.startswith(name.rstrip("/") + "/") or not name
        if (accept.fullmatch(blob.name) if accept else below) and not blob.name.endswith("/"):
            yield FileInfo(f"gs://{bucket}/{blob.name}", blob.size, blob.updated.timestamp())


def _glob_regex(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    table = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return "".join(table[part] if part in table else _literal_with_sets(part) for part in parts)


def _literal_with_sets(text: str) -> str:
    # fnmatch.translate knows the rules of [sets]; its wrapper is cut off again.
    return fnmatch.translate(text).removeprefix("(?s:").removesuffix(")\\Z").removesuffix(")\\z")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not bucket:
        raise ValueError(f"{uri}: write it as gs://bucket/name")
    return bucket, name


@lru_cache(maxsize=1)
def _client() -> Any:
    # Imported late: local runs need neither the package's start-up time nor credentials.
    from google.cloud import storage

    return storage.Client()
