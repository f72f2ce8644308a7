"""Listing files by folder or glob, on local disk and in Google Cloud Storage by the same rules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from beam_pipelines.foundation.storage import object_storage
from beam_pipelines.foundation.storage.files import FileInfo, is_remote, stat
from beam_pipelines.foundation.storage.unicode_forms import forms_of, found_elsewhere

_GLOB_CHARACTERS = re.compile(r"[*?\[]")


def list_files(pattern: str) -> list[FileInfo]:
    """The files below a folder, one file, or those that match a glob; sorted by address.

    In a glob `*`, `?` and `[sets]` match within one folder, and a component `**` matches any number of folders. If a
    file or folder has exactly the given name, it is taken, even if the name could be a glob. Hidden files and folders
    (their names begin with a dot), and so unfinished files, are left out. An absent folder gives an empty list. What
    isn't there under the name given is looked for under its other Unicode form.

    Raises:
        StorageError: if a bucket is absent or can't be read.
    """
    return list_as_it_lies(pattern)[1]


def list_as_it_lies(pattern: str) -> tuple[str, list[FileInfo]]:
    """The pattern in the Unicode form in which something is there, as given if nothing is; and what `list_files` gives.

    Raises:
        StorageError: if a bucket is absent or can't be read.
    """
    found = _list(pattern)
    if not found and not pattern.isascii():
        elsewhere = found_elsewhere(pattern)
        listed = ((form, _list(form)) for form in ([elsewhere] if elsewhere else forms_of(pattern)))
        pattern, found = next((one for one in listed if one[1]), (elsewhere or pattern, []))
    visible = (info for info in found if not os.path.basename(info.uri).startswith("."))
    return pattern, sorted(visible, key=lambda info: info.uri)


def list_beside(uri: str) -> list[FileInfo]:
    """The files of a file's folder whose names begin with its own name without the suffix, in either Unicode form.

    Returns:
        The files, sorted by address.

    Raises:
        StorageError: if a bucket is absent or can't be read.
    """
    found = [info for form in (uri, *forms_of(uri)) for info in _beside(os.path.splitext(form)[0] + ".")]
    return sorted(found, key=lambda info: info.uri)


def list_first(folder: str, at_most: int) -> list[FileInfo]:
    """The first files below a folder of a bucket, by name: a thousand a request.

    Raises:
        StorageError: if the bucket is absent or can't be read.
    """
    return _infos(folder, object_storage.list_prefix(folder.rstrip("/") + "/", at_most))


def _infos(uri: str, objects: Iterable[object_storage.ObjectInfo]) -> list[FileInfo]:
    """The objects of the bucket of an address as files."""
    bucket, _ = object_storage.split(uri)
    return [FileInfo(f"{object_storage.SCHEME}{bucket}/{o.name}", o.size_bytes, o.modified_s) for o in objects]


def _beside(stem: str) -> list[FileInfo]:
    if is_remote(stem):
        _, name = object_storage.split(stem)
        found = object_storage.list_prefix(stem)
        return _infos(stem, (one for one in found if "/" not in one.name.removeprefix(name)))
    folder, start = os.path.split(stem)
    try:
        names = [name for name in os.listdir(folder or ".") if name.startswith(start)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return list(_existing(os.path.join(folder, name) for name in names))


def _list(pattern: str) -> list[FileInfo]:
    return _list_remote(pattern) if is_remote(pattern) else list(_list_local(pattern))


def _list_local(pattern: str) -> Iterator[FileInfo]:
    if os.path.isdir(pattern):
        for folder, folders, names in os.walk(pattern):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from _existing(os.path.join(folder, name) for name in names)
    elif _GLOB_CHARACTERS.search(pattern) and not os.path.exists(pattern):
        import glob

        # A set, since two `**` reach the same file in several ways.
        yield from _existing(set(glob.iglob(pattern, recursive=True)))
    else:
        yield from _existing([pattern])


def _existing(paths: Iterable[str]) -> Iterator[FileInfo]:
    for path in paths:
        try:
            info = stat(path)
        except OSError:
            info = None
        if info is not None:
            yield info
        elif os.path.islink(path):
            # A link that leads nowhere stays in the list, since somebody expects its file: opening it gives an error.
            yield FileInfo(path, 0, 0.0)


def _list_remote(pattern: str) -> list[FileInfo]:
    bucket, name = object_storage.split(pattern)
    folder = name.rstrip("/") + "/" if name.rstrip("/") else ""
    glob_at = _GLOB_CHARACTERS.search(name)
    prefix = name[: glob_at.start()] if glob_at else folder
    found = object_storage.list_prefix(f"{object_storage.SCHEME}{bucket}/{prefix}")
    chosen = [o for o in found if o.name.startswith(folder) and not _any_hidden(o.name.removeprefix(folder).split("/"))]
    if not chosen:
        itself = next((o for o in found if o.name == name), None) if glob_at else object_storage.find(pattern)
        chosen = [itself] if itself else []
    if not chosen and glob_at:
        chosen = [o for o in found if _matches(o.name.split("/"), name.split("/"))]
    return _infos(pattern, chosen)


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the components of a name match those of a glob, by the rules of Python's `glob` with `recursive`."""
    if not patterns:
        return not names
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        # At the end, `**` matches what lies below a folder, so at least one component.
        shortest = 0 if rest else 1
        return any(
            not _any_hidden(names[:count]) and _matches(names[count:], rest)
            for count in range(shortest, len(names) + 1)
        )
    if not names or (_any_hidden(names[:1]) and not first.startswith(".")):
        return False
    return fnmatchcase(names[0], first) and _matches(names[1:], rest)


def _any_hidden(names: Sequence[str]) -> bool:
    return any(name.startswith(".") for name in names)
