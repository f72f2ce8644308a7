"""Recordings joined to one file: their clocks start anew, the film goes on.

Two recordings of five seconds are written and their bytes joined. Pictures carry numbers that count through both, and
second s of the sound is a tone of 400 + 100 s Hz.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.clock.clock_jumps import PacketTimes, jumps_between
from beam_pipelines.media.probe import FilmProbe, probe_film
from beam_pipelines.media.probe_warnings import warnings_of_probe
from beam_pipelines.media.video.decode_plan import make_plan
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_messages import probe_from_message, probe_to_message
from tests.support.synthetic_clips import Picture, Sound, numbered_picture, read_number, write_clip

WRAP_S = Fraction(2**33, 90_000)
H264 = Picture(options={"preset": "ultrafast", "g": "10", "bf": "2"})
MPEG2 = Picture("mpeg2video", {"bf": "2", "g": "12", "b_strategy": "0", "sc_threshold": "1000000000"})
FORMATS = {"ts": (H264, 5), "mkv": (H264, 5), "mpg": (MPEG2, 25)}
"""Suffix -> codec, and pictures a second."""


def tones(start_s: Fraction | int, seconds: range) -> Sound:
    time_s = np.arange(48_000) / 48_000
    samples = np.concatenate([0.3 * np.sin(2 * np.pi * (400 + 100 * second) * time_s) for second in seconds])
    return Sound([(Fraction(start_s), samples[None].astype(np.float32))], codec="mp2")


def heard(path: Path, probe: FilmProbe, start: int = 0, stop: int | None = None) -> list[int | None]:
    """The tone of each second, to 100 Hz; None where there is no sound."""
    found: list[int | None] = []
    for window in audio_windows(path, probe, start=start, stop=stop):
        strength = np.abs(np.fft.rfft(window.samples * np.hanning(len(window.samples))))
        pitch_hz = np.argmax(strength) * 16_000 / len(window.samples)
        found.append(100 * round(pitch_hz / 100) if window.present else None)
    return found


def seen(path: Path, probe: FilmProbe, planned: bool = True, start: int = 0) -> list[int]:
    return [read_number(frame.image) for frame in sample_frames(path, probe, start=start, planned=planned)]


@pytest.fixture(scope="module")
def joined(tmp_path_factory) -> Callable[..., Path]:
    """Makes a film of recordings of `each_s` seconds that begin at the given times; without sound if asked."""
    folder = tmp_path_factory.mktemp("recordings")

    def make(
        suffix: str,
        *starts_s: Fraction | int,
        with_sound: bool = True,
        each_s: int = 5,
        pids: tuple[int, ...] = (256, 256, 256),
    ) -> Path:
        picture, rate_hz = FORMATS[suffix]
        time_base = Fraction(1, 90_000) if rate_hz == 5 else Fraction(1, rate_hz)
        content = b""
        for number, start_s in enumerate(starts_s):
            seconds = range(each_s * number, each_s * (number + 1))
            images = [numbered_picture(n) for n in range(rate_hz * seconds.start, rate_hz * seconds.stop)]
            part = write_clip(
                folder / f"part.{suffix}",
                [start_s + Fraction(n, rate_hz) for n in range(each_s * rate_hz)],
                picture=picture,
                rate_hz=rate_hz,
                time_base=time_base,
                images=images,
                sound=tones(start_s, seconds) if with_sound else None,
                muxer_options={"mpegts_start_pid": str(pids[number])} if suffix == "ts" else None,
            )
            content += part.read_bytes()
        film = folder / f"film.{suffix}"
        film.write_bytes(content)
        return film

    return make


@pytest.mark.parametrize(
    ("suffix", "starts_s"),
    [
        ("ts", (0, 0)),
        ("ts", (0, 65)),
        ("ts", (5000, 10)),  # FFmpeg takes this for a wrap of the 33 bits and adds 26 hours
        ("ts", (WRAP_S - 2, WRAP_S - 2)),
        ("ts", (0, 2, 700)),
        ("mpg", (0, 0)),
        ("mpg", (0, 65)),  # a DVD's VOB files are such program streams
        ("mkv", (0, 0)),
    ],
)
def test_joined_recordings_are_one_film(joined, suffix: str, starts_s: tuple[Fraction | int, ...]):
    film = joined(suffix, *starts_s)
    probe, seconds, rate_hz = probe_film(film), 5 * len(starts_s), FORMATS[suffix][1]
    assert (probe.seconds, probe.duration_s, probe.missing_s) == (seconds, seconds, 0)
    assert len(probe.jumps) == len(starts_s) - 1
    assert probe_from_message(probe_to_message(probe)) == probe
    # The end of a transport stream's recording isn't counted as damage.
    warned = [(each.code, each.number) for each in warnings_of_probe(probe)]
    assert warned == [("clock_jumped", len(starts_s) - 1)]
    pictures, sounds = [rate_hz * t for t in range(seconds)], [400 + 100 * t for t in range(seconds)]
    assert seen(film, probe) == seen(film, probe, planned=False) == pictures
    assert heard(film, probe) == sounds
    # Parts of the film give what the whole gives, on either side of a jump and across it.
    assert seen(film, probe, start=4) == pictures[4:]
    assert heard(film, probe, 3, 6) == sounds[3:6]
    assert heard(film, probe, 6) == sounds[6:]
    if suffix != "ts":  # there the end of a recording counts as damaged, so that everything is decoded
        assert make_plan(film, probe, range(seconds)) is not None


def test_a_wrap_of_the_clock_is_no_jump(joined):
    film = joined("ts", WRAP_S - 7, each_s=20)
    probe = probe_film(film)
    assert (probe.seconds, probe.duration_s, probe.jumps) == (20, 20, ())
    assert seen(film, probe) == list(range(0, 100, 5))


def test_a_recording_that_wraps_before_another_is_joined(joined):
    film = joined("ts", WRAP_S - 7, 300, each_s=10)
    probe = probe_film(film)
    assert (probe.seconds, len(probe.jumps)) == (20, 1)
    assert heard(film, probe) == [400 + 100 * t for t in range(20)]


def test_recordings_that_number_their_streams_otherwise_are_joined_too(joined):
    film = joined("ts", 0, 0, 100, pids=(256, 512, 768))
    probe = probe_film(film)
    assert (probe.seconds, probe.duration_s, len(probe.jumps)) == (15, 15, 2)
    assert seen(film, probe) == [5 * t for t in range(15)]
    assert heard(film, probe) == [400 + 100 * t for t in range(15)]


def test_without_sound_only_a_step_back_is_closed(joined):
    back, ahead = probe_film(joined("ts", 0, 0, with_sound=False)), probe_film(joined("ts", 0, 65, with_sound=False))
    assert (back.seconds, ahead.seconds) == (10, 70)


def test_a_gap_stays_where_the_format_has_one_clock_or_the_sound_runs_on(tmp_path: Path):
    times_s = [Fraction(n, 5) + (20 if n >= 10 else 0) for n in range(20)]
    stretches = [(Fraction(start), tones(0, range(2)).stretches[0][1]) for start in (0, 22)]
    gap = write_clip(tmp_path / "a.mkv", times_s, rate_hz=5, picture=H264, sound=Sound(stretches, codec="mp2"))
    runs_on = write_clip(tmp_path / "a.ts", times_s, rate_hz=5, picture=H264, sound=tones(0, range(24)))
    for film in (gap, runs_on):
        probe = probe_film(film)
        assert (probe.seconds, probe.jumps) == (24, ())
        assert seen(film, probe)[1:] == [5] + 20 * [9] + [10, 15][:2]


# Pure: 25 pictures and 40 packets of sound a second, interleaved by time; ticks of 1 ms.


def packet_times(times_ms: list[int], places: list[int], duration_ms: int, key_every: int = 1) -> PacketTimes:
    rows = array("q")
    for number, (time_ms, place) in enumerate(zip(times_ms, places, strict=True)):
        rows.extend((number, place, place, time_ms, time_ms, duration_ms, number % key_every == 0))
    return PacketTimes.of(rows, Fraction(1, 1000))


def interleaved(pictures_ms: list[int], sound_ms: list[int]) -> tuple[PacketTimes, PacketTimes]:
    """Streams whose packets lie in the file as if both clocks ran on, 40 ms and 25 ms a packet."""
    order = sorted([(40 * n, 0, n) for n in range(len(pictures_ms))] + [(25 * n, 1, n) for n in range(len(sound_ms))])
    places = {(kind, number): place for place, (_, kind, number) in enumerate(order)}
    return (
        packet_times(pictures_ms, [places[0, n] for n in range(len(pictures_ms))], 40),
        packet_times(sound_ms, [places[1, n] for n in range(len(sound_ms))], 25),
    )


def shifted(count: int, step_ms: int, *changes: tuple[int, int]) -> list[int]:
    """`count` times `step_ms` apart; each change moves those from a number on."""
    return [n * step_ms + sum(by for first, by in changes if n >= first) for n in range(count)]


@pytest.mark.parametrize("early", [-12, -3, 0, 3, 12])
@pytest.mark.parametrize("by_ms", [-5000, -1500, 12_000])
def test_the_sound_is_moved_where_it_jumps_itself(early: int, by_ms: int):
    pictures, sound = interleaved(shifted(250, 40, (125, by_ms)), shifted(400, 25, (200 + early, by_ms)))
    (jump,) = jumps_between(0, pictures, {1: sound}, starts_anew=True)
    assert (jump.step_s, dict(jump.first_packets)) == (Fraction(by_ms, 1000), {0: 125, 1: 200 + early})


def test_pictures_that_step_alone_keep_their_time():
    for by_ms in (-5000, -700, 12_000):
        pictures, sound = interleaved(shifted(250, 40, (125, by_ms)), shifted(400, 25))
        assert jumps_between(0, pictures, {1: sound}, starts_anew=True) == ()


def some_of(sound: PacketTimes, kept: np.ndarray) -> PacketTimes:
    names = ("number", "place", "position", "dts_s", "pts", "duration", "key")
    return PacketTimes(*(getattr(sound, name)[kept] for name in names), sound.time_base)


def test_sound_that_begins_late_behind_a_jump_goes_with_it():
    pictures, sound = interleaved(shifted(500, 40, (125, -5000)), shifted(800, 25, (200, -5000)))
    (jump,) = jumps_between(0, pictures, {1: some_of(sound, np.r_[0:200, 500:800])}, starts_anew=True)
    assert dict(jump.first_packets) == {0: 125, 1: 500}


@pytest.mark.parametrize("early", [0, 1, 20])
def test_a_recording_without_sound_is_joined_to_one_with(early: int):
    changes = ((200 - early, -5000), (400 - early, -5000))
    pictures, sound = interleaved(shifted(375, 40, (125, -5000), (250, -5000)), shifted(600, 25, *changes))
    for kept, firsts in (
        (np.r_[200 - early : 600], [200 - early, 400 - early]),  # the first recording has none
        (np.r_[0 : 200 - early, 400 - early : 600], [400 - early, 400 - early]),  # the second has none
    ):
        silent = jumps_between(0, pictures, {1: some_of(sound, kept)}, starts_anew=True)
        assert [jump.first_packets for jump in silent] == [{0: 125, 1: firsts[0]}, {0: 250, 1: firsts[1]}]
    # A sound that only the later recordings have is moved beside one that all have.
    both = jumps_between(0, pictures, {1: sound, 2: some_of(sound, np.r_[200 - early : 600])}, starts_anew=True)
    assert [jump.first_packets[2] for jump in both] == [200 - early, 400 - early]


def test_damaged_timestamps_of_single_packets_are_no_jumps():
    for first, last in ((100, 101), (100, 103), (247, 250)):
        for by_ms in (-3000, 50_000):
            changes = ((first, by_ms), (last, -by_ms))
            pictures, sound = interleaved(shifted(250, 40, *changes), shifted(400, 25))
            for sounds in ({1: sound}, {}):
                assert jumps_between(0, pictures, sounds, starts_anew=True) == ()


def test_with_too_many_jumps_no_more_are_looked_for(monkeypatch):
    monkeypatch.setattr("beam_pipelines.media.clock.clock_jumps.MOST_JUMPS", 3)
    pictures, _ = interleaved(shifted(250, 40, *((first, -5000) for first in range(10, 250, 10))), [])
    assert len(jumps_between(0, pictures, {}, starts_anew=True)) == 4


@pytest.mark.parametrize("name", ["concatenated.ts", "jumps_ahead.ts", "jumps_back.ts"])
def test_films_that_people_have(shared_data: Path, name: str):
    film = shared_data / "odd_films" / name
    probe = probe_film(film)
    assert (probe.seconds, probe.duration_s, len(probe.jumps)) == (10, 10, 1)
    for planned in (True, False):
        frames = [frame.image.mean(axis=2) for frame in sample_frames(film, probe, planned=planned)]
        # Sixteen bits in two rows of eight blocks, most significant last.
        bits = [frame.reshape(2, 48, 8, 20)[:, 12:36, :, 5:15].mean(axis=(1, 3)).ravel() > 127 for frame in frames]
        assert [sum(1 << place for place in np.flatnonzero(row)) for row in bits] == list(range(0, 250, 25))
    assert heard(film, probe) == list(range(400, 1400, 100))
