"""The distance between arcs against dynamic time warping written out in NumPy, and what it must find near and far."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.report.arcs.arcs import POINTS, Arcs, arcs_of
from beam_pipelines.report.arcs.distance import BAND, distance_matrix, distances
from beam_pipelines.report.arcs.story_shapes import STORY_SHAPES, nearest_stories, story_arc
from tests.support.arc_films import STORIES, film_of
from tests.support.report_runs import curve_of

RANGE = (-1.0, 1.0)


def warped(one: np.ndarray, other: np.ndarray) -> float:
    """Dynamic time warping of [POINTS, D] within the band, cell by cell."""
    best = np.full((POINTS + 1, POINTS + 1), np.inf)
    best[0, 0] = 0
    for i in range(POINTS):
        for j in range(max(0, i - BAND), min(POINTS, i + BAND + 1)):
            step = min(best[i, j], best[i, j + 1], best[i + 1, j])
            best[i + 1, j + 1] = step + np.sum((one[i] - other[j]) ** 2)
    return float(np.sqrt(best[-1, -1] / one.size))


@pytest.fixture(scope="module")
def films() -> Arcs:
    return arcs_of([curve_of(f"film {seed}", 90 + 40 * seed, seed, lift=seed / 20) for seed in range(6)], RANGE)


@pytest.mark.parametrize("targets", [("valence", "arousal"), ("arousal",)])
def test_the_distance_is_warping_within_the_band(films: Arcs, targets: tuple[str, ...]) -> None:
    arcs = films.of(targets)
    by_shape = [warped(arcs.shape[2].astype(float), other.astype(float)) for other in arcs.shape]
    np.testing.assert_allclose(distances(arcs.take([2]), arcs, "shape"), by_shape, atol=1e-9)
    by_both = [warped(arcs.values[2], other) for other in arcs.values]
    np.testing.assert_allclose(distances(arcs.take([2]), arcs, "both"), by_both, atol=1e-9)
    matrix = distance_matrix(arcs)
    np.testing.assert_allclose(matrix[2], by_shape, atol=1e-9)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert by_shape[2] == 0


def test_levels_are_compared_by_mean_and_spread(films: Arcs) -> None:
    parts = np.concatenate([films.mean, films.spread], axis=1)
    expected = np.sqrt(np.mean((parts - parts[4]) ** 2, axis=1))
    np.testing.assert_allclose(distances(films.take([4]), films, "level"), expected, atol=1e-12)


def test_a_turn_may_come_a_tenth_of_the_film_later_and_no_more() -> None:
    def with_peak_at(share: float) -> Arcs:
        curve = curve_of("film", 400, 0)
        object.__setattr__(curve, "valence", np.exp(-(((np.arange(400) / 400 - share) / 0.03) ** 2)))
        return arcs_of([curve], RANGE).of(["valence"])

    early, later, late = (with_peak_at(share) for share in (0.3, 0.38, 0.6))
    near, far = distances(early, later, "shape")[0], distances(early, late, "shape")[0]
    assert near < 0.1 < 0.8 < far


def test_each_known_story_is_found_and_told_from_the_others() -> None:
    arcs = arcs_of([film_of(story, seed) for seed, story in enumerate([0, 1, 2])], RANGE)
    names, far = nearest_stories(arcs)
    assert {film.rsplit(" ", 1)[0]: name for film, name in zip(arcs.film_ids, names, strict=True)} == {
        story: story for story in STORIES
    }
    assert far.max() < 0.15
    between = [
        distances(story_arc(one), story_arc(other), "shape")[0] for one in STORY_SHAPES for other in STORY_SHAPES
    ]
    assert sorted(between)[len(STORY_SHAPES)] > 0.6


def test_the_names_say_which_way_a_story_goes() -> None:
    """Reagan et al.: a rise, a fall, fall and rise, rise and fall, rise-fall-rise, fall-rise-fall."""
    turns = {
        "rags to riches": "+",
        "riches to rags": "-",
        "man in a hole": "-+",
        "Icarus": "+-",
        "Cinderella": "+-+",
        "Oedipus": "-+-",
    }
    for name in STORY_SHAPES:
        signs = np.sign(np.diff(story_arc(name).values[0, :, 0]))
        kept = signs[np.flatnonzero(np.diff(np.concatenate([[0], signs])))]
        assert "".join("+" if sign > 0 else "-" for sign in kept if sign) == turns[name]
