"""Objects of Google Cloud Storage: the few operations that `storage` needs, with errors that say what to do.

google-cloud-storage repeats every operation after a dropped connection and after 408, 429 and 5xx, with growing pauses;
a download continues where it was cut off. Repeating an operation is always safe: a repeated upload writes the same
object again. `STORAGE_EMULATOR_HOST` names another server, which gets no credentials.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from beam_pipelines.foundation.errors import OutageError, StorageError
from beam_pipelines.foundation.stage_times import count

SCHEME = "gs://"
PAGE_OBJECTS = 1000
"""Objects per page of a listing, the service's maximum."""
_UPLOAD_PIECE_BYTES = 16 << 20
_TRANSFER_PATIENCE_S = 1800.0
"""After so many seconds a transfer is no longer resumed. The library's own two minutes count from the transfer's
beginning, so one dropped connection late in a long film would end it."""
_ANSWER_PATIENCE_S = 60.0
"""How many seconds one request waits for an answer; the library's own value."""
_OCTETS = "application/octet-stream"
_CREDENTIALS_HINT = (
    "run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file, "
    "or give the worker machines a service account (STORAGE_EMULATOR_HOST names an emulator, which needs none)"
)


@dataclass(frozen=True)
class ObjectInfo:
    """An object's name within its bucket, its size, and when this content was written (seconds since the epoch)."""

    name: str
    size_bytes: int
    modified_s: float


def split(uri: str) -> tuple[str, str]:
    """The bucket and object name of an address; the name may be empty.

    Raises:
        StorageError: if the address names no bucket.
    """
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise StorageError(f"{uri}: write it as gs://bucket/name")
    return bucket, name


def find(uri: str) -> ObjectInfo | None:
    """The object of this name, or None.

    Raises:
        StorageError: if the storage can't be used, as all functions here.
    """
    bucket, name = split(uri)
    with _explained(uri):
        blob = _client().bucket(bucket).get_blob(name) if name and not name.endswith("/") else None
    return None if blob is None else _info(blob)


def list_prefix(uri: str, at_most: int | None = None) -> list[ObjectInfo]:
    """All objects whose address begins with `uri`, sorted by name; placeholders of folders are left out.

    Raises:
        StorageError: also if there is no such bucket.
    """
    bucket, prefix = split(uri)
    try:
        with _explained(uri):
            blobs = _client().list_blobs(
                bucket,
                prefix=prefix or None,
                page_size=PAGE_OBJECTS,
                max_results=at_most,
                fields="items(name,size,timeCreated),nextPageToken",
            )
            return [_info(blob) for blob in blobs if not blob.name.endswith("/")]
    except FileNotFoundError as error:
        raise _no_bucket(uri) from error


def download_bytes(uri: str) -> bytes:
    """An object's whole content.

    Raises:
        FileNotFoundError: if there is no such object.
    """
    with _explained(uri):
        content: bytes = _blob(uri).download_as_bytes(retry=_patient())
    return content


def download(uri: str, path: Path, at_most_bytes: int | None = None) -> None:
    """Copies an object, or its first bytes, to a local file, in pieces.

    Raises:
        FileNotFoundError: if there is no such object.
        OSError: if the local file can't be written.
    """
    from google.api_core.exceptions import RequestRangeNotSatisfiable

    last = None if at_most_bytes is None else at_most_bytes - 1
    with _explained(uri):
        try:
            _blob(uri).download_to_filename(str(path), end=last, retry=_patient())
        except RequestRangeNotSatisfiable:
            path.touch()  # an empty object has no first byte to request


def upload_bytes(uri: str, content: bytes) -> None:
    """Writes an object; it becomes visible when all of it has arrived.

    Raises:
        StorageError: also if there is no such bucket.
    """
    try:
        with _explained(uri):
            count(size_bytes=len(content))
            _blob(uri).upload_from_string(content, content_type=_OCTETS, retry=_patient())
    except FileNotFoundError as error:
        raise _no_bucket(uri) from error


def upload(uri: str, path: Path) -> None:
    """Writes a local file as an object, in pieces; it becomes visible when all of it has arrived.

    Raises:
        FileNotFoundError: if there is no such local file.
        StorageError: also if there is no such bucket.
    """
    with path.open("rb") as file:
        try:
            with _explained(uri):
                size = path.stat().st_size
                count(size_bytes=size)
                blob = _blob(uri)
                blob.chunk_size = _UPLOAD_PIECE_BYTES  # bounds the memory; without it a piece is 100 MiB
                blob.upload_from_file(file, size=size, content_type=_OCTETS, retry=_patient())
        except FileNotFoundError as error:
            raise _no_bucket(uri) from error


class ChangedError(StorageError):
    """Another process has written an object since it was read."""


