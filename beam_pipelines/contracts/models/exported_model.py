"""The exported model (contract 2): finding a SavedModel and its card, checking it against a record, and calling it.

Calling a model needs TensorFlow only: no Keras, and none of the code that trained it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.contracts.models.current_version import CURRENT, read_current
from beam_pipelines.contracts.models.model_card import CARD, FILMS_SIGNATURE, SAVED_MODEL, SECONDS_SIGNATURE, ModelCard
from beam_pipelines.contracts.models.raw_prediction import (
    RawPrediction,
    fill_between,
    mean_of_members,
    seconds_to_predict,
)
from beam_pipelines.contracts.models.seen_features import UnlikeSeconds
from beam_pipelines.contracts.models.transformed_features import unlike_film
from beam_pipelines.contracts.records.feature_changes import note_on_model, note_on_records
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX, differences
from beam_pipelines.contracts.records.records import FilmRecord, RecordHeader
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import validate
from beam_pipelines.foundation.errors import ConfigurationError, FilmError

BUILTIN = "builtin:"
"""How the name of a model begins that comes with the package."""

GPU_BLOCK_S = 8192
"""Rows (seconds of films) that a model advances at a time on a GPU, where starting an operation costs most of the time
(benchmarks/scoring.md)."""

_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelReference:
    """An exported model: its directory or `builtin:NAME`, the digest of its content, and its card."""

    uri: str
    sha256: str
    card: ModelCard

    @property
    def directory(self) -> str:
        """Its directory. What comes with the package lies elsewhere on each machine, so workers look for their own."""
        return _builtin(self.uri) if self.uri.startswith(BUILTIN) else self.uri


@dataclass(frozen=True, eq=False)
class FilmFeatures:
    """A model's input for one film: modality -> values float32 [T, D], and presence float32 [T, slots]."""

    values: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.float32]]

    @property
    def seconds(self) -> int:
        """T, the number of seconds."""
        return len(next(iter(self.values.values())))

    @property
    def size_bytes(self) -> int:
        """The size of all arrays in bytes."""
        return sum(array.nbytes for arrays in (self.values, self.present) for array in arrays.values())


def builtin_directory(name: str) -> Path:
    """The directory of a model that comes with the package, whether it exists or not."""
    return Path(__file__).parents[2] / "builtin" / name


def find_model(uri: str) -> ModelReference:
    """The model in a version's directory, or in a directory of exports: the version that its pointer `current` names.

    Without a pointer it is the highest version. `builtin:NAME` is a model that comes with the package.

    Raises:
        ConfigurationError: if there is no model or its card can't be read; the text names the file.
    """
    is_builtin = uri.startswith(BUILTIN)
    version_uri = _builtin(uri) if is_builtin else _version_directory(uri.rstrip("/"))
    card_uri = storage.join(version_uri, CARD)
    values = storage.read_json(card_uri)
    if not isinstance(values, dict):
        raise ConfigurationError(f"{card_uri}: a model card holds keys, this holds {values!r:.60}")
    card = validate(ModelCard, values, card_uri)
    for key, known in (("fingerprints", card.fingerprints), ("dimensions", card.dimensions)):
        lacking = [modality for modality in card.modalities if modality not in known]
        if lacking:
            raise ConfigurationError(f"{card_uri}: {key} says nothing of {', '.join(lacking)}; export the model again")
    with storage.local_tree(version_uri) as directory:
        if not (directory / SAVED_MODEL).is_file():
            raise ConfigurationError(f"{version_uri}: has a {CARD} but no {SAVED_MODEL}; export the model again")
        return ModelReference(uri if is_builtin else version_uri, _digest(directory), card)


