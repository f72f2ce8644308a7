"""Starting and ending a job: Beam's options, a progress display, and the exit code of the finished run.

Options that a job doesn't know are passed on to Beam, so that `--runner=PortableRunner …` works with every job. Without
`--runner` a job runs on this machine's cores with Beam's own portable local runner, one process per core
(`FnApiRunner`; `DirectRunner` would first try to download another one).
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import platform
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import metadata
from typing import Any, TypeVar

from apache_beam import Pipeline
from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, PipelineOptions

from beam_pipelines.contracts.runs import RUN_MANIFEST, exit_code, read_manifest_of_run
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import network_input, networks_see_gpu
from beam_pipelines.films.work_lists import WorkList, remove_earlier_tries, remove_work
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_OK, ConfigurationError, nearest
from beam_pipelines.foundation.logs.structured_log import is_json
from beam_pipelines.foundation.version import __version__
from beam_pipelines.launch.driver_log import PLUGIN_OPTION
from beam_pipelines.launch.job_summary import print_job_summary
from beam_pipelines.launch.lost_jobs import lost_jobs_explained
from beam_pipelines.launch.progress import watch

Options = TypeVar("Options", bound=PipelineOptions)
LOCAL_RUNNERS = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")
_OPTIONAL = ("onnxruntime", "onnxruntime-gpu", "openvino")
"""Of the first two, packages of the same module, one is installed; the third is an extra."""


class OptionsOfJob(PipelineOptions):
    """Beam's options whose views are made once.

    Beam asks for the same views several times a transform, and makes a parser for each: a fifth of a small job's time.
    """

    def view_as(self, cls: type[Options]) -> Options:
        """These options as those of a class; all views share their values."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_views"}


def films_share_batches(config: ExtractConfig) -> bool:
    """Whether films extracted here share batches, so that a local job is one process with a thread per film."""
    if all(network_input(config, modality) is None for modality in config.modalities):
        return False
    # Looking for a GPU may take seconds, so nobody looks if the setting decides.
    return config.device.shares_batches(config.device.share_batches is None and networks_see_gpu(config))


def beam_options(
    beam_arguments: Sequence[str],
    workers: int,
    default_workers: int = 0,
    one_process: Callable[[], bool] = lambda: False,
) -> PipelineOptions:
    """Beam's options from the arguments that a job doesn't know; the local runner if they name none.

    Args:
        beam_arguments: the arguments that the job's own parser doesn't know.
        workers: `--workers`; 0 if it wasn't given.
        default_workers: the local runner's workers without `--workers`; 0 for one per core.
        one_process: says whether the local runner's workers are threads of this process and not processes; it isn't
            called for another runner.

    Raises:
        ConfigurationError: if neither the job nor, on this machine's own runner, Beam knows an option.
    """
    arguments = list(beam_arguments)
    runner = _named_runner(arguments)
    if runner is None:
        arguments.append("--runner=FnApiRunner")
    if runner is None or runner in LOCAL_RUNNERS:
        _refuse_unknown(arguments)
        count = workers or default_workers or os.cpu_count() or 1
        if not any(argument.startswith("--direct_running_mode") for argument in arguments):
            several = "multi_threading" if count > 1 and one_process() else "multi_processing"
            arguments += [f"--direct_running_mode={several if count > 1 else 'in_memory'}"]
        if not any(argument.startswith("--direct_num_workers") for argument in arguments):
            arguments += [f"--direct_num_workers={count}"]
    elif workers:
        raise ConfigurationError(f"--workers is for the local runner; tell {runner} its parallelism in its own options")
    return OptionsOfJob([*arguments, PLUGIN_OPTION] if is_json() else arguments)


def use_at_most(options: PipelineOptions, beam_arguments: Sequence[str], workers: int) -> None:
    """Starts fewer of the local runner's workers where so many aren't worth it, unless Beam's options name a number.

    Args:
        options: from `beam_options`.
        beam_arguments: what they were made from.
        workers: how many are worth it; one is this process itself.
    """
    direct = options.view_as(DirectOptions)
    if workers < direct.direct_num_workers and not any(one.startswith("--direct_") for one in beam_arguments):
        direct.direct_num_workers = workers
        if workers == 1:
            direct.direct_running_mode = "in_memory"


def is_local(options: PipelineOptions) -> bool:
    """Whether a job runs on this machine's own runner."""
    return (options.get_all_options()["runner"] or "").rsplit(".", 1)[-1] in LOCAL_RUNNERS


