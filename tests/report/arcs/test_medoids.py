"""PAM against brute force on a few films, and the silhouette against its formula."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from beam_pipelines.report.arcs.families import adjusted_rand
from beam_pipelines.report.arcs.medoids import cost_of, find_medoids, nearest_medoid, silhouette


def matrix_of(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def best_cost(distance: np.ndarray, k: int) -> float:
    return min(cost_of(distance, np.array(chosen)) for chosen in combinations(range(len(distance)), k))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_medoids_are_the_best_where_brute_force_can_tell(k: int) -> None:
    costs = []
    for seed in range(30):
        distance = matrix_of(np.random.default_rng(seed).normal(size=(8, 2)))
        medoids = find_medoids(distance, k)
        assert len(set(medoids.tolist())) == k
        cost = cost_of(distance, medoids)
        # What PAM promises: no swap of one medoid is better.
        for place in range(k):
            for film in set(range(8)) - set(medoids.tolist()):
                swapped = medoids.copy()
                swapped[place] = film
                assert cost_of(distance, swapped) >= cost - 1e-9
        costs.append((cost, best_cost(distance, k)))
    # It ends at a local optimum now and then, as PAM does, and never far above the best.
    assert sum(cost <= best + 1e-9 for cost, best in costs) >= 22
    assert max(cost / best for cost, best in costs) < 1.2


def test_separate_groups_are_found_exactly() -> None:
    random = np.random.default_rng(5)
    points = np.concatenate([centre + random.normal(0, 0.1, (4, 2)) for centre in [(0, 0), (5, 0), (0, 5)]])
    distance = matrix_of(points)
    medoids = find_medoids(distance, 3)
    assert cost_of(distance, medoids) == pytest.approx(best_cost(distance, 3))
    labels = nearest_medoid(distance, medoids)
    assert adjusted_rand(labels, np.repeat([0, 1, 2], 4)) == 1
    assert silhouette(distance, labels) > 0.9


def test_films_that_are_all_the_same_have_medoids_too() -> None:
    medoids = find_medoids(np.zeros((5, 5)), 3)
    assert len(set(medoids.tolist())) == 3
    labels = nearest_medoid(np.zeros((5, 5)), medoids)
    assert set(labels.tolist()) == {0, 1, 2}
    assert silhouette(np.zeros((5, 5)), labels) == 0


def test_the_silhouette_is_its_formula() -> None:
    distance = matrix_of(np.random.default_rng(1).normal(size=(8, 2)))
    labels = np.array([0, 0, 0, 1, 1, 2, 1, 0])
    widths = []
    for film, own in enumerate(labels):
        means = [
            np.mean([distance[film, o] for o in range(8) if labels[o] == g and o != film] or [0]) for g in range(3)
        ]
        near = min(mean for group, mean in enumerate(means) if group != own)
        widths.append((near - means[own]) / max(near, means[own]) if np.sum(labels == own) > 1 else 0.0)
    assert silhouette(distance, labels) == pytest.approx(np.mean(widths))


def test_agreement_is_one_for_the_same_groups_and_none_by_chance() -> None:
    """The example of Hubert and Arabie's index in scikit-learn's documentation, and independent divisions."""
    assert adjusted_rand(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])) == pytest.approx(0.571428, abs=1e-5)
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])) == 1
    random = np.random.default_rng(0)
    chance = [adjusted_rand(random.integers(0, 3, 60), random.integers(0, 3, 60)) for _ in range(50)]
    assert abs(np.mean(chance)) < 0.02


@pytest.mark.parametrize("k", [0, 5])
def test_too_many_medoids_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="4 films have 1 to 4 medoids"):
        find_medoids(np.zeros((4, 4)), k)
