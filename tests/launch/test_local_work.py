"""In which order the local runner gets the films, and how many processes are worth starting for them."""

from __future__ import annotations

import pytest

from beam_pipelines.extraction.parts_folder import PARTS_FOLDER, part_name, remove_parts
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.launch import job, local_work
from beam_pipelines.launch.local_work import largest_first, looks_up, segment_for, workers_for
from tests.support.synthetic_clips import regular_times, write_clip


@pytest.mark.usefixtures("emulator")
def test_the_largest_files_come_first_and_what_has_no_size_last_in_its_order(tmp_path):
    films = [Film("bucket", "gs://bucket/film.mp4"), Film("absent", str(tmp_path / "absent.mp4"))]
    films.append(Film("listed", "gs://bucket/listed.mp4", size_bytes=50))
    films.append(Film("refused", "a name with a zero\0in it"))
    for name, size_bytes in (("short", 10), ("long", 1000), ("middle", 100), ("as_long", 1000)):
        (tmp_path / name).write_bytes(bytes(size_bytes))
        films.append(Film(name, str(tmp_path / name)))
    order = [film.film_id for film in largest_first(films)]
    assert order == ["long", "as_long", "middle", "listed", "short", "bucket", "absent", "refused"]


@pytest.mark.usefixtures("emulator")
def test_films_of_a_manifest_in_a_bucket_are_sorted_where_few_listings_say_how_large_they_are(monkeypatch):
    sizes = {"a/short": 10, "b/long": 900, "b/é": 500}
    for name, size_bytes in sizes.items():
        storage.write_bytes(f"gs://bucket/{name}.mp4", bytes(size_bytes))
    films = [Film(name, f"gs://bucket/{name}.mp4") for name in ("absent", *sizes)]
    assert [film.film_id for film in largest_first(films)] == ["b/long", "b/é", "a/short", "absent"]
    assert largest_first([*films, Film("other", "gs://no-bucket/other.mp4")])[0].film_id == "absent"
    for bound in ("_LISTED_FOLDERS", "_LISTED_FILMS"):
        with monkeypatch.context() as patch:
            patch.setattr(local_work, bound, 2)
            assert largest_first(films) == films


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(local_work.os, "cpu_count", lambda: 8)


def make_file(path, megabytes):
    with path.open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    return str(path)


@pytest.mark.usefixtures("eight_cores")
def test_a_short_film_is_the_work_of_one_process_and_a_long_one_may_be_that_of_all(tmp_path):
    short, long = (Film(name, make_file(tmp_path / name, size)) for name, size in (("short", 20), ("long", 101)))
    assert workers_for([]) == workers_for([short]) == 1
    assert workers_for([short] * 3) == 3
    assert workers_for([long]) == workers_for([Film("remote", "gs://bucket/film.mp4")]) == 8


