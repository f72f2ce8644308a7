"""`cineaffect`: one command with subcommands, each of which imports its modules only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from beam_pipelines.foundation.command_line import guarded
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, nearest
from beam_pipelines.foundation.version import __version__

COMMANDS = {
    "look": ("beam_pipelines.commands.look", "films -> the page of their curves, in one command"),
    "extract": ("beam_pipelines.commands.extract", "films -> one feature record per film"),
    "import-features": (
        "beam_pipelines.commands.import_features",
        "features that others computed -> the same feature records",
    ),
    "prepare": (
        "beam_pipelines.commands.prepare",
        "feature records of the training films -> statistics and transform graph",
    ),
    "ratings": ("trainer.commands.ratings", "how well the raters of labels agree, and which of them to look at"),
    "train": ("trainer.commands.train", "feature records and labels -> exported model with its card"),
    "tune": ("trainer.commands.tune", "searches the paper's space for the best configuration, by the validation films"),
    "ensemble": ("trainer.commands.ensemble", "several exported models -> one whose curves are the mean of theirs"),
    "calibrate": ("trainer.commands.calibrate", "bands around a model's curves, with a promise for new films"),
    "evaluate": ("trainer.commands.evaluate", "curves against labels: MSE, PCC and CCC beside the constant mean"),
    "score": ("beam_pipelines.commands.score", "films or feature records -> smoothed curves, table, plots"),
    "report": (
        "beam_pipelines.commands.report",
        "a page of a scoring run to look at, and markers for editing programs",
    ),
    "similar": ("beam_pipelines.commands.similar", "the films of a run whose curves go the way of a given one"),
    "families": ("beam_pipelines.commands.families", "groups of films whose curves have one shape"),
    "highlights": ("beam_pipelines.commands.highlights", "a film's strongest moments as lists for programs that cut"),
    "retrain": ("trainer.commands.retrain", "scheduled: trains a challenger, promotes it if it beats the champion"),
    "rollback": ("trainer.commands.rollback", "returns to an earlier exported version"),
    "networks": ("beam_pipelines.commands.networks", "what an ONNX file is, and the section that makes it a modality"),
    "weights": ("beam_pipelines.commands.weights", "list, fetch and verify the networks' weights"),
    "reproduce": ("trainer.commands.reproduce", "the paper's five runs on MediaEval 2018, its Table 1 beside ours"),
    "compare": (
        "trainer.commands.compare",
        "the paper's comparisons: features, faces, window, encoder, smoothing, ensemble",
    ),
    "mediaeval-demo": (
        "beam_pipelines.demo.mediaeval_command",
        "a small generated data set in the layout of MediaEval 2018",
    ),
    "demo": ("beam_pipelines.demo.run", "all jobs on films that the project generates"),
}

USAGE = f"""cineaffect {__version__}: for every second of a film, the valence and arousal it evokes in viewers

usage: cineaffect COMMAND [options]      cineaffect COMMAND --help shows its options and examples

{chr(10).join(f"  {name:<16} {what}" for name, (_, what) in COMMANDS.items())}

first steps: cineaffect look film.mp4      cineaffect demo --output demo-run
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code."""
    return guarded(_main, argv)


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        return EXIT_OK if arguments else EXIT_CONFIGURATION
    if arguments[0] == "--version":
        print(f"cineaffect {__version__}")
        return EXIT_OK
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"error: unknown command '{name}'{nearest(name, COMMANDS)}", file=sys.stderr)
        return EXIT_CONFIGURATION
    return int(importlib.import_module(COMMANDS[name][0]).main(rest))


if __name__ == "__main__":
    sys.exit(main())