def is_template(options: PipelineOptions) -> bool:
    """Whether only the graph is needed: Dataflow's template launcher starts the job after the program has ended."""
    return bool(options.view_as(GoogleCloudOptions).template_location)


def run(
    define: Callable[[Pipeline], Any],
    options: PipelineOptions,
    output: str,
    films: int,
    count_done: str = "",
    marker: str = "",
    film_seconds: Callable[[str], float] | None = None,
    lists: Sequence[WorkList] = (),
    records: str | None = None,
) -> int:
    """Builds and runs a job's graph, shows its progress, prints the summary and returns the exit code.

    For a template (`is_template`) it returns once the graph is written, before the job runs.

    Args:
        define: builds the graph on the pipeline it is given.
        options: Beam's options.
        output: the directory of the run; its old manifest is removed first, since a run without one did not finish.
        films: how many films go in, for the progress display.
        count_done: suffix of the files in `output` of which each means one finished film; none for no progress.
        film_seconds: how long the film of such a file is, in seconds; shown as film-hours and speed.
        lists: of the run's films, removed once it has ended; a cluster may still read those of an interrupted job.
        marker: a file in `output` that says to others that the results are whole; removed first, as the manifest is.
        records: the directory of the records that the user named, for the commands that may follow.
    """
    check_output(output)
    logging.getLogger("apache_beam.runners.portability.local_job_service").addFilter(_is_worth_a_line)
    for name in filter(None, (RUN_MANIFEST, marker)):
        storage.remove(storage.join(output, name))
    on_this_machine = nobody_reads_lists = is_local(options)
    try:
        pipeline = Pipeline(options=options)
        define(pipeline)
        if is_template(options):
            pipeline.run()
            return EXIT_OK
        shown = watch(output, films, count_done, film_seconds) if count_done else nullcontext()
        with shown, lost_jobs_explained(options, on_this_machine):
            pipeline.run().wait_until_finish()
        manifest = read_manifest_of_run(output)
        nobody_reads_lists = True
        for work in () if on_this_machine else lists:
            remove_earlier_tries(work)
    finally:
        for work in lists if nobody_reads_lists else ():
            remove_work(work)
    print_job_summary(manifest, output, records)
    return exit_code(manifest)


def storage_time_s(output: str) -> float:
    """The present time by the clock of `output`'s storage, in seconds since the epoch: a run's start.

    Files there that are younger were written by this run, even if a worker was lost and its work is repeated.
    """
    check_output(output)
    uri = storage.join(output, f".{uuid.uuid4().hex}{storage.TEMPORARY_SUFFIX}")
    try:
        storage.write_text(uri, "")
        found = storage.stat(uri)
    finally:  # also where only one answer was lost
        storage.remove(uri)
    return found.modified_s if found else math.inf


def versions() -> dict[str, str]:
    """The versions of the libraries that a run uses, for manifests and model cards."""
    packages = ("apache-beam", *_OPTIONAL, "tensorflow", "keras", "numpy", "scipy", "av")
    found = {package: _version(package) for package in packages}
    return {
        "cineaffect": __version__,
        "python": platform.python_version(),
        **{package: version for package, version in found.items() if version},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        if package in _OPTIONAL:
            return None
        raise


def check_output(output: str) -> None:
    """Makes the directory of a run, or checks that its bucket can be used, before any work.

    Raises:
        ConfigurationError: if the directory can't be made or written to; `StorageError` for a bucket.
    """
    if storage.is_remote(output):
        storage.check_reachable(output)
        return
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--output {output}: can't be a directory: {error.strerror}") from error
    if not os.access(output, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--output {output}: may not be written to")


def _is_worth_a_line(entry: logging.LogRecord) -> bool:
    # Every local worker process logs this at its start, about a feature that is not used here.
    return "No semi_persistent_directory found" not in entry.getMessage()


def _named_runner(arguments: Sequence[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner")
    runner = parser.parse_known_args(list(arguments))[0].runner
    return runner.rsplit(".", 1)[-1] if runner else None


def _refuse_unknown(arguments: Sequence[str]) -> None:
    # Beam itself only logs a warning for unknown options, so a misspelt one would be ignored. On a cluster the job
    # server may know more options than Beam's Python side, so nothing is refused there.
    known = PipelineOptions([]).get_all_options()
    unknown = sorted(set(PipelineOptions(list(arguments)).get_all_options(retain_unknown_options=True)) - set(known))
    if unknown:
        hint = nearest(unknown[0], known)
        raise ConfigurationError(f"unknown option --{unknown[0]}{hint if 'did you mean' in hint else '; see --help'}")
