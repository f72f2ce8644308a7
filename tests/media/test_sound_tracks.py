"""The sound of films with several tracks, with one that begins late, or with one that can't be decoded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.stream import Disposition

from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import MediaLimits, probe_film
from tests.support.several_tracks import OTHER_HZ, Pictures, Track, other, rising, silence, tones_of, write_tracks
from tests.support.synthetic_clips import stored_packets

FULL = ["FL", "FR", "FC", "LFE", "SL", "SR"]


def without_decoder(path: Path, track: int) -> Path:
    """Names a coding that doesn't exist for one of a MOV file's PCM tracks."""
    content, place = path.read_bytes(), -1
    for _ in range(track + 1):
        place = content.index(b"sowt", place + 1)
    path.write_bytes(content[:place] + b"zzzz" + content[place + 4 :])
    return path


def test_a_material_exchange_files_eight_mono_tracks_stay_apart(tmp_path: Path):
    """As broadcasters deliver: 5.1 and stereo, and nothing says which is which."""
    pictures = Pictures([Fraction(number, 25) for number in range(50)], "mpeg2video")
    tracks = [Track(rising(2, rate_hz=48_000), rate_hz=48_000), *[Track(silence(2, 48_000), rate_hz=48_000)] * 7]
    film = write_tracks(tmp_path / "a.mxf", [pictures], tracks)
    probe = probe_film(film)
    assert (probe.audio_index, probe.sound.mono_tracks_apart) == (1, 8)
    assert tones_of(film, probe) == [400, 500]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_track_without_a_decoder_is_passed_over(tmp_path: Path, lost: int):
    tracks = [Track(rising(3), flags=Disposition.default), Track(rising(3), flags=Disposition.default)]
    tracks[lost] = Track(other(3), flags=Disposition.default)
    film = without_decoder(write_tracks(tmp_path / "a.mov", 3, tracks), lost)
    probe = probe_film(film)
    assert (probe.sound.tracks_in_film, probe.sound.not_decodable, probe.sound.why) == (2, 1, "only")
    assert tones_of(film, probe) == [400, 500, 600]


def test_a_track_whose_packets_no_decoder_takes_is_passed_over(tmp_path: Path):
    tracks = [Track(other(4), codec="flac", flags=Disposition.default), Track(rising(4), codec="flac")]
    film = write_tracks(tmp_path / "a.mkv", 4, tracks)
    content = bytearray(film.read_bytes())
    for packet in stored_packets(film, "audio"):
        place = content.find(bytes(packet))
        content[place : place + packet.size] = b"\0" * packet.size
    film.write_bytes(content)
    probe = probe_film(film)
    assert (probe.audio_index, probe.sound.not_decodable) == (2, 1)
    assert tones_of(film, probe) == [400, 500, 600, 700]


def test_a_film_whose_only_sound_has_no_decoder_has_none_and_says_so(tmp_path: Path):
    film = without_decoder(write_tracks(tmp_path / "a.mov", 2, [Track(rising(2))]), 0)
    probe = probe_film(film)
    assert (probe.audio_index, probe.sound.tracks_in_film, probe.sound.not_decodable) == (None, 1, 1)
    assert tones_of(film, probe) == [None, None]


def test_a_commentary_in_front_is_not_the_sound_unless_it_is_named(tmp_path: Path):
    tracks = [
        Track(other(3), title="Commentary", language="eng", flags=Disposition.comment | Disposition.default),
        Track(rising(3), language="fre"),
    ]
    film = write_tracks(tmp_path / "a.mkv", 3, tracks)
    assert tones_of(film) == [400, 500, 600]
    for named in (1, "commentary", "eng"):
        probe = probe_film(film, sound_track=named)
        assert probe.sound.why == "named"
        assert tones_of(film, probe) == [OTHER_HZ] * 3
    probe = probe_film(film, sound_track="fra")
    assert (probe.audio_index, probe.sound.tracks[0].language) == (2, "fre")


def test_six_mono_tracks_are_mixed_as_five_channels_and_effects(tmp_path: Path):
    """The tones are in the centre; what the effects channel has isn't heard."""
    tracks = [Track(silence(3)), Track(silence(3)), Track(rising(3)), Track(other(3)), *[Track(silence(3))] * 2]
    film = write_tracks(tmp_path / "a.mov", 3, tracks)
    probe, quality = probe_film(film), DecodeQuality()
    assert [track.channel for track in probe.sound.tracks] == FULL
    assert (probe.sound.layout, probe.audio_channels) == ("5.1", 6)
    assert tones_of(film, probe) == [400, 500, 600]
    windows = list(audio_windows(film, probe, quality=quality))
    # The centre is 0.5 loud, and weighs sqrt(1/2).
    assert windows[1].samples.std() == pytest.approx(0.5 * 0.5, rel=0.01)
    assert quality.frames_decoded == len(stored_packets(film, "audio")) * 6
    (part,) = audio_windows(film, probe, start=1, stop=2)
    assert part.samples.tobytes() == windows[1].samples.tobytes()