def features_of(record: FilmRecord, card: ModelCard) -> FilmFeatures:
    """The input that the model of `card` takes from a film's record.

    Raises:
        FilmError: `missing_modality`, `fingerprint_mismatch` or `wrong_dimension`, if the record's features are not
            those that the model was trained on; the text names the modality and both sides.
    """
    check_header(record.header, card)
    for modality in card.modalities:
        found, expected = record.tracks[modality].values.shape[1], card.dimensions[modality]
        if found != expected:
            raise FilmError(
                "score",
                "wrong_dimension",
                f"{modality}: the record has {found} values a second, model {card.version} takes {expected}",
            )
    tracks = {modality: record.tracks[modality] for modality in card.modalities}
    return FilmFeatures(
        {modality: np.ascontiguousarray(track.values, np.float32) for modality, track in tracks.items()},
        {modality: np.ascontiguousarray(track.present, np.float32) for modality, track in tracks.items()},
    )


def check_header(header: RecordHeader, card: ModelCard) -> None:
    """Compares a record's fingerprints with the model's; raises `FilmError` as `features_of` does."""
    have = header.fingerprints()
    for modality in card.modalities:
        if modality not in have:
            raise FilmError(
                "score",
                "missing_modality",
                f"{modality}: model {card.version} needs it, the record holds {', '.join(have) or 'nothing'}; "
                "extract this modality too",
            )
        if have[modality] != card.fingerprints[modality]:
            raise FilmError(
                "score",
                "fingerprint_mismatch",
                f"{modality}: the record's features have the fingerprint {have[modality]}, model {card.version} was "
                f"trained on {card.fingerprints[modality]}"
                f"{_differences(modality, header.descriptions[modality], card.descriptions.get(modality))}",
            )


class ExportedModel:
    """A loaded SavedModel; safe to call from several threads."""

    def __init__(self, reference: ModelReference, block_s: int | None = None):
        """Loads the model.

        Args:
            reference: from `find_model`.
            block_s: rows that it advances at a time. None is `GPU_BLOCK_S` on a GPU, else the exported number. A model
                that was exported before this setting existed keeps its number.

        Raises:
            RuntimeError: if its files aren't those that the reference was made of: somebody overwrote the export, or
                this machine has another version of the package.
        """
        import tensorflow as tf

        self.card = reference.card
        with storage.local_tree(reference.directory) as directory:
            if _digest(directory) != reference.sha256:
                raise RuntimeError(
                    f"{reference.uri}: the model has changed since this run began, or is another on this machine; run "
                    "it again, with one version of the package everywhere"
                )
            self._loaded = tf.saved_model.load(str(directory))
        if block_s is None and tf.config.list_physical_devices("GPU"):
            block_s = GPU_BLOCK_S
        if block_s is not None:
            for blocks in _row_blocks(self._loaded):
                blocks.assign(block_s)

    def unlike(self, film: FilmFeatures) -> UnlikeSeconds | None:
        """How unlike the training films a film's features are; None if the card doesn't say what those were like."""
        return unlike_film(self._loaded, self.card, film.values, film.present)

    def predict(self, features: FilmFeatures, stride_s: int = 1) -> RawPrediction:
        """The curves of a whole film. They depend only on its features (and the stride, see `predict_films`)."""
        return self.predict_films([features], stride_s)[0]

    def predict_films(self, films: Sequence[FilmFeatures], stride_s: int = 1) -> list[RawPrediction]:
        """The curves of several whole films in one call, in their order; each has the bits that it has alone.

        Args:
            films: the films, whose rows are concatenated, so that short ones share the model's fixed blocks of rows.
            stride_s: the model predicts every so many seconds, and the last; the others are interpolated. The model
                card says whether that is possible (`ModelCard.assert_takes_stride`).

        Raises:
            RuntimeError: if the SavedModel returns another number of seconds than the films have.
        """
        by_second = self.card.is_ensemble or stride_s > 1
        at = [seconds_to_predict(film.seconds, stride_s) for film in films]
        values = self.ask(SECONDS_SIGNATURE if by_second else FILMS_SIGNATURE, films, at)
        return [
            mean_of_members(
                {target: fill_between(each[n], at[n], film.seconds) for target, each in values.items()},
                self.card.weights,
            )
            for n, film in enumerate(films)
        ]

    def ask(
        self, signature: str, films: Sequence[FilmFeatures], at: Sequence[NDArray[np.int64]]
    ) -> dict[str, list[NDArray[np.float32]]]:
        """What a signature gives for some films in one call: target -> for each film, float32 [values, seconds].

        Args:
            signature: one that takes several films; `FILMS_SIGNATURE` gives every second.
            films: the films.
            at: each film's seconds, int64 [N].

        Raises:
            RuntimeError: if the SavedModel returns another number of seconds.
        """
        import tensorflow as tf

        starts = np.cumsum([0, *(film.seconds for film in films)])
        inputs = {"row_splits": tf.constant(starts, tf.int64)}
        for modality in self.card.modalities:
            inputs[modality] = tf.constant(_joined([film.values[modality] for film in films]))
            inputs[modality + PRESENT_SUFFIX] = tf.constant(_joined([film.present[modality] for film in films]))
        if signature != FILMS_SIGNATURE:
            rows = [seconds + start for seconds, start in zip(at, starts[:-1], strict=True)]
            inputs["rows"] = tf.constant(np.concatenate(rows), tf.int64)
        outputs = self._loaded.signatures[signature](**inputs)
        stops = np.cumsum([len(seconds) for seconds in at])
        values = {}
        for target in self.card.targets:
            given = outputs[target].numpy()
            if given.shape[-1] != stops[-1]:
                raise RuntimeError(f"the model gives {target} {given.shape} for {stops[-1]} seconds")
            values[target] = np.split(given.reshape(-1, stops[-1]), stops[:-1], axis=1)
        return values


