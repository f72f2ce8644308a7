"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gcs_emulator import GcsEmulator, running_emulator

pytest_plugins = ["tests.support.hypothesis_profiles"]

# Before any test imports TensorFlow: quiet, no accelerator probing, and one thread within an operation, as workers have
# it: test processes run side by side, and by the kernels of an AVX2 machine last bits depend on the number of threads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# Test files in the order in which they are begun, the heaviest first: begun last, one of them would be what a run waits
# for while the other processes have nothing to do. All others follow in the order of their names.
HEAVIEST = (
    "test_docs",
    "test_flink",
    "test_retrain",
    "test_extract",
    "test_task",
    "test_model",
    "test_local_runners",
    "test_distribution",
    "test_tune",
    "test_export",
    "test_score",
    "test_reproduce",
    "test_export_encoders",
    "test_extract_segments",
)

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the heaviest files first; those of one file stay together and in their order."""
    places = {name: place for place, name in enumerate(HEAVIEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


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
