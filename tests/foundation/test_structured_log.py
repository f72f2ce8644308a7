"""The log as JSON: every line of a real extraction parses and says which film, segment and worker it is about."""

from __future__ import annotations

import json
import logging
import math
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.contracts.records import records
from beam_pipelines.foundation.logs import structured_log
from beam_pipelines.foundation.logs.structured_log import JsonLines, about, start_json_log
from tests.support.exported_models import write_model
from tests.support.feature_records import make_film_record
from tests.support.synthetic_clips import Picture, regular_times, write_clip

REPOSITORY = Path(__file__).resolve().parents[2]
LONG_S = 305
# Half a dozen lines at its start, written by C++ before any setting is read.
FROM_TENSORFLOW = re.compile(r"WARNING: All log messages before absl|[IWEF]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\] ")
FACTS = {"time", "level", "message", "logger", "worker", "host", "pid"}


@pytest.fixture
def as_json(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """This process logs JSON; gives the objects that were logged since it was last asked."""
    root, hook = logging.getLogger(), sys.excepthook
    before, levels = list(root.handlers), {name: logging.getLogger(name).level for name in structured_log.OURS}
    start_json_log()
    start_json_log()
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook = hook


def test_a_message_says_what_it_is_about(as_json: Any) -> None:
    log = logging.getLogger("beam_pipelines.somewhere")
    with about(film="a film"):
        with about(segment=[300, 600]):
            log.info("two\nlines, ä", extra={"reason": "none"})
        log.warning("%d of %s", 1, "two")
    log.info("nothing in particular")
    first, second, third = as_json()
    assert set(first) == FACTS | {"film", "segment", "reason"}
    assert (first["message"], first["film"], first["segment"]) == ("two\nlines, ä", "a film", [300, 600])
    assert (second["message"], second["level"], set(second)) == ("1 of two", "WARNING", FACTS | {"film"})
    assert set(third) == FACTS
    assert third["worker"] == "driver"


@pytest.mark.filterwarnings("default:from Python:UserWarning")
def test_of_others_only_warnings_are_told_and_errors_keep_their_trace(as_json: Any) -> None:
    logging.getLogger("apache_beam.somewhere").info("chatter")
    logging.getLogger("apache_beam.somewhere").warning("worth it")
    warnings.warn("from Python", UserWarning, stacklevel=1)
    try:
        raise ValueError("wrong")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    first, from_python, last = as_json()
    assert first["message"] == "worth it"
    assert "from Python" in from_python["message"]
    assert last["level"] == "CRITICAL"
    assert "ValueError: wrong" in last["exception"]


def test_threads_and_abandoned_generators_keep_their_facts_to_themselves(as_json: Any) -> None:
    log = logging.getLogger("beam_pipelines.somewhere")

    def films() -> Iterator[None]:
        with about(film="in a generator"):
            yield

    generator = films()
    next(generator)
    thread = threading.Thread(target=log.info, args=("from a thread",))
    thread.start()
    thread.join()
    generator.close()
    log.info("after it")
    assert [set(entry) for entry in as_json()] == [FACTS, FACTS]


def test_what_is_no_json_value_is_told_as_text() -> None:
    record = logging.LogRecord("beam_pipelines", logging.INFO, __file__, 1, "message", (), None)
    record.path, record.share = Path("films/first.mp4"), 0.5
    entry = json.loads(JsonLines().format(record))
    assert (entry["path"], entry["share"]) == ("films/first.mp4", 0.5)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    picture = Picture(options={"preset": "ultrafast", "g": "20", "crf": "40"})
    write_clip(folder / "long.mp4", regular_times(2 * LONG_S, 2), picture=picture, rate_hz=2)
    write_clip(folder / "short.mp4", regular_times(2 * 25, 25))
    (folder / "text.mp4").write_text("this is no film\n" * 100)
    return folder


def extract(films: Path, output: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of an extraction in a process of its own, and what it logged."""
    settings = ["--set=modalities=[picture_signals]", "--set=segment_s=300"]
    return run("extract", "--films", str(films), "--output", str(output), *settings, *arguments)


def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a command in a process of its own, and the object of each line that it logged."""
    command = [sys.executable, "-m", "beam_pipelines.cli", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    lines = [line for line in done.stderr.splitlines() if not FROM_TENSORFLOW.match(line)]
    return done.returncode, [json.loads(line) for line in lines]


@pytest.mark.slow
def test_every_line_of_an_extraction_is_an_object(films: Path, tmp_path: Path) -> None:
    code, log = extract(films, tmp_path / "features", "--log-format=json", "--workers=2")
    assert code == 3
    assert all(set(entry) >= FACTS for entry in log if entry["logger"].startswith("beam_pipelines"))
    outcomes = {entry["film"]: entry for entry in log if entry["logger"] == "beam_pipelines.transforms.outcomes"}
    assert {film: entry["level"] for film, entry in outcomes.items()} == {
        "long.mp4": "INFO",
        "short.mp4": "INFO",
        "text.mp4": "WARNING",
    }
    assert (math.ceil(outcomes["long.mp4"]["film_s"]), outcomes["text.mp4"]["reason"]) == (LONG_S, "unreadable")
    segments = [
        entry for entry in log if entry["logger"] == "beam_pipelines.extraction.one_film" and "segment" in entry
    ]
    assert sorted(entry["segment"] for entry in segments) == [[0, 300], [300, LONG_S]]
    assert {entry["film"] for entry in segments} == {"long.mp4"}
    assert all(entry["worker"] != "driver" and "transform" in entry for entry in (*segments, *outcomes.values()))
    progress = [entry for entry in log if entry["logger"] == "beam_pipelines.launch.progress"]
    assert progress[-1]["films"] == 3
    assert {entry["worker"] for entry in progress} == {"driver"}


def test_in_one_process_too(films: Path, tmp_path: Path) -> None:
    code, log = extract(films / "text.mp4", tmp_path / "features", "--log-format=json", "--workers=1")
    assert code == 4
    (outcome,) = [entry for entry in log if "reason" in entry]
    assert (outcome["film"], outcome["step"], outcome["worker"]) == ("text.mp4", "probe", "driver")


def test_a_configuration_error_is_an_object_too(films: Path, tmp_path: Path) -> None:
    code, log = extract(films / "nothing", tmp_path / "features", "--log-format", "json")
    assert code == 2
    (entry,) = log
    assert entry["level"] == "ERROR"
    assert "no such folder or file" in entry["message"]


@pytest.mark.slow
def test_prepare_and_score_log_alike(tmp_path: Path) -> None:
    features, films = tmp_path / "features", ["first", "second", "damaged"]
    for number, film_id in enumerate(films):
        record = make_film_record(film_id, 20, seed=number)
        records.write_record(record, records.record_uri(str(features), film_id))
    (tmp_path / "films.csv").write_text("\n".join(["film_id,path,split", *(f"{f},{f}.mp4,train" for f in films), ""]))
    write_model(tmp_path / "exports", "1")

    given = ["--records", str(features), "--manifest", str(tmp_path / "films.csv"), "--log-format=json", "--workers=1"]
    code, log = run("prepare", *given, "--output", str(tmp_path / "transform"))
    assert code == 0
    assert {entry["film"]: entry["film_s"] for entry in log if "film" in entry} == dict.fromkeys(
        films, pytest.approx(20.0, abs=0.001)
    )

    Path(records.record_uri(str(features), "damaged")).write_bytes(b"damaged")
    model = ["--model", str(tmp_path / "exports"), "--set=plots=false"]
    code, log = run("score", *given, *model, "--output", str(tmp_path / "scores"))
    assert code == 3
    outcomes = {entry["film"]: entry for entry in log if entry["logger"] == "beam_pipelines.transforms.outcomes"}
    assert {film: entry["level"] for film, entry in outcomes.items()} == {
        "first": "INFO",
        "second": "INFO",
        "damaged": "WARNING",
    }
    assert outcomes["damaged"]["reason"] == "unreadable_record"
