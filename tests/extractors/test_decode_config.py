"""Decode mode and sound track: checked when they are read; the mode is part of the fingerprints of pictures."""

from __future__ import annotations

from fractions import Fraction

import pytest

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError

UNTRAINED = [f"{modality}.weights=untrained" for modality in ("image", "audio", "face")]


def described(*overrides: str) -> dict:
    return describe_tracks(load_section("extract", ExtractConfig, None, [*UNTRAINED, *overrides]))


def test_the_mode_is_part_of_what_is_made_of_pictures_and_not_of_sound():
    exact = described()
    keyframes = described("decode.decode_mode=keyframes")
    approximate = described("decode.decode_mode=approximate", "decode.approximate_age_s=0.25")
    assert [each["image"]["decode_mode"] for each in (exact, keyframes)] == ["exact", "keyframes"]
    for modality in ("image", "face"):
        assert exact[modality] != keyframes[modality] != approximate[modality]
    assert exact["audio"] == keyframes["audio"] == approximate["audio"]
    assert approximate["face"]["approximate_age_s"] == 0.25


def test_a_bound_that_is_not_used_changes_nothing():
    assert described("decode.approximate_age_s=2.0") == described()


def test_the_bound_is_taken_as_written():
    config = load_section(
        "extract", ExtractConfig, None, ["decode.decode_mode=approximate", "decode.approximate_age_s=0.1"]
    )
    assert config.decode.mode().age_s == Fraction(1, 10)


@pytest.mark.parametrize(
    ("override", "expected"), [("decode.decode_mode=fast", "decode.decode_mode"), ("decode.mode=exact", "unknown key")]
)
def test_a_mode_that_is_none_is_refused(override: str, expected: str):
    with pytest.raises(ConfigurationError, match=expected):
        load_section("extract", ExtractConfig, None, [override])


def test_a_sound_track_is_an_index_or_a_name_and_no_truth_value():
    def track(text: str) -> int | str | None:
        return load_section("extract", ExtractConfig, None, [f"sound_track={text}"]).sound_track

    assert [track("1"), track("nor"), track("'no'")] == [1, "nor", "no"]
    with pytest.raises(ConfigurationError, match="truth values"):
        track("no")  # Norwegian
