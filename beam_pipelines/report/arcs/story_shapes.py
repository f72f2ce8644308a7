"""The six shapes that stories take by Reagan et al. (2016), as named references; a film need not have any of them.

A. J. Reagan, L. Mitchell, D. Kiley, C. M. Danforth, P. S. Dodds: The emotional arcs of stories are dominated by six
basic shapes, EPJ Data Science 5:31 (2016). They found them as modes of books' happiness over the course of the text: a
rise, a fall, and their combinations. Here they are 1 to 3 half waves of a cosine. They are shapes of valence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.report.arcs.arcs import POINTS, Arcs, arc_from_points
from beam_pipelines.report.arcs.distance import distances

TARGET = "valence"
_HALF_WAVES = {
    "rags to riches": -1,  # rises
    "riches to rags": 1,  # falls
    "man in a hole": 2,  # falls, rises
    "Icarus": -2,  # rises, falls
    "Cinderella": -3,  # rises, falls, rises
    "Oedipus": 3,  # falls, rises, falls
}
STORY_SHAPES = tuple(_HALF_WAVES)
"""The names of the shapes; `riches to rags` is the paper's tragedy."""


def story_arc(name: str, label_range: tuple[float, float] = (-1.0, 1.0)) -> Arcs:
    """One of the six shapes as an arc of valence."""
    half_waves = _HALF_WAVES[name]
    middles = (np.arange(POINTS) + 0.5) / POINTS
    wave = np.sign(half_waves) * np.cos(abs(half_waves) * np.pi * middles)
    low, high = label_range
    return arc_from_points(name, {TARGET: (low + high) / 2 + (high - low) / 4 * wave}, label_range)


def nearest_stories(arcs: Arcs) -> tuple[list[str], NDArray[np.float64]]:
    """The nearest of the six shapes of each film, and its distance, float64 [N], by shape; for arcs with valence."""
    arcs = arcs.of((TARGET,))
    table = np.stack([distances(story_arc(name, arcs.label_range), arcs, "shape") for name in STORY_SHAPES])
    return [STORY_SHAPES[place] for place in table.argmin(axis=0)], table.min(axis=0)
