"""The films that a model knows, told from others by the content of their files and by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LearnedFilms:
    """The films that a model knows: film id -> SHA-256 of its file, empty if the model's card doesn't say.

    Attributes:
        train: the films that it has learned from.
        validation: the films that chose its epoch and its filter.
    """

    train: Mapping[str, str]
    validation: Mapping[str, str]

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> LearnedFilms:
        """The films that a card names under `data`; cards of earlier versions have ids only, or nothing."""
        data = card.get("data") or {}
        known = data.get("source_sha256", {})
        train, validation = (
            {film_id: known.get(film_id, "") for film_id in data.get(key, ())}
            for key in ("train_films", "validation_films")
        )
        return cls(train, validation)

    @property
    def all(self) -> dict[str, str]:
        """Both kinds of films."""
        return {**self.validation, **self.train}


def find_among(films: Mapping[str, str], film_id: str, source_sha256: str) -> str | None:
    """The id under which a film is among others, or None.

    A film is the same if its file has the same content, whatever its id; and if it has the same id, since a file that
    was encoded anew still shows the same film.

    Args:
        films: film id -> SHA-256 of its file, or empty if that is unknown.
        film_id: the film.
        source_sha256: SHA-256 of its file, or empty if that is unknown.
    """
    copies = (other for other, sha256 in films.items() if source_sha256 and sha256 == source_sha256)
    return next(copies, film_id if film_id in films else None)
