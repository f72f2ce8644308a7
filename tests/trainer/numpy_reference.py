"""The network's formulas in NumPy, float64, written from the publications and not from the layers under test.

Everything is a loop over windows, seconds, classes and experts: slow, and easy to hold against the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.config import ModelConfig
from trainer.model import AffectModel

EPSILON = 1e-3
"""Keras's and LOUPE's batch normalisation."""


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def gate(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """y = x * sigmoid(x W + b)."""
    return x * sigmoid(x @ kernel + bias)


def normalised(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def gate_with_normalisation(x: np.ndarray, kernel: np.ndarray, *statistics: np.ndarray) -> np.ndarray:
    """y = x * sigmoid(BN(x W))."""
    return x * sigmoid(normalised(x @ kernel, *statistics))


def experts(x: np.ndarray, classes: int, gating: np.ndarray, expert: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """p_c = sum over e <= E of softmax_{E+1}(G_c x)_e * sigmoid(w_ce . x + b_ce), for x [N, n]."""
    count = expert.shape[1] // classes
    p = np.zeros((len(x), classes))
    for n, row in enumerate(x):
        for c in range(classes):
            scores = np.exp([row @ gating[:, c * (count + 1) + e] for e in range(count + 1)])
            for e in range(count):
                answer = sigmoid(row @ expert[:, c * count + e] + bias[c * count + e])
                p[n, c] += scores[e] / scores.sum() * answer
    return p


def gru(window: np.ndarray, layers: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Final state [H] of stacked GRUs after a window [W, D]; each layer is (kernel, recurrent kernel, bias [2, 3H]).

    cuDNN's form, the reset gate after the recurrent product:
        z = sigmoid(x Wz + bz + h Uz + cz), r likewise, n = tanh(x Wn + bn + r * (h Un + cn)), h' = z * h + (1 - z) * n
    """
    for kernel, recurrent, (bias, recurrent_bias) in layers:
        size = recurrent.shape[0]
        state, states = np.zeros(size), []
        for x in window:
            (xz, xr, xn), (hz, hr, hn) = (
                np.split(x @ kernel + bias, 3),
                np.split(state @ recurrent + recurrent_bias, 3),
            )
            z, r = sigmoid(xz + hz), sigmoid(xr + hr)
            state = z * state + (1.0 - z) * np.tanh(xn + r * hn)
            states.append(state)
        window = np.stack(states)
    return window[-1]


def window_of(rows: np.ndarray, row: int, start: int, length: int) -> np.ndarray:
    """The window that ends at a row, [length, D]; zeros before the film's first row."""
    window = np.zeros((length, rows.shape[1]))
    for position in range(length):
        source = row - (length - 1) + position
        if source >= start:
            window[position] = rows[source]
    return window


def gru_weights(layer: Any) -> list[list[np.ndarray]]:
    """The weights of an encoder's layers, float64."""
    return [
        [np.asarray(weight, np.float64) for weight in (gru.cell.kernel, gru.cell.recurrent_kernel, gru.cell.bias)]
        for gru in layer.stack
    ]


def statistics_of(layer: Any) -> list[np.ndarray]:
    """Gamma, beta, mean and variance of a batch normalisation, float64."""
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return [np.asarray(weight, np.float64) for weight in weights]


def gate_of(layer: Any, x: np.ndarray) -> np.ndarray:
    kernel = np.asarray(layer.kernel, np.float64)
    if layer.normalization is None:
        return gate(x, kernel, np.asarray(layer.bias, np.float64))
    return gate_with_normalisation(x, kernel, *statistics_of(layer.normalization))


def model_rows(
    model: AffectModel, inputs: Mapping[str, np.ndarray], row_start: Sequence[int] | np.ndarray
) -> np.ndarray:
    """What the model must give for every row, [R, 2], in inference mode."""
    config: ModelConfig = model.config
    states = []
    for modality, encoder in zip(config.modalities, model.encoders, strict=True):
        present = inputs[f"{modality}_present"].astype(np.float64)
        rows = inputs[modality].astype(np.float64).reshape(*present.shape, -1).copy()
        rows[present == 0] = 0.0
        rows = rows.reshape(len(present), -1)
        if config.presence_input:
            rows = np.concatenate([rows, present], axis=1)
        weights = gru_weights(encoder)
        windows = [window_of(rows, row, start, config.window_s) for row, start in enumerate(row_start)]
        states.append(np.stack([gru(window, weights) for window in windows]))
    x = np.concatenate(states, axis=1)
    if model.normalization is not None:
        x = normalised(x, *statistics_of(model.normalization))
    x = gate_of(model.first_gate, x)
    weights = [model.experts.gating_kernel, model.experts.expert_kernel, model.experts.expert_bias]
    p = experts(x, 2, *(np.asarray(weight, np.float64) for weight in weights))
    return gate_of(model.second_gate, p)


def scatter_weights(layer: Any, seed: int) -> None:
    """Gives every weight of a layer or model random values, biases and batch normalisation included."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        values = generator.normal(0.0, 0.5, weight.shape)
        positive = weight.path.endswith(("variance", "gamma"))
        weight.assign(np.abs(values) + 0.3 if positive else values)
