"""A late part of a film is entered by a jump where the container has an index, and gives what the whole film gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.media.decode import DecodeQuality, opened_film
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.decode_plan import make_plan
from beam_pipelines.media.video.planned_frames import entered
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.synthetic_clips import Picture, read_number, regular_times, write_clip

SECONDS, RATE_HZ = 60, 5


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts"])
def film(request, tmp_path_factory) -> Path:
    picture = Picture(options={"preset": "veryfast", "g": "15", "bf": "2"})
    path = tmp_path_factory.mktemp("films") / f"film.{request.param}"
    return write_clip(path, regular_times(SECONDS * RATE_HZ, RATE_HZ), picture=picture, rate_hz=RATE_HZ)


def test_a_late_part_begins_at_its_own_packets(film: Path):
    probe = probe_film(film)
    plan = make_plan(film, probe, range(50, 55))
    assert plan is not None
    assert plan.begin >= 45 * RATE_HZ
    with opened_film(film, "decode") as container:
        place = entered(container, container.streams[probe.video_index], plan)
    # Transport streams have no index: they are opened anew and read from the beginning.
    assert place is None if film.suffix == ".ts" else 40 * RATE_HZ <= place <= plan.begin


@pytest.mark.parametrize("start", [1, 17, 50, 59])
def test_it_has_the_pictures_and_the_counts_of_a_plan_read_from_the_beginning(film: Path, start: int):
    probe, counts, all_counts = probe_film(film), DecodeQuality(), DecodeQuality()
    frames = list(sample_frames(film, probe, start=start, quality=counts))
    assert [read_number(frame.image) for frame in frames] == [RATE_HZ * t for t in range(start, probe.seconds)]
    whole = list(sample_frames(film, probe, planned=False, quality=all_counts))[start:]
    for part, full in zip(frames, whole, strict=True):
        assert (part.t, part.timestamp_us, part.fresh) == (full.t, full.timestamp_us, full.fresh)
        assert part.image.tobytes() == full.image.tobytes()
    assert counts.full_decodings == 0
    assert counts.frames_decoded + counts.frames_skipped <= (SECONDS - start) * RATE_HZ
