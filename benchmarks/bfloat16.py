"""What `precision: bfloat16` gains on this processor, how far its vectors are off, and what it does to curves.

    pip install 'cineaffect[openvino]'
    python -m benchmarks.bfloat16 networks FILM ...     # each network: core ms a row by engine, and its vectors' error
    python -m benchmarks.bfloat16 job FILM ...          # the whole job, stage by stage
    python -m benchmarks.bfloat16 curves demo-run       # curves of `cineaffect demo`'s model, its records made anew

Arms take turns. Weights are the trained ones of `../shared/data/weights` for InceptionV3 (nsfwjs) and
Inception-ResNet-v1, where these exist; VGGish and VGG16 are untrained. An error is a share of the float32 vectors' own
root mean square.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.extractors.networks.inception_v3 import InceptionV3Image
from benchmarks.engines import shown
from benchmarks.job_parts import MODALITIES, settings

WEIGHTS = Path("../shared/data/weights")
ROWS, BATCHES, TURNS = 16, 2, 2
PRECISIONS = ("float32", "bfloat16")
ARMS = {"ONNX Runtime, float32": [], "OpenVINO, bfloat16": ["--precision", "bfloat16"]}


class TrainedInception(InceptionV3Image):
    """InceptionV3 with the weights of nsfwjs, 8 bits each, by the order in which its layers were made."""

    __module__ = InceptionV3Image.__module__

    @staticmethod
    def load(network: Any, path: Path) -> None:
        """Fills the network's layers."""
        stored = np.load(path, allow_pickle=False)
        scales = dict(zip(stored["names"].tolist(), stored["quantization"], strict=True))
        for kind in ("conv2d", "batch_normalization"):
            layers = [layer for layer in network.layers if re.fullmatch(rf"{kind}(_\d+)?", layer.name)]
            layers.sort(key=lambda layer: int(layer.name.removeprefix(kind).removeprefix("_") or 0))
            for number, layer in enumerate(layers, start=1):
                names = [f"{kind}_{number}/{variable.name}" for variable in layer.weights]
                layer.set_weights(
                    [stored[name].astype(np.float64) * scales[name][0] + scales[name][1] for name in names]
                )


