"""Warnings: every sentence can be filled, old records have those of their quality, new ones keep what was stored."""

from __future__ import annotations

import dataclasses
import re
import string
from pathlib import Path

import pytest

from beam_pipelines.contracts.film_warnings import (
    SENTENCES,
    FilmWarning,
    film_warning,
    from_rows,
    in_order,
    to_rows,
    warnings_of_quality,
)
from beam_pipelines.contracts.records import layout, records, tfrecord
from beam_pipelines.contracts.records.sequence_example import SequenceExample
from tests.support.feature_records import make_film_record

CUT_OFF = {"film": {"packets": 250, "packets_damaged": 1, "read_errors": 0, "missing_s": 9.96, "truncated": True}}


@pytest.mark.parametrize("code", SENTENCES)
def test_every_sentence_names_its_number(code):
    fields = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[code]) if name}
    assert "number" in fields
    assert "7" in film_warning(code, 7, **dict.fromkeys(fields - {"number"}, "x")).sentence


def test_the_page_for_users_explains_every_code():
    page = (Path(__file__).parents[2] / "docs" / "own-films.md").read_text(encoding="utf-8")
    table = re.search(r"^\| code \|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    assert table is not None
    assert re.findall(r"^\| `(\w+)` \|", table.group(), re.MULTILINE) == list(SENTENCES)


def test_warnings_follow_from_the_quality():
    assert warnings_of_quality({}) == ()
    assert warnings_of_quality({"film": {"missing_s": 1.0}, "picture": {"seconds_without_a_fresh_frame": 1}}) == ()
    quality = {
        **CUT_OFF,
        "picture": {"seconds_without_a_fresh_frame": 12, "frames_corrupt": 2, "packet_errors": 3},
        "sound": {"frames_corrupt": 0, "packet_errors": 4},
    }
    found = warnings_of_quality(quality)
    # Of the 5 lost pictures the demuxer has marked one: it counts once.
    assert [(each.code, each.number) for each in found] == [("truncated", 9.96), ("damaged", 9), ("frozen", 12)]
    assert found[0].sentence.startswith("the pictures end 9.96 s before")
    for mode, frozen in (
        ({"decode_mode": "keyframes"}, []),
        ({"decode_mode": "approximate", "approximate_age_s": 2.0}, []),
        ({"decode_mode": "approximate", "approximate_age_s": 0.5}, ["frozen"]),
    ):
        codes = [each.code for each in warnings_of_quality(quality, {"image": mode})]
        assert codes == ["truncated", "damaged", *frozen]


ONE_OF_THREE = {
    "tracks": [{"index": 2, "codec": "aac", "layout": "stereo", "language": "eng"}],
    "tracks_in_film": 3,
    "why": "default",
}


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        ({"tracks": [], "tracks_in_film": 0, "why": "none"}, {}),
        ({**ONE_OF_THREE, "tracks_in_film": 1, "why": "only"}, {}),
        ({**ONE_OF_THREE, "why": "named"}, {}),
        (
            ONE_OF_THREE,
            {"sound_track_chosen": "the film has 3 sound tracks; taken: stream 2 (stereo, eng): the default"},
        ),
        (
            {**ONE_OF_THREE, "tracks_in_film": 2, "not_decodable": 1, "why": "only"},
            {
                "sound_not_decodable": "1 of 2 sound tracks can't be decoded; "
                "taken: stream 2 (stereo, eng): the only one left"
            },
        ),
        (
            {"tracks": [], "tracks_in_film": 1, "not_decodable": 1, "why": "none"},
            {"sound_not_decodable": "1 of 1 sound tracks can't be decoded; taken: none"},
        ),
        (
            {**ONE_OF_THREE, "tracks_in_film": 1, "not_found": "fra", "why": "only"},
            {
                "sound_track_not_found": "none of 1 sound tracks is 'fra' and can be decoded; "
                "taken: stream 2 (stereo, eng): the only one left"
            },
        ),
        (
            {"tracks": [{"index": 1}, {"index": 2}], "tracks_in_film": 2, "layout": "stereo", "why": "only"},
            {"mono_tracks_mixed": "2 mono tracks were mixed as stereo"},
        ),
        (
            {"tracks": [{"index": 1}], "tracks_in_film": 3, "mono_tracks_apart": 3, "why": "named"},
            {
                "mono_tracks_apart": "nothing says that 3 mono tracks are channels of one sound; "
                "taken: stream 1: as named"
            },
        ),
    ],
)
def test_the_choice_of_the_sound_is_said_where_there_was_one(sound, expected):
    assert {each.code: each.sentence for each in warnings_of_quality({"sound": sound})} == expected


def test_a_damaged_list_of_tracks_is_an_error():
    with pytest.raises(ValueError, match="no list of tracks"):
        warnings_of_quality({"sound": {"tracks": [3]}})


def test_a_code_comes_once_and_in_the_order_of_the_table():
    newer = FilmWarning("of_a_newer_version", 1, "one")
    given = [newer, film_warning("frozen", 3), film_warning("damaged", 1), film_warning("damaged", 5)]
    assert in_order(given) == (film_warning("damaged", 5), film_warning("frozen", 3), newer)


def test_a_record_keeps_its_warnings(tmp_path: Path):
    record = make_film_record()
    warnings = (film_warning("truncated", 2.5), FilmWarning("of_a_newer_version", 3, "drei – trois"))
    record = dataclasses.replace(record, header=dataclasses.replace(record.header, warnings=warnings))
    uri = str(tmp_path / "film.tfrecord")
    records.write_record(record, uri)
    assert records.read_header(uri).warnings == warnings
    assert records.read_whole_header(uri) == record.header
    assert from_rows([{**row, "since": "0.9"} for row in to_rows(warnings)]) == warnings


def test_a_record_without_warnings_has_those_of_its_quality(tmp_path: Path):
    record = make_film_record()
    record = dataclasses.replace(record, header=dataclasses.replace(record.header, quality=CUT_OFF))
    (segment,) = records.to_sequence_examples(record)
    example = SequenceExample.FromString(segment)
    assert records.read_header(write(tmp_path, example)).warnings == ()
    del example.context.feature[layout.WARNINGS]
    assert [each.code for each in records.read_header(write(tmp_path, example)).warnings] == ["truncated", "damaged"]


def write(folder: Path, example: SequenceExample) -> str:
    tfrecord.write_frames(folder / "film.tfrecord", [example.SerializeToString()])
    return str(folder / "film.tfrecord")
