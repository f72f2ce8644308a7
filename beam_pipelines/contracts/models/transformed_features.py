"""A film's features after the transform inside a loaded SavedModel, and whether they are unlike the training films'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.models.model_card import FILMS_SIGNATURE, ModelCard
from beam_pipelines.contracts.models.seen_features import UnlikeSeconds, unlike_seconds
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX


def unlike_film(
    loaded: Any, card: ModelCard, values: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.float32]]
) -> UnlikeSeconds | None:
    """How unlike a model's training films a film's features are; None if the card doesn't say what those were like.

    Args:
        loaded, card: the SavedModel and its card.
        values, present: modality -> raw values float32 [T, D], presence float32 [T, slots].
    """
    if not card.seen:
        return None
    transformed = transformed_features(loaded, {modality: values[modality] for modality in card.seen}, present)
    seen = {modality: usual for modality, usual in card.seen.items() if modality in transformed}
    return unlike_seconds(seen, transformed, present) if seen else None


def transformed_features(
    loaded: Any, values: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """A film's features after the transform inside a loaded SavedModel, of each modality that a transform there takes.

    Of an ensemble's members the first one that takes a modality transforms it.

    Args:
        loaded: the SavedModel.
        values, present: modality -> raw values float32 [T, D], presence float32 [T, slots].
    """
    import tensorflow as tf

    found: dict[str, NDArray[np.float32]] = {}
    for modalities, graph in _transforms(loaded):
        wanted = [modality for modality in modalities if modality in values and modality not in found]
        if not wanted:
            continue
        taken = graph.transform_fn.structured_input_signature[0][0]
        count = len(next(iter(values.values())))
        # The graph needs all its inputs; the others are filled in.
        rows = {key: tf.zeros((count, spec.shape[-1]), spec.dtype) for key, spec in taken.items()}
        for modality in wanted:
            rows[modality] = tf.cast(values[modality], taken[modality].dtype)
            key = modality + PRESENT_SUFFIX
            rows[key] = tf.cast(present[modality], taken[key].dtype)
        answer = graph.transform_fn(rows)
        found |= {modality: np.asarray(answer[modality], np.float32) for modality in wanted}
    return found


def _transforms(loaded: Any) -> Iterator[tuple[list[str], Any]]:
    """The modalities that a model, or each member of an ensemble, takes, and its transform graph."""
    graphs = [*getattr(loaded, "transform_graphs", ()), *filter(None, [getattr(loaded, "transform_graph", None)])]
    for graph in graphs:
        taken = loaded.signatures[FILMS_SIGNATURE].structured_input_signature[1]
        yield [key for key in taken if key + PRESENT_SUFFIX in taken], graph
    for member in getattr(loaded, "loaded", ()):
        yield from _transforms(member)
