"""MSE, PCC and CCC against SciPy, against sums in rational numbers, and in the table."""

from __future__ import annotations

import csv
import io
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from scipy import stats

from trainer.evaluation.metrics import CONSTANT_MEAN, ccc, mean_label, mse, pcc, tabulate

SERIES = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-1000, 1000), min_size=n, max_size=n) for _ in range(2)])
)


def exact_moments(x: list[int], y: list[int]) -> tuple[Fraction, Fraction, Fraction, Fraction, Fraction]:
    n = len(x)
    mx, my = Fraction(sum(x), n), Fraction(sum(y), n)
    dx, dy = [a - mx for a in x], [b - my for b in y]

    def mean_product(a: list[Fraction], b: list[Fraction]) -> Fraction:
        return sum((p * q for p, q in zip(a, b, strict=True)), start=Fraction(0)) / n

    return mx, my, mean_product(dx, dx), mean_product(dy, dy), mean_product(dx, dy)


@given(SERIES)
def test_figures_equal_rational_arithmetic(series: tuple[list[int], list[int]]) -> None:
    x, y = series
    mx, my, vx, vy, cov = exact_moments(x, y)
    expected = sum(Fraction(a - b) ** 2 for a, b in zip(x, y, strict=True)) / len(x)
    assert mse(x, y) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)
    if vx == 0 or vy == 0:
        assert math.isnan(pcc(x, y))
    else:
        assert pcc(x, y) == pytest.approx(float(cov) / math.sqrt(float(vx * vy)), abs=1e-12)
    bottom = vx + vy + (mx - my) ** 2
    if bottom == 0:
        assert math.isnan(ccc(x, y))
    else:
        assert ccc(x, y) == pytest.approx(float(2 * cov / bottom), abs=1e-12)


@given(SERIES, st.floats(0.01, 100), st.floats(-50, 50))
def test_correlation_knows_no_scale_and_concordance_does(
    series: tuple[list[int], list[int]], scale: float, shift: float
) -> None:
    x, y = (np.array(one, np.float64) for one in series)
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    assert pcc(scale * x + shift, y) == pytest.approx(pcc(x, y), abs=1e-9)
    assert pcc(-x, y) == pytest.approx(-pcc(x, y), abs=1e-12)
    assert abs(ccc(x, y)) <= abs(pcc(x, y)) + 1e-12
    assert ccc(x, x) == pytest.approx(1.0)


def test_correlation_equals_scipy() -> None:
    generator = np.random.default_rng(0)
    for scale in (1e-200, 1e-9, 1.0, 1e150):
        x, y = generator.normal(size=(2, 500))
        y += 0.5 * x
        assert pcc(scale * x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1 / 3, 1e-12, 1e9])
def test_constant_series_have_no_correlation(constant: float) -> None:
    flat, curve = np.full(1001, constant), np.sin(np.arange(1001))
    assert math.isnan(pcc(flat, curve))
    assert math.isnan(pcc(curve, flat + flat * np.finfo(float).eps * (np.arange(1001) % 2)))
    assert ccc(flat, curve) == 0.0
    assert math.isnan(ccc(flat, flat))
    assert ccc(flat, flat + 1.0) == 0.0


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_series_must_match(x: list, y: list) -> None:
    for figure in (mse, pcc, ccc):
        with pytest.raises(ValueError, match="same length"):
            figure(x, y)


def film(seed: int, seconds: int, unknown: int = 0) -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(seed).uniform(-1, 1, (seconds, 2)).astype(np.float32)
    known = np.arange(seconds) >= unknown
    return np.where(known[:, None], values, 0.0).astype(np.float32), known


def test_table_per_film_pooled_and_mean() -> None:
    labels = {"a": film(1, 30), "b": film(2, 50, unknown=20), "c": film(3, 10)}
    noise = np.random.default_rng(9)
    raw = {film_id: values + noise.normal(0, 0.3, values.shape) for film_id, (values, _) in labels.items()}
    raw["b"][:20] = np.nan  # seconds without a label aren't looked at
    constant = mean_label([values[known] for values, known in labels.values()])
    table = tabulate({"raw": raw}, labels, constant)
    for column, target in enumerate(("valence", "arousal")):
        pairs = {f: (raw[f][known, column], values[known, column]) for f, (values, known) in labels.items()}
        x, y = (np.concatenate([pair[i] for pair in pairs.values()]) for i in range(2))
        pooled, mean = table.find("raw", target), table.find("raw", target, "mean of films")
        assert pooled.seconds == mean.seconds == 70
        assert pooled.mse == pytest.approx(np.mean((x - y) ** 2))
        assert pooled.pcc == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert mean.pcc == pytest.approx(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs.values()]))
        assert mean.mse == pytest.approx(np.mean([np.mean((a - b) ** 2) for a, b in pairs.values()]))
        assert table.find("raw", target, "film", "b").seconds == 30
        assert table.find(CONSTANT_MEAN, target).mse == pytest.approx(np.mean((y - constant[column]) ** 2))
    assert table.rows[0].predictor == CONSTANT_MEAN
    with pytest.raises(KeyError):
        table.find("raw", "valence", "film", "z")


def test_undefined_figures_are_left_out_and_counted() -> None:
    labels = {"a": film(1, 30), "b": film(2, 30)}
    curves = {"a": labels["a"][0] * 0.5, "b": np.full((30, 2), 0.25)}
    table = tabulate({"raw": curves}, labels, [0.0, 0.1])
    mean = table.find("raw", "valence", "mean of films")
    assert mean.pcc == pytest.approx(1.0)
    assert mean.undefined_pcc == 1
    assert mean.undefined_ccc == 0
    assert math.isnan(table.find("raw", "valence", "film", "b").pcc)
    text = table.to_text(per_film=True)
    assert "PCC is undefined for a constant series; films left out (constant mean: 2, raw: 1)" in text
    assert [line.split()[0] for line in text.splitlines()[2:4]] == ["constant", "constant"]
    json.dumps(table.to_dict(), allow_nan=False)
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(rows) == len(table.rows) == 16
    flat = next(row for row in rows if row["predictor"] == "raw" and row["film_id"] == "b")
    assert flat["pcc"] == ""
    assert float(flat["mse"]) == table.find("raw", "valence", "film", "b").mse


def test_defects_of_predictions_are_named() -> None:
    labels = {"a": film(1, 30)}
    with pytest.raises(ValueError, match="raw: has no prediction of film 'a'"):
        tabulate({"raw": {}}, labels, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"film 'a' has predictions \(29, 2\)"):
        tabulate({"raw": {"a": np.zeros((29, 2))}}, labels, [0.0, 0.0])
    with pytest.raises(ValueError, match="without a finite prediction"):
        tabulate({"raw": {"a": np.full((30, 2), np.nan)}}, labels, [0.0, 0.0])
    with pytest.raises(ValueError, match="no film has a labelled second"):
        tabulate({}, {"a": film(1, 30, unknown=30)}, [0.0, 0.0])
    with pytest.raises(ValueError, match="no film has a labelled second"):
        mean_label([np.zeros((0, 2))])
