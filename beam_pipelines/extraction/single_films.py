"""One film without Beam: its features and its curve, for a notebook, a script or a service.

    from beam_pipelines import ExtractConfig, extract_features, load_model, score_features

    record = extract_features("film.mp4", ExtractConfig(modalities=("image", "audio")))
    record.tracks["image"].values                     # float32 [T, 2048]
    curve = score_features(record, load_model("run/exports"))
    curve.valence, curve.arousal                      # float64 [T]; to_csv(curve) is the file that score leaves

The results equal those of the jobs, byte for byte: both call the same code.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

from beam_pipelines.contracts.curves.curves import AffectCurve, smoothed_curve
from beam_pipelines.contracts.curves.shares import Explain
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.film_ids import escape_film_id
from beam_pipelines.contracts.models.explained import explain_films
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.records import FilmRecord
from beam_pipelines.extraction.decoder import decoder_of, require_decoder
from beam_pipelines.extraction.one_film import Extractor, extract_film
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
from beam_pipelines.extractors.weights.needed_weights import require_weights
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.tensorflow_start import start_tensorflow


def extract_features(film: str | os.PathLike[str], config: ExtractConfig | None = None) -> FilmRecord:
    """Extracts a film's features, one vector per second, and returns them as arrays.

    The networks are built at the first call and kept for the next one with the same configuration.

    Args:
        film: a file, local or `gs://`.
        config: the extract section; None for the paper's features with the published weights (see
            `cineaffect weights`).

    Returns:
        The record: `header.seconds` is T, `tracks[modality].values` float32 [T, D], `.present` float32 [T, slots].

    Raises:
        FilmError: if the film is absent or can't be decoded.
        WeightsError: if weights are not in the cache, or not the published ones.
        ConfigurationError: if the section asks for a GPU to decode, and there is none.
    """
    config = config or ExtractConfig()
    require_weights(config)
    require_decoder(config)
    with tempfile.TemporaryDirectory() as directory:
        uri = _address(film)
        named = Film(escape_film_id(uri.rsplit("/", 1)[-1]), uri)
        with decoder_of(config) as decoder:
            extractor = Extractor(directory, _networks(config), describe_tracks(config), decoder)
            extract_film(named, extractor, in_parts=False)
        return records.read_record(records.record_uri(directory, named.film_id))


def load_model(exported: str | os.PathLike[str]) -> ExportedModel:
    """Loads an exported model: a version's directory, or a directory of exports (its current version).

    Raises:
        ConfigurationError: if there is none.
    """
    start_tensorflow()
    return ExportedModel(find_model(str(exported)))


def score_features(
    record: FilmRecord, model: ExportedModel, smoothing: SmoothingConfig | None = None, explain: Explain = "nothing"
) -> AffectCurve:
    """Predicts the valence and arousal of a film for every second, in the range of the model's labels.

    Args:
        record: a film's features, from `extract_features` or `read_record`.
        model: the model, from `load_model`.
        smoothing: the filter; None for that of the model card.
        explain: `modalities` or `columns` for what explains the curve (`AffectCurve.shares`).

    Returns:
        `valence`, `arousal` (smoothed), `valence_raw`, `arousal_raw`, each float64 [T]; for an ensemble also
        `valence_spread`, `arousal_spread`. Those of a target that the model doesn't predict are None. A calibrated
        model's curve has `bands`: `valence_low_80` and so on -> float64 [T].

    Raises:
        FilmError: if the features are not those that the model was trained on; the error names both.
        ConfigurationError: if the export can't explain its curves.
    """
    features = features_of(record, model.card)
    (raw,) = explain_films(model, [features], [model.predict(features)], explain)
    filter_ = smoothing or model.card.smoothing
    film_id, label_range = record.header.film_id, model.card.label_range
    bands = model.card.half_widths(filter_)
    return smoothed_curve(film_id, raw.values, filter_, label_range, raw.members, bands, raw.shares)


def score_film(
    film: str | os.PathLike[str],
    model: ExportedModel,
    config: ExtractConfig | None = None,
    smoothing: SmoothingConfig | None = None,
) -> AffectCurve:
    """Extracts and scores a film in one step; only the modalities that the model takes are extracted.

    Args:
        film: a file, local or `gs://`.
        model: the model, from `load_model`.
        config: the extract section with which the model's training films were extracted.
        smoothing: the filter; None for that of the model card.

    Raises:
        ConfigurationError: if the section makes other features than the model was trained on.
        FilmError, WeightsError: as `extract_features` raises them.
    """
    card = model.card
    config = (config or ExtractConfig()).model_copy(update={"modalities": card.modalities})
    require_weights(config)
    card.refuse_descriptions(describe_tracks(config))
    return score_features(extract_features(film, config), model, smoothing)


def _address(film: str | os.PathLike[str]) -> str:
    text = os.fspath(film)
    return text if storage.is_remote(text) else str(Path(text).resolve())


@lru_cache(maxsize=2)
def _networks_of(config_json: str) -> Networks:
    return Networks(ExtractConfig.model_validate_json(config_json))


def _networks(config: ExtractConfig) -> Networks:
    # Cached by the section's text, since a section may hold unhashable values; modalities don't change a network.
    full = config.model_copy(update={"modalities": ExtractConfig().modalities})
    return _networks_of(full.model_dump_json())
