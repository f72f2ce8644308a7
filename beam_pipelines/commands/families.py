"""`cineaffect families`: groups of films whose curves have one shape, and how far such groups exist at all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.command_line import guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK

if TYPE_CHECKING:
    from beam_pipelines.report.arcs.arcs import Arcs
    from beam_pipelines.report.arcs.families import Families

_FOLDER = "families"

EXAMPLES = """
examples:
  as many families as the films suggest:
    cineaffect families --scores scores --families auto
  five:
    cineaffect families --scores scores --families 5

Families are groups around films of the catalogue itself (k-medoids by PAM, on the shape of the curves). Silhouette: how
much nearer films are to their own family than to the next; below 0.25 that is hardly a structure. Stability: how far
the same families come back from half of the films (1: wholly; 0: as by chance). Above 2,000 films, the families are
found on a sample of 2,000, always the same, and the others are given to the nearest.
Each film's family is the column family of SCORES/arcs.parquet, and a filter on the page that cineaffect report writes
afterwards.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect families`: prints the figures, writes families and a picture, and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    from dataclasses import replace

    from beam_pipelines.report.arcs.arc_plots import plot_families
    from beam_pipelines.report.arcs.arc_table import load_arcs, table_uri, write_arcs
    from beam_pipelines.report.arcs.families import find_families
    from beam_pipelines.report.scoring.scoring_run import read_scoring_run

    run = read_scoring_run(arguments.scores)
    arcs = load_arcs(run)
    found = find_families(arcs, arguments.families)
    print("\n".join([*_divisions(found), "", *_families(arcs, found)]))
    arcs = replace(arcs, family=found.family)
    write_arcs(run, arcs)
    picture = storage.join(arguments.output or storage.join(arguments.scores, _FOLDER), "families.png")
    plot_families(picture, arcs, found)
    print(f"families: {table_uri(arguments.scores)}, {picture}")
    return EXIT_OK


def _divisions(found: Families) -> list[str]:
    from beam_pipelines.foundation.text_tables import aligned

    rows = [["families", "silhouette", "stability"]]
    for one in found.tried:
        chosen = "*" if one is found.chosen else ""
        rows.append([f"{one.families}{chosen}", f"{one.silhouette:.2f}", f"{one.stability:.2f}"])
    lines = aligned(rows, words=1)
    if found.sampled < len(found.family):
        lines.append(f"found on {found.sampled} of {len(found.family)} films; the others go to the nearest family")
    if not found.chosen.is_clear:
        lines.append(
            "These films don't fall into clear families (clear: silhouette from 0.25, stability from 0.8 on): read "
            "them as regions of one continuum."
        )
    return lines


def _families(arcs: Arcs, found: Families) -> list[str]:
    from beam_pipelines.foundation.text_tables import aligned
    from beam_pipelines.report.arcs.similar_films import short_name
    from beam_pipelines.report.arcs.story_shapes import TARGET, nearest_stories

    known = TARGET in arcs.targets
    rows = [["family", "in its middle", *(["nearest known story shape"] if known else []), "films"]]
    rows[0] += ["distance"] if known else []
    for number, medoid in enumerate(found.medoids, start=1):
        count = int((found.family == number).sum())
        cells, far = [], []
        if known:
            (name,), distance = nearest_stories(arcs.take([medoid]))
            cells, far = [name], [f"{distance[0]:.2f}"]
        rows.append([str(number), short_name(arcs.film_ids[medoid]), *cells, str(count), *far])
    lines = aligned(rows, words=3 if known else 2)
    if known:
        lines.append("(story shapes: Reagan et al. 2016, six arcs of valence; the nearest is a comparison, no claim)")
    return lines


def _number(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or not 2 <= int(text) <= 50:
        raise argparse.ArgumentTypeError(f"'{text}' is neither auto nor a number from 2 to 50")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("families", "Divides the films of a run into families by the shape of their curves.", EXAMPLES)
    parser.add_argument("--scores", required=True, help="directory of a finished cineaffect score, local or gs://")
    parser.add_argument(
        "--families", type=_number, default=None, metavar="auto|N", help="how many families, 2 to 50 (default: auto)"
    )
    parser.add_argument("--output", help="folder of the picture (default: SCORES/families)")
    return parser
