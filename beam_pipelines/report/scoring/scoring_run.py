"""Reading the files of a scoring run (contract 3): its manifest, failures, table of curves and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from beam_pipelines.contracts.curves.curve_table import list_parts, read_curves, read_markers, read_part
from beam_pipelines.contracts.curves.curves import AffectCurve
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.film_warnings import FilmWarning
from beam_pipelines.contracts.runs import EVALUATION, RUN_MANIFEST, FilmOutcome, read_failures
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

DEFAULT_LABEL_RANGE = (-1.0, 1.0)


@dataclass(frozen=True)
class ScoringRun:
    """A finished scoring run.

    Attributes:
        directory: the run's directory.
        manifest: its `run_manifest.json`.
        failures: its films without a curve, sorted by film id.
        evaluation: rows of its `evaluation.json`; empty if the curves were not compared with labels.
    """

    directory: str
    manifest: dict[str, Any]
    failures: tuple[FilmOutcome, ...]
    evaluation: tuple[dict[str, Any], ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model takes; empty in manifests of earlier versions."""
        return tuple(self.manifest.get("model", {}).get("fingerprints", ()))

    @property
    def label_lag_s(self) -> int:
        """How many seconds earlier the model's labels were put; 0 in manifests of earlier versions."""
        return int(self.manifest.get("model", {}).get("label_lag_s", 0))

    @property
    def smoothing(self) -> SmoothingConfig:
        """How its curves were smoothed; not at all in manifests that don't say."""
        return SmoothingConfig.model_validate(self.manifest.get("smoothing") or {"method": "none"})

    @property
    def label_range(self) -> tuple[float, float]:
        """The lowest and highest label, from the manifest's `model`; [-1, 1] if it has none."""
        low, high = self.manifest.get("model", {}).get("label_range", DEFAULT_LABEL_RANGE)
        return float(low), float(high)

    @property
    def targets(self) -> tuple[str, ...]:
        """What the model predicts; both in manifests of earlier versions."""
        return tuple(self.manifest.get("model", {}).get("targets", TARGETS))

    @property
    def own_range(self) -> bool:
        """Whether the model gives every film a range of its own, so that levels of two films can't be compared."""
        return bool(self.manifest.get("model", {}).get("own_range", False))

    def count(self) -> int:
        """The number of films with curves of this run; its table may hold more, carried over from earlier runs."""
        films = self.manifest.get("films", {})
        return int(films.get("done", 0)) + int(films.get("skipped", 0))

    def curves(self) -> Iterator[AffectCurve]:
        """Every film's curve, part by part of the table; within a part sorted by film id."""
        for uri in list_parts(self.directory):
            yield from read_curves(uri)

    def film_ids(self) -> list[str]:
        """The films of the table, sorted; read from the footers of its parts."""
        return sorted(marker.film_id for uri in list_parts(self.directory) for marker in read_markers(uri))

    def curve(self, film: str) -> AffectCurve:
        """The curve of one film, by its id or by its name as people wrote it.

        Raises:
            ConfigurationError: if there is no such film; the text names the nearest.
        """
        film_id = film_named(film, self.film_ids())
        for uri in list_parts(self.directory):
            if any(marker.film_id == film_id for marker in read_markers(uri)):
                return read_part(uri, film_id)[film_id]
        raise ConfigurationError(f"{self.directory}: its table was changed while {film_id} was looked up; try again")

    def warnings(self) -> dict[str, tuple[FilmWarning, ...]]:
        """Film id -> the film's warnings, from the done markers of the table."""
        return {m.film_id: m.warnings for uri in list_parts(self.directory) for m in read_markers(uri)}

    def agreement(self) -> dict[str, dict[str, float | None]]:
        """Film id -> target -> Pearson correlation of the smoothed curve with the labels, for evaluated films."""
        found: dict[str, dict[str, float | None]] = {}
        for row in self.evaluation:
            if row.get("scope") == "film" and row.get("predictor") == "smoothed" and row.get("target") in TARGETS:
                found.setdefault(str(row["film_id"]), {})[row["target"]] = row.get("pcc")
        return found


def film_named(film: str, film_ids: Sequence[str]) -> str:
    """The id of a film that somebody asks for by its id or by its name as people wrote it.

    Raises:
        ConfigurationError: if there is no such film; the text names the nearest.
    """
    if film in film_ids:
        return film
    by_name = {shown_name(film_id): film_id for film_id in film_ids}
    if film in by_name:
        return by_name[film]
    near = get_close_matches(film, by_name, n=1) or [name for name in by_name if film.casefold() in name.casefold()][:1]
    meant = f"; did you mean '{near[0]}'?" if near else f" (they hold {len(film_ids)} films)"
    raise ConfigurationError(f"--film: these scores have no film '{film}'{meant}")


def read_scoring_run(directory: str) -> ScoringRun:
    """Reads a scoring run, local or `gs://`, except its curves, which are read later one by one.

    Raises:
        ConfigurationError: if the directory has no manifest, so that its run did not finish, or a file isn't JSON.
    """
    uri = storage.join(directory, RUN_MANIFEST)
    manifest = _read_json(uri)
    if manifest is None:
        raise ConfigurationError(f"{uri}: absent, so no scoring run has finished there; cineaffect score makes one")
    if manifest.get("job") != "score":
        raise ConfigurationError(f"{uri}: is the manifest of a run of '{manifest.get('job')}', not of 'score'")
    evaluation = _read_json(storage.join(directory, EVALUATION)) or {}
    return ScoringRun(directory, manifest, tuple(read_failures(directory).values()), tuple(evaluation.get("rows", ())))


def _read_json(uri: str) -> dict[str, Any] | None:
    try:
        document = storage.read_json(uri)
    except FileNotFoundError:
        return None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{uri}: holds no JSON object")
    return document
