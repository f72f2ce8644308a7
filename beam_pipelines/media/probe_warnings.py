"""The warnings that a film's probe gives: they are known before anything is decoded, so that a dry run shows them."""

from __future__ import annotations

from beam_pipelines.contracts.film_warnings import FilmWarning, in_order, warnings_of_quality
from beam_pipelines.media.damage import describe_damage
from beam_pipelines.media.probe import FilmProbe


def warnings_of_probe(probe: FilmProbe) -> tuple[FilmWarning, ...]:
    """The warnings of a probed film, in their order; a whole film's record may have more (`warnings_of_quality`)."""
    return in_order(warnings_of_quality({"film": describe_damage(probe), "sound": probe.sound.describe()}))
