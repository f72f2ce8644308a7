"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before any test imports TensorFlow: quiet, no accelerator probing, and few threads, since test processes run side by
# side.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real films and weights beside the project; tests that use it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data (real films and weights, not part of the product)")
    return SHARED
