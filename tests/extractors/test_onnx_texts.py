"""Networks by configuration that take text: tokens made without the library, outputs by another engine than ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from beam_pipelines.commands import networks as networks_command
from beam_pipelines.contracts.records.feature_track import SUBTITLES, FeatureTrack, fingerprint
from beam_pipelines.extractors import text_track
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks, pin_networks
from beam_pipelines.extractors.onnx_networks import first_batch as first_batch_module
from beam_pipelines.extractors.onnx_networks.first_batch import FirstBatch, first_batch
from beam_pipelines.extractors.onnx_networks.tokens import Tokenizer
from beam_pipelines.extractors.text_track import texts_of_seconds
from beam_pipelines.extractors.tracks import extract_tracks
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.media.probe import FilmProbe, MediaLimits, probe_film
from beam_pipelines.media.text.cues import RULES, Cue
from beam_pipelines.media.text.film_text import FilmText
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.onnx_files import reference, texts_network
from tests.support.subtitle_clips import write_subtitled

WORDS = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "i", "love", "it", "stop", "now")
LENGTH, SECONDS = 6, 6
CUES = (Cue(0, 2_500_000, "I love it"), Cue(2_000_000, 3_000_000, "stop NOW"), Cue(5_200_000, 5_400_000, "nonsense"))
TEXTS = ["I love it", "I love it", "I love it stop NOW", "", "", "nonsense"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, its tokenizer and a film."""
    folder = tmp_path_factory.mktemp("texts")
    texts_network(folder / "sentences.onnx", len(WORDS))
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_subtitled(folder / "film.mkv", SECONDS, [])
    return folder


@pytest.fixture(autouse=True)
def known_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts no child to find out the length of a vector."""
    monkeypatch.setattr(first_batch_module, "first_batch", lambda *_: FirstBatch(4, 0.1))


def config_of(folder: Path, **keys: Any) -> ExtractConfig:
    section = {"takes": "text", "file": str(folder / "sentences.onnx"), "tokenizer": str(folder / "tokenizer.json")}
    section |= {"max_tokens": LENGTH, "output": "hidden", "pool": "mean", **keys}
    return ExtractConfig.model_validate({"modalities": ["sentences"], "networks": {"sentences": section}})


def extract(folder: Path, seconds: range = range(SECONDS), cues: tuple[Cue, ...] = CUES, **keys: Any) -> FeatureTrack:
    config, probe = config_of(folder, **keys), probe_film(folder / "film.mkv")
    return extracted(folder, config, probe, seconds, FilmText(cues, {"taken": {}}))


def extracted(folder: Path, config: ExtractConfig, probe: FilmProbe, seconds: range, text: FilmText) -> FeatureTrack:
    film, described = folder / "film.mkv", describe_tracks(config)
    with DecodingProcess() as decoder:
        part = extract_tracks(film, probe, Networks(config), described, MediaLimits(), decoder, seconds, text)
    return part.tracks["sentences"]


def tokens(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, mask and kinds of texts, each int64 [n, LENGTH]: the tokenizer's rules again."""
    numbers, mask = np.full((len(texts), LENGTH), 1), np.zeros((len(texts), LENGTH), np.int64)
    for row, text in enumerate(texts):
        known = [WORDS.index(word) if word in WORDS else 0 for word in text.lower().split()][: LENGTH - 2]
        numbers[row, : len(known) + 2] = [2, *known, 3]
        mask[row, : len(known) + 2] = 1
    return numbers, mask, np.zeros_like(mask)


@pytest.mark.parametrize("pool", ["mean", "first", "last", "max"])
def test_vectors_are_those_of_the_reference(folder: Path, pool: str) -> None:
    track = extract(folder, pool=pool)
    there = [second for second, text in enumerate(TEXTS) if text]
    made = tokens([TEXTS[second] for second in there])
    hidden = reference(folder / "sentences.onnx", "hidden", *made)
    pooled = {
        "mean": [row[mask > 0].mean(0) for row, mask in zip(hidden, made[1], strict=True)],
        "max": [row[mask > 0].max(0) for row, mask in zip(hidden, made[1], strict=True)],
        "first": hidden[:, 0],
        "last": [row[mask.sum() - 1] for row, mask in zip(hidden, made[1], strict=True)],
    }[pool]
    np.testing.assert_allclose(track.values[there], pooled, rtol=1e-5, atol=1e-6)
    assert track.present[:, 0].tolist() == [float(bool(text)) for text in TEXTS]
    assert not track.values[3:5].any()


