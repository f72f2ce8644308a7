"""Keeping the memory of freed arrays for the next ones, which are as large: every second has a picture and sound."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_ARRAY_BYTES, _KEPT_BYTES = 32 << 20, 128 << 20


def keep_freed_memory() -> None:
    """Lets this process keep up to 128 MiB of memory that it has freed; other C libraries than glibc ignore it.

    By default glibc returns arrays of more than 128 KiB to the kernel, which clears each page of the next one: a third
    of the time of the picture signals.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _ARRAY_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
