"""Bands that test films give each other."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.contracts.curves.bands import edges, half_width, measure
from trainer.evaluation.bands import crossed_bands


def test_each_film_is_judged_by_a_band_of_all_others():
    generator = np.random.default_rng(0)
    films = {}
    for number in range(5):
        curve = generator.uniform(-0.5, 0.5, (20 + number, 2))
        films[f"film{number}"] = (curve, curve + generator.normal(0, 0.1 * (1 + number), curve.shape))
    found = crossed_bands(films, ("valence", "arousal"), (-1.0, 1.0))
    for place, target in enumerate(("valence", "arousal")):
        held = []
        for name, (curve, labels) in films.items():
            others = [np.abs(c - y)[:, place] for other, (c, y) in films.items() if other != name]
            half = half_width(others, 80)
            assert half is not None
            held.append((labels[:, place], *edges(curve[:, place], half, (-1.0, 1.0))))
        assert found[target] == {80: pytest.approx(measure(held))}
    assert crossed_bands(dict(list(films.items())[:4]), ("valence", "arousal"), (-1.0, 1.0)) == {}
