"""Configuration: unknown keys are refused by name, overrides reach their key, files are data."""

from __future__ import annotations

import pytest

from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.foundation.command_line import add_configuration, make_parser
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError


def test_without_a_file_the_defaults_hold():
    assert load_section("extract", ExtractConfig) == ExtractConfig()


def test_override_reaches_a_nested_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("extract: {image: {batch_size: 4, seed: 7}}\ntrain: {epochs: 3}\n")
    config = load_section("extract", ExtractConfig, str(path), ["image.batch_size=8", "modalities=[image]"])
    assert (config.image.batch_size, config.image.seed, config.modalities) == (8, 7, ("image",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extract: {image: {batchsize: 4}}", ["extract.image.batchsize", "did you mean 'batch_size'"]),
        ("extrakt: {}", ["extrakt", "did you mean 'extract'"]),
        ("extract: {image: {batch_size: many}}", ["extract.image.batch_size", "'many'"]),
        ("extract: {audio: {window_s: 2}}", ["extract.audio.window_s"]),
        ("extract: [1, 2]", ["'extract'", "[1, 2]"]),
        ("- a\n- b", ["sections"]),
        ("1: {}", ["unknown section '1'"]),
        ("extract: {image: {seed: 1}}\nextract: {}", ["line 2: the key 'extract' is there twice"]),
        ("extract: {modalities: []}", ["extract.modalities"]),
        ("extract: {suffixes: [.MP4]}", ["extract.suffixes"]),
        ("extract: {", ["not readable as YAML"]),
        ("extract: !!python/object/apply:os.system ['true']", ["not readable as YAML"]),
    ],
)
def test_faults_are_named(tmp_path, text, expected):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_section("extract", ExtractConfig, str(path))
    for part in [str(path), *expected]:
        assert part in str(caught.value)


def test_an_override_reaches_below_a_null(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("extract: {image: null}\n")
    assert load_section("extract", ExtractConfig, str(path), ["image.seed=3"]).image.seed == 3


def test_a_folder_is_no_configuration_file(tmp_path):
    with pytest.raises(ConfigurationError, match="not readable"):
        load_section("extract", ExtractConfig, str(tmp_path))


def test_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml: no such configuration file"):
        load_section("extract", ExtractConfig, str(tmp_path / "nothing.yaml"))


@pytest.mark.parametrize("override", ["image.batch_size", "=3", "image=[", "modalities.image=3=4.x"])
def test_a_bad_override_is_named(override):
    with pytest.raises(ConfigurationError, match=r"--set|extract"):
        load_section("extract", ExtractConfig, None, [override])


def test_an_override_that_names_its_section_is_told_to_leave_it_out():
    with pytest.raises(ConfigurationError, match=r"of the section extract: --set image\.batch_size=4$"):
        load_section("extract", ExtractConfig, overrides=["extract.image.batch_size=4"])
    with pytest.raises(ConfigurationError, match=r"extract\.imge: unknown key; did you mean 'image'\?$"):
        load_section("extract", ExtractConfig, overrides=["extract.imge=1"])


def test_an_override_of_another_section_is_told_where_that_stands():
    with pytest.raises(ConfigurationError, match=r"of the section score here. Keys of the section extract stand in"):
        load_section("score", ScoreConfig, overrides=["plots=false", "extract.image.batch_size=4"])


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ExtractConfig().threads_per_worker = 3  # type: ignore[misc]


def test_a_second_configuration_file_is_refused(capsys):
    """argparse would take the last one and drop the first without a word."""
    parser = make_parser("extract", None)
    add_configuration(parser, "extract", "image.seed=1")
    assert parser.parse_args(["--config", "a.yaml"]).config == "a.yaml"
    with pytest.raises(SystemExit):
        parser.parse_args(["--config", "a.yaml", "--config", "b.yaml"])
    assert "--config is there twice: put the sections of both files into one" in capsys.readouterr().err
