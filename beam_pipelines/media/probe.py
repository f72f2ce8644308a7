"""A film's streams and its length: the numbers from which all later steps derive the one-second clock."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer

from beam_pipelines.contracts.records.file_clock import FileClock
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.audio.sound_choice import SoundChoice, SoundTrack, choose_sound
from beam_pipelines.media.audio.sound_tracks import sound_tracks
from beam_pipelines.media.clock.clock_jumps import StepWatch, find_jumps
from beam_pipelines.media.clock.file_clock import file_start_s, start_timecode
from beam_pipelines.media.clock.joined_clock import ClockJump
from beam_pipelines.media.clock.packet_span import PacketSpan
from beam_pipelines.media.decode import DecodeQuality, format_of, opened_film, packets, prepare_decoder
from beam_pipelines.media.truncation import missing_s
from beam_pipelines.media.unread_rest import unread_mb
from beam_pipelines.media.video.colours import hdr_of
from beam_pipelines.media.video.key_frames import look_through
from beam_pipelines.media.video.orientation import Orientation, orientation_of
from beam_pipelines.media.video.picture_choice import choose_picture
from beam_pipelines.media.video.picture_shape import PictureShape, pixel_aspect_of

STEP = "probe"
# Codecs store whole blocks: a picture may be larger in the decoder than its header says, by less than this.
_BLOCK_PADDING_PX = 128
_BESIDE_A_JUMP = 3


@dataclass(frozen=True)
class MediaLimits:
    """Bounds beyond which a film is refused, so that a hostile header can't exhaust the machine.

    The defaults admit DCI 8K and six hours. Sides and pixels are those of the header; later the decoder refuses larger
    frames too. `sound_search_mb` refuses nothing: it says how much of a transport or program stream is read, and held
    in memory, to find its sound.
    """

    max_duration_s: int = 6 * 3600
    max_width_px: int = 8192
    max_height_px: int = 8192
    max_pixels: int = 8192 * 4320
    max_audio_rate_hz: int = 768_000
    max_audio_channels: int = 64
    sound_search_mb: int = 256

    @property
    def decoder_max_pixels(self) -> int:
        """The bound for the decoder, which counts whole blocks."""
        return self.max_pixels + _BLOCK_PADDING_PX * (self.max_width_px + self.max_height_px)


@dataclass(frozen=True)
class FilmProbe:
    """The streams chosen from a film and its clock.

    Attributes:
        path: the file that was probed.
        video_index: index of the chosen video stream in the file.
        codec: FFmpeg's name of its codec.
        width_px: width as shown, rotation applied; in pixels as stored, which may not be square.
        height_px: height as shown, likewise.
        rotation_deg: clockwise turn from stored to shown: 0, 90, 180 or 270.
        first_pts_s: first presentation timestamp of the chosen stream, on the container's clock. Time 0 of the film.
        duration_s: D = max(timestamp + frame duration) - first timestamp, exact in the container's ticks.
        seconds: T = ceil(D); at least 1.
        average_rate_hz: the header's average frame rate, if it has one.
        sound: the chosen sound tracks.
        shape: pixels that aren't square, fields, black bars.
        mirrored: left and right are exchanged after the turn (front cameras).
        container: FFmpeg's first name of the container's format, for example `mov` for MP4 or `matroska` for WebM.
        packets: packets of the chosen video stream.
        packets_damaged: packets that the demuxer marks as damaged, for example the last one of a cut-off file.
        read_errors: failures of the demuxer to read the next packet of that stream.
        missing_s: how much earlier the pictures end than the container says; 0 if they don't, or it says nothing.
        unread_mb: MB of further films in the same file, which aren't read.
        hdr: `PQ` or `HLG`, or empty for an SDR film.
        pixel_format: FFmpeg's name of the first frame's pixel format.
        file_start_s: the timestamp that players show as time 0, on the container's clock.
        start_timecode: timecode at the file's start, from a timecode track or tag; may be empty.
        jumps: jumps of the container's clock, in order. They are closed: all times here are on the joined clock.

    From `packets` to `unread_mb`, and `jumps`, these are properties of the file, read to its end.
    """

    path: str
    video_index: int
    codec: str
    width_px: int
    height_px: int
    rotation_deg: int
    first_pts_s: Fraction
    duration_s: Fraction
    seconds: int
    average_rate_hz: Fraction | None
    sound: SoundChoice
    shape: PictureShape
    mirrored: bool = False
    container: str = ""
    packets: int = 0
    packets_damaged: int = 0
    read_errors: int = 0
    missing_s: float = 0.0
    unread_mb: float = 0.0
    hdr: str = ""
    pixel_format: str = ""
    file_start_s: Fraction = Fraction(0)
    start_timecode: str = ""
    jumps: tuple[ClockJump, ...] = ()

    @property
    def file_clock(self) -> FileClock:
        """How players count, as a record holds it."""
        jumps = ((jump.time_s - self.first_pts_s, jump.step_s) for jump in self.jumps)
        in_us = tuple((round(time_s * 1_000_000), round(step_s * 1_000_000)) for time_s, step_s in jumps)
        return FileClock(round(self.file_start_s * 1_000_000), self.start_timecode, in_us)

    @property
    def start_us(self) -> int:
        """The timestamp of second 0 on the container's clock, in microseconds."""
        return round(self.first_pts_s * 1_000_000)

    @property
    def audio_index(self) -> int | None:
        """Index of the (first) chosen audio stream in the file; None without sound that can be decoded."""
        return self.sound.tracks[0].index if self.sound.tracks else None

    @property
    def audio_codec(self) -> str:
        """FFmpeg's name of the sound's decoder; empty without sound."""
        return self.sound.tracks[0].codec if self.sound.tracks else ""

    @property
    def audio_rate_hz(self) -> int:
        """The header's sampling rate; 0 without sound, or if the header doesn't say."""
        return self.sound.tracks[0].rate_hz if self.sound.tracks else 0

    @property
    def audio_channels(self) -> int:
        """The header's number of channels, of all chosen tracks together; 0 without sound."""
        return sum(track.channels for track in self.sound.tracks)

    @property
    def orientation(self) -> Orientation:
        """The turn and mirroring from stored to shown pictures."""
        return Orientation(self.rotation_deg, self.mirrored)


