"""Smoothing from two places: what the configuration sets takes the place of the model card's, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.curves.score_config import ScoreConfig
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.exported_models import expected_raw, write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import run, write_films

CARD = SmoothingConfig(method="moving_average", order=4, cutoff_hz=0.11, zero_phase=False, width_s=7)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], CARD),
        (["smoothing=null"], CARD),
        (["smoothing={}"], CARD),
        (["smoothing.cutoff_hz=0.02"], CARD.model_copy(update={"cutoff_hz": 0.02})),
        # A default of the filter that is set on purpose is set.
        (["smoothing.method=butterworth"], CARD.model_copy(update={"method": "butterworth"})),
        (["smoothing={order: 2, zero_phase: true}"], CARD.model_copy(update={"order": 2, "zero_phase": True})),
    ],
)
@pytest.mark.parametrize("text", [None, "score: {smoothing: null}\n", "score:\n"])
def test_what_is_set_replaces_that_setting_of_the_card_alone(tmp_path, text, overrides, expected):
    path = None
    if text is not None:
        path = str(tmp_path / "config.yaml")
        (tmp_path / "config.yaml").write_text(text)
    config = load_section("score", ScoreConfig, path, overrides)
    assert config.smoothing_over(CARD) == expected


def test_what_cannot_be_is_refused_though_the_card_would_not_use_it():
    with pytest.raises(ConfigurationError, match="cutoff_hz"):
        load_section("score", ScoreConfig, None, ["smoothing.cutoff_hz=0.5"])
    with pytest.raises(ConfigurationError, match="did you mean 'order'"):
        load_section("score", ScoreConfig, None, ["smoothing.oder=3"])


def test_a_cutoff_for_a_model_that_chose_no_filter_is_refused():
    unfiltered = SmoothingConfig(method="none")
    with pytest.raises(ConfigurationError, match=r"score.smoothing: cutoff_hz has no effect.*set smoothing.method too"):
        load_section("score", ScoreConfig, None, ["smoothing.cutoff_hz=0.02"]).smoothing_over(unfiltered)
    both = load_section("score", ScoreConfig, None, ["smoothing.cutoff_hz=0.02", "smoothing.method=butterworth"])
    assert both.smoothing_over(unfiltered) == SmoothingConfig(cutoff_hz=0.02)
    assert ScoreConfig().smoothing_over(unfiltered) == unfiltered


def test_the_curve_and_the_manifest_follow(tmp_path):
    """The test model's card: butterworth, order 2, 0.08 Hz."""
    write_model(tmp_path / "exports", "1")
    write_films(tmp_path / "features", {"film": 60})
    _, manifest = run(tmp_path / "features", tmp_path / "exports", tmp_path / "out", "--set", "smoothing.order=4")
    expected = SmoothingConfig(method="butterworth", order=4, cutoff_hz=0.08)
    assert manifest["smoothing"] == expected.model_dump(mode="json")
    assert manifest["configuration"]["smoothing"] == {"order": 4}
    curve = from_csv((tmp_path / "out" / "curves" / "film.csv").read_text(), "film")
    raw = expected_raw(make_film_record("film", 60))
    np.testing.assert_allclose(curve.valence, smooth(raw["valence"], expected), atol=2e-6)
    assert not np.allclose(curve.valence, smooth(raw["valence"], SmoothingConfig(order=4)), atol=1e-4)
