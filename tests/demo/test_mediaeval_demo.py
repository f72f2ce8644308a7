"""The generated data set in the layout of MediaEval 2018: what is in it, its defects, and what its labels remember."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import digest, read_record, record_uri
from beam_pipelines.demo.mediaeval import MEMORY_S, make_data_set, plan_films
from beam_pipelines.demo.mediaeval_command import main
from beam_pipelines.films.mediaeval2018 import label_path, list_layout


def content(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_makes_the_same_bytes_and_another_seed_other_records(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("again", 1), ("other", 2)):
        make_data_set(tmp_path / name, plan_films(2, 1, 30, seed), videos=False, features=False, records=True)
    assert content(tmp_path / "a") == content(tmp_path / "again")
    records = [read_record(record_uri(str(tmp_path / name / "records"), "MEDIAEVAL18_54")) for name in ("a", "other")]
    assert digest(records[0], ["image"]) != digest(records[1], ["image"])
    assert records[0].header.source_sha256 != records[1].header.source_sha256


def test_layout_sets_and_the_defect_of_film_46(tmp_path: Path) -> None:
    where = ["--output", str(tmp_path), "--films", "6", "--test-films", "2", "--seconds", "60", "--records"]
    assert main([*where, "--no-films", "--no-features"]) == 0
    films = list_layout(str(tmp_path))
    assert [film.number for film in films] == [0, 1, 6, 18, 27, 46, 54, 55]
    assert [film.number for film in films if film.is_test] == [54, 55]
    rows = len((tmp_path / label_path(46)).read_text().splitlines()) - 1
    record = read_record(record_uri(str(tmp_path / "records"), "MEDIAEVAL18_46"))
    assert rows < record.header.seconds / 20
    assert record.tracks["image"].untrained
    absent = record.tracks["face"].present == 0
    assert absent.any()
    assert not record.tracks["face"].values[absent[:, 0], :4].any()


def test_refusals(tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path), "--films", "1"]) == 2


@pytest.mark.parametrize(("column", "gains"), [(0, (10, 30, 60)), (1, (5, 10, 30))])
def test_a_longer_window_of_events_tells_more_of_the_labels(column: int, gains: tuple[int, ...]) -> None:
    found = []
    for window_s in gains:
        # What is left of a leaky memory that sees only so many seconds.
        weights = np.exp(-np.arange(window_s) / MEMORY_S[column])
        pairs = []
        for film in plan_films(10, 2, 300, 5):
            events = film.events()[:, column]
            pairs.append((np.convolve(events, weights)[: len(events)][window_s:], film.labels()[window_s:, column]))
        predicted, true = (np.concatenate(series) for series in zip(*pairs, strict=True))
        found.append(np.corrcoef(predicted, true)[0, 1])
    assert found == sorted(found)
    assert found[-1] > 0.95
    assert found[-1] - found[0] > 0.1
