"""Decoding in a child equals decoding without one; a film whose child dies, hangs or takes too much memory fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import count_times
from beam_pipelines.media.audio.audio_windows import audio_windows
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.video.decode_mode import DecodeMode
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_messages import probe_from_message, probe_to_message
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.synthetic_clips import Sound, read_number, regular_times, write_clip

LIMITS = MediaLimits()


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    times = np.arange(48_000 * 12) / 48_000
    sound = Sound([(Fraction(0), np.sin(2 * np.pi * 440 * times).astype(np.float32)[None])], codec="aac")
    return write_clip(tmp_path_factory.mktemp("films") / "film.mp4", regular_times(300, 25), sound=sound)


@pytest.fixture
def decoder():
    with DecodingProcess() as decoder:
        yield decoder


def numbers(decoder: DecodingProcess, film: Path, seconds: range) -> list[int]:
    frames = decoder.pictures(film, probe_film(film), seconds, DecodeQuality(), LIMITS)
    return [read_number(frame.image) for frame in frames]


def test_a_probe_comes_through_whole(film, decoder):
    assert decoder.probe(film, LIMITS) == probe_film(film)
    assert probe_from_message(probe_to_message(probe_film(film))) == probe_film(film)


@pytest.mark.parametrize("mode", [DecodeMode(), DecodeMode("approximate", Fraction(1, 3)), DecodeMode("keyframes")])
def test_pictures_are_those_of_this_process(film, decoder, mode):
    probe, here, there = probe_film(film), DecodeQuality(), DecodeQuality()
    expected = list(sample_frames(film, probe, start=2, stop=9, quality=here, mode=mode))
    found = list(decoder.pictures(film, probe, range(2, 9), there, LIMITS, mode))
    assert there == here
    assert [(f.t, f.timestamp_us, f.fresh) for f in found] == [(f.t, f.timestamp_us, f.fresh) for f in expected]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, expected, strict=True))
    # Neither side takes the channels apart: `resize_image` reads them where they lie.
    assert all(np.moveaxis(frame.image, -1, 0).flags.c_contiguous for frame in [*expected, *found])


def test_sound_is_that_of_this_process(film, decoder):
    probe, here, there = probe_film(film), DecodeQuality(), DecodeQuality()
    expected = list(audio_windows(film, probe, start=1, stop=12, quality=here))
    found = list(decoder.sound(film, probe, range(1, 12), there, 0.96))
    assert there == here
    assert [(w.t, w.present) for w in found] == [(w.t, w.present) for w in expected]
    assert all(one.samples.tobytes() == other.samples.tobytes() for one, other in zip(found, expected, strict=True))


def test_a_still_picture_is_shared_by_its_seconds(tmp_path, decoder):
    still = write_clip(tmp_path / "still.mp4", [Fraction(0), Fraction(5)])
    frames = list(decoder.pictures(still, probe_film(still), range(6), DecodeQuality(), LIMITS))
    assert [frame.fresh for frame in frames] == [True, False, False, False, False, True]
    assert [read_number(frame.image) for frame in frames] == [0, 0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="read-only"):
        frames[0].image[0, 0, 0] = 1


def test_one_child_serves_many_films_and_its_errors_are_the_films_own(film, tmp_path, decoder):
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    assert decoder.is_planned(film, probe_film(film))
    pid = decoder.pid
    with pytest.raises(FilmError) as caught:
        decoder.probe(tmp_path / "text.mp4", LIMITS)
    with pytest.raises(FilmError) as expected:
        probe_film(tmp_path / "text.mp4", LIMITS)
    assert (caught.value.step, caught.value.reason, caught.value.detail) == (
        expected.value.step,
        expected.value.reason,
        expected.value.detail,
    )
    assert numbers(decoder, film, range(3)) == [0, 25, 50]
    assert decoder.pid == pid


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_killed_child_is_a_failed_film_and_the_next_one_has_another_child(film, tmp_path, decoder, number, name):
    # 300 pictures are more than queue and pipe hold, so the child is in the middle of them.
    long = write_clip(tmp_path / "long.mp4", regular_times(300, 1), rate_hz=1)
    frames = decoder.pictures(long, probe_film(long), range(300), DecodeQuality(), LIMITS)
    next(frames)
    pid = decoder.pid
    os.kill(pid, number)
    decoder._child.process.wait()
    with pytest.raises(FilmError, match=name) as caught:
        list(frames)
    assert (caught.value.step, caught.value.reason) == ("decode", "crashed")
    assert str(long) in caught.value.detail
    assert numbers(decoder, film, range(2)) == [0, 25]
    assert decoder.pid != pid


def test_a_child_killed_between_two_films_is_the_next_ones_failure(film, decoder):
    decoder.probe(film, LIMITS)
    os.kill(decoder.pid, signal.SIGKILL)
    decoder._child.process.wait()
    with pytest.raises(FilmError, match="SIGKILL") as caught:
        decoder.probe(film, LIMITS)
    assert (caught.value.step, caught.value.reason) == ("decode", "crashed")
    assert decoder.probe(film, LIMITS) == probe_film(film)


def test_answers_left_over_are_never_taken_for_those_of_the_next_task(film, decoder):
    """12 pictures and their end wait in queue and pipe: the next task's answers come after them."""
    left = decoder.pictures(film, probe_film(film), range(12), DecodeQuality(), LIMITS)
    next(left)
    assert decoder.probe(film, LIMITS) == probe_film(film)
    assert numbers(decoder, film, range(2)) == [0, 25]
    with pytest.raises(RuntimeError, match="another task began"):
        next(left)


