"""The network's formulas in NumPy, float64, written from the publications and not from the layers under test.

Everything is a loop over windows, seconds, classes and experts: slow, and easy to hold against the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.foundation.config import ModelConfig
from trainer.network.model import AffectModel

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
    """p_c = sum over e <= E of softmax_{slots}(G_c x)_e * sigmoid(w_ce . x + b_ce), for x [N, n].

    There are E + 1 slots with the dummy expert, else E.
    """
    count, slots = expert.shape[1] // classes, gating.shape[1] // classes
    p = np.zeros((len(x), classes))
    for n, row in enumerate(x):
        for c in range(classes):
            scores = np.exp([row @ gating[:, c * slots + e] for e in range(slots)])
            for e in range(count):
                answer = sigmoid(row @ expert[:, c * count + e] + bias[c * count + e])
                p[n, c] += scores[e] / scores.sum() * answer
    return p


def gru_sequences(window: np.ndarray, layers: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """States [W, H] of each of some stacked GRUs in a window [W, D]; a layer is (kernel, recurrent kernel, biases).

    cuDNN's form, the reset gate after the recurrent product:
        z = sigmoid(x Wz + bz + h Uz + cz), r likewise, n = tanh(x Wn + bn + r * (h Un + cn)), h' = z * h + (1 - z) * n
    """
    sequences = []
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
        sequences.append(window)
    return sequences


def gru(window: np.ndarray, layers: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Final state [H] of the last of some stacked GRUs after a window [W, D]."""
    return gru_sequences(window, layers)[-1][-1]


