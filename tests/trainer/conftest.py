"""Fixtures of the trainer's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bare_process import BareProcess
from tests.support.commands_in_process import commands_in_this_process
from tests.support.synthetic_films import DataSet, make_data_set
from tests.support.trained_run import train_small


@pytest.fixture(scope="session")
def dataset(made_once: Callable[..., Path]) -> DataSet:
    """Eight small synthetic films with labels and a real transform; see `synthetic_films`."""
    return DataSet(made_once("dataset", make_data_set))


@pytest.fixture(scope="session")
def trained(dataset: DataSet, made_once: Callable[..., Path]) -> Path:
    """The output of one `cineaffect train` on `dataset`; see `trained_run`."""
    return made_once("trained", lambda output: train_small(dataset, output))


@pytest.fixture(scope="session")
def bare() -> Iterator[BareProcess]:
    """One process without Keras and this project, for all exports that a test process has looked at there."""
    with BareProcess() as process:
        yield process


@pytest.fixture
def here() -> Iterator[None]:
    """Commands that the test's commands start run in the test's process; not those of the next test, as it may kill."""
    with commands_in_this_process():
        yield


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Functions run without a graph of their own, for a test whose network is asked once: tracing takes a second."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
