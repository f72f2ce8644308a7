"""`cineaffect look`: from films to the page in one command, without weights; what a second look does; what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beam_pipelines.commands import look
from beam_pipelines.contracts.film_ids import has_digest
from beam_pipelines.contracts.records.records import record_uri, write_record
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.report.scoring import sheet_maker
from tests.support.feature_records import make_film_record
from tests.support.report_runs import film_data, rows_of
from tests.support.synthetic_clips import regular_times, write_clip


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened, on a machine with a display."""
    addresses: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(look.webbrowser, "open", addresses.append)
    return addresses


def test_one_command_leads_from_a_silent_film_to_its_page_and_the_next_does_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    films = tmp_path / "films"
    films.mkdir()
    write_clip(films / "silent.mp4", regular_times(12, 2), rate_hz=2)
    assert look.main(["films/silent.mp4"]) == 0
    page = tmp_path / "cineaffect-look" / "report" / "index.html"
    assert opened == [f"{page.as_uri()}#film=silent.mp4"]
    said = capsys.readouterr().out
    assert f"page: {page.as_uri()}" in said
    assert said.endswith("all files: cineaffect-look\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cineaffect-look", "films"]
    shown = film_data(page.parent, "silent.mp4")
    assert len(shown["arousal"]) == 6
    assert "valence" not in shown
    notes = "The film has no sound (sound_signals): the curve is made of picture_signals."
    assert notes in shown["notes"]

    record = tmp_path / "cineaffect-look" / "records" / "silent.mp4.tfrecord"
    before = record.stat().st_mtime_ns
    (films / "text.mp4").write_text("no film")
    thumbnails = next(page.parent.glob("thumbs/*.jpg")).read_bytes()
    monkeypatch.setattr(sheet_maker, "make_sprite", lambda *_: pytest.fail("made again"))
    assert look.main(["films"]) == 3
    assert next(page.parent.glob("thumbs/*.jpg")).read_bytes() == thumbnails
    assert film_data(page.parent, "silent.mp4") == shown
    said = capsys.readouterr().out
    assert "0 done, 1 already done, 1 failed of 2 films" in said
    assert (
        "  text.mp4: not a film that FFmpeg can open (Invalid data found when processing input); is it a video, and "
        "whole? (probe, unreadable)" in said
    )
    assert record.stat().st_mtime_ns == before
    assert [row["id"] for row in rows_of(page.parent)] == ["silent.mp4", "text.mp4"]
    assert opened[1:] == [page.as_uri()]


def test_without_a_display_only_the_address_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(look.sys, "platform", "linux")
    look._open(str(tmp_path / "index.html"), [], "folder")
    assert opened == []
    assert (tmp_path / "index.html").as_uri() in capsys.readouterr().out


def test_films_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "film.mp4").touch()
    one, two = tmp_path / "a" / "film.mp4", tmp_path / "b"
    (two / "notes.txt").touch()
    films, passed_over = look.list_all([str(one), str(two), str(one)], ExtractConfig(), str(tmp_path / "records"))
    assert {film.uri: has_digest(film.film_id) for film in films} == {str(one): False, str(two / "film.mp4"): True}
    assert passed_over == {".txt": 1}


def test_a_film_of_another_folder_joins_those_of_an_earlier_look_and_takes_nobodys_place(tmp_path: Path) -> None:
    one, two, records = tmp_path / "a" / "film.mp4", tmp_path / "b" / "film.mp4", tmp_path / "records"
    for film in (one, two):
        film.parent.mkdir()
        film.touch()
    record = make_film_record("film.mp4", seconds=2)
    record = replace(record, header=replace(record.header, source_uri=str(one)))
    write_record(record, record_uri(str(records), "film.mp4"))

    def ids(*films: Path) -> dict[str, bool]:
        found = look.list_all([str(film) for film in films], ExtractConfig(), str(records))[0]
        return {film.uri: has_digest(film.film_id) for film in found}

    assert ids(two) == {str(two): True}
    assert ids(two, one) == {str(one): False, str(two): True}
    # A manifest says itself what its films are called.
    manifest = tmp_path / "films.csv"
    manifest.write_text("film_id,path\nfilm.mp4,b/film.mp4\n")
    assert ids(manifest) == {str(two): False}
    # A film that was moved is the same film.
    one.unlink()
    assert ids(two) == {str(two): False}


def test_a_film_is_one_whether_it_is_named_or_a_folder_above_it(tmp_path: Path) -> None:
    film, records = tmp_path / "films" / "series" / "film.mp4", tmp_path / "records"
    film.parent.mkdir(parents=True)
    film.touch()

    def ids(*sources: Path) -> list[str]:
        return [film.film_id for film in look.list_all([str(one) for one in sources], ExtractConfig(), str(records))[0]]

    assert ids(film, film.parent.parent, film.parent) == ["film.mp4"]
    assert ids(film.parent.parent, film) == ["series%2Ffilm.mp4"]
    manifest = tmp_path / "films.csv"
    manifest.write_text("film_id,path\nfirst,films/series/film.mp4\n")
    assert ids(film, manifest) == ["first"]
    record = make_film_record("film.mp4", seconds=2)
    record = replace(record, header=replace(record.header, source_uri=str(film)))
    write_record(record, record_uri(str(records), "film.mp4"))
    assert ids(film.parent.parent) == ["film.mp4"]


@pytest.mark.parametrize(
    ("modality", "advice"),
    [("image", "cineaffect weights fetch inception_v3_imagenet"), ("clip", "takes clip, which no network")],
)
def test_what_a_model_needs_and_is_not_there_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], modality: str, advice: str
) -> None:
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(tmp_path))
    (tmp_path / "film.mp4").touch()
    model = tmp_path / "exports" / "1"
    model.mkdir(parents=True)
    (model / "saved_model.pb").touch()
    card = {"version": "1", "modalities": [modality], "fingerprints": {modality: "f"}, "dimensions": {modality: 2048}}
    card |= {"smoothing": {}, "label_range": [-1, 1]}
    (model / "model_card.json").write_text(json.dumps(card))
    assert look.main([str(tmp_path / "film.mp4"), "--model", str(model.parent), "--output", str(tmp_path / "o")]) == 2
    assert advice in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
