"""*Forrest Gump* as a user with own features would bring it: feature records, label files, eight folds.

The data (`forrest_1hz.csv.gz`, one row per second, eight runs) are read, extended by temporal context, and written as
this project's feature records and as label files in MediaEval 2018's layout. From there the trainer's own reader reads
them: each of the eight runs is a film.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from beam_pipelines.contracts.records.feature_track import slots_of
from beam_pipelines.contracts.records.records import FeatureTrack, RecordHeader, make_record, write_record
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.labels.config import LabelConfig
from trainer.data.dataset import TrainingFilm, load_films, read_statistics
from trainer.data.leaks import assert_no_leak
from trainer.data.transform import load_transform
from trainer.experiments.data import prepare_transform

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "studyforrest"
DATA_FILE = "forrest_1hz.csv.gz"
RUNS = tuple(range(1, 9))
MARGIN_S = 30
"""Seconds on either side of the validation and of the test run that are not trained on."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "visual": ("v_br", "v_norm"),
    "audio": ("a_",),
    "cues": ("m_",),
    "phash": ("v_phash",),
    "low": ("v_br", "v_norm", "a_"),
    "low_cues": ("v_br", "v_norm", "a_", "m_"),
}
"""Modality -> how the names of its columns begin. Picture and sound in one (*low*) or two modalities, as one likes."""

_SMALLEST_DEVIATION = 1e-6
_HIGHEST_SCORE = 4.0
_TRAINING = "training"


class TrackConfig(Section):
    """What becomes of one modality's columns before they are written.

    Attributes:
        means_half_s: for each h, the mean of every column over [t - h, t + h] is a further column.
        deviations_half_s: for each h, the standard deviation over [t - h, t + h] is one.
        components: principal components that the training films' seconds are reduced to (whitened, as `cineaffect
            prepare` does); 0 keeps the columns.
    """

    means_half_s: tuple[int, ...] = ()
    deviations_half_s: tuple[int, ...] = ()
    components: int = 0


@dataclass(frozen=True, eq=False)
class Recording:
    """The whole file.

    Attributes:
        uri: where it lies.
        sha256: of the file.
        columns: names of the features.
        values: float64 [T, D], the features.
        labels: float64 [T, 2], valence and arousal.
        time_s: float64 [T].
        run: int [T], 1 to 8.
    """

    uri: str
    sha256: str
    columns: tuple[str, ...]
    values: np.ndarray
    labels: np.ndarray
    time_s: np.ndarray
    run: np.ndarray

    def of(self, prefixes: Sequence[str]) -> np.ndarray:
        """The columns whose names begin so, float64 [T, D'], in the file's order."""
        chosen = [index for index, name in enumerate(self.columns) if name.startswith(tuple(prefixes))]
        return self.values[:, chosen]

    def with_context(self, values: np.ndarray, config: TrackConfig) -> np.ndarray:
        """Values [T, D] and their running means and deviations, side by side; no window reaches over a run's end."""
        return np.concatenate([_with_context(values[self.run == run], config) for run in RUNS])


def read_recording(directory: str | Path) -> Recording:
    """Reads the data file.

    Raises:
        ConfigurationError: where there is none, or it isn't the table that is expected.
    """
    path = Path(directory) / DATA_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: not readable ({error.strerror}); --data names the folder that holds {DATA_FILE}, made of "
            "psychoinformatics-de/studyforrest-data-annotations and studyforrest-data-confoundsannotation"
        ) from error
    lines = gzip.decompress(raw).decode().splitlines()
    names = lines[0].split(",")
    if names[:4] != ["t", "run", "arousal", "valence"]:
        raise ConfigurationError(f"{path}: its columns begin with {names[:4]}, not with t, run, arousal, valence")
    table = np.loadtxt(lines[1:], delimiter=",")
    return Recording(
        uri=str(path),
        sha256=hashlib.sha256(raw).hexdigest(),
        columns=tuple(names[4:]),
        values=table[:, 4:],
        labels=table[:, [names.index(target) for target in TARGETS]],
        time_s=table[:, 0],
        run=table[:, 1].astype(int),
    )


@dataclass(frozen=True)
class Fold:
    """One of the eight: a run to test on, the run before it (8 before 1) to validate on, the others to train on."""

    test: int

    @property
    def validation(self) -> int:
        """The run before the test run."""
        return RUNS[self.test - 2]

    @property
    def train(self) -> tuple[int, ...]:
        """The six others."""
        return tuple(run for run in RUNS if run not in (self.test, self.validation))

    def training_seconds(self, recording: Recording) -> np.ndarray:
        """bool [T]: seconds of the other six runs that lie further than `MARGIN_S` from test and validation run."""
        kept = np.isin(recording.run, self.train)
        for run in (self.test, self.validation):
            time_s = recording.time_s[recording.run == run]
            kept &= (recording.time_s < time_s[0] - MARGIN_S) | (recording.time_s > time_s[-1] + MARGIN_S)
        return kept


@dataclass(frozen=True, eq=False)
class FoldFilms:
    """A fold as the trainer takes it."""

    train: tuple[TrainingFilm, ...]
    validation: TrainingFilm
    test: TrainingFilm


