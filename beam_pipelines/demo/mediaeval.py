"""A small generated data set in the layout of MediaEval 2018: films, labels, organisers' features, records.

Each second has a known *event*, which decides how it looks and sounds and changes every few seconds. The labels are a
mood: a leaky memory of events (`MEMORY_S`: long in valence, short in arousal). So a single second says little, longer
windows say more, and smoothing improves predictions from noisy seconds. Each medium shows the event with its own noise;
faces appear with positive events. The replacements of the baseline features (`fc6`, `emobase2010`) have twice the noise
of `image` and `audio`.

All this is built in. A comparison on these data shows that the commands work, and is no evidence for any network,
encoder or window on real films. Films that have known defects in the real set have them here too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from beam_pipelines.contracts.records.feature_track import FeatureTrack, RecordHeader, make_record, slots_of
from beam_pipelines.demo.films import DemoFilm, annotation_text, write_film
from beam_pipelines.demo.latent import Latent
from beam_pipelines.films import mediaeval2018
from beam_pipelines.foundation import storage

MEMORY_S = (40.0, 15.0)
"""The time constants of valence and arousal: after so many seconds an event counts e times less."""
_WARM_UP_S = 240
EVENT_S = 2.0
"""The standard deviation of the kernel that smooths events."""
EVENT_NOISE = 1.0
LABEL_NOISE = 0.03
RECORD_DIMENSIONS = {"image": 16, "audio": 8, "face": 8, "fc6": 16, "emobase2010": 8}
_BASELINE_NOISE = {"fc6": 2.0, "emobase2010": 2.0}
DEFECTIVE = (6, 18, 27, 46)
LABEL_ROWS_46 = 1 / 30
"""The share of film 46's seconds that have labels: 100 of about 3,000."""


