"""The catalogue: folders, globs and manifests give the same films under safe, unique ids."""

from __future__ import annotations

import os
import unicodedata

import pytest

from beam_pipelines.contracts.film_ids import has_digest
from beam_pipelines.films.catalogue import Film, films_of_splits, list_catalogue, list_films, read_manifest
from beam_pipelines.films.passed_over import passed_over_line
from beam_pipelines.foundation.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b.MKV", "deep/c.webm", "notes.txt", ".hidden.mp4", "deep/.trash/d.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_gives_its_films_recursively(folder):
    films = list_films(str(folder))
    assert [film.film_id for film in films] == ["a.mp4", "b.MKV", "deep%2Fc.webm"]
    assert films[2].uri == str(folder / "deep" / "c.webm")


def test_a_glob_names_its_films_whatever_their_suffix(folder):
    assert [film.film_id for film in list_films(f"{folder}/*.txt")] == ["notes.txt"]
    assert [film.film_id for film in list_films(f"{folder}/**/*.webm")] == ["deep%2Fc.webm"]


def test_a_folder_whose_name_could_be_a_glob_is_a_folder(tmp_path):
    (tmp_path / "films [1920]").mkdir()
    for name in ("a.mp4", "notes.txt"):
        (tmp_path / "films [1920]" / name).touch()
    assert [film.film_id for film in list_films(f"{tmp_path}/films [1920]")] == ["a.mp4"]


def test_a_single_file_is_a_catalogue_of_one(folder):
    assert [film.film_id for film in list_films(str(folder / "a.mp4"))] == ["a.mp4"]


def test_a_manifest_gives_all_its_columns(folder):
    manifest = folder / "films.csv"
    manifest.write_text(
        "film_id,path,split,labels,rendition,year\n"
        "Ürsprung/1,deep/c.webm,train,labels/1.txt,480p,1999\n"
        f"b,{folder}/b.MKV,,,,\n"
        "far,gs://bucket/far.mp4,test,,,\n",
        encoding="utf-8-sig",
    )
    b, far, first = read_manifest(str(manifest))
    assert first == Film(
        "Ürsprung%2F1", str(folder / "deep" / "c.webm"), "train", str(folder / "labels" / "1.txt"), "480p"
    )
    assert b == Film("b", str(folder / "b.MKV"))
    assert far.uri == "gs://bucket/far.mp4"
    assert [film.film_id for film in list_films(str(manifest))] == ["b", "far", "Ürsprung%2F1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("film_id,file\na,b\n", "no column 'path'"),
        ("film_id,path,splt\na,b,c\n", "did you mean 'split'"),
        ("film_id,path\na,x.mp4\na,y.mp4\n", "two films have the film_id 'a'"),
        ("film_id,path\n,x.mp4\n", "line 2"),
        ("film_id,path\n", "no films found"),
        ("", "no column 'film_id'"),
        ('film_id,path\na,"x.mp4\nb,y.mp4\n', "not readable as CSV"),
        ("film_id,path\na,Hello, World.mp4\n", "line 2: more cells than columns"),
        ("film_id,path,split,split\na,x.mp4,train,test\n", "'split' is there twice"),
        ("film_id,path\na,\n", "line 2: path must be given"),
    ],
)
def test_faults_of_a_manifest_are_named(tmp_path, text, expected):
    manifest = tmp_path / "films.csv"
    manifest.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        list_films(str(manifest))
    assert expected in str(caught.value)


def test_blank_rows_and_windows_line_ends_are_no_fault(tmp_path):
    (tmp_path / "films.CSV").write_bytes(b"film_id,path\r\na,x.mp4\r\n , \r\n,\r\n")
    assert [film.film_id for film in list_films(str(tmp_path / "films.CSV"))] == ["a"]


def test_a_manifest_may_come_from_any_spreadsheet(tmp_path):
    for name, separator, encoding in (("a.csv", ";", "utf-8-sig"), ("b.tsv", "\t", "utf-16"), ("c.csv", ", ", "utf-8")):
        rows = [("film_id", "path", "split"), ("é", '"x, y; z.mp4"', "train"), ("b", "b.mp4", "test")]
        (tmp_path / name).write_text("\r\n".join(map(separator.join, rows)), encoding=encoding)
        assert list_films(str(tmp_path / name)) == [
            Film("b", str(tmp_path / "b.mp4"), "test"),
            Film("é", str(tmp_path / "x, y; z.mp4"), "train"),
        ]


def test_a_manifest_needs_paths_only_where_the_films_are_read(tmp_path):
    manifest = tmp_path / "films.csv"
    manifest.write_text("film_id,labels\na,a.txt\n")
    assert read_manifest(str(manifest)) == [Film("a", "", labels=str(tmp_path / "a.txt"))]
    assert list_films(str(manifest), needs_path=False) == read_manifest(str(manifest))
    with pytest.raises(ConfigurationError, match="no column 'path'"):
        list_films(str(manifest))
    manifest.write_text("film_id,path\na\nb,b.mp4\n")
    assert [film.uri for film in read_manifest(str(manifest))] == ["", str(tmp_path / "b.mp4")]