@dataclass(frozen=True)
class Generation:
    """An object as it was when it was read; `replace` writes only if it has not changed since.

    Attributes:
        uri: its address.
        content: its content; None if there was no object.
        number: the service's generation number of this content; 0 if there was no object.
    """

    uri: str
    content: bytes | None
    number: int

    def replace(self, content: bytes, patience_s: float = _TRANSFER_PATIENCE_S) -> Generation:
        """Replaces exactly this content, and returns the new state of the object.

        Args:
            content: the new content.
            patience_s: after so many seconds a request without an answer is given up.

        Raises:
            ChangedError: if another process has written the object meanwhile; nothing is changed then.
            StorageError: also if there is no such bucket.
        """
        try:
            with _explained(self.uri):
                blob = _blob(self.uri)
                blob.upload_from_string(
                    content,
                    content_type=_OCTETS,
                    if_generation_match=self.number,
                    timeout=min(patience_s, _ANSWER_PATIENCE_S),
                    retry=_patient(patience_s),
                )
        except FileNotFoundError as error:
            raise _no_bucket(self.uri) from error
        except ChangedError:
            # If only the answer was lost, the repeated request finds what the first one has written.
            there = read_generation(self.uri)
            if there.content != content:
                raise
            return there
        return Generation(self.uri, content, blob.generation)


def read_generation(uri: str) -> Generation:
    """An object with its generation, so that it can be replaced safely.

    Raises:
        StorageError: if the storage can't be used.
    """
    while True:
        bucket, name = split(uri)
        with _explained(uri):
            blob = _client().bucket(bucket).get_blob(name)
        if blob is None:
            return Generation(uri, None, 0)
        try:
            with _explained(uri):
                content = blob.download_as_bytes(if_generation_match=blob.generation, retry=_patient())
        except (ChangedError, FileNotFoundError):
            continue  # written, or removed, between the two requests
        return Generation(uri, content, blob.generation)


def delete(uri: str) -> None:
    """Removes an object.

    Raises:
        FileNotFoundError: if there is no such object.
    """
    with _explained(uri):
        _blob(uri).delete()


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turns the libraries' errors into this project's; 404 becomes a `FileNotFoundError`."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.cloud.storage.exceptions import DataCorruption

    try:
        yield
    except auth.DefaultCredentialsError as error:
        raise StorageError(f"{uri}: no Google Cloud credentials ({error}); {_CREDENTIALS_HINT}") from error
    except auth.GoogleAuthError as error:
        raise StorageError(f"{uri}: the Google Cloud credentials don't work ({error}); {_CREDENTIALS_HINT}") from error
    except api.NotFound as error:
        raise FileNotFoundError(uri) from error
    except api.PreconditionFailed as error:
        raise ChangedError(f"{uri}: was written by somebody else meanwhile") from error
    except (api.Unauthorized, api.Forbidden) as error:
        raise StorageError(
            f"{uri}: these Google Cloud credentials have no right to do this ({error.message}); to read it takes the "
            "role roles/storage.objectViewer on the bucket, to write roles/storage.objectUser"
        ) from error
    except (api.GoogleAPIError, requests.RequestException, ConnectionError, DataCorruption) as error:
        reason = getattr(error, "cause", None) or error
        raise OutageError(f"{uri}: the storage gives no usable answer ({reason}); run again to go on") from error


def _no_bucket(uri: str) -> StorageError:
    bucket, _ = split(uri)
    return StorageError(
        f"{uri}: there is no bucket {bucket}; correct the name, or make it with "
        f"`gcloud storage buckets create {SCHEME}{bucket}`"
    )


def _info(blob: Any) -> ObjectInfo:
    # Not `updated`, which a change of storage class sets too: the unchanged content would count as a new film.
    return ObjectInfo(blob.name, blob.size, blob.time_created.timestamp())


def _blob(uri: str) -> Any:
    bucket, name = split(uri)
    return _client().bucket(bucket).blob(name)


def _patient(patience_s: float = _TRANSFER_PATIENCE_S) -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(patience_s)


def _client() -> Any:
    # A forked process must not use the connections of its parent's client.
    return _client_of(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST"))


@cache
def _client_of(process: int, emulator: str | None) -> Any:
    # Imported late: local runs need neither the package, which is slow to import, nor credentials.
    from google.cloud.storage import Client

    # Without project=None a client whose credentials name no project fails; nothing here needs one.
    client = Client(project=None)
    client._http.hooks["response"].append(_refuse_cut_off)
    return client


def _refuse_cut_off(answer: Any, **_: Any) -> None:
    # One cut off in its headers would pass for an empty one; after this error it is asked for again.
    says_its_end = "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers
    if answer.status_code != 204 and not says_its_end:
        raise ConnectionError("an answer was cut off in its headers")
