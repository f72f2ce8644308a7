"""CineAffect's pipelines: from films to feature records, and from feature records to valence and arousal curves.

A notebook or a script needs only the names below (see `beam_pipelines.extraction.single_films`). They are imported when
they are first used: `import beam_pipelines` imports neither Beam nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from beam_pipelines.foundation.version import __version__

if TYPE_CHECKING:
    from beam_pipelines.contracts.curves.curves import AffectCurve as AffectCurve, to_csv as to_csv
    from beam_pipelines.contracts.curves.smoothing import SmoothingConfig as SmoothingConfig
    from beam_pipelines.contracts.models.exported_model import ExportedModel as ExportedModel
    from beam_pipelines.contracts.records.feature_track import FilmRecord as FilmRecord
    from beam_pipelines.contracts.records.records import read_record as read_record, write_record as write_record
    from beam_pipelines.extraction.single_films import (
        extract_features as extract_features,
        load_model as load_model,
        score_features as score_features,
        score_film as score_film,
    )
    from beam_pipelines.extractors.config import ExtractConfig as ExtractConfig

_PLACES = {
    "AffectCurve": "contracts.curves.curves",
    "ExportedModel": "contracts.models.exported_model",
    "ExtractConfig": "extractors.config",
    "FilmRecord": "contracts.records.feature_track",
    "SmoothingConfig": "contracts.curves.smoothing",
    "extract_features": "extraction.single_films",
    "load_model": "extraction.single_films",
    "read_record": "contracts.records.records",
    "score_features": "extraction.single_films",
    "score_film": "extraction.single_films",
    "to_csv": "contracts.curves.curves",
    "write_record": "contracts.records.records",
}
__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
