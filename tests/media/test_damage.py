"""How much of a film is lost: counted in parts, compared with the cap, and with what the container says."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.damage import refuse_too_damaged, sum_of
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.synthetic_clips import Picture, Sound, overwrite_packets, regular_times, stored_packets, write_clip

INTRA = Picture("mpeg4", {"g": "1", "qscale": "4"})
WEBM = Picture("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"})


def noise(seconds: int, codec: str = "aac") -> Sound:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48_000 * seconds)).astype(np.float32)
    return Sound([(Fraction(0), samples)], codec=codec)


def sound_counts(path: Path, start: int, stop: int) -> DecodeQuality:
    quality = DecodeQuality()
    windows = audio_windows(path, probe_film(path), start=start, stop=stop, quality=quality)
    assert sum(1 for _ in windows) == stop - start
    return quality


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "aac"), ("mkv", "flac"), ("ts", "mp2")])
def test_counts_of_sound_add_up_however_it_is_cut(tmp_path: Path, suffix: str, codec: str):
    whole = write_clip(tmp_path / f"film.{suffix}", regular_times(200, 25), sound=noise(8, codec))
    if suffix != "ts":  # there packets are not stored in one piece
        broken = [packet for number, packet in enumerate(stored_packets(whole, "audio")) if number % 7 == 3]
        overwrite_packets(whole, broken, b"\xff")
    counts = sound_counts(whole, 0, 8)
    if suffix != "ts":
        assert counts.damaged > 0
    for cuts in ([0, 1, 8], [0, 3, 4, 7, 8], range(9)):
        parts = [sound_counts(whole, start, stop) for start, stop in pairwise(cuts)]
        assert sum_of(parts) == counts


def test_counts_of_fully_decoded_pictures_are_of_the_seconds_asked_for(tmp_path: Path):
    film = write_clip(tmp_path / "film.mkv", regular_times(100, 25), picture=INTRA, time_base=Fraction(1, 25))
    broken = stored_packets(film)[30:40]
    overwrite_packets(film, broken, b"\0")
    probe = probe_film(film)
    damaged = {}
    for start, stop in [(0, 1), (1, 2), (2, 4), (0, 4)]:
        quality = DecodeQuality()
        list(sample_frames(film, probe, start=start, stop=stop, quality=quality, planned=False))
        damaged[start, stop] = quality.damaged
    assert damaged == {(0, 1): 0, (1, 2): 10, (2, 4): 0, (0, 4): 10}


def test_a_plan_counts_what_it_passes_over_in_the_seconds_asked_for(tmp_path: Path):
    film = write_clip(tmp_path / "film.mkv", regular_times(100, 25), picture=INTRA, time_base=Fraction(1, 25))
    quality = DecodeQuality()
    list(sample_frames(film, probe_film(film), start=2, stop=4, quality=quality))
    assert quality == DecodeQuality(frames_decoded=2, frames_skipped=quality.frames_skipped)
    assert 24 <= quality.frames_skipped <= 48


def test_a_film_of_which_too_much_is_lost_is_refused_with_its_counts():
    quality = DecodeQuality(frames_decoded=60, frames_skipped=20, packet_errors=15, frames_corrupt=5)
    refuse_too_damaged("a.mp4", "picture", quality, 0.2)
    with pytest.raises(FilmError, match=r"a\.mp4.*100 packets.*20 are lost \(15 .*5 are") as caught:
        refuse_too_damaged("a.mp4", "picture", quality, 0.19)
    assert (caught.value.step, caught.value.reason) == ("decode", "too_damaged")
    refuse_too_damaged("a.mp4", "sound", DecodeQuality(), 0.0)


@pytest.mark.parametrize(
    ("suffix", "picture", "sound", "options"),
    [
        ("mp4", Picture(), noise(6), {"movflags": "faststart"}),
        ("mkv", Picture(), noise(6), {}),
        ("webm", WEBM, noise(6, "libopus"), {}),
        ("flv", Picture(), noise(6), {}),
        ("flv", Picture(), None, {}),
        ("avi", Picture("mpeg4"), noise(6, "pcm_s16le"), {}),
    ],
)
def test_a_film_that_ends_before_its_container_says_is_truncated(tmp_path: Path, suffix, picture, sound, options):
    times_s = regular_times(150, 25)
    about = {"picture": picture, "sound": sound, "muxer_options": options}
    time_base = Fraction(1, 25) if suffix == "avi" else Fraction(1, 90_000)
    whole = write_clip(tmp_path / f"a.{suffix}", times_s, time_base=time_base, **about)
    probe = probe_film(whole)
    assert warnings_of_probe(probe) == ()
    assert (probe.packets, probe.packets_damaged, probe.read_errors) == (150, 0, 0)
    cut = tmp_path / f"b.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    probe = probe_film(cut)
    assert probe.missing_s == pytest.approx(6 - probe.duration_s, abs=0.1)
    warned = {warning.code: warning.number for warning in warnings_of_probe(probe)}
    assert warned.pop("truncated") == pytest.approx(probe.missing_s, abs=0.001)
    # That its sound goes on isn't said: it was cut off too.
    assert set(warned) <= {"damaged"}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "ts", "avi"])
def test_sound_longer_than_the_pictures_is_no_truncation(tmp_path: Path, suffix):
    picture = Picture("mpeg4") if suffix == "avi" else Picture()
    time_base = Fraction(1, 25) if suffix == "avi" else Fraction(1, 90_000)
    sound = noise(8, "pcm_s16le" if suffix == "avi" else "aac")
    film = write_clip(
        tmp_path / f"a.{suffix}", regular_times(75, 25), picture=picture, sound=sound, time_base=time_base
    )
    # Only MP4 and Matroska state how long their sound is.
    warned = [each.code for each in warnings_of_probe(probe_film(film))]
    assert warned == (["sound_goes_on"] if suffix in ("mp4", "mkv") else [])


def with_tag(path: Path, key: str, value: str, folder: Path) -> Path:
    """A copy of a film whose video stream has one more tag, as FFmpeg copies the tags of an earlier file."""
    copy = folder / f"tagged-{path.name}"
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        streams[0].metadata[key] = value
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return copy


def test_pictures_that_begin_late_are_no_truncation(tmp_path: Path):
    # What a cut without re-encoding leaves: sound from the cut on, pictures from the next key frame on.
    times_s = regular_times(75, 25, start_s=Fraction(7))
    whole = write_clip(tmp_path / "a.mkv", times_s, sound=noise(10))
    probe = probe_film(whole)
    assert (probe.first_pts_s, probe.missing_s) == (7, pytest.approx(0, abs=0.1))
    cut = tmp_path / "b.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 8])
    probe = probe_film(cut)
    assert "truncated" in {warning.code for warning in warnings_of_probe(probe)}
    assert probe.missing_s == pytest.approx(10 - probe.first_pts_s - probe.duration_s, abs=0.1)


def test_the_length_of_the_uncut_film_is_not_taken_for_that_of_the_cut(tmp_path: Path):
    film = write_clip(tmp_path / "a.mkv", regular_times(50, 25), sound=noise(2))
    tagged = with_tag(film, "DURATION-eng", "00:01:00.000000000", tmp_path)
    with av.open(str(tagged)) as container:
        assert container.streams[0].metadata["DURATION-eng"].startswith("00:01:00")
    assert probe_film(tagged).missing_s == pytest.approx(0, abs=0.1)


def test_mkvmerge_tags_the_length_and_ffmpeg_the_end(tmp_path: Path):
    film = write_clip(tmp_path / "a.mkv", regular_times(75, 25, start_s=Fraction(7)))
    content = film.read_bytes()
    assert b"00:00:10.000000000" in content
    by_mkvmerge = tmp_path / "b.mkv"
    by_mkvmerge.write_bytes(content.replace(b"Lavf", b"Libm").replace(b"00:00:10.0", b"00:00:09.0"))
    assert probe_film(by_mkvmerge).missing_s == pytest.approx(9 - 3)
    assert probe_film(film).missing_s == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "missing_s"),
    [("cut_between_key_frames.mkv", 0), ("cut_with_old_statistics.mkv", 0), ("half_of_a_film.mkv", 30.7)],
)
def test_films_that_people_have(shared_data: Path, name: str, missing_s: float):
    probe = probe_film(shared_data / "odd_films" / name)
    assert probe.missing_s == pytest.approx(missing_s, abs=0.1)
    assert [warning.code for warning in warnings_of_probe(probe)] == ["truncated"] * (missing_s > 0)
