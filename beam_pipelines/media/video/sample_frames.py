"""One picture per second: the frame on screen at each whole second of a film, by presentation timestamps.

frames      |a   |b   |c      |d  |e          |f
seconds     0         1           2           3
pictures    a         c           e           f          the last frame whose timestamp is <= first + t
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality, counts_within, decoded_frames, packets
from beam_pipelines.media.decode_device import is_from_gpu, opened_video, planar
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.video.colours import ToRgb
from beam_pipelines.media.video.decode_mode import EXACT, DecodeMode
from beam_pipelines.media.video.decode_plan import DecodePlan, plan_of
from beam_pipelines.media.video.key_frames import key_gap_s
from beam_pipelines.media.video.planned_frames import PlanFailed, entered, planned_frames
from beam_pipelines.media.video.resize import FramePair, ToSmallGrey

STEP = "decode"
PAIR_WITHIN_S = Fraction(1)
"""A frame that stays for longer stands still: it makes no pair with the next one."""


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """The picture of one second.

    Attributes:
        t: the second, counted from the film's first timestamp.
        image: uint8 [height, width, 3], RGB, rotation applied, pixels as stored; read-only, since several seconds may
            share it. In memory its channels lie one after the other: that is how they are made, sent and scaled.
        timestamp_us: the frame's own presentation timestamp in microseconds, on the container's clock.
        fresh: whether the frame differs from that of second t - 1; that of a still or lost picture doesn't.
        key_gap_s: `key_frames.key_gap_s` of the second, if pairs are asked for: encoders put key frames at cuts.
        pair: the frame and the next one, if pairs are asked for; None if there is none within `PAIR_WITHIN_S`.
    """

    t: int
    image: np.ndarray
    timestamp_us: int
    fresh: bool
    pair: FramePair | None = None
    key_gap_s: float = 0.0


def sample_frames(
    path: str | Path,
    probe: FilmProbe,
    *,
    start: int = 0,
    stop: int | None = None,
    quality: DecodeQuality | None = None,
    limits: MediaLimits = MediaLimits(),  # noqa: B008 - frozen
    mode: DecodeMode = EXACT,
    planned: bool = True,
    pairs: bool = False,
    gpu: bool = False,
) -> Iterator[SampledFrame]:
    """Decodes as little of a film as possible, and yields exactly one picture for every second in [start, stop).

    The picture of second t is the last frame whose timestamp is not later than first timestamp + t. So the last frame
    stays on screen if the picture ends early or can't be decoded for a while. Before the first decodable frame, that
    frame is used. A frame that the decoder marks as damaged is used only until the first intact one. A frame without a
    timestamp begins where the frame before it ends. Decoders return frames in presentation order, so a timestamp that
    runs backwards counts as that of the frame before it.

    Only packets that can change a pixel of a wanted frame are decoded (`decode_plan`); pictures, timestamps and `fresh`
    are those of full decoding. If the stream has no safe plan, everything is decoded from the beginning. If the decoder
    meets damage, or doesn't return a wanted frame, everything is decoded from there on, and the counts are those of
    full decoding. In modes other than `exact` the same holds, with the frame that `DecodeMode` chooses instead of the
    last.

    Colours are those of an SDR screen (`colours`). If the probe has found black bars, they are cut off.

    Args:
        path: the film; may be another copy of the probed file.
        probe: what `probe_film` found.
        start: first second.
        stop: end of the seconds, exclusive; None for the film's T.
        quality: counters of what begins in these seconds; the iterator increases them.
        limits: the decoder refuses larger pictures.
        mode: which frame represents a second.
        planned: False decodes everything, for comparison.
        pairs: whether the frame after each wanted one is decoded too. It changes no picture.
        gpu: whether a GPU decodes the packets of the plan, if it can be opened (`decode_device`).

    Raises:
        FilmError: step `decode`, reason `no_frames` if no frame can be decoded, `unknown_colours`, or `unreadable`.
        ValueError: if [start, stop) is not within the film.
    """
    stop = probe.seconds if stop is None else stop
    if not 0 <= start <= stop <= probe.seconds:
        raise ValueError(f"{path}: seconds [{start}, {stop}) are not within the film's [0, {probe.seconds})")
    counted = DecodeQuality() if quality is None else quality
    return _sampled_frames(path, probe, range(start, stop), counted, limits, mode, planned, pairs, gpu)


def _sampled_frames(
    path: str | Path,
    probe: FilmProbe,
    seconds: range,
    quality: DecodeQuality,
    limits: MediaLimits,
    mode: DecodeMode,
    planned: bool,
    pairs: bool,
    gpu: bool,
) -> Iterator[SampledFrame]:
    if not seconds:
        return
    # The second before the first one is decoded too: it shows whether the first picture is fresh.
    looked_at = range(max(seconds.start - 1, 0), seconds.stop)
    plan, chosen, keys_s, done, before = None, None, None, 0, replace(quality)
    if planned or mode != EXACT:
        with opened_video(path, probe, limits, gpu) as opened:
            plan = plan_of(*opened, probe, looked_at, mode, PAIR_WITHIN_S if pairs else None)
            # In modes other than `exact` the plan's choice of frames stays, even if everything is decoded.
            chosen = None if plan is None or mode == EXACT else frozenset(plan.wanted.tolist())
            if plan is not None:
                keys_s = [float(pts * opened[1].time_base - probe.first_pts_s) for pts in plan.keys.tolist()]
            if plan is not None and planned:
                frames = _planned_frames(path, probe, opened, plan, seconds, quality, limits, gpu)
                try:
                    for picture in _on_screen(path, probe, seconds, quality, frames, chosen, keys_s, pairs):
                        yield picture
                        done += 1
                    return
                except (PlanFailed, MemoryError) as failure:
                    # A GPU may be full where the processor has memory.
                    if isinstance(failure, MemoryError) and not gpu:
                        raise
                    # The pictures given so far are right, and so is what they have clipped.
                    vars(quality).update({**vars(before), "pixels_clipped": quality.pixels_clipped})
    quality.full_decodings += 1
    rest = range(seconds.start + done, seconds.stop)
    returned = None if plan is None or mode == EXACT else frozenset(plan.returned.tolist())
    frames = _all_frames(path, probe, returned, seconds, quality, limits)
    yield from _on_screen(path, probe, rest, quality, frames, chosen, keys_s, pairs)


def _on_screen(
    path: str | Path,
    probe: FilmProbe,
    seconds: range,
    quality: DecodeQuality,
    frames: Iterator[tuple[Fraction, Any]],
    chosen: frozenset[int] | None,
    keys_s: list[float] | None,
    pairs: bool,
) -> Iterator[SampledFrame]:
    """The picture of each second, from frames with their times, which never run backwards.

    With `chosen` timestamps only these frames are shown. Without `keys_s` the times of key frames are the frames' own.
    """
    screen = _Screen(path, probe, quality, keys_s or [], pairs)
    waiting = deque(range(max(seconds.start - 1, 0), seconds.stop))
    with closing(frames):  # type: ignore[type-var]
        for time_s, frame in frames:
            screen.follow(time_s, frame)
            if keys_s is None and frame.key_frame:
                screen.keys_s.append(float(time_s - probe.first_pts_s))
            while screen.has_frame and waiting and time_s > probe.first_pts_s + waiting[0]:
                yield from screen.show(waiting.popleft(), seconds)
            if waiting and (chosen is None or frame.pts in chosen):
                screen.put(time_s, frame)
    if not screen.has_frame:
        detail = f"no frame of video stream {probe.video_index} ({probe.codec}) can be decoded"
        raise FilmError(STEP, "no_frames", f"{path}: {detail}")
    for t in waiting:
        yield from screen.show(t, seconds)


def _planned_frames(
    path: str | Path,
    probe: FilmProbe,
    opened: tuple[InputContainer, Any],
    plan: DecodePlan,
    counted: range,
    quality: DecodeQuality,
    limits: MediaLimits,
    gpu: bool,
) -> Iterator[tuple[Fraction, Any]]:
    """The wanted frames of a planned film, each with its time in seconds on the container's clock."""
    with ExitStack() as again:
        container, stream = opened
        entry = None if probe.jumps else entered(container, stream, plan)
        if entry is None:
            container, stream = again.enter_context(opened_video(path, probe, limits, gpu))
        counts = counts_within(quality, counted, probe.seconds, probe.first_pts_s, stream.time_base)
        for pts, frame in planned_frames(container, stream, plan, counts, entry or 0, probe.jumps):
            quality.frames_from_gpu += is_from_gpu(frame)
            yield pts * stream.time_base, planar(frame)


