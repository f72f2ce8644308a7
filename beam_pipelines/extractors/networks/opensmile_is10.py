"""Sound features of the paper's baseline: openSMILE's INTERSPEECH 2010 paralinguistic set, 1,582 values for 5 s.

openSMILE's licence allows research only: it forbids use in products, also of features extracted with it. So it is an
optional extra (`pip install 'cineaffect[opensmile]'`). The set is the package's `IS10_paraling_compat`. Its numbers are
those of the challenge, except jitter and shimmer, whose errors it corrects. It is not the organisers' emobase2010,
although that has 1,582 values too.

openSMILE 2.6 crashes in a process that has loaded TensorFlow, so it runs in a child process (`opensmile_child`).
"""

from __future__ import annotations

import logging
import os
import select
import struct
import subprocess
import sys
import time
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import ConfigurationError, FilmError

MODALITY = "opensmile_is10"
DIMENSIONS = 1582
RATE_HZ = 16_000
WINDOW_S = 5
WINDOW_SAMPLES = WINDOW_S * RATE_HZ
LICENCE_NOTE = (
    "openSMILE is used. Its licence is for research only: neither it nor features extracted with it may be used "
    "in a product (audEERING Research License Agreement)"
)

_LOG = logging.getLogger(__name__)
_WINDOWS_A_MESSAGE = 16
# A window takes 0.1 s; a busy machine may take a hundred times that.
_DEADLINE_S = 300.0
_COUNT = struct.Struct("<I")


def check_installed() -> None:
    """Checks that openSMILE is installed.

    Raises:
        ConfigurationError: if it isn't; the text says how to install it, and names its licence.
    """
    if util.find_spec("opensmile") is None:
        raise ConfigurationError(
            f"{MODALITY} needs the package opensmile: run pip install 'cineaffect[opensmile]', if its licence "
            "(research only, no use in products, also of the features) allows what you do; else leave it out"
        )


class OpenSmileIS10:
    """The INTERSPEECH 2010 set over windows of 5 s, computed by a child process that lives until `close`.

    Args:
        deadline_s: how many seconds the child may take for sixteen windows before it counts as hung.

    Raises:
        ConfigurationError: if the package is absent, or holds another set than the known one.
    """

    modality = MODALITY
    dimensions = DIMENSIONS

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        check_installed()
        self._deadline_s = deadline_s
        self._until_s = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The features of n windows: float32 [n, 80000], mono, 16 kHz, in [-1, 1] -> float32 [n, 1582].

        Raises:
            FilmError: step `opensmile`, reason `crashed`, `timeout` or `refused`; the next call starts a new child.
        """
        if samples.ndim != 2 or samples.shape[1] != WINDOW_SAMPLES:
            raise ValueError(f"sound of shape {list(samples.shape)}: wanted [n, {WINDOW_SAMPLES}] at {RATE_HZ} Hz")
        rows = np.zeros((len(samples), DIMENSIONS), np.float32)
        for first in range(0, len(samples), _WINDOWS_A_MESSAGE):
            windows = np.ascontiguousarray(samples[first : first + _WINDOWS_A_MESSAGE], "<f4")
            rows[first : first + len(windows)] = self._ask(windows)
        return rows

    def close(self) -> None:
        """Ends the child; a later call starts a new one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _ask(self, windows: np.ndarray) -> np.ndarray:
        child = self._child = self._child or _start()
        self._until_s = time.monotonic() + self._deadline_s
        self._send(child, memoryview(_COUNT.pack(len(windows)) + windows.tobytes()))
        found = self._receive(child, _COUNT.size)
        if _COUNT.unpack(found)[0] != len(windows):
            self.close()
            raise FilmError("opensmile", "refused", "openSMILE found no values for this sound")
        return np.frombuffer(self._receive(child, 4 * DIMENSIONS * len(windows)), "<f4").reshape(-1, DIMENSIONS)

    def _receive(self, child: subprocess.Popen[bytes], size_bytes: int) -> bytes:
        assert child.stdout is not None
        pipe, parts = child.stdout.fileno(), b""
        while len(parts) < size_bytes:
            self._wait(pipe, select.POLLIN)
            part = os.read(pipe, size_bytes - len(parts))
            if not part:
                raise self._failed(child)
            parts += part
        return parts

    def _send(self, child: subprocess.Popen[bytes], content: memoryview) -> None:
        assert child.stdin is not None
        pipe = child.stdin.fileno()
        # A pipe holds less than a message; a child that no longer reads must not block this process.
        os.set_blocking(pipe, False)
        while content:
            self._wait(pipe, select.POLLOUT)
            try:
                content = content[os.write(pipe, content) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._failed(child) from None

    def _wait(self, pipe: int, event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, self._until_s - time.monotonic()) * 1000):
            self.close()
            raise FilmError("opensmile", "timeout", f"no answer within {self._deadline_s:g} s")

    def _failed(self, child: subprocess.Popen[bytes]) -> Exception:
        self._child = None
        child.communicate()
        if child.returncode == EXIT_OTHER_SET:
            return ConfigurationError(
                f"{MODALITY}: opensmile {metadata.version('opensmile')} doesn't give {DIMENSIONS} values; install 2.6"
            )
        return FilmError("opensmile", "crashed", f"its process ended with code {child.returncode}")

    @staticmethod
    def describe() -> dict[str, Any]:
        """All that determines the vectors, for fingerprints. The licence is written to the log.

        Raises:
            ConfigurationError: if the package is absent.
        """
        check_installed()
        _LOG.warning(LICENCE_NOTE)
        return {
            "network": "opensmile_is10_paraling_compat",
            "weights": f"opensmile-{metadata.version('opensmile')}",
            "preprocessing": "16khz_mono_5s_centred_zero_padded",
            "precision": "float32",
        }


EXIT_OTHER_SET = 70


def _start() -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "beam_pipelines.extractors.networks.opensmile_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
