"""Film ids: one safe path component each, distinct for distinct names, never too long, shown as people wrote them."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given, strategies as st

from beam_pipelines.contracts.film_ids import MAX_ID_BYTES, escape_film_id, has_digest, shown_name
from beam_pipelines.contracts.runs import DONE, FilmOutcome
from beam_pipelines.contracts.summed_outcomes import sum_up, summarise
from beam_pipelines.foundation.errors import ConfigurationError


@given(st.text(min_size=1, max_size=300))
def test_an_escaped_id_is_one_safe_path_component(name):
    try:
        escaped = escape_film_id(name)
    except ConfigurationError:
        assert not name.strip()
        return
    assert os.path.basename(escaped) == escaped
    assert not escaped.startswith(".")
    assert len(escaped.encode()) <= MAX_ID_BYTES
    assert not set(escaped) & set('/\\*?[]{}:"<>|\n\0')


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20))
def test_a_name_is_shown_as_it_was_before_it_was_escaped(name):
    if name.strip():
        assert shown_name(escape_film_id(name)) == unicodedata.normalize("NFC", name.strip())


def test_what_a_terminal_would_obey_is_not_shown_as_it_was():
    assert shown_name(escape_film_id("a\x1b[2J\nb\udcff.mp4")) == "a%1B[2J%0Ab%DCFF.mp4"
    assert shown_name("100% %zz %41") == "100% %zz %41"  # not ours
    assert shown_name(escape_film_id("a\x9b31m\u202eb\u2028c\u3000d.mp4")) == "a%9B31m%202Eb%2028c\u3000d.mp4"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=2, max_size=2))
def test_different_names_keep_different_ids(names):
    first, second = (unicodedata.normalize("NFC", name.strip()) for name in names)
    if first and second and first != second:
        assert escape_film_id(first) != escape_film_id(second)


@pytest.mark.parametrize("name", ["n" * 300, "電影" * 60, "/" * 100, "a" + "/é" * 60])
def test_a_long_name_is_cut_between_characters_and_told_apart_by_a_digest(name):
    film_id, other = escape_film_id(name), escape_film_id(name + "2")
    assert has_digest(film_id)
    assert film_id != other
    start = film_id.rpartition("~")[0]
    assert escape_film_id(name[: len(shown_name(start))]) == start


def test_the_run_manifest_names_the_file_of_a_shortened_id():
    name = "n" * 300 + ".mp4"
    outcomes = [FilmOutcome(escape_film_id(name), f"/films/{name}", DONE), FilmOutcome("a.mp4", "/films/a.mp4", DONE)]
    assert summarise([sum_up(outcomes)], 2, {}, 0.5)["shortened_ids"] == {escape_film_id(name): f"/films/{name}"}
    assert "shortened_ids" not in summarise([sum_up(outcomes[1:])], 1, {}, 0.5)
