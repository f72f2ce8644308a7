"""The members of an ensemble: finding exported models, comparing them, and the ensemble's card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.exported_cards import EXPORTS, versions_of
from beam_pipelines.contracts.models.exported_model import ModelReference, find_model
from beam_pipelines.contracts.models.learned_films import LearnedFilms
from beam_pipelines.contracts.models.model_card import CARD
from beam_pipelines.contracts.models.shapley import together
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError
from beam_pipelines.foundation.version import __version__


@dataclass(frozen=True, eq=False)
class Member:
    """An exported model in an ensemble.

    Attributes:
        reference: its directory, its digest, and the parts of its card that scoring needs.
        card: all of its card.
    """

    reference: ModelReference
    card: Mapping[str, Any]

    @property
    def uri(self) -> str:
        """The directory of its version."""
        return self.reference.uri

    def learned_films(self) -> LearnedFilms:
        """The films that it knows; none if its card doesn't say."""
        return LearnedFilms.of_card(self.card)


def find_members(uris: Sequence[str]) -> list[Member]:
    """The models of training runs, directories of exports, or versions; of several versions the current or newest.

    Raises:
        ConfigurationError: if there are fewer than two models, one of them occurs twice, or an address has no model.
    """
    members: list[Member] = []
    for uri in uris:
        member = find_member(uri)
        for other in members:
            if other.reference.sha256 == member.reference.sha256:
                raise ConfigurationError(f"--members: {other.uri} and {member.uri} are the same model; name it once")
        members.append(member)
    if len(members) < 2:
        raise ConfigurationError("--members: an ensemble is the mean of at least two models")
    return members


def find_member(uri: str) -> Member:
    """The model of a training run, a directory of exports, or a version; of several versions the current or newest.

    Raises:
        ConfigurationError: if the address has no model.
    """
    exports = storage.join(uri.rstrip("/"), EXPORTS)
    reference = find_model(exports if versions_of(exports) else uri)
    return Member(reference, json.loads(storage.read_text(storage.join(reference.directory, CARD))))


def assert_members_agree(members: Sequence[Member]) -> None:
    """Refuses models that can't be averaged: features, sizes, targets, label ranges or lags that differ.

    Raises:
        ConfigurationError: if two models disagree; the text names both and their values.
    """
    first = members[0]
    for member in members:
        if member.reference.card.own_range:
            raise ConfigurationError(
                f"{member.uri}: gives every film a range of its own, so a mean with other models would mean nothing"
            )
    for member in members[1:]:
        if member.reference.card.label_range != first.reference.card.label_range:
            raise ConfigurationError(
                f"{member.uri}: predicts labels in {list(member.reference.card.label_range)}, {first.uri} in "
                f"{list(first.reference.card.label_range)}; their mean would mean nothing"
            )
        if member.reference.card.targets != first.reference.card.targets:
            raise ConfigurationError(
                f"{member.uri}: predicts {' and '.join(member.reference.card.targets)}, {first.uri} "
                f"{' and '.join(first.reference.card.targets)}; average only models of the same targets"
            )
        if member.reference.card.label_lag_s != first.reference.card.label_lag_s:
            raise ConfigurationError(
                f"{member.uri}: was trained with labels.lag_s {member.reference.card.label_lag_s}, {first.uri} with "
                f"{first.reference.card.label_lag_s}; their curves speak of other seconds"
            )
    for key in ("fingerprints", "dimensions", "slots"):
        known: dict[str, tuple[Any, Member]] = {}
        for member in members:
            for modality in member.reference.card.modalities:
                value = member.card.get(key, {}).get(modality)
                if value is None:
                    raise ConfigurationError(
                        f"{storage.join(member.uri, CARD)}: {key} says nothing of {modality}; export the model again"
                    )
                expected, other = known.setdefault(modality, (value, member))
                if value != expected:
                    raise ConfigurationError(
                        f"{member.uri}: its {modality} features have {key} {value}, those of {other.uri} {expected}; "
                        "average only models that were trained on the same extraction"
                    )


