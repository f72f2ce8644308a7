"""The warnings that a film's probe gives: they are known before anything is decoded, so that a dry run shows them."""

from __future__ import annotations

from beam_pipelines.contracts.film_warnings import (
    SOUND_GOES_ON_BEYOND_S,
    TRUNCATED_BEYOND_S,
    FilmWarning,
    film_warning,
    in_order,
    warnings_of_quality,
)
from beam_pipelines.media.damage import describe_file
from beam_pipelines.media.decode import MPEG_STREAMS
from beam_pipelines.media.probe import FilmProbe


def warnings_of_probe(probe: FilmProbe) -> tuple[FilmWarning, ...]:
    """The warnings of a probed film, in their order; a whole film's record may have more (`warnings_of_quality`)."""
    found = [*warnings_of_quality({"film": describe_file(probe), "sound": probe.sound.describe()})]
    goes_on_s = sound_goes_on_s(probe)
    if goes_on_s > SOUND_GOES_ON_BEYOND_S:
        found.append(film_warning("sound_goes_on", goes_on_s))
    return in_order(found)


def sound_goes_on_s(probe: FilmProbe) -> float:
    """Seconds of sound after the last picture, as the file states its sound's length; 0 where nothing reliable says it.

    Sound that begins later than the file goes on for longer than this.
    """
    # The sound of a film that was cut off was cut off too.
    if probe.container in MPEG_STREAMS or probe.jumps or probe.missing_s > TRUNCATED_BEYOND_S:
        return 0.0
    pictures_end_s = float(probe.first_pts_s - probe.file_start_s + probe.duration_s)
    return max(0.0, max((track.length_s for track in probe.sound.tracks), default=0.0) - pictures_end_s)
