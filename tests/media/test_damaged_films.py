"""Films with bytes flipped, cut and spliced: either T pictures and T windows, or an error of the film."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.synthetic_clips import B_FRAMES, Picture, Sound, regular_times, write_clip

FORMATS = {
    "mp4": (B_FRAMES, "aac", Fraction(1, 90_000)),
    "mkv": (B_FRAMES, "aac", Fraction(1, 90_000)),
    "ts": (B_FRAMES, "aac", Fraction(1, 90_000)),
    "avi": (Picture("mpeg4", {"bf": "2"}), "pcm_s16le", Fraction(1, 25)),
    "webm": (Picture("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}), "libopus", Fraction(1, 90_000)),
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    out, size = bytearray(content), len(content)
    kind = rng.choice(["anywhere", "header", "tail", "cut", "splice", "zeros"])
    if kind == "cut":
        return content[: rng.randrange(size)]
    if kind == "splice":
        return content[: rng.randrange(size)] + content[rng.randrange(size) :]
    if kind == "zeros":
        begin = rng.randrange(size)
        out[begin : begin + 4_000] = bytes(len(out[begin : begin + 4_000]))
        return bytes(out)
    low, high = {"anywhere": (0, size), "header": (0, min(2_000, size)), "tail": (max(size - 4_000, 0), size)}[kind]
    for _ in range(rng.choice([1, 4, 40])):
        out[rng.randrange(low, high)] = rng.randrange(256)
    return bytes(out)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_damaged_film_is_read_or_named(tmp_path: Path, suffix: str):
    picture, codec, time_base = FORMATS[suffix]
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 144_000)).astype(np.float32)
    sound = Sound([(Fraction(0), samples)], codec=codec)
    whole = write_clip(
        tmp_path / f"whole.{suffix}", regular_times(70, 25), picture=picture, sound=sound, time_base=time_base
    )
    content, rng, outcomes = whole.read_bytes(), random.Random(7), Counter[str]()
    for _ in range(25):
        clip = tmp_path / f"damaged.{suffix}"
        clip.write_bytes(damaged(content, rng))
        try:
            probe = probe_film(clip)
            assert sum(1 for _ in sample_frames(clip, probe)) == probe.seconds
            assert sum(1 for _ in audio_windows(clip, probe)) == probe.seconds
            outcomes["read"] += 1
        except FilmError as error:
            outcomes[f"{error.step}: {error.reason}"] += 1
    assert outcomes.total() == 25
    assert outcomes["read"] > 0
