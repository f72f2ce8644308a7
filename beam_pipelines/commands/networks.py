"""`cineaffect networks`: shows what an ONNX file is, and the section of a configuration that makes it a modality."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.foundation.command_line import guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK

EXPLANATION = """\
Any ONNX file can be a modality: its vectors, one a second, are features like those of the project's own networks.
One that finds faces can take MTCNN's place.
"""

EXAMPLES = """\
examples:
  cineaffect networks show clip_vit_b32.onnx           inputs, outputs, operators, files beside it, a section to paste
  cineaffect networks show clip_vit_b32.onnx --name clip

The section is a guess from names and shapes: compare `resize`, `channels`, `scaling`, `mean` and `deviation` with how
the network was trained. No job starts with an input, output, shape or hash that the file doesn't have.

exit codes:
  0 shown; 2 the file is absent, no ONNX file, or not to be trusted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect networks` and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    # Imported late: help needs neither ONNX nor its runtime.
    from beam_pipelines.extractors.onnx_networks.model_file import read_model_file
    from beam_pipelines.extractors.onnx_networks.suggestion import described, suggested_section
    from beam_pipelines.extractors.weights.weight_files import find_file

    file = read_model_file(find_file(options.file))
    name = options.name or _name_of(options.file)
    print("\n".join([*described(file), "", "a section to paste:", "", *suggested_section(name, options.file, file)]))
    return EXIT_OK


def _name_of(file: str) -> str:
    """A modality's name from a file's: versions stay apart."""
    return re.sub(r"[^a-z0-9]+", "_", Path(file).stem.lower()).lstrip("_0123456789").rstrip("_") or "mine"


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("networks", EXPLANATION, EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="show")
    show = commands.add_parser("show", help="what a file has, and a section of the configuration for it")
    show.add_argument("file", metavar="FILE.onnx", help="the file, or its name in the directory of weights")
    show.add_argument("--name", help="the name of the modality (default: the file's, in small letters)")
    return parser
