"""Damage to a planned film: the pictures are those of decoding everything, whatever is damaged."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.probe import probe_film
from tests.support.planned_decoding import LONG_GOP, pictures, plan_of, textured
from tests.support.synthetic_clips import Picture, regular_times, stored_packets, write_clip


def test_damage_to_a_wanted_packet_means_full_decoding(tmp_path: Path):
    whole = write_clip(
        tmp_path / "a.mkv", regular_times(120, 24), picture=Picture(options=LONG_GOP), rate_hz=24, images=textured(120)
    )
    content, plan, stored = whole.read_bytes(), plan_of(whole), stored_packets(whole)
    assert plan is not None
    given = np.flatnonzero(plan.given)
    for place in [given[0], given[len(given) // 2], given[-1]]:
        whole.write_bytes(content)
        # The body of the frame; its header still says what it is.
        overwrite_body(whole, stored[place])
        probe = probe_film(whole)
        full, all_counts = pictures(whole, probe, False)
        planned, counts = pictures(whole, probe, True)
        assert planned == full
        assert asdict(counts) == asdict(all_counts)
        assert counts.frames_corrupt + counts.packet_errors > 0
        assert counts.frames_skipped == 0


def overwrite_body(path: Path, packet: Any) -> None:
    content = bytearray(path.read_bytes())
    begin = content.find(bytes(packet)) + packet.size // 3
    content[begin : begin + packet.size // 2] = b"\xff" * (packet.size // 2)
    path.write_bytes(content)


def test_damage_to_what_is_not_needed_changes_nothing(tmp_path: Path):
    clip = write_clip(
        tmp_path / "a.mkv", regular_times(120, 24), picture=Picture(options=LONG_GOP), rate_hz=24, images=textured(120)
    )
    plan = plan_of(clip)
    assert plan is not None
    probe = probe_film(clip)
    before, _ = pictures(clip, probe, True)
    stored = stored_packets(clip)
    for place in np.flatnonzero(~plan.given)[::3]:
        overwrite_body(clip, stored[place])
    assert pictures(clip, probe, True)[0] == before == pictures(clip, probe, False)[0]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "webm"])
def test_flipped_and_cut_bytes(tmp_path: Path, suffix: str):
    """The same pictures or the same error; but for damage that the decoder itself doesn't notice, which stays rare."""
    picture = Picture(options=LONG_GOP | {"g": "20"})
    if suffix == "webm":
        picture = Picture("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "20"})
    whole = write_clip(tmp_path / f"whole.{suffix}", regular_times(90, 23), picture=picture, images=textured(90))
    content, rng, same, differing = whole.read_bytes(), random.Random(11), 0, 0
    for _ in range(25):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 3, 10])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(damaged)) :]
        clip = tmp_path / f"damaged.{suffix}"
        clip.write_bytes(damaged)
        try:
            probe = probe_film(clip)
        except FilmError:
            continue
        (full, _), (planned, _) = pictures(clip, probe, False), pictures(clip, probe, True)
        assert len(planned) == len(full)
        differing += sum(one != other for one, other in zip(planned, full, strict=True))
        same += sum(one == other for one, other in zip(planned, full, strict=True))
    assert same > 20
    assert differing <= 0.03 * same
