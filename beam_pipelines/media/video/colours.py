"""From a decoded frame to an RGB picture as an SDR screen shows it.

Matrix and range are the frame's own. A frame without a matrix has that which players take: BT.709 if it is as large as
HD, else BT.601. HDR (PQ, HLG) and other pictures in BT.2020 become BT.709: FFmpeg's `scale` maps the colours as ITU-R
BT.2408 has them, with 203 cd/m² as white; what is brighter is clipped, and counted. Each frame is converted by itself,
so that a picture doesn't depend on which other frames were decoded.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from itertools import pairwise
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.stage_times import SCALING, count, stage

STEP = "decode"
HDR_TRANSFERS = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
"""FFmpeg's number of a transfer characteristic -> its name."""

WHITE_NITS = 203
"""What HDR shows as SDR's white, in cd/m² (ITU-R BT.2408)."""

HD_LINES, HD_COLUMNS = 720, 1280
"""Pictures without a matrix are BT.709 from one of these sizes on; wide films have fewer lines than 720."""

_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# The conversion to RGB keeps chroma at full resolution, and scales a frame of another size to the film's.
_TO_RGB = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | _EXACT
_TO_RGB_NAMES = "bicubic+full_chroma_int+full_chroma_inp+accurate_rnd+bitexact"
# swscale's assembly has this conversion only for planes; into "rgb24" the same bytes take twice as long.
_PLANES, _RED_GREEN_BLUE = "gbrp", (2, 0, 1)
_UNSPECIFIED = 2
# SDR's transfer characteristics; a frame in BT.2020 with any other has BT.2020's own.
_SDR_TRANSFERS = frozenset({1, 4, 5, 6, 7, 13, 14, 15})
_BT2020_TRANSFER = int(ColorTrc.BT2020_10)
# The signal of 203 cd/m² in PQ (SMPTE ST 2084) and in HLG, and what a codec's noise may add to it.
_WHITE_SIGNALS, _NOISE = {"PQ": 0.5807, "HLG": 0.75}, 0.01
_MATRICES = {
    int(Colorspace.ITU709): "bt709",
    int(Colorspace.FCC): "fcc",
    int(Colorspace.ITU601): "bt470bg",
    6: "smpte170m",
    int(Colorspace.SMPTE240M): "smpte240m",
    int(Colorspace.BT2020): "bt2020nc",
    10: "bt2020c",
}


def hdr_of(frame: Any) -> str:
    """`PQ` or `HLG`; empty if the frame is SDR."""
    return HDR_TRANSFERS.get(int(frame.color_trc), "")


class ToRgb:
    """Converts a film's frames to pictures of one size; for one thread."""

    def __init__(self, name: str, height_px: int, width_px: int):
        self._name, self._height_px, self._width_px = name, height_px, width_px
        self._reformatter = VideoReformatter()

    @stage(SCALING, 1)
    def __call__(self, frame: Any) -> tuple[np.ndarray, int]:
        """Red, green and blue, uint8 [3, height, width], and how many pixels are brighter than SDR's white.

        Raises:
            FilmError: step `decode`, reason `unknown_colours`, if FFmpeg can't convert the frame's matrix.
        """
        try:
            if hdr_of(frame) or int(frame.color_primaries) == ColorPrimaries.BT2020:
                return self._channels(self._to_sdr(frame)), self._brighter_than_white(frame)
            converted = self._reformatter.reformat(
                frame,
                width=self._width_px,
                height=self._height_px,
                format=_PLANES,
                src_colorspace=Colorspace.ITU709 if _is_untagged_hd(frame) else None,
                interpolation=_TO_RGB,
                threads=1,
            )
        except MemoryError:
            raise
        except av.FFmpegError as error:
            numbers = f"matrix {frame.colorspace}, transfer {frame.color_trc}, primaries {frame.color_primaries}"
            detail = f"{self._name}: FFmpeg can't convert its colours, {numbers} of ITU-T H.273 ({error})"
            raise FilmError(STEP, "unknown_colours", detail) from error
        return self._channels(converted), 0

    def _channels(self, converted: Any) -> np.ndarray:
        channels = np.empty((3, self._height_px, self._width_px), np.uint8)
        count(size_bytes=channels.nbytes)
        for channel, place in zip(channels, _RED_GREEN_BLUE, strict=True):
            plane: Any = converted.planes[place]
            rows = np.frombuffer(plane, np.uint8).reshape(self._height_px, plane.line_size)
            channel[:] = rows[:, : self._width_px]
        return channels

    def _to_sdr(self, frame: Any) -> Any:
        is_rgb = frame.format.is_rgb
        matrix = "gbr" if is_rgb else _MATRICES.get(int(frame.colorspace), "bt2020nc")
        is_full = is_rgb or int(frame.color_range) == ColorRange.JPEG
        transfer = int(frame.color_trc)
        is_known = transfer in HDR_TRANSFERS or transfer in _SDR_TRANSFERS
        graph = _sdr_graph(
            threading.get_ident(),
            (frame.width, frame.height, frame.format.name, matrix, "pc" if is_full else "tv"),
            (self._width_px, self._height_px),
            transfer if is_known else _BT2020_TRANSFER,
        )
        graph.push(frame)
        return graph.pull()

    def _brighter_than_white(self, frame: Any) -> int:
        white = _WHITE_SIGNALS.get(hdr_of(frame))
        if white is None:
            return 0
        luma = self._reformatter.reformat(frame, format="gray16le", interpolation=_EXACT, threads=1)
        plane: Any = luma.planes[0]
        rows = np.frombuffer(plane, "<u2").reshape(luma.height, plane.line_size // 2)[:, : luma.width]
        return int(np.count_nonzero(rows > (white + _NOISE) * 0xFFFF))


def _is_untagged_hd(frame: Any) -> bool:
    is_hd = frame.height >= HD_LINES or frame.width >= HD_COLUMNS
    return is_hd and int(frame.colorspace) == _UNSPECIFIED and not frame.format.is_rgb


# Building one takes 3 s, for its table of colours. By thread, since two threads can't share one.
@lru_cache(maxsize=4)
def _sdr_graph(
    thread: int, source: tuple[int, int, str, str, str], size_px: tuple[int, int], transfer: int
) -> av.filter.Graph:
    width_px, height_px, pixel_format, matrix, value_range = source
    graph = av.filter.Graph()
    graph.threads = 1
    nodes = [
        graph.add(
            "buffer",
            f"video_size={width_px}x{height_px}:pix_fmt={pixel_format}:time_base=1/1:colorspace={matrix}:"
            f"range={value_range}",
        ),
        graph.add(
            "scale",
            f"w={size_px[0]}:h={size_px[1]}:in_transfer={transfer}:in_primaries=bt2020:out_transfer=bt709:"
            f"out_primaries=bt709:intent=relative_colorimetric:out_range=pc:flags={_TO_RGB_NAMES}",
        ),
        graph.add("format", _PLANES),
        graph.add("buffersink"),
    ]
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    return graph
