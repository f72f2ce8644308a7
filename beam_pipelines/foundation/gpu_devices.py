"""Whether a GPU may be there, by what costs nothing to look at: device files and the environment."""

from __future__ import annotations

import os
import sys

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""The device files of the drivers of NVIDIA, of NVIDIA under Windows, and of AMD on Linux."""
_HIDES_GPUS = ("", "-1")


def has_gpu_device() -> bool:
    """Whether this machine may have a GPU, by its drivers' device files; True where there are none to look for."""
    return sys.platform != "linux" or any(map(os.path.exists, _GPU_DEVICES))


def hides_gpus() -> bool:
    """Whether the environment hides all GPUs from this process: `CUDA_VISIBLE_DEVICES=-1`."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in _HIDES_GPUS
