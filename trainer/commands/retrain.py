"""`cineaffect retrain`: the jobs as processes, a challenger next to the champion, and a pointer that moves or doesn't.

extract ──▶ prepare ──▶ train ──▶ score challenger, score champion ──▶ compare ──▶ `current`, report

A round has the name of the digest of its dependencies (code version, settings, labels, records). A killed round resumes
where it stopped. A decided round is not repeated, so that a rollback holds until one of these changes.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from beam_pipelines.foundation.command_line import add_config_file, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, EXIT_SOME_FILMS_FAILED, ConfigurationError
from beam_pipelines.foundation.run_summary import as_steps_of_a_run

EXAMPLES = """
example:
  retrain.yaml holds the section retrain (manifest, records, output, …) beside extract, prepare, train and score
    cineaffect retrain --config retrain.yaml
    cineaffect score --films new/ --model OUTPUT/exports --output scores     # follows OUTPUT/exports/current
    cineaffect rollback --exports OUTPUT/exports

exit codes: 0 decided (promoted, not promoted, or nothing new), 1 a stage failed, 2 configuration error, 4 too many
films failed, 5 another run is at work. If it is killed, start it again: it resumes where it stopped. If output is in
gs://, the lock of a killed run expires after lock_expiry_s, and the next run waits that long.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect retrain`: starts or resumes one round and returns the exit code."""
    with as_steps_of_a_run(), _ended_by_sigterm():
        return guarded(_main, argv)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the round and the job at work, and releases the lock; process 1 of a container would ignore it."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers only there
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _main(argv: list[str]) -> int:
    description = "Extracts what is new, trains a challenger, and promotes it if it is better than the champion."
    parser = make_parser("retrain", description, EXAMPLES)
    add_config_file(parser, required=True, help="YAML file with a section retrain")
    path = parser.parse_args(argv).config

    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.foundation.configuration import load_section
    from trainer.foundation.config import TrainConfig
    from trainer.foundation.run_lock import only_run
    from trainer.retraining.config import RetrainConfig
    from trainer.retraining.round import Round
    from trainer.retraining.stages import Stages

    config = load_section("retrain", RetrainConfig, path)
    for key in ("manifest", "output"):
        if not getattr(config, key):
            raise ConfigurationError(f"{path}: retrain.{key}: must be given")
    train = load_section("train", TrainConfig, path)
    train.assert_an_epoch_is_chosen(bool(config.validation_splits))
    load_section("score", ScoreConfig, path)  # checked here, so that errors in it don't appear after hours of training
    with only_run(config.output, config.lock_expiry_s) as assert_held:
        stages = Stages(path, assert_held)
        if config.extract:
            arguments = ["--films", config.manifest, "--output", config.records]
            stages.start("extract", arguments, allowed=(EXIT_OK, EXIT_SOME_FILMS_FAILED))
        return Round(config, train, stages).run()