def test_rows_are_filled_with_the_tokenizers_own_padding(folder: Path) -> None:
    numbers, mask, _ = tokens(["stop it"])
    row = Networks(config_of(folder)).tokens("sentences")("stop it")
    np.testing.assert_array_equal(row, [numbers[0], mask[0]])
    assert (row[0, mask[0] == 0] == WORDS.index("[PAD]")).all()


def test_an_output_that_is_one_vector_and_vectors_of_length_1(folder: Path) -> None:
    whole = reference(folder / "sentences.onnx", "first", *tokens(["I love it"]))[0]
    np.testing.assert_allclose(extract(folder, output="first", pool="none").values[0], whole, rtol=1e-5)
    unit = extract(folder, output="first", pool="none", normalise=True).values[0]
    np.testing.assert_allclose(unit, whole / np.linalg.norm(whole), rtol=1e-5)


def test_parts_are_the_film_to_the_bit_and_equal_texts_are_run_once(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(text_track, "ENTRY_EVERY_S", 2)
    rows = []
    monkeypatch.setattr("beam_pipelines.extractors.onnx_networks.tokens.Tokenizer.__call__", counted(rows))
    # The first text is shown in three stretches, and is a row of each.
    cues = (Cue(0, 5_000_000, "I love it"), Cue(5_000_000, 6_000_000, "stop"))
    whole = extract(folder, cues=cues)
    assert rows == ["I love it", "I love it", "I love it", "stop"]
    parts = [extract(folder, seconds, cues) for seconds in (range(2), range(2, SECONDS))]
    assert np.concatenate([part.values for part in parts]).tobytes() == whole.values.tobytes()
    assert np.concatenate([part.timestamps_us for part in parts]).tolist() == whole.timestamps_us.tolist()


def counted(rows: list[str]) -> Any:
    """Tokenises, and keeps the texts."""
    tokenise = Tokenizer.__call__
    return lambda self, text: (rows.append(text), tokenise(self, text))[1]


def test_a_film_without_text_is_absent(folder: Path) -> None:
    track = extract(folder, cues=())
    assert track.values.shape == (SECONDS, 4)
    assert not track.present.any()


def test_windows_reach_back() -> None:
    assert texts_of_seconds(CUES, range(SECONDS), 1) == TEXTS
    assert texts_of_seconds(CUES, range(2, SECONDS), 3) == [
        "I love it stop NOW",
        "I love it stop NOW",
        "I love it stop NOW",
        "nonsense",
    ]


def test_the_tokenizer_is_in_the_fingerprint_and_the_choice_of_subtitles_beside_it(
    folder: Path, tmp_path: Path
) -> None:
    described = describe_tracks(config_of(folder))["sentences"]
    assert described[SUBTITLES] == {"language": "en", "encoding": None}
    assert described["speech"] == RULES
    other = tmp_path / "other.json"
    other.write_text((folder / "tokenizer.json").read_text().replace('"now"', '"then"'))
    changed = describe_tracks(config_of(folder, tokenizer=str(other)))["sentences"]
    assert fingerprint(changed) != fingerprint(described)
    copy = tmp_path / "tokenizer.json"
    copy.write_bytes((folder / "tokenizer.json").read_bytes())
    assert describe_tracks(config_of(folder, tokenizer=str(copy)))["sentences"] == described
    pinned = pin_networks(config_of(folder)).networks["sentences"]
    assert pinned.tokenizer_sha256 == described["tokenizer"]


def test_wrong_files_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    refusals = [
        ({"tokenizer": "absent.json"}, "networks.sentences.tokenizer: there is no file"),
        ({"tokenizer": str(broken)}, "is no tokenizer.json"),
        ({"tokenizer_sha256": "0" * 64}, "networks.sentences.tokenizer_sha256: .* has the sha256"),
        ({"pool": "none"}, "say with `pool` what to do"),
        ({"input": "nothing"}, "there is no 'nothing'"),
    ]
    for keys, text in refusals:
        with pytest.raises(ConfigurationError, match=text):
            Networks(config_of(folder, **keys)).network("sentences")(np.zeros((1, 2, LENGTH), np.int64))


def test_the_first_batch_is_run_in_a_child(folder: Path) -> None:
    assert first_batch("sentences", config_of(folder).networks["sentences"], 4096).dimensions == 4


def test_show_prints_a_section_for_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert networks_command.main(["show", str(folder / "sentences.onnx")]) == 0
    shown = capsys.readouterr().out
    for line in ("takes: text", "tokenizer: tokenizer.json", "max_tokens: 128", "output: first"):
        assert line in shown
    assert "export the part" not in shown
