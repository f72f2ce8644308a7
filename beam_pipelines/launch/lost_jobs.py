"""What ended a job before its end, as an error for a person: a worker's own error, a lost job server, a failed job."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from beam_pipelines.foundation import errors

_OURS = re.compile(
    rf"^(?:RuntimeError: )?{re.escape(errors.__name__)}\.(\w+): (.*?)(?: \[while running .*)?$", re.MULTILINE
)
"""The last line of a worker's traceback; Beam adds the step, and may wrap the error."""
_CAUSE = re.compile(r"^(?:Caused by: )?([\w.$]*(?:Error|Exception): .*)$", re.MULTILINE)
_LONGEST = 300
_READER = "wait_until_finish_read"
_READER_ENDS_S = 5.0


@contextmanager
def lost_jobs_explained(options: PipelineOptions, is_local: bool) -> Iterator[None]:
    """Turns what ends a job into this project's errors; an error on this machine's own runner is left as it is.

    Args:
        options: Beam's options of the job.
        is_local: whether the job runs on this machine's own runner, where an unknown error is a bug with a traceback.

    Raises:
        CineAffectError: the error that a worker raised, if it is one for people.
        JobError: if the job server is lost, or the job failed on its cluster.
    """
    import grpc

    try:
        with _reader_of_messages_quiet():
            yield
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        where = options.view_as(PortableOptions).job_endpoint or "the runner"
        raise errors.JobError(
            f"the job server {where} gives no answer ({_of_grpc(error)}). Start it again if it has ended. The job may "
            "still run on the cluster, on whose page it can be cancelled. Then give the same command again: what is "
            "done is kept"
        ) from error
    except RuntimeError as error:
        if known := _error_of_worker(str(error)):
            raise known from error
        if is_local:
            raise
        causes = _CAUSE.findall(str(error)) or str(error).strip().splitlines() or [type(error).__name__]
        raise errors.JobError(
            f"the job failed on its cluster: {causes[-1][:_LONGEST]}. The runner's page and logs say more. If it lost "
            "machines, give the same command again: what is done is kept"
        ) from error


@contextmanager
def _reader_of_messages_quiet() -> Iterator[None]:
    """The thread in which Beam reads a job's messages ends without a traceback: it sees the same as the main thread."""
    before = threading.excepthook
    threading.excepthook = lambda seen: None if seen.thread and seen.thread.name == _READER else before(seen)
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if thread.name == _READER:
                thread.join(_READER_ENDS_S)
        threading.excepthook = before


def _error_of_worker(text: str) -> errors.CineAffectError | None:
    """The error for people that a worker's traceback ends with, if it does."""
    for name, message in reversed(_OURS.findall(text)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.CineAffectError) and kind is not errors.FilmError:
            return kind(message)
    return None


def _of_grpc(error: BaseException) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    said = [str(code().name) if callable(code) else type(error).__name__, str(details()) if callable(details) else ""]
    return ": ".join(filter(None, said))[:_LONGEST]
