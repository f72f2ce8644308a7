"""A job that ends before its end on another runner, with Beam's own job server: an error for people, and its lists."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.films.work_lists import WORK_LISTS, list_work, write_work_list
from beam_pipelines.foundation.errors import CineAffectError, DiskFullError, JobError, OutageError, WeightsError
from beam_pipelines.launch import job
from beam_pipelines.launch.lost_jobs import lost_jobs_explained

FILMS = {"in": 1, "done": 1, "skipped": 0, "failed": 0}
OUTAGE = "gs://bucket/film: the storage gives no usable answer (503); run again to go on"
FROM_FLINK = """\
org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.UncheckedExecutionException: java.lang.\
RuntimeException: Error received from SDK harness for instruction 13: Traceback (most recent call last):
  File "sdk_worker.py", line 312, in _execute
beam_pipelines.foundation.errors.{error}: {text} [while running 'ExtractFilms/ExtractFilm-ptransform-61']

	at org.apache.beam.runners.flink.FlinkPipelineRunner.runPipelineWithTranslator(FlinkPipelineRunner.java:115)
"""
LOST_TOO_OFTEN = """\
org.apache.flink.client.program.ProgramInvocationException: Job failed (JobID: 4d0ba6c5)
	at org.apache.flink.client.deployment.ClusterClientJobClientAdapter.lambda$6(ClusterClientJobClientAdapter.java:130)
Caused by: org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy(5)
	... 4 more
Caused by: java.lang.Exception: TaskManager with id localhost:38313-da68ae is no longer reachable.
"""


@pytest.fixture(scope="module")
def job_server() -> Iterator[str]:
    server = LocalJobServicer()
    port = server.start_grpc_server()
    yield f"localhost:{port}"
    server.stop()


def run(address: str, output: Path, step) -> int:
    def define(pipeline: beam.Pipeline) -> None:
        pipeline | beam.Create([str(output)]) | beam.Map(step)

    arguments = ["--runner=PortableRunner", f"--job_endpoint={address}", "--environment_type=LOOPBACK"]
    work = write_work_list(["film"], list, str(output), "extract")
    return job.run(define, job.beam_options(arguments, 0), str(output), 1, lists=[work])


def write_manifest(output: str) -> None:
    (Path(output) / RUN_MANIFEST).write_text(
        json.dumps({"films": FILMS, "film_hours": {"done": 0.0}, "failure_threshold": 0.5})
    )


def storage_is_away(output: str) -> None:
    raise OutageError(OUTAGE)


def bug(output: str) -> None:
    raise ValueError("no such thing")


def test_the_try_that_is_done_removes_the_lists_of_those_that_failed(job_server: str, tmp_path: Path) -> None:
    with pytest.raises(OutageError) as outage:
        run(job_server, tmp_path, storage_is_away)
    assert str(outage.value) == OUTAGE
    with pytest.raises(JobError, match=r"the job failed on its cluster: .*no such thing.*give the same command again"):
        run(job_server, tmp_path, bug)
    others = write_work_list(["another film"], list, str(tmp_path), "extract")
    assert len(list((tmp_path / WORK_LISTS).iterdir())) == 3
    assert run(job_server, tmp_path, write_manifest) == 0
    assert len(list_work(others.folder)) == len(list((tmp_path / WORK_LISTS).iterdir())) == 1


def test_a_job_server_that_goes_in_the_middle_is_told(tmp_path: Path) -> None:
    server = LocalJobServicer()
    address = f"localhost:{server.start_grpc_server()}"

    def stop_at_work() -> None:
        while not (tmp_path / "at work").exists():
            time.sleep(0.01)
        server.stop(0)

    def work(output: str) -> None:
        (Path(output) / "at work").touch()
        time.sleep(1)

    thread = threading.Thread(target=stop_at_work)
    thread.start()
    with pytest.raises(
        JobError, match=rf"the job server {address} gives no answer .*may still run.*what is done is kept"
    ):
        run(address, tmp_path, work)
    thread.join()


def explained(text: str, is_local: bool) -> CineAffectError:
    with pytest.raises(CineAffectError) as raised, lost_jobs_explained(PipelineOptions([]), is_local):
        raise RuntimeError(text)
    return raised.value


@pytest.mark.parametrize("is_local", [True, False])
def test_what_a_worker_said_is_what_the_command_says(is_local: bool) -> None:
    for kind in (OutageError, DiskFullError):
        error = explained(FROM_FLINK.format(error=kind.__name__, text=OUTAGE), is_local)
        assert (type(error), str(error)) == (kind, OUTAGE)


def test_all_lines_of_an_error_are_told_and_a_bug_after_it_is_a_bug() -> None:
    advice = "weights 'x' are absent:\n  file:      x.h5\n  to do:     run `cineaffect weights fetch x`"
    error = explained(FROM_FLINK.format(error="WeightsError", text=advice), is_local=False)
    assert (type(error), str(error)) == (WeightsError, advice)
    bug = "a\n\nDuring handling of the above exception, another exception occurred:\n\nKeyError: 'bug'"
    said = explained(FROM_FLINK.format(error="StorageError", text=bug), is_local=False)
    assert type(said) is JobError
    assert "KeyError: 'bug'" in str(said)


def test_what_dataflow_raises_is_told_and_a_drivers_own_bug_is_not() -> None:
    kind = type("DataflowRuntimeException", (Exception,), {})
    with pytest.raises(OutageError, match="503"), lost_jobs_explained(PipelineOptions([]), False):
        raise kind(FROM_FLINK.format(error="OutageError", text=OUTAGE))
    with pytest.raises(NotImplementedError), lost_jobs_explained(PipelineOptions([]), False):
        raise NotImplementedError("this runner can't do that")


def test_what_is_no_error_for_people_names_its_cause_on_a_cluster_and_keeps_its_trace_here() -> None:
    film = FROM_FLINK.format(error="FilmError", text="read: changed")
    assert type(explained(film, is_local=False)) is JobError
    said = str(explained(LOST_TOO_OFTEN, is_local=False))
    assert "TaskManager with id localhost:38313-da68ae is no longer reachable" in said
    assert JobError.exit_code == 1
    with pytest.raises(RuntimeError, match="Recovery is suppressed"), lost_jobs_explained(PipelineOptions([]), True):
        raise RuntimeError(LOST_TOO_OFTEN)


def test_an_outage_while_the_storages_time_is_asked_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(uri: str) -> None:
        raise OutageError(OUTAGE)

    monkeypatch.setattr(job.storage, "stat", no_answer)
    with pytest.raises(OutageError):
        job.storage_time_s(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
