"""Films as they come: each circumstance is a row of the table "What happens with" in docs/own-films.md."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from av.stream import Disposition

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.several_tracks import Pictures, Track, rising, silence, tones_of, write_tracks
from tests.support.synthetic_clips import read_number, regular_times, write_clip

HZ = 48_000


def sound(seconds: int, codec: str = "aac") -> Track:
    return Track(rising(seconds, rate_hz=HZ), codec=codec, rate_hz=HZ)


def times(seconds: int, begin_s: int = 0) -> list[Fraction]:
    return regular_times(25 * seconds, 25, begin_s)


def seen_and_heard(path: Path) -> tuple[list[int], list[int | None], dict[str, float]]:
    """The number of the picture and the tone of every second, and the warnings that are known before decoding."""
    probe = probe_film(path)
    numbers = [read_number(frame.image) for frame in sample_frames(path, probe)]
    return numbers, tones_of(path, probe), {each.code: each.number for each in warnings_of_probe(probe)}


def rising_tones(seconds: int) -> list[int | None]:
    return [400 + 100 * second for second in range(seconds)]


def test_avi_with_dropped_pictures_keeps_its_clock(tmp_path: Path) -> None:
    """A capture writes an empty chunk for a picture that it dropped, since AVI has no timestamps."""
    written = [*times(2), *times(2, begin_s=5)]
    film = write_tracks(tmp_path / "capture.avi", [Pictures(written)], [sound(7, "pcm_s16le")])
    assert seen_and_heard(film) == ([0, 25, 49, 49, 49, 50, 75], rising_tones(7), {})


@pytest.mark.parametrize(("tracks", "code"), [(2, "mono_tracks_mixed"), (4, "mono_tracks_apart")])
def test_mxf_has_a_mono_track_a_channel(tmp_path: Path, tracks: int, code: str) -> None:
    quiet = Track(silence(3, HZ), rate_hz=HZ)
    sounds = [sound(3, "pcm_s16le"), sound(3, "pcm_s16le"), quiet, quiet][:tracks]
    film = write_tracks(tmp_path / "camera.mxf", [Pictures(times(3), "mpeg2video")], sounds)
    assert seen_and_heard(film) == ([0, 25, 50], rising_tones(3), {code: tracks})


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_screen_recording_stands_still_while_nothing_moves(tmp_path: Path, suffix: str) -> None:
    film = write_tracks(
        tmp_path / f"screen.{suffix}", [Pictures([*times(2), *times(2, begin_s=8)], "libx264")], [sound(10)]
    )
    assert seen_and_heard(film) == ([0, 25, *[49] * 6, 50, 75], rising_tones(10), {})


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "mjpeg")])
def test_one_still_over_a_piece_of_music_is_one_second_and_says_so(tmp_path: Path, suffix: str, codec: str) -> None:
    film = write_tracks(tmp_path / f"song.{suffix}", [Pictures([Fraction(0)], codec)], [sound(9)])
    numbers, tones, warned = seen_and_heard(film)
    assert (numbers, tones) == ([0], [400])
    assert warned == {"sound_goes_on": pytest.approx(8.96, abs=0.03)}


@pytest.mark.parametrize("sound_s", [3, 4])
def test_a_second_of_sound_after_the_pictures_is_no_news(tmp_path: Path, sound_s: int) -> None:
    film = write_tracks(tmp_path / "film.mp4", [Pictures(times(3), "libx264")], [sound(sound_s)])
    assert seen_and_heard(film) == ([0, 25, 50], rising_tones(3), {})


def test_sound_before_the_pictures_does_not_go_on_after_them(tmp_path: Path) -> None:
    film = write_tracks(tmp_path / "cut.mp4", [Pictures(times(3, begin_s=4), "libx264")], [sound(7)])
    assert "sound_goes_on" not in {each.code for each in warnings_of_probe(probe_film(film))}


def test_an_audio_file_with_a_cover_is_no_film(tmp_path: Path) -> None:
    cover = Pictures([Fraction(0)], "mjpeg", flags=Disposition.attached_pic)
    for name, pictures in (("podcast.mp4", []), ("album.mp4", [cover])):
        film = write_tracks(tmp_path / name, pictures, [sound(3)])
        with pytest.raises(FilmError, match=r"none of its . streams is a film's picture") as caught:
            probe_film(film)
        assert caught.value.reason == "no_video_stream"


def test_a_stream_without_container_has_pictures_at_its_rate_and_no_sound(tmp_path: Path) -> None:
    film = write_tracks(tmp_path / "raw.h264", [Pictures(times(3), "libx264")])
    assert seen_and_heard(film) == ([0, 25, 50], [None] * 3, {})


@pytest.mark.parametrize("options", [{"movflags": "frag_keyframe+empty_moov"}, {"live": "1"}])
def test_a_live_recording_says_nothing_of_its_length(tmp_path: Path, options: dict[str, str]) -> None:
    film = tmp_path / ("live.mp4" if "movflags" in options else "live.mkv")
    probe = probe_film(write_clip(film, times(3), muxer_options=options))
    assert (probe.seconds, probe.missing_s) == (3, 0.0)
    assert [read_number(frame.image) for frame in sample_frames(film, probe)] == [0, 25, 50]
