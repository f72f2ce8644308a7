"""`cineaffect mediaeval-demo`: generates a small data set in the layout of MediaEval 2018, to try the experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.foundation.command_line import guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError

EXAMPLES = """
examples:
  labels and feature records within seconds, and the paper's experiments on them:
    cineaffect mediaeval-demo --output data --records --no-films --no-features
    cineaffect reproduce --data data --records data/records --output repro --validation-films 4
  films too, and the organisers' features as files:
    cineaffect mediaeval-demo --output data --films 6 --test-films 2 --seconds 60

The data set contains nothing of the licensed data. Its labels follow from the pictures and sounds by a built-in rule (a
leaky memory of 40 s in valence and 15 s in arousal), and the replacements of the baseline features, fc6 and
emobase2010, have twice the noise of image and audio: a comparison on these data tries the commands, and is no evidence
of anything else. Films 06, 18, 27 and 46 have the known defects of the real ones.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect mediaeval-demo`: makes the data set; returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    parser = make_parser(
        "mediaeval-demo", "Generates films, labels and organisers' features in the layout of MediaEval 2018.", EXAMPLES
    )
    parser.add_argument("--output", required=True, help="local directory of the data set")
    parser.add_argument("--films", type=int, default=12, help="development films, 2 to 54 (default: 12)")
    parser.add_argument("--test-films", type=int, default=4, help="test films, 1 to 12 (default: 4)")
    parser.add_argument("--seconds", type=int, default=120, help="shortest film (default: 120)")
    parser.add_argument("--seed", type=int, default=2018, help="seed of all random choices (default: 2018)")
    parser.add_argument("--no-films", action="store_true", help="write no .mp4 files")
    parser.add_argument("--no-features", action="store_true", help="write no organisers' features")
    parser.add_argument("--records", action="store_true", help="also write feature records, to OUTPUT/records")
    arguments = parser.parse_args(argv)

    from beam_pipelines.demo.films import SHORTEST_S
    from beam_pipelines.demo.mediaeval import make_data_set, plan_films

    for name, value, low, high in (
        ("films", arguments.films, 2, 54),
        ("test-films", arguments.test_films, 1, 12),
        ("seconds", arguments.seconds, SHORTEST_S, 20_000),
    ):
        if not low <= value <= high:
            raise ConfigurationError(f"--{name} {value}: must lie between {low} and {high}")
    films = plan_films(arguments.films, arguments.test_films, arguments.seconds, arguments.seed)
    make_data_set(
        Path(arguments.output),
        films,
        videos=not arguments.no_films,
        features=not arguments.no_features,
        records=arguments.records,
    )
    print(f"{len(films)} films, {sum(film.seconds for film in films)} seconds: {arguments.output}")
    return EXIT_OK
