"""Fetches the files of a Flink cluster into a folder: Flink's jars and those of Beam's runner, with hash checks.

Flink comes with the Python package `apache-flink-libraries`, which holds the jars of a whole distribution; pip checks
its hash. Beam's runner comes as single jars from Maven Central; `jars.sha256` lists them with their hashes.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

FLINK_VERSION = "1.20.5"
FLINK_SHA256 = "e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8"
BEAM_VERSION = "2.62.0"
"""The version of the runner in Java, built for Flink 1.19, which runs on 1.20; a job itself uses the installed Beam."""
JARS = Path(__file__).with_name("jars.sha256")
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
_TIMEOUT_S = 60
_ATTEMPTS = 3


class FetchError(RuntimeError):
    """A file could not be fetched or has the wrong content; the message names it."""


def flink_folder(cache: Path) -> Path:
    """The folder of Flink with `lib/` and `bin/`.

    Raises:
        FetchError: if it wasn't fetched yet.
    """
    return _fetched(cache / f"flink-{FLINK_VERSION}", cache)


def beam_folder(cache: Path) -> Path:
    """The folder of the jars of Beam's runner.

    Raises:
        FetchError: if they weren't fetched yet.
    """
    return _fetched(cache / f"beam-{BEAM_VERSION}", cache)


def fetch(cache: Path, maven: str = MAVEN_CENTRAL) -> None:
    """Fetches everything that isn't in `cache` yet; a folder appears there only when it is whole.

    Args:
        cache: the folder for the jars.
        maven: address of Maven Central or of a mirror of it.

    Raises:
        FetchError: if a file can't be fetched or has another hash.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for folder, fill in ((f"flink-{FLINK_VERSION}", _fetch_flink), (f"beam-{BEAM_VERSION}", _fetch_beam)):
        if (cache / folder).is_dir():
            continue
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as temporary:
            whole = Path(temporary) / folder
            whole.mkdir()
            fill(whole, maven)
            try:
                os.replace(whole, cache / folder)
            except OSError:
                if not (cache / folder).is_dir():  # else another fetch was faster
                    raise
        print(f"{cache / folder}: fetched")


def pinned_jars() -> dict[str, str]:
    """The SHA-256 of every jar of Beam's runner, by its path in a Maven repository."""
    lines = (line.split() for line in JARS.read_text().splitlines())
    return {path: sha256 for sha256, path in lines}


def _fetched(folder: Path, cache: Path) -> Path:
    if not folder.is_dir():
        raise FetchError(
            f"{folder}: absent; run first: python {Path(__file__).with_name('cluster.py')} fetch --cache {cache}"
        )
    return folder


def _fetch_flink(folder: Path, _: str) -> None:
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder.parent) as temporary:
        wanted = Path(temporary) / "flink.txt"
        wanted.write_text(f"apache-flink-libraries=={FLINK_VERSION} --hash=sha256:{FLINK_SHA256}\n")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary=apache-flink-libraries",
        ]
        done = subprocess.run(
            [*command, "--require-hashes", "-r", str(wanted), "-d", temporary],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = list(Path(temporary).glob("*.tar.gz"))
        if done.returncode or len(found) != 1:
            raise FetchError(f"apache-flink-libraries {FLINK_VERSION}: pip could not fetch it: {done.stderr.strip()}")
        with tarfile.open(found[0]) as archive:
            archive.extractall(temporary, filter="data")
        (distribution,) = Path(temporary).glob("*/deps")
        for part in ("lib", "bin"):
            os.replace(distribution / part, folder / part)


def _fetch_beam(folder: Path, maven: str) -> None:
    for path, sha256 in pinned_jars().items():
        content = _download(f"{maven.rstrip('/')}/{path}")
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise FetchError(f"{path}: has the SHA-256 {found}, expected {sha256}")
        (folder / path.rsplit("/", 1)[-1]).write_bytes(content)


def _download(url: str) -> bytes:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
                return bytes(response.read())
        except (OSError, http.client.HTTPException) as error:  # also an answer that is cut off
            if attempt == _ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                raise FetchError(f"{url}: {error}") from error
    raise AssertionError("unreachable")
