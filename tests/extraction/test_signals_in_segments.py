"""Signals of a film in segments: those of the whole film, byte by byte, also of what looks back over seconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.extraction.film_parts import join_parts, read_part, write_part
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
from beam_pipelines.extractors.signals.accumulators import of_whole_film
from beam_pipelines.extractors.signals.columns import PICTURE_SIGNALS, SOUND_SIGNALS
from beam_pipelines.extractors.tracks import extract_tracks
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.synthetic_clips import B_FRAMES, Sound, regular_times, write_clip

SECONDS, CUT_S = 312, 300
CONFIG = ExtractConfig(modalities=(PICTURE_SIGNALS, SOUND_SIGNALS), segment_s=300)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """312 s whose pictures and sound change most around second 300."""
    rng = np.random.default_rng(6)
    begin_s, rate_hz = 280, 16_000
    loudness = np.repeat(10 ** rng.uniform(-3, -0.5, SECONDS - begin_s), rate_hz)
    sound = (loudness * rng.uniform(-1, 1, len(loudness))).astype(np.float32)[None]
    stretches = [(Fraction(0), sound[:, : 2 * rate_hz]), (Fraction(begin_s), sound)]
    images = []
    for number in range(2 * SECONDS):
        scene = np.random.default_rng(number // 23 if number > 500 else 0).integers(0, 256, (8, 16, 3), np.uint8)
        images.append(np.roll(scene, number // 2, axis=1).repeat(8, axis=0).repeat(8, axis=1))
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    times = regular_times(2 * SECONDS, 2)
    return write_clip(
        path, times, picture=B_FRAMES, sound=Sound(stretches, rate_hz, codec="aac"), rate_hz=2, images=images
    )


def test_joined_parts_are_the_whole(film, tmp_path):
    probe, descriptions = probe_film(film), describe_tracks(CONFIG)
    assert probe.seconds == SECONDS
    with DecodingProcess() as decoder:
        common = (film, probe, Networks(CONFIG), descriptions, MediaLimits(), decoder)
        whole = of_whole_film(extract_tracks(*common).tracks)
        parts = []
        for seconds in (range(CUT_S), range(CUT_S, SECONDS)):
            write_part(extract_tracks(*common, seconds), str(tmp_path / "part"))
            parts.append(read_part(str(tmp_path / "part"), descriptions))
    joined = of_whole_film(join_parts(parts).tracks)
    for modality in (PICTURE_SIGNALS, SOUND_SIGNALS):
        one, other = whole[modality], joined[modality]
        assert one.values.shape == (SECONDS, len(one.description["columns"]))
        assert one.values.tobytes() == other.values.tobytes()
        assert one.present.tobytes() == other.present.tobytes()
        # Something looks back over the place where the parts meet.
        around = one.values[CUT_S - 3 : CUT_S + 3]
        assert (np.ptp(around, axis=0) > 0).sum() > 7
    cuts = whole[PICTURE_SIGNALS].values[:, -1]
    assert cuts[CUT_S] > 0


@pytest.mark.slow
def test_records_are_the_same_for_one_and_two_workers_and_every_length_of_segments(film, tmp_path):
    found = []
    for number, (segment_s, workers) in enumerate([(900, 1), (300, 2)]):
        output = tmp_path / str(number)
        settings = ["--set=modalities=[picture_signals,sound_signals]", f"--set=segment_s={segment_s}"]
        common = ["--films", str(film.parent), "--output", str(output), f"--workers={workers}"]
        assert extract.main([*common, *settings]) == 0
        found.append((output / "film.mp4.tfrecord").read_bytes())
    assert found[0] == found[1]
