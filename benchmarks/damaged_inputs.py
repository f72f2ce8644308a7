"""Hundreds of broken films for `benchmarks.abuse`: small films of many formats, damaged in ways that can be repeated.

An input depends only on its name and the seed. Every machine encodes the sources itself, so another version of an
encoder gives other bytes, but the same kinds of damage.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.support.synthetic_clips import B_FRAMES, Picture, Sound, regular_times, write_clip

FRAMES, RATE_HZ = 50, 25
AAC, OPUS, MP2, PCM = "aac", "libopus", "mp2", "pcm_s16le"
FAST_VP9 = {"deadline": "realtime", "cpu-used": "8"}


@dataclass(frozen=True)
class Source:
    """A small film: 2 s of 128 x 64 pixels, with sound unless `sound` is empty."""

    name: str
    picture: Picture
    sound: str = AAC
    options: tuple[tuple[str, str], ...] = ()
    time_base: Fraction = Fraction(1, 90_000)


FIELD_NAMES = (
    *(b"stts", b"stsz", b"stco", b"stsc", b"ctts", b"mdhd", b"tkhd", b"mvhd", b"elst", b"avc1", b"hvc1", b"avcC"),
    *(b"mp4a", b"trun", b"tfhd", b"mehd", b"avih", b"strh", b"strf", b"idx1", b"onMetaData", b"\0\0\1\xb3"),
    # Matroska: width, height, nanoseconds a tick, duration, nanoseconds a frame, sampling rate, cluster, segment info.
    *(b"\xb0\x81", b"\xba\x81", b"\x2a\xd7\xb1", b"\x44\x89", b"\x23\xe3\x83", b"\xb5\x88"),
    *(b"\x1f\x43\xb6\x75", b"\x15\x49\xa9\x66"),
)
FRAME_TICKS = Fraction(1, RATE_HZ)
SOURCES = (
    Source("h264.mp4", B_FRAMES),
    Source("h264_faststart.mp4", B_FRAMES, options=(("movflags", "faststart"),)),
    Source("h264_fragmented.mp4", B_FRAMES, options=(("movflags", "frag_keyframe+empty_moov"),)),
    Source("h264.mkv", B_FRAMES),
    Source("h264.ts", B_FRAMES),
    Source("h264.flv", B_FRAMES),
    Source("h264_silent.mov", B_FRAMES, sound=""),
    Source("hevc.mp4", Picture("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"})),
    Source("mpeg4.avi", Picture("mpeg4", {"bf": "2"}), PCM, time_base=FRAME_TICKS),
    Source("ffv1.avi", Picture("ffv1"), PCM, time_base=FRAME_TICKS),
    Source("mpeg2.mpg", Picture("mpeg2video", {"bf": "2"}), MP2, time_base=FRAME_TICKS),
    Source("vp9.webm", Picture("libvpx-vp9", FAST_VP9), OPUS),
    Source("vp8.webm", Picture("libvpx", FAST_VP9), OPUS),
    Source("mjpeg.mov", Picture("mjpeg", {"strict": "unofficial"}), PCM, time_base=FRAME_TICKS),
)


def write_sources(folder: Path, sources: Sequence[Source] = SOURCES) -> dict[str, bytes]:
    """Encodes the sources; name -> content, in their order."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 96_000)).astype(np.float32)
    contents = {}
    for source in sources:
        sound = Sound([(Fraction(0), samples)], codec=source.sound) if source.sound else None
        path = write_clip(
            folder / source.name,
            regular_times(FRAMES, RATE_HZ),
            picture=source.picture,
            sound=sound,
            time_base=source.time_base,
            muxer_options=dict(source.options),
        )
        contents[source.name] = path.read_bytes()
    return contents


def flipped(content: bytes, rng: random.Random, low: int, high: int) -> bytes:
    """1, 10 or 100 bytes replaced somewhere in [low, high)."""
    out = bytearray(content)
    for _ in range(rng.choice([1, 10, 100])):
        out[rng.randrange(low, high)] = rng.randrange(256)
    return bytes(out)


