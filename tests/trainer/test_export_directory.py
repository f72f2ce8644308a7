"""A version in a bucket: whole or none, whenever its export is killed; and the next export takes its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gcs_emulator import GcsEmulator, running_emulator

from beam_pipelines import storage
from beam_pipelines.errors import ConfigurationError
from trainer.export_directory import assert_free, publish_export
from trainer.exported_cards import versions_of

FILES = ("fingerprint.pb", "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index")


@pytest.fixture(scope="module")
def emulator() -> Iterator[GcsEmulator]:
    with running_emulator() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", running.url)
        running.make_bucket("bucket")
        yield running


class Killed(Exception):
    """Stands for the end of the process between two requests to the bucket."""


def save(folder: str) -> None:
    for name in FILES:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)


def test_a_killed_export_is_no_version_and_the_next_one_takes_its_place(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for requests in range(len(FILES) + 1):
        directory = f"gs://bucket/exports-{requests}/1"
        with monkeypatch.context() as patch:
            order = kill_after(patch, directory, requests)
            with pytest.raises(Killed):
                publish_export(save, "{}", directory)
        assert versions_of(f"gs://bucket/exports-{requests}") == []
        assert_free(directory)
        storage.write_text(f"{directory}/variables/variables.data-00000-of-00002", "of an export with more pieces")
        publish_export(save, "{}", directory)
        assert versions_of(f"gs://bucket/exports-{requests}") == [1]
        there = [info.uri.removeprefix(f"{directory}/") for info in storage.list_files(directory)]
        assert there == sorted([*FILES, "model_card.json"])
    # A server that looks for new versions finds a graph only when its variables are there.
    assert order[-1] == "saved_model.pb"


def kill_after(monkeypatch: pytest.MonkeyPatch, directory: str, requests: int) -> list[str]:
    """From now on so many objects are written and the next one is not; the names of those that were."""
    written: list[str] = []

    def counted(write: Callable[..., None]) -> Callable[..., None]:
        def do(uri: str, *further: Any) -> None:
            if len(written) == requests:
                raise Killed
            written.append(uri.removeprefix(f"{directory}/"))
            write(uri, *further)

        return do

    for name in ("write_file", "write_text"):
        monkeypatch.setattr(storage, name, counted(getattr(storage, name)))
    return written


@pytest.mark.parametrize("name", ["model_card.json", "notes.txt"])
def test_what_is_no_unfinished_export_is_left_alone(emulator: GcsEmulator, name: str) -> None:
    directory = f"gs://bucket/taken-{name}/1"
    storage.write_text(f"{directory}/saved_model.pb", "graph")
    storage.write_text(f"{directory}/{name}", "{}")
    with pytest.raises(ConfigurationError, match="holds something already"):
        assert_free(directory)


def test_a_local_version_is_renamed_into_place(tmp_path: Path) -> None:
    publish_export(save, "{}", str(tmp_path / "exports" / "1"))
    assert versions_of(str(tmp_path / "exports")) == [1]
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["1"]
    with pytest.raises(ConfigurationError, match="holds something already"):
        assert_free(str(tmp_path / "exports" / "1"))
