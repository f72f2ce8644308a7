"""The options of every job; adding them doesn't import Beam."""

from __future__ import annotations

import argparse

from beam_pipelines.foundation.command_line import OF_CONFIG, add_configuration, at_least_one
from beam_pipelines.launch.driver_log import FORMATS, OPTION


def add_job_options(parser: argparse.ArgumentParser, section: str, example: str, file: str = OF_CONFIG) -> None:
    """Adds `--output`, `--config`, `--set`, `--workers` and `--log-format`.

    Args:
        parser: the job's parser.
        section: the job's section.
        example: a key of the section with a value, `image.batch_size=8`, to show how `--set` is used.
        file: the help of `--config`.
    """
    parser.add_argument(
        "--output", required=True, help="directory of this run, local or gs://; a second run continues it"
    )
    add_configuration(parser, section, example, file)
    parser.add_argument(
        "--workers",
        type=at_least_one,
        default=0,
        help="local runner only: worker processes; 1 runs everything in this process. Without it one per core, but at "
        "most one per film to extract and one per ten core seconds that scoring will take. If films are "
        "extracted on a GPU, threads of this process (extract.device.share_batches)",
    )
    parser.add_argument(
        OPTION,
        choices=FORMATS,
        default=FORMATS[0],
        help="the log on standard error: json gives one object per line, with film, segment and worker (default: text)",
    )
