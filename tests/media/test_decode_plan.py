"""Decoding by a plan against decoding everything: the same bytes, timestamps and freshness, from fewer packets."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, reject, strategies as st

from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.codecs.other_roles import KeyFlagRoles
from beam_pipelines.media.video.codecs.packet_role import PacketRole
from beam_pipelines.media.video.decode_mode import DecodeMode
from beam_pipelines.media.video.packet_table import ROLE_READERS
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.hypothesis_profiles import examples
from tests.support.planned_decoding import LONG_GOP, assert_planned_is_full, pictures, plan_of, textured
from tests.support.synthetic_clips import (
    HEIGHT_PX,
    WIDTH_PX,
    Picture,
    UnreadableClip,
    read_number,
    regular_times,
    stored_packets,
    write_clip,
)

# One encoding thread a stage: with its usual number the encoder once waited for itself for ever on a loaded machine.
SVT_AV1 = {"preset": "12", "svtav1-params": "lp=1"}
X265 = "log-level=none:pools=1:frame-threads=1:"


@st.composite
def encodings(draw: st.DrawFn) -> tuple[str, Picture]:
    """A container's suffix and how pictures are coded."""
    gop, b_frames = draw(st.sampled_from([1, 3, 10, 24, 250])), draw(st.integers(0, 4))
    flag = st.integers(0, 1)
    codec = draw(st.sampled_from(["libx264", "libx265", "libvpx-vp9", "libvpx", "mpeg4", "mpeg2video", "libsvtav1"]))
    common = {"g": str(gop)}
    if codec == "libx264":
        more = f"open-gop={draw(flag)}:interlaced={draw(flag)}:slices={draw(st.sampled_from([1, 3]))}"
        pyramid = draw(st.sampled_from(["none", "strict", "normal"]))
        options = {"preset": draw(st.sampled_from(["ultrafast", "veryfast"])), "bf": str(b_frames), "crf": "24"}
        options["x264-params"] = f"{more}:b-pyramid={pyramid}:weightp={draw(st.integers(0, 2))}"
        return draw(st.sampled_from(["mp4", "mkv", "ts"])), Picture(codec, common | options)
    if codec == "libx265":
        more = f"bframes={b_frames}:keyint={gop}:open-gop={draw(flag)}:b-pyramid={draw(flag)}"
        more += f":radl={min(draw(flag), b_frames)}"
        return draw(st.sampled_from(["mp4", "mkv", "ts"])), Picture(
            codec, {"preset": "ultrafast", "x265-params": X265 + more}
        )
    if codec in ("libvpx-vp9", "libvpx"):
        options = {"deadline": "good", "cpu-used": "5", "lag-in-frames": "8", "auto-alt-ref": str(draw(flag))}
        return "webm", Picture(codec, common | options)
    if codec == "libsvtav1":
        return "mp4", Picture(codec, common | SVT_AV1)
    options = {"bf": str(min(b_frames, 2)), "qscale": "4", "flags": draw(st.sampled_from(["+cgop", "-cgop"]))}
    # FFmpeg's encoders close GOPs only where they don't look for cuts.
    options["sc_threshold"] = "1000000000"
    return ("mkv" if codec == "mpeg4" else draw(st.sampled_from(["mkv", "ts"]))), Picture(codec, common | options)


