"""What ended a job before its end, as an error for a person: a worker's own error, a lost job server, a failed job."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from beam_pipelines.foundation import errors

_OURS = re.compile(rf"^(?:RuntimeError: )?{re.escape(errors.__name__)}\.(\w+): ", re.MULTILINE)
"""Where the error begins at the end of a worker's traceback; Beam may wrap it."""
_OURS_ENDS = re.compile(r" \[while running |\n\s*at |\Z")
"""Beam adds the step, Java its own trace."""
_NOT_LAST = ("During handling of the above exception", "The above exception was the direct cause")
_CAUSE = re.compile(r"^(?:Caused by: )?([\w.$]*(?:Error|Exception): .*)$", re.MULTILINE)
_OF_DATAFLOW = "DataflowRuntimeException"
"""By its name, since importing it takes Google's clients."""
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
    except Exception as error:
        # Beam raises no kind of its own; a kind of RuntimeError is a bug of the driver.
        if type(error) is not RuntimeError and type(error).__name__ != _OF_DATAFLOW:
            raise
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
    for begin in reversed(list(_OURS.finditer(text))):
        message = text[begin.end() :]
        message = message[: next(_OURS_ENDS.finditer(message)).start()].rstrip()
        kind = getattr(errors, begin[1], None)
        if not isinstance(kind, type) or not issubclass(kind, errors.CineAffectError) or kind is errors.FilmError:
            continue
        if not any(said in message for said in _NOT_LAST):
            return kind(message)
    return None


def _of_grpc(error: BaseException) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    said = [str(code().name) if callable(code) else type(error).__name__, str(details()) if callable(details) else ""]
    return ": ".join(filter(None, said))[:_LONGEST]