def probe_film(
    path: str | Path, limits: MediaLimits = MediaLimits(), sound_track: int | str | None = None
) -> FilmProbe:
    """Reads the headers, all packets' timestamps and the first frame of a film.

    `choose_picture` and `choose_sound` choose its streams; `sound_track` is what the latter is asked for. The
    timestamps are those of the picture's packets that are shown (an edit list hides some). A packet without a
    presentation timestamp takes its decoding timestamp, or else the previous packet's end. If the last packet has no
    duration, it lasts 1 / average rate, or else as long as the frame before it, or else 1/25 s.

    Raises:
        FilmError: step `probe`, reason `empty_file`, `unreadable`, `no_video_stream`, `no_frames` (no packet, or none
            that can be decoded), `too_large` or `too_long` (beyond `limits`).
    """
    name = os.fspath(path)
    with opened_film(name, STEP) as container:
        video = choose_picture(name, container, STEP)
        tracks, search_mb = sound_tracks(name, container, video, limits.sound_search_mb)
        sound = replace(choose_sound(tracks, sound_track), search_mb=search_mb)
        _check_sizes(video, sound.tracks, limits, name)
        prepare_decoder(video, limits.decoder_max_pixels)
        span = PacketSpan(video.time_base, video.average_rate, limits.max_duration_s, name)
        quality, watch = DecodeQuality(), StepWatch(container, video)
        first_frame, interlaced = _first_frame(container, video, span, quality, watch)
        jumps = find_jumps(name, video.index, sound.search_mb) if watch.steps else ()
        if jumps:
            span = _joined_span(span, name, video, jumps)
        orientation = orientation_of(first_frame)
        shape = _shape(video, first_frame, orientation, interlaced)
        first_pts_s, duration_s = span.result()
        kind = format_of(container)
        return FilmProbe(
            path=name,
            video_index=video.index,
            codec=video.codec_context.name,
            width_px=shape.width_px,
            height_px=shape.height_px,
            rotation_deg=orientation.rotation_deg,
            mirrored=orientation.mirrored,
            container=kind,
            first_pts_s=first_pts_s,
            duration_s=duration_s,
            seconds=max(1, math.ceil(duration_s)),
            average_rate_hz=video.average_rate or None,
            sound=sound,
            packets=span.packets,
            packets_damaged=span.packets_damaged,
            read_errors=quality.read_errors,
            missing_s=missing_s(name, container, video, first_pts_s, duration_s),
            unread_mb=unread_mb(name, kind),
            file_start_s=file_start_s(container, first_pts_s),
            start_timecode=start_timecode(container, video),
            jumps=jumps,
            shape=shape,
            hdr=hdr_of(first_frame),
            pixel_format=first_frame.format.name,
        )


def _check_sizes(video: Any, sound: Sequence[SoundTrack], limits: MediaLimits, name: str) -> None:
    width_px, height_px = video.codec_context.width, video.codec_context.height
    if width_px > limits.max_width_px or height_px > limits.max_height_px or width_px * height_px > limits.max_pixels:
        raise FilmError(STEP, "too_large", f"{name}: a picture of {width_px} x {height_px} pixels is beyond the limits")
    for track in sound:
        if track.rate_hz > limits.max_audio_rate_hz or track.channels > limits.max_audio_channels:
            about = f"sound of {track.channels} channels at {track.rate_hz} Hz"
            raise FilmError(STEP, "too_large", f"{name}: {about} is beyond the limits")


def _shape(video: Any, frame: Any, orientation: Orientation, interlaced: bool) -> PictureShape:
    """The shape of the pictures as shown, by the first frame; it knows no black bars."""
    turned, sides_px = orientation.swaps_sides, (frame.width, frame.height)
    width_px, height_px = reversed(sides_px) if turned else sides_px
    return PictureShape(width_px, height_px, pixel_aspect_of(video, turned), interlaced, fields_in_columns=turned)


def _joined_span(span: PacketSpan, name: str, video: Any, jumps: tuple[ClockJump, ...]) -> PacketSpan:
    """The span of the same packets on the joined clock."""
    joined = span.empty()
    # FFmpeg marks the last packets before a jump as damaged, since the count of transport packets starts anew there.
    firsts = [jump.first_packets[video.index] for jump in jumps]
    beside = {number for first in firsts for number in range(first - _BESIDE_A_JUMP, first + 1)}
    with opened_film(name, STEP) as again:
        for number, packet in enumerate(packets(again, again.streams[video.index], DecodeQuality(), jumps)):
            joined.add(packet)
            joined.packets_damaged -= packet.is_corrupt and number in beside
    return joined


def _first_frame(
    container: InputContainer, video: Any, span: PacketSpan, quality: DecodeQuality, watch: StepWatch
) -> tuple[Any, bool]:
    """The first frame, and whether the film is interlaced; reads all packets to the end and adds each to `span`."""

    def seen() -> Iterator[Any]:
        for packet in packets(container, video, quality):
            span.add(packet)
            watch.see(packet)
            yield packet

    frame, interlaced = look_through(video, seen(), quality)
    if frame is None or span.is_empty:
        raise FilmError(STEP, "no_frames", f"{span.name}: no frame of video stream {video.index} can be decoded")
    return frame, interlaced
