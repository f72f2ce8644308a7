"""Maker of small films of given frames, with the tags that say how they are to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

PQ, HLG = 16, 18
BT2020, BT709 = 9, 1
INTERLACED = {"preset": "ultrafast", "flags": "+ilme+ildct"}
"""Options of an encoder that stores two fields in a frame."""


@dataclass(frozen=True)
class Shown:
    """What a film's header says of its pictures, and how they are encoded."""

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast", "crf": "8"})
    sample_aspect: Fraction | None = None
    rotation_deg: int = 0
    transfer: int | None = None
    gop: int = 12


def write_frames(path: Path, frames: Sequence[Any], shown: Shown = Shown(), rate_hz: int = 1) -> Path:
    """Writes a film of frames (`av.VideoFrame`, or uint8 [height, width, 3]) of one size."""
    first = _frame(frames[0])
    with av.open(str(path), "w") as container:
        options = {"g": str(shown.gop), **shown.options}
        stream: Any = container.add_stream(shown.codec, rate=rate_hz, options=options)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        stream.codec_context.thread_count = 1
        if shown.sample_aspect is not None:
            stream.sample_aspect_ratio = shown.sample_aspect
        if shown.rotation_deg:
            stream.set_display_rotation(-shown.rotation_deg)
        if shown.transfer is not None:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
                BT2020,
                BT2020,
                shown.transfer,
                1,
            )
        for number, each in enumerate(frames):
            frame = _frame(each)
            frame.pts, frame.time_base = number, Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _frame(frame: Any) -> Any:
    if not isinstance(frame, np.ndarray):
        return frame
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")


def gray_steps(signals: np.ndarray, transfer: int, *, primaries: int = BT2020, matrix: int = BT2020) -> Any:
    """A 10-bit frame of gray stripes, 16 pixels wide and 32 high, whose luma has the given signals from 0 to 1."""
    luma = np.round(64 + 876 * np.repeat(signals, 16)).astype("<u2")
    frame = av.VideoFrame(len(luma), 32, "yuv420p10le")
    for plane, value in zip(frame.planes, (luma, np.uint16(512), np.uint16(512)), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : plane.width] = value
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = matrix, 1, transfer, primaries
    return frame


def pq(nits: np.ndarray) -> np.ndarray:
    """The signal of a luminance in cd/m², SMPTE ST 2084."""
    power = (np.asarray(nits, float) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """The signal of gray of a luminance in cd/m² on a screen of 1,000 cd/m², ITU-R BT.2100 (gamma 1.2)."""
    scene = (np.asarray(nits, float) / 1_000) ** (1 / 1.2)
    logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)
