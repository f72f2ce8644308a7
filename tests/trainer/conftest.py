"""Fixtures of the trainer's tests."""

from __future__ import annotations

import pytest

from tests.support.synthetic_films import DataSet, make_data_set


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Eight small synthetic films with labels and a real transform; see `synthetic_films`."""
    return make_data_set(tmp_path_factory.mktemp("dataset"))
