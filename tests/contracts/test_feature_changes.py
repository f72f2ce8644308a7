"""Records and models of an earlier version: one sentence says what changed and what to run, from each command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.commands import extract, score
from beam_pipelines.contracts.models.exported_model import check_header, find_model
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.feature_changes import CHANGES, made_now, note_on_model, note_on_records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from tests.support.feature_records import make_track

UNTRAINED = {modality: {"weights": "untrained"} for modality in ("image", "audio", "face")}
OLD_AUDIO = {"network": "vggish", "rate_hz": 1, "mix": "mono_16khz"}


def test_this_versions_features_need_no_sentence_and_earlier_ones_get_one():
    now = describe_tracks(ExtractConfig.model_validate(UNTRAINED))
    assert note_on_records(now) == note_on_model(now) == ""
    changed = {change.key for change in CHANGES}
    before = {m: {key: value for key, value in made.items() if key not in changed} for m, made in now.items()}
    for note in (note_on_records(before), note_on_model(before)):
        assert "HDR films become SDR, and large pictures without a colour matrix are BT.709 (image, face)" in note
        assert "in one field of interlaced pictures (face)" in note
        assert "5.1 sound is as loud as stereo (audio)" in note
        for command in ("extract", "prepare", "train"):
            assert f"`cineaffect {command}`" in note
    assert "(image)" in note_on_records({"image": before["image"], "face": now["face"]})
    # Only what this project has extracted is compared.
    assert note_on_records({"image": {"imported": "mediaeval2018"}}) == ""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.key)
def test_a_change_is_part_of_the_fingerprints_of_just_its_modalities(change: Any):
    now = describe_tracks(ExtractConfig.model_validate(UNTRAINED))
    assert {m for m, made in now.items() if made.get(change.key) == change.value} == set(change.modalities) & set(now)
    assert all(made_now(modality)[change.key] == change.value for modality in change.modalities)


def test_black_bars_are_part_of_the_fingerprints_only_if_they_are_cut_off():
    plain = describe_tracks(ExtractConfig.model_validate(UNTRAINED))
    cut = describe_tracks(ExtractConfig.model_validate({**UNTRAINED, "crop_bars": True}))
    assert {m for m in plain if records.fingerprint(plain[m]) != records.fingerprint(cut[m])} == {"image", "face"}


def write_card(exports: Path, description: dict[str, Any]) -> None:
    (exports / "1").mkdir(parents=True)
    (exports / "1" / "saved_model.pb").write_bytes(b"no model, and nobody loads it")
    card = {"version": "1", "modalities": ["audio"], "fingerprints": {"audio": records.fingerprint(description)},
            "descriptions": {"audio": description}, "dimensions": {"audio": 128}, "smoothing": {},
            "label_range": [-1, 1]}  # fmt: skip
    (exports / "1" / "model_card.json").write_text(json.dumps(card))


def write_old_record(directory: Path, film: Path) -> records.RecordHeader:
    header = records.RecordHeader(film.name, str(film), film.stat().st_size, "0", 2, 2_000_000, 0)
    track = replace(make_track("audio", 2, 128, np.random.default_rng(0)), description=OLD_AUDIO)
    records.write_record(records.make_record(header, {"audio": track}), records.record_uri(str(directory), film.name))
    return records.read_header(records.record_uri(str(directory), film.name))


def test_commands_say_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "films").mkdir()
    film = tmp_path / "films" / "a.mp4"
    film.write_text("no film\n")
    write_old_record(tmp_path / "features", film)
    settings = ["--set=modalities=[audio]", "--set=audio.weights=untrained"]
    command = ["--films", str(tmp_path / "films"), "--output", str(tmp_path / "features"), *settings, "--dry-run"]
    assert extract.main(command) == 3
    (said,) = [entry.getMessage() for entry in caplog.records if "earlier version" in entry.getMessage()]
    assert "(audio): `cineaffect extract` makes these features again" in said
    caplog.clear()
    write_card(tmp_path / "exports", OLD_AUDIO)
    (tmp_path / "empty").mkdir()
    command = ["--records", str(tmp_path / "empty"), "--model", str(tmp_path / "exports"), "--output", str(tmp_path)]
    assert score.main(command) == 2
    (said,) = [entry.getMessage() for entry in caplog.records if "earlier version" in entry.getMessage()]
    assert "model 1: the model was trained on features of an earlier version" in said


def test_refusals_say_which_side_is_the_older_one(tmp_path: Path):
    film = tmp_path / "a.mp4"
    film.write_text("no film\n")
    now = describe_tracks(ExtractConfig.model_validate({"modalities": ["audio"], **UNTRAINED}))
    write_card(tmp_path / "new", now["audio"])
    write_card(tmp_path / "old", OLD_AUDIO)
    old, new = find_model(str(tmp_path / "old")).card, find_model(str(tmp_path / "new")).card
    header = write_old_record(tmp_path, film)
    check_header(header, old)
    with pytest.raises(FilmError, match="the records are of an earlier version, since which joined recordings"):
        check_header(header, new)
    with pytest.raises(FilmError, match="the model was trained on features of an earlier version"):
        check_header(replace(header, descriptions=now), old)
    with pytest.raises(ConfigurationError, match="the model was trained on features of an earlier version"):
        old.refuse_descriptions(now)
    with pytest.raises(ConfigurationError, match="use the extract section that its training films") as caught:
        new.refuse_descriptions({"audio": {**now["audio"], "window_s": 0.5, "own": {"resize": "pad"}}})
    assert '(own.resize is "pad", was not given; window_s is 0.5, was 0.96); use' in str(caught.value)
