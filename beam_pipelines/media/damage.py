"""How much of a film may be lost before what is left no longer stands for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe

STEP = "decode"


def describe_damage(probe: FilmProbe) -> dict[str, Any]:
    """What a record says of the film as a whole, whatever is decoded of it: counts, and whether it was cut off."""
    return {
        "packets": probe.packets,
        "packets_damaged": probe.packets_damaged,
        "read_errors": probe.read_errors,
        "missing_s": round(probe.missing_s, 3),
        "truncated": probe.truncated,
    }


def sum_of(parts: Iterable[DecodeQuality]) -> DecodeQuality:
    """The counts of parts of one film, taken together."""
    total = DecodeQuality()
    for part in parts:
        for name, count in vars(part).items():
            setattr(total, name, getattr(total, name) + count)
    return total


def refuse_too_damaged(name: str, what: str, quality: DecodeQuality, max_damaged_share: float) -> None:
    """Raises an error for a film of whose packets and frames more than a share are lost.

    To be asked once for a whole film (of one that is read in parts with `sum_of` its parts): a film with one bad minute
    is not lost, though a part may consist of nothing else.

    Args:
        name: the film.
        what: `picture` or `sound`, for the error's words.
        quality: counts of the whole film.
        max_damaged_share: of all packets and frames that were met, the ones included that a plan passed over.

    Raises:
        FilmError: step `decode`, reason `too_damaged`.
    """
    if quality.damaged <= max_damaged_share * quality.met:
        return
    raise FilmError(
        STEP,
        "too_damaged",
        f"{name}: of {quality.met} packets of its {what} {quality.damaged} are lost ({quality.packet_errors} can't be "
        f"decoded, {quality.frames_corrupt} are damaged), more than decode.max_damaged_share of {max_damaged_share:g}",
    )