def test_a_misspelt_split_is_refused(tmp_path):
    films = [Film("a", "a.mp4", "train"), Film("b", "b.mp4", "validation"), Film("c", "c.mp4")]
    assert [film.film_id for film in films_of_splits(films, ["validation", "train"])] == ["a", "b"]
    with pytest.raises(ConfigurationError, match="did you mean 'validation'"):
        films_of_splits(films, ["train", "vaildation"])


def test_links_that_lead_nowhere_are_listed_so_that_somebody_is_told(folder):
    (folder / "dangling.mp4").symlink_to(folder / "nothing")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    assert {"dangling.mp4", "circle.mp4"} <= {film.film_id for film in list_films(str(folder))}


def test_files_passed_over_for_their_suffix_are_counted_and_named(folder):
    for name in ("a.srt", "b.SRT", "README", "deep/d.Old film", "e.\x1b[2J", "f.\udcff", ".hidden", "g.mp4"):
        (folder / name).touch()
    films, passed_over = list_catalogue(str(folder))
    assert [film.film_id for film in films] == ["a.mp4", "b.MKV", "deep%2Fc.webm", "g.mp4"]
    assert passed_over == {"": 1, ".?": 1, ".?[2j": 1, ".old film": 1, ".srt": 2, ".txt": 1}
    assert passed_over_line(passed_over) == (
        "7 files were passed over for their suffix: .srt 2, none 1, .? 1, .?[2j 1, .old film 1, .txt 1"
    )
    assert list_catalogue(f"{folder}/*.mp4")[1] == {}
    with pytest.raises(ConfigurationError, match=r"count\); 11 files .*: .mp4 2, .srt 2, .*, .webm 1$"):
        list_catalogue(str(folder), [".avi"])
    many = passed_over_line({f".{number:02}": 1 for number in range(12)})
    assert many.endswith(".08 1, .09 1, 2 more suffixes")


def test_an_empty_or_absent_folder_is_an_error(tmp_path):
    for source, expected in ((tmp_path, "no films found"), (tmp_path / "absent", "absent: no such folder or file")):
        with pytest.raises(ConfigurationError, match=expected):
            list_films(str(source))
    with pytest.raises(ConfigurationError, match="no films found"):
        list_films(f"{tmp_path}/absent/*.mp4")


def test_one_film_s_name_stops_no_other(tmp_path):
    long = "Ein sehr langer Titel, wie ihn Mediatheken vergeben " * 4 + "(2011).mp4"
    twins = [unicodedata.normalize(form, "Café.mp4") for form in ("NFC", "NFD")]
    for name in (long, *twins, " a.mp4", "a.mp4"):
        (tmp_path / name).touch()
    films = {film.film_id: os.path.basename(film.uri) for film in list_films(str(tmp_path))}
    assert sorted(films.values()) == sorted([long, *twins, " a.mp4", "a.mp4"])
    plain = {film_id for film_id in films if not has_digest(film_id)}
    assert plain == {twins[0], "a.mp4"}
    assert all(films[film_id] == film_id for film_id in plain)
    shortened = next(film_id for film_id, name in films.items() if name == long)
    assert shortened.startswith("Ein sehr langer Titel")
    (tmp_path / long).unlink()
    (tmp_path / twins[0]).unlink()
    assert twins[0] in {film.film_id for film in list_films(str(tmp_path))}


def test_a_name_of_nothing_but_blanks_gets_an_id_too(tmp_path):
    (tmp_path / "  ").touch()
    (film,) = list_films(f"{tmp_path}/*")
    assert film.film_id.startswith("film~")


def test_ids_of_a_manifest_are_compared_in_one_unicode_form(tmp_path):
    names = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]
    (tmp_path / "films.csv").write_text(f"film_id,path\n{names[1]},x.mp4\n")
    assert [film.film_id for film in read_manifest(str(tmp_path / "films.csv"))] == names[:1]
    (tmp_path / "films.csv").write_text(f"film_id,path\n{names[0]},x.mp4\n{names[1]},y.mp4\n")
    with pytest.raises(ConfigurationError, match="two films have the film_id"):
        read_manifest(str(tmp_path / "films.csv"))


def test_a_folder_named_in_the_other_unicode_form_is_found(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "Été") for form in ("NFC", "NFD"))
    (tmp_path / nfd).mkdir()
    (tmp_path / nfd / f"{nfc}.mp4").touch()
    (film,) = list_films(str(tmp_path / nfc))
    assert (film.film_id, film.uri) == (f"{nfc}.mp4", str(tmp_path / nfd / f"{nfc}.mp4"))
    (film,) = list_films(f"{tmp_path}/{nfc}/*.mp4")
    assert film.film_id == f"{nfc}.mp4"