def test_two_mono_tracks_of_an_avi_are_mixed_for_it_names_no_languages(tmp_path: Path):
    film = write_tracks(tmp_path / "a.avi", 2, [Track(rising(2), language="eng"), Track(silence(2), language="fre")])
    probe = probe_film(film)
    assert [track.channel for track in probe.sound.tracks] == ["FL", "FR"]
    assert tones_of(film, probe) == [400, 500]


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.ts", "aac")])
def test_audio_description_in_front_is_not_the_sound(tmp_path: Path, name: str, codec: str):
    described = Track(other(3, 16_000), rate_hz=16_000, codec=codec, language="eng")
    described = replace(described, flags=Disposition.visual_impaired | Disposition.default)
    plain = Track(rising(3, rate_hz=16_000), rate_hz=16_000, codec=codec, language="eng")
    pictures = Pictures([Fraction(number, 5) for number in range(15)], "libx264")
    assert tones_of(write_tracks(tmp_path / name, [pictures], [described, plain])) == [400, 500, 600]


def test_two_mono_tracks_are_left_and_right_whatever_their_rates(tmp_path: Path):
    left = Track(rising(2, rate_hz=16_000), rate_hz=16_000)
    film = write_tracks(tmp_path / "a.mov", 2, [left, Track(rising(2))])
    assert [track.channel for track in probe_film(film).sound.tracks] == ["FL", "FR"]
    (first, second) = audio_windows(film, probe_film(film))
    truth = rising(2, rate_hz=16_000)[0]
    for window in (first, second):
        error = window.samples - truth[window.t * 16_000 :][: len(window.samples)]
        assert np.abs(error[200:-200]).max() < 1e-2


def late_sound(path: Path, begin_s: int, seconds: int, codec: str = "aac", pictures: str = "libx264") -> Path:
    times_s = [Fraction(number, 25) for number in range(25 * seconds)]
    track = Track(rising(seconds, begin_s, 16_000), rate_hz=16_000, begin_s=begin_s, codec=codec)
    return write_tracks(path, [Pictures(times_s, pictures)], [track])


@pytest.mark.parametrize(
    ("name", "codec", "pictures"),
    [("a.ts", "aac", "libx264"), ("a.mpg", "mp2", "mpeg2video"), ("a.vob", "mp2", "mpeg2video")],
)
def test_sound_that_begins_late_is_found(tmp_path: Path, name: str, codec: str, pictures: str):
    film = late_sound(tmp_path / name, 9, 12, codec, pictures)
    probe = probe_film(film)
    assert probe.sound.search_mb == 20
    assert (probe.audio_rate_hz, probe.audio_channels, probe.audio_codec[:3]) == (16_000, 1, codec[:3])
    assert tones_of(film, probe) == [None] * 9 + [1300, 1400, 1500]


