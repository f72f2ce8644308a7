"""What a record says of a film's file, and from which share of damage on the film fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_pipelines.contracts.records.feature_track import VIDEO_STREAM
from beam_pipelines.foundation.errors import FilmError
from beam_pipelines.media.decode import DecodeQuality
from beam_pipelines.media.probe import FilmProbe
from beam_pipelines.media.video.colours import WHITE_NITS
from beam_pipelines.media.video.picture_shape import NO_BARS, SQUARE

STEP = "decode"


def describe_file(probe: FilmProbe) -> dict[str, Any]:
    """The entry `film` of a record's quality: counts over the whole file, what isn't there or not read.

    What `PictureShape` and the colours say is there only if it isn't the usual.
    """
    shape = probe.shape
    about: dict[str, Any] = {
        "packets": probe.packets,
        "packets_damaged": probe.packets_damaged,
        "read_errors": probe.read_errors,
        "missing_s": round(probe.missing_s, 3),
        "clock_jumps": len(probe.jumps),
        VIDEO_STREAM: probe.video_index,
    }
    if probe.unread_mb:
        about["unread_mb"] = probe.unread_mb
    if shape.pixel_aspect != SQUARE:
        about["pixel_aspect"] = round(float(shape.pixel_aspect), 4)
    if shape.interlaced:
        about["field_lines"] = (shape.width_px if shape.fields_in_columns else shape.height_px) // 2
    if probe.hdr:
        about.update(hdr=probe.hdr, hdr_white_nits=WHITE_NITS)
    if shape.bars != NO_BARS:
        about["black_bars_px"] = vars(shape.bars)
    return about


def sum_of(parts: Iterable[DecodeQuality]) -> DecodeQuality:
    """The counts of several parts of one film, added up."""
    total = DecodeQuality()
    for part in parts:
        for name, count in vars(part).items():
            setattr(total, name, getattr(total, name) + count)
    return total


def refuse_too_damaged(name: str, what: str, quality: DecodeQuality, max_damaged_share: float) -> None:
    """Refuses a film that has lost more than a share of its packets and frames.

    Callers check a whole film once (with `sum_of` if it was read in parts): a film with one bad minute is usable, even
    if one of its parts consists of nothing else.

    Args:
        name: the film.
        what: `picture` or `sound`, for the error's text.
        quality: counts of the whole film.
        max_damaged_share: share of all packets and frames that were read, including those that a plan skipped.

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
