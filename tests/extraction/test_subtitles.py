"""Subtitles and records: what lies beside a film is found, a change of it is noticed, and parts are the film."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.runs import FilmOutcome, is_carried_over
from beam_pipelines.extraction import cutting, one_film
from beam_pipelines.extraction.dry_run import forecast
from beam_pipelines.extraction.earlier_runs import EarlierRuns
from beam_pipelines.extraction.finished_films import set_apart
from beam_pipelines.extraction.joining import extract_segment, finish_film
from beam_pipelines.extraction.one_film import Extractor, extract_film
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.subtitle_clips import SubtitleTrack, srt, write_subtitled

CUES = ((0, 1000, "I love it"), (2000, 3000, "Stop it now please"))
WORDS = [3, 0, 4, 0]


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecodingProcess]:
    with DecodingProcess() as one:
        yield one


@pytest.fixture
def film(tmp_path) -> Film:
    (tmp_path / "films").mkdir()
    return Film("film", str(write_subtitled(tmp_path / "films" / "film [1].mkv", 4, [SubtitleTrack(CUES)])))


@pytest.fixture
def extractor(tmp_path, decoder) -> Callable[..., Extractor]:
    def make(**settings: Any) -> Extractor:
        config = ExtractConfig.model_validate({"modalities": ["speech_text"], **settings})
        return Extractor(str(tmp_path / "records"), Networks(config), describe_tracks(config), decoder)

    return make


def record_of(film: Film, extractor: Extractor) -> records.FilmRecord:
    extract_film(film, extractor)
    return records.read_record(records.record_uri(extractor.directory, film.film_id))


def words(film: Film, extractor: Extractor) -> list[float]:
    return record_of(film, extractor).tracks["speech_text"].values[:, 0].tolist()


def put_beside(film: Film, name: str, text: str, later_s: float = 0.0) -> Path:
    """Writes a file beside the film; its time is `later_s` later than now."""
    path = Path(film.uri).parent / name
    path.write_text(text)
    now_s = path.stat().st_mtime
    os.utime(path, (now_s, now_s + later_s))
    return path


def test_a_film_gets_its_text_and_the_record_says_whence(film, extractor):
    record = record_of(film, extractor())
    assert record.tracks["speech_text"].values[:, 0].tolist() == WORDS
    assert record.header.quality["text"]["taken"] == {"stream": 1, "form": "subrip", "language": "eng"}
    assert not extract_film(film, extractor()).extracted, "nothing has changed"


def test_a_file_that_comes_changes_or_goes_is_noticed(film, extractor):
    assert words(film, extractor()) == WORDS
    beside = put_beside(film, "film [1].en.srt", srt((0, 1000, "two words")))
    assert words(film, extractor()) == [2, 0, 0, 0]
    assert not extract_film(film, extractor()).extracted
    # Of the same size, but younger than the record.
    put_beside(film, beside.name, srt((0, 1000, "onlyoneis")), later_s=3)
    assert words(film, extractor()) == [1, 0, 0, 0]
    # Of another size, but with a time before the record's, as a bucket or a file system without this clock may have it.
    put_beside(film, beside.name, srt((0, 1000, "these are three")))
    record = records.record_uri(extractor().directory, film.film_id)
    os.utime(record, (2_000_000_000, 2_000_000_000))
    assert words(film, extractor()) == [3, 0, 0, 0]
    beside.unlink()
    assert words(film, extractor()) == WORDS


def test_the_digest_of_the_file_is_kept(film, extractor):
    beside = put_beside(film, "film [1].srt", srt((0, 1000, "two words")))
    taken = record_of(film, extractor()).header.quality["text"]["taken"]
    digest = hashlib.sha256(beside.read_bytes()).hexdigest()
    expected = {"sidecar": beside.name, "form": ".srt", "size_bytes": beside.stat().st_size, "encoding": "utf-8"}
    assert taken == {**expected, "sha256": digest}


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere.srt"), os.mkfifo])
def test_what_is_no_file_is_told_and_not_waited_for(film, extractor, make: Callable[[Path], None]):
    make(Path(film.uri).parent / "film [1].srt")
    record = record_of(film, extractor())
    assert [warning.code for warning in record.header.warnings] == ["subtitles_not_read"]
    assert not record.tracks["speech_text"].present.any()
    assert not extract_film(film, extractor()).extracted


def test_files_in_another_unicode_form_are_found(film, extractor, tmp_path):
    folder = Path(film.uri).parent
    Path(film.uri).rename(folder / "e\u0301te\u0301.mkv")
    put_beside(film, "e\u0301te\u0301.en.srt", srt((0, 1000, "two words")))
    assert words(replace(film, uri=str(folder / "\u00e9t\u00e9.mkv")), extractor()) == [2, 0, 0, 0]


def test_films_that_need_work_are_set_apart_by_their_subtitles(film, extractor, tmp_path):
    made = extractor()
    extract_film(film, made)

    def needing_work() -> int:
        return len(set_apart([film], made.directory, made.descriptions, EarlierRuns()).films)

    assert needing_work() == 0
    put_beside(film, "film [1].srt", srt((0, 1000, "new")))
    assert needing_work() == 1
    assert forecast(film, made.config, made.directory, made.descriptions, made.earlier, made.decoder).action == (
        "extract speech_text (subtitles: film [1].srt)"
    )


def test_another_language_is_extracted_again(film, extractor):
    assert words(film, extractor()) == WORDS
    record = record_of(film, extractor(subtitles={"language": "de"}))
    assert not record.tracks["speech_text"].present.any()
    assert [warning.code for warning in record.header.warnings] == ["subtitles_not_taken"]


def test_a_refused_warning_is_looked_at_again(film, extractor):
    refusing = extractor(refuse=["subtitles_encoding"])
    beside = Path(film.uri).with_suffix(".srt")
    beside.write_bytes(srt((0, 1000, "é")).encode("cp1252"))
    with pytest.raises(FilmError, match="which is a guess") as refused:
        extract_film(film, refusing)
    assert refused.value.reason == "subtitles_encoding"
    failure = FilmOutcome("film", film.uri, "failed", "refuse", refused.value.reason, "", 0.0, 1, 2.0, "attempt")
    assert not is_carried_over(failure, 1, 2.0, "attempt")


def segments_of(film: Film, extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The film cut at second 2, although it is short and has no pictures to extract."""
    monkeypatch.setattr(one_film, "is_cut", lambda *_: True)
    monkeypatch.setattr(one_film, "cut_film", lambda *given: cutting.cut_film(*given[:5], 2, *given[6:]))
    return extract_film(film, extractor)


