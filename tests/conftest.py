"""Fixtures that several test files share."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.support.beam_shortcuts import take_shortcuts
from tests.support.commands_in_process import commands_in_this_process
from tests.support.gcs_emulator import GcsEmulator, running_emulator
from tests.support.kept_networks import drop_networks, kept_networks

pytest_plugins = ["tests.support.hypothesis_profiles", "tests.support.browser_pages", "tests.support.peak_memory"]

# Before any test imports TensorFlow: quiet, no accelerator probing, and one thread within an operation, as workers have
# it: test processes run side by side, and by the kernels of an AVX2 machine last bits depend on the number of threads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Else TensorFlow keeps the memory of the most and largest tensors that it has ever had: 0.6 GB after one VGGish.
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

# With its own thresholds Python looks through all objects so often here that it takes a twelfth of the time. Graphs and
# networks that only it can free are collected by `memory_given_back`: by what they hold, not by how many were made.
gc.set_threshold(100_000, 50, 100)

# Test files in the order in which they are begun, the heaviest first: begun last, one of them would be what a run waits
# for while the other processes have nothing to do. All others follow in the order of their names, those of the rooms
# with the costliest files before the rest.
HEAVIEST = (
    "test_readme",
    "test_flink",
    "test_local_runners",
    "test_retrain",
    "test_tune",
    "test_reproduce",
    # Each process takes two files at the start; this one shall not follow test_readme, which leaves a large process.
    "test_extract_determinism",
    "test_ensemble",
    "test_extract_real_clips",
    "test_distribution",
    "test_strategy_command",
    # These six aren't heavy: they build the largest networks, which should happen while their process is small.
    "test_untrained_networks",
    "test_baseline_tracks",
    "test_vggish",
    "test_score_films",
    "test_own_films",
    "test_shared_batches",
    "test_repeat_the_paper",
    "test_own_labels",
    "test_compare",
    "test_extract_segments",
    "test_backends",
    "test_retrain_gcs",
    "test_extract",
    "test_odd_films",
    "test_task",
    "test_train",
    "test_model",
    "test_structured_log",
    "test_reproduce_films",
    "test_step",
    "test_train_gcs",
    "test_score",
    "test_ridge_run",
    "test_score_table",
    "test_import_features",
    "test_decode_plan",
    "test_report_plots",
    "test_films_together",
    "test_score_real_model",
    "test_report_film",
    "test_ratings",
    "test_prepare",
    "test_audio_windows",
)
COSTLY_ROOMS = ("trainer", "jobs", "report")

# These begin where the first of them does, in the same test process: they share a bare one, which takes 5 s to start.
WITH_A_BARE_PROCESS = ("test_ensemble", "test_export", "test_export_encoders", "test_serving")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the heaviest files first; those of one file stay together and in their order."""
    places = {name: place for place, name in enumerate(HEAVIEST)}
    rooms = {Path(__file__).parent / name for name in COSTLY_ROOMS}
    items.sort(key=lambda item: (places.get(item.path.stem, len(places)), rooms.isdisjoint(item.path.parents)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each test process whole files, or the files that share a bare process."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "with a bare process" if Path(file).stem in WITH_A_BARE_PROCESS else file

    return Scheduling(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leaves what has been imported out of every later collection of garbage, which takes a tenth of the time then."""
    if "apache_beam" in sys.modules:
        take_shortcuts()
    if "tensorflow" in sys.modules and session.config.option.markexpr == "not slow":
        run_graphs_as_traced()
    gc.collect()
    gc.freeze()


def run_graphs_as_traced() -> None:
    """Without TensorFlow's optimiser, which takes half the time of a function's first call.

    Only where the quick tests run alone: the others compare bits with processes that have it, as users have.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


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


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`made_once(name, make)`: a folder that `make(folder)` fills once a session, for all test processes.

    The others wait for it. Nobody may change what lies there: a test that wants to works on a copy.
    """
    root = tmp_path_factory.getbasetemp()
    # With pytest-xdist each test process has a folder of its own below that of the session.
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "made-once"
    root.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done, failed = (root / name, *(root / f"{name}.{end}" for end in ("done", "failed")))
        with FileLock(root / f"{name}.lock"):
            if failed.exists():
                pytest.fail(f"{name} could not be made; the first test that asked for it says why", pytrace=False)
            if not done.exists():
                failed.touch()
                folder.mkdir()
                try:
                    make(folder)
                except pytest.skip.Exception:
                    shutil.rmtree(folder)
                    failed.unlink()
                    raise
                failed.rename(done)
        return folder

    return once


@pytest.fixture(scope="module")
def commands_in_process() -> Iterator[list[list[str]]]:
    """Commands that the product starts as processes run in this one; the list of them. See `commands_in_process`."""
    with commands_in_this_process() as started:
        yield started


@pytest.fixture(scope="module")
def networks_kept() -> Iterator[None]:
    """Jobs of this process share the networks that they build. See `kept_networks`."""
    with kept_networks():
        yield


@pytest.fixture(autouse=True)
def memory_given_back() -> Iterator[None]:
    """After tests that left 200 MB behind, networks that nobody has any more are freed; on Linux only.

    Networks that wait for Python's collector, which comes rarely where many objects are alive, made a test process grow
    to 6.5 GB; and of what is freed, the C library keeps much for itself until it is told to give it back. Collecting
    after every longer test took a tenth of all time.
    """
    yield
    if sys.platform == "linux" and resident_mb() > _kept_mb[-1] + 200:
        give_back()
        _kept_mb.append(resident_mb())


@pytest.fixture(scope="module", autouse=True)
def networks_let_go() -> Iterator[None]:
    """After a file, a large process lets its kept networks go, and what the file's own fixtures held till now."""
    before = resident_mb() if sys.platform == "linux" else 0.0
    yield
    if sys.platform == "linux" and resident_mb() > LARGE_MB and (drop_networks() or resident_mb() > before + 200):
        give_back()
        _kept_mb.append(resident_mb())


_kept_mb = [0.0]
"""What this process held after each collection."""
LARGE_MB = 1700.0
"""Building the largest network, VGGish, takes 0.8 GB more for a moment, and no process may have more than 3."""


def give_back() -> None:
    """Frees what nobody has any more."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident_mb() -> float:
    """The memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
