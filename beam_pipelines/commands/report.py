"""`cineaffect report`: the page of a scoring run (with markers for other tools), of a training run or of a study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import add_config_file, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError

EXAMPLES = """
examples:
  the page of a run, in curves/report/index.html:
    cineaffect report --scores curves
  with the films themselves, their labels, thumbnails, and the tracks of faces and sound:
    cineaffect report --scores curves --records features --manifest films.csv --thumbnails
  labels that are read otherwise than by default, with the file that the training had:
    cineaffect report --scores curves --manifest films.csv --config sliders.yaml
  of a training run, a study or Table 1, in run/report/index.html (train, tune and reproduce write it at their end):
    cineaffect report --run run

The page opens from disk. It plays films where they lie: if the page is moved without them, it lacks only the video.
Beside it, markers/ holds an EDL for DaVinci Resolve, a CSV for Premiere and WebVTT chapters and metadata of every film.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect report`: parses the command line, writes the page and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.run:
        from beam_pipelines.report.runs.run_pages import write_run_page

        print(f"report: {write_run_page(arguments.run, arguments.output)}")
        return EXIT_OK

    from beam_pipelines.contracts.runs import read_failures
    from beam_pipelines.films.catalogue import list_films
    from beam_pipelines.labels.config import load_label_config
    from beam_pipelines.report.arcs.arc_table import families_of
    from beam_pipelines.report.scoring.scoring_run import read_scoring_run
    from beam_pipelines.report.scoring.sheet_maker import SheetMaker, write_report

    run = read_scoring_run(arguments.scores)
    labels = load_label_config(arguments.config, run.label_range, run.label_lag_s)
    if arguments.records and not storage.list_files(arguments.records):
        raise ConfigurationError(f"--records {arguments.records}: no such folder, or nothing lies in it")
    records = arguments.records or records_beside(arguments.scores)
    maker = SheetMaker(
        output=arguments.output or storage.join(arguments.scores, "report"),
        label_range=run.label_range,
        own_range=run.own_range,
        films={film.film_id: film for film in list_films(arguments.manifest, needs_path=False)}
        if arguments.manifest
        else {},
        records=records,
        modalities=run.modalities,
        smoothing=run.smoothing,
        agreement=run.agreement(),
        warnings=run.warnings(),
        families=families_of(run),
        failures={film.film_id: film for film in run.failures},
        thumbnails=arguments.thumbnails,
        rate_hz=arguments.frame_rate,
        label_config=labels.with_targets_of(arguments.scores, run.targets),
        start_timecode=arguments.start_timecode or "",
    )
    failed = read_failures(records).values() if records else ()
    before = [film for film in failed if not maker.films or film.film_id in maker.films]
    page = write_report(run, maker, before, progress=sys.stderr.isatty())
    if maker.without_labels:
        film_id, why = next(iter(maker.without_labels.items()))
        print(f"report: films whose labels aren't drawn: {len(maker.without_labels)}; the first, {film_id}: {why}")
    print(f"report: {page}")
    return EXIT_OK


def records_beside(scores: str) -> str | None:
    """The directory of records that a scoring run made itself, if it has one."""
    own = storage.join(scores, "records")
    return own if storage.list_files(own) else None


def _frame_rate(text: str) -> Fraction:
    """The timeline rate of a text such as `25`, `23.976` or `24000/1001`."""
    from beam_pipelines.report.markers.timecode import nearest_rate

    try:
        rate_hz = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate_hz = Fraction(0)
    nearest = nearest_rate(rate_hz).rate_hz
    if abs(nearest - rate_hz) > Fraction(1, 100):
        raise argparse.ArgumentTypeError(f"'{text}' is no frame rate of a timeline, such as 23.976, 25 or 29.97")
    return nearest


def _timecode(text: str) -> str:
    from beam_pipelines.contracts.records.file_clock import is_timecode

    if not is_timecode(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no timecode, such as 10:00:00:00, or 10:00:00;00 in drop-frame")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "report", "Writes a page of a run to look at; for a scoring run also markers for other tools.", EXAMPLES
    )
    of = parser.add_mutually_exclusive_group(required=True)
    of.add_argument("--scores", help="directory of a finished cineaffect score, local or gs://")
    of.add_argument("--run", help="directory of a cineaffect train, tune or reproduce; only --output goes with it")
    parser.add_argument(
        "--records",
        help="directory of feature records: faces, sound and exact length (default: SCORES/records if it exists)",
    )
    parser.add_argument("--manifest", help="CSV manifest with the films and their labels")
    add_config_file(
        parser, help="YAML file; its section train.labels says how the labels are read (layout, origin, range)"
    )
    parser.add_argument("--output", help="folder of the page (default: SCORES/report or RUN/report)")
    parser.add_argument(
        "--thumbnails", action="store_true", help="pictures along the time axis, if the films are available"
    )
    add_timecode(parser)
    return parser


def add_timecode(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how editing programs count, as `frame_rate` and `start_timecode`."""
    parser.add_argument(
        "--frame-rate", type=_frame_rate, help="frame rate of the timecode (default: each film's own, else 25)"
    )
    parser.add_argument(
        "--start-timecode",
        type=_timecode,
        help="timecode of the file's start in the EDL (default: the film's own timecode track, else 01:00:00:00)",
    )
