"""All that has to be measured on a GPU, by one command: extraction, decoding, training, scoring. Prints tables.

    pip install '.[dev]' 'tensorflow[and-cuda]'
    pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'
    python -m benchmarks.gpu_end_to_end --output gpu.json                    # on a machine with an NVIDIA GPU
    python -m benchmarks.gpu_end_to_end --only extract --seconds 60          # shorter
    python -m benchmarks.gpu_end_to_end --device cpu --seconds 6 --steps 3   # the same code without a GPU, as a trial

- decoding: every clip decoded on the processor and on the GPU, bit by bit (`benchmarks.gpu_decoding`).
- extract: the job with all modalities on the real clips, each repeated to `--seconds`: first with the GPU hidden, then
  networks on the GPU, then faces too, then decoding too. Film seconds a second, core seconds, the GPU's share
  (nvidia-smi), the stages of the run's manifest, and how far the features lie from those of the processors.
- training: the paper's network, steps a second of each arm of `benchmarks.gpu_training`, and how far each arm's losses
  lie from the processor's; without dropout, whose masks XLA draws otherwise.
- scoring: one run of the job over made-up records.
- networks: `benchmarks.gpu_networks` and `gpu_scoring`, where Keras runs on JAX and PyTorch is there.

What can't run says why and is left out. After `--budget-s` no further part begins. Networks are untrained, they compute
as much. The exit code is 1 if a picture, a vector or a loss lies further off than is promised.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu_time import run_measured
from benchmarks.gpu_share import GpuShare
from benchmarks.job import default_films, film_seconds

MODALITIES = ("image", "audio", "face")
PROCESSORS = "processors"
ON_GPU = {
    "networks": (),
    "networks and faces": ("device.detect_on_gpu=true",),
    "networks, faces and decoding": ("device.detect_on_gpu=true", "device.decode=gpu"),
}
ON_CPU = {"processors, decode: auto": ("device.decode=auto",)}
"""Arm -> its settings, beside the arm of the processors alone."""
HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1"}
AGREE = 1e-5
"""Vectors on both devices, as a share of the largest value."""
LOSSES_AGREE = {"float32": 1e-3, "without cuDNN": 1e-3, "XLA": 1e-3, "mixed_float16": 5e-2, "mixed_bfloat16": 5e-2}
"""Losses on both devices after the same steps, as a share of the processor's loss."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, writes; 1 if a promise doesn't hold."""
    given = _parser().parse_args(argv)
    began_s, answer, held = time.perf_counter(), {"device": given.device}, True
    films = given.films or default_films(given.clips, given.seconds)
    parts: dict[str, Callable[[argparse.Namespace, Sequence[Path]], tuple[Any, bool]]] = {
        "decoding": decoding, "extract": extract, "training": training, "scoring": scoring, "networks": networks
    }  # fmt: skip
    for name in given.only or parts:
        if time.perf_counter() - began_s > given.budget_s:
            print(f"\n{name}: left out for time", flush=True)
            continue
        print(f"\n## {name}\n", flush=True)
        answer[name], kept = parts[name](given, films)
        held = held and kept
        if given.output:
            given.output.write_text(json.dumps(answer, indent=1))
    print("\nall promises hold" if held else "\nA PROMISE DOES NOT HOLD: see above", flush=True)
    return int(not held)


def decoding(given: argparse.Namespace, films: Sequence[Path]) -> tuple[Any, bool]:
    """Every clip on both devices."""
    command = [sys.executable, "-m", "benchmarks.gpu_decoding", *map(str, films)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=_environment(given), check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    print("| film | codec | decoded on | same bits | processor: ms, core ms a film second | asked for a GPU |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        speeds = [f"{row[f'{arm}_wall']:.1f}, {row[f'{arm}_core']:.1f}" for arm in ("processor", "asked")]
        cells = (Path(row["film"]).name, row["codec"], row["on"], "yes" if row["same"] else "NO", *speeds)
        print(f"| {' | '.join(cells)} |")
    faults = {row["fault"] for row in rows if row["fault"]}
    print("\n".join(f"\nno GPU decoded anything: {fault}" for fault in faults))
    kept = done.returncode == 0 and len(rows) == len(films)
    return rows, kept and (given.device == "cpu" or decoded_on_gpu(rows))


def decoded_on_gpu(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a GPU decoded every film that it is given, and at least one: else both sides are the processor's."""
    given = [row for row in rows if not row["why_not"]]
    return bool(given) and all(row["on"] == "gpu" for row in given)


