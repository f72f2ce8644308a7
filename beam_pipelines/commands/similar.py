"""`cineaffect similar`: the films of a scoring run that go the way of one of them, or of an arc that somebody wrote."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import at_least_one, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK

_BYS = ("shape", "level", "both")
_FOLDER = "similar"

EXAMPLES = """
examples:
  the twenty films whose curves have the shape of a film's, wherever they lie and however far they swing:
    cineaffect similar --scores scores --film first
  the films that go as a table of percent,valence says (0,-0.5 / 30,0.8 / 100,0), at the same level:
    cineaffect similar --scores scores --to arc.csv --by both --top 10

Curves of any length are compared over the share of the film that has passed, by dynamic time warping: a turn may come
up to a tenth of the film sooner or later. Distances: 0 is the same; by shape, in units of each film's own spread.
The arcs of all films are kept in SCORES/arcs.parquet (docs/formats.md), and made again when the scores have changed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect similar`: prints the table, writes it as CSV with a picture, and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.foundation.errors import ConfigurationError
    from beam_pipelines.report.arcs.arc_plots import plot_similar
    from beam_pipelines.report.arcs.arc_table import load_arcs
    from beam_pipelines.report.arcs.drawn_arc import read_arc
    from beam_pipelines.report.arcs.similar_films import short_name, similar_films, to_csv, to_lines
    from beam_pipelines.report.scoring.scoring_run import film_named, read_scoring_run

    run = read_scoring_run(arguments.scores)
    if run.own_range and arguments.by != "shape":
        raise ConfigurationError(
            f"--by {arguments.by}: this run's model gives every film a range of its own, so levels can't be compared; "
            "use --by shape"
        )
    arcs = load_arcs(run)
    if arguments.to:
        arc, left_out = read_arc(arguments.to, run.label_range), None
        name = arguments.to.rsplit("/", 1)[-1]
        file_name = name.rsplit(".", 1)[0]
    else:
        file_name = film_named(arguments.film, arcs.film_ids)
        left_out = arcs.film_ids.index(file_name)
        arc, name = arcs.take([left_out]), short_name(file_name)
    output = arguments.output or storage.join(arguments.scores, _FOLDER)
    # Another comparison of the same film is another file.
    file_name = ".".join(filter(None, (file_name, arguments.by if arguments.by != "shape" else "", arguments.target)))
    for_programs, picture = (storage.join(output, file_name + suffix) for suffix in (".csv", ".png"))
    if arguments.to and os.path.realpath(for_programs) == os.path.realpath(arguments.to):
        raise ConfigurationError(f"--output {output}: {arguments.to} itself would be replaced; name another folder")
    targets = _targets(arguments.target, arc.targets, arcs.targets)
    arc, arcs = arc.of(targets), arcs.of(targets)
    found = similar_films(arc, arcs, arguments.by, arguments.top, left_out)
    print(f"{len(found)} of {len(arcs)} films, nearest to {name} by {arguments.by} of {' and '.join(targets)}:")
    print("\n".join(to_lines(found, arcs)))
    storage.write_text(for_programs, to_csv(found, arcs))
    plot_similar(picture, f"Like {name}, by {arguments.by}", arc, arcs, found, arguments.by)
    print(f"similar: {for_programs}, {picture}")
    return EXIT_OK


def _targets(asked: str | None, of_arc: Sequence[str], of_films: Sequence[str]) -> list[str]:
    """What is compared: the targets that arc and films have, or the one that is asked for.

    Raises:
        ConfigurationError: if there is none.
    """
    from beam_pipelines.foundation.errors import ConfigurationError

    targets = [target for target in of_films if target in of_arc and asked in (None, target)]
    if not targets:
        wanted = f"--target {asked}: not" if asked else "nothing"
        raise ConfigurationError(
            f"{wanted} in both; what is compared has {', '.join(of_arc)}, the films have {', '.join(of_films)}"
        )
    return targets


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("similar", "Finds the films whose curves go the way of a given one.", EXAMPLES)
    parser.add_argument("--scores", required=True, help="directory of a finished cineaffect score, local or gs://")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--film", help="the film that others are compared with: its id or its name")
    to.add_argument(
        "--to",
        metavar="ARC.csv",
        help="a table instead: time_s (seconds from 0) or percent (0 to 100, points are joined by lines), and valence, "
        "arousal or both",
    )
    parser.add_argument("--by", choices=_BYS, default="shape", help="shape (default), level (mean and spread), or both")
    parser.add_argument("--target", choices=("valence", "arousal"), help="compare this curve alone (default: all)")
    parser.add_argument("--top", type=at_least_one, default=20, help="how many films (default: 20)")
    parser.add_argument(
        "--output",
        help="folder of NAME.csv and NAME.png, or NAME.both.csv, NAME.arousal.csv and so on (default: SCORES/similar)",
    )
    return parser