def _all_frames(
    path: str | Path,
    probe: FilmProbe,
    returned: frozenset[int] | None,
    counted: range,
    quality: DecodeQuality,
    limits: MediaLimits,
) -> Iterator[tuple[Fraction, Any]]:
    """The frames (if `returned` is given, only those timestamps), with their times, which never run backwards.

    Decoding goes on to the end of the counted seconds, so that the counts are complete, and beyond only to a first
    frame.
    """
    until_s = probe.first_pts_s + counted.stop
    is_last, given = counted.stop == probe.seconds, False
    step_s = 1 / probe.average_rate_hz if probe.average_rate_hz else Fraction(0)
    time_s, end_s = probe.first_pts_s, probe.first_pts_s
    seen_intact = False
    with opened_video(path, probe, limits) as (container, stream):
        counts = counts_within(quality, counted, probe.seconds, probe.first_pts_s, stream.time_base)
        for frame in decoded_frames(stream, packets(container, stream, quality, probe.jumps), counts):
            stamp_s = end_s if frame.pts is None else frame.pts * stream.time_base
            time_s = max(time_s, stamp_s)
            end_s = time_s + (frame.duration * stream.time_base if frame.duration else step_s)
            if frame.is_corrupt and seen_intact:
                continue
            seen_intact = not frame.is_corrupt
            is_beyond = time_s >= until_s and given and not is_last
            if returned is None or frame.pts in returned:
                given = True
                yield time_s, frame
            if is_beyond:
                return


