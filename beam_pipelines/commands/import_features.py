"""`cineaffect import-features`: features that others computed in, the same feature records out."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from fractions import Fraction

from beam_pipelines.films.mediaeval2018 import KINDS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import comma_separated, guarded, make_parser, parse_known
from beam_pipelines.foundation.errors import ConfigurationError

EXAMPLES = """
examples:
  the organisers' features of MediaEval 2018, all existing kinds:
    cineaffect import-features --mediaeval2018 data --output features
  those of the paper's baseline only:
    cineaffect import-features --mediaeval2018 data --kinds fc6,emobase2010 --output features
  your own features: a folder of <film_id>.csv with a header; a column time_s says when a row is, in seconds, and
  several rows a second are averaged (docs/formats.md):
    cineaffect import-features --csv mine --name my_features --version 1 --output features

An existing record keeps its length and its other features. If there is none, name the films (--films, or the films of
the data set itself): the record then knows its film, and `cineaffect extract` adds to it. Without them a later extract
begins a new record. Then: prepare, and train with --set model.modalities=[fc6,emobase2010].

The table of defects, failures.jsonl and run_manifest.json lie in OUTPUT/import-NAME/. A second run does only what is
missing or has changed. exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed,
4 too many failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect import-features`: parses the command line, runs the job and returns its exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments, beam_arguments = parse_known(_parser(), argv)
    for given, needed in (("name", "csv"), ("version", "csv"), ("rate", "csv"), ("kinds", "mediaeval2018")):
        if getattr(arguments, given) and not getattr(arguments, needed):
            raise ConfigurationError(f"--{given} goes with --{needed}")

    from beam_pipelines.films.work_lists import write_work_list
    from beam_pipelines.import_features import define_pipeline
    from beam_pipelines.importing.feature_import import FilmImport
    from beam_pipelines.importing.listed_imports import csv_imports, mediaeval_imports
    from beam_pipelines.launch import job
    from beam_pipelines.launch.progress import watch

    options = job.beam_options(beam_arguments, arguments.workers)
    if arguments.csv:
        films, descriptions = csv_imports(
            arguments.csv, arguments.name, arguments.version, arguments.films, arguments.rate
        )
    else:
        kinds = comma_separated(arguments.kinds)
        films, descriptions = mediaeval_imports(arguments.mediaeval2018, kinds, arguments.films)
    run_folder = storage.join(arguments.output, f"import-{arguments.name or 'mediaeval2018'}")
    job.check_output(run_folder)
    listed = write_work_list(films, FilmImport.row, run_folder, "import-features")
    with watch(arguments.output, len(films), ".tfrecord"):
        code = job.run(
            lambda pipeline: define_pipeline(
                pipeline, listed, arguments.output, run_folder, descriptions, arguments.failure_threshold
            ),
            options,
            run_folder,
            len(films),
            lists=[listed],
        )
    _print_defects(run_folder)
    return code


def _print_defects(run_folder: str) -> None:
    from beam_pipelines.transforms.import_films import DEFECTS

    rows = list(csv.DictReader(io.StringIO(storage.read_text(storage.join(run_folder, DEFECTS)))))
    for kind in sorted({row["kind"] for row in rows}):
        of_kind = [row for row in rows if row["kind"] == kind]
        found = []
        for defect in list(rows[0])[4:]:
            affected = [int(row[defect]) for row in of_kind if int(row[defect])]
            found += [f"{defect} {sum(affected)} (films: {len(affected)})"] if affected else []
        print(f"{kind:<16} {'; '.join(found) or 'no defect'}")
    print(f"defects by film: {storage.join(run_folder, DEFECTS)}")


def _rate(text: str) -> Fraction:
    """The rate of a text such as `25`, `29.97` or `30000/1001`."""
    try:
        rate_hz = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate_hz = Fraction(0)
    if not 0 < rate_hz <= 1_000_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no rate, such as 25 or 30000/1001")
    return rate_hz


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "import-features", "Puts features that others computed, as one row per second, into feature records.", EXAMPLES
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mediaeval2018", metavar="DIR", help="data set in the organisers' layout, local or gs://")
    source.add_argument("--csv", metavar="DIR", help="folder or quoted glob of <film_id>.csv (or .tsv)")
    parser.add_argument("--output", required=True, help="directory of feature records; existing ones are added to")
    parser.add_argument("--films", default="", help="the films themselves: folder, quoted glob, or CSV manifest")
    parser.add_argument("--kinds", default="", help=f"with --mediaeval2018: some of {','.join(KINDS)}")
    parser.add_argument("--name", default="", help="with --csv: name of the modality")
    parser.add_argument("--version", default="", help="with --csv: how the features were made; part of the fingerprint")
    parser.add_argument(
        "--rate", type=_rate, help="with --csv: frames a second of the column frame, or rows a second without a clock"
    )
    parser.add_argument("--failure-threshold", type=float, default=0.5, metavar="SHARE", help="as extract's (0.5)")
    parser.add_argument("--workers", type=int, default=0, help="local runner only: worker processes")
    return parser
