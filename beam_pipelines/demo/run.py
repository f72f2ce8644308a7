"""`cineaffect demo`: all jobs on generated films, one after the other, by the commands that a user would give.

films, labels ──▶ extract ──▶ prepare ──▶ train ──▶ score (held-out films) ──▶ evaluate
                    │                 └─▶ train without the signals ──▶ the last table
                    └─▶ score and evaluate builtin:signals ─────────────────▶

All run in this process, which imports Beam and TensorFlow once; extraction starts workers of its own.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from beam_pipelines.demo.last_table import print_last_table
from beam_pipelines.foundation.command_line import add_config_file, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError
from beam_pipelines.foundation.logs.start_lines import without_start_lines
from beam_pipelines.foundation.run_summary import as_steps_of_a_run, print_summary

MODEL, MODEL_WITHOUT, FORMULA = "model", "model-without-signals", "builtin-signals"
CONFIG = Path(__file__).with_name("demo.yaml")
FEWEST_FILMS = 3
"""One film each for training, for choosing the epoch, and for the evaluation."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect demo`: generates films, runs all jobs on them and prints where the results are."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    parser = make_parser(
        "demo", "Generates short films with known valence and arousal, then extracts, trains, scores and evaluates."
    )
    parser.add_argument("--output", default="demo-run", help="directory of all its files (default: demo-run)")
    add_config_file(parser, default=str(CONFIG), help="YAML file (default: the demo's own)")
    parser.add_argument("--films", type=int, default=14, help="number of films (default: 14)")
    parser.add_argument("--seconds", type=int, default=65, help="length of each film in seconds, about (default: 65)")
    arguments = parser.parse_args(argv)

    from beam_pipelines.demo.films import SHORTEST_S

    if arguments.films < FEWEST_FILMS:
        raise ConfigurationError(f"--films {arguments.films}: the demo needs {FEWEST_FILMS} at least")
    if arguments.seconds < SHORTEST_S:
        raise ConfigurationError(f"--seconds {arguments.seconds}: a film of the demo has {SHORTEST_S} at least")
    output = Path(arguments.output)
    started_s = time.monotonic()
    manifest = _make_films(output / "data", arguments.films, arguments.seconds)
    with as_steps_of_a_run(), without_start_lines():
        for number, (title, command) in enumerate(_commands(output, manifest, arguments.config), start=2):
            code = _start(f"{number}. {title}", command)
            if code:
                print(f"error: the step '{title}' ended with exit code {code}", file=sys.stderr)
                return code
    print_last_table(output / MODEL, output / MODEL_WITHOUT, output / FORMULA)
    _say_what_lies_where(output, time.monotonic() - started_s)
    return EXIT_OK


def _make_films(directory: Path, films: int, seconds: int) -> Path:
    from beam_pipelines.demo.films import make_demo_films

    console = Console(file=sys.stderr)
    console.print("\n[bold]1. films with known moods[/bold]")
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("films", total=films)
        return make_demo_films(
            directory, films=films, seconds=seconds, progress=lambda done, total: progress.update(task, completed=done)
        )


def _commands(output: Path, manifest: Path, config: str) -> Iterator[tuple[str, list[str]]]:
    features, transform, model, scores = (str(output / name) for name in ("features", "transform", MODEL, "scores"))
    catalogue = ["--manifest", str(manifest)]
    settings = ["--config", config]
    yield "features", ["extract", "--films", str(manifest), "--output", features, *settings]
    yield "statistics", ["prepare", "--records", features, *catalogue, "--output", transform, *settings]
    trained_on = ["--records", features, *catalogue, "--transform", transform]
    yield "training", ["train", *trained_on, "--output", model, *settings]
    without = ["--output", str(output / MODEL_WITHOUT), *settings, "--set", "model.modalities=[image,audio,face]"]
    yield "training without the signals", ["train", *trained_on, *without]
    chosen_on = [*catalogue, "--splits", "validation"]
    formula = ["--model", "builtin:signals", "--output", str(output / FORMULA)]
    yield (
        "curves of the model that needs no training",
        ["score", "--records", features, *chosen_on, *formula, *settings, "--set", "plots=false"],
    )
    yield "and how good they are", ["evaluate", "--scores", str(output / FORMULA), *chosen_on, *settings]
    held_out = [*catalogue, "--splits", "test"]
    exports = ["--model", f"{model}/exports"]
    yield (
        "curves of the films held out",
        ["score", "--records", features, *held_out, *exports, "--output", scores, *settings],
    )
    yield "evaluation", ["evaluate", "--scores", scores, *held_out, *settings]
    yield "the page", ["report", "--scores", scores, "--records", features, *catalogue, "--thumbnails"]


def _start(title: str, command: Sequence[str]) -> int:
    console = Console(file=sys.stderr)
    shown = escape(shlex.join(command))
    console.print(f"\n[bold]{title}[/bold]   cineaffect {shown}", highlight=False, soft_wrap=True)
    from beam_pipelines import cli

    sys.stdout.flush()
    return cli.main(command)


def _say_what_lies_where(output: Path, took_s: float) -> None:
    print(f"\nThe demo took {took_s:.0f} s.")
    page = str(output / "scores" / "report" / "index.html")
    places = [
        ("plots of the films held out", output / "scores" / "plots"),
        ("curves as tables", output / "scores" / "curves"),
        ("how good they are", output / "scores" / "evaluation.csv"),
        ("exported model and its card", output / "model" / "exports"),
        ("the same without the signals", output / MODEL_WITHOUT),
        ("page of the training", output / "model" / "report" / "index.html"),
        ("films and their labels", output / "data"),
        ("page of the films held out", page),
    ]
    print_summary([(what, str(where)) for what, where in places], [("open in a browser", page)])
