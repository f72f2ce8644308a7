"""One film: what of its configuration the probe gets, and what its networks' vectors may not be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beam_pipelines.extraction import one_film
from beam_pipelines.extraction.one_film import media_limits
from beam_pipelines.extractors.config import ExtractConfig, LimitsConfig
from beam_pipelines.extractors.onnx_networks.config import PictureConfig
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.foundation.errors import FilmError
from tests.support.onnx_files import node, write_onnx


@pytest.mark.parametrize(("search_mb", "memory_mb", "expected"), [(256, 4096, 256), (0, 4096, 0), (256, 256, 64)])
def test_the_search_for_sound_fits_into_the_decoders_memory(search_mb: int, memory_mb: int, expected: int):
    limits = LimitsConfig(sound_search_mb=search_mb, decoder_memory_mb=memory_mb)
    assert media_limits(ExtractConfig(limits=limits)).sound_search_mb == expected


def test_vectors_that_are_not_finite_are_the_films_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("Log", "x", "logs"), node("GlobalAveragePool", "logs", "embeds")]
    file = write_onnx(tmp_path / "log.onnx", nodes, {"x": ["n", 3, 8, 8]}, {"embeds": ["n", 3, 1, 1]}, {})
    network = OnnxNetwork("mine", PictureConfig(takes="picture", file=str(file), size_px=8, layout="nchw"))
    # Black pictures: the logarithm of 0.
    monkeypatch.setattr(one_film, "extract_tracks", lambda *_: network(np.zeros((2, 8, 8, 3), np.uint8)))
    extractor = SimpleNamespace(networks=None, limits=None, decoder=None)
    with pytest.raises(FilmError, match=r"extract: not_finite: .*dark\.mp4: .*mine.*not finite"):
        one_film.extract_part(Path("dark.mp4"), None, {}, extractor, range(2))
