"""Films with labels that are waves, and noisy curves of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Film:
    film_id: str
    labels: np.ndarray
    known: np.ndarray


def make_films(count: int, period_s: float, seconds: int = 200) -> list[Film]:
    films = []
    for index in range(count):
        t = np.arange(seconds)[:, None] + 37.0 * index
        labels = 0.6 * np.sin(2 * np.pi * t / np.array([period_s, 1.3 * period_s]))
        films.append(Film(f"film{index}", labels.astype(np.float32), np.ones(seconds, bool)))
    return films


def noisy(films: list[Film], deviation: float) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {film.film_id: film.labels + generator.normal(0, deviation, film.labels.shape) for film in films}
