"""The largest memory of each process when a Flink cluster sums up a run and looks through its table.

    python -m benchmarks.million_on_flink --cache ~/flink                # a million films, 100,000 scored ones
    python -m benchmarks.million_on_flink --cache ~/flink --films 100000 --only outcomes

Each step has a cluster of its own on this machine: one TaskManager with two slots (`deploy/flink`). `outcomes` and
`table_of_a_second_run` are the steps of `benchmarks.million_films`; `score` is the whole command over records whose
films are all in the table already: it lists the records, looks every film up in the table, sums up and ends.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.million_films import SHARDS, film_id

DEPLOY = Path(__file__).resolve().parents[1] / "deploy" / "flink"
STEPS = ("outcomes", "table_of_a_second_run", "score")
LINKS = 50_000
"""So many names a file gets; file systems allow 65,000."""
_LOOK_EVERY_S = 0.25


@dataclass
class Peak:
    """A process: its largest memory so far, core seconds, and the heap that a JVM may have."""

    mib: float
    core_s: float
    heap: str


def main(argv: Sequence[str] | None = None) -> int:
    """Takes each step on a cluster of its own and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the jars, from deploy/flink/cluster.py")
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--scored", type=int, default=100_000, help="films of the step score")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    arguments = parser.parse_args(argv)
    sys.path.insert(0, str(DEPLOY))
    import cluster

    print("| step | films | process | peak MiB | core s | heap |\n|---|---|---|---|---|---|")
    for step in arguments.only:
        with tempfile.TemporaryDirectory(prefix="cineaffect-flink-") as folder:
            root = Path(folder)
            films = arguments.scored if step == "score" else arguments.films
            command = _score(root, films) if step == "score" else _measure(root, films, step)
            running = cluster.start(arguments.cache, root / "cluster", task_managers=1)
            try:
                # A worker for each step, as on a cluster of one's own: it holds what its step holds.
                options = [*running.options, "--environment_cache_millis=0"]
                peaks = _watched(command(options), running.processes)
            finally:
                cluster.stop(root / "cluster")
            for name, peak in peaks.items():
                print(f"| {step} | {films:,} | {name} | {peak.mib:.0f} | {peak.core_s:.0f} | {peak.heap} |", flush=True)
    return 0


def _measure(root: Path, films: int, step: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.million_films", f"--films={films}", f"--measure={step}"]
    return lambda options: [*command, f"--folder={root}", f"--beam-options={' '.join(options)}"]


def _score(root: Path, films: int) -> Any:
    """Records and the table that a first run would have left; the command of the second run."""
    from beam_pipelines.contracts.curves.curve_table import part_uri, shard_of, write_part
    from beam_pipelines.contracts.curves.curves import AffectCurve
    from beam_pipelines.contracts.curves.done_marker import DoneMarker, record_checksum
    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.contracts.models.exported_model import find_model
    from beam_pipelines.contracts.records.tfrecord import write_frames
    from beam_pipelines.score import curve_files

    records = root / "records"
    records.mkdir()
    for number in range(films):
        if number % LINKS == 0:
            write_frames(root / f"record {number}", [b"a header", b"features"])
        os.link(root / f"record {number - number % LINKS}", records / f"{film_id(number)}.tfrecord")
    files = curve_files(find_model("builtin:signals"), ScoreConfig(csv=False, plots=False), str(root / "out"))
    checksum = record_checksum(str(root / "record 0"))
    parts: list[list[DoneMarker]] = [[] for _ in range(SHARDS)]
    for number in range(films):
        marker = DoneMarker(film_id(number), files.scorer, checksum, 1, 0, source_sha256=f"{number:064x}")
        parts[shard_of(marker.film_id, SHARDS)].append(marker)
    value = [[0.0]] * 2
    for shard, markers in enumerate(parts):
        write_part(
            part_uri(str(root / "out"), shard, SHARDS),
            markers,
            lambda marker: AffectCurve(marker.film_id, arousal=value[0], arousal_raw=value[1]),
            files.columns,
        )
    command = [sys.executable, "-m", "beam_pipelines.score", f"--records={records}", "--model=builtin:signals"]
    return lambda options: [*command, f"--output={root / 'out'}", "--set=csv=false", "--set=plots=false", *options]


def _watched(command: Sequence[str], cluster: dict[str, int]) -> dict[str, Peak]:
    """Runs a command; the peaks of its process, of the cluster's, and of the workers that those have started."""
    peaks: dict[int, Peak] = {}
    names: dict[int, str] = {pid: name for name, pid in cluster.items()}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as driver:
        names[driver.pid] = "driver"
        while driver.poll() is None:
            _look(peaks, names)
            time.sleep(_LOOK_EVERY_S)
    if driver.returncode:
        raise subprocess.CalledProcessError(driver.returncode, command)
    return {f"{names[pid]}": peaks[pid] for pid in sorted(peaks, key=lambda pid: names[pid])}


def _look(peaks: dict[int, Peak], names: dict[int, str]) -> None:
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            parent = int(fields[1])
            if pid not in names and parent in names:
                names[pid] = f"Python worker {sum(name.startswith('Python') for name in names.values()) + 1}"
            if pid not in names:
                continue
            status = (path / "status").read_text()
            heap = re.search(rb"-Xmx(\w+)", (path / "cmdline").read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if peak := re.search(r"VmHWM:\s+(\d+)", status):
            core_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            peaks[pid] = Peak(int(peak.group(1)) / 1024, core_s, heap.group(1).decode() if heap else "")


if __name__ == "__main__":
    sys.exit(main())
