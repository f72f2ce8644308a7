"""Whether bands hold what they promise, on generated films, and whether an ensemble's spread makes them narrower.

    python -m benchmarks.bands [--output DIR] [--picture docs/bands.png]

Trains three small networks and a ridge regression on 10 generated films (3 choose epoch and filter), and predicts 80
more. A film's labels differ from what its features tell by an offset and noise of its own. The 80 films are divided
400 times at random into calibration films and the rest. Then `cineaffect calibrate` does the same once, for ridge
regression, a network and the ensemble of the three.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from beam_pipelines import cli
from beam_pipelines.contracts.curves.bands import LEVELS, half_width
from beam_pipelines.contracts.curves.curves import AffectCurve, curve_uri, from_csv
from beam_pipelines.contracts.records.records import FeatureTrack, RecordHeader, make_record, record_uri, write_record
from beam_pipelines.contracts.targets import TARGETS

SPLITS = {"train": 10, "validation": 3, "calibration": 30, "test": 50}
DIMENSIONS = {"image": 12, "audio": 6}
DIVISIONS = 400
NETWORK = ("epochs=12", "batch_size=128", "learning_rate=0.01", "model.window_s=10", "model.encoder.units=8")
NETWORK += ("model.modalities=[image,audio]", "ridge.penalty=null")


def write_film(root: Path, film_id: str, seed: int) -> None:
    """A film's features and its labels, which the features tell up to an offset and noise of the film's own."""
    generator = np.random.default_rng(seed)
    seconds = int(generator.integers(60, 300))
    t = np.arange(seconds)[:, None]
    curves = sum(
        generator.uniform(0.1, 0.35, 2)
        * np.sin(2 * np.pi * t / generator.uniform(15, 90, 2) + generator.uniform(0, 6, 2))
        for _ in range(3)
    )
    tracks = {}
    for index, (modality, size) in enumerate(DIMENSIONS.items()):
        mixture = np.random.default_rng(100 + index).normal(size=(2, size))
        values = 3.0 + curves @ mixture + generator.normal(0.0, 0.5, (seconds, size))
        tracks[modality] = FeatureTrack(
            values.astype(np.float32),
            np.ones((seconds, 1), np.float32),
            np.arange(seconds, dtype=np.int64) * 1_000_000,
            {"network": f"generated {modality}", "weights": "none"},
        )
    header = RecordHeader(film_id, f"{film_id}.mp4", 1, f"{seed:064x}", seconds, seconds * 1_000_000, 0)
    write_record(make_record(header, tracks), record_uri(str(root / "features"), film_id))
    noise = np.stack(
        [np.convolve(generator.normal(size=seconds + 14), np.ones(15) / 4, "valid") for _ in range(2)], axis=1
    )
    labels = np.clip(curves + generator.normal(0, 0.12, 2) + generator.gamma(2.0, 0.06, 2) * noise, -1, 1)
    (root / "labels").mkdir(exist_ok=True)
    rows = [f"{second}\t{valence:.6f}\t{arousal:.6f}" for second, (valence, arousal) in enumerate(labels)]
    (root / "labels" / f"{film_id}.txt").write_text("\n".join(["Time\tValence\tArousal", *rows, ""]))


def run(*argv: str) -> None:
    """Runs a command in this process."""
    if code := cli.main([str(word) for word in argv]):
        raise SystemExit(f"{argv[0]} ended with exit code {code}")


def prepare_models(root: Path) -> dict[str, Path]:
    """Films, three networks, their ensemble and a ridge regression: name -> directory of exports."""
    rows = ["film_id,path,split,labels"]
    for seed, split in enumerate([split for split, count in SPLITS.items() for _ in range(count)]):
        write_film(root, f"film{seed:03d}", seed)
        rows.append(f"film{seed:03d},film{seed:03d}.mp4,{split},labels/film{seed:03d}.txt")
    (root / "films.csv").write_text("\n".join([*rows, ""]))
    data = ["--records", root / "features", "--manifest", root / "films.csv"]
    run("prepare", *data, "--output", root / "transform")
    settings = [f"--set={setting}" for setting in NETWORK]
    for seed in range(3):
        further = ["--set=ridge=null"] if seed else []
        place = ["--transform", root / "transform", "--output", root / f"run{seed}"]
        run("train", *data, *place, *settings, *further, f"--set=seed={seed}")
    runs = [root / f"run{seed}" for seed in range(3)]
    run("ensemble", "--members", *runs, "--output", root / "ensemble", *data)
    return {
        "ridge regression": root / "run0/ridge/exports",
        "network": root / "run0/exports",
        "ensemble": root / "ensemble",
    }


def score(root: Path, exports: Path, output: Path, splits: str) -> dict[str, AffectCurve]:
    """The curves of some splits by the newest version."""
    films = ["--records", root / "features", "--manifest", root / "films.csv", "--splits", splits]
    run("score", *films, "--model", exports, "--output", output, "--set", "plots=false", "--workers=1")
    files = sorted((output / "curves").glob("*.csv"))
    return {path.stem: from_csv(Path(curve_uri(str(output), path.stem)).read_text(), path.stem) for path in files}


def labels_of(root: Path, film_id: str) -> np.ndarray:
    """A film's labels, float64 [T, 2]."""
    return np.loadtxt(root / "labels" / f"{film_id}.txt", skiprows=1)[:, 1:]


