"""One picture a second: the frame on screen at each whole second of a film, by presentation timestamps.

frames      |a   |b   |c      |d  |e          |f
seconds     0         1           2           3
pictures    a         c           e           f          the last frame whose timestamp is <= first + t
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation

from beam_pipelines.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality, decoded_frames, opened_film, prepare_decoder
from beam_pipelines.media.probe import FilmProbe, MediaLimits

STEP = "decode"
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Chroma at full resolution on the way to RGB, and a frame of another size than the film's scaled to it.
_TO_RGB = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | _EXACT


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """The picture of one second.

    Attributes:
        t: the second, counted from the film's first timestamp.
        image: uint8 [height, width, 3], RGB, rotation applied; read-only, for seconds may share one.
        timestamp_us: the frame's own presentation timestamp in microseconds, on the container's clock.
        fresh: whether the frame is another one than that of second t - 1; a still or lost picture is not.
    """

    t: int
    image: np.ndarray
    timestamp_us: int
    fresh: bool


def sample_frames(
    path: str | Path,
    probe: FilmProbe,
    *,
    start: int = 0,
    stop: int | None = None,
    quality: DecodeQuality | None = None,
    limits: MediaLimits = MediaLimits(),  # noqa: B008 - frozen
) -> Iterator[SampledFrame]:
    """Decodes a film once, from its beginning, and gives exactly one picture for every second in [start, stop).

    The picture of second t is the last frame whose timestamp is not later than first timestamp + t. So the last frame
    stays on the screen where the picture ends early or can't be decoded for a while; before the first decodable frame
    that frame stands in. A frame that the decoder marks as damaged is used only as long as there was no intact one. A
    frame without a timestamp begins where the one before it ends; since decoders give frames in presentation order, a
    timestamp that runs backwards counts as that of the frame before it.

    Colours are converted as the frame's colour space and range say (unspecified: BT.601 limited, FFmpeg's default).

    Args:
        path: the film; may be another copy of the probed file.
        probe: what `probe_film` found.
        start: first second.
        stop: end of the seconds, exclusive; without one the film's T.
        quality: counters that are counted up while the iterator runs.
        limits: the decoder refuses larger pictures.

    Raises:
        FilmError: step `decode`, reason `no_frames` where no frame can be decoded, or `unreadable`.
        ValueError: where [start, stop) is not within the film.
    """
    stop = probe.seconds if stop is None else stop
    if not 0 <= start <= stop <= probe.seconds:
        raise ValueError(f"{path}: seconds [{start}, {stop}) are not within the film's [0, {probe.seconds})")
    counted = DecodeQuality() if quality is None else quality
    return _sampled_frames(path, probe, range(start, stop), counted, limits)


def _sampled_frames(
    path: str | Path, probe: FilmProbe, seconds: range, quality: DecodeQuality, limits: MediaLimits
) -> Iterator[SampledFrame]:
    if not seconds:
        return
    with opened_film(path, STEP) as container:
        screen = _Screen(probe)
        # The second before the first one is looked at too: it says whether the first picture is a fresh one.
        waiting = deque(range(max(seconds.start - 1, 0), seconds.stop))
        for time_s, frame in _timed_frames(container, probe, quality, limits):
            while screen.has_frame and waiting and time_s > probe.first_pts_s + waiting[0]:
                yield from screen.show(waiting.popleft(), seconds)
            if not waiting:
                return
            screen.put(time_s, frame)
        if not screen.has_frame:
            detail = f"no frame of video stream {probe.video_index} ({probe.codec}) can be decoded"
            raise FilmError(STEP, "no_frames", f"{path}: {detail}")
        for t in waiting:
            yield from screen.show(t, seconds)


def _timed_frames(
    container: InputContainer, probe: FilmProbe, quality: DecodeQuality, limits: MediaLimits
) -> Iterator[tuple[Fraction, Any]]:
    """The frames to be shown, each with its time in seconds on the container's clock; the times never run backwards."""
    if probe.video_index >= len(container.streams):
        raise FilmError(STEP, "unreadable", f"{probe.path}: has no stream {probe.video_index} any more")
    stream: Any = container.streams[probe.video_index]
    prepare_decoder(stream, limits.decoder_max_pixels)
    step_s = 1 / probe.average_rate_hz if probe.average_rate_hz else Fraction(0)
    time_s, end_s = probe.first_pts_s, probe.first_pts_s
    seen_intact = False
    for frame in decoded_frames(container, stream, quality):
        stamp_s = end_s if frame.pts is None else frame.pts * stream.time_base
        time_s = max(time_s, stamp_s)
        end_s = time_s + (frame.duration * stream.time_base if frame.duration else step_s)
        if frame.is_corrupt and seen_intact:
            continue
        seen_intact = not frame.is_corrupt
        yield time_s, frame


class _Screen:
    """The frame that is on the screen; converts it to an image once, however many seconds it stands."""

    def __init__(self, probe: FilmProbe):
        self._probe = probe
        self._frame: Any = None
        self._time_s = Fraction(0)
        self._fresh = True
        self._image: np.ndarray | None = None

    @property
    def has_frame(self) -> bool:
        return self._frame is not None

    def put(self, time_s: Fraction, frame: Any) -> None:
        self._frame, self._time_s, self._fresh, self._image = frame, time_s, True, None

    def show(self, t: int, wanted: range) -> Iterator[SampledFrame]:
        """The picture of second t, if that second is wanted; seen it is, wanted or not."""
        fresh, self._fresh = self._fresh, False
        if t not in wanted:
            return
        if self._image is None:
            self._image = _rgb_image(self._frame, self._probe)
            self._image.setflags(write=False)
        yield SampledFrame(t, self._image, round(self._time_s * 1_000_000), fresh)


def _rgb_image(frame: Any, probe: FilmProbe) -> np.ndarray:
    orientation = probe.orientation
    sides_px = (probe.width_px, probe.height_px)
    width_px, height_px = reversed(sides_px) if orientation.swaps_sides else sides_px
    converted = frame.reformat(width=width_px, height=height_px, format="rgb24", interpolation=_TO_RGB, threads=1)
    return orientation.apply(converted.to_ndarray())