@pytest.mark.parametrize(
    ("lengths_s", "segment_s", "processes"),
    [
        ([7200], 900, 8),
        ([4000], 600, 7),  # in eighths of 500 s: the next multiple of 300
        ([700], 300, 3),
        ([299], 300, 1),
        ([700, 1300], 300, 8),  # three and five parts
        ([0], 300, 1),  # a header that says nothing
        ([7200] * 8, 900, 8),  # each core has a film of its own
        ([1e12], 900, 8),  # a header may say anything
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_fewer_films_than_cores_are_cut_so_that_all_cores_work(monkeypatch, lengths_s, segment_s, processes):
    films = [Film(str(number), str(number)) for number in range(len(lengths_s))]
    monkeypatch.setattr(local_work, "_length_s", lambda uri: lengths_s[int(uri)])
    assert segment_for(films, 900, "records") == segment_s
    # One core of two would have 900 s and the other 360.
    monkeypatch.setattr(local_work, "_length_s", lambda _: 1260)
    assert segment_for(films[:1], 900, "records", workers=2) == 600
    monkeypatch.setattr(local_work, "_length_s", lambda uri: lengths_s[int(uri)])
    assert min(8, workers_for(films, segment_s=segment_s)) == processes


def test_a_films_length_is_what_its_header_says_and_a_segment_is_never_longer_than_the_configured(tmp_path):
    write_clip(tmp_path / "clip.mp4", regular_times(20, 10), rate_hz=10)
    (tmp_path / "text.mp4").write_text("no film")
    assert local_work._length_s(str(tmp_path / "clip.mp4")) == pytest.approx(2.0)
    assert local_work._length_s(str(tmp_path / "text.mp4")) == local_work._length_s("absent.mp4") == 0.0
    assert segment_for([Film("clip", str(tmp_path / "clip.mp4"))], 300, "records", workers=2) == 300
    assert segment_for([Film("remote", "gs://bucket/film.mp4")], 900, "records", workers=2) == 900
    assert segment_for([], 900, "records") == 900


@pytest.mark.usefixtures("eight_cores")
def test_a_run_after_a_killed_one_cuts_films_as_that_did(monkeypatch, tmp_path):
    monkeypatch.setattr(local_work, "_length_s", lambda _: 1260)
    films = [Film(f"a-film-{number}.mp4", str(number)) for number in range(8)]
    for film_id, segment_s, first in (
        ("a-film-1.mp4", 600, 600),
        ("a-film-1.mp4", 600, 0),
        ("another.mp4", 300, 0),
        ("another.mp4", 300, 300),
        ("another.mp4", 300, 600),
    ):
        place = tmp_path / PARTS_FOLDER / part_name(film_id, "0123456789abcdef", segment_s, first)
        place.parent.mkdir(exist_ok=True)
        place.touch()
    (tmp_path / PARTS_FOLDER / "a-film-1.mp4-0123456789abcdef-000900.npz").touch()  # of an earlier version
    for left in (films, films[:2]):
        assert segment_for(left, 900, str(tmp_path)) == 600
    assert segment_for(films[:1], 900, str(tmp_path)) == 300, "no parts of this film are there"
    assert segment_for(films[:2], 300, str(tmp_path)) == 300, "never longer than configured"
    before = len(list((tmp_path / PARTS_FOLDER).iterdir()))
    remove_parts(str(tmp_path), only_of=["a-film-2.mp4"])
    assert len(list((tmp_path / PARTS_FOLDER).iterdir())) == before, "another run may go on with them"
    remove_parts(str(tmp_path), ["a-film-1.mp4"])
    assert len(list((tmp_path / PARTS_FOLDER).iterdir())) == 2


@pytest.mark.usefixtures("eight_cores")
def test_scoring_is_worth_a_process_for_every_ten_core_seconds(tmp_path):
    minute, evening = make_file(tmp_path / "minute", 1), make_file(tmp_path / "evening", 500)
    assert workers_for([], [minute] * 3, plots=True) == 1
    assert workers_for([], [minute] * 100, plots=True) == 2
    assert workers_for([], [minute] * 100) == 1
    assert workers_for([], [evening] * 2) == 4
    assert workers_for([], ["absent"] * 100_000) >= 8
    assert workers_for([], ["gs://bucket/records/evening.tfrecord", minute]) == 8


def test_fewer_films_are_looked_up_where_each_record_is_a_download():
    assert looks_up(20_000, "records")
    assert not looks_up(20_001, "records")
    assert looks_up(500, "gs://bucket/records")
    assert not looks_up(501, "gs://bucket/records")


def modes(options):
    found = options.get_all_options()
    return found["direct_running_mode"], found["direct_num_workers"]


def test_little_work_is_done_in_this_process_unless_beams_own_options_say_otherwise():
    options = job.beam_options([], 4)
    job.use_at_most(options, [], 2)
    assert modes(options) == ("multi_processing", 2)
    job.use_at_most(options, [], 3)
    assert modes(options) == ("multi_processing", 2)
    job.use_at_most(options, [], 1)
    assert modes(options) == ("in_memory", 1)
    given = ["--direct_num_workers=4"]
    options = job.beam_options(given, 0)
    job.use_at_most(options, given, 1)
    assert modes(options)[1] == 4
