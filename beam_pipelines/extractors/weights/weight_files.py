"""Weights on this machine: one cache directory, whose files are checked before use.

`locate` never downloads; `fetch` does. On a machine without a network, copy the files into the cache directory by hand,
under the names in the table.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from beam_pipelines.extractors.weights.weights_table import TABLE, UNTRAINED, Weights
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import WeightsError

DIRECTORY_VARIABLE = "CINEAFFECT_WEIGHTS"
RECORD_FILE = "recorded_hashes.json"
CONNECTION_TIMEOUT_S = 30


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
        raise WeightsError(f"weights '{name}': no such name; known: {', '.join(table)}, and '{UNTRAINED}'")
    return table[name]


def locate(name: str, table: Mapping[str, Weights] = TABLE) -> Path:
    """The checked file of a name in the cache directory. It never downloads.

    A file is hashed once per process, and again if its size or its time of change has changed.

    Raises:
        WeightsError: if the file is absent or has another hash; the text names file, address, hash and directory.
    """
    entry = entry_of(name, table)
    path = cache_directory() / entry.file_name
    if not path.is_file():
        raise WeightsError(f"weights '{name}' are absent: there is no file {path}\n{_how_to_get(entry)}")
    _check(entry, path)
    return path


def fetch(name: str, table: Mapping[str, Weights] = TABLE, progress: Any = False) -> Path:
    """The checked file of a name; it is downloaded into the cache directory if it is absent or wrong.

    The download has a temporary name until its hash is right, so an incomplete file never has the final name. If no
    hash is published, the hash of the first file is recorded and compared from then on, also for a file that was copied
    there by hand.

    Args:
        name: a name of the table.
        table: the table to look in.
        progress: a progress bar as pooch takes it, or False.

    Raises:
        WeightsError: if there is no address, the transfer fails, the hash differs, or the cache directory is not
            writable.
    """
    entry = entry_of(name, table)
    path = cache_directory() / entry.file_name
    if path.is_file() and _is_usable(entry, path):
        return path
    if entry.url is None:
        raise WeightsError(f"weights '{name}' can't be fetched: they have no published address\n{_how_to_get(entry)}")
    _download(entry, entry.url, path, progress)
    if _expected_hash(entry) is None:
        _record(entry, _digest_of(path, "sha256"))
    _check(entry, path)
    return path


def digest(name: str, table: Mapping[str, Weights] = TABLE) -> str:
    """The sha256, hexadecimal, of the checked file of a name, for fingerprints.

    Raises:
        WeightsError: as `locate` does.
    """
    return _digest_of(locate(name, table), "sha256")


def identity(name: str, seed: int = 0) -> str:
    """The weights as a fingerprint names them: the sha256 of the checked file, or `untrained-seed-<seed>`.

    Raises:
        WeightsError: as `locate` does.
    """
    return f"{UNTRAINED}-seed-{seed}" if name == UNTRAINED else digest(name)


def _is_usable(entry: Weights, path: Path) -> bool:
    """Whether the file in the cache can stay; the hash of one without a known hash is recorded."""
    expected = _expected_hash(entry)
    if expected is None:
        _check_size(entry, path)
        _record(entry, _digest_of(path, "sha256"))
        return True
    if entry.published_hash is None:
        # The recorded hash is the only evidence: replacing file and record together would hide a change.
        _check(entry, path)
    return _digest_of(path, expected[0]) == expected[1]


def _download(entry: Weights, url: str, path: Path, progress: Any) -> None:
    import pooch
    import requests

    expected = _expected_hash(entry)
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
            known_hash=f"{expected[0]}:{expected[1]}" if expected else None,
            fname=path.name,
            path=path.parent,
            downloader=_SizeChecked(entry, progress),
        )
    except (requests.RequestException, OSError, ValueError) as error:
        raise WeightsError(f"weights '{entry.name}' could not be fetched: {error}\n{_how_to_get(entry)}") from error


class _SizeChecked:
    """A pooch downloader over HTTP that refuses a file of another size before it gets its final name."""

    def __init__(self, entry: Weights, progress: Any):
        self._entry = entry
        self._progress = progress

    def __call__(self, url: str, output_file: str, pooch_object: Any, check_only: bool = False) -> bool | None:
        import pooch

        http = pooch.HTTPDownloader(progressbar=self._progress, timeout=CONNECTION_TIMEOUT_S, chunk_size=1 << 16)
        answer = http(url, output_file, pooch_object, check_only=check_only)
        if not check_only:
            _check_size(self._entry, Path(output_file))
        return answer


def _check(entry: Weights, path: Path) -> None:
    expected = _expected_hash(entry)
    if expected is None:
        raise WeightsError(
            f"weights '{entry.name}': no hash is published for {path} and none is recorded yet; "
            f"`cineaffect weights fetch {entry.name}` records that of the file which lies there"
        )
    _check_size(entry, path)
    found = _digest_of(path, expected[0])
    if found != expected[1]:
        raise WeightsError(
            f"weights '{entry.name}': {path} has the {expected[0]} {found}, not the expected {expected[1]}; "
            f"remove the file\n{_how_to_get(entry)}"
        )


def _check_size(entry: Weights, path: Path) -> None:
    size_bytes = path.stat().st_size
    if entry.size_bytes is not None and size_bytes != entry.size_bytes:
        raise WeightsError(
            f"weights '{entry.name}': {path} has {size_bytes} bytes, not the published {entry.size_bytes}\n"
            f"{_how_to_get(entry)}"
        )


def _expected_hash(entry: Weights) -> tuple[str, str] | None:
    if entry.published_hash is not None:
        return entry.published_hash
    recorded = _recorded().get(entry.file_name)
    return ("sha256", recorded) if recorded else None


def _recorded() -> dict[str, str]:
    path = cache_directory() / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not readable as JSON ({error}); remove it and fetch again") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise WeightsError(f"{path}: it must map file names to sha256; remove it and fetch again")
    return content


def _record(entry: Weights, sha256: str) -> None:
    content = {**_recorded(), entry.file_name: sha256}
    path = cache_directory() / RECORD_FILE
    try:
        storage.write_text(str(path), json.dumps(content, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise WeightsError(
            f"weights '{entry.name}': their hash can't be recorded in {path}: {error.strerror}; "
            f"set {DIRECTORY_VARIABLE} to a directory that can be written to"
        ) from error


def _digest_of(path: Path, algorithm: str) -> str:
    status = path.stat()
    return _hash_file(str(path), algorithm, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_file(path: str, algorithm: str, size_bytes: int, modified_ns: int) -> str:
    """The hash of a file. Size and time of change are arguments only so that a changed file has another cache key."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _how_to_get(entry: Weights) -> str:
    expected = _expected_hash(entry)
    hash_text = f"{expected[0]} {expected[1]}" if expected else "none is published; recorded on first fetch"
    by_hand = f"put it into the directory by hand, or set {DIRECTORY_VARIABLE} to the directory that holds it"
    command = f"run `cineaffect weights fetch {entry.name}`, or {by_hand}" if entry.url else by_hand
    return "\n".join(
        (
            f"  file:      {entry.file_name}",
            f"  address:   {entry.url or 'none: this file is published nowhere'}",
            f"  hash:      {hash_text}",
            f"  directory: {cache_directory()}",
            f"  to do:     {command}",
        )
    )
