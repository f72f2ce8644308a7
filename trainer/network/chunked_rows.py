"""Rows of whole films, processed in blocks of a fixed size.

    rows of a film       0   1   2   3   4           window = 3
    window of row 1      .   0   1                   . is the zero row: positions outside the film
    window of row 4          2   3   4

Every encoder computes the state of the window that ends at each row, for a block of rows at a time, whatever the number
of films and rows. With a fixed block the shapes of all products are fixed too, so a film's states don't depend on other
films in the call. `block` is a number or a scalar tensor everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

ROW_BLOCK = 256
"""Rows that `encode_rows` advances at a time on a processor, so that a step's data stay in a core's cache."""


def rows_to_whole_blocks(rows: Any, block: Any = ROW_BLOCK) -> Any:
    """The number of rows that fill the last block after `rows` rows, an int or a tensor; at least one block is used."""
    return ops.maximum((rows + block - 1) // block, 1) * block - rows


def film_stops(row_start: Any) -> Any:
    """The row after the last of each row's film, int32 [R], from its first row, int32 [R], not falling."""
    return ops.cast(ops.searchsorted(row_start, row_start, side="right"), "int32")


def map_row_blocks(encode_block: Callable[..., Any], row_start: Any, ends: Any, block: Any = ROW_BLOCK) -> Any:
    """Runs a function over some rows, one block after another.

    Args:
        encode_block: (rows, and for each the first row of its film and the row after its last, int32 [block] each) ->
            float [block, size].
        row_start: int32 [R], not falling; for each row, the first row of its film.
        ends: int32 [N], N a multiple of `block`: the rows to compute.
        block: rows at a time.

    Returns:
        float [N, size].
    """
    bounds = (ends, ops.take(row_start, ends), ops.take(film_stops(row_start), ends))
    blocks = tuple(ops.reshape(ops.cast(each, "int32"), (-1, block)) for each in bounds)
    states = ops.map(lambda each: encode_block(*each), blocks)
    return ops.reshape(states, (-1, states.shape[-1]))


def by_row_blocks(function: Callable[[Any], Any], x: Any, block: Any = ROW_BLOCK) -> Any:
    """Applies a function of rows block by block: float [R, D], R a multiple of `block` -> float [R, size].

    A product of all rows at once is divided among threads by the number of rows, so its last bits would depend on other
    films in the call.
    """
    blocks = ops.map(function, ops.reshape(x, (-1, block, x.shape[-1])))
    return ops.reshape(blocks, (-1, blocks.shape[-1]))


def multiply_by_row_blocks(x: Any, kernel: Any, block: Any = ROW_BLOCK) -> Any:
    """The product of rows and a kernel, float [R, D] and [D, size] -> float [R, size], computed by `by_row_blocks`."""
    kernel = ops.convert_to_tensor(kernel)
    return by_row_blocks(lambda rows: ops.matmul(rows, kernel), x, block)


def checked_rows(rows: tf.Tensor, expected: tf.Tensor, key: str) -> tf.Tensor:
    """The unchanged rows of `key`; when the graph runs, their number must be the expected one."""
    check = tf.debugging.assert_equal(tf.shape(rows)[0], expected, f"{key} must have one row a second, as the others")
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(rows)
