"""Films in one call, and single seconds of them: each film has the bits that it has alone, with any network."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.contracts.records.records import slots_of
from tests.support import numpy_reference as reference
from trainer.data.transform import RowTransform
from trainer.exporting.export import NetworksModule
from trainer.foundation.config import ModelConfig
from trainer.network.chunked_rows import ROW_BLOCK, map_row_blocks
from trainer.network.model import build_model

RAW = {"image": 512, "audio": 128, "face": 64}
COMPONENTS = 48
WIDE = {"image": 2048}
WIDE_COMPONENTS = 1024
"""Of so many the last bits of a product depend on how many rows it has, from two rows up."""

LENGTHS = [60, 1, 31, ROW_BLOCK, 300, 17, ROW_BLOCK - 1, 60, 2]
POPULATION = {"batch_normalization": True, "batch_statistics_at_inference": "population"}
NETWORKS: dict[str, dict[str, Any]] = {
    "GRU": {"encoder": {"units": 64}, "batch_normalization": True, "batch_statistics_at_inference": "film"},
    "LSTM, two layers": {"encoder": {"kind": "lstm", "units": 16, "layers": 2, "states": "all"}},
    "both sides": {"encoder": {"units": 16, "bidirectional": True}, "lookahead_s": 12, **POPULATION},
    "TCN": {"encoder": {"kind": "tcn", "filters": 16, "filters_step": 8, "kernel_s": 5}},
}


class Components(tf.Module):
    """A transform graph as `prepare` makes it: normalisation, and a projection of the image on components."""

    def __init__(self, raw: Mapping[str, int] = RAW, components: int = COMPONENTS) -> None:
        super().__init__()
        basis = np.random.default_rng(0).normal(0, 0.05, (raw["image"], components))
        self.basis = tf.Variable(basis, dtype=tf.float32)
        sizes = {**raw, **{f"{modality}_present": slots_of(modality) for modality in raw}}
        self.transform_fn = tf.function(self._transform, autograph=False).get_concrete_function(
            {key: tf.TensorSpec((None, size), tf.float32, name=key) for key, size in sizes.items()}
        )

    def _transform(self, rows: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        scaled = {key: values if key.endswith("_present") else (values - 3.0) / 2.0 for key, values in rows.items()}
        return {**scaled, "image": tf.matmul(scaled["image"], self.basis)}


@dataclass(frozen=True)
class Exported:
    """A network as it is exported and loaded again: its signatures take any number of rows without a new trace."""

    config: ModelConfig
    signatures: Mapping[str, Callable[..., dict[str, tf.Tensor]]]
    block: tf.Variable


def export(config: ModelConfig, transform: Components, dimensions: Mapping[str, int], folder: Path) -> Exported:
    model = build_model(config, dimensions, 1)
    reference.scatter_weights(model, 1)
    NetworksModule([model], [RowTransform(transform)], (-1.0, 1.0)).save(str(folder))
    loaded = tf.saved_model.load(str(folder))
    return Exported(config, loaded.signatures, loaded.row_block)


@pytest.fixture(
    scope="module", params=[name if name == "GRU" else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    config = ModelConfig.model_validate({"window_s": 10, **NETWORKS[request.param]})
    return export(config, Components(), {**RAW, "image": COMPONENTS}, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def films() -> list[dict[str, np.ndarray]]:
    return make_films(LENGTHS, RAW)


def make_films(lengths: Sequence[int], raw: Mapping[str, int]) -> list[dict[str, np.ndarray]]:
    generator, made = np.random.default_rng(5), []
    for seconds in lengths:
        film = {m: generator.normal(3.0, 2.0, (seconds, size)).astype(np.float32) for m, size in raw.items()}
        present = {f"{m}_present": generator.uniform(size=(seconds, slots_of(m))) < 0.8 for m in raw}
        made.append({**film, **{key: flags.astype(np.float32) for key, flags in present.items()}})
    return made


def together(exported: Exported, films: list[dict[str, np.ndarray]], stride_s: int | None = None) -> list[np.ndarray]:
    """Each film's [2, T], or [2, N] with a stride, from one call."""
    splits = np.cumsum([0, *(len(film["image"]) for film in films)])
    rows = {key: tf.constant(np.concatenate([film[key] for film in films])) for key in films[0]}
    if stride_s is None:
        answer = exported.signatures["films"](row_splits=tf.constant(splits, tf.int64), **rows)
        stops = splits[1:-1]
    else:
        chosen = [np.arange(first, stop, stride_s) for first, stop in itertools.pairwise(splits)]
        answer = exported.signatures["films_at"](
            row_splits=tf.constant(splits, tf.int64), rows=tf.constant(np.concatenate(chosen), tf.int64), **rows
        )
        answer = {target: values[0] for target, values in answer.items()}
        stops = np.cumsum([len(seconds) for seconds in chosen])[:-1]
    return np.split(np.stack([answer["valence"].numpy(), answer["arousal"].numpy()]), stops, axis=1)


