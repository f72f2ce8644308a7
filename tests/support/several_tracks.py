"""Maker of small films with several sound tracks and video streams; second s of a sound is a tone of 400 + 100 s Hz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from beam_pipelines.media.audio.audio_windows import AUDIO_RATE_HZ, audio_windows
from beam_pipelines.media.probe import FilmProbe, probe_film
from tests.support.synthetic_clips import HEIGHT_PX, WIDTH_PX, numbered_picture

NO_FLAGS = Disposition(0)
OTHER_HZ = 3000
"""The tone of a track that isn't the film's sound."""


@dataclass(frozen=True, eq=False)
class Track:
    """A sound track: `samples` float32 [channels, n], from `begin_s` on."""

    samples: np.ndarray
    layout: str = "mono"
    codec: str = "pcm_s16le"
    rate_hz: int = 8_000
    begin_s: int = 0
    language: str = ""
    title: str = ""
    flags: Disposition = NO_FLAGS


@dataclass(frozen=True)
class Pictures:
    """A video stream: numbered pictures at the given times; numbers count from `first`."""

    times_s: Sequence[Fraction]
    codec: str = "mpeg4"
    first: int = 0
    flags: Disposition = NO_FLAGS
    padding_bytes: int = 0
    """Bytes of filler at the end of each packet of H.264."""


def rising(seconds: int, begin_s: int = 0, rate_hz: int = 8_000, level: float = 0.5) -> np.ndarray:
    """float32 [1, n]: the film's sound from second `begin_s` to `seconds`."""
    times_s = np.arange(begin_s * rate_hz, seconds * rate_hz) / rate_hz
    tones_hz = 400 + 100 * np.floor(times_s)
    return (level * np.sin(2 * np.pi * tones_hz * (times_s % 1))).astype(np.float32)[None]


def other(seconds: int, rate_hz: int = 8_000) -> np.ndarray:
    """float32 [1, n]: a sound that isn't the film's."""
    return (0.5 * np.sin(2 * np.pi * OTHER_HZ * np.arange(seconds * rate_hz) / rate_hz)).astype(np.float32)[None]


def silence(seconds: int, rate_hz: int = 8_000) -> np.ndarray:
    """float32 [1, n]: zeros."""
    return np.zeros((1, seconds * rate_hz), np.float32)


def write_tracks(
    path: Path, pictures: Sequence[Pictures] | int, tracks: Sequence[Track] = (), muxer: dict[str, str] | None = None
) -> Path:
    """Writes a film; `pictures` may be its length in seconds, at 5 pictures a second; `muxer` has FFmpeg's options."""
    if isinstance(pictures, int):
        pictures = [Pictures([Fraction(number, 5) for number in range(5 * pictures)])]
    with av.open(str(path), "w", options=muxer or {}) as container:
        videos = [_add_video(container, each) for each in pictures]
        sounds = [_add_sound(container, each) for each in tracks]
        packets = [packet for video, each in zip(videos, pictures, strict=True) for packet in _encoded(video, each)]
        for sound, track in zip(sounds, tracks, strict=True):
            packets += _encoded_sound(sound, track)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def tones_of(path: Path, probe: FilmProbe | None = None) -> list[int | None]:
    """The tone of each second in Hz, to the nearest 10; None where the sound is absent."""
    found: list[int | None] = []
    for window in audio_windows(path, probe or probe_film(path)):
        spectrum = np.abs(np.fft.rfft(window.samples * np.hanning(len(window.samples))))
        tone_hz = float(np.argmax(spectrum)) * AUDIO_RATE_HZ / len(window.samples)
        found.append(round(tone_hz / 10) * 10 if window.present else None)
    return found


def _add_video(container: Any, pictures: Pictures) -> Any:
    video = container.add_stream(pictures.codec, rate=25)
    video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
    if pictures.codec == "mjpeg":
        video.pix_fmt = "yuvj420p"
    if pictures.codec == "libx264":
        video.options = {"preset": "ultrafast", "g": "10", "bf": "0"}
    video.codec_context.thread_count = 1
    video.disposition = pictures.flags
    return video


def _add_sound(container: Any, track: Track) -> Any:
    sound = container.add_stream(track.codec, rate=track.rate_hz, layout=track.layout)
    sound.disposition = track.flags
    if track.language:
        sound.metadata["language"] = track.language
    if track.title:
        sound.metadata["title"] = track.title
    return sound


def _encoded(video: Any, pictures: Pictures) -> list[Any]:
    packets = []
    for number, time_s in enumerate(pictures.times_s, start=pictures.first):
        frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
        frame.pts, frame.time_base = round(25 * time_s), Fraction(1, 25)
        packets += video.encode(frame)
    packets += video.encode(None)
    if not pictures.padding_bytes:
        return packets
    # Start code, and a NAL unit of type 12: filler data.
    filler = b"\0\0\0\1\x0c" + b"\xff" * pictures.padding_bytes + b"\x80"
    return [_with_content(packet, bytes(packet) + filler) for packet in packets]


def _with_content(packet: Any, content: bytes) -> Any:
    made = av.Packet(content)
    made.stream, made.pts, made.dts, made.time_base = packet.stream, packet.pts, packet.dts, packet.time_base
    made.is_keyframe, made.duration = packet.is_keyframe, packet.duration
    return made


def _encoded_sound(sound: Any, track: Track) -> list[Any]:
    packets = []
    for begin in range(0, track.samples.shape[1], 1024):
        part = np.ascontiguousarray(track.samples[:, begin : begin + 1024].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, "flt", track.layout)
        frame.sample_rate = track.rate_hz
        frame.pts, frame.time_base = track.begin_s * track.rate_hz + begin, Fraction(1, track.rate_hz)
        packets += sound.encode(frame)
    return packets + sound.encode(None)
