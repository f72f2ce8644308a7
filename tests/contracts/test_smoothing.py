"""Smoothing against formulas written out here, and properties that hold for every curve."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import fft, signal

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, butterworth, moving_average, smooth
from beam_pipelines.foundation.configuration import validate
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support.hypothesis_profiles import examples

CURVES = arrays(np.float64, st.integers(0, 120), elements=st.floats(-1, 1, allow_subnormal=False))
LONG_CURVES = arrays(np.float64, st.integers(40, 200), elements=st.floats(-1, 1, allow_subnormal=False))
ORDERS = st.integers(1, 6)
CUTOFFS_HZ = st.floats(0.01, 0.45)
CONFIGS = st.builds(
    SmoothingConfig,
    method=st.sampled_from(["butterworth", "moving_average", "none"]),
    order=ORDERS,
    cutoff_hz=CUTOFFS_HZ,
    zero_phase=st.booleans(),
    width_s=st.integers(0, 40).map(lambda half: 2 * half + 1),
    weights=st.sampled_from(["triangular", "uniform"]),
)


def butterworth_gain(frequency_hz: Any, cutoff_hz: float, order: int) -> Any:
    """|H(f)| of the bilinear Butterworth low-pass at 1 Hz, from its textbook formula."""
    ratio = np.tan(np.pi * frequency_hz) / np.tan(np.pi * cutoff_hz)
    return 1 / np.sqrt(1 + ratio ** (2 * order))


def middle_amplitude_and_phase(curve: np.ndarray, frequency_hz: float) -> tuple[float, float]:
    """Amplitude and phase of one frequency in the middle half of a curve, by least squares."""
    seconds = np.arange(curve.size)[curve.size // 4 : 3 * curve.size // 4]
    basis = np.stack([np.sin(2 * np.pi * frequency_hz * seconds), np.cos(2 * np.pi * frequency_hz * seconds)], axis=1)
    (sine, cosine), *_ = np.linalg.lstsq(basis, curve[seconds], rcond=None)
    return float(np.hypot(sine, cosine)), float(np.arctan2(cosine, sine))


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("frequency_hz", [0.01, 0.05, 0.08, 0.2])
def test_zero_phase_attenuates_a_sine_by_the_squared_gain_without_delay(order: int, frequency_hz: float) -> None:
    sine = np.sin(2 * np.pi * frequency_hz * np.arange(2000))
    smoothed = butterworth(sine, order=order, cutoff_hz=0.05)
    amplitude, phase = middle_amplitude_and_phase(smoothed, frequency_hz)
    expected = butterworth_gain(frequency_hz, 0.05, order) ** 2
    assert amplitude == pytest.approx(expected, rel=1e-6, abs=1e-9)
    if expected > 1e-3:
        assert phase == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_causal_attenuates_by_the_gain_and_delays(order: int) -> None:
    sine = np.sin(2 * np.pi * 0.03 * np.arange(2000))
    amplitude, phase = middle_amplitude_and_phase(
        butterworth(sine, order=order, cutoff_hz=0.05, zero_phase=False), 0.03
    )
    assert amplitude == pytest.approx(butterworth_gain(0.03, 0.05, order), rel=1e-6)
    assert phase < -0.1


def test_butterworth_equals_its_recurrence_written_out() -> None:
    curve = np.random.default_rng(3).uniform(-1, 1, 200)
    (b0, b1, b2), (_, a1, a2) = signal.butter(2, 2 * 0.07)
    # Settled on the first value: as if it had been there for ever.
    past_x, past_y, expected = [curve[0]] * 2, [curve[0]] * 2, []
    for x in curve:
        y = b0 * x + b1 * past_x[0] + b2 * past_x[1] - a1 * past_y[0] - a2 * past_y[1]
        past_x, past_y = [x, past_x[0]], [y, past_y[0]]
        expected.append(y)
    np.testing.assert_allclose(butterworth(curve, order=2, cutoff_hz=0.07, zero_phase=False), expected, atol=1e-12)


@given(CURVES.filter(len), ORDERS, CUTOFFS_HZ)
def test_zero_phase_equals_scipy_on_the_mirrored_curve(curve: np.ndarray, order: int, cutoff_hz: float) -> None:
    padding = int(np.ceil(3 / min(cutoff_hz, 0.5 - cutoff_hz)))
    sections = signal.butter(order, 2 * cutoff_hz, output="sos")
    # Seconds -3, -2, -1, 0, 1 … are the curve's 3, 2, 1, 0, 1 …, and after its end it runs back again.
    place = np.arange(-padding, curve.size + padding) % max(2 * curve.size - 2, 1)
    mirrored = curve[np.minimum(place, np.maximum(2 * curve.size - 2 - place, 0))]
    expected = signal.sosfiltfilt(sections, mirrored, padtype=None)[padding:-padding]
    smoothed = butterworth(curve, order=order, cutoff_hz=cutoff_hz)
    np.testing.assert_allclose(smoothed, expected, atol=1e-9)
    if curve.size > padding:
        whole = signal.sosfiltfilt(sections, curve, padtype="even", padlen=padding)
        np.testing.assert_allclose(smoothed, whole, atol=1e-9)


@pytest.mark.parametrize("seconds", [2, 3, 9, 40, 500])
@pytest.mark.parametrize(("order", "cutoff_hz"), [(1, 0.005), (2, 0.02), (2, 0.3), (1, 0.48), (4, 0.1)])
def test_zero_phase_equals_an_endless_mirror_in_the_frequency_domain(
    seconds: int, order: int, cutoff_hz: float
) -> None:
    curve = np.random.default_rng(seconds).uniform(-1, 1, seconds)
    # The cosine transform is that of a curve mirrored for ever at both ends: no padding, no SciPy filter.
    with np.errstate(over="ignore"):
        gain = butterworth_gain(np.arange(seconds) / (2 * (seconds - 1)), cutoff_hz, order)
    expected = fft.idct(fft.dct(curve, type=1) * gain**2, type=1)
    # After three periods, poles of order 2 leave e^-13 of the start, those of order 4 e^-7.
    tolerance = 1e-6 if order <= 2 else 2e-3
    np.testing.assert_allclose(butterworth(curve, order=order, cutoff_hz=cutoff_hz), expected, atol=tolerance)


def test_the_ends_are_as_near_to_the_truth_as_the_middle() -> None:
    rng, seconds, errors = np.random.default_rng(0), np.arange(400), []
    for _ in range(100):
        waves = np.sin(2 * np.pi * seconds[:, None] / np.array([150, 240, 400]) + rng.uniform(0, 2 * np.pi, 3))
        truth = 0.2 * waves.sum(axis=1)
        errors.append(butterworth(truth + rng.normal(0, 0.15, 400), order=2, cutoff_hz=0.02) - truth)
    first, middle, last = (
        np.sqrt(np.mean(np.square(errors)[:, part])) for part in (slice(15), slice(190, 205), slice(-15, None))
    )
    # With odd padding, which begins on the first second's noise, it is 3.3 times as much.
    assert max(first, last) < 1.7 * middle


@given(LONG_CURVES, st.integers(1, 2), st.floats(0.02, 0.4))
def test_zero_phase_treats_both_directions_of_time_alike(curve: np.ndarray, order: int, cutoff_hz: float) -> None:
    forwards = butterworth(curve, order=order, cutoff_hz=cutoff_hz)
    backwards = butterworth(curve[::-1], order=order, cutoff_hz=cutoff_hz)[::-1]
    np.testing.assert_allclose(forwards, backwards, atol=1e-4)


@pytest.mark.parametrize("cutoff_hz", [0.001, 0.005, 0.02])
@pytest.mark.parametrize("zero_phase", [True, False])
def test_order_10_with_a_low_cutoff_is_stable(cutoff_hz: float, zero_phase: bool) -> None:
    step = np.repeat([-1.0, 1.0], 5000)
    smoothed = butterworth(step, order=10, cutoff_hz=cutoff_hz, zero_phase=zero_phase)
    # The overshoot of a tenth-order step response is 18 %; the transfer-function form grows without bound here.
    assert np.abs(smoothed).max() < 1.5
    assert smoothed[0] == pytest.approx(-1, abs=0.02)


@given(LONG_CURVES, LONG_CURVES, st.floats(-3, 3), CONFIGS)
def test_filters_are_linear(one: np.ndarray, two: np.ndarray, factor: float, config: SmoothingConfig) -> None:
    length = min(one.size, two.size)
    one, two = one[:length], two[:length]
    wide = (-100.0, 100.0)
    whole = smooth(one + factor * two, config, label_range=wide)
    parts = smooth(one, config, label_range=wide) + factor * smooth(two, config, label_range=wide)
    np.testing.assert_allclose(whole, parts, atol=1e-8)


@given(CURVES, CONFIGS)
def test_smoothing_keeps_length_and_range_and_is_finite(curve: np.ndarray, config: SmoothingConfig) -> None:
    before = curve.copy()
    smoothed = smooth(curve, config)
    assert smoothed.shape == curve.shape
    assert smoothed.dtype == np.float64
    assert np.isfinite(smoothed).all()
    assert (np.abs(smoothed) <= 1).all()
    np.testing.assert_array_equal(curve, before)


@given(st.floats(-1, 1), st.integers(1, 200), CONFIGS)
def test_a_constant_stays(level: float, length: int, config: SmoothingConfig) -> None:
    np.testing.assert_allclose(smooth(np.full(length, level), config), level, atol=1e-12)


@given(st.integers(1, 60), st.integers(0, 20), st.sampled_from(["triangular", "uniform"]))
def test_moving_average_equals_a_loop(length: int, half: int, weights: str) -> None:
    curve = np.random.default_rng(length).uniform(-1, 1, length)
    expected = []
    for t in range(length):
        near = [
            (k, half + 1 - abs(k - t) if weights == "triangular" else 1) for k in range(length) if abs(k - t) <= half
        ]
        expected.append(sum(weight * curve[k] for k, weight in near) / sum(weight for _, weight in near))
    smoothed = moving_average(curve, width_s=2 * half + 1, weights=weights)  # type: ignore[arg-type]
    np.testing.assert_allclose(smoothed, expected, atol=1e-12)


@pytest.mark.parametrize("method", ["butterworth", "moving_average", "none"])
def test_seconds_without_value_are_interpolated(method: str) -> None:
    config = validate(SmoothingConfig, {"method": method}, "test")
    line = np.linspace(-0.5, 0.5, 41)
    holed = line.copy()
    holed[[7, 8, 20]] = np.nan, np.inf, -np.inf
    smoothed = smooth(holed, config)
    np.testing.assert_allclose(smoothed, smooth(line, config), atol=1e-12)


def test_a_curve_without_any_value_stays_without() -> None:
    smoothed = smooth(np.full(30, np.nan), SmoothingConfig())
    assert np.isnan(smoothed).all()
    assert smoothed.shape == (30,)


def test_an_empty_curve_stays_empty() -> None:
    smoothed = smooth([], SmoothingConfig())
    assert smoothed.shape == (0,)


@pytest.mark.parametrize("seconds", [1, 2, 3, 7])
@pytest.mark.parametrize("order", [1, 2, 4, 10])
def test_a_curve_far_shorter_than_a_period_becomes_its_mean(seconds: int, order: int) -> None:
    curve = np.random.default_rng(seconds).uniform(-1, 1, seconds)
    # The first and last second are mirror lines and not repeated, so they count half.
    weights = np.where(np.isin(np.arange(seconds), (0, seconds - 1)), 0.5, 1.0)
    smoothed = butterworth(curve, order=order, cutoff_hz=0.001)
    np.testing.assert_allclose(smoothed, np.average(curve, weights=weights), atol=0.02)


def test_overshoot_is_clipped_to_the_label_range() -> None:
    box = np.repeat([0.0, 1.0, 0.0], 60)
    config = SmoothingConfig(order=4, cutoff_hz=0.05)
    unclipped = butterworth(box, order=4, cutoff_hz=0.05)
    assert unclipped.min() < -0.03
    assert unclipped.max() > 1.03
    clipped = smooth(box, config, label_range=(0.0, 1.0))
    np.testing.assert_array_equal(clipped, np.clip(unclipped, 0, 1))


def test_smoothing_brings_a_noisy_curve_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(7)
    truth = np.sin(2 * np.pi * np.arange(600) / 90)
    noisy = truth + rng.normal(scale=0.4, size=600)
    for method in ("butterworth", "moving_average"):
        config = validate(SmoothingConfig, {"method": method}, "test")
        smoothed = smooth(noisy, config, label_range=(-2.0, 2.0))
        assert np.mean((smoothed - truth) ** 2) < 0.25 * np.mean((noisy - truth) ** 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cutoff_hz": 0.5}, "cutoff_hz"),
        ({"cutoff_hz": 0.0}, "cutoff_hz"),
        ({"order": 0}, "order"),
        ({"width_s": 4}, "odd width"),
        ({"method": "buterworth"}, "method"),
        ({"cut_off_hz": 0.1}, "did you mean 'cutoff_hz'"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validate(SmoothingConfig, values, "score.smoothing")


def test_arrays_that_are_no_curve_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        smooth(np.zeros((5, 2)), SmoothingConfig())
    with pytest.raises(ValueError, match="label_range"):
        smooth(np.zeros(20), SmoothingConfig(), label_range=(1.0, -1.0))
    with pytest.raises(ValueError, match="NaN"):
        butterworth([0.0] * 20 + [np.nan], order=2, cutoff_hz=0.1)
    with pytest.raises(ValueError, match="odd"):
        moving_average(np.zeros(20), width_s=6)


@examples(20)
@given(CURVES, CONFIGS)
def test_smoothing_repeats_to_the_byte(curve: np.ndarray, config: SmoothingConfig) -> None:
    assert smooth(curve, config).tobytes() == smooth(curve.tolist(), config).tobytes()


def test_smoothing_needs_neither_beam_nor_tensorflow() -> None:
    program = (
        "import sys; sys.modules['apache_beam'] = sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth\n"
        "print(len(smooth([0.1] * 40, SmoothingConfig())))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "40"
