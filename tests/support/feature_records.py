"""Makes feature records of known content for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from beam_pipelines.contracts.records import records


def make_track(
    modality: str, seconds: int, dimensions: int, generator: np.random.Generator, weights: str = "untrained-seed-0"
) -> records.FeatureTrack:
    """A track of random values, absent in about a third of its slots (an image never is)."""
    slots = records.slots_of(modality)
    present = np.ones((seconds, slots), np.float32)
    if modality != "image":
        present = (generator.random((seconds, slots)) > 0.3).astype(np.float32)
    values = generator.normal(3.0, 2.0, (seconds, slots, dimensions // slots)) * present[:, :, None]
    return records.FeatureTrack(
        values=values.reshape(seconds, dimensions).astype(np.float32),
        present=present,
        timestamps_us=1_000_000 * np.arange(seconds, dtype=np.int64) + 12_345,
        description={"network": f"test-{modality}", "weights": weights},
        boxes=generator.random((seconds, slots, 4)).astype(np.float32) if modality == "face" else None,
        scores=present * np.float32(0.9) if modality == "face" else None,
    )


def make_film_record(
    film_id: str = "film", seconds: int = 70, dimensions: Mapping[str, int] | None = None, seed: int = 0
) -> records.FilmRecord:
    """A record with one random track a modality; `dimensions` defaults to small image, audio and face tracks."""
    generator = np.random.default_rng(seed)
    header = records.RecordHeader(
        film_id=film_id,
        source_uri=f"/films/{film_id}.mp4",
        source_size_bytes=1234,
        source_sha256="ab" * 32,
        seconds=seconds,
        duration_us=seconds * 1_000_000 - 5,
        start_us=12_345,
        quality={"frames_decoded": 24 * seconds},
    )
    widths = dimensions or {"image": 16, "audio": 8, "face": 12}
    tracks = {modality: make_track(modality, seconds, width, generator) for modality, width in widths.items()}
    return records.make_record(header, tracks)
