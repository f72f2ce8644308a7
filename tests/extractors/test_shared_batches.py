"""Batches of several films: each film's vectors are those it has alone to 1e-5, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest

from beam_pipelines.extractors.batching.film_rows import OwnBatches
from beam_pipelines.extractors.batching.shared_batches import FilmsAtWork, SharedBatches
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from beam_pipelines.foundation.errors import FilmError, NotFiniteError

BATCH = 4
NEVER_S = 3600.0
"""How long rows wait in tests in which they must not have to; a test that does wait fails by `DEADLINE_S`."""

DEADLINE_S = 120.0


class Doubling:
    """A network that doubles its rows and notes those that are not zero; a batch with the row 13 is refused."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        assert len(rows) == BATCH
        self.batches.append(rows[rows != 0].tolist())
        if 13 in rows:
            raise ArithmeticError("thirteen")
        return 2 * rows


def shared(network: Callable[[np.ndarray], np.ndarray], wait_s: float) -> tuple[SharedBatches, FilmsAtWork]:
    films = FilmsAtWork()
    return SharedBatches(network, BATCH, films, wait_s), films


def row(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def test_films_together_give_the_vectors_of_each_alone(untrained_audio: VGGishAudio) -> None:
    generator = np.random.default_rng(21)
    films = [generator.uniform(-1, 1, (n, 15_360)).astype(np.float32) for n in (1, 3, 4, 6, 9)]
    given: list[int] = []

    def network(sounds: np.ndarray) -> np.ndarray:
        given.append(int(np.any(sounds != 0, axis=1).sum()))
        return untrained_audio(sounds)

    batches, at_work = shared(network, NEVER_S)
    all_are_there = threading.Barrier(len(films), timeout=DEADLINE_S)

    def vectors(sounds: np.ndarray) -> np.ndarray:
        with at_work.film():
            all_are_there.wait()
            rows = batches.rows(untrained_audio.dimensions)
            for sound in sounds:
                rows.add(sound)
            return rows.vectors()

    with ThreadPoolExecutor(len(films)) as threads:
        together = [task.result(DEADLINE_S) for task in [threads.submit(vectors, film) for film in films]]
    for film, found in zip(films, together, strict=True):
        np.testing.assert_allclose(found, untrained_audio(film), rtol=0, atol=1e-5)
    assert sorted(given) == [3, 4, 4, 4, 4, 4], "23 rows fill five batches and most of a sixth"
    own = OwnBatches(untrained_audio, untrained_audio.dimensions, BATCH)
    for sound in films[3]:
        own.add(sound)
    np.testing.assert_allclose(own.vectors(), together[3], rtol=0, atol=1e-5)


def test_a_film_alone_does_not_wait() -> None:
    network = Doubling()
    batches, at_work = shared(network, NEVER_S)

    def film() -> np.ndarray:
        with at_work.film():
            rows = batches.rows(1)
            for value in range(1, 7):
                rows.add(row(value))
            return rows.vectors()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(film).result(DEADLINE_S).ravel().tolist() == [2, 4, 6, 8, 10, 12]
    assert network.batches == [[1, 2, 3, 4], [5, 6]]
    assert batches.rows(7).vectors().shape == (0, 7)


@pytest.mark.parametrize("network", [pytest.param("untrained_image", marks=pytest.mark.slow), "untrained_face"])
def test_a_row_has_the_same_vector_at_all_places(network: str, request: pytest.FixtureRequest) -> None:
    untrained = request.getfixturevalue(network)
    size_px = untrained.image_size_px
    pictures = np.random.default_rng(22).integers(0, 256, (BATCH, size_px, size_px, 3), np.uint8)
    found = []
    for first in range(BATCH):
        rows = SharedBatches(untrained, BATCH, FilmsAtWork(), NEVER_S).rows(untrained.dimensions)
        for number in range(BATCH):
            rows.add(pictures[(first + number) % BATCH])
        found.append(np.roll(rows.vectors(), first, axis=0))
    for vectors in found[1:]:
        np.testing.assert_allclose(vectors, found[0], rtol=0, atol=1e-5)


def test_an_error_reaches_those_in_the_batch_and_no_one_else() -> None:
    batches, at_work = shared(Doubling(), NEVER_S)
    before, beside, after = (batches.rows(1) for _ in range(3))
    for value in range(4):
        before.add(row(value))
    beside.add(row(5))
    waiting: Future[np.ndarray] = Future()

    def culprit() -> None:
        rows = batches.rows(1)
        for value in (6, 13, 7):
            rows.add(row(value))

    def neighbour() -> np.ndarray:
        with at_work.film():
            waiting.set_running_or_notify_cancel()
            return beside.vectors()

    with at_work.film(), ThreadPoolExecutor(2) as threads:
        waits = threads.submit(neighbour)
        with pytest.raises(ArithmeticError, match="thirteen"):
            threads.submit(culprit).result(DEADLINE_S)
        with pytest.raises(ArithmeticError, match="thirteen"):
            waits.result(DEADLINE_S)
    with pytest.raises(ArithmeticError, match="thirteen"):
        beside.add(row(1))
    after.add(row(8))
    assert after.vectors().tolist() == [[16]]
    assert before.vectors().ravel().tolist() == [0, 2, 4, 6]


def test_only_the_film_at_fault_fails_when_a_shared_batch_is_not_finite() -> None:
    given: list[list[float]] = []

    def network(rows: np.ndarray) -> np.ndarray:
        given.append(rows.ravel().tolist())
        with np.errstate(divide="ignore", invalid="ignore"):
            vectors = 1 / (rows - 13) / np.abs(rows)  # infinite for the row 13, and for the zeros that fill a batch
        if not np.isfinite(vectors).all():
            raise NotFiniteError("not finite")
        return vectors

    batches, at_work = shared(network, NEVER_S)
    culprit, good = batches.rows(1), batches.rows(1)
    with at_work.film():
        good.add(row(1))
        culprit.add(row(13))
        culprit.add(row(2))
        good.add(row(12))  # runs the batch, for both
        assert given == [[1, 13, 2, 12], [1, 1, 1, 12], [13, 13, 2, 13]], "rows keep their places"
        with pytest.raises(NotFiniteError, match="not finite"):
            culprit.add(row(3))
        with pytest.raises(NotFiniteError, match="not finite"):
            culprit.vectors()
        good.add(row(14))  # and its last batch is part-filled
        np.testing.assert_allclose(good.vectors().ravel(), [-1 / 12, -1 / 12, 1 / 14])


def test_a_film_that_fails_is_not_waited_for() -> None:
    network = Doubling()
    batches, at_work = shared(network, NEVER_S)
    both = threading.Barrier(2, timeout=DEADLINE_S)

    def failing() -> None:
        with at_work.film():
            both.wait()
            batches.rows(1).add(row(1))
            raise FilmError("decode", "damaged", "in the middle of it")

    def waiting() -> np.ndarray:
        with at_work.film():
            both.wait()
            rows = batches.rows(1)
            rows.add(row(2))
            return rows.vectors()

    with ThreadPoolExecutor(2) as threads:
        fails, waits = threads.submit(failing), threads.submit(waiting)
        assert waits.result(DEADLINE_S).tolist() == [[4]]
        with pytest.raises(FilmError, match="in the middle"):
            fails.result(DEADLINE_S)
    # What the failed film has left in the open batch shares the next one, and is dropped.
    rows = batches.rows(1)
    for value in range(3, 6):
        rows.add(row(value))
    assert rows.vectors().ravel().tolist() == [6, 8, 10]
    assert sorted(chain.from_iterable(network.batches)) == [1, 2, 3, 4, 5]


def test_a_film_that_hands_in_nothing_is_waited_for_only_so_long() -> None:
    batches, at_work = shared(Doubling(), 0.05)

    def waiting() -> np.ndarray:
        with at_work.film():
            rows = batches.rows(1)
            rows.add(row(3))
            return rows.vectors()

    with at_work.film(), ThreadPoolExecutor(1) as threads:
        assert threads.submit(waiting).result(DEADLINE_S).tolist() == [[6]]


@pytest.mark.parametrize("wait_s", [0.0, 0.002, NEVER_S])
def test_many_films_of_every_length_all_come_to_an_end(wait_s: float) -> None:
    """Two networks, one after the other as a film's pictures and sounds are; some films fail on their way."""
    films = FilmsAtWork()
    pictures, sounds = (SharedBatches(Doubling(), BATCH, films, wait_s) for _ in range(2))
    lengths = np.random.default_rng(4).integers(0, 11, 120).tolist()

    def film(number: int, length: int) -> bool:
        with films.film():
            rows = [batches.rows(1) for batches in (pictures, sounds)]
            for batch in rows:
                for value in range(length):
                    if number % 7 == 0 and value == 5:
                        return False
                    batch.add(row(100 * number + value + 20))
            expected = [2 * (100 * number + value + 20) for value in range(length)]
            assert all(batch.vectors().ravel().tolist() == expected for batch in rows)
            return True

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(film, number, length) for number, length in enumerate(lengths)]
        done = [task.result(DEADLINE_S) for task in tasks]
    assert done == [number % 7 != 0 or length <= 5 for number, length in enumerate(lengths)]
    assert (films.at_work, films.waiting) == (0, 0)


def test_films_share_on_a_gpu_and_batches_are_larger_there() -> None:
    config = ExtractConfig.model_validate({"image": {"weights": "untrained"}, "face": {"batch_size": 8}})
    cpu, gpu = Networks(config, gpu=False), Networks(config, gpu=True)
    assert [cpu.batch_size(m) for m in ("image", "vgg16", "audio", "face")] == [4, 16, 16, 8]
    assert [gpu.batch_size(m) for m in ("image", "vgg16", "audio", "face")] == [64, 64, 64, 8]
    assert isinstance(cpu.rows("image"), OwnBatches)
    assert not isinstance(gpu.rows("image"), OwnBatches)


def test_several_threads_build_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(*given: object) -> str:
        built.append(threading.current_thread().name)
        return "network"

    monkeypatch.setattr(Networks, "_build", build)
    networks, together = Networks(ExtractConfig(), gpu=False), threading.Barrier(4, timeout=DEADLINE_S)

    def image() -> object:
        together.wait()
        return networks.network("image")

    with ThreadPoolExecutor(4) as threads:
        assert {task.result(DEADLINE_S) for task in [threads.submit(image) for _ in range(4)]} == {"network"}
    assert len(built) == 1
