"""Which device decodes a film's pictures: the processor, or an NVIDIA GPU (NVDEC) by FFmpeg's hardware layer.

The GPU gets the packets of a decode plan and nothing else. H.264 and HEVC say every bit of luma and chroma, so both
devices give the same pictures of an intact stream. NVDEC doesn't say which part of a frame is damaged, so a film with
damage that the probe has found stays on the processor, which counts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
from av import logging as ffmpeg_log
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.reformatter import Colorspace, Interpolation

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.foundation.gpu_devices import has_gpu_device, hides_gpus
from beam_pipelines.media.decode import DecodeQuality, opened_film, prepare_decoder
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.video.decode_mode import DecodeDevice

STEP = "decode"
GPU = "gpu"

_CODECS = ("h264", "hevc")
# 4:2:0 in 8 bits; the second has the full range of values.
_FORMATS = ("yuv420p", "yuvj420p")
_FROM_GPU, _PLANAR = "nv12", "yuv420p"
_EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def wants_gpu(device: DecodeDevice) -> bool:
    """Whether a GPU is asked for; whether it can be opened only `gpu_fault` shows."""
    return device == GPU or (device == "auto" and has_gpu_device() and not hides_gpus())


def why_not_on_gpu(probe: FilmProbe) -> str:
    """Why a GPU doesn't get a film, in a few words; empty if it does."""
    if probe.codec not in _CODECS:
        return f"codec {probe.codec}"
    if probe.pixel_format not in _FORMATS:
        return f"pixel format {probe.pixel_format or 'unknown'}"
    if probe.hdr:
        return "HDR"
    return "damage" if probe.packets_damaged or probe.read_errors else ""


def decoded_on(wanted: bool, probe: FilmProbe, picture: DecodeQuality | None) -> str:
    """`gpu`, or why the processor decoded a film's pictures; empty if nobody asked for a GPU, or for pictures."""
    if not wanted or picture is None:
        return ""
    if picture.gpu_failures:
        return "processor: the GPU failed on the way, see the log"
    if picture.frames_from_gpu and not picture.full_decodings:
        return GPU
    reason = why_not_on_gpu(probe) or (
        "no plan, or it failed" if picture.full_decodings else "no GPU took it, see the log"
    )
    return f"processor: {reason}"


def gpu_fault() -> str:
    """Why this process can't open a GPU, in FFmpeg's words; empty if it has opened one, which then stays open.

    CUDA doesn't survive a fork, so only the decoding child calls this.
    """
    return _cuda()[1]


@cache
def _cuda() -> tuple[HWAccel | None, str]:
    level = ffmpeg_log.get_level()
    ffmpeg_log.set_level(ffmpeg_log.ERROR)
    with ffmpeg_log.Capture() as said:
        try:
            # Kept: the context that all films of this process share lives as long as somebody holds it.
            return _accelerator().create(av.Codec(_CODECS[0], "r")), ""
        except (av.FFmpegError, NotImplementedError) as error:
            return None, f"FFmpeg can't open CUDA ({' '.join(line[2].strip() for line in said) or error})"
        finally:
            ffmpeg_log.set_level(level)


def _accelerator() -> HWAccel:
    # A profile or a size that NVDEC doesn't take comes back from FFmpeg's own decoder.
    return HWAccel("cuda", allow_software_fallback=True, options={"primary_ctx": "1"})


@contextmanager
def opened_video(
    path: str | Path, probe: FilmProbe, limits: MediaLimits, gpu: bool = False
) -> Iterator[tuple[InputContainer, Any]]:
    """Opens a film and its probed video stream, ready for decoding; with `gpu` on a GPU, if that can be opened.

    Raises:
        FilmError: step `decode`, reason `unreadable` or `empty_file`; never because of the GPU.
    """
    with ExitStack() as films:
        container = _opened_on_gpu(path, films) if gpu and not gpu_fault() else None
        container = container or films.enter_context(opened_film(path, STEP))
        if probe.video_index >= len(container.streams):
            raise FilmError(STEP, "unreadable", f"{path}: has no stream {probe.video_index} any more")
        stream = container.streams[probe.video_index]
        prepare_decoder(stream, limits.decoder_max_pixels)
        yield container, stream


def _opened_on_gpu(path: str | Path, films: ExitStack) -> InputContainer | None:
    try:
        return films.enter_context(opened_film(os.fspath(path), STEP, accelerator=_accelerator()))
    except FilmError:
        # Perhaps its memory is full; a film that can't be opened at all fails again on the processor.
        return None


def is_from_gpu(frame: Any) -> bool:
    """Whether a decoded frame comes from a GPU: software decoders of H.264 and HEVC don't interleave chroma."""
    return bool(frame.format.name == _FROM_GPU)


def planar(frame: Any) -> Any:
    """A frame with chroma in two planes, as software decoders give it; a frame from a GPU is rearranged, bit by bit."""
    if not is_from_gpu(frame):
        return frame
    # FFmpeg refuses some matrices although it needs none here; any will do, and PyAV names one of two that are alike.
    any_matrix = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
    arranged = frame.reformat(format=_PLANAR, interpolation=_EXACT, threads=1, **any_matrix)
    arranged.colorspace = frame.colorspace
    return arranged
