"""Decoding on a GPU against decoding on the processor: the same bits, or not; one line of JSON a film.

    python -m benchmarks.gpu_decoding FILM ...

Each film is decoded twice by the job's own way (`sample_frames`, planned), the second time on the GPU if it takes the
film. Pictures, timestamps and the grey pairs of motion are compared bit by bit. The exit code is 1 if any differ.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any


def decode(path: str, gpu: bool) -> dict[str, Any]:
    """A digest of all pictures and pairs, and what decoding took."""
    from beam_pipelines.media.decode import DecodeQuality
    from beam_pipelines.media.decode_device import decoded_on
    from beam_pipelines.media.probe import probe_film
    from beam_pipelines.media.video.sample_frames import sample_frames

    probe, quality, digest = probe_film(path), DecodeQuality(), hashlib.sha256()
    began_s, began_core_s = time.perf_counter(), time.process_time()
    for frame in sample_frames(path, probe, quality=quality, pairs=True, gpu=gpu):
        digest.update(frame.image.tobytes())
        digest.update(f"{frame.t} {frame.timestamp_us} {frame.fresh}".encode())
        if frame.pair is not None:
            digest.update(frame.pair.first.tobytes() + frame.pair.second.tobytes())
    return {
        "codec": probe.codec,
        "film_s": float(probe.duration_s),
        "on": decoded_on(gpu, probe, quality) or "processor",
        "wall_s": time.perf_counter() - began_s,
        "core_s": time.process_time() - began_core_s,
        "digest": digest.hexdigest(),
    }


def compare(path: str) -> dict[str, Any]:
    """A film on both devices."""
    from beam_pipelines.media.decode_device import gpu_fault, why_not_on_gpu
    from beam_pipelines.media.probe import probe_film

    plain = decode(path, gpu=False)
    why_not = why_not_on_gpu(probe_film(path))
    asked = decode(path, gpu=not gpu_fault() and not why_not)
    row = {"film": path, "codec": plain["codec"], "on": asked["on"], "same": plain["digest"] == asked["digest"]}
    return row | {
        f"{name}_{what}": 1000 * found[f"{what}_s"] / plain["film_s"]
        for name, found in (("processor", plain), ("asked", asked))
        for what in ("wall", "core")
    } | {"fault": gpu_fault(), "why_not": why_not}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Compares and prints; milliseconds are for a film second."""
    same = True
    for path in sys.argv[1:] if argv is None else argv:
        row = compare(path)
        same = same and row["same"]
        print(json.dumps(row), flush=True)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
