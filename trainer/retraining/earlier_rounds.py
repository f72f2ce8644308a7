"""Earlier rounds: those on the same held-out films, each one more chance of an error, and how unlike films were."""

from __future__ import annotations

from collections.abc import Mapping

from beam_pipelines.contracts.models.learned_films import find_among
from beam_pipelines.foundation import storage
from trainer.retraining.report import REPORT


def count_earlier_rounds(rounds: str, films: Mapping[str, str]) -> int:
    """The number of decided rounds that compared two models on any of these films.

    Args:
        rounds: the directory of the rounds; a round without a report has decided nothing.
        films: film id -> SHA-256 of its file.
    """
    count = 0
    for info in storage.list_files(storage.join(rounds, "*", REPORT)):
        report = storage.read_json(info.uri, "remove this round")
        if report.get("p_value", 0.0) is None:
            continue  # too few films
        # Reports of earlier versions have ids only.
        theirs = report.get("held_out_sha256") or dict.fromkeys(report["films"], "")
        count += any(find_among(theirs, film_id, sha256) is not None for film_id, sha256 in films.items())
    return count


def unlike_before(rounds: str) -> list[float]:
    """How unlike its training films the held-out films were to each round's challenger, in percent, oldest first.

    Args:
        rounds: the directory of the rounds; reports of earlier versions don't say it.
    """
    infos = sorted(storage.list_files(storage.join(rounds, "*", REPORT)), key=lambda info: (info.modified_s, info.uri))
    found = [storage.read_json(info.uri, "remove this round").get("unlike_percent", {}) for info in infos]
    return [one["challenger"] for one in found if "challenger" in one]