@examples(40)
@given(data=st.data(), encoding=encodings())
def test_planned_decoding_is_full_decoding(tmp_path: Path, data: st.DataObject, encoding: tuple[str, Picture]):
    suffix, picture = encoding
    count = data.draw(st.integers(12, 60), "frames")
    if picture.codec in ("mpeg4", "mpeg2video"):
        rate_hz = Fraction(24_000, 1001)
        times_s, time_base = regular_times(count, rate_hz), 1 / rate_hz
    else:
        rate_hz, time_base = Fraction(10), Fraction(1, 90_000)
        gaps = data.draw(
            st.lists(st.sampled_from([900, 3_000, 9_000, 100_000]), min_size=count - 1, max_size=count - 1)
        )
        start = data.draw(st.sampled_from([0, 30_000, 225_000]), "start")
        times_s = [Fraction(start + int(tick), 90_000) for tick in np.cumsum([0, *gaps])]
    cuts = data.draw(st.lists(st.integers(1, count), max_size=2), "cuts")
    clip = tmp_path / f"a.{suffix}"
    images = textured(count, cuts)
    try:
        write_clip(clip, times_s, picture=picture, rate_hz=rate_hz, time_base=time_base, images=images)
    except UnreadableClip:
        reject()  # FFmpeg's writer and reader disagree: nothing to hold the plan against
    probe = probe_film(clip)
    begin = data.draw(st.integers(0, probe.seconds - 1), "begin")
    end = data.draw(st.integers(begin + 1, probe.seconds), "end")
    counts = assert_planned_is_full(clip, range(probe.seconds), range(begin, end))
    assert (counts.frames_corrupt, counts.packet_errors, counts.read_errors) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", LONG_GOP),
        ("a.ts", "libx264", LONG_GOP),
        ("a.mkv", "libx264", LONG_GOP | {"g": "12", "x264-params": "open-gop=1"}),
        ("a.mp4", "libx265", {"preset": "ultrafast", "x265-params": X265 + "keyint=10:open-gop=1:bframes=3"}),
        ("a.ts", "libx265", {"preset": "ultrafast", "x265-params": X265 + "keyint=10:open-gop=0:bframes=3"}),
        ("a.mkv", "mpeg4", {"bf": "2", "g": "9"}),
        ("a.ts", "mpeg2video", {"bf": "2", "g": "9"}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "10"}),
        ("a.webm", "libvpx", {"deadline": "realtime", "cpu-used": "8", "g": "10"}),
        ("a.mp4", "libsvtav1", SVT_AV1 | {"g": "10"}),
        ("a.mov", "prores_ks", {}),
    ],
)
def test_packets_are_passed_over(tmp_path: Path, name: str, codec: str, options: dict[str, str]):
    """Wanted frames drift through all places of a GOP, leading ones included, and some packets are never needed."""
    times_s, time_base = regular_times(170, 23), Fraction(1, 23)
    picture = Picture(codec, options)
    if codec == "prores_ks":
        write_prores(tmp_path / name, 60)
    else:
        if codec in ("mpeg4", "mpeg2video"):
            times_s, time_base = regular_times(170, 24), Fraction(1, 24)
        rate_hz = 1 / time_base
        write_clip(
            tmp_path / name, times_s, picture=picture, rate_hz=rate_hz, time_base=time_base, images=textured(170)
        )
    counts = assert_planned_is_full(tmp_path / name)
    assert counts.frames_skipped > 0.2 * (counts.frames_skipped + counts.frames_decoded)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "40"}),
        ("libvpx", {"deadline": "realtime", "cpu-used": "8", "g": "40"}),
        ("libsvtav1", SVT_AV1 | {"g": "40"}),
    ],
)
def test_key_frames_that_are_none_change_no_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, codec: str, options: dict[str, str]
):
    """FFmpeg's parsers see through a container whose flags lie; were they believed, an emptied decoder would refuse."""
    honest, lying = tmp_path / "honest.mkv", tmp_path / "lying.mkv"
    write_clip(honest, regular_times(80, 10), picture=Picture(codec, options), rate_hz=10, images=textured(80))
    with av.open(str(honest)) as source, av.open(str(lying), "w") as container:
        copy = container.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.is_keyframe, packet.stream = True, copy
                container.mux(packet)
    assert assert_planned_is_full(lying) == assert_planned_is_full(honest)

    class Credulous(KeyFlagRoles):
        def role(self, packet: bytes, is_key: bool) -> PacketRole:
            return super().role(packet, True)

    monkeypatch.setitem(ROLE_READERS, probe_film(honest).codec, Credulous)
    plan = plan_of(honest)
    assert plan is not None
    assert plan.given.sum() == 8
    assert assert_planned_is_full(honest).full_decodings == 1


