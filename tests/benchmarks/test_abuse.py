"""The benchmark of broken inputs: a sample of it finds no fault, and it detects faults that are put in."""

from __future__ import annotations

import os
import signal
from itertools import islice
from pathlib import Path

import pytest

from beam_pipelines.media.worker.decoding_process import DecodingProcess
from benchmarks.abuse import FAILURES, READ, UNACCOUNTED, outcome_of, run, table
from benchmarks.damaged_inputs import SOURCES, write_inputs, write_sources


def test_a_sample_of_broken_inputs_is_read_or_refused(tmp_path: Path):
    outcomes, failures, peak = run(tmp_path, seed=2018, per_kind=1, every=5)
    assert failures == []
    total = sum(counts.total() for counts in outcomes.values())
    assert total >= 40
    assert 10 < peak < 1024
    assert sum(counts[READ] for counts in outcomes.values()) > 5
    assert f"| all | {total} |" in table(outcomes)


def test_the_same_seed_gives_the_same_inputs(tmp_path: Path):
    sources, contents = write_sources(tmp_path, SOURCES[:3]), []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        contents.append([path.read_bytes() for _, path in islice(write_inputs(folder, sources, 3, 1), 30)])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 30


def test_a_decoder_that_dies_or_hangs_is_a_failure_and_replaced(tmp_path: Path):
    write_sources(tmp_path, SOURCES[:1])
    film = tmp_path / SOURCES[0].name
    with DecodingProcess(deadline_s=5.0) as decoder:
        for number, name in ((signal.SIGSTOP, "timeout"), (signal.SIGKILL, "crashed")):
            assert outcome_of(film, decoder) == (READ, "")
            assert decoder.pid is not None
            os.kill(decoder.pid, number)
            outcome, detail = outcome_of(film, decoder)
            assert outcome == f"decode: {name}"
            assert outcome in FAILURES
            assert str(film) in detail
        assert outcome_of(film, decoder) == (READ, "")


def test_a_missing_picture_is_unaccounted_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_sources(tmp_path, SOURCES[:1])
    film = tmp_path / SOURCES[0].name
    all_pictures = DecodingProcess.pictures
    monkeypatch.setattr(DecodingProcess, "pictures", lambda *args, **more: islice(all_pictures(*args, **more), 1))
    with DecodingProcess() as decoder:
        outcome, detail = outcome_of(film, decoder)
    assert (outcome, outcome in FAILURES) == (UNACCOUNTED, True)
    assert detail.startswith("1 pictures for 2 seconds")
