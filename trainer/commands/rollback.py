"""`cineaffect rollback`: moves the pointer to the previous version, or to a named one."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.foundation.command_line import guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK

EXAMPLES = """
examples:
  to the previous version:
    cineaffect rollback --exports OUTPUT/exports
  to a named one:
    cineaffect rollback --exports gs://bucket/exports --to 3

No version is removed. Running scoring runs finish with the version with which they began. A decided round is not
repeated, so the rollback holds until records, labels, the configuration or the code version change.
exit codes: 0 done, 1 an outage or another move at once (run it again), 2 there is no such version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect rollback`: moves the pointer and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    parser = make_parser("rollback", "Returns to an earlier exported version.", EXAMPLES)
    parser.add_argument("--exports", required=True, help="directory of exports, local or gs://")
    parser.add_argument("--to", type=int, help="version to use (default: the one before the current one)")
    arguments = parser.parse_args(argv)

    from trainer.retraining.promotion import former_version, move_current

    version = former_version(arguments.exports) if arguments.to is None else arguments.to
    move_current(arguments.exports, version, {"why": "rollback"})
    print(f"{arguments.exports}: version {version} is in use from the next scoring run on")
    return EXIT_OK
