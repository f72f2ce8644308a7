"""Films that a model knows, by content and by id."""

from __future__ import annotations

from beam_pipelines.contracts.models.learned_films import LearnedFilms, find_among


def test_a_film_is_known_by_its_content_under_any_id_and_by_its_id_with_any_content() -> None:
    known = {"first": "aa", "second": ""}
    assert find_among(known, "copy", "aa") == "first"
    assert find_among(known, "first", "bb") == "first"
    assert find_among(known, "second", "cc") == "second"
    assert find_among(known, "third", "cc") is None
    assert find_among(known, "third", "") is None  # what is unknown equals nothing


def test_cards_of_earlier_versions_know_ids_only_or_nothing() -> None:
    data = {"train_films": ["a"], "validation_films": ["b"], "source_sha256": {"a": "aa", "b": "bb"}}
    assert LearnedFilms.of_card({"data": data}) == LearnedFilms({"a": "aa"}, {"b": "bb"})
    del data["source_sha256"]
    assert LearnedFilms.of_card({"data": data}).all == {"a": "", "b": ""}
    assert LearnedFilms.of_card({}).all == {}
