"""What this version makes of films otherwise than earlier ones: part of the fingerprints, and a sentence for people.

Whoever has records or models of an earlier version is told once, by the driver of a job, what changed and what to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A change of how features are made.

    Attributes:
        key, value: the entry of descriptions that says so; another value, or none, is that of an earlier version.
        modalities: whose features it changes.
        why: a clause that says what is done now.
    """

    key: str
    value: str
    modalities: tuple[str, ...]
    why: str


CHANGES = (
    Change(
        "time",
        "joined_clock",
        ("image", "vgg16", "face", "audio", "opensmile_is10", "picture_signals", "sound_signals"),
        "joined recordings are one film without gaps",
    ),
    Change(
        "colours",
        "sdr_bt709",
        ("image", "vgg16", "face", "picture_signals"),
        "HDR films become SDR, and large pictures without a colour matrix are BT.709",
    ),
    Change(
        "looked_for_in",
        "square_pixels_of_one_field",
        ("face",),
        "faces are looked for in square pixels, and in one field of interlaced pictures",
    ),
    Change(
        "mix",
        "mono_16khz_bs775_stereo_level",
        ("audio", "opensmile_is10"),
        "the sound track is chosen by other rules, and 5.1 sound is as loud as stereo",
    ),
)
"""All changes; a further one of the same key takes the earlier one's place."""


def made_now(modality: str) -> dict[str, str]:
    """The entries that this version's description of a modality has from `CHANGES`."""
    return {change.key: change.value for change in CHANGES if modality in change.modalities}


def since_made(descriptions: Mapping[str, Mapping[str, Any]]) -> str:
    """What has changed since features were made: modalities and clauses; empty if they are of this version.

    Args:
        descriptions: modality -> description of the features, from a record or a model's card.
    """
    clauses = []
    for change in CHANGES:
        described = ((modality, descriptions.get(modality)) for modality in change.modalities)
        # Only what this project has extracted has a rate.
        older = [m for m, found in described if found and "rate_hz" in found and found.get(change.key) != change.value]
        if older:
            clauses.append(f"{change.why} ({', '.join(older)})")
    return "; ".join(clauses)


def note_on_records(descriptions: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence about records of an earlier version; empty if they are of this one."""
    since = since_made(descriptions)
    if not since:
        return ""
    return (
        f"the records are of an earlier version, since which {since}: `cineaffect extract` makes these features again; "
        "then run `cineaffect prepare` and `cineaffect train`, for models of the old ones don't take the new ones"
    )


def note_on_model(descriptions: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence about a model of an earlier version; empty if it is of this one."""
    since = since_made(descriptions)
    if not since:
        return ""
    return (
        f"the model was trained on features of an earlier version, since which {since}: it takes records of that "
        "version only; for new ones run `cineaffect extract` on its training films, `cineaffect prepare` and "
        "`cineaffect train`"
    )
