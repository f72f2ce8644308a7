"""The cost of starting: help, a run with nothing to do, and a small job; in core seconds.

    python -m benchmarks.starting                              # 5 minutes on 2 cores
    python -m benchmarks.starting --baseline ../before         # beside an earlier checkout, in turns

A number is user and system time of the command and all its descendants, the median of the turns. `import apache_beam`
is listed too, as the lower bound of a command that starts with Beam. The command exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beam_pipelines import cli
from benchmarks.cpu_time import run_measured

HELP_LIMIT_S, NOTHING_LIMIT_S, SMALL_LIMIT_S = 0.5, 6.0, 15.0
UNTRAINED = [f"--set={modality}.weights=untrained" for modality in ("image", "audio", "face")]


@dataclass(frozen=True)
class Row:
    """One command that is measured.

    Attributes:
        name: for the table.
        arguments: of Python; `{turn}` stands for what no other turn has.
        limit_s: core seconds that it may take; None for an alternative.
        skips: films that it must find done.
    """

    name: str
    arguments: tuple[str, ...]
    limit_s: float | None = None
    skips: int = 0


def main() -> int:
    """Prints the table; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", help="a checkout of an earlier commit, whose commands are measured too")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--films", type=int, nargs="+", default=[3, 1000], help="films of runs with nothing to do")
    parser.add_argument("--only", default="", help="rows whose names have this in them")
    parser.add_argument("--folder", help="keeps films, records and model for another call; made where it is absent")
    arguments = parser.parse_args()
    checkouts = [os.path.abspath(place) for place in (".", arguments.baseline) if place]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary).absolute()
        rows = [row for row in _rows(folder, arguments.films) if arguments.only in row.name]
        if any(str(folder) in word for row in rows for word in row.arguments):
            _make(folder, arguments.films)
        head = ["core seconds", "limit", "now", *(["before"] if arguments.baseline else []), "of the limit"]
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        broken = False
        for row in rows:
            spent = _measure(row, checkouts, arguments.turns, folder)
            share = "" if row.limit_s is None else f"{spent[0] / row.limit_s:.2f}"
            broken |= row.limit_s is not None and spent[0] > row.limit_s
            limit = "" if row.limit_s is None else f"{row.limit_s:g}"
            print(f"| {' | '.join([row.name, limit, *(f'{s:.2f}' for s in spent), share])} |", flush=True)
    return int(broken)


def _rows(folder: Path, counts: list[int]) -> Iterator[Row]:
    yield Row("`import apache_beam`", ("-c", "import apache_beam"))
    for name in cli.COMMANDS:
        yield Row(f"`cineaffect {name} --help`", ("-m", "beam_pipelines.cli", name, "--help"), HELP_LIMIT_S)
    yield Row("`python -m beam_pipelines.score --help`", ("-m", "beam_pipelines.score", "--help"), HELP_LIMIT_S)
    for count in counts:
        films, features, done = (str(folder / f"{what}{count}") for what in ("films", "extracted", "done"))
        extract = ("extract", "--films", films, "--output", features, *UNTRAINED)
        yield Row(f"`extract`, {count:,} films, nothing to do", _command(*extract), NOTHING_LIMIT_S, count)
        score = ("score", "--records", str(folder / f"clips{count}"), "--model", str(folder / "exports"))
        finished = _command(*score, "--output", done, "--set=plots=false")
        yield Row(f"`score`, {count:,} films, nothing to do", finished, NOTHING_LIMIT_S, count)
    small = ("score", "--records", str(folder / "minutes"), "--model", str(folder / "exports"))
    yield Row("`score`, three films of a minute, with plots", _command(*small, "--output", "{turn}"), SMALL_LIMIT_S)


def _command(*words: str) -> tuple[str, ...]:
    return ("-m", "beam_pipelines.cli", *words)


def _measure(row: Row, checkouts: list[str], turns: int, folder: Path) -> list[float]:
    """The median core seconds in each checkout, taken in turns."""
    spent: list[list[float]] = [[] for _ in checkouts]
    for turn in range(turns):
        for number, checkout in enumerate(checkouts):
            output = str(folder / f"turn-{os.getpid()}-{turn}-{number}")
            words = [word.replace("{turn}", output) for word in row.arguments]
            spent[number].append(run_measured([sys.executable, *words], {"PYTHONPATH": checkout}, checkout).cpu_s)
            if row.skips:
                manifest = json.loads(Path(words[words.index("--output") + 1], "run_manifest.json").read_text())
                assert manifest["films"]["skipped"] == row.skips, manifest["films"]
    return [statistics.median(of_one) for of_one in spent]


def _make(folder: Path, counts: list[int]) -> None:
    """Films that are extracted and clips that are scored already, three films to be scored, and a model."""
    from benchmarks import scoring_models

    if not (folder / "exports").exists():
        scoring_models.export(scoring_models.make_networks(1), folder / "exports" / "1")
        for number in range(3):
            scoring_models.write_film(str(folder / "minutes" / f"film{number}.tfrecord"), number, 60)
    for count in counts:
        if (folder / f"done{count}").exists():
            continue
        clip = folder / f"clips{count}" / "clip0.tfrecord"
        scoring_models.write_film(str(clip), 0, 2)
        for number in range(1, count):
            clip.with_stem(f"clip{number}").write_bytes(clip.read_bytes())
        _write_extracted(folder / f"films{count}", folder / f"extracted{count}", count)
        words = next(row for row in _rows(folder, [count]) if row.name.startswith("`score`, ")).arguments
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def _write_extracted(films: Path, directory: Path, count: int) -> None:
    """Files that are no films, and records of a second as `extract` would have left them."""
    import numpy as np

    from beam_pipelines.contracts.records import records
    from beam_pipelines.contracts.records.feature_track import FeatureTrack, slots_of
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.extractors.configured_networks import describe_tracks
    from benchmarks.scoring_models import DIMENSIONS

    untrained = {modality: {"weights": "untrained"} for modality in DIMENSIONS}
    descriptions = describe_tracks(ExtractConfig.model_validate(untrained))
    films.mkdir()
    for number in range(count):
        film = films / f"film{number}.mp4"
        film.write_bytes(b"no film")
        tracks = {
            modality: FeatureTrack(
                np.zeros((1, size), np.float32),
                np.zeros((1, slots_of(modality)), np.float32),
                np.zeros(1, np.int64),
                descriptions[modality],
            )
            for modality, size in DIMENSIONS.items()
        }
        header = records.RecordHeader(film.name, str(film), film.stat().st_size, f"{number:064x}", 1, 1_000_000, 0)
        records.write_record(records.make_record(header, tracks), records.record_uri(str(directory), film.name))


if __name__ == "__main__":
    sys.exit(main())
