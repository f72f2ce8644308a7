"""`cineaffect ratings check`: how well the raters of every film agree, before anything is trained on them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from beam_pipelines.foundation.command_line import add_configuration, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError

if TYPE_CHECKING:
    from beam_pipelines.films.catalogue import Film
    from beam_pipelines.labels.config import LabelConfig

EXAMPLES = """
examples:
  cineaffect ratings check --manifest films.csv --config ratings.yaml
  only what is learned from, and shorter stretches without a change:
    cineaffect ratings check --manifest films.csv --config ratings.yaml --splits train --dead-stretch 30

PCC and CCC are means over all pairs of raters. Alpha is Cronbach's: how reliable the mean of all raters is. "1 against
others" is what `train` and `evaluate` print as "raters" (standardised, if labels.raters.standardise says so), but for
seconds outside the film: the check reads the ratings alone, and doesn't know where a film ends. labels.lag_s changes
nothing here, since it moves all raters.
Named besides: raters who gave one value throughout or for long, who come later or earlier than the others,
run against them, or have another one's values. A curve is one target of one film.
exit codes: 0 all read, 1 an outage (run it again), 2 configuration error: a file or a key is wrong.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect ratings check` and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.films.catalogue import films_of_splits, read_manifest
    from beam_pipelines.foundation.configuration import load_section
    from beam_pipelines.labels.config import TABLE
    from trainer.foundation.config import TrainConfig

    labels = load_section("train", TrainConfig, arguments.config, arguments.overrides).labels
    if labels.layout != TABLE:
        raise ConfigurationError(
            f"train.labels.layout: files of '{labels.layout}' have one value for all raters; raters are in tables "
            f"(layout: {TABLE})"
        )
    films = read_manifest(arguments.manifest)
    if arguments.splits:
        films = films_of_splits(films, arguments.splits.split(","), arguments.manifest)
    films = [film for film in films if film.labels]
    if not films:
        raise ConfigurationError(f"{arguments.manifest}: no film has labels")
    print(render(films, labels, arguments.dead_stretch))
    return EXIT_OK


def render(films: Sequence[Film], labels: LabelConfig, dead_s: int) -> str:
    """The table of all films, and what to look at below it."""
    import numpy as np

    from beam_pipelines.foundation.tables.reading import TableError
    from beam_pipelines.foundation.text_tables import aligned
    from beam_pipelines.labels.annotations import on_one_scale
    from beam_pipelines.labels.rated import read_ratings
    from trainer.evaluation.agreement import agreement, lines_of
    from trainer.evaluation.evaluate import FilmLabels
    from trainer.evaluation.rater_rows import rater_rows

    cells = [["film", "target", "raters", "seconds", "PCC", "CCC", "alpha", "1 against others: PCC", "CCC"]]
    rated, found = [], []
    for film in films:
        try:
            ratings, _ = read_ratings(film.labels, labels, film.film_id)
        except TableError as error:
            raise ConfigurationError(str(error)) from error
        except FileNotFoundError as error:
            raise ConfigurationError(f"{error.filename or film.labels}: no such label file") from error
        everywhere = np.ones(len(ratings.values), bool)
        moved = replace(ratings, values=on_one_scale(ratings, labels))
        rated.append(FilmLabels(film.film_id, np.zeros((0, 0)), everywhere, moved))
        human = {row.target: row for row in rater_rows(rated[-1:], labels.targets) if row.scope == "film"}
        for place, target in enumerate(labels.targets):
            found.append(one := agreement(film.film_id, target, ratings, place, dead_s))
            figures = [one.pcc, one.ccc, one.alpha]
            figures += [getattr(human.get(target), name, math.nan) for name in ("pcc", "ccc")]
            numbers = [str(one.raters), str(one.seconds), *("–" if math.isnan(x) else f"{x:.3f}" for x in figures)]
            cells.append([film.film_id, target, *numbers])
    for row in rater_rows(rated, labels.targets):
        if row.scope == "mean of films":
            means = [f"{row.pcc:.3f}", f"{row.ccc:.3f}"]
            cells.append(["mean of films", row.target, "", "", "", "", "", *means])
    lines = aligned(cells, words=2)
    if labels.lag_s:
        lines.append(f"labels.lag_s ({labels.lag_s}) moves all raters together: it changes nothing here.")
    is_alone = max(one.raters for one in found) < 2
    nothing = "one rater: nothing to compare" if is_alone else "no rater stands out"
    return "\n".join([*lines, "", *(lines_of(found) or [nothing])])


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("ratings", "Shows how well raters agree, and which of them to look at.", EXAMPLES)
    parser.add_argument("action", choices=["check"], help="what to do")
    parser.add_argument("--manifest", required=True, help="CSV with the columns film_id, split and labels")
    parser.add_argument("--splits", default="", help="which films, comma separated (default: all that have labels)")
    parser.add_argument(
        "--dead-stretch", type=int, default=60, help="seconds without a change that are worth a word (default: 60)"
    )
    add_configuration(parser, "train", "labels.raters.standardise=true", "YAML file; its section train.labels says how")
    return parser
