"""`cineaffect weights`, called as the command line calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.commands.weights import main
from beam_pipelines.extractors.weights.weight_files import DIRECTORY_VARIABLE
from beam_pipelines.extractors.weights.weights_table import TABLE
from beam_pipelines.foundation.errors import EXIT_CONFIGURATION, EXIT_OK


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    return tmp_path


def test_list_shows_all_that_one_needs_to_fill_the_cache_by_hand(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / TABLE["vggish_pca"].file_name).write_bytes(b"not it")
    assert main(["list"]) == EXIT_OK
    text = capsys.readouterr().out
    assert str(cache) in text
    for row in TABLE.values():
        for part in (row.name, row.file_name, row.url or "by hand", row.licence, row.trained_on, row.published_hash[1]):
            assert part in text
    assert text.count("absent") == len(TABLE) - 1
    assert text.count("here, but not the published file") == 1


def test_verify_tells_right_wrong_and_absent_files_apart(
    cache: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify"]) == EXIT_OK
    name = TABLE["vggish_pca"].file_name
    content = (shared_data / "weights" / name).read_bytes()
    (cache / name).write_bytes(content)
    assert main(["verify"]) == EXIT_OK
    assert "vggish_pca: hash right" in capsys.readouterr().out
    assert main(["verify", "vggish_pca", "vggish_audioset"]) == EXIT_CONFIGURATION
    assert "weights 'vggish_audioset' are absent" in capsys.readouterr().out
    (cache / name).write_bytes(content[:-1] + b"?")
    assert main(["verify"]) == EXIT_CONFIGURATION


def test_fetch_of_what_has_no_address_or_no_such_name(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "facenet_vggface2_folded", "inception"]) == EXIT_CONFIGURATION
    text = capsys.readouterr().out
    assert "no published address" in text
    assert "no such name" in text


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for part in ("list", "fetch", "verify", "without a network", DIRECTORY_VARIABLE, "exit codes"):
        assert part in text
