"""Leaks: films that are on both sides of a split, told by the content of their files and not by their ids alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from beam_pipelines.contracts.models.learned_films import find_among
from beam_pipelines.contracts.records.records import list_records, read_header
from beam_pipelines.contracts.runs import STATISTICS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.data.dataset import Statistics, TrainingFilm

TEST_SPLIT = "test"
"""The split on which nothing is measured before the end."""


def assert_no_leak(train: Sequence[TrainingFilm], held_out: Sequence[TrainingFilm], statistics: Statistics) -> None:
    """Refuses a split that leaks validation films: shared films, shared files, or statistics that cover them.

    Raises:
        ConfigurationError: if there is a leak; the text names the films.
    """
    trained, others = sources_of(train), sources_of(held_out)
    shared = sorted(trained.keys() & others.keys())
    if shared:
        raise ConfigurationError(f"films in training and in validation at once: {', '.join(shared)}")
    _assert_no_copies(trained, others, "training", "validation")
    foreign = sorted(set(statistics.films) - trained.keys())
    if foreign:
        raise ConfigurationError(
            f"{storage.join(statistics.directory, STATISTICS)}: the statistics come from films that are not among "
            f"the training films: {', '.join(foreign)}. Run `cineaffect prepare` on the training splits only"
        )


def assert_test_films_are_new(known: Mapping[str, str], catalogue: Iterable[Film], records_directory: str) -> None:
    """Refuses a manifest whose split `test` holds the file of a film that training knows, under another id.

    Test films without a record can't be told, and nothing can be measured on them.

    Args:
        known: film id -> SHA-256 of its file, of the films to learn from and to validate with.
        catalogue: all films of the manifest.
        records_directory: directory of their records.

    Raises:
        ConfigurationError: if there is such a film; the text names both ids.
        RecordError: if the record of a test film is damaged.
    """
    there = list_records(records_directory)
    test = [film.film_id for film in catalogue if film.split == TEST_SPLIT and film.film_id not in known]
    sources = {film_id: read_header(there[film_id]).source_sha256 for film_id in test if film_id in there}
    _assert_no_copies(known, sources, "training or validation", f"the split {TEST_SPLIT}")


def sources_of(films: Iterable[TrainingFilm]) -> dict[str, str]:
    """Film id -> SHA-256 of the film's file."""
    return {film.film_id: film.source_sha256 for film in films}


def _assert_no_copies(known: Mapping[str, str], held_out: Mapping[str, str], here: str, there: str) -> None:
    found = {film_id: find_among(known, film_id, sha256) for film_id, sha256 in held_out.items()}
    copies = [f"{original} and {film_id}" for film_id, original in found.items() if original is not None]
    if copies:
        raise ConfigurationError(
            f"the same file is in {here} and in {there} under two ids: {', '.join(copies)}. Take one of the two out "
            "of the manifest, or give it another split there (`left-out`, say)"
        )
