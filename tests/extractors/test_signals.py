"""The signals of films whose motion, cuts, light and sound are known, from the file to the record."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from beam_pipelines import extract_features
from beam_pipelines.contracts.records.records import FilmRecord
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.signals.columns import COLUMNS, PICTURE_SIGNALS, SOUND_SIGNALS
from beam_pipelines.launch import job
from tests.support.synthetic_clips import Picture, Sound, write_clip

HEIGHT_PX, WIDTH_PX, RATE_HZ, SECONDS = 64, 128, 25, 12
PAN_PX, CUTS = (0.0, 0.4, 1.0), (4, 8)
"""Three shots of 4 s each, panned by so many pixels a frame."""
TONE_HZ = 440.0


def shot(seed: int, speed_px: float) -> list[np.ndarray]:
    """4 s of a pan to the right over a blurred, grey texture: uint8 [64, 128, 3] each."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(HEIGHT_PX, WIDTH_PX + 120)), 2)
    texture = 20 + 110 * (seed % 2) + 100 * (noise - noise.min()) / np.ptp(noise)
    columns = np.arange(WIDTH_PX)
    frames = []
    for number in range(4 * RATE_HZ):
        at = columns + number * speed_px
        left = np.floor(at).astype(int)
        share = at - left
        frame = texture[:, left] * (1 - share) + texture[:, left + 1] * share
        frames.append(np.repeat(np.round(frame).astype(np.uint8)[:, :, None], 3, axis=2))
    return frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [frame for seed, speed in enumerate(PAN_PX) for frame in shot(seed, speed)]
    times = [Fraction(number, RATE_HZ) for number in range(len(images))]
    tone = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(6 * 48_000) / 48_000)
    sound = Sound([(Fraction(0), np.stack([tone, tone]).astype(np.float32))], layout="stereo")
    picture = Picture(options={"preset": "veryfast", "bf": "2", "g": "250", "crf": "4"})
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_clip(path, times, images=images, picture=picture, sound=sound, rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def record(film: Path) -> FilmRecord:
    return extract_features(film, ExtractConfig(modalities=(PICTURE_SIGNALS, SOUND_SIGNALS)))


def column(record: FilmRecord, name: str) -> np.ndarray:
    modality = next(modality for modality, names in COLUMNS.items() if name in names)
    track = record.tracks[modality]
    assert track.values.dtype == np.float32
    found: np.ndarray = track.values[:, track.description["columns"].index(name)]
    return found


def test_a_pan_has_its_speed(record):
    speeds = column(record, "motion_median")
    for number, speed_px in enumerate(PAN_PX):
        known = speed_px * RATE_HZ / HEIGHT_PX
        np.testing.assert_allclose(speeds[4 * number : 4 * number + 4], known, rtol=0.05, atol=0.01)
    assert (column(record, "motion_difference")[:4] < 0.002).all()
    assert (column(record, "motion_difference")[8:12] > 0.01).all()


def test_cuts_are_counted_in_the_seconds_after_them(record):
    assert column(record, "cuts_10s").tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert column(record, "cuts_30s").tolist() == [0] * 4 + [1] * 4 + [2] * 4
    change = column(record, "change")
    assert change[0] == 0
    assert min(change[4], change[8]) > 2 * np.delete(change, [4, 8]).max()


def test_a_tone_has_its_pitch_and_loudness_and_is_absent_where_it_ends(record):
    assert record.tracks[SOUND_SIGNALS].present[:, 0].tolist() == [1] * 6 + [0] * 6
    np.testing.assert_allclose(column(record, "pitch_hz")[:6], TONE_HZ, rtol=0.002)
    assert (column(record, "pitch_clarity")[:6] > 0.98).all()
    assert (column(record, "harmonic_share")[1:6] > 0.95).all()
    np.testing.assert_allclose(column(record, "spectral_centroid_hz")[1:5], TONE_HZ, rtol=0.02)
    assert (column(record, "spectral_flatness")[1:5] < 0.01).all()
    assert column(record, "silence")[:6].tolist() == [0] * 6
    # 0.5 in two channels is -6.02 dBFS; K-weighting damps 440 Hz by 0.7 dB against 1 kHz.
    np.testing.assert_allclose(column(record, "loudness_momentary_lufs")[1:5], -6.7, atol=0.1)
    assert not record.tracks[SOUND_SIGNALS].values[6:].any()


def test_grey_pictures_have_no_colour(record):
    assert (np.abs(column(record, "warmth")) < 0.01).all()
    assert (column(record, "saturation") < 0.06).all()
    assert (column(record, "colourfulness") < 3).all()


def test_films_of_signals_alone_share_no_batches_and_look_for_no_gpu(monkeypatch):
    looked = []
    monkeypatch.setattr(job, "networks_see_gpu", lambda config: bool(looked.append(1)) or True)
    assert not job.films_share_batches(ExtractConfig(modalities=(PICTURE_SIGNALS, SOUND_SIGNALS)))
    assert not looked
    assert job.films_share_batches(ExtractConfig(modalities=(PICTURE_SIGNALS, "audio")))


def test_a_film_of_signals_alone_loads_no_tensorflow(film):
    code = (
        "import sys; from beam_pipelines import ExtractConfig, extract_features; "
        f"extract_features({str(film)!r}, ExtractConfig(modalities=('picture_signals', 'sound_signals'))); "
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