def _row_blocks(loaded: Any) -> Iterator[Any]:
    """The variables with the number of rows that are advanced at a time: one, or one per member of an ensemble."""
    if hasattr(loaded, "row_block"):
        yield loaded.row_block
    for member in getattr(loaded, "loaded", ()):
        yield from _row_blocks(member)


def _joined(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _builtin(uri: str) -> str:
    name = uri.removeprefix(BUILTIN)
    there = sorted(path.parent.name for path in builtin_directory("").glob(f"*/{CARD}"))
    if name not in there:
        raise ConfigurationError(f"{uri}: no such model comes with this package; there is {BUILTIN}{', '.join(there)}")
    return str(builtin_directory(name))


def _version_directory(uri: str) -> str:
    if storage.stat(storage.join(uri, CARD)):
        return uri
    cards = [info.uri for info in storage.list_files(uri) if info.uri.rsplit("/", 1)[-1] == CARD]
    versions = {}
    for card_uri in cards:
        relative = card_uri.removeprefix(uri + "/").split("/")
        if len(relative) == 2 and relative[0].isdigit():
            versions[int(relative[0])] = storage.join(uri, relative[0])
    current = read_current(uri)
    if current is not None:
        if current not in versions:
            raise ConfigurationError(
                f"{storage.join(uri, CURRENT)}: names version {current}, which is not there (there are "
                f"{sorted(versions)}); run `cineaffect rollback --exports {uri} --to VERSION`"
            )
        return versions[current]
    if not versions:
        raise ConfigurationError(
            f"{uri}: no exported model: neither a {CARD} in it nor numbered versions that hold one; "
            "name a version's directory, or the directory of exports"
        )
    return versions[max(versions)]


def _digest(directory: Path) -> str:
    state = hashlib.sha256()
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        state.update(f"{path.relative_to(directory).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                state.update(chunk)
    return state.hexdigest()


def _differences(modality: str, found: Mapping[str, Any], expected: Mapping[str, Any] | None) -> str:
    if expected is None:
        return ""
    shown = differences(found, expected)
    note = note_on_records({modality: found}) or note_on_model({modality: expected})
    return (f" ({shown})" if shown else "") + (f"; {note}" if note else "")
