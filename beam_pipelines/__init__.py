"""CineAffect's pipelines: from films to feature records, and from feature records to valence and arousal curves.

For a notebook or a script the names below are all it takes (see `beam_pipelines.extraction.single_films`). They are imported when
they are first used: `import beam_pipelines.contracts.records.records` costs no Beam and no TensorFlow start-up.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_pipelines.contracts.curves.curves import AffectCurve as AffectCurve
    from beam_pipelines.contracts.curves.curves import to_csv as to_csv
    from beam_pipelines.contracts.curves.smoothing import SmoothingConfig as SmoothingConfig
    from beam_pipelines.contracts.models.exported_model import ExportedModel as ExportedModel
    from beam_pipelines.contracts.records.feature_track import FilmRecord as FilmRecord
    from beam_pipelines.contracts.records.records import read_record as read_record
    from beam_pipelines.contracts.records.records import write_record as write_record
    from beam_pipelines.extraction.single_films import extract_features as extract_features
    from beam_pipelines.extraction.single_films import load_model as load_model
    from beam_pipelines.extraction.single_films import score_features as score_features
    from beam_pipelines.extraction.single_films import score_film as score_film
    from beam_pipelines.extractors.config import ExtractConfig as ExtractConfig

__version__ = "0.1.0"

_PLACES = {
    "AffectCurve": "curves",
    "ExportedModel": "exported_model",
    "ExtractConfig": "extractors.config",
    "FilmRecord": "feature_track",
    "SmoothingConfig": "smoothing",
    "extract_features": "single_films",
    "load_model": "single_films",
    "read_record": "records",
    "score_features": "single_films",
    "score_film": "single_films",
    "to_csv": "curves",
    "write_record": "records",
}
__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