def write_films(recording: Recording, tracks: Mapping[str, TrackConfig], directory: str) -> list[Film]:
    """Writes each run's feature record and label file; returns the catalogue of the runs, `run1` to `run8`."""
    films = []
    for run in RUNS:
        rows = recording.run == run
        _write_record(recording, tracks, rows, f"run{run}", directory)
        labels = storage.join(directory, f"run{run}_Valence-Arousal.txt")
        storage.write_text(labels, _label_lines(recording.labels[rows]))
        films.append(Film(f"run{run}", recording.uri, labels=labels))
    return films


def prepare_fold(
    recording: Recording,
    fold: Fold,
    tracks: Mapping[str, TrackConfig],
    directory: str,
    clip: float | None = _HIGHEST_SCORE,
) -> str:
    """Runs `cineaffect prepare` on the fold's training seconds alone, once; returns the transform's directory."""
    _write_record(recording, tracks, fold.training_seconds(recording), _TRAINING, directory)
    manifest, config = (storage.join(directory, name) for name in ("training.csv", "prepare.yaml"))
    storage.write_text(manifest, f"film_id,path,split\n{_TRAINING},{recording.uri},train\n")
    components = {name: track.components for name, track in tracks.items() if track.components}
    section = {"pca_components": components, "clip": clip}
    storage.write_text(config, yaml.safe_dump({"prepare": section}))
    return prepare_transform(manifest, directory, directory, config)


def _write_record(
    recording: Recording, tracks: Mapping[str, TrackConfig], rows: np.ndarray, film_id: str, directory: str
) -> None:
    """Writes some seconds of the file, bool [T], as the feature record of a film."""
    seconds, start_us = int(rows.sum()), int(recording.time_s[rows][0]) * 1_000_000
    header = RecordHeader(
        film_id=film_id,
        source_uri=recording.uri,
        source_size_bytes=Path(recording.uri).stat().st_size,
        # All lie in one file; each is a film of its own.
        source_sha256=hashlib.sha256(recording.sha256.encode() + rows.tobytes()).hexdigest(),
        seconds=seconds,
        duration_us=seconds * 1_000_000,
        start_us=start_us,
    )
    made = {
        name: FeatureTrack(
            values=recording.with_context(recording.of(COLUMNS[name]), track)[rows].astype(np.float32),
            present=np.ones((seconds, slots_of(name)), np.float32),
            timestamps_us=start_us + 1_000_000 * np.arange(seconds, dtype=np.int64),
            description=_description(name, track),
        )
        for name, track in tracks.items()
    }
    write_record(make_record(header, made), storage.join(directory, f"{film_id}.tfrecord"))


def load_fold(
    recording: Recording,
    fold: Fold,
    films: Sequence[Film],
    tracks: Mapping[str, TrackConfig],
    directory: str,
    labels: LabelConfig,
    clip: float | None = _HIGHEST_SCORE,
) -> FoldFilms:
    """The films of a fold, normalised by its training seconds only (`prepare_fold`), without labels in the margins."""
    kept, place = fold.training_seconds(recording), prepare_fold(recording, fold, tracks, directory, clip)
    # What the one film of the statistics holds are seconds of the training films.
    statistics = replace(read_statistics(place), films=tuple(f"run{run}" for run in fold.train))
    transform = load_transform(place)
    loaded = {film.film_id: film for film in load_films(directory, films, transform, statistics, labels, list(tracks))}
    train = tuple(_without_margin(loaded[f"run{run}"], kept[recording.run == run]) for run in fold.train)
    validation, test = loaded[f"run{fold.validation}"], loaded[f"run{fold.test}"]
    assert_no_leak(train, [validation, test], statistics)
    return FoldFilms(train, validation, test)


def standard_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column, float64 [D]; infinite for a constant one, which then comes out as 0."""
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > _SMALLEST_DEVIATION, deviation, np.inf)


def running_mean(values: np.ndarray, half_s: int) -> np.ndarray:
    """Mean of [t - half_s, t + half_s], of as much of it as there is; float64 [T, D] -> float64 [T, D]."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    second = np.arange(len(values))
    first, stop = np.maximum(second - half_s, 0), np.minimum(second + half_s + 1, len(values))
    return (sums[stop] - sums[first]) / (stop - first)[:, None]


def _with_context(values: np.ndarray, config: TrackConfig) -> np.ndarray:
    # About the run's mean, so that squares don't cancel.
    centred = values - values.mean(axis=0)
    columns = [values, *(running_mean(values, half_s) for half_s in config.means_half_s)]
    for half_s in config.deviations_half_s:
        mean = running_mean(centred, half_s)
        columns.append(np.sqrt(np.maximum(running_mean(centred**2, half_s) - mean**2, 0.0)))
    return np.concatenate(columns, axis=1)


def _without_margin(film: TrainingFilm, kept: np.ndarray) -> TrainingFilm:
    known = film.known & kept
    digest = hashlib.sha256(film.digest.encode() + known.tobytes()).hexdigest()
    labels = np.where(known[:, None], film.labels, 0.0).astype(np.float32)
    return replace(film, labels=labels, known=known, label_rows=film.labels[known], digest=digest)


def _description(name: str, track: TrackConfig) -> dict[str, Any]:
    # Components are the transform's and not the record's.
    context = track.model_dump(mode="json", exclude={"components"})
    return {"source": f"studyforrest {', '.join(COLUMNS[name])}", **context}


def _label_lines(labels: np.ndarray) -> str:
    rows = [f"{second}\t{valence:.6f}\t{arousal:.6f}" for second, (valence, arousal) in enumerate(labels)]
    return "\n".join(["Time\tValence\tArousal", *rows]) + "\n"
