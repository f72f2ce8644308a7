"""Files joined by `cat`: what lies behind the first film of an MP4 or FLV file isn't read, and is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.unread_rest import unread_mb
from tests.support.synthetic_clips import regular_times, write_clip


@pytest.mark.parametrize("suffix", ["mp4", "flv"])
def test_the_second_of_two_joined_files_is_warned_of(tmp_path: Path, suffix: str) -> None:
    one = write_clip(tmp_path / f"one.{suffix}", regular_times(50, 25))
    two = write_clip(tmp_path / f"two.{suffix}", regular_times(75, 25))
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(one.read_bytes() + two.read_bytes())
    assert [warning.code for warning in warnings_of_probe(probe_film(one))] == []
    probe = probe_film(joined)
    assert probe.seconds == 2
    (warning,) = warnings_of_probe(probe)
    assert warning.code == "rest_not_read"
    assert warning.number * 1e6 == pytest.approx(two.stat().st_size, abs=1000)


def test_a_file_of_fragments_goes_on_behind_a_second_header(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    one = write_clip(tmp_path / "one.mp4", regular_times(50, 25), muxer_options=options)
    content = one.read_bytes()
    (tmp_path / "joined.mp4").write_bytes(content + content)
    assert b"moof" in content
    assert unread_mb(tmp_path / "joined.mp4", "mov") == 0


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0moov", b"\0\0\0\1moov\0\0", b"FLV\1", b"\xff" * 40])
def test_broken_headers_hold_no_second_film(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    assert unread_mb(path, "mov") == unread_mb(path, "flv") == 0
