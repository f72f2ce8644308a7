"""The pointer `current` and its history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_pipelines.contracts.models.current_version import read_current
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.storage import object_storage
from tests.support.gcs_emulator import running_emulator
from tests.support.synthetic_films import REPOSITORY
from trainer.commands.rollback import main as rollback
from trainer.retraining.promotion import MovedError, former_version, move_current, read_history


def make_exports(root: Path, *versions: int) -> str:
    for version in versions:
        (root / str(version)).mkdir()
        (root / str(version) / "model_card.json").write_text("{}")
    return str(root)


def test_the_pointer_moves_and_returns(tmp_path: Path) -> None:
    exports = make_exports(tmp_path, 1, 2)
    assert read_current(exports) is None
    move_current(exports, 1, {"why": "retrain"})
    move_current(exports, 2, {"why": "more films\u2028and\x85better"})
    assert (read_current(exports), former_version(exports)) == (2, 1)
    assert rollback(["--exports", exports]) == 0
    assert read_current(exports) == 1
    assert rollback(["--exports", exports, "--to", "2"]) == 0
    assert [(e["from"], e["to"]) for e in read_history(exports)] == [(None, 1), (1, 2), (2, 1), (1, 2)]
    assert read_history(exports)[1]["why"] == "more films\u2028and\x85better"
    assert rollback(["--exports", exports, "--to", "7"]) == 2
    assert read_current(exports) == 2


def test_a_kill_between_history_and_pointer_leaves_the_old_version_and_the_move_is_noted_once(tmp_path: Path) -> None:
    exports = make_exports(tmp_path, 1, 2)
    move_current(exports, 1, {"why": "retrain"})
    move_current(exports, 2, {"why": "retrain"})
    (tmp_path / "current").write_text("1\n")  # as if the last move had been cut off before the pointer
    assert read_current(exports) == 1
    move_current(exports, 2, {"why": "retrain"})
    assert (read_current(exports), len(read_history(exports))) == (2, 2)


def test_a_pointer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("latest")
    with pytest.raises(ConfigurationError, match="not the number of a version"):
        read_current(str(tmp_path))


def test_a_pointer_that_somebody_else_has_moved_is_left_alone(tmp_path: Path) -> None:
    exports = make_exports(tmp_path, 1, 2, 3)
    move_current(exports, 1, {"why": "retrain"}, expected=None)
    with pytest.raises(MovedError, match="was moved from None to 1"):
        move_current(exports, 2, {"why": "retrain"}, expected=None)
    assert (read_current(exports), len(read_history(exports))) == (1, 1)
    move_current(exports, 2, {"why": "retrain"}, expected=1)
    assert read_current(exports) == 2
    move_current(exports, 2, {"why": "retrain"}, expected=1)  # a killed round that had moved it already
    assert len(read_history(exports)) == 2


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Exports in a bucket of an emulator, with twenty versions."""
    with running_emulator() as emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
        emulator.make_bucket("models")
        for version in range(1, 21):
            storage.write_text(f"gs://models/exports/{version}/model_card.json", "{}")
        yield "gs://models/exports"


def test_the_pointer_of_a_bucket_moves_and_returns(bucket: str) -> None:
    move_current(bucket, 1, {"why": "retrain"}, expected=None)
    move_current(bucket, 2, {"why": "retrain"}, expected=1)
    with pytest.raises(MovedError, match="was moved from 1 to 2"):
        move_current(bucket, 3, {"why": "retrain"}, expected=1)
    assert rollback(["--exports", bucket]) == 0
    assert storage.read_text(f"{bucket}/current") == "1\n"
    assert [(e["from"], e["to"]) for e in read_history(bucket)] == [(None, 1), (1, 2), (2, 1)]
    storage.write_text(f"{bucket}/current", "2\n")  # as if the last move had been cut off before the pointer
    assert rollback(["--exports", bucket, "--to", "1"]) == 0
    assert (read_current(bucket), len(read_history(bucket))) == (1, 3)


def test_a_move_that_is_refused_after_it_was_noted_is_not_in_the_history(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_current(bucket, 1, {"why": "retrain"}, expected=None)
    replace = object_storage.Generation.replace

    def after_another_move(generation: object_storage.Generation, content: bytes) -> object_storage.Generation:
        """Somebody else's move to 3 comes between our line in the history and our pointer."""
        if generation.uri.endswith("/current"):
            monkeypatch.setattr(object_storage.Generation, "replace", replace)
            move_current(bucket, 3, {"why": "retrain"}, expected=1)
        return replace(generation, content)

    monkeypatch.setattr(object_storage.Generation, "replace", after_another_move)
    with pytest.raises(MovedError, match="was moved from 1 to 3"):
        move_current(bucket, 2, {"why": "retrain"}, expected=1)
    assert [(entry["from"], entry["to"]) for entry in read_history(bucket)] == [(None, 1), (1, 3)]
    assert read_current(bucket) == 3


def test_an_object_is_replaced_only_where_it_is_what_was_read(bucket: str) -> None:
    uri = f"{bucket}/current"
    absent = object_storage.read_generation(uri)
    assert (absent.content, absent.number) == (None, 0)
    assert absent.replace(b"1\n") == object_storage.read_generation(uri)
    with pytest.raises(object_storage.ChangedError, match="written by somebody else meanwhile"):
        absent.replace(b"2\n")
    first = object_storage.read_generation(uri)
    third = first.replace(b"3\n")
    assert first.replace(b"3\n") == third  # what a repeated request whose first answer was lost comes to
    with pytest.raises(object_storage.ChangedError):
        first.replace(b"4\n")
    assert object_storage.read_generation(uri).content == b"3\n"


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_processes_that_move_at_once_lose_no_line_of_the_history(
    tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    exports = request.getfixturevalue("bucket") if place == "bucket" else make_exports(tmp_path, *range(1, 21))
    code = "import sys\nfrom trainer.retraining.promotion import move_current\n"
    code += "for version in map(int, sys.argv[2:]): move_current(sys.argv[1], version, {'why': 'test'})"
    movers = [
        subprocess.Popen([sys.executable, "-c", code, exports, *map(str, versions)], cwd=REPOSITORY)
        for versions in (range(1, 11), range(11, 21))
    ]
    assert [mover.wait(300) for mover in movers] == [0, 0]
    history = read_history(exports)
    assert sorted(entry["to"] for entry in history) == list(range(1, 21))
    assert [entry["from"] for entry in history] == [None, *(entry["to"] for entry in history[:-1])]
    assert read_current(exports) == history[-1]["to"]
