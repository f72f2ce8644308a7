"""Windows gathered on the device equal windows cut out film by film, and data order follows from seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, strategies as st

from tests.support.hypothesis_profiles import examples
from trainer.data.contiguous_rows import stack_rows
from trainer.data.windows import epoch_batches, gather_windows, stack_films, window_ends


@dataclass(frozen=True, eq=False)
class Rows:
    film_id: str
    features: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    labels: np.ndarray
    known: np.ndarray


def make_films(lengths: list[int]) -> list[Rows]:
    generator = np.random.default_rng(sum(lengths))
    films = []
    for index, seconds in enumerate(lengths):
        features = {"face": generator.normal(size=(seconds, 4)).astype(np.float32)}
        present = {"face": generator.integers(0, 2, (seconds, 2)).astype(np.float32)}
        labels = generator.uniform(-1, 1, (seconds, 2)).astype(np.float32)
        films.append(Rows(f"film{index}", features, present, labels, generator.uniform(size=seconds) < 0.8))
    return films


def cut_window(rows: np.ndarray, end: int, window_s: int, after: int) -> np.ndarray:
    zeros = np.zeros((window_s + after, rows.shape[1]), np.float32)
    return np.concatenate([zeros, rows, zeros])[end + after + 1 : end + 1 + window_s + 2 * after]


@examples(20)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 15), st.integers(0, 9))
def test_gathered_windows_equal_cut_windows(lengths: list[int], window_s: int, after: int) -> None:
    films = make_films(lengths)
    table = stack_films(films)
    ends = np.arange(sum(lengths), dtype=np.int32)
    starts, stops = table.row_start.numpy(), table.row_stop.numpy()
    for key, track in (("face", "features"), ("face_present", "present")):
        windows = gather_windows(table.rows[key], ends, starts, stops, window_s - 1, after).numpy()
        expected = [
            cut_window(getattr(film, track)["face"], second, window_s, after)
            for film in films
            for second in range(len(film.known))
        ]
        np.testing.assert_array_equal(windows, np.stack(expected))


def test_films_keep_their_rows() -> None:
    films = make_films([3, 7, 1])
    table = stack_films(films)
    assert table.spans == {"film0": (0, 3), "film1": (3, 10), "film2": (10, 11)}
    for film in films:
        np.testing.assert_array_equal(table.film(film.film_id)["face"], film.features["face"])
        first, stop = table.spans[film.film_id]
        np.testing.assert_array_equal(table.labels[first:stop], film.labels)


def test_only_labelled_seconds_end_windows_and_strides_take_turns() -> None:
    films = make_films([30, 23])
    table = stack_films(films)
    np.testing.assert_array_equal(window_ends(table, 1, epoch=5), np.flatnonzero(table.known))
    parts = [window_ends(table, 4, epoch) for epoch in range(4)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(table.known))
    np.testing.assert_array_equal(parts[0], window_ends(table, 4, epoch=4))
    assert all((end - (0 if end < 30 else 30)) % 4 == 1 for end in parts[1])


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_holds_every_window_once(windows: int, batch_size: int, seed: int, epoch: int) -> None:
    ends = np.arange(5, 5 + windows, dtype=np.int32)
    batches = epoch_batches(ends, batch_size, seed, epoch)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == -(-windows // batch_size)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), ends)
    again = epoch_batches(ends, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_order_differs_between_epochs_and_seeds() -> None:
    ends = np.arange(200, dtype=np.int32)
    orders = [np.concatenate(epoch_batches(ends, 64, seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(order) for order in orders}) == 3


def test_films_in_one_piece_of_memory_are_not_copied() -> None:
    films = make_films([30, 1, 23])
    shared = stack_rows([film.features["face"] for film in films])
    in_one = [replace(film, features={"face": view}) for film, view in zip(films, shared, strict=True)]
    table, expected = stack_films(in_one), stack_films(films)
    np.testing.assert_array_equal(table.rows["face"], expected.rows["face"])
    rows = np.asarray(memoryview(table.rows["face"]))
    assert all(np.shares_memory(rows, view) for view in shared)
    # Other films, or another order, are no such piece, and come out right all the same.
    for chosen in ([0, 1], [1, 0, 2], [0, 2]):
        some = [in_one[index] for index in chosen]
        np.testing.assert_array_equal(
            stack_films(some).rows["face"], stack_films([films[index] for index in chosen]).rows["face"]
        )
