"""Films whose curves go known ways, as curves and as a scoring run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beam_pipelines.contracts.curves.curves import AffectCurve
from tests.support.report_runs import write_scores

STORIES = ("rags to riches", "man in a hole", "Cinderella")
_HALF_WAVES = (-1, 2, -3)


def film_of(story: int, seed: int, noise: float = 0.02) -> AffectCurve:
    """A film with one of `STORIES` in valence and a rise in arousal, of a length, level and swing drawn by the seed."""
    random = np.random.default_rng(seed)
    seconds = int(random.integers(60, 300))
    # A turn comes a little sooner or later.
    share = (np.arange(seconds) + 0.5) / seconds
    share += 0.02 * random.choice([-1, 1]) * np.sin(np.pi * share)
    half_waves = _HALF_WAVES[story]
    valence = np.sign(half_waves) * np.cos(abs(half_waves) * np.pi * share) * random.uniform(0.2, 0.5)
    valence += random.uniform(-0.3, 0.3) + random.normal(0, noise, seconds)
    arousal = -0.3 * np.cos(np.pi * share) + random.uniform(-0.3, 0.3)
    return AffectCurve(f"{STORIES[story]} {seed}", valence, arousal, valence, arousal)


def write_films(directory: Path, count: int) -> list[AffectCurve]:
    """A scoring run of `count` films, the stories in turn."""
    curves = [film_of(seed % len(STORIES), seed) for seed in range(count)]
    write_run(directory, curves)
    return curves


def write_run(directory: Path, curves: Sequence[AffectCurve]) -> None:
    """A scoring run of these curves."""
    directory.mkdir(parents=True, exist_ok=True)
    write_scores(directory, sorted(curves, key=lambda curve: curve.film_id), [])
