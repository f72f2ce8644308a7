"""The builtin model: the formula against its words in NumPy, what is absent, and the export that the package holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.builtin import export_signals
from beam_pipelines.contracts.models import exported_model
from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures, builtin_directory, find_model
from beam_pipelines.extractors.signals.columns import PICTURE_COLUMNS, SOUND_COLUMNS
from beam_pipelines.foundation.errors import ConfigurationError

MOTION, CUTS = PICTURE_COLUMNS.index("motion_difference"), PICTURE_COLUMNS.index("cuts_30s")
LOUDNESS = SOUND_COLUMNS.index("loudness_momentary_lufs")


@pytest.fixture(scope="module")
def model():
    return ExportedModel(find_model("builtin:signals"))


def features(seconds, seed=0, sound=True):
    """Random signals; what the formula doesn't read is large and must not matter."""
    random = np.random.default_rng(seed)
    picture = random.uniform(-1e6, 1e6, (seconds, len(PICTURE_COLUMNS))).astype(np.float32)
    picture[:, MOTION] = random.gamma(2, 0.02, seconds)
    cuts = random.uniform(size=seconds) < 0.2
    picture[:, CUTS] = [cuts[max(0, t - 29) : t + 1].sum() for t in range(seconds)]
    heard = random.uniform(-1e6, 1e6, (seconds, len(SOUND_COLUMNS))).astype(np.float32)
    heard[:, LOUDNESS] = random.uniform(-90, -10, seconds)
    present = random.uniform(size=(seconds, 1)) < (0.9 if sound else 0)
    return FilmFeatures(
        {"picture_signals": picture, "sound_signals": heard},
        {"picture_signals": np.ones((seconds, 1), np.float32), "sound_signals": present.astype(np.float32)},
    )


def expected(film):
    """benchmarks/signals_model.md in NumPy."""
    picture, sound = film.values["picture_signals"].astype(float), film.values["sound_signals"].astype(float)
    heard = film.present["sound_signals"][:, 0] > 0
    seconds = len(picture)
    at = np.minimum(np.arange(seconds) + 15, seconds - 1)
    rate = picture[at, CUTS] / np.minimum(at + 1, 30)
    everywhere = np.ones(seconds, bool)
    components = []
    for values, known, least in (
        (picture[:, MOTION], everywhere, 0.002),
        (rate, everywhere, 1 / 60),
        (np.maximum(sound[:, LOUDNESS], -70), heard, 1.0),
    ):
        mean, deviation = (values[known].mean(), values[known].std()) if known.any() else (0.0, 0.0)
        scaled = np.clip((values - mean) / max(deviation, least), -3, 3) / 3
        components.append(np.where(known, scaled, np.nan))
    raw = np.nanmean(components, axis=0)
    raw -= raw.mean()
    width = min(29, max(5, seconds // 3 - (seconds // 3 + 1) % 2))
    window = np.kaiser(width, 5.0)
    half = width // 2
    padded = np.convolve(raw, window)[half : half + seconds]
    smoothed = padded / np.convolve(np.ones(seconds), window)[half : half + seconds]
    return np.clip(smoothed * np.abs(raw).max() / np.abs(smoothed).max(), -1, 1)


@pytest.mark.parametrize(("seconds", "sound"), [(7, True), (40, True), (300, True), (90, False)])
def test_the_formula_is_what_the_protocol_says(model, seconds, sound):
    film = features(seconds, seed=seconds, sound=sound)
    curve = model.predict(film)
    assert curve.valence is None
    np.testing.assert_allclose(curve.arousal, expected(film), atol=1e-5)
    assert np.ptp(curve.arousal) > 0.2


def test_several_films_in_one_call_have_the_curves_that_they_have_alone(model):
    films = [features(seconds, seed) for seed, seconds in enumerate((1, 33, 120))]
    for alone, together in zip(map(model.predict, films), model.predict_films(films), strict=True):
        np.testing.assert_array_equal(alone.arousal, together.arousal)


def test_a_film_in_which_nothing_changes_is_a_flat_line_and_one_without_anything_has_no_value(model):
    film = features(60)
    still = {name: np.repeat(values[:1], 60, axis=0) for name, values in film.values.items()}
    still["picture_signals"][:, CUTS] = 0
    np.testing.assert_array_equal(model.predict(FilmFeatures(still, film.present)).arousal, np.zeros(60))
    nothing = {name: np.zeros_like(values) for name, values in film.present.items()}
    assert np.isnan(model.predict(FilmFeatures(film.values, nothing)).arousal).all()


def test_small_noise_of_a_still_film_is_not_blown_up(model):
    film = features(120, sound=False)
    picture = film.values["picture_signals"]
    picture[:, CUTS] = 0
    picture[:, MOTION] = np.random.default_rng(1).uniform(0, 1e-4, 120)  # far less than half a grey level
    assert np.abs(model.predict(film).arousal).max() < 0.02


def test_the_package_holds_the_export_of_this_code(tmp_path, model):
    export_signals.export(tmp_path)
    own = json.loads((tmp_path / "model_card.json").read_text())
    assert own == json.loads((builtin_directory("signals") / "model_card.json").read_text()), (
        "run python -m beam_pipelines.builtin.export_signals"
    )
    assert not own["trained"]
    assert own["own_range"]
    film = features(50)
    np.testing.assert_array_equal(
        ExportedModel(find_model(str(tmp_path))).predict(film).arousal, model.predict(film).arousal
    )


def test_a_worker_takes_the_model_of_its_own_installation(tmp_path, monkeypatch):
    sent = find_model("builtin:signals")
    assert str(builtin_directory("")) not in repr(sent), "a path of the machine that starts the job"
    worker = tmp_path / "worker" / "builtin"
    shutil.copytree(builtin_directory(""), worker)
    monkeypatch.setattr(exported_model, "builtin_directory", lambda name: worker / name)
    assert Path(sent.directory) == worker / "signals"
    (worker / "signals" / "model_card.json").write_text("{}")
    with pytest.raises(RuntimeError, match=r"builtin:signals: .* one version of the package everywhere"):
        ExportedModel(sent)


def test_another_name_is_refused_and_says_what_there_is():
    with pytest.raises(ConfigurationError, match=r"builtin:none: no such model.*builtin:signals"):
        find_model("builtin:none")
