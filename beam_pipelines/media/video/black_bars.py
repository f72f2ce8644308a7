"""Finding the black bars around a film's pictures: what is black in all of many pictures of the film.

A single picture says little: a night scene is black at its borders too. So the bars are looked for in key frames that
are 10 s apart, or, if a film has few key frames, in a frame a second. A line with a subtitle or a logo in it is no bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Colorspace

from beam_pipelines.media.decode import (
    DecodeQuality,
    RangeCounts,
    decoded_frames,
    opened_film,
    packets,
    prepare_decoder,
)
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.video.key_frames import Looks
from beam_pipelines.media.video.picture_shape import NO_BARS, BlackBars

STEP = "probe"
# All of these are ours. Levels are those of luma from 0 (black) to 255.
_LOOK_EVERY_S = 10
_FEWEST_LOOKS = 5
_DARK, _BRIGHT = 24, 60
_BRIGHT_SHARE = 0.01
_THINNEST_SHARE = 0.01
_SMALLEST_SHARE = 1 / 3


def find_bars(path: str | Path, probe: FilmProbe, limits: MediaLimits) -> BlackBars:
    """The black bars of a film, as its pictures are shown; none if they would leave less than a third of a side.

    Raises:
        FilmError: step `probe`, reason `unreadable` or `empty_file`.
    """
    lumas = list(_looks(path, probe, limits))
    if len(lumas) < _FEWEST_LOOKS:
        lumas = list(_a_second(path, probe, limits))
    if not lumas:
        return NO_BARS
    rows, columns = (np.any(seen, axis=0) for seen in zip(*lumas, strict=True))
    if not rows.any() or not columns.any():
        return NO_BARS
    top_px, bottom_px = _bars(rows)
    left_px, right_px = _bars(columns)
    inner = (1 - (top_px + bottom_px) / len(rows), 1 - (left_px + right_px) / len(columns))
    return BlackBars(left_px, top_px, right_px, bottom_px) if min(inner) >= _SMALLEST_SHARE else NO_BARS


def _bars(seen: np.ndarray) -> tuple[int, int]:
    """The bars before and behind what was seen; bars too thin to matter are none."""
    places = np.flatnonzero(seen)
    before, behind = int(places[0]), len(seen) - 1 - int(places[-1])
    least = _THINNEST_SHARE * len(seen)
    return (before if before >= least else 0), (behind if behind >= least else 0)


def _looks(path: str | Path, probe: FilmProbe, limits: MediaLimits) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    with opened_film(path, STEP) as container:
        video = container.streams[probe.video_index]
        prepare_decoder(video, limits.decoder_max_pixels)
        looks = Looks(video, _LOOK_EVERY_S)
        for packet in packets(container, video, DecodeQuality(), probe.jumps):
            frame = looks.at(packet)
            if frame is not None:
                yield _lines_with_something(frame, probe)


def _a_second(path: str | Path, probe: FilmProbe, limits: MediaLimits) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    with opened_film(path, STEP) as container:
        video = container.streams[probe.video_index]
        prepare_decoder(video, limits.decoder_max_pixels)
        counts, last_s = RangeCounts(DecodeQuality()), None
        for frame in decoded_frames(video, packets(container, video, DecodeQuality(), probe.jumps), counts):
            time_s = None if frame.pts is None else frame.pts * video.time_base
            if frame.is_corrupt or time_s is None or (last_s is not None and abs(time_s - last_s) < 1):
                continue
            last_s = time_s
            yield _lines_with_something(frame, probe)


def _lines_with_something(frame: Any, probe: FilmProbe) -> tuple[np.ndarray, np.ndarray]:
    """bool [height], bool [width] of the picture as shown: the rows and columns that aren't black."""
    sides_px = (probe.width_px, probe.height_px)
    width_px, height_px = reversed(sides_px) if probe.orientation.swaps_sides else sides_px
    # Only luma counts here, so that any matrix will do, also one that FFmpeg can't convert.
    gray = frame.reformat(width=width_px, height=height_px, format="gray", src_colorspace=Colorspace.ITU709, threads=1)
    plane: Any = gray.planes[0]
    stored = np.frombuffer(plane, np.uint8).reshape(height_px, plane.line_size)[:, :width_px]
    luma = probe.orientation.apply(stored)
    rows, columns = (
        (luma.mean(axis=axis) > _DARK) | ((luma > _BRIGHT).mean(axis=axis) > _BRIGHT_SHARE) for axis in (1, 0)
    )
    return rows, columns