def test_sound_behind_many_bytes_is_found_up_to_the_bound(tmp_path: Path):
    """54 Mbit/s, and sound from second 5 on: 34 MB behind the begin."""
    times_s = [Fraction(number, 5) for number in range(35)]
    pictures = Pictures(times_s, "libx264", padding_bytes=54_000_000 // 8 // 5)
    track = Track(rising(7, 5, 16_000), rate_hz=16_000, begin_s=5, codec="aac")
    film = write_tracks(tmp_path / "a.ts", [pictures], [track])
    assert film.stat().st_size > 40_000_000
    probe = probe_film(film)
    assert (probe.sound.search_mb, probe.audio_rate_hz) == (80, 16_000)
    assert tones_of(film, probe) == [None] * 5 + [900, 1000]
    # Beyond the bound, the rate stays unknown until the sound begins.
    near = probe_film(film, MediaLimits(sound_search_mb=1))
    assert (near.sound.search_mb, near.audio_index, near.audio_rate_hz) == (0, 1, 0)
    assert tones_of(film, near) == [None] * 5 + [900, 1000]


def test_a_stream_that_only_a_later_list_has_is_found(tmp_path: Path):
    """A broadcast whose first seconds have no sound at all, not even in the list of their streams."""
    first = write_tracks(tmp_path / "first.ts", [Pictures([Fraction(n, 5) for n in range(45)], "libx264")])
    times_s = [Fraction(number, 5) for number in range(45, 60)]
    track = Track(rising(12, 9, 16_000), rate_hz=16_000, begin_s=9, codec="aac")
    second = write_tracks(tmp_path / "second.ts", [Pictures(times_s, "libx264", first=45)], [track])
    film = tmp_path / "both.ts"
    film.write_bytes(first.read_bytes() + second.read_bytes())
    probe = probe_film(film)
    assert (probe.audio_index, probe.audio_rate_hz) == (1, 16_000)
    assert tones_of(film, probe)[9:] == [1300, 1400, 1500]


def test_a_transport_stream_without_sound_has_none(tmp_path: Path):
    film = write_tracks(tmp_path / "a.ts", [Pictures([Fraction(n, 5) for n in range(15)], "libx264")])
    probe = probe_film(film)
    assert (probe.audio_index, probe.sound.tracks_in_film, probe.sound.search_mb) == (None, 0, 0)


TS_PACKET = 188


def joined_programmes(path: Path, first: Path, second: Path, numbers: dict[int, int]) -> Path:
    """One transport stream with two programmes, packet by packet from each; `numbers`: programme -> PID of its list."""
    body = b"".join(number.to_bytes(2) + (0xE000 | pid).to_bytes(2) for number, pid in numbers.items())
    section = b"\x00" + (0xB000 | (len(body) + 9)).to_bytes(2) + b"\x00\x01\xc1\x00\x00" + body
    remainder = 0xFFFFFFFF
    for byte in section:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder >> 31 else 0)) & 0xFFFFFFFF
    table = (b"\x00" + section + remainder.to_bytes(4)).ljust(TS_PACKET - 4, b"\xff")
    contents, joined = [film.read_bytes() for film in (first, second)], []
    for place in range(0, max(map(len, contents)), TS_PACKET):
        for is_second, content in enumerate(contents):
            packet = content[place : place + TS_PACKET]
            pid = int.from_bytes(packet[1:3]) & 0x1FFF
            if packet and (pid > 0x1F or (pid == 0 and not is_second)):
                joined.append(packet if pid else packet[:4] + table)
    path.write_bytes(b"".join(joined))
    return path


def test_the_sound_of_another_programme_is_not_taken_though_it_has_more_channels(tmp_path: Path):
    pictures = Pictures([Fraction(number, 25) for number in range(75)], "libx264")
    mine = Track(rising(3, rate_hz=16_000), rate_hz=16_000, codec="aac")
    others = Track(np.repeat(other(3, 16_000), 2, axis=0), "stereo", rate_hz=16_000, codec="aac")
    first = write_tracks(
        tmp_path / "1.ts", [pictures], [mine], {"mpegts_pmt_start_pid": "4096", "mpegts_start_pid": "256"}
    )
    second = write_tracks(
        tmp_path / "2.ts",
        [Pictures(pictures.times_s[:20], "libx264")],
        [others],
        {"mpegts_pmt_start_pid": "4097", "mpegts_start_pid": "512", "mpegts_service_id": "2"},
    )
    film = joined_programmes(tmp_path / "both.ts", first, second, {1: 4096, 2: 4097})
    probe = probe_film(film)
    assert (probe.sound.tracks_in_film, probe.sound.why, probe.packets) == (2, "only", 75)
    assert tones_of(film, probe) == [400, 500, 600]


ODD = {
    "commentary_first.mkv": [400, 500, 600],
    "six_mono_tracks.mov": [400, 500, 600],
    "sound_begins_at_10s.ts": [None] * 10 + [1400, 1500, 1600, 1700, 1800, 1900],
    "two_sound_tracks_one_undecodable_both_default.mp4": [400, 500, 600, 700, 800],
    "two_sound_tracks_undecodable_first.mp4": [OTHER_HZ] * 5,
    "cover_second_default.mkv": [None] * 10,
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_the_sound_of_odd_films(shared_data: Path, name: str):
    assert tones_of(shared_data / "odd_films" / name) == ODD[name]
