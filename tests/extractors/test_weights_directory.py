"""An unusable directory of weights: the error is a sentence, not a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.commands.weights import main
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.weight_files import DIRECTORY_VARIABLE
from beam_pipelines.extractors.weights.weights_table import TABLE
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK, WeightsError


@pytest.fixture(params=["a file", "below a file"])
def no_directory(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "file").write_bytes(b"a file")
    path = tmp_path / "file" if request.param == "a file" else tmp_path / "file" / "folder"
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(path))
    return path


def test_fetch_into_what_is_no_directory(no_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(name for name, entry in TABLE.items() if entry.url)
    with pytest.raises(WeightsError, match=f"can't be the directory of weights.*{DIRECTORY_VARIABLE}") as caught:
        weights.fetch(name)
    assert str(no_directory) in str(caught.value)
    assert main(["fetch", name]) == EXIT_CONFIGURATION
    assert "can't be the directory of weights" in capsys.readouterr().out
    assert main(["list"]) == EXIT_OK
    assert main(["verify"]) == EXIT_OK


def test_an_error_that_is_not_about_one_file_is_printed_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from beam_pipelines.commands import weights as weights_command
    from beam_pipelines.foundation.errors import EXIT_FAILED, DiskFullError

    def full(name: str, table: object) -> Path:
        raise DiskFullError(f"{tmp_path}: no room")

    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.setattr(weights_command.weights, "locate", full)
    assert main(["verify", next(iter(TABLE))]) == EXIT_FAILED
    assert "error: " in capsys.readouterr().err
