"""Weights on this machine: one cache directory, whose files are checked before use.

`locate` never downloads; `fetch` does. On a machine without a network, copy the files into the cache directory by hand,
under the names in the table.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from beam_pipelines.extractors.weights.weights_table import TABLE, UNTRAINED, Weights
from beam_pipelines.foundation.errors import WeightsError

DIRECTORY_VARIABLE = "CINEAFFECT_WEIGHTS"
OWN_LICENCE = "own"
"""The licence of weights that a configuration names by their file: only its user knows it."""

_OWN_SUFFIXES = (".h5", ".npz", ".ckpt")
CONNECTION_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 16

DIGESTS: dict[tuple[str | int, ...], str] = {}
"""Path, algorithm, inode, size and both times of change of a file that was hashed -> its hash.

Workers take over what the job's own process knows. A copy on another machine was changed at another time: it is hashed.
"""


def cache_directory() -> Path:
    """The directory of weights: `CINEAFFECT_WEIGHTS`, else the platform's cache directory for `cineaffect`."""
    configured = os.environ.get(DIRECTORY_VARIABLE)
    if configured:
        return Path(configured).expanduser()
    import pooch

    return Path(pooch.os_cache("cineaffect"))


def entry_of(name: str, table: Mapping[str, Weights] = TABLE) -> Weights:
    """The table's entry of a name.

    Raises:
        WeightsError: if the name is not in the table.
    """
    if name not in table:
        raise WeightsError(
            f"weights '{name}': no such name; known: {', '.join(table)}, and '{UNTRAINED}'; a file of yours is known "
            f"by its name's end ({', '.join(_OWN_SUFFIXES)})"
        )
    return table[name]


def is_own_file(name: str, table: Mapping[str, Weights] = TABLE) -> bool:
    """Whether a configuration's `weights` name a file of its user's, and no entry of the table."""
    return name not in table and (name.endswith(_OWN_SUFFIXES) or "/" in name)


def find_file(name: str) -> Path:
    """A user's file by its name in a configuration: as it is, in the working directory, or in that of weights.

    Raises:
        WeightsError: if it is in none of them; the text names the places.
    """
    places = [Path(name).expanduser(), cache_directory() / name]
    for place in places:
        if place.is_file():
            return place.absolute()
    looked_at = " or ".join(dict.fromkeys(str(place.absolute()) for place in places))
    raise WeightsError(f"there is no file {looked_at}")


def locate(name: str, table: Mapping[str, Weights] = TABLE) -> Path:
    """The checked file of a name in the cache directory, or a user's own file. It never downloads.

    A published file is hashed once, and again if it has changed (`DIGESTS`).

    Raises:
        WeightsError: if the file is absent or has another hash; the text names file, address, hash and directory.
    """
    if is_own_file(name, table):
        return find_file(name)
    entry = entry_of(name, table)
    path = cache_directory() / entry.file_name
    if not path.is_file():
        raise WeightsError(f"weights '{name}' are absent: there is no file {path}\n{_how_to_get(entry)}")
    _check(entry, path)
    return path


def fetch(name: str, table: Mapping[str, Weights] = TABLE, progress: bool = False) -> Path:
    """The checked file of a name; it is downloaded into the cache directory if it is absent.

    The download has a temporary name until its hash is right, so an incomplete file never has the final name. A file
    that is there already is the user's: with another hash it is refused, and stays.

    Args:
        name: a name of the table.
        table: the table to look in.
        progress: whether a bar is shown.

    Raises:
        WeightsError: if there is no address, the transfer fails, the hash differs, or the cache directory is not
            writable.
    """
    entry = entry_of(name, table)
    path = cache_directory() / entry.file_name
    if path.is_file():
        _check(entry, path)
        return path
    if entry.url is None:
        raise WeightsError(f"weights '{name}' can't be fetched: they have no published address\n{_how_to_get(entry)}")
    _download(entry, entry.url, path, progress)
    _check(entry, path)
    return path


def digest(name: str, table: Mapping[str, Weights] = TABLE) -> str:
    """The sha256, hexadecimal, of the checked file of a name, for fingerprints.

    Raises:
        WeightsError: as `locate` does.
    """
    return file_digest(locate(name, table), "sha256")


def identity(name: str, seed: int = 0, table: Mapping[str, Weights] = TABLE) -> str:
    """The weights as a fingerprint names them: the sha256 of the checked file, or `untrained-seed-<seed>`.

    Raises:
        WeightsError: as `locate` does.
    """
    return f"{UNTRAINED}-seed-{seed}" if name == UNTRAINED else digest(name, table)


def _download(entry: Weights, url: str, path: Path, progress: bool) -> None:
    import pooch
    import requests

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"weights '{entry.name}': {path.parent} can't be the directory of weights: {error.strerror}; "
            f"set {DIRECTORY_VARIABLE} to a directory that can be written to"
        ) from error
    try:
        pooch.retrieve(
            url,
            known_hash=":".join(entry.published_hash),
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(
                progressbar=progress, timeout=CONNECTION_TIMEOUT_S, chunk_size=_CHUNK_BYTES
            ),
        )
    except (requests.RequestException, OSError, ValueError) as error:
        why = str(error)
        if isinstance(error, requests.ConnectionError):  # what it says itself fills a screen
            why = f"no connection to {urlsplit(url).hostname} ({type(error).__name__})"
        raise WeightsError(f"weights '{entry.name}' could not be fetched: {why}\n{_how_to_get(entry)}") from error


def _check(entry: Weights, path: Path) -> None:
    algorithm, expected = entry.published_hash
    found = file_digest(path, algorithm)
    if found != expected:
        raise WeightsError(
            f"weights '{entry.name}': {path} has the {algorithm} {found}, not the published {expected}. The file stays "
            f"as it is. To use it, name it: extract.{entry.used_by.partition(':')[0]}.weights: {path}. To have the "
            f"published one, move it to another place first.\n{_how_to_get(entry)}"
        )


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file, hexadecimal; computed once, and again if the file has changed (`DIGESTS`)."""
    status = path.stat()
    key = (str(path), algorithm, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in DIGESTS:
        with open(path, "rb") as stream:
            DIGESTS[key] = hashlib.file_digest(stream, algorithm).hexdigest()
    return DIGESTS[key]


def _how_to_get(entry: Weights) -> str:
    by_hand = f"put it into the directory by hand, or set {DIRECTORY_VARIABLE} to the directory that holds it"
    command = f"run `cineaffect weights fetch {entry.name}`, or {by_hand}" if entry.url else by_hand
    return "\n".join(
        (
            f"  file:      {entry.file_name}",
            f"  address:   {entry.url or 'none: this file is published nowhere'}",
            f"  hash:      {' '.join(entry.published_hash)}",
            f"  directory: {cache_directory()}",
            f"  to do:     {command}",
        )
    )