def common_smoothing(members: Sequence[Member]) -> SmoothingConfig:
    """The filter that all members chose.

    Raises:
        ConfigurationError: if they chose different filters.
    """
    first = members[0]
    for member in members[1:]:
        if member.reference.card.smoothing != first.reference.card.smoothing:
            raise ConfigurationError(
                f"{member.uri} smooths with {_described(member.reference.card.smoothing)}, {first.uri} with "
                f"{_described(first.reference.card.smoothing)}: give --manifest and --records, so that the ensemble's "
                "own filter is chosen on the validation films"
            )
    return first.reference.card.smoothing


def common_explanation(members: Sequence[Member]) -> str:
    """How the curves of the members' mean are explained; empty if a member can't explain its own."""
    cards = [member.reference.card for member in members]
    return together([card.explained for card in cards]) if all(card.explains for card in cards) else ""


def modalities_of(members: Sequence[Member]) -> tuple[str, ...]:
    """The features that any member takes, in the order of their first appearance."""
    return tuple(dict.fromkeys(m for member in members for m in member.reference.card.modalities))


def merged(members: Sequence[Member], key: str) -> dict[str, Any]:
    """The cards' entries under `key`, of every modality that they take."""
    found: dict[str, Any] = {}
    for member in members:
        for modality in member.reference.card.modalities:
            if modality in member.card.get(key, {}):
                found.setdefault(modality, member.card[key][modality])
    return found


def equal_weights(count: int) -> tuple[float, ...]:
    """The same share for each of so many members."""
    return (1.0 / count,) * count


def ensemble_card(
    members: Sequence[Member], smoothing: SmoothingConfig, weights: Sequence[float], chosen_by: Mapping[str, str]
) -> dict[str, Any]:
    """The ensemble's card, without the entries that its validation and the export add.

    Its validation films are those of the members, and those that chose its own filter or weights (`chosen_by`).
    """
    identity = [member.reference.sha256 for member in members]
    if len(set(weights)) > 1:
        identity += [repr(weight) for weight in weights]
    learned = [member.learned_films() for member in members]
    sources = {film: sha256 for one in learned for film, sha256 in one.all.items()} | dict(chosen_by)
    films = {
        "train_films": sorted({film for one in learned for film in one.train}),
        "validation_films": sorted({film for one in learned for film in one.validation} | set(chosen_by)),
        "source_sha256": {film: sha256 for film, sha256 in sorted(sources.items()) if sha256},
    }
    data = "\n".join(str(member.card.get("data", {}).get("digest", "")) for member in members)
    return {
        "fingerprints": merged(members, "fingerprints"),
        "descriptions": merged(members, "descriptions"),
        "untrained_networks": sorted({m for member in members for m in member.reference.card.untrained()}),
        "seen": _seen(members),
        "smoothing": smoothing.model_dump(mode="json"),
        "label_lag_s": members[0].reference.card.label_lag_s,
        "members": [
            {
                "uri": member.uri,
                "version": member.reference.card.version,
                "sha256": member.reference.sha256,
                "weights_sha256": member.card.get("weights_sha256"),
                "seed": member.card.get("seed"),
                "weight": weight,
            }
            for member, weight in zip(members, weights, strict=True)
        ],
        "data": {"digest": hashlib.sha256(data.encode()).hexdigest(), **films},
        "weights_sha256": hashlib.sha256("\n".join(identity).encode()).hexdigest(),
        "code_version": __version__,
    }


def _seen(members: Sequence[Member]) -> dict[str, Any]:
    """What the training films were like, by the first member that takes a modality: it also measures new films."""
    found: dict[str, Any] = {}
    for member in members:
        for modality in member.reference.card.modalities:
            found.setdefault(modality, member.card.get("seen", {}).get(modality))
    return {modality: seen for modality, seen in found.items() if seen is not None}


def _described(smoothing: SmoothingConfig) -> str:
    if smoothing.method != "butterworth":
        return smoothing.method.replace("_", " ")
    return f"Butterworth of order {smoothing.order} at {smoothing.cutoff_hz:g} Hz"