def divided(
    root: Path, curves: Mapping[str, AffectCurve], calibration: int, level: int, target: str, scaled: bool = False
) -> tuple[float, float, float]:
    """Mean coverage over random divisions of the films, how far single divisions lie from it, and the mean width.

    With `scaled` errors are divided by the ensemble's spread plus its mean, and the width is the quantile times that.
    """
    generator, names = np.random.default_rng(7), sorted(curves)
    place = TARGETS.index(target)
    errors, scales = {}, {}
    for name in names:
        scale = np.ones(curves[name].seconds)
        if scaled:
            spread = curves[name].of(f"{target}_spread")
            scale = spread + np.mean([np.mean(curves[other].of(f"{target}_spread")) for other in names])
        scales[name] = scale
        errors[name] = np.abs(labels_of(root, name)[:, place] - curves[name].of(target)) / scale
    held, widths = [], []
    for _ in range(DIVISIONS):
        drawn = generator.permutation(names)
        half = half_width([errors[name] for name in drawn[:calibration]], level)
        assert half is not None
        rest = drawn[calibration:]
        held.append(np.mean([np.mean(errors[name] <= half) for name in rest]))
        widths.append(np.mean([2 * half * np.mean(scales[name]) for name in rest]))
    return float(np.mean(held)), float(np.std(held)), float(np.mean(widths))


def draw(root: Path, curves: Mapping[str, AffectCurve], picture: str) -> None:
    """One film's curves with their bands and labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from beam_pipelines.report.plots import COLOURS

    name = max(curves, key=lambda film_id: curves[film_id].seconds)
    curve, labels = curves[name], labels_of(root, name)
    figure, panels = plt.subplots(2, 1, figsize=(10, 4.6), sharex=True, layout="constrained")
    for place, (target, panel) in enumerate(zip(TARGETS, panels, strict=True)):
        for level, alpha in zip(curve.levels, (0.28, 0.15), strict=True):
            low, high = (curve.of(f"{target}_{edge}_{level}") for edge in ("low", "high"))
            panel.fill_between(
                range(curve.seconds), low, high, color=COLOURS[target], alpha=alpha, lw=0, label=f"{level} %"
            )
        panel.plot(labels[:, place], "--", color="#444444", lw=1.2, label="labels")
        panel.plot(curve.of(target), color=COLOURS[target], lw=2.2, label="smoothed curve")
        panel.set(ylim=(-1.05, 1.05), xlim=(0, curve.seconds - 1))
        panel.set_title(target.capitalize(), loc="left", color=COLOURS[target], fontweight="bold")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False)
    panels[1].set_xlabel("second of the film")
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="directory of films, models and curves (default: a temporary one)")
    parser.add_argument("--picture", help="also draws a film's bands to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(arguments.output or temporary)
        root.mkdir(parents=True, exist_ok=True)
        models = prepare_models(root)
        curves = {
            name: score(root, exports, root / "scores" / name[:5], "calibration,test")
            for name, exports in models.items()
        }
        print("\n| model | target | level | calibration films | coverage | its spread over divisions | mean width |")
        print("|---|---|---|---|---|---|---|")
        for name, of_films in curves.items():
            for target in TARGETS:
                for level, calibration in ((80, 4), (80, 30), (95, 19), (95, 30)):
                    held, spread, width = divided(root, of_films, calibration, level, target)
                    print(
                        f"| {name} | {target} | {level} % | {calibration} | {held:.1%} | {spread:.1%} | {width:.3f} |"
                    )
        print("\n| ensemble | target | level | coverage | mean width |\n|---|---|---|---|---|")
        for target in TARGETS:
            for level in LEVELS:
                for scaled in (False, True):
                    held, _, width = divided(root, curves["ensemble"], 30, level, target, scaled)
                    what = "scaled by its spread" if scaled else "constant width"
                    print(f"| {what} | {target} | {level} % | {held:.1%} | {width:.3f} |")
        data = ["--records", root / "features", "--manifest", root / "films.csv"]
        for name, exports in models.items():
            print(f"\n{name}, cineaffect calibrate on {SPLITS['calibration']} films, measured on {SPLITS['test']}:")
            before = os.times()
            run("calibrate", "--model", exports, *data)
            after = os.times()
            print(f"core seconds: {after.user + after.system - before.user - before.system:.1f}")
        if arguments.picture:
            draw(root, score(root, models["ensemble"], root / "scores/bands", "test"), arguments.picture)


if __name__ == "__main__":
    main()
