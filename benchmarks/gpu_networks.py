"""The networks of extraction on a GPU: pictures a second against the arithmetic peak, by batch size and precision.

    KERAS_BACKEND=tensorflow python -m benchmarks.gpu_networks --write-reference reference.npz   # any machine, no GPU
    KERAS_BACKEND=jax python -m benchmarks.gpu_networks --reference reference.npz --output gpu.json

The networks are written in backend-neutral Keras; Keras on JAX compiles them with XLA. The peak is that of a product
of two 8192 x 8192 matrices in the same precision, measured in the same process; operations are counted from the layers'
shapes. Times are medians of five turns with inputs on the device. Then follows the product's own call, which takes
pictures or sound on the host, standardises them there and returns vectors, with the deviation of its vectors from the
reference, made by TensorFlow on a CPU from the same drawn weights and inputs. Rows that would take too long are left
out, with a note (`--budget-s`): XLA takes up to half a minute to compile and tune a network for a batch size.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PRECISIONS = {
    "float32": ("highest", "float32"),
    "TF32": ("tensorfloat32", "float32"),
    "mixed_float16": ("highest", "mixed_float16"),
    "mixed_bfloat16": ("highest", "mixed_bfloat16"),
}
"""Name -> the precision of products of float32 numbers, the policy of the layers."""

MODALITIES = ("image", "face", "audio", "vgg16")
REFERENCE_ROWS = 16
TURNS = 5
TURN_S = 0.15
MATRIX = 8192
PYRAMID_LINES, PYRAMID_COLUMNS, SMALLEST_FACE_PX, PYRAMID_FACTOR = 360, 640, 15, 0.709


def networks() -> dict[str, Any]:
    """The product's classes by modality."""
    from beam_pipelines.extractors.networks.inception_resnet_v1 import InceptionResnetV1Face
    from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
    from beam_pipelines.extractors.networks.vgg16 import VGG16Image
    from beam_pipelines.extractors.networks.vggish import VGGishAudio

    return {"image": InceptionV3Image, "face": InceptionResnetV1Face, "audio": VGGishAudio, "vgg16": VGG16Image}


def raw_inputs(kind: Any, rows: int) -> np.ndarray:
    """Pictures or sound as the product is given them, the same on every machine."""
    generator = np.random.default_rng(7)
    if hasattr(kind, "image_size_px"):
        return generator.integers(0, 256, (rows, kind.image_size_px, kind.image_size_px, 3), np.uint8)
    return generator.uniform(-0.5, 0.5, (rows, kind.window_samples)).astype(np.float32)


def operations_a_row(network: Any) -> float:
    """Operations that convolutions and dense layers take for one row, a product and a sum being two."""
    count = 0
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            places = math.prod(layer.output.shape[1:-1])
            count += 2 * math.prod(layer.kernel.shape) * places
    return float(count)


def write_reference(path: str) -> None:
    """Vectors of all networks as this machine computes them."""
    vectors = {}
    for modality, kind in networks().items():
        vectors[modality] = kind("untrained", batch_size=REFERENCE_ROWS)(raw_inputs(kind, REFERENCE_ROWS))
        print(f"{modality}: {list(vectors[modality].shape)}", flush=True)
    np.savez(path, **vectors)


def seconds_a_call(call: Callable[[int], Any]) -> float:
    """Median time of a call; its argument counts up, so that inputs can alternate."""
    import jax

    jax.block_until_ready(call(0))
    began = time.perf_counter()
    jax.block_until_ready(call(1))
    calls = max(2, math.ceil(TURN_S / max(time.perf_counter() - began, 1e-5)))
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        answer = None
        for number in range(calls):
            answer = call(number)
        jax.block_until_ready(answer)
        turns.append((time.perf_counter() - began) / calls)
    return statistics.median(turns)


def peak(precision: str) -> float:
    """Operations a second of a large product of random matrices."""
    import jax

    products, policy = PRECISIONS[precision]
    kind = policy.removeprefix("mixed_")
    keys = jax.random.split(jax.random.key(1), 3)
    matrices = [jax.random.normal(key, (MATRIX, MATRIX), kind) for key in keys]
    multiply = jax.jit(lambda a, b: jax.numpy.matmul(a, b, precision=products))
    return 2 * MATRIX**3 / seconds_a_call(lambda n: multiply(matrices[n % 2], matrices[2]))


