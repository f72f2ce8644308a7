"""Planned and full decoding of clips side by side, as bytes that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe, probe_film
from beam_pipelines.media.video.decode_mode import EXACT, DecodeMode
from beam_pipelines.media.video.decode_plan import DecodePlan, make_plan
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.synthetic_clips import HEIGHT_PX, WIDTH_PX, numbered_picture

LONG_GOP = {"preset": "veryfast", "g": "250", "bf": "3", "b-adapt": "0", "crf": "24"}
TEXTURE = np.random.default_rng(5).integers(0, 256, (HEIGHT_PX + 60, WIDTH_PX + 90, 3), dtype=np.uint8)


def textured(count: int, cuts: Sequence[int] = ()) -> list[np.ndarray]:
    """Numbered pictures over a moving texture, so that every reference and every residual counts."""
    images = []
    for number in range(count):
        shot = sum(number >= cut for cut in cuts)
        top, left = (number + 17 * shot) % 60, (2 * number + 31 * shot) % 90
        texture = TEXTURE[top : top + HEIGHT_PX, left : left + WIDTH_PX]
        images.append(numbered_picture(number) // 4 * 3 + texture // 4)
    return images


def pictures(
    path: Path, probe: FilmProbe, planned: bool, seconds: range | None = None, mode: DecodeMode = EXACT
) -> tuple[list[tuple[Any, ...]], DecodeQuality]:
    """All data of each second, comparable byte for byte, or the error's message."""
    quality = DecodeQuality()
    chosen = range(probe.seconds) if seconds is None else seconds
    frames = sample_frames(
        path, probe, start=chosen.start, stop=chosen.stop, quality=quality, mode=mode, planned=planned
    )
    try:
        return [(f.t, f.timestamp_us, f.fresh, f.image.shape, f.image.tobytes()) for f in frames], quality
    except FilmError as error:
        return [(error.step, error.reason)], quality


def plan_of(path: Path, mode: DecodeMode = EXACT) -> DecodePlan | None:
    probe = probe_film(path)
    return make_plan(path, probe, range(probe.seconds), mode)


def assert_planned_is_full(path: Path, *ranges: range) -> DecodeQuality:
    """Returns the counts of the last range, or of the whole film."""
    probe = probe_film(path)
    for seconds in ranges or (range(probe.seconds),):
        full, all_counts = pictures(path, probe, False, seconds)
        planned, counts = pictures(path, probe, True, seconds)
        assert [item[:4] for item in planned] == [item[:4] for item in full]
        assert planned == full
        assert all_counts.frames_skipped == 0
    return counts
