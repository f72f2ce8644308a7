"""The graph of each job is as large for many films as for one: they lie in lists in the output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from beam_pipelines import extract, import_features, prepare, score
from beam_pipelines.contracts.records import records
from beam_pipelines.films.work_lists import WorkList, list_work, read_work
from beam_pipelines.launch import job
from tests.support.exported_models import write_model
from tests.support.feature_records import make_film_record

CLUSTER = ("--runner=PortableRunner", "--job_endpoint=localhost:1", "--temp_location=unused")


def extract_arguments(folder: Path, films: int) -> list[Any]:
    return ["--films", manifest(folder, films), "--set", "modalities=[sound_signals]"]


def score_arguments(folder: Path, films: int) -> list[Any]:
    exports = folder.parent / "exports"
    if not exports.exists():
        write_model(exports, "1")
    return ["--records", folder, "--manifest", manifest(folder, films), "--model", exports]


def prepare_arguments(folder: Path, films: int) -> list[Any]:
    record = make_film_record("film 0", 3, {"image": 2048, "audio": 128, "face": 2048})
    records.write_record(record, records.record_uri(str(folder), "film 0"))
    return ["--records", folder, "--manifest", manifest(folder, films)]


def import_arguments(folder: Path, films: int) -> list[Any]:
    for number in range(films):
        (folder / f"film {number}.csv").write_text("time_s,a\n0,1\n")
    return ["--csv", folder, "--name", "mine", "--version", "1"]


def manifest(folder: Path, films: int) -> Path:
    path = folder / "films.csv"
    path.write_text("film_id,path,split\n" + "".join(f"film {n},film {n}.mp4,train\n" for n in range(films)))
    return path


@pytest.mark.parametrize(
    ("main", "arguments_for", "most"),
    [
        (extract.main, extract_arguments, 500_000),
        (score.main, score_arguments, 500_000),
        (prepare.main, prepare_arguments, 800_000),  # tf.Transform's graphs, some 150 KB for each modality
        (import_features.main, import_arguments, 500_000),
    ],
    ids=["extract", "score", "prepare", "import-features"],
)
def test_the_graph_is_the_same_for_one_film_and_for_many(
    main: Callable[..., int],
    arguments_for: Callable[[Path, int], list[Any]],
    most: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def measured(define: Any, options: Any, output: str, films: int, *, lists: list[WorkList], **_: Any) -> int:
        pipeline = beam.Pipeline(options=options)
        define(pipeline)
        sizes.append(pipeline.to_runner_api().ByteSize())
        found = sum(len(list(read_work(uri))) for work in lists for uri in list_work(work.folder))
        assert found == films == count
        (Path(output) / "defects.csv").write_text("film_id,kind,seconds,present\n")  # what the import prints
        return 0

    monkeypatch.setattr(job, "run", measured)
    for count in (1, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        arguments = map(str, arguments_for(folder, count))
        assert main([*arguments, "--output", str(tmp_path / f"out{count:4}"), *CLUSTER]) == 0
    assert max(sizes) < most
    assert abs(sizes[1] - sizes[0]) < 1000  # the numbers of films and sums, names of folders, tf.Transform's own names