@dataclass(frozen=True)
class MediaEvalFilm(DemoFilm):
    """A film of the data set; `index` is its number in MediaEval 2018."""

    def events(self) -> NDArray[np.float64]:
        """The events, float64 [T, 2] in [-1, 1]."""
        events, _ = self._curves()
        return events

    def latent(self) -> Latent:
        """The events as a demo film shows them."""
        events, _ = self._curves()
        faces = (events[:, 0] > -0.3).astype(np.int64) + (events[:, 0] > 0.5)
        return Latent(events[:, 0], events[:, 1], faces)

    def labels(self) -> NDArray[np.float64]:
        """The mood with raters' noise, float64 [T, 2] in [-1, 1]."""
        _, mood = self._curves()
        return np.clip(mood + self.generators()[1].normal(scale=LABEL_NOISE, size=mood.shape), -1.0, 1.0)

    def _curves(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rng = self.generators()[0]
        drawn = gaussian_filter1d(rng.normal(size=(self.seconds + _WARM_UP_S, 2)), EVENT_S, axis=0)
        events = np.clip(0.6 * _unit(drawn), -1, 1)
        mood = np.stack([_remember(events[:, i], memory_s) for i, memory_s in enumerate(MEMORY_S)], axis=1)
        return events[_WARM_UP_S:], np.clip(mood[_WARM_UP_S:], -0.95, 0.95)


def plan_films(films: int, test_films: int, seconds: int, seed: int) -> list[MediaEvalFilm]:
    """The films: of the development set first those with a known defect, then the lowest numbers; test from 54 on."""
    others = [number for number in range(54) if number not in DEFECTIVE]
    development = sorted([*DEFECTIVE, *others][:films])
    numbers = [*development, *range(54, 54 + test_films)]
    return [
        MediaEvalFilm(number, seconds + (number * 7) % (seconds // 5 + 1), seed, "test" if number >= 54 else "train")
        for number in numbers
    ]


def make_data_set(output: Path, films: list[MediaEvalFilm], *, videos: bool, features: bool, records: bool) -> None:
    """Writes labels and the chosen further files below `output`; records go to `output/records`."""
    for film in films:
        rows = film.labels()
        if film.index == 46:
            rows = rows[: max(2, round(LABEL_ROWS_46 * film.seconds))]
        storage.write_text(str(output / mediaeval2018.label_path(film.index)), annotation_text(rows))
        if videos:
            with storage.whole_file(str(output / mediaeval2018.film_path(film.index))) as path:
                write_film(film, path)
        if features:
            _write_features(output, film)
        if records:
            _write_record(output / "records", film)


def _write_record(folder: Path, film: MediaEvalFilm) -> None:
    from beam_pipelines.contracts.records.records import record_uri, write_record

    tracks = {modality: _track(film, modality) for modality in RECORD_DIMENSIONS}
    name, seconds = film.film_id, film.seconds
    path = mediaeval2018.film_path(film.index)
    # The film itself may not exist; a digest of its parameters replaces that of its content.
    source = hashlib.sha256(f"{film.digest} {MEMORY_S} {EVENT_S} {EVENT_NOISE}".encode()).hexdigest()
    header = RecordHeader(name, path, 1, source, seconds, seconds * 1_000_000, 0)
    write_record(make_record(header, tracks), record_uri(str(folder), name))


def _track(film: MediaEvalFilm, modality: str) -> FeatureTrack:
    size, place = RECORD_DIMENSIONS[modality], sorted(RECORD_DIMENSIONS).index(modality)
    rng = np.random.default_rng([film.seed, film.index, place])
    values = _observe(film.events(), modality, size, rng)
    present = np.ones((film.seconds, slots_of(modality)))
    if modality == "face":
        present = (film.latent().faces[:, None] > np.arange(2)).astype(float)
        values *= np.repeat(present, size // slots_of(modality), axis=1)
    return FeatureTrack(
        values=values.astype(np.float32),
        present=present.astype(np.float32),
        timestamps_us=np.arange(film.seconds, dtype=np.int64) * 1_000_000,
        description={"network": f"generated {modality}", "weights": "untrained, generated"},
    )


def _observe(events: NDArray[np.float64], modality: str, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The events as a medium shows them, float64 [T, size]: the same mixture in every film, with its own noise."""
    mixture = np.random.default_rng([len(modality), *modality.encode()]).normal(size=(2, size))
    noise = EVENT_NOISE * _BASELINE_NOISE.get(modality, 1.0)
    seen = events + rng.normal(scale=noise, size=events.shape)
    return 2.0 + seen @ mixture + rng.normal(scale=0.3, size=(len(events), size))


def _write_features(output: Path, film: MediaEvalFilm) -> None:
    """Writes the organisers' features, a file per second and kind, with the real set's defects in films 06, 18, 27."""
    rng = np.random.default_rng([film.seed, film.index, 99])
    for feature, size in mediaeval2018.VISUAL_DIMENSIONS.items():
        values = _observe(film.events(), feature, size, rng)
        # Film 18 lacks a part of fc6 and jcd; both separators occur.
        stop = film.seconds * 2 // 3 if film.index == 18 and feature in ("fc6", "jcd") else film.seconds
        for second in range(1, stop + 1):
            text = ",".join(f"{value:.4g}" for value in values[second - 1].tolist())
            empty = film.index == 27 and feature == "cl" and second == 6
            path = mediaeval2018.visual_path(film.index, second, feature, "-" if film.index % 2 else "_")
            _write(output / path, "" if empty else text + "\n")
    values = _observe(film.events(), "emobase2010", mediaeval2018.AUDIO_DIMENSION, rng)
    header = "@relation openSMILE\n\n@attribute name string\n"
    header += "".join(f"@attribute emobase2010_{i} numeric\n" for i in range(values.shape[1])) + "\n@data\n\n"
    missing = min(5588, film.seconds * 2 // 3) if film.index == 6 else 0
    for second in range(1, film.seconds + 1):
        if second == missing:
            continue
        row = values[max(second, min(3, film.seconds)) - 1]  # 00001 and 00002 copy 00003
        text = ",".join(f"{value:.6g}" for value in row.tolist())
        _write(output / mediaeval2018.audio_path(film.index, second), f"{header}'unknown',{text}\n")


def _write(path: Path, text: str) -> None:
    # Thousands of small files that can be made again: temporary names and renames would only cost time.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _remember(events: NDArray[np.float64], memory_s: float) -> NDArray[np.float64]:
    """The mood after events, float64 [T]: a leaky memory, scaled to a standard deviation of about 0.35."""
    keep = np.exp(-1.0 / memory_s)
    # An event of Gaussian shape lasts EVENT_S * sqrt(4 pi) s; independent events in memory_s add up by their root.
    gain = 0.35 / 0.6 * np.sqrt(2.0 * memory_s / (EVENT_S * np.sqrt(4.0 * np.pi)))
    return np.asarray(lfilter([gain * (1.0 - keep)], [1.0, -keep], events), np.float64)


def _unit(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    return (curves - curves.mean(axis=0)) / curves.std(axis=0)
