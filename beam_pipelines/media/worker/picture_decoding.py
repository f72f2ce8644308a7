"""A film's pictures from the decoding process: by the GPU if it is asked for and takes the film, else by the processor.

A GPU never makes a film fail. If it can't be opened, or its driver crashes, hangs or ends the decoding process, the
processor decodes the rest of the film, and all films after it in this worker. The log says so once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.decode_device import why_not_on_gpu
from beam_pipelines.media.probe import FilmProbe, MediaLimits
from beam_pipelines.media.video.decode_mode import EXACT, DecodeMode
from beam_pipelines.media.video.sample_frames import SampledFrame
from beam_pipelines.media.worker.decoding_process import CRASHED, OUT_OF_MEMORY, TIMEOUT, UNFORESEEN, DecodingProcess

_LOG = logging.getLogger(__name__)
_OF_THE_PROCESS = (CRASHED, OUT_OF_MEMORY, TIMEOUT, UNFORESEEN)


def decoded_pictures(
    decoder: DecodingProcess,
    path: str | Path,
    probe: FilmProbe,
    seconds: range,
    quality: DecodeQuality,
    limits: MediaLimits,
    mode: DecodeMode = EXACT,
    pairs: bool = False,
) -> Iterator[SampledFrame]:
    """Yields pictures as `DecodingProcess.pictures` does, from the device that `decoder.gpu` asks for."""
    done = 0
    if decoder.gpu and not why_not_on_gpu(probe):
        try:
            fault = decoder.gpu_fault()
            if not fault:
                for frame in decoder.pictures(path, probe, seconds, quality, limits, mode, pairs, gpu=True):
                    yield frame
                    done += 1
                return
        except FilmError as error:
            if error.reason not in _OF_THE_PROCESS:
                raise
            fault = error.detail
            quality.gpu_failures += 1
        decoder.gpu = False
        _LOG.warning("%s: the processor decodes the rest, and this worker's next films: %s", path, fault)
    rest = range(seconds.start + done, seconds.stop)
    yield from decoder.pictures(path, probe, rest, quality, limits, mode, pairs)