def measure(network: Any, prepared: np.ndarray, precision: str) -> dict[str, float]:
    """One network at one batch size: seconds a batch, compile time, and temporary memory."""
    import jax

    trained = [variable.value for variable in network.trainable_variables]
    others = [variable.value for variable in network.non_trainable_variables]
    inputs = [jax.device_put(prepared), jax.device_put(prepared[::-1].copy())]
    began = time.perf_counter()
    with jax.default_matmul_precision(PRECISIONS[precision][0]):
        run = jax.jit(lambda t, o, x: network.stateless_call(t, o, x, training=False)[0])
        compiled = run.lower(trained, others, inputs[0]).compile()
    compile_s = time.perf_counter() - began
    memory = compiled.memory_analysis()
    return {
        "seconds": seconds_a_call(lambda n: compiled(trained, others, inputs[n % 2])),
        "compile_s": compile_s,
        "memory_mib": memory.temp_size_in_bytes / 2**20 if memory else math.nan,
    }


def plan(modalities: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Modality, precision, batch size: what decides most first."""
    for modality in modalities:
        for batch in (64, 16, 32, 128, 256):
            yield modality, "float32", batch
        for precision in ("TF32", "mixed_bfloat16", "mixed_float16"):
            yield modality, precision, 64
    for modality in modalities:
        for precision in ("TF32", "mixed_bfloat16", "mixed_float16"):
            yield modality, precision, 256


def build(kind: Any, precision: str, batch: int) -> Any:
    """The product's network with drawn weights."""
    return kind("untrained", batch_size=batch, precision=PRECISIONS[precision][1], engine="tensorflow")


def measure_networks(modalities: Sequence[str], budget_ends: float, peaks: dict[str, float]) -> list[dict[str, Any]]:
    """All of the plan that fits the time."""
    rows: list[dict[str, Any]] = []
    built: dict[tuple[str, str], Any] = {}
    for modality, precision, batch in plan(modalities):
        if time.perf_counter() > budget_ends:
            print(f"left out for time: {modality} {precision} {batch}", flush=True)
            continue
        kind = networks()[modality]
        key = (modality, PRECISIONS[precision][1])
        if key not in built:
            built[key] = build(kind, precision, 64)
        network = built[key]
        prepared = np.asarray(network.prepare(raw_inputs(kind, batch)), np.float32)
        row = measure(network.network, prepared, precision)
        done = operations_a_row(network.network) * batch / row["seconds"]
        rows.append({"modality": modality, "precision": precision, "batch": batch, **row})
        rows[-1].update(rows_a_second=batch / row["seconds"], share_of_peak=done / peaks[precision])
        print(
            f"{modality:6} {precision:15} batch {batch:4}  {rows[-1]['rows_a_second']:9,.0f} /s  "
            f"{done / 1e12:6.1f} TFLOP/s  {rows[-1]['share_of_peak']:.2f} of peak  {row['memory_mib']:7,.0f} MiB  "
            f"compiled in {row['compile_s']:.0f} s",
            flush=True,
        )
    return rows


def measure_calls(reference: Mapping[str, np.ndarray], batch: int = 64) -> list[dict[str, Any]]:
    """The product's call: host to host, and how far its vectors lie from the reference's."""
    import jax

    rows = []
    for modality, kind in networks().items():
        for precision in PRECISIONS:
            if precision == "mixed_float16" and modality == "vgg16":
                continue  # its drawn weights overflow half precision, which the call refuses
            with jax.default_matmul_precision(PRECISIONS[precision][0]):
                network = build(kind, precision, batch if precision == "float32" else REFERENCE_ROWS)
                row: dict[str, Any] = {"modality": modality, "precision": precision}
                row.update(deviation(network(raw_inputs(kind, REFERENCE_ROWS)), reference[modality]))
                if precision == "float32":
                    inputs = raw_inputs(kind, 8 * batch)
                    network(inputs[:batch])
                    began = time.perf_counter()
                    network.prepare(inputs[:batch])
                    row["prepared_a_second"] = batch / (time.perf_counter() - began)
                    began = time.perf_counter()
                    network(inputs)
                    row["rows_a_second"] = len(inputs) / (time.perf_counter() - began)
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def deviation(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Root mean square error as a share of the vectors' root mean square, and the largest one."""
    scale = float(np.sqrt((expected.astype(np.float64) ** 2).mean()))
    error = found.astype(np.float64) - expected
    return {"rms_error": float(np.sqrt((error**2).mean())) / scale, "max_error": float(np.abs(error).max()) / scale}


def first_detector_network() -> Any:
    """MTCNN's P-Net (Zhang et al. 2016), which runs over the whole pyramid: float32 [n, h, w, 3] -> offsets, scores."""
    import keras

    x = inputs = keras.Input((None, None, 3))
    for filters, pool in ((10, True), (16, False), (32, False)):
        x = keras.layers.Conv2D(filters, 3)(x)
        x = keras.layers.PReLU(shared_axes=[1, 2])(x)
        if pool:
            x = keras.layers.MaxPooling2D(2, padding="same")(x)
    return keras.Model(inputs, [keras.layers.Conv2D(4, 1)(x), keras.layers.Conv2D(2, 1, activation="softmax")(x)])


def measure_detector() -> list[dict[str, Any]]:
    """P-Net over the pyramid of a picture of 360 lines, smallest face 15 px, with the scaling."""
    import jax

    network = first_detector_network()
    variables = [variable.value for variable in network.trainable_variables]
    scales = [12 / SMALLEST_FACE_PX]
    while min(PYRAMID_LINES, PYRAMID_COLUMNS) * scales[-1] * PYRAMID_FACTOR >= 12:
        scales.append(scales[-1] * PYRAMID_FACTOR)

    def pyramid(weights: Any, pictures: Any) -> list[Any]:
        sizes = [(int(PYRAMID_LINES * scale), int(PYRAMID_COLUMNS * scale)) for scale in scales]
        scaled = [jax.image.resize(pictures, (len(pictures), *size, 3), "linear") for size in sizes]
        return [network.stateless_call(weights, [], each)[0] for each in scaled]

    rows = []
    for batch in (8, 64):
        pictures = jax.device_put(
            np.random.default_rng(3).random((batch, PYRAMID_LINES, PYRAMID_COLUMNS, 3), np.float32)
        )
        with jax.default_matmul_precision("highest"):
            run = jax.jit(pyramid).lower(variables, pictures).compile()
        seconds = seconds_a_call(lambda _, run=run, pictures=pictures: run(variables, pictures))
        rows.append({"batch": batch, "scales": len(scales), "pictures_a_second": batch / seconds})
        print(f"P-Net over {len(scales)} scales, batch {batch}: {batch / seconds:,.0f} pictures/s", flush=True)
    return rows


def measure_without_xla(batch: int = 64) -> list[dict[str, Any]]:
    """The two picture networks operation by operation with cuDNN (PyTorch), as TensorFlow runs them with XLA off."""
    import torch
    import torchvision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    rows = []
    for modality, size, make in (
        ("image", 299, lambda: torchvision.models.inception_v3(init_weights=False, weights=None)),
        ("vgg16", 224, lambda: torchvision.models.vgg16(weights=None)),
    ):
        network = make().eval().to(device, memory_format=torch.channels_last)
        pictures = torch.rand((batch, 3, size, size), device=device).contiguous(memory_format=torch.channels_last)
        for precision, kind in (("float32", None), ("TF32", None), ("mixed_bfloat16", torch.bfloat16)):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "TF32"
            turns = []
            with torch.no_grad(), torch.autocast(device, kind or torch.bfloat16, enabled=kind is not None):
                for _ in range(TURNS + 1):
                    began = time.perf_counter()
                    for _ in range(8):
                        answer = network(pictures)
                    answer.sum().item()  # waits for the device
                    turns.append((time.perf_counter() - began) / 8)
            rows.append(
                {"modality": modality, "precision": precision, "rows_a_second": batch / statistics.median(turns[1:])}
            )
            print(f"without XLA: {modality} {precision} batch {batch}: {rows[-1]['rows_a_second']:,.0f} /s", flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints as it goes, and writes all numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-reference", metavar="NPZ", help="only compute the vectors to compare with")
    parser.add_argument("--reference", metavar="NPZ")
    parser.add_argument("--modalities", nargs="*", default=MODALITIES, choices=MODALITIES)
    parser.add_argument("--budget-s", type=float, default=360.0, help="after so long no further row is begun")
    parser.add_argument("--output", metavar="JSON")
    arguments = parser.parse_args(argv)
    if arguments.write_reference:
        write_reference(arguments.write_reference)
        return 0
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch shares the device
    import jax

    began = time.perf_counter()
    device = jax.devices()[0]
    print(f"{device.device_kind}, JAX {jax.__version__}", flush=True)
    peaks = {precision: peak(precision) for precision in PRECISIONS}
    print("peak, TFLOP/s: " + ", ".join(f"{name} {value / 1e12:.0f}" for name, value in peaks.items()), flush=True)
    answer: dict[str, Any] = {"device": device.device_kind, "peaks": peaks}
    reference = np.load(arguments.reference) if arguments.reference else None
    answer["without_xla"] = measure_without_xla()
    answer["detector"] = measure_detector()
    answer["networks"] = measure_networks(arguments.modalities, began + arguments.budget_s, peaks)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(answer, indent=1))
    if reference is not None:
        answer["calls"] = measure_calls(reference)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(answer, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