class _Screen:
    """The frame on screen. It is converted to an image once, however many seconds it stays."""

    def __init__(self, path: str | Path, probe: FilmProbe, quality: DecodeQuality, keys_s: list[float], pairs: bool):
        self._probe, self._quality, self.keys_s = probe, quality, keys_s
        self._to_grey = ToSmallGrey(probe.shape, probe.orientation) if pairs else None
        self._next: tuple[Fraction, Any] | None = None
        self._pair: FramePair | None = None
        self._frame: Any = None
        self._time_s = Fraction(0)
        self._fresh = True
        self._image: np.ndarray | None = None
        self._clipped = 0
        sides_px = (probe.height_px, probe.width_px)
        self._to_rgb = ToRgb(os.fspath(path), *(reversed(sides_px) if probe.orientation.swaps_sides else sides_px))

    @property
    def has_frame(self) -> bool:
        return self._frame is not None

    def put(self, time_s: Fraction, frame: Any) -> None:
        self._frame, self._time_s, self._fresh, self._image = frame, time_s, True, None
        self._next = self._pair = None

    def follow(self, time_s: Fraction, frame: Any) -> None:
        if self._to_grey is not None and self._frame is not None and self._next is None:
            self._next = (time_s, frame)

    def pair(self) -> FramePair | None:
        """The frame on screen and the next one; None without one that comes soon."""
        if self._to_grey is None or self._next is None or self._pair is not None:
            return self._pair
        time_s, frame = self._next
        if time_s - self._time_s <= PAIR_WITHIN_S:
            self._pair = FramePair(self._to_grey(self._frame), self._to_grey(frame), float(time_s - self._time_s))
        return self._pair

    def show(self, t: int, wanted: range) -> Iterator[SampledFrame]:
        """Yields the picture of second t if it is wanted, and resets `fresh` even if it isn't."""
        fresh, self._fresh = self._fresh, False
        if t not in wanted:
            return
        if self._image is None:
            stored, self._clipped = self._to_rgb(self._frame)
            shown = self._probe.shape.bars.without(self._probe.orientation.apply(stored, axes=(1, 2)))
            shown.setflags(write=False)
            self._image = np.moveaxis(shown, 0, -1)
        self._quality.pixels_clipped += self._clipped
        gap_s = 0.0 if self._to_grey is None else key_gap_s(self.keys_s, t)
        yield SampledFrame(t, self._image, round(self._time_s * 1_000_000), fresh, self.pair(), gap_s)
