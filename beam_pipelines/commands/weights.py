"""`cineaffect weights`: lists the networks' weight files with their sources, fetches and verifies them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from beam_pipelines.extractors.registry import all_weights
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.weights_table import TABLE, Weights
from beam_pipelines.foundation.command_line import guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, WeightsError

EXPLANATION = """\
CineAffect's networks were trained by others. Their weights are downloaded once, checked against the published hash,
and kept in one directory. No job downloads anything by itself: fetch the weights first.
"""

EXAMPLES = """\
examples:
  cineaffect weights list                     every file: licence, training data, address, and whether it is here
  cineaffect weights fetch                    download all files that the paper's system needs and that are absent
  cineaffect weights fetch vggish_audioset    download one, and run its published self-test
  cineaffect weights verify                   hash every file that is here
  cineaffect weights verify vggish_audioset --self-test

without a network:
  `cineaffect weights list` prints addresses, file names and the directory. Download the files elsewhere, copy them
  into the directory under those names, and run `cineaffect weights verify`.

the directory:
  the environment variable CINEAFFECT_WEIGHTS, else the platform's cache directory.

exit codes:
  0 all is well; 2 a named file is absent, a file differs from its hash, or it could not be fetched.
"""

PAPER = ("inception_v3_imagenet", "vggish_audioset", "facenet_vggface2")
"""The weights of the paper's own system, which `fetch` without a name gets."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect weights`: lists, fetches or verifies, and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    console = Console(soft_wrap=True, highlight=False)
    if options.command == "list":
        return _list(console)
    if options.command == "fetch":
        return _print_each(console, list(options.names) or PAPER, _fetch)
    return _verify(console, list(options.names), options.self_test)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("weights", EXPLANATION, EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | fetch | verify")
    commands.add_parser("list", help="show every file of weights and whether it is here")
    fetch = commands.add_parser("fetch", help="download what is absent, check it, run the published self-test")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(TABLE)}; none: {', '.join(PAPER)}")
    verify = commands.add_parser("verify", help="compare the files that are here with their hashes")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="names that must be here; none: all files that are here"
    )
    verify.add_argument("--self-test", action="store_true", help="also run the published self-test, if there is one")
    return parser


def _list(console: Console) -> int:
    console.print(f"directory: {weights.cache_directory()}\n", markup=False)
    for entry in all_weights().values():
        for label, value in (
            (entry.name, _state(entry)),
            ("  used by", entry.used_by),
            ("  trained on", entry.trained_on),
            ("  licence", entry.licence),
            ("  file", entry.file_name),
            ("  address", entry.url or "none: put the file into the directory by hand"),
            ("  hash", " ".join(entry.published_hash)),
        ):
            console.print(f"{label:<24}{value}", markup=False)
        console.print()
    return EXIT_OK


def _state(entry: Weights) -> str:
    if not (weights.cache_directory() / entry.file_name).is_file():
        return "absent"
    try:
        weights.locate(entry.name, all_weights())
    except WeightsError:
        return "here, but not the published file: it differs from its hash"
    return "here, hash right"


def _print_each(console: Console, names: Sequence[str], lines_of: Callable[[str], Iterator[str]]) -> int:
    """Prints what is to say of each name; one that fails is printed in red, and the others go on."""
    failed = False
    for name in names:
        try:
            for line in lines_of(name):
                console.print(line, markup=False)
        except WeightsError as error:
            console.print(str(error), markup=False, style="red")
            failed = True
    return EXIT_CONFIGURATION if failed else EXIT_OK


def _fetch(name: str) -> Iterator[str]:
    yield f"{name}: {weights.fetch(name, all_weights(), progress=True)}"
    yield _self_test(name)


def _verify(console: Console, names: list[str], self_test: bool) -> int:
    here = [entry.name for entry in all_weights().values() if (weights.cache_directory() / entry.file_name).is_file()]
    if not names and not here:
        where = weights.cache_directory()
        console.print(f"no weights in {where}: nothing to verify (`cineaffect weights fetch` gets them)", markup=False)

    def verify(name: str) -> Iterator[str]:
        yield f"{name}: hash right: {weights.locate(name, all_weights())}"
        if self_test:
            yield _self_test(name)

    return _print_each(console, names or here, verify)


def _self_test(name: str) -> str:
    if name != "vggish_audioset":
        return f"{name}: no self-test is published"
    # Imported late: listing and fetching other files needs no network library.
    from beam_pipelines.extractors.networks.vggish import VGGishAudio
    from beam_pipelines.extractors.weights.vggish_self_test import self_test

    return f"{name}: {self_test(VGGishAudio(name))}"