@pytest.mark.parametrize("stride_s", [None, 1, 4], ids=["films", "every second", "every fourth"])
def test_a_film_is_bit_for_bit_what_it_is_alone(exported, films, stride_s):
    alone = [together(exported, [film], stride_s)[0] for film in films]
    assert max(np.ptp(curves) for curves in alone) > 0.01
    generator = np.random.default_rng(6)
    for size in (2, 4, len(films)):
        order = generator.permutation(len(films))[:size]
        for index, curves in zip(order, together(exported, [films[i] for i in order], stride_s), strict=True):
            np.testing.assert_array_equal(curves, alone[index], err_msg=f"film {index} among {order}")


@pytest.mark.parametrize("stride_s", [None, 4], ids=["films", "every fourth"])
def test_larger_blocks_give_the_same_curves(exported, films, stride_s):
    small = together(exported, films[3:6], stride_s)
    try:
        exported.block.assign(512)
        large = together(exported, films[3:6], stride_s)
        exported.block.assign(0)
        # That the variable is obeyed can be seen by nothing else: the curves are the same.
        with pytest.raises(tf.errors.InvalidArgumentError, match="zero"):
            together(exported, films[:1], stride_s)
    finally:
        exported.block.assign(ROW_BLOCK)
    # Not bit by bit: a processor takes a product of so many rows in parts, and a film's rows may lie across two.
    for one, other in zip(large, small, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=0)


def test_nor_do_many_components_tell_what_shares_the_call(tmp_path):
    config = ModelConfig.model_validate({"modalities": ["image"], "window_s": 4, "encoder": {"units": 8}})
    exported = export(config, Components(WIDE, WIDE_COMPONENTS), {"image": WIDE_COMPONENTS}, tmp_path)
    films = make_films([2, 17, 60, 1, 300], WIDE)
    for stride_s in (None, 3):
        alone = [together(exported, [film], stride_s)[0] for film in films]
        for first in range(len(films)):
            for index, curves in enumerate(together(exported, films[first:], stride_s), first):
                np.testing.assert_array_equal(curves, alone[index], err_msg=f"film {index}, stride {stride_s}")
    for film in films:
        one = exported.signatures["serving_default"](**{key: tf.constant(values) for key, values in film.items()})
        np.testing.assert_array_equal(
            np.stack([one["valence"], one["arousal"]]), together(exported, [film])[0], err_msg=f"{len(film['image'])} s"
        )


@pytest.mark.slow
def test_nor_do_several_threads() -> None:
    """A process has one number of threads, and the tests' own has one: here another compares films with four."""
    case = f"{__file__}::{test_a_film_is_bit_for_bit_what_it_is_alone.__name__}[GRU-films]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", case]
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "4"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_single_seconds_are_those_of_the_whole_curve(exported, films):
    longest = films[LENGTHS.index(300)]
    (whole,), (all_seconds,) = together(exported, [longest]), together(exported, [longest], 1)
    np.testing.assert_allclose(all_seconds, whole, atol=1e-6, rtol=0)
    if exported.config.batch_statistics_at_inference == "population":
        np.testing.assert_allclose(together(exported, [longest], 7)[0], whole[:, ::7], atol=1e-6, rtol=0)


def test_no_window_is_computed_that_was_not_asked_for():
    seen = []

    def encode_block(rows, starts, stops):
        tf.numpy_function(lambda values, first, _: seen.append((values, first)), [rows, starts, stops], [])
        return tf.cast(rows, tf.float32)[:, None]

    start = np.repeat([0, 700], [700, 1604]).astype(np.int32)
    ends = np.arange(0, 2304, 4).astype(np.int32)[: 2 * ROW_BLOCK]
    states = map_row_blocks(encode_block, tf.constant(start), tf.constant(ends))
    np.testing.assert_array_equal(states[:, 0], ends)
    # Before them Keras looks at the first block once, for the shape of the answer.
    assert len(seen) == 3
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in seen[1:]]), ends)
    np.testing.assert_array_equal(np.concatenate([first for _, first in seen[1:]]), np.where(ends < 700, 0, 700))