def extract(given: argparse.Namespace, films: Sequence[Path]) -> tuple[Any, bool]:
    """The job in each arm."""
    length_s, rows, held = film_seconds(films), [], True
    arms: dict[str, tuple[str, ...]] = {PROCESSORS: (), **(ON_GPU if given.device == "gpu" else ON_CPU)}
    with tempfile.TemporaryDirectory(prefix="cineaffect-gpu-") as folder:
        source = Path(folder, "films")
        source.mkdir()
        for film in films:
            Path(source, film.name).symlink_to(film.resolve())
        for arm, settings in arms.items():
            output = Path(folder, arm)
            command = [sys.executable, "-m", "beam_pipelines.extract", "--films", str(source), "--output", str(output)]
            sets = (f"modalities=[{','.join(given.modalities)}]", *settings)
            sets = (*sets, *(f"{modality}.weights=untrained" for modality in given.modalities))
            hidden = arm == PROCESSORS or given.device == "cpu"
            with GpuShare() as share:
                spent = run_measured([*command, *(f"--set={each}" for each in sets)], HIDDEN if hidden else None)
            manifest = json.loads((output / "run_manifest.json").read_text())
            row = {"arm": arm, "film_s_a_s": length_s / spent.wall_s, "core_ms": 1000 * spent.cpu_s / length_s}
            row |= {"gpu": share.means, "decoded_on": manifest.get("films_decoded_on", {})}
            row |= {"stages": manifest.get("time_by_stage", {}), "off": furthest(Path(folder, PROCESSORS), output)}
            rows.append(row)
            held = held and row["off"] <= AGREE and was_at_work(arm, row)
    print("| arm | film seconds a second | times processors | core ms a film second | GPU busy, % | decoder | off by |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        busy = [f"{row['gpu'][field]:.0f}" if field in row["gpu"] else "?"
                for field in ("utilization.gpu", "utilization.decoder")]  # fmt: skip
        speed, times = f"{row['film_s_a_s']:.2f}", f"{row['film_s_a_s'] / rows[0]['film_s_a_s']:.2f}"
        print(f"| {row['arm']} | {speed} | {times} | {row['core_ms']:.1f} | {' | '.join(busy)} | {row['off']:.1e} |")
    for row in rows:
        print(f"\n{row['arm']}: films decoded on {row['decoded_on'] or 'the processor'}; stages: {row['stages']}")
    return rows, held


def was_at_work(arm: str, row: Mapping[str, Any]) -> bool:
    """Whether a GPU did what an arm asks of it: it was busy, and if the arm asks for that, it decoded films."""
    if arm not in ON_GPU:
        return True
    decodes = "device.decode=gpu" in ON_GPU[arm]
    return row["gpu"].get("utilization.gpu", 0) > 0 and (not decodes or "gpu" in row["decoded_on"])


def furthest(expected: Path, found: Path) -> float:
    """The largest difference of two runs' features, as a share of the modality's largest value; inf if a shape or what
    is present differs."""
    import numpy as np

    from beam_pipelines.contracts.records.records import read_record

    off = 0.0
    for path in sorted(expected.glob("*.tfrecord")):
        ours, theirs = read_record(str(path)).tracks, read_record(str(found / path.name)).tracks
        for modality, track in ours.items():
            values, others = track.values, theirs[modality].values
            if values.shape != others.shape or not np.array_equal(track.present, theirs[modality].present):
                return float("inf")
            off = max(off, float(np.abs(values - others).max() / max(float(np.abs(values).max()), 1e-12)))
    return off