def anywhere(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped anywhere."""
    return flipped(content, rng, 0, len(content))


def in_the_header(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped at the beginning, where most formats describe themselves."""
    return flipped(content, rng, 0, min(1_000, len(content)))


def in_the_tail(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped at the end, where MP4 and AVI have their index."""
    return flipped(content, rng, max(0, len(content) - 3_000), len(content))


def cut(content: bytes, rng: random.Random) -> bytes:
    """Ends early."""
    return content[: rng.randrange(1, len(content))]


def beheaded(content: bytes, rng: random.Random) -> bytes:
    """Begins late."""
    return content[rng.randrange(1, len(content)) :]


def spliced(content: bytes, rng: random.Random) -> bytes:
    """A beginning with an end that doesn't fit: a piece is missing or comes twice."""
    return content[: rng.randrange(len(content))] + content[rng.randrange(len(content)) :]


def blanked(content: bytes, rng: random.Random) -> bytes:
    """A piece of it is zeros, or ones, as after a lost block of a disk."""
    begin, length = rng.randrange(len(content)), rng.choice([16, 512, 4096])
    piece = rng.choice([b"\0", b"\xff"]) * len(content[begin : begin + length])
    return content[:begin] + piece + content[begin + length :]


def extreme_fields(content: bytes, rng: random.Random) -> bytes:
    """Fields of the header or index hold the largest, smallest or most negative numbers."""
    out, end = bytearray(content), len(content) - 8
    places = [*range(min(1_500, end)), *range(max(0, end - 2_500), end)]
    for _ in range(rng.choice([1, 3])):
        place = rng.choice(places)
        width = rng.choice([2, 4, 8])
        value = rng.choice([0, 1, (1 << 8 * width) - 1, (1 << 8 * width - 1) - 1, 1 << 8 * width - 1])
        out[place : place + width] = value.to_bytes(width, rng.choice(["big", "little"]))
    return bytes(out)


def named_fields(content: bytes, rng: random.Random) -> bytes:
    """A number right behind the name of an MP4 box, an AVI chunk or a Matroska element is another one."""
    found = [content.index(name) + len(name) for name in FIELD_NAMES if name in content]
    out, place = bytearray(content), rng.choice(found or [0]) + rng.randrange(40)
    out[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"])
    return bytes(out)


def repeated(content: bytes, rng: random.Random) -> bytes:
    """A piece comes many times over."""
    begin = rng.randrange(len(content))
    end = min(len(content), begin + rng.choice([200, 2_000]))
    return content[:end] + content[begin:end] * 20 + content[end:]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    anywhere,
    in_the_header,
    in_the_tail,
    cut,
    beheaded,
    spliced,
    blanked,
    extreme_fields,
    named_fields,
    repeated,
)


def write_inputs(folder: Path, sources: Mapping[str, bytes], seed: int, per_kind: int) -> Iterator[tuple[str, Path]]:
    """Kind and path of each input; a path is only good until the next is asked for."""
    for name, content in sources.items():
        for damage in DAMAGES:
            for number in range(per_kind):
                rng = random.Random(f"{seed} {name} {damage.__name__} {number}")
                path = folder / f"{damage.__name__}_{number}_{name}"
                path.write_bytes(damage(content, rng))
                yield damage.__name__, path
                path.unlink()
    yield from _mixtures(folder, sources, seed)
    yield from _huge_pictures(folder, sources)
    yield from _not_films(folder, sources, seed)
    yield from _odd_files(folder, sources)


def _mixtures(folder: Path, sources: Mapping[str, bytes], seed: int) -> Iterator[tuple[str, Path]]:
    names = list(sources)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        rng = random.Random(f"{seed} {name} {other}")
        path = folder / f"mixed_{name}"
        path.write_bytes(cut(sources[name], rng) + beheaded(sources[other], rng))
        yield "spliced with another format", path
        wrong = folder / f"wrong_suffix_{name}{Path(other).suffix}"
        wrong.write_bytes(sources[name])
        yield "wrong suffix", wrong


def _huge_pictures(folder: Path, sources: Mapping[str, bytes]) -> Iterator[tuple[str, Path]]:
    """Width and height replaced where the formats have them, up to 65,535 or 2,147,483,647 pixels."""
    for side_px in (8_192, 20_000, 65_535):
        short = struct.pack(">H", side_px)
        box = struct.pack(">HH", 128, 64)
        yield _written(folder, f"huge_{side_px}.mp4", _patched(sources["h264.mp4"], box, short + short))
        fixed = struct.pack(">II", 128 << 16, 64 << 16)
        yield _written(folder, f"huge_track_{side_px}.mp4", _patched(sources["h264.mp4"], fixed, (short + b"\0\0") * 2))
        element = _patched(sources["h264.mkv"], b"\xb0\x81\x80", b"\xb0\x82" + short)
        yield _written(folder, f"huge_{side_px}.mkv", element)
        for name in ("mpeg4.avi", "ffv1.avi"):
            header = _patched(sources[name], struct.pack("<ii", 128, 64), struct.pack("<ii", side_px, side_px))
            yield _written(folder, f"huge_{side_px}_{name}", header)
        frames = _patched(sources["mjpeg.mov"], b"\x08" + struct.pack(">HH", 64, 128), b"\x08" + short + short)
        yield _written(folder, f"huge_{side_px}.mov", frames)
        vp8 = _patched(
            sources["vp8.webm"], b"\x9d\x01\x2a" + struct.pack("<HH", 128, 64), b"\x9d\x01\x2a\xff\x3f\xff\x3f"
        )
        yield _written(folder, f"huge_{side_px}.webm", vp8)
    for number, sides_px in enumerate([(2**31 - 1, 2**31 - 1), (-1, -1), (0, 0), (2**31 - 1, 1)]):
        header = _patched(sources["ffv1.avi"], struct.pack("<ii", 128, 64), struct.pack("<ii", *sides_px))
        yield _written(folder, f"impossible_{number}.avi", header)


def _patched(content: bytes, field: bytes, other: bytes) -> bytes:
    if field not in content:
        raise ValueError(f"a source has no field {field.hex()}: its format changed, adapt the damage")
    return content.replace(field, other)


def _written(folder: Path, name: str, content: bytes, kind: str = "huge dimensions") -> tuple[str, Path]:
    (folder / name).write_bytes(content)
    return kind, folder / name


def _not_films(folder: Path, sources: Mapping[str, bytes], seed: int) -> Iterator[tuple[str, Path]]:
    rng = random.Random(f"{seed} not films")
    other = folder / "target.mp4"
    other.write_bytes(sources["h264.mp4"])
    texts = {
        "text": b"This is no film.\n" * 100,
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ntarget.mp4\n#EXT-X-ENDLIST\n",
        "address": b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "concatenation": b"ffconcat version 1.0\nfile target.mp4\n",
        "description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "drawing": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "page": b"<!DOCTYPE html><title>404 Not Found</title>",
    }
    for name, content in texts.items():
        yield _written(folder, f"{name}.mp4", content, "text named as a film")
    for number, size in enumerate((1, 16, 188, 5_000, 100_000)):
        yield _written(folder, f"noise_{number}.mp4", rng.randbytes(size), "noise")
        yield _written(folder, f"zeros_{number}.mkv", bytes(size), "zeros")


def _odd_files(folder: Path, sources: Mapping[str, bytes]) -> Iterator[tuple[str, Path]]:
    for name in ("empty.mp4", "empty.mkv", "empty"):
        yield _written(folder, name, b"", "zero length")
    forbidden = folder / "forbidden.mp4"
    forbidden.write_bytes(sources["h264.mp4"])
    forbidden.chmod(0)
    yield ("unreadable (readable all the same: root)" if os.access(forbidden, os.R_OK) else "unreadable"), forbidden
    loop, dangling, directory, pipe = (folder / f"{name}.mp4" for name in ("loop", "dangling", "folder", "pipe"))
    loop.symlink_to(loop.name)
    yield "symbolic link to itself", loop
    dangling.symlink_to("nowhere.mp4")
    yield "dangling symbolic link", dangling
    directory.mkdir()
    yield "folder named as a film", directory
    os.mkfifo(pipe)
    yield "named pipe", pipe
    for device in ("/dev/zero", "/dev/null"):
        link = folder / f"{Path(device).name}.mp4"
        link.symlink_to(device)
        yield "device", link
    yield "absent", folder / "absent.mp4"