def test_parts_joined_are_the_film_to_the_bit(film, extractor, monkeypatch, tmp_path):
    put_beside(film, "film [1].srt", srt((500, 3500, "over the cut"), (1900, 2600, "not nice at all")))
    whole = extractor()
    extract_film(film, whole)
    cut = replace(whole, directory=str(tmp_path / "cut"))
    segments = segments_of(film, cut, monkeypatch)
    assert [segment.seconds for segment in segments] == [range(2), range(2, 4)]
    finish_film(segments[0].cut, [extract_segment(segment, cut) for segment in segments], cut)
    content = [Path(records.record_uri(made.directory, "film")).read_bytes() for made in (whole, cut)]
    assert content[0] == content[1]


def test_subtitles_that_change_between_parts_are_told(film, extractor, monkeypatch):
    beside = put_beside(film, "film [1].srt", srt((500, 3500, "over the cut")))
    segments = segments_of(film, extractor(), monkeypatch)
    extract_segment(segments[0], extractor())
    beside.unlink()
    with pytest.raises(FilmError, match="its subtitles were changed"):
        extract_segment(segments[1], extractor())
    assert segments_of(film, extractor(), monkeypatch)[0].cut.key != segments[0].cut.key


def test_other_features_are_kept_when_only_the_text_is_made_again(film, extractor):
    made = extractor()
    record = record_of(film, made)
    other = replace(record.tracks["speech_text"], values=np.ones((4, 5), np.float32), description={"network": "mine"})
    joined = records.make_record(record.header, {**record.tracks, "mine": other})
    records.write_record(joined, records.record_uri(made.directory, "film"))
    put_beside(film, "film [1].srt", srt((0, 1000, "two words")))
    again = record_of(film, made)
    assert again.tracks["mine"].values.all()
    assert again.tracks["speech_text"].values[0, 0] == 2


def test_a_track_of_text_that_is_not_wanted_goes_when_another_file_is_read(film, extractor):
    made = extractor()
    put_beside(film, "film [1].srt", srt((0, 1000, "old")))
    record = record_of(film, made)
    described = {"network": "mine", records.SUBTITLES: {"language": "en", "encoding": None}}
    mine = replace(record.tracks["speech_text"], description=described)
    uri = records.record_uri(made.directory, "film")
    records.write_record(records.make_record(record.header, {**record.tracks, "mine": mine}), uri)
    assert set(record_of(film, made).tracks) == {"mine", "speech_text"}
    other_settings = extractor(subtitles={"encoding": "cp1251"})
    assert set(record_of(film, other_settings).tracks) == {"mine", "speech_text"}, "it is the same file"
    put_beside(film, "film [1].srt", srt((0, 1000, "two words")))
    assert set(record_of(film, made).tracks) == {"speech_text"}, "the record would say that mine is of the new file"


def test_files_beside_a_film_in_a_bucket(emulator, film, extractor, tmp_path):
    remote = replace(film, uri="gs://bucket/films/film [1].mkv")
    storage.write_bytes(remote.uri, Path(film.uri).read_bytes())
    storage.write_text("gs://bucket/films/film [1].en.srt", srt((0, 1000, "two words")))
    storage.write_text("gs://bucket/films/film [1].d/film [1].srt", srt((0, 1000, "another film's")))
    made = extractor()
    assert [info.uri for info in storage.list_beside(remote.uri)] == [
        "gs://bucket/films/film [1].en.srt",
        "gs://bucket/films/film [1].mkv",
    ]
    assert words(remote, made) == [2, 0, 0, 0]
    assert not extract_film(remote, made).extracted
    storage.remove("gs://bucket/films/film [1].en.srt")
    assert words(remote, made) == WORDS
