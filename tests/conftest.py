"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcs_emulator import GcsEmulator, running_emulator

# Before any test imports TensorFlow: quiet, no accelerator probing, and one thread within an operation, as workers have
# it: test processes run side by side, and by the kernels of an AVX2 machine last bits depend on the number of threads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real films and weights beside the project; tests that use it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data (real films and weights, not part of the product)")
    return SHARED


@pytest.fixture(scope="module")
def emulator() -> Iterator[GcsEmulator]:
    """A storage emulator with the empty bucket `bucket`, which `gs://` leads to for the tests of a file."""
    with running_emulator() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", running.url)
        running.make_bucket("bucket")
        yield running