def write_prores(path: Path, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("prores_ks", rate=23)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv422p10le"
        for image in textured(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def test_where_key_frames_are_wanted_only_they_are_decoded(tmp_path: Path):
    picture = Picture(options={"preset": "veryfast", "g": "24", "bf": "3", "crf": "24", "sc_threshold": "0"})
    clip = write_clip(tmp_path / "a.mp4", regular_times(24 * 8, 24), picture=picture, rate_hz=24, images=textured(192))
    counts = assert_planned_is_full(clip)
    assert counts.frames_decoded == 8
    # What follows the last wanted frame is not even read.
    assert counts.frames_skipped == 7 * 23


def test_an_edit_list_that_begins_within_a_gop(tmp_path: Path):
    clip = write_clip(
        tmp_path / "a.mp4", regular_times(100, 25), picture=Picture(options=LONG_GOP), images=textured(100)
    )
    content = bytearray(clip.read_bytes())
    entry = content.find(b"elst")
    assert entry > 0
    media_time = slice(entry + 16, entry + 20)
    ticks = int.from_bytes(content[media_time], "big")
    with av.open(str(clip)) as container:
        later = ticks + int(Fraction(3, 10) / container.streams.video[0].time_base)  # type: ignore[operator]
    content[media_time] = later.to_bytes(4, "big")
    clip.write_bytes(content)
    assert any(packet.is_discard for packet in stored_packets(clip))
    assert plan_of(clip) is not None
    assert_planned_is_full(clip)


@pytest.mark.parametrize(
    ("name", "picture", "time_base"),
    [
        ("a.mp4", Picture("libx265", {"x265-params": X265 + "temporal-layers=3:bframes=3"}), Fraction(1, 25)),
        ("a.mkv", Picture("ffv1", {}), Fraction(1, 25)),
        ("a.h264", Picture(options=LONG_GOP), Fraction(1, 25)),  # no timestamps
        ("a.mkv", Picture("libx264", LONG_GOP), Fraction(1, 2_000)),  # two frames in one millisecond
    ],
    ids=["temporal layers", "unknown codec", "no timestamps", "equal timestamps"],
)
def test_without_a_safe_plan_everything_is_decoded(tmp_path: Path, name: str, picture: Picture, time_base: Fraction):
    times_s = regular_times(60, Fraction(2_000 if time_base == Fraction(1, 2_000) else 25))
    rate_hz = 1 / time_base
    clip = tmp_path / name
    write_clip(clip, times_s, picture=picture, rate_hz=rate_hz, time_base=time_base, images=textured(60))
    assert plan_of(clip) is None
    assert assert_planned_is_full(clip).frames_skipped == 0


@pytest.mark.parametrize(
    "name",
    [
        "big_buck_bunny_30s.webm",
        "big_buck_bunny_5s_51ch.mp4",
        "his_girl_friday_6s.mp4",
        "mdn_chroma_face_24s.mp4",
        "nasa_13013_17s.mp4",
        "sintel_trailer_52s.mp4",
        "tears_of_steel_17s_noaudio.webm",
    ],
)
def test_real_films(shared_data: Path, name: str):
    clip = shared_data / "clips" / name
    assert plan_of(clip) is not None
    assert_planned_is_full(clip)


GOP_OF_3_S = Picture(options={"preset": "veryfast", "g": "30", "bf": "2", "b-adapt": "0", "crf": "20"})


@pytest.mark.parametrize("mode", [DecodeMode("keyframes"), DecodeMode("approximate", Fraction(1, 2))])
def test_the_other_modes_keep_their_word(tmp_path: Path, mode: DecodeMode):
    times_s = regular_times(105, 10, start_s=Fraction(1, 2))
    clip = write_clip(tmp_path / "a.mp4", times_s, picture=GOP_OF_3_S, rate_hz=10, images=textured(105))
    probe = probe_film(clip)
    whole, counts = pictures(clip, probe, True, mode=mode)
    exact, exact_counts = pictures(clip, probe, True)
    assert counts.frames_decoded < exact_counts.frames_decoded
    ages_us = [one[1] - other[1] for one, other in zip(exact, whole, strict=True)]
    if mode.name == "keyframes":
        assert ages_us == [1_000_000 * (t % 3) for t in range(11)]
    else:
        assert 0 <= min(ages_us) <= max(ages_us) <= 500_000
        assert any(ages_us)
    for begin, end in [(0, 4), (4, 7), (7, 11)]:
        part, _ = pictures(clip, probe, True, range(begin, end), mode)
        assert part == whole[begin:end]
    # How the frames are decoded doesn't change which they are.
    assert pictures(clip, probe, False, mode=mode)[0] == whole


def test_numbers_are_those_of_the_frames_on_the_screen(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mp4", regular_times(100, 24), rate_hz=24, picture=Picture(options=LONG_GOP))
    probe = probe_film(clip)
    assert plan_of(clip) is not None
    assert [read_number(frame.image) for frame in sample_frames(clip, probe)] == [0, 24, 48, 72, 96]


def test_a_reader_that_stops_early_closes_the_film(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mp4", regular_times(100, 24), rate_hz=24, picture=Picture(options=LONG_GOP))
    quality = DecodeQuality()
    frames = sample_frames(clip, probe_film(clip), quality=quality)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to see which files are open")
    assert not [link for link in folder.iterdir() if link.is_symlink() and link.resolve() == clip.resolve()]
    assert 0 < quality.frames_decoded < 100


def test_making_av1_clips_leaves_no_real_time_process_behind(tmp_path):
    write_clip(tmp_path / "a.mp4", regular_times(20, 10), picture=Picture("libsvtav1", SVT_AV1 | {"g": "10"}))
    assert {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")} == {os.SCHED_OTHER}
