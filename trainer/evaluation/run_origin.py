"""From what model a run's curves come: which networks were untrained, and which films the model knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from beam_pipelines.contracts.curves.done_marker import from_json, marker_uri
from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.models.learned_films import LearnedFilms, find_among
from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


@dataclass(frozen=True)
class RunOrigin:
    """What a run says of its model.

    Attributes:
        untrained: the modalities whose features come from untrained networks; None if the run doesn't say.
        learned: the films that the model knows; None if the run doesn't say.
        label_lag_s: how many seconds earlier its labels were put; None if the run doesn't say.
        own_range: whether the model gives every film a range of its own.
        calibrated: the films that gave the model its bands.
    """

    untrained: tuple[str, ...] | None = None
    learned: LearnedFilms | None = None
    label_lag_s: int | None = None
    own_range: bool = False
    calibrated: tuple[str, ...] = ()

    def with_beside(self, beside: RunOrigin, where: str) -> RunOrigin:
        """The origin of curves and of those beside them, in the directory `where`: the films that either model knows.

        Raises:
            ConfigurationError: if the two models have other lags, since one set of ratings can't fit both.
        """
        lags_s = [one.label_lag_s for one in (self, beside) if one.label_lag_s is not None]
        if len(set(lags_s)) > 1:
            raise ConfigurationError(
                f"{where}: its model was trained with labels.lag_s {lags_s[1]}, the one whose curves lie above it with "
                f"{lags_s[0]}, so they speak of other seconds; evaluate each in a directory of its own"
            )
        known = [one.learned for one in (beside, self) if one.learned is not None]
        train, validation = (
            {film_id: sha256 for one in known for film_id, sha256 in getattr(one, split).items()}
            for split in ("train", "validation")
        )
        learned = LearnedFilms(train, validation) if known else None
        return replace(self, learned=learned, label_lag_s=lags_s[0] if lags_s else None)


def origin_of_run(scores: str) -> RunOrigin:
    """What a scoring run says of its model in `run_manifest.json`, a training run in the card of its newest model.

    Curves of other systems have neither, and manifests and cards of earlier versions say less.

    Raises:
        ConfigurationError: if the manifest is not JSON.
    """
    try:
        manifest = storage.read_json(storage.join(scores, RUN_MANIFEST), "run `cineaffect score` again")
        untrained, described = manifest.get("untrained"), manifest.get("model") or {}
    except FileNotFoundError:
        cards = exported_cards(scores)
        described = cards[max(cards)] if cards else {}
        untrained = described.get("untrained_networks")
    return RunOrigin(
        None if untrained is None else tuple(untrained),
        LearnedFilms.of_card(described) if described.get("data") else None,
        described.get("label_lag_s"),
        bool(described.get("own_range")),
        tuple((described.get("calibration") or {}).get("films", ())),
    )


def known_films(learned: LearnedFilms, scores: str, film_ids: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of some films of a run that its model has learned from, and those that chose its epoch and filter."""
    sources = {film_id: _source_sha256(scores, film_id) for film_id in film_ids}

    def among(films: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(film_id for film_id, sha256 in sources.items() if find_among(films, film_id, sha256) is not None)

    return among(learned.train), among(learned.validation)


def _source_sha256(scores: str, film_id: str) -> str:
    try:
        marker = from_json(storage.read_text(marker_uri(scores, film_id)))
    except FileNotFoundError:  # the trainer's own curves: their ids are those of its card
        return ""
    return "" if marker is None else marker.source_sha256


def known_note(learned_from: Sequence[str], chosen_on: Sequence[str], films: int) -> str:
    """The lines under figures of films that the model knows; empty if it knows none."""
    lines = []
    if learned_from:
        lines.append(
            f"the model has learned from {len(learned_from)} of these {films} films, and their figures say nothing of "
            f"new films: {', '.join(learned_from)}"
        )
    if chosen_on:
        lines.append(
            f"{len(chosen_on)} of these {films} films chose the model's epoch and filter, and their figures are too "
            f"good: {', '.join(chosen_on)}"
        )
    return "\n".join(lines)


def bands_note(without: Sequence[str]) -> str:
    """The line under the bands' figures about films that had a part in the model or its bands; empty if none had."""
    if not without:
        return ""
    return (
        f"how well bands hold is not measured on {len(without)} of these films, from which the model or its bands were "
        f"made: {', '.join(without)}"
    )


def own_range_note() -> str:
    """The line under figures of a model that gives every film a range of its own."""
    return (
        "the model gives every film a range of its own: MSE and CCC would compare levels that mean nothing, and so "
        "would PCC over all films together; PCC of a film, and its mean over films, count"
    )


def untrained_note(modalities: Sequence[str]) -> str:
    """The line under figures of untrained networks, which mean nothing beyond a demo."""
    return f"made from untrained networks ({', '.join(modalities)}): for demonstration only"
