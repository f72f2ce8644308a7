"""The limits at a million films: each step that grows with their number, alone, in its own process.

    python -m benchmarks.million_films                        # a million of each; about an hour and 10 GB of disk
    python -m benchmarks.million_films --films 20000 --only manifest listing graph

Names are made up and films have no work: this measures the overhead of the product's functions and transforms per film.
The table has core seconds, which other work on the machine does not change, seconds of wall clock, and the peak memory
of the process above its memory before the step.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SHARDS = 16
LIMIT_MIB = 8 * 1024
SCORER, RECORD = "s" * 64, "r" * 64
BEAM_OPTIONS = ["--runner=FnApiRunner"]


def film_id(number: int) -> str:
    """A name that compresses as badly as a title does."""
    return f"{(number * 2654435761) % 2**32:08x} a film of the catalogue {number:07d}.mp4"


def manifest(root: Path, films: int) -> Iterator[str]:
    """The manifest is read, held against itself for films that are there twice, and dealt out to lists."""
    from beam_pipelines.extraction.earlier_runs import ListedFilm
    from beam_pipelines.films.catalogue import list_films
    from beam_pipelines.films.work_lists import write_work_list
    from beam_pipelines.launch.local_work import largest_first

    path = root / "films.csv"
    with path.open("w") as file:
        file.write("film_id,path,split\n")
        file.writelines(f"{film_id(n)},gs://bucket/films/{film_id(n)},test\n" for n in range(films))
    yield "start"
    ordered = largest_first(list_films(str(path)))
    assert write_work_list(ordered, lambda film: ListedFilm(film).row(), str(root), "extract").films == films
    yield f"{_status_mib('VmHWM'):.0f} MiB with Python and Beam"


def listing(root: Path, films: int) -> Iterator[str]:
    """A directory of records is listed."""
    from beam_pipelines.contracts.records.records import list_records

    folder = root / "features"
    _touch(folder, films, ".tfrecord")
    yield "start"
    assert len(list_records(str(folder))) == films


def progress(root: Path, films: int) -> Iterator[str]:
    """The progress display looks once at a directory of curves and done markers."""
    from beam_pipelines.launch.progress import Tally

    _touch(root / "out" / "curves", films, ".csv")
    tally = Tally(str(root / "out"), films, ".csv")
    yield "start"
    tally.look()


def graph(root: Path, films: int) -> Iterator[str]:
    """The graph that reads the films from lists; its size is what goes to the runner and to every worker."""
    import apache_beam as beam

    from beam_pipelines.transforms.films_to_score import FromRecords

    source = FromRecords(_films_to_score(films)).listed(str(root))
    yield "start"
    pipeline = beam.Pipeline(runner="FnApiRunner")
    source.films(pipeline)
    yield f"{pipeline.to_runner_api().ByteSize() / 2**10:.1f} KiB of graph"


def handing_out(root: Path, films: int) -> Iterator[str]:
    """The local runner hands the films to workers, and counts them."""
    from beam_pipelines.transforms.films_to_score import FromRecords

    source = FromRecords(_films_to_score(films)).listed(str(root))
    yield "start"
    with _pipeline() as pipeline:
        ((handed,), *_) = source.films(pipeline)
        _expect(handed, films)


def markers(root: Path, films: int) -> Iterator[str]:
    """All films are looked up among the done markers beside their CSV files: a run in which everything is done."""
    from beam_pipelines.contracts.curves.done_marker import to_json
    from beam_pipelines.scoring.curve_files import CurveFiles, FinishedFilms

    files = CurveFiles(str(root / "csv"), True, False, SHARDS, SCORER)
    folder = root / "csv" / "curves"
    folder.mkdir(parents=True)
    for number in range(films):
        with open(f"{folder}/{film_id(number)}.json", "w") as file:
            file.write(to_json(_marker(number)))
        os.mknod(f"{folder}/{film_id(number)}.csv")
    yield "start"
    finished = FinishedFilms(files)
    assert all(finished.marker_of(film_id(number), RECORD) for number in range(films))


def table(root: Path, films: int) -> Iterator[str]:
    """The Parquet table is written from curves of 60 s, part by part, as a run without CSV files leaves it."""
    from beam_pipelines.contracts.curves.curve_table import list_parts

    yield "start"
    _write_table(root, films, 60)
    sizes = [Path(uri).stat().st_size for uri in list_parts(str(root / "table"))]
    yield f"{len(sizes)} parts, the largest {max(sizes) / 2**20:.0f} MiB"


def skipping(root: Path, films: int) -> Iterator[str]:
    """All films are looked up in the footers of the table: a run in which everything is done, without CSV files."""
    from beam_pipelines.scoring.curve_files import FinishedFilms

    files = _write_table(root, films, 1)
    yield "start"
    finished = FinishedFilms(files)
    assert all(finished.marker_of(film_id(number), RECORD) for number in range(films))


def table_of_a_second_run(root: Path, films: int) -> Iterator[str]:
    """The done markers of skipped films are grouped by part on the local runner, and no part is written again."""
    import apache_beam as beam

    from beam_pipelines.scoring.scored_film import FilmToScore, ScoredFilm, SkippedFilm
    from beam_pipelines.transforms.write_curves import TABLE_TAG, WriteCurves

    files = _write_table(root, films, 1)
    yield "start"
    with _pipeline() as pipeline:
        numbers = pipeline | beam.Create(range(0, films, 1000))
        skipped = numbers | beam.FlatMap(
            lambda first: [
                SkippedFilm(FilmToScore(film_id(n), "", ""), _marker(n)) for n in range(first, min(first + 1000, films))
            ]
        )
        none = pipeline | "None" >> beam.Create([]).with_output_types(ScoredFilm)
        _expect(((none, skipped) | WriteCurves(files))[TABLE_TAG], 1)


def outcomes(root: Path, films: int) -> Iterator[str]:
    """The run manifest is summed up from all outcomes, one film in a hundred failed, on the local runner."""
    import apache_beam as beam

    from beam_pipelines.transforms.outcomes import WriteOutcomes

    yield "start"
    with _pipeline() as pipeline:
        firsts = pipeline | beam.Create(range(0, films, 1000))
        all_outcomes = firsts | beam.FlatMap(
            lambda first: [_outcome(number) for number in range(first, min(first + 1000, films))]
        )
        (all_outcomes,) | WriteOutcomes(str(root / "outcomes"), films, {}, 1.0)
    written = json.loads((root / "outcomes" / "run_manifest.json").read_text())
    assert written["films"]["in"] == films


STEPS: dict[str, Callable[[Path, int], Iterator[str]]] = {
    step.__name__: step
    for step in (
        manifest, listing, progress, graph, handing_out, markers, table, skipping, table_of_a_second_run, outcomes
    )
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Takes each step in a process of its own and prints a table; 1 where one took more than 8 GB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--folder", help="where files are made; a temporary folder without it")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--beam-options", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.beam_options:
        BEAM_OPTIONS[:] = arguments.beam_options.split()
    if arguments.measure:
        with tempfile.TemporaryDirectory(prefix="cineaffect-million-", dir=arguments.folder) as folder:
            print(json.dumps(measure(STEPS[arguments.measure], Path(folder), arguments.films)))
        return 0
    print(f"| {arguments.films:,} films | core s | s | peak MiB above | |\n|---|---|---|---|---|")
    too_much = False
    for name in arguments.only:
        command = [sys.executable, "-m", "benchmarks.million_films", f"--films={arguments.films}", f"--measure={name}"]
        command += [f"--folder={arguments.folder}"] if arguments.folder else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        figures = f"{row['core_s']:.1f} | {row['s']:.1f} | {row['mib']:.0f}"
        print(f"| {name.replace('_', ' ')} | {figures} | {row['said']} |", flush=True)
        too_much |= row["mib"] > LIMIT_MIB
    return int(too_much)


def measure(step: Callable[[Path, int], Iterator[str]], root: Path, films: int) -> dict[str, Any]:
    """Runs a step: up to its first `yield` it prepares, what it yields later is a remark."""
    import apache_beam  # noqa: F401 - loaded by every job, and no part of a step

    steps, said = step(root, films), ""
    next(steps)
    _reset_peak()
    before, started, core = _status_mib("VmRSS"), time.perf_counter(), time.process_time()
    for remark in steps:
        said = remark
    took = {"core_s": time.process_time() - core, "s": time.perf_counter() - started}
    return {**took, "mib": _status_mib("VmHWM") - before, "said": said}


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status_mib(key: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{key}:", 1)[1].split(None, 1)[0]) / 1024


@contextmanager
def _pipeline() -> Iterator[Any]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(BEAM_OPTIONS)) as pipeline:
        yield pipeline


def _expect(elements: Any, count: int) -> None:
    import apache_beam as beam

    def check(found: int) -> None:
        if found != count:
            raise ValueError(f"{found} came out of {count}")

    elements | "CountAll" >> beam.combiners.Count.Globally() | "Check" >> beam.Map(check)


def _touch(folder: Path, films: int, suffix: str) -> None:
    folder.mkdir(parents=True)
    for number in range(films):
        os.mknod(f"{folder}/{film_id(number)}{suffix}")  # half of what `Path.touch` takes


def _films_to_score(films: int) -> list[Any]:
    from beam_pipelines.contracts.records.records import record_uri
    from beam_pipelines.scoring.scored_film import FilmToScore

    uris = (record_uri("gs://bucket/catalogue/features", film_id(number)) for number in range(films))
    return [FilmToScore(film_id(number), uri, uri) for number, uri in enumerate(uris)]


def _marker(number: int) -> Any:
    from beam_pipelines.contracts.curves.done_marker import DoneMarker

    return DoneMarker(film_id(number), SCORER, RECORD, 60, 0)


def _outcome(number: int) -> Any:
    from beam_pipelines.contracts.runs import DONE, FAILED, FilmOutcome

    uri = f"gs://bucket/films/{film_id(number)}"
    if number % 100:
        return FilmOutcome(film_id(number), uri, DONE, film_s=60.0)
    return FilmOutcome(film_id(number), uri, FAILED, "probe", "unreadable", "not a film")


def _write_table(root: Path, films: int, seconds: int) -> Any:
    from beam_pipelines.contracts.curves.curve_table import part_uri, shard_of, write_part
    from beam_pipelines.contracts.curves.curves import AffectCurve
    from beam_pipelines.scoring.curve_files import CurveFiles

    output = str(root / "table")
    values = np.random.default_rng(0).uniform(-1, 1, (4, seconds))
    parts: list[list[Any]] = [[] for _ in range(SHARDS)]
    for number in range(films):
        parts[shard_of(film_id(number), SHARDS)].append(_marker(number))
    for shard, members in enumerate(parts):
        write_part(part_uri(output, shard, SHARDS), members, lambda marker: AffectCurve(marker.film_id, *values))
    return CurveFiles(output, False, False, SHARDS, SCORER)


if __name__ == "__main__":
    sys.exit(main())