def test_an_unforeseen_error_names_itself_and_the_next_film_has_another_child(film, decoder, capfd):
    probe = decoder.probe(film, LIMITS)
    pid = decoder.pid
    with pytest.raises(FilmError) as caught:
        list(decoder.sound(film, probe, range(99), DecodeQuality(), 0.96))
    assert (caught.value.step, caught.value.reason) == ("decode", "unforeseen_error")
    assert "ValueError: " in caught.value.detail
    assert "seconds [0, 99) are not within the film's [0, 12)" in caught.value.detail
    assert "Traceback" in capfd.readouterr().err
    assert numbers(decoder, film, range(2)) == [0, 25]
    assert decoder.pid != pid


def test_probe_and_pictures_need_no_scipy():
    code = "import sys, beam_pipelines.media.worker.decoding_child as _; print('scipy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"


def test_a_stopped_child_is_ended_after_the_deadline(film):
    with DecodingProcess(deadline_s=3.0) as decoder:
        decoder.probe(film, LIMITS)
        pid = decoder.pid
        os.kill(pid, signal.SIGSTOP)
        started_s = time.monotonic()
        with pytest.raises(FilmError, match="decode_deadline_s = 3 s") as caught:
            decoder.probe(film, LIMITS)
        assert (caught.value.step, caught.value.reason) == ("decode", "timeout")
        assert 3.0 <= time.monotonic() - started_s < 60.0
        assert not is_running(pid)
        assert numbers(decoder, film, range(2)) == [0, 25]


def test_a_worker_that_takes_its_time_is_no_hanging_child(film):
    with DecodingProcess(deadline_s=3.0) as decoder:
        frames = decoder.pictures(film, probe_film(film), range(12), DecodeQuality(), LIMITS)
        next(frames)
        time.sleep(4.0)
        assert [frame.t for frame in frames] == list(range(1, 12))


def test_a_picture_beyond_the_memory_limit_fails_its_film_only(film, tmp_path):
    huge = tmp_path / "huge.mp4"
    write_still(huge, 7680, 4320)
    with DecodingProcess(memory_limit_mb=224) as decoder:
        frames = decoder.pictures(huge, probe_film(huge), range(1), DecodeQuality(), LIMITS)
        with pytest.raises(FilmError, match="decoder_memory_mb = 224") as caught:
            next(frames)
        assert (caught.value.step, caught.value.reason) == ("decode", "out_of_memory")
        assert numbers(decoder, film, range(2)) == [0, 25]


def write_still(path: Path, width_px: int, height_px: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.thread_count = 1  # each of the encoder's threads would take the memory of a picture
        frame = av.VideoFrame.from_ndarray(np.zeros((height_px * 3 // 2, width_px), np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_film_that_is_left_in_the_middle_leaves_no_old_pictures(film, decoder):
    frames = decoder.pictures(film, probe_film(film), range(12), DecodeQuality(), LIMITS)
    next(frames)
    frames.close()
    assert numbers(decoder, film, range(5, 8)) == [125, 150, 175]


def test_the_child_ends_with_a_worker_that_is_killed(film):
    code = (
        "import sys, time\n"
        "from beam_pipelines.media.worker.decoding_process import DecodingProcess\n"
        "from beam_pipelines.media.probe import MediaLimits\n"
        "decoder = DecodingProcess()\n"
        f"decoder.probe({str(film)!r}, MediaLimits())\n"
        "print(decoder.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(worker.stdout.readline())
    assert is_running(pid)
    worker.kill()
    worker.wait()
    deadline_s = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_child_loads_neither_beam_nor_tensorflow():
    code = (
        "import sys, beam_pipelines.media.worker.decoding_child\n"
        "print(sorted({'apache_beam', 'tensorflow', 'keras', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_childs_time_comes_back_also_of_a_film_that_is_left_or_fails(film, tmp_path, decoder):
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    probe = probe_film(film)
    with count_times() as times:
        assert len(numbers(decoder, film, range(2, 9))) == 7
        windows = list(decoder.sound(film, probe, range(3), DecodeQuality(), 0.96))
        with pytest.raises(FilmError):
            decoder.probe(tmp_path / "text.mp4", LIMITS)
    assert {name: spent[0] for name, spent in times.items() if name != "rest"} == {
        "starting": 1,
        "picture decoding": 7,
        "scaling": 7,
        "sound decoding": 3,
        "probing": 1,
    }
    assert times["picture decoding"][1] == times["scaling"][1] == 7 * 3 * probe.width_px * probe.height_px
    assert times["sound decoding"][1] == sum(window.samples.nbytes for window in windows)
    assert times["probing"][1] == (tmp_path / "text.mp4").stat().st_size
    assert all(ms > 0 for _, _, ms in times.values())

    # What the child has done for a film that is left is known only to the system, to 10 ms.
    large = tmp_path / "large.mp4"
    write_still(large, 3840, 2160)
    with count_times() as times:
        frames = decoder.pictures(large, probe_film(large), range(1), DecodeQuality(), LIMITS)
        next(frames)
        frames.close()
    assert times["picture decoding"][0] == 1
    assert times["picture decoding"][2] > 0
