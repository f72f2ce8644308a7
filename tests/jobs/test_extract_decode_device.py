"""The job when a GPU is to decode and there is none: refused on this machine, and elsewhere done by the processor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract, score
from beam_pipelines.contracts.records.records import read_record, record_uri
from beam_pipelines.extraction import decoder
from beam_pipelines.extraction.single_films import extract_features
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.media.decode_device import gpu_fault
from tests.support.synthetic_clips import regular_times, write_clip

PICTURES = "--set=modalities=[picture_signals]"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    if not gpu_fault():
        pytest.skip("this machine has a GPU that decodes")
    folder = tmp_path / "films"
    folder.mkdir()
    write_clip(folder / "film.mp4", regular_times(75, 25))
    return folder


def config(device: str) -> ExtractConfig:
    return ExtractConfig.model_validate({"modalities": ["picture_signals"], "device": {"decode": device}})


def test_a_gpu_that_is_not_there_is_refused_before_anything_starts(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    asked = ["--films", str(films), "--output", str(output), PICTURES, "--set=device.decode=gpu"]
    assert extract.main(asked) == 2
    said = capsys.readouterr().err
    assert "extract.device.decode: gpu, but this machine has none that decodes: FFmpeg can't open CUDA" in said
    assert "cpu decodes on the processors, auto takes what is there" in said
    assert not output.exists()
    with pytest.raises(ConfigurationError, match=r"device\.decode: gpu"):
        extract_features(films / "film.mp4", config("gpu"))


def test_score_refuses_it_too_when_it_extracts(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("extract: {device: {decode: gpu}}\n")
    output = tmp_path / "scores"
    asked = ["--films", str(films), "--model", "builtin:signals", "--output", str(output), "--config", str(settings)]
    assert score.main(asked) == 2
    assert "extract.device.decode: gpu" in capsys.readouterr().err
    assert not output.exists()


def test_a_device_that_is_none_is_refused(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--films", str(films), "--output", str(tmp_path / "out"), PICTURES, "--set=device.decode=cuda"]
    assert extract.main(asked) == 2
    assert "device.decode" in capsys.readouterr().err


def test_a_worker_without_a_gpu_makes_the_same_record_and_the_run_counts_it(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a cluster, where the machine that starts the job isn't asked.
    monkeypatch.setattr(decoder, "require_decoder", lambda config: None)
    output = tmp_path / "out"
    asked = ["--films", str(films), "--output", str(output), PICTURES, "--set=device.decode=gpu", "--workers=1"]
    assert extract.main(asked) == 0
    on = {"processor: no GPU took it, see the log": 1}
    assert json.loads((output / "run_manifest.json").read_text())["films_decoded_on"] == on
    said = "films by what decoded their pictures: processor: no GPU took it, see the log: 1"
    assert said in capsys.readouterr().out
    found = read_record(record_uri(str(output), "film.mp4"))
    expected = extract_features(films / "film.mp4", config("cpu"))
    assert found.header.quality == expected.header.quality
    (track,), (other,) = found.tracks.values(), expected.tracks.values()
    np.testing.assert_array_equal(track.values, other.values)
    assert track.description == other.description


def test_auto_finds_no_gpu_and_says_nothing(films: Path) -> None:
    assert not decoder.decoder_of(config("auto")).gpu
    decoder.require_decoder(config("auto"))


def test_score_counts_it_too(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "require_decoder", lambda config: None)
    settings, output = tmp_path / "settings.yaml", tmp_path / "scores"
    settings.write_text("extract: {device: {decode: gpu}}\n")
    asked = ["--films", str(films), "--model", "builtin:signals", "--output", str(output), "--config", str(settings)]
    assert score.main([*asked, "--workers=1"]) == 0
    on = {"processor: no GPU took it, see the log": 1}
    assert json.loads((output / "run_manifest.json").read_text())["films_decoded_on"] == on