def rows_of(films: Sequence[str]) -> dict[str, np.ndarray]:
    """Raw rows of each network: the films' pictures, faces and sounds, as many as two batches, evenly over all."""
    from beam_pipelines.extractors.configured_networks import Networks
    from beam_pipelines.extractors.face_track import FACES
    from beam_pipelines.extractors.faces import crop_face
    from beam_pipelines.media.audio.audio_windows import audio_windows
    from beam_pipelines.media.probe import probe_film
    from beam_pipelines.media.video.resize import resize_image
    from beam_pipelines.media.video.sample_frames import sample_frames

    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    detector = Networks(settings()).detector
    for film in films:
        probe = probe_film(film)
        for frame in sample_frames(film, probe):
            for modality, size_px in (("image", 299), ("vgg16", 224)):
                rows[modality].append(resize_image(frame.image, size_px, size_px))
            rows["face"] += [crop_face(frame.image, box) for box in detector(frame.image[None])[0][:FACES]]
        rows["audio"] += [window.samples for window in audio_windows(film, probe) if window.present]
    wanted = ROWS * BATCHES
    return {name: np.stack([found[i * len(found) // wanted] for i in range(wanted)]) for name, found in rows.items()}


def network(kind: str, arm: str) -> Callable[[np.ndarray], np.ndarray]:
    """A network by `onnxruntime`, or by OpenVINO in `f32` or `bf16`."""
    from beam_pipelines.extractors.graphs import bfloat16
    from beam_pipelines.extractors.registry import network_class

    weights = {
        "image": WEIGHTS / "inception_v3_nsfwjs.npz",
        "face": WEIGHTS / "inception_resnet_v1_20180402_folded.npz",
    }
    named = str(weights[kind]) if kind in weights and weights[kind].exists() else "untrained"
    made: Any = network_class(kind)
    given: dict[str, Any] = {"batch_size": ROWS}
    if kind == "image" and named != "untrained":
        made, given = TrainedInception, {**given, "scaling": (0.0, 1.0)}
    if arm == "onnxruntime":
        return made(named, **given)
    bfloat16.SETTINGS["INFERENCE_PRECISION_HINT"] = arm
    return made(named, precision="bfloat16", **given)


def networks(films: Sequence[str]) -> None:
    """Prints each network's core ms a row and the error of its vectors."""
    print(
        "| network | ONNX Runtime, float32 | OpenVINO, float32 | OpenVINO, bfloat16 | times as fast | error, root mean "
        "square | largest |\n|---|---|---|---|---|---|---|"
    )
    for kind, rows in rows_of(films).items():
        times: dict[str, list[float]] = defaultdict(list)
        vectors = {}
        arms = {arm: network(kind, arm) for arm in ("onnxruntime", "f32", "bf16")}
        for turn in range(TURNS + 1):
            for arm, run in arms.items():
                began_s = time.process_time()
                vectors[arm] = run(rows)
                if turn:  # the first one warms up
                    times[arm].append(1000 * (time.process_time() - began_s) / len(rows))
        expected = vectors["onnxruntime"]
        unit, off = np.sqrt(np.mean(expected**2)), np.abs(vectors["bf16"] - expected)
        gain = statistics.median(a / b for a, b in zip(times["onnxruntime"], times["bf16"], strict=True))
        cells = [f"{statistics.median(each):.1f}" for each in times.values()]
        error = f"{np.sqrt(np.mean(off**2)) / unit:.2%} | {off.max() / unit:.2%}"
        print(f"| {kind} | {' | '.join(cells)} | {gain:.2f} | {error} |", flush=True)


def job(films: Sequence[str], turns: int) -> None:
    """Prints the job's core ms a film second, stage by stage."""
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(turns):
        for arm, options in ARMS.items():
            command = [sys.executable, "-m", "benchmarks.job_parts", "stages", *options, *films]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = json.loads(answer.splitlines()[-1])
            spent = {stage: 1000 * seconds / found["film_s"] for stage, seconds in found["cpu_s"].items()}
            for stage, value in {**spent, "all": sum(spent.values())}.items():
                times[stage][arm].append(value)
    print(f"| stage | {' | '.join(ARMS)} | times as fast |\n|---|---|---|---|")
    for stage, values in times.items():
        pairs = zip(*(values[arm] for arm in ARMS), strict=True)
        gain = statistics.median(full / half for full, half in pairs)
        print(f"| {stage} | {' | '.join(shown(values[arm]) for arm in ARMS)} | {gain:.2f} |")


def curves(demo: Path) -> None:
    """Prints, for each film that the demo's model hasn't seen, the PCC of its curves from both kinds of records."""
    from beam_pipelines.contracts.curves.curves import smoothed_curve
    from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures, find_model
    from beam_pipelines.contracts.records.records import read_record, record_uri
    from beam_pipelines.demo.run import CONFIG
    from beam_pipelines.extract import main as extract

    reference = find_model(str(demo / "model" / "exports"))
    model, card = ExportedModel(reference), reference.card
    with tempfile.TemporaryDirectory() as folder, open(demo / "data" / "manifest.csv", newline="") as manifest:
        films = [row for row in csv.DictReader(manifest) if row["split"] == "test"]
        with open(Path(folder, "films.csv"), "w", newline="") as chosen:
            writer = csv.writer(chosen)
            writer.writerow(["film_id", "path"])
            writer.writerows([row["film_id"], (demo / "data" / row["path"]).resolve()] for row in films)
        for precision in PRECISIONS:
            given = ["--films", f"{folder}/films.csv", "--output", f"{folder}/{precision}", "--config", str(CONFIG)]
            for modality in MODALITIES:
                given += ["--set", f"{modality}.precision={precision}"]
            if extract(given):
                raise SystemExit("extract failed")
        print("| film | target | PCC | largest difference |\n|---|---|---|---|")
        for row in films:
            found = []
            for precision in PRECISIONS:
                uri = record_uri(f"{folder}/{precision}", row["film_id"])
                tracks = read_record(uri, card.modalities).tracks
                features = FilmFeatures(
                    {name: np.ascontiguousarray(track.values, np.float32) for name, track in tracks.items()},
                    {name: np.ascontiguousarray(track.present, np.float32) for name, track in tracks.items()},
                )
                raw = model.predict(features).values
                found.append(smoothed_curve(row["film_id"], raw, card.smoothing, card.label_range))
            for target in card.targets:
                full, half = (curve.of(target) for curve in found)
                pcc, off = np.corrcoef(full, half)[0, 1], np.abs(full - half).max()
                print(f"| {row['film_id']} | {target} | {pcc:.5f} | {off:.4f} |")


def main() -> None:
    """Prints one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("networks", "job", "curves"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--turns", type=int, default=TURNS, help="of the job")
    given = parser.parse_args()
    if given.what == "networks":
        networks(given.paths)
    elif given.what == "job":
        job(given.paths, given.turns)
    else:
        curves(Path(given.paths[0]))


if __name__ == "__main__":
    main()
