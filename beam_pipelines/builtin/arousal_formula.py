"""Arousal from motion, cuts and loudness, without training: after Hanjalic and Xu (2005), in TensorFlow.

    motion, cuts, loudness ──▶ each: (value − mean) / deviation over the film, within ±3, / 3
                           ──▶ mean of those that the second has ──▶ Kaiser window ──▶ its height before

A. Hanjalic and L.-Q. Xu, "Affective video content representation and modeling", IEEE Transactions on Multimedia 7(1),
2005. `benchmarks/signals_model.md` says where each constant comes from; it was written before any figure was computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from beam_pipelines.contracts.models.shapley import coalitions
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.extractors.signals.columns import PICTURE_COLUMNS, PICTURE_SIGNALS, SOUND_COLUMNS, SOUND_SIGNALS

MODALITIES = (PICTURE_SIGNALS, SOUND_SIGNALS)
MOTION, CUTS, LOUDNESS = "motion_difference", "cuts_30s", "loudness_momentary_lufs"
CUTS_WINDOW_S = 30
"""The seconds that the column of cuts looks back; half of them are looked ahead, so that the window is centred."""
SILENT_LUFS = -70.0
"""EBU R 128's absolute gate: what is quieter is as quiet."""
LEAST_DEVIATION = {MOTION: 0.002, CUTS: 1 / 60, LOUDNESS: 1.0}
"""Half a grey level, a cut in a minute, 1 LU: a film that varies less than this isn't blown up to a curve."""
MOST_DEVIATIONS = 3.0
SMOOTHING_S, KAISER_SHAPE = 29, 5.0
SHORTEST_SMOOTHING_S = 5
"""A film shorter than three windows has one of a third of its length, but not shorter than this."""


class ArousalFormula(tf.Module):
    """The formula with the signatures of contract 2."""

    @tf.function(autograph=False)
    def film(self, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """One film's arousal, float32 [T]; NaN in seconds without picture and sound near them.

        Args:
            features: `picture_signals` float32 [T, 12], `sound_signals` float32 [T, 11], and their presence [T, 1].
        """
        return {"arousal": arousal(features)}

    @tf.function(autograph=False)
    def films(self, row_splits: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same for several films, whose rows are concatenated; int64 [films + 1] says where each begins."""

        def of_film(number: tf.Tensor) -> tf.Tensor:
            rows = slice(row_splits[number], row_splits[number + 1])
            return arousal({name: values[rows] for name, values in features.items()})

        numbers = tf.range(tf.size(row_splits) - 1)
        ragged = tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0)
        return {"arousal": tf.map_fn(of_film, numbers, fn_output_signature=ragged).values}

    @tf.function(autograph=False)
    def films_explained(self, row_splits: tf.Tensor, rows: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """The base, then what picture and sound add to some rows, int64 [N], of several films: float32 [3, N].

        The base is 0, a film's mean. So is the curve of one modality where the film has none of it.
        """
        known = coalitions(len(MODALITIES))
        whole = self.films(row_splits, **features)["arousal"]
        curves = []
        for chosen in known.sets:
            absent = [m + PRESENT_SUFFIX for m, here in zip(MODALITIES, chosen, strict=True) if not here]
            kept = {name: tf.zeros_like(features[name]) for name in absent}
            curve = whole if chosen.all() else self.films(row_splits, **{**features, **kept})["arousal"]
            curves.append(tf.where(tf.math.is_nan(curve) & ~tf.math.is_nan(whole), 0.0, curve))
        weighted = [[float(w) * curve for w, curve in zip(row, curves, strict=True) if w] for row in known.weights]
        return {"arousal": tf.gather(tf.stack([tf.add_n(row) for row in weighted]), rows, axis=1)}


def arousal(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The arousal of one film, float32 [T], from its features as `ArousalFormula.film` takes them."""
    picture, sound = (tf.cast(features[modality], tf.float64) for modality in MODALITIES)
    seen, heard = (features[modality + PRESENT_SUFFIX][:, 0] > 0 for modality in MODALITIES)
    components = [
        _within_film(picture[:, PICTURE_COLUMNS.index(MOTION)], seen, LEAST_DEVIATION[MOTION]),
        _within_film(_centred_rate(picture[:, PICTURE_COLUMNS.index(CUTS)]), seen, LEAST_DEVIATION[CUTS]),
        _within_film(
            tf.maximum(sound[:, SOUND_COLUMNS.index(LOUDNESS)], _double(SILENT_LUFS)), heard, LEAST_DEVIATION[LOUDNESS]
        ),
    ]
    known = tf.cast(tf.stack([seen, seen, heard]), tf.float64)
    count = tf.reduce_sum(known, axis=0)
    has = tf.cast(count > 0, tf.float64)
    raw = tf.reduce_sum(tf.stack(components) * known, axis=0) / tf.maximum(count, 1.0)
    raw = (raw - tf.math.divide_no_nan(tf.reduce_sum(raw), tf.reduce_sum(has))) * has
    smoothed = _smoothed(raw, has)
    # Smoothing flattens a curve; the source gives its height back.
    height = tf.math.divide_no_nan(_largest(raw), _largest(smoothed))
    return tf.cast(tf.clip_by_value(smoothed * height, -1.0, 1.0), tf.float32)


def _within_film(values: tf.Tensor, known: tf.Tensor, least_deviation: float) -> tf.Tensor:
    """Values on the scale of the film's own known seconds, float64 [T] within [-1, 1]."""
    weights = tf.cast(known, tf.float64)
    count = tf.maximum(tf.reduce_sum(weights), 1.0)
    difference = values - tf.reduce_sum(values * weights) / count
    deviation = tf.sqrt(tf.reduce_sum(difference**2 * weights) / count)
    scaled = difference / tf.maximum(deviation, _double(least_deviation))
    return tf.clip_by_value(scaled, -MOST_DEVIATIONS, MOST_DEVIATIONS) / MOST_DEVIATIONS


def _centred_rate(counts: tf.Tensor) -> tf.Tensor:
    """Cuts a second around each second, from the cuts in the `CUTS_WINDOW_S` up to it; at the beginning in fewer."""
    seconds = tf.range(tf.size(counts))
    ends = tf.minimum(seconds + CUTS_WINDOW_S // 2, tf.size(counts) - 1)
    return tf.gather(counts, ends) / tf.cast(tf.minimum(ends + 1, CUTS_WINDOW_S), tf.float64)


def _smoothed(raw: tf.Tensor, has: tf.Tensor) -> tf.Tensor:
    """The mean of the seconds that have a value, weighted by a Kaiser window around each; NaN where there are none."""
    third = tf.size(raw) // 3
    width = tf.clip_by_value(third - (third + 1) % 2, SHORTEST_SMOOTHING_S, SMOOTHING_S)
    half = width // 2
    places = tf.cast(tf.range(-half, half + 1), tf.float64) / tf.cast(half, tf.float64)
    window = tf.math.bessel_i0(KAISER_SHAPE * tf.sqrt(tf.maximum(1.0 - places**2, 0.0)))

    def convolved(values: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv1d(values[None, :, None], window[:, None, None], 1, "SAME")[0, :, 0]

    return convolved(raw) / convolved(has)


def _largest(curve: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(tf.where(tf.math.is_finite(curve), tf.abs(curve), tf.zeros_like(curve)))


def _double(value: float) -> Any:
    return tf.constant(value, tf.float64)
