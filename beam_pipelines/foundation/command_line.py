"""The common code of the commands: parsers, common options, and the handling of errors.

It imports neither Beam nor TensorFlow, so that a command answers `--help`, and refuses a misspelt option, at once.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import select
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from beam_pipelines.foundation.errors import CineAffectError, ConfigurationError
from beam_pipelines.foundation.logs.structured_log import is_json

BEAMS_OWN = frozenset({"dry_run", "num_workers"})
"""Beam's options that look like misspelt options of a job."""

OF_CONFIG = "YAML file (default: all keys have their defaults)"
"""The help of `--config` of commands that read a single section."""

_BROKEN_PIPE = 141
"""The exit code of a command that nobody reads any more, as shells know it: 128 and the number of SIGPIPE."""

_NEARLY = 0.8
"""The similarity (at most 1) from which on an option counts as a misspelt other one."""


def guarded(main: Callable[[list[str]], int], argv: Sequence[str] | None) -> int:
    """Runs a command's main and returns its exit code; errors meant for people are printed without a trace.

    A command that writes into a pipe that nobody reads any more (`| head`) ends without a word.

    Args:
        main: a function of the arguments that returns the exit code.
        argv: the arguments; None for those of this process.
    """
    try:
        code = main(list(sys.argv[1:] if argv is None else argv))
        print(end="", flush=True)
        return code
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # What is still to be written must not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _BROKEN_PIPE
    except CineAffectError as error:
        if is_json():
            logging.getLogger(__name__).error("%s", error)
        else:
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _nobody_reads() -> bool:
    """Whether standard output is a pipe that nobody reads any more, as after `| head`: no other pipe is meant."""
    output = select.poll()
    output.register(1, 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def make_parser(command: str, description: str | None, examples: str = "") -> argparse.ArgumentParser:
    """The parser of `cineaffect COMMAND`; its help ends with `examples`, with their line breaks."""
    return argparse.ArgumentParser(
        prog=f"cineaffect {command}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_configuration(parser: argparse.ArgumentParser, section: str, example: str, file: str = OF_CONFIG) -> None:
    """Adds `--config` and `--set`, which `load_section` takes as `arguments.config` and `arguments.overrides`.

    Args:
        parser: the command's parser.
        section: the section whose keys `--set` overrides.
        example: one of its keys with a value, `epochs=20`, to show how `--set` is used.
        file: the help of `--config`.
    """
    add_config_file(parser, help=file)
    add_set(parser, "--set", section, example)


def add_config_file(parser: argparse.ArgumentParser, **settings: Any) -> None:
    """Adds `--config` with the settings of `add_argument`; it may be given once."""
    parser.add_argument("--config", action=_GivenOnce, **settings)


class _GivenOnce(argparse.Action):
    """Refuses an option that is there twice: argparse would drop the first value without a word."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        if getattr(namespace, f"_{self.dest}_given", False):
            parser.error(f"{option_string} is there twice: put the sections of both files into one")
        setattr(namespace, f"_{self.dest}_given", True)
        setattr(namespace, self.dest, values)


def add_set(parser: argparse.ArgumentParser, option: str, section: str, example: str, dest: str = "overrides") -> None:
    """Adds an option that overrides keys of a section."""
    parser.add_argument(
        option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest=dest,
        help=f"overrides one key of the section {section}, for example {option} {example}; may be repeated",
    )


def at_least_one(text: str) -> int:
    """The value of an option that must be a whole number of at least 1; for `type` of `add_argument`.

    Raises:
        ValueError, argparse.ArgumentTypeError: if it is not; argparse shows both as a usage error.
    """
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is less than 1")
    return count


def comma_separated(text: str) -> tuple[str, ...]:
    """The names in a text such as `train,validation`, for an option of the command line."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_known(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own arguments, and the remaining ones for Beam.

    Raises:
        ConfigurationError: if an option is nearly one of the command's own (the parser would only say that this one is
            missing), or an argument belongs to no option.
    """
    own = [option for action in parser._actions for option in action.option_strings]
    for argument in argv:
        option = argument.partition("=")[0]
        near = nearly(option, own)
        if near and option not in own and option.removeprefix("--") not in BEAMS_OWN:
            raise ConfigurationError(f"unknown option {option}; did you mean '{near}'?")
    arguments, left_over = parser.parse_known_args(argv)
    _refuse_strays(left_over)
    return arguments, left_over


def nearly(option: str, own: Iterable[str]) -> str:
    """The option of `own` that was probably meant by `option`; empty if there is none."""
    near = difflib.get_close_matches(option, list(own), n=1, cutoff=_NEARLY) if option.startswith("--") else []
    return near[0] if near else ""


def _refuse_strays(arguments: Sequence[str]) -> None:
    # Beam ignores arguments that are no options. The shell turns an unquoted glob into many arguments, of which only
    # one film would be done.
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.startswith("-") and (not before.startswith("-") or "=" in before):
            raise ConfigurationError(f"unexpected argument '{argument}'; put a glob in quotes: --films 'films/*.mp4'")
