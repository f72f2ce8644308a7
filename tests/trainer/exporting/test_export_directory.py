"""A version in a bucket: whole or none, whenever its export is killed; and the next export takes its number."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from beam_pipelines.contracts.models.exported_cards import versions_of
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.storage import object_storage
from tests.support.gcs_emulator import GcsEmulator
from tests.support.killed_writes import Killed, kill_after
from trainer.exporting.export_directory import assert_free, publish_export

FILES = ("fingerprint.pb", "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index")


def save(folder: str) -> None:
    for name in FILES:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)


def save_another(folder: str) -> None:
    save(folder)
    for name in FILES:
        Path(folder, name).write_text("of the second")


def test_a_killed_export_is_no_version_and_the_next_one_takes_its_place(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []
    for requests in range(len(FILES) + 2):  # the first change is the removal of an older graph, the last one the card
        directory = f"gs://bucket/exports-{requests}/1"
        with monkeypatch.context() as patch:
            made = kill_after(patch, requests)
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
    assert made[-1] == ("write", f"{directory}/saved_model.pb")


def test_an_export_over_a_killed_one_never_shows_the_old_graph_beside_new_variables(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes in range(len(FILES) + 1):
        directory = f"gs://bucket/again-{changes}/1"
        for name in FILES:  # killed before its card
            storage.write_text(f"{directory}/{name}", "old")
        with monkeypatch.context() as patch:
            kill_after(patch, changes)
            with pytest.raises(Killed):
                publish_export(save, "{}", directory)
        there = {
            info.uri.removeprefix(f"{directory}/"): storage.read_text(info.uri)
            for info in storage.list_files(directory)
        }
        assert "saved_model.pb" not in there or set(there.values()) == {"old"}


def test_of_two_exports_of_one_version_the_later_one_is_refused_and_changes_nothing(emulator: GcsEmulator) -> None:
    directory = "gs://bucket/two/1"

    def save_after_another(folder: str) -> None:
        publish_export(save, "first", directory)
        Path(folder, "saved_model.pb").write_text("of the second")

    assert_free(directory)
    with pytest.raises(ConfigurationError, match="holds something already"):
        publish_export(save_after_another, "second", directory)
    assert storage.read_text(f"{directory}/model_card.json") == "first"
    assert storage.read_text(f"{directory}/saved_model.pb") == "saved_model.pb"


def contents_of(directory: str) -> dict[str, str]:
    return {
        info.uri.removeprefix(f"{directory}/"): storage.read_text(info.uri) for info in storage.list_files(directory)
    }


def test_of_two_exports_at_the_same_moment_one_is_refused_and_nothing_of_it_is_there(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second one waits at each file until the first renews its claim: every second, not every 20.
    monkeypatch.setattr("trainer.exporting.export_directory._CLAIM_EXPIRY_S", 3.0)
    directory = "gs://bucket/at-once/1"
    upload = object_storage.upload

    def upload_beside_another(uri: str, path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"another export is writing this version .* under a new version"):
            publish_export(save_another, "second", directory)
        upload(uri, path)

    monkeypatch.setattr(object_storage, "upload", upload_beside_another)
    publish_export(save, "first", directory)
    assert contents_of(directory) == {**{name: name for name in FILES}, "model_card.json": "first"}


def test_an_export_that_lost_its_claim_changes_nothing_more(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = "gs://bucket/suspended/1"
    upload = object_storage.upload

    def suspended_after(uri: str, path: Path) -> None:
        """Another export finds the claim unchanged for as long as its expiry, and publishes a whole version."""
        upload(uri, path)
        monkeypatch.setattr(object_storage, "upload", upload)
        silent = {"host": "another", "pid": 1, "expiry_s": 0.1}
        storage.write_text("gs://bucket/suspended/.1.claim", json.dumps(silent))
        publish_export(save, "first", directory)

    monkeypatch.setattr(object_storage, "upload", suspended_after)
    with pytest.raises(ConfigurationError, match=r"another export is writing this version .*has taken this over"):
        publish_export(save_another, "second", directory)
    assert contents_of(directory) == {**{name: name for name in FILES}, "model_card.json": "first"}


def test_a_card_that_another_export_has_written_meanwhile_stays(
    emulator: GcsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = "gs://bucket/meanwhile/1"
    upload = object_storage.upload

    def upload_beside_another(uri: str, path: Path) -> None:
        upload(uri, path)
        storage.write_text(f"{directory}/model_card.json", "first")

    monkeypatch.setattr(object_storage, "upload", upload_beside_another)
    with pytest.raises(ConfigurationError, match="somebody has written a card there meanwhile"):
        publish_export(save, "second", directory)
    assert storage.read_text(f"{directory}/model_card.json") == "first"


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
    with pytest.raises(ConfigurationError, match="has written this version meanwhile"):
        publish_export(save, "second", str(tmp_path / "exports" / "1"))
    assert storage.read_text(str(tmp_path / "exports" / "1" / "model_card.json")) == "{}"


def test_what_a_killed_local_export_left_is_removed_by_a_later_one(tmp_path: Path) -> None:
    left = tmp_path / "exports" / f".{'0' * 32}.partial"
    left.mkdir(parents=True)
    save(str(left))
    os.utime(left, (0, 0))
    publish_export(save, "{}", str(tmp_path / "exports" / "1"))
    assert left.exists()  # it was written to just now, so it may be that of an export at work
    for path in (*left.rglob("*"), left):
        os.utime(path, (0, 0))
    publish_export(save, "{}", str(tmp_path / "exports" / "2"))
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == ["1", "2"]