def lstm_sequences(window: np.ndarray, layers: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Hidden states [W, H] of each of some stacked LSTMs; a layer is (kernel, recurrent kernel, bias [4H]).

    i, f, o = sigmoid(x W + h U + b), g = tanh(x Wg + h Ug + bg), c' = f * c + i * g, h' = o * tanh(c'); gates in the
    order i, f, g, o.
    """
    sequences = []
    for kernel, recurrent, bias in layers:
        size = recurrent.shape[0]
        state, cell, states = np.zeros(size), np.zeros(size), []
        for x in window:
            i, f, g, o = np.split(x @ kernel + state @ recurrent + bias, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(cell)
            states.append(state)
        window = np.stack(states)
        sequences.append(window)
    return sequences


def convolution(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, causal: bool) -> np.ndarray:
    """y_t = b + sum over taps j of x_{t + j - before} K_j, for x [L, D]; zeros outside."""
    length, taps = len(x), len(kernel)
    before = taps - 1 if causal else (taps - 1) // 2
    y = np.tile(bias, (length, 1))
    for t in range(length):
        for j in range(taps):
            if 0 <= t + j - before < length:
                y[t] += x[t + j - before] @ kernel[j]
    return y


def normalised_relu(x: np.ndarray) -> np.ndarray:
    """Lea et al.: relu(x) / (max over the channels of the same step + 1e-5)."""
    positive = np.maximum(x, 0.0)
    return positive / (positive.max(axis=1, keepdims=True) + 1e-5)


def tcn_sequence(window: np.ndarray, encoder: Any) -> np.ndarray:
    """Output [W, F] of the encoder-decoder TCN at every second of [W, D], with zeros behind up to whole steps."""
    kernels = [np.asarray(weight, np.float64) for weight in encoder.weights if weight.name.endswith("kernel")]
    biases = [np.asarray(weight, np.float64) for weight in encoder.weights if weight.name.endswith("bias")]
    levels = len(kernels) // 2
    activate = normalised_relu if encoder.normalized else lambda x: np.maximum(x, 0.0)
    x = np.concatenate([window, np.zeros((-len(window) % 2**levels, window.shape[1]))])
    for level in range(levels):
        x = activate(convolution(x, kernels[level], biases[level], encoder.causal))
        x = np.stack([np.maximum(x[2 * i], x[2 * i + 1]) for i in range(len(x) // 2)])
    for level in range(levels, 2 * levels):
        doubled = np.stack([x[i // 2] for i in range(2 * len(x))])
        if encoder.causal:
            doubled = np.concatenate([np.zeros((1, x.shape[1])), doubled[:-1]])
        x = activate(convolution(doubled, kernels[level], biases[level], encoder.causal))
    return x[: len(window)]


def tcn_film(film: np.ndarray, encoder: Any) -> np.ndarray:
    """The TCN's states [T, F] of a whole film [T, D] between so many zeros that more would change nothing."""
    zeros = np.zeros((128, film.shape[1]))
    return tcn_sequence(np.concatenate([zeros, film, zeros]), encoder)[len(zeros) : len(zeros) + len(film)]


def encoder_sequence(window: np.ndarray, encoder: Any) -> np.ndarray:
    """The state [W, size] of a recurrent encoder at every second of a window [W, D]."""
    sequences = {"GRUEncoder": gru_sequences, "LSTMEncoder": lstm_sequences}[type(encoder).__name__](
        window, recurrent_weights(encoder)
    )
    return sequences[-1] if encoder.states == "last" else np.concatenate(sequences, axis=1)


def encoder_rows(
    rows: np.ndarray, row_start: Sequence[int] | np.ndarray, encoder: Any, window: int, lookahead: int = 0
) -> np.ndarray:
    """The state [R, size] of any encoder at every second of some films' rows [R, D]."""
    bounds = [(int(start), int(np.flatnonzero(row_start == start)[-1]) + 1) for start in np.asarray(row_start)]
    if type(encoder).__name__ == "TCNEncoder":
        films = [tcn_film(rows[start:stop], encoder) for start, stop in sorted(set(bounds))]
        return np.concatenate(films)
    states = []
    for row, (start, stop) in enumerate(bounds):
        around = window_of(rows, row, start, window, stop, lookahead)
        if type(encoder).__name__ == "BidirectionalEncoder":
            past = encoder_sequence(around[:window], encoder.past)[-1]
            future = encoder_sequence(around[window - 1 :][::-1], encoder.future)[-1]
            states.append(np.concatenate([past, future]))
        else:
            states.append(encoder_sequence(around, encoder)[-1])
    return np.stack(states)


def window_of(
    rows: np.ndarray, row: int, start: int, length: int, stop: int | None = None, lookahead: int = 0
) -> np.ndarray:
    """The window that ends at a row, and `lookahead` rows more, [length + lookahead, D]; zeros outside the film."""
    window = np.zeros((length + lookahead, rows.shape[1]))
    for position in range(length + lookahead):
        source = row - (length - 1) + position
        if start <= source < (row + 1 if stop is None else stop):
            window[position] = rows[source]
    return window


def recurrent_weights(layer: Any) -> list[list[np.ndarray]]:
    """The weights of an encoder's layers, float64."""
    return [
        [np.asarray(weight, np.float64) for weight in (each.cell.kernel, each.cell.recurrent_kernel, each.cell.bias)]
        for each in layer.stack
    ]


gru_weights = recurrent_weights


def statistics_of(layer: Any) -> list[np.ndarray]:
    """Gamma, beta, mean and variance of a batch normalisation, float64."""
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return [np.asarray(weight, np.float64) for weight in weights]


def film_normalised(x: np.ndarray, layer: Any, films: Sequence[int] | np.ndarray) -> np.ndarray:
    """Batch normalisation of x [N, n] film by film: the film's own mean and variance, from 30 windows on."""
    gamma, beta, moving_mean, moving_variance = statistics_of(layer)
    y = np.zeros_like(x)
    for film in np.unique(films):
        of_film = np.asarray(films) == film
        rows = x[of_film]
        mean, variance = (rows.mean(axis=0), rows.var(axis=0)) if len(rows) >= 30 else (moving_mean, moving_variance)
        y[of_film] = normalised(rows, gamma, beta, mean, variance)
    return y


def gate_of(layer: Any, x: np.ndarray, films: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    kernel = np.asarray(layer.kernel, np.float64)
    if layer.normalization is None:
        return gate(x, kernel, np.asarray(layer.bias, np.float64))
    if films is not None:
        return x * sigmoid(film_normalised(x @ kernel, layer.normalization, films))
    return gate_with_normalisation(x, kernel, *statistics_of(layer.normalization))


def encoder_inputs(model: AffectModel, inputs: Mapping[str, np.ndarray], modality: str) -> np.ndarray:
    """What an encoder is given for each row: values, zero where absent, and the flags if configured."""
    present = inputs[f"{modality}_present"].astype(np.float64)
    rows = inputs[modality].astype(np.float64).reshape(*present.shape, -1).copy()
    rows[present == 0] = 0.0
    rows = rows.reshape(len(present), -1)
    return np.concatenate([rows, present], axis=1) if model.config.presence_input else rows


def fusion(model: AffectModel, x: np.ndarray, films: Sequence[int] | np.ndarray) -> np.ndarray:
    """Concatenated states [N, n], and the film of each, -> probabilities [N, 2], in inference mode."""
    batches = films if model.config.batch_statistics_at_inference == "film" else None
    if model.fusion.normalization is not None:
        own = batches is not None
        x = (
            film_normalised(x, model.fusion.normalization, films)
            if own
            else normalised(x, *statistics_of(model.fusion.normalization))
        )
    x = gate_of(model.fusion.first_gate, x, batches)
    layer = model.fusion.experts
    weights = [layer.gating_kernel, layer.expert_kernel, layer.expert_bias]
    p = experts(x, 2, *(np.asarray(weight, np.float64) for weight in weights))
    return gate_of(model.fusion.second_gate, p, batches)


def model_rows(
    model: AffectModel, inputs: Mapping[str, np.ndarray], row_start: Sequence[int] | np.ndarray
) -> np.ndarray:
    """What the model must give for every row, [R, 2], in inference mode."""
    config: ModelConfig = model.config
    states = []
    for modality, encoder in zip(config.modalities, model.encoders, strict=True):
        rows = encoder_inputs(model, inputs, modality)
        states.append(encoder_rows(rows, row_start, encoder, config.window_s, config.lookahead_s))
    return fusion(model, np.concatenate(states, axis=1), row_start)


def concordance(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Lin's concordance correlation coefficient of two series, each pair counting with its weight."""
    share = weights / weights.sum()
    mean_p, mean_y = share @ p, share @ y
    covariance = share @ ((p - mean_p) * (y - mean_y))
    variances = share @ (p - mean_p) ** 2 + share @ (y - mean_y) ** 2
    return float(2.0 * covariance / (variances + (mean_p - mean_y) ** 2))


def scatter_weights(layer: Any, seed: int) -> None:
    """Gives every weight of a layer or model random values, biases and batch normalisation included."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        values = generator.normal(0.0, 0.5, weight.shape)
        positive = weight.path.endswith(("variance", "gamma"))
        weight.assign(np.abs(values) + 0.3 if positive else values)