def training(given: argparse.Namespace, films: Sequence[Path]) -> tuple[Any, bool]:
    """Steps a second of each arm; its losses against those of float32 on the processor."""
    size = ["--steps", str(given.steps), "--film-s", str(given.train_film_s)]
    size += ["--batch", str(given.batch), "--units", str(given.units), "--without-dropout"]

    def run(arm: str, device: str) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "benchmarks.gpu_training", "--arm", arm, "--device", device, *size]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=_environment(given), check=False)
        return None if done.returncode else json.loads(done.stdout.splitlines()[-1])

    expected = run("float32", "cpu")
    rows, held = [], expected is not None
    print("| arm | device | steps a second | losses off the processor's by | promised |\n|---|---|---|---|---|")
    for arm in given.arms if expected else ():
        found = expected if (arm, given.device) == ("float32", "cpu") else run(arm, given.device)
        if found is None:
            print(f"| {arm} | failed, see its message | | | |", flush=True)
            held = False
            continue
        pairs = zip(found["losses"], expected["losses"], strict=True)  # type: ignore[index]
        found["off"] = max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)
        rows.append(found)
        held = held and found["off"] <= LOSSES_AGREE[arm]
        cells = (arm, ", ".join(found["device"]), f"{found['steps_a_second']:.2f}", f"{found['off']:.1e}")
        print(f"| {' | '.join(cells)} | {LOSSES_AGREE[arm]:g} |", flush=True)
    return rows, held


def scoring(given: argparse.Namespace, films: Sequence[Path]) -> tuple[Any, bool]:
    """One run of the job over made-up records of the paper's three modalities."""
    length_s = max(60, given.seconds)
    with tempfile.TemporaryDirectory(prefix="cineaffect-gpu-") as folder:
        made = f"""if True:
            from pathlib import Path
            from benchmarks.scoring_models import export, make_networks, write_film
            from beam_pipelines.contracts.records.records import record_uri
            export(make_networks(1), Path({folder!r}, "model", "1"))
            for film in range({given.score_films}):
                write_film(record_uri({folder!r} + "/features", f"film{{film}}"), film, {length_s})
        """
        subprocess.run([sys.executable, "-c", made], check=True, env=_environment(given))
        command = [sys.executable, "-m", "beam_pipelines.score", "--records", f"{folder}/features"]
        command += ["--model", f"{folder}/model", "--output", f"{folder}/scores"]
        with GpuShare() as share:
            spent = run_measured(command, HIDDEN if given.device == "cpu" else None)
        manifest = json.loads(Path(folder, "scores", "run_manifest.json").read_text())
    row = {"film_s": given.score_films * length_s, "wall_s": spent.wall_s, "core_s": spent.cpu_s, "gpu": share.means}
    took = f"{spent.wall_s:.1f} s (start included), {spent.cpu_s:.1f} core s"
    print(f"{given.score_films} films of {length_s} s in {took}; GPU: {share.means or 'none'}")
    return row, manifest["films"]["done"] == given.score_films


def networks(given: argparse.Namespace, films: Sequence[Path]) -> tuple[Any, bool]:
    """The networks alone, with Keras on JAX; a machine without JAX or PyTorch, or a trial without a GPU, has none."""
    if given.device == "cpu":
        print("left out: a processor takes hours")
        return None, True
    for module in ("gpu_networks", "gpu_scoring"):
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], env=environment, check=False)
        print(f"benchmarks.{module}: exit code {done.returncode}", flush=True)
    return None, True


def _environment(given: argparse.Namespace) -> dict[str, str]:
    return {**os.environ, **(HIDDEN if given.device == "cpu" else {})}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--only", nargs="+", choices=("decoding", "extract", "training", "scoring", "networks"))
    parser.add_argument("--films", nargs="+", type=Path, help="films of your own instead of the clips")
    parser.add_argument("--seconds", type=int, default=600, help="to which the clips are repeated")
    parser.add_argument("--modalities", nargs="+", default=MODALITIES, choices=MODALITIES)
    parser.add_argument("--clips", type=Path, default=Path("benchmark-clips"), help="where repeated clips are kept")
    parser.add_argument("--arms", nargs="+", default=list(LOSSES_AGREE), choices=LOSSES_AGREE, help="of training")
    parser.add_argument("--steps", type=int, default=100, help="training steps of each arm")
    parser.add_argument("--train-film-s", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--score-films", type=int, default=50)
    parser.add_argument("--budget-s", type=float, default=540.0, help="after so long no further part begins")
    parser.add_argument("--output", type=Path, metavar="JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
