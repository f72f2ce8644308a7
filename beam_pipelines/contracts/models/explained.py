"""What explains a model's curves: each modality's share, by the model itself, and single columns, by occlusion.

A column is occluded by its mean over the film's seconds in which its modality is present: it stands still. What the
raw curve loses by that is the column's value. Columns of signals go together, so their values add up to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.curves.shares import BASE, BY, WITHIN, Explain, share_columns
from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures
from beam_pipelines.contracts.models.model_card import EXPLAINED_SIGNATURE
from beam_pipelines.contracts.models.raw_prediction import RawPrediction, fill_between, seconds_to_predict


def explain_films(
    model: ExportedModel,
    films: Sequence[FilmFeatures],
    predictions: Sequence[RawPrediction],
    explain: Explain,
    stride_s: int = 1,
) -> list[RawPrediction]:
    """The predictions with what explains them (`RawPrediction.shares`).

    Args:
        model: the model.
        films: the films.
        predictions: of `ExportedModel.predict_films`, with the same stride.
        explain: by what.
        stride_s: shares are computed at the predicted seconds and interpolated, so that they add up at all seconds.

    Raises:
        ConfigurationError: if the export can't explain its curves.
    """
    model.card.assert_explains(explain)
    if explain == "nothing":
        return list(predictions)
    at = [seconds_to_predict(film.seconds, stride_s) for film in films]
    answers = model.ask(EXPLAINED_SIGNATURE, films, at)
    shares: list[dict[str, NDArray[np.float32]]] = [{} for _ in films]
    for target, by_film in answers.items():
        for number, (values, seconds, film) in enumerate(zip(by_film, at, films, strict=True)):
            filled = fill_between(values, seconds, film.seconds)
            names = (BASE, *(BY + modality for modality in model.card.modalities))
            shares[number] |= {target + name: row for name, row in zip(names, filled, strict=True)}
    parts = model.card.parts(explain)
    for part in parts[len(model.card.modalities) :]:
        modality, name = part.split(WITHIN, 1)
        column = list(model.card.descriptions[modality]["columns"]).index(name)
        without = model.predict_films([_occluded(film, modality, column) for film in films], stride_s)
        for number, (whole, less) in enumerate(zip(predictions, without, strict=True)):
            shares[number] |= {t + BY + part: whole.values[t] - less.values[t] for t in model.card.targets}
    names = share_columns(model.card.targets, parts)
    return [
        replace(prediction, shares={name: found[name] for name in names})
        for prediction, found in zip(predictions, shares, strict=True)
    ]


def _occluded(film: FilmFeatures, modality: str, column: int) -> FilmFeatures:
    values = film.values[modality].copy()
    here = film.present[modality][:, 0] > 0
    if here.any():
        values[here, column] = np.mean(values[here, column], dtype=np.float64)
    return FilmFeatures({**film.values, modality: values}, film.present)
