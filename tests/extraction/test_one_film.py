"""One film: what of its configuration the probe gets."""

from __future__ import annotations

import pytest

from beam_pipelines.extraction.one_film import media_limits
from beam_pipelines.extractors.config import ExtractConfig, LimitsConfig


@pytest.mark.parametrize(("search_mb", "memory_mb", "expected"), [(256, 4096, 256), (0, 4096, 0), (256, 256, 64)])
def test_the_search_for_sound_fits_into_the_decoders_memory(search_mb: int, memory_mb: int, expected: int):
    limits = LimitsConfig(sound_search_mb=search_mb, decoder_memory_mb=memory_mb)
    assert media_limits(ExtractConfig(limits=limits)).sound_search_mb == expected
