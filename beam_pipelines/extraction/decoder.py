"""The decoding process of a configuration, and whether the GPU that it asks for is there."""

from __future__ import annotations

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from beam_pipelines.media.decode_device import GPU, wants_gpu
from beam_pipelines.media.worker.decoding_process import DecodingProcess


def decoder_of(config: ExtractConfig) -> DecodingProcess:
    """A decoding process with the configuration's deadline, memory and device."""
    gpu = wants_gpu(config.device.decode)
    return DecodingProcess(config.decode_deadline_s, config.limits.decoder_memory_mb, gpu)


def require_decoder(config: ExtractConfig) -> None:
    """Tries the GPU in a decoding process if `device.decode` says `gpu`: jobs that run on this machine call it first.

    Workers elsewhere, and `auto`, go on with the processor.

    Raises:
        ConfigurationError: if it can't be opened.
    """
    if config.device.decode != GPU:
        return
    with decoder_of(config) as decoder:
        try:
            fault = decoder.gpu_fault()
        except FilmError as error:
            fault = f"the decoding process failed ({error.reason})"
    if fault:
        about = "extract.device.decode: gpu, but this machine has none that decodes"
        raise ConfigurationError(f"{about}: {fault}; cpu decodes on the processors, auto takes what is there")
