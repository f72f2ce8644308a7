"""The gain of shared batches: short clips one at a time, and several at once in one process.

    python -m benchmarks.shared_batches                           # 16 clips of 4 s, batches of 16: a few core minutes
    python -m benchmarks.shared_batches --clips 32 --at-once 8 --batch-size 64

The extract job over clips of the demo (they have faces and sound), with untrained networks and all three modalities:
one film at a time, as on a CPU by default, and with `device.share_batches` and a thread per film, as on a GPU. The
table
counts each run of a network: batches, and their rows that are not padding. Core seconds are processor time (user and
system) of the job and all its processes; a run over one clip, which is mostly start-up, has its own row.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cpu_time import run_measured

NETWORKS = ("InceptionV3Image", "VGGishAudio", "InceptionResnetV1Face")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=4, help="length of a clip")
    parser.add_argument("--at-once", type=int, default=16, help="films at once where they share batches")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--one", nargs=4, metavar=("MANIFEST", "OUTPUT", "WORKERS", "SHARE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        return run_job(*arguments.one, arguments.batch_size)
    table = Table("films at once", *(f"{name}: batches, rows a batch" for name in NETWORKS), "core s", box=None)
    with tempfile.TemporaryDirectory(prefix="cineaffect-shared-") as name:
        from beam_pipelines.demo.films import make_demo_films

        folder = Path(name)
        clips = make_demo_films(folder / "data", films=arguments.clips, seconds=arguments.seconds, seed=2018)
        one = folder / "data" / "one.csv"
        one.write_text("".join(clips.read_text().splitlines(keepends=True)[:2]))
        for title, manifest, at_once in (
            ("1", clips, 1),
            (f"{arguments.at_once}, sharing", clips, arguments.at_once),
            ("1, of one clip", one, 1),
        ):
            output, share = folder / f"out{len(table.rows)}", str(at_once > 1).lower()
            command = [sys.executable, "-m", "benchmarks.shared_batches", f"--batch-size={arguments.batch_size}"]
            spent = run_measured([*command, "--one", str(manifest), str(output), str(at_once), share])
            counted = json.loads((output / "batches.json").read_text())
            table.add_row(title, *(describe(counted.get(name, [])) for name in NETWORKS), f"{spent.cpu_s:.1f}")
    Console(width=160).print(table)
    return 0


def describe(rows: Sequence[int]) -> str:
    """`5, 12.8` for five batches with so many rows on average."""
    return f"{len(rows)}, {np.mean(rows):.1f}" if rows else "0"


def run_job(manifest: str, output: str, workers: str, share: str, batch_size: int) -> int:
    """Runs the job in this process and writes down the rows of each batch."""
    from beam_pipelines import extract
    from beam_pipelines.extractors.networks.published_network import PublishedNetwork

    rows: dict[str, list[int]] = {}
    run = PublishedNetwork.__call__

    def counting(network: PublishedNetwork, inputs: np.ndarray) -> Any:
        real = int(np.any(inputs.reshape(len(inputs), -1) != 0, axis=1).sum())
        rows.setdefault(type(network).__name__, []).append(real)
        return run(network, inputs)

    PublishedNetwork.__call__ = counting  # type: ignore[method-assign]
    settings = [f"--set=device.share_batches={share}", f"--workers={workers}"]
    for modality in ("image", "audio", "face"):
        settings += [f"--set={modality}.weights=untrained", f"--set={modality}.batch_size={batch_size}"]
    code = extract.main(["--films", manifest, "--output", output, *settings])
    Path(output, "batches.json").write_text(json.dumps(rows))
    return code


if __name__ == "__main__":
    sys.exit(main())
