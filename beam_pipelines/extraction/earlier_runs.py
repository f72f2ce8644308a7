"""The results of earlier runs that an extract run keeps: one value, passed from the job to the workers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from beam_pipelines.contracts.records.records import fingerprint
from beam_pipelines.contracts.runs import FilmOutcome, is_carried_over
from beam_pipelines.extraction.missing import stat_source
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.films.catalogue import Film
from beam_pipelines.foundation.storage import FileInfo
from beam_pipelines.foundation.version import __version__


@dataclass(frozen=True)
class ListedFilm:
    """A film with its failure in an earlier run, if there is one: what a worker gets."""

    film: Film
    failure: FilmOutcome | None = None

    def row(self) -> list[Any]:
        """This film as plain values."""
        failure = None if self.failure is None else asdict(self.failure)
        return [self.film.row(), failure and {**failure, "warnings": []}]

    @classmethod
    def of_row(cls, row: list[Any]) -> ListedFilm:
        """The film of these values."""
        return cls(Film.of_row(row[0]), FilmOutcome(**{**row[1], "warnings": ()}) if row[1] else None)


@dataclass(frozen=True)
class EarlierRuns:
    """The records and failures of earlier runs that this run keeps.

    Attributes:
        force: whether no record is kept, so that films that are up to date are extracted again.
        run_started_s: when this run began (`job.storage_time_s`). A younger record is this run's own work, found by a
            worker that took over from a lost one.
        failures: film id -> its failure in an earlier run, from `read_failures`.
        attempt: the digest from `name_attempt`; failures of another attempt are not kept.
    """

    force: bool = False
    run_started_s: float = math.inf
    failures: Mapping[str, FilmOutcome] = field(default_factory=dict)
    attempt: str = ""

    def made_by_this_run(self, record: FileInfo | None) -> bool:
        """Whether this same run has written a record."""
        return record is not None and record.modified_s > self.run_started_s

    def listed(self, film: Film) -> ListedFilm:
        """A film with its failure."""
        return ListedFilm(film, self.failures.get(film.film_id))

    def carried_over(self, listed: ListedFilm) -> FilmOutcome | None:
        """The failure to keep, since neither film nor attempt has changed; None if the film must be tried.

        Raises:
            FilmError: if the film's file can't be examined.
        """
        film, failure = listed.film, listed.failure
        if failure is None or failure.source_uri != film.uri:
            return None
        source = stat_source(film)
        same = is_carried_over(failure, source.size_bytes, source.modified_s, self.attempt)
        return replace(failure, carried_over=True) if same else None


def name_attempt(config: ExtractConfig, descriptions: Mapping[str, Mapping[str, Any]]) -> str:
    """A digest of all that decides whether a film can be extracted: limits, features, version."""
    made = {modality: fingerprint(description) for modality, description in descriptions.items()}
    made["sound"] = str(config.sound_track)
    limits = config.limits.model_dump(exclude={"decoder_memory_mb"})
    refusals = {"max_damaged_share": config.decode.max_damaged_share, "refuse": sorted(config.refuse)}
    return fingerprint({"limits": limits, **refusals, "made": made, "version": __version__})
