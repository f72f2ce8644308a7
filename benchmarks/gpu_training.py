"""One arm of the trainer on a device: steps a second and the loss of each step, as one line of JSON.

    python -m benchmarks.gpu_training --arm float32 --device gpu --steps 200

The network is the paper's, the step the trainer's own (`trainer.training.step`), on made-up films; the same batches and
dropout masks in every arm. Arms: `float32` (Keras's stock layer, which cuDNN runs on a GPU), `without cuDNN` (the same
layer, operation by operation), `XLA` (float32, clusters compiled), `mixed_float16` and `mixed_bfloat16`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ARMS = ("float32", "without cuDNN", "XLA", "mixed_float16", "mixed_bfloat16")
FILMS, WARM_STEPS = 4, 2


def measure(
    arm: str, device: str, steps: int, film_s: int, batch: int, units: int, without_dropout: bool
) -> dict[str, Any]:
    """Steps a second after the first ones, and all losses."""
    if arm == "XLA":
        # Clusters on processors need their own flag.
        os.environ["TF_XLA_FLAGS"] = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow

    start_tensorflow()
    import keras
    import tensorflow as tf

    from benchmarks.training_memory import DIMENSIONS
    from benchmarks.training_step import make_film
    from trainer.data.windows import epoch_batches, stack_films, window_ends
    from trainer.foundation.config import EncoderConfig, ModelConfig, TrainConfig
    from trainer.network.model import build_model
    from trainer.training.checkpoints import TrainingState
    from trainer.training.run import dropout_seed
    from trainer.training.step import make_optimizer, make_step

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        raise SystemExit("TensorFlow sees no GPU here: --device cpu measures the processors")
    none = {"dropout": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0} if without_dropout else {}
    model_config = ModelConfig(modalities=tuple(DIMENSIONS), encoder=EncoderConfig(units=units), **none)
    precision = arm if arm.startswith("mixed") else "float32"
    config = TrainConfig().model_copy(update={"batch_size": batch, "model": model_config, "precision": precision})
    table = stack_films([make_film(index, film_s) for index in range(FILMS)])
    model = build_model(config.model, DIMENSIONS, config.seed, config.precision)
    if arm == "without cuDNN":
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.GRU):
                layer.use_cudnn = False
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    losses: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cineaffect-step-") as folder:
        state = TrainingState(folder, model, optimizer)
        step, began = make_step(model, optimizer, table, state, config), 0.0
        ends = window_ends(table, config.stride_s, 0)
        for number in range(steps + WARM_STEPS):
            epoch, place = divmod(number, max(1, len(ends) // batch))
            chosen = epoch_batches(ends, batch, config.seed, epoch)[place]
            state.loss_sum.assign(0.0)
            step(chosen, dropout_seed(config.seed, number))
            losses.append(float(state.loss_sum.numpy()) / len(chosen))  # waits for the device
            if number + 1 == WARM_STEPS:
                began = time.perf_counter()
        steps_a_second = steps / (time.perf_counter() - began)
    names = [tf.config.experimental.get_device_details(each).get("device_name", each.name)
             for each in tf.config.get_visible_devices("GPU")]  # fmt: skip
    return {"arm": arm, "device": names or ["processors"], "steps_a_second": steps_a_second, "losses": losses}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures one arm and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", choices=ARMS, required=True)
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--film-s", type=int, default=1800, help="seconds of each of the four films")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--without-dropout", action="store_true", help="whose masks XLA draws otherwise")
    print(json.dumps(measure(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    main()
