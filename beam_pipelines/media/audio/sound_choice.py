"""Which of a film's sound tracks is its sound.

In this order: the track that the configuration names; else, of those that can be decoded and aren't meant for other
listeners (comments, audio description, karaoke, a dub beside the original), the default; else the one with most
channels; else the first. Mono tracks that are the channels of one sound are mixed as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from av.stream import Disposition

from beam_pipelines.media.languages import one_form

# What is beside the film's sound, or only a part of it.
_OTHER_LISTENERS = (
    Disposition.comment
    | Disposition.lyrics
    | Disposition.karaoke
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.dependent
)
# Mono tracks of one sound may end so far from each other: a packet more or less.
_ONE_LENGTH_S = 0.1
_STEREO = ("FL", "FR")
_SMPTE = ("FL", "FR", "FC", "LFE", "SL", "SR")
_CHANNEL_TITLES = {
    "FL": "l|fl|lf|left|front left|left front",
    "FR": "r|fr|rf|right|front right|right front",
    "FC": "c|fc|(front )?(center|centre)",
    "LFE": "lfe|sub|subwoofer|low frequency effects",
    "SL": "ls|sl|bl|left surround|surround left|left side|side left|back left|rear left",
    "SR": "rs|sr|br|right surround|surround right|right side|side right|back right|rear right",
}


@dataclass(frozen=True)
class SoundTrack:
    """A sound track of a film, as its file describes it.

    Attributes:
        index: index of the stream in the file.
        codec: FFmpeg's name of the decoder; empty if there is none.
        rate_hz: the sampling rate; 0 if the file's beginning doesn't show it.
        channels: the number of channels; 0 likewise.
        layout: FFmpeg's name of their layout.
        language: the language that the file names; empty if none.
        title: the title that the file gives it; empty if none.
        channel: of a mono track, the channel that it is (FFmpeg's short name); empty if nothing says so.
        disposition: FFmpeg's flags.
        length_s: its length; 0 if the file doesn't say it.
        decodable: whether a decoder takes its packets.
        same_programme: whether it belongs to the picture's programme (broadcasts have several).
    """

    index: int
    codec: str
    rate_hz: int
    channels: int
    layout: str
    language: str = ""
    title: str = ""
    channel: str = ""
    disposition: int = 0
    length_s: float = 0.0
    decodable: bool = True
    same_programme: bool = True

    def is_flagged(self, flags: Disposition) -> bool:
        """Whether the track has any of these flags."""
        return bool(self.disposition & flags)


@dataclass(frozen=True)
class SoundChoice:
    """The tracks that are a film's sound, and how they were chosen.

    Attributes:
        tracks: none, one, or several mono tracks, each with its `channel`, that are mixed.
        tracks_in_film: how many sound tracks the film has.
        not_decodable: how many of them can't be decoded.
        why: `named` in the configuration, `only` one to choose from, `default`, `most_channels`, `first` of several
            alike; `none` without sound.
        not_found: what the configuration names, if the film has no such track that can be decoded; else empty.
        mono_tracks_apart: how many mono tracks of one language there are of which only one was taken, since nothing
            says that they are channels of one sound; else 0.
        search_mb: how many MB of the file were searched to find the sound; 0 if FFmpeg's own 5 were enough.
    """

    tracks: tuple[SoundTrack, ...] = ()
    tracks_in_film: int = 0
    not_decodable: int = 0
    why: str = "none"
    not_found: str = ""
    mono_tracks_apart: int = 0
    search_mb: int = 0

    def describe(self) -> dict[str, Any]:
        """The choice as records hold it."""
        kept = ("tracks_in_film", "not_decodable", "why", "not_found", "mono_tracks_apart")
        named = ("index", "codec", "rate_hz", "layout", "language", "title", "channel")
        tracks = [{name: value for name in named if (value := getattr(track, name)) != ""} for track in self.tracks]
        return {"tracks": tracks, "layout": self.layout, **{name: getattr(self, name) for name in kept}}

    @property
    def layout(self) -> str:
        """The layout of what is mixed to mono."""
        if len(self.tracks) > 1:
            return "stereo" if len(self.tracks) == len(_STEREO) else "5.1"
        return self.tracks[0].layout if self.tracks else ""


def choose_sound(found: Sequence[SoundTrack], wanted: int | str | None = None) -> SoundChoice:
    """Chooses a film's sound.

    Args:
        found: all its sound tracks, in the file's order.
        wanted: the index of a stream, or a language or a title (in any case); None for none. If no track that can be
            decoded answers to it, it is as if it were None, and the result says so.
    """
    decodable = [track for track in found if track.decodable]
    # The sound of another programme, and tracks that never began, only if there is nothing else.
    usable = [track for track in decodable if track.same_programme] or decodable
    usable = [track for track in usable if track.rate_hz] or usable
    named = [] if wanted is None else [track for track in usable if _answers_to(track, wanted)]
    named = named or [track for track in decodable if track.index == wanted]
    candidates = named or usable
    if len(candidates) > 1:
        candidates = _for_everybody(candidates)
    apart, why = 0, "none"
    tracks: tuple[SoundTrack, ...] = ()
    if candidates:
        joined, apart = _joined(candidates)
        tracks, why = _best(joined)
    return SoundChoice(
        tracks=tracks,
        tracks_in_film=len(found),
        not_decodable=sum(not track.decodable for track in found),
        why="named" if named else why,
        not_found="" if named or wanted is None else str(wanted),
        mono_tracks_apart=apart if len(tracks) == 1 and tracks[0].channels == 1 else 0,
    )


def _answers_to(track: SoundTrack, wanted: int | str) -> bool:
    if isinstance(wanted, int):
        return track.index == wanted
    name = wanted.casefold()
    return name != "" and (name == track.title.casefold() or one_form(name) == one_form(track.language))


def _for_everybody(tracks: list[SoundTrack]) -> list[SoundTrack]:
    """The tracks without those for other listeners, and without dubs if there is an original; all if none is left."""
    tracks = [track for track in tracks if not track.is_flagged(_OTHER_LISTENERS)] or tracks
    if any(track.is_flagged(Disposition.original) for track in tracks):
        tracks = [track for track in tracks if not track.is_flagged(Disposition.dub)] or tracks
    return tracks


def _joined(tracks: Sequence[SoundTrack]) -> tuple[list[tuple[SoundTrack, ...]], int]:
    """What can be chosen: tracks, and mono tracks that are one sound; and how many mono tracks are apart."""
    mono = [track for track in tracks if track.channels == 1]
    channels = _channels(mono)
    if not channels:
        # Tracks of several languages are several sounds, as with more channels.
        is_apart = len(mono) > 1 and len({track.language for track in mono}) == 1
        return [(track,) for track in tracks], len(mono) if is_apart else 0
    one = tuple(replace(track, channel=channel) for track, channel in zip(mono, channels, strict=True))
    return [one, *((track,) for track in tracks if track.channels != 1)], 0


def _channels(mono: Sequence[SoundTrack]) -> tuple[str, ...]:
    """The channels that mono tracks are; none if they aren't those of one sound."""
    lengths_s = [track.length_s for track in mono]
    usual = {len(_STEREO): _STEREO, len(_SMPTE): _SMPTE}.get(len(mono), ())
    if not usual or len({track.language for track in mono}) > 1 or max(lengths_s) - min(lengths_s) > _ONE_LENGTH_S:
        return ()
    for named in ([track.channel for track in mono], [_channel_in(track.title) for track in mono]):
        known = tuple(name for name in named if name)
        if len(set(known)) == len(mono):
            return known
    # Titles that differ and name no channels: a dialogue and a music track, say.
    return () if len({track.title for track in mono}) > 1 else usual


def _channel_in(title: str) -> str:
    """The channel that a title names, or an empty text."""
    plain = " ".join(re.split(r"[\s_-]+", title.casefold().strip()))
    return next((name for name, titles in _CHANNEL_TITLES.items() if re.fullmatch(titles, plain)), "")


def _best(choices: Sequence[tuple[SoundTrack, ...]]) -> tuple[tuple[SoundTrack, ...], str]:
    """The best of several sounds, and why it is that."""
    if len(choices) == 1:
        return choices[0], "only"
    defaults = [one for one in choices if any(track.is_flagged(Disposition.default) for track in one)] or choices
    most = max(_count(one) for one in defaults)
    largest = [one for one in defaults if _count(one) == most]
    if len(largest) > 1:
        return largest[0], "first"
    return largest[0], "default" if len(defaults) == 1 else "most_channels"


def _count(sound: tuple[SoundTrack, ...]) -> int:
    return sum(track.channels for track in sound)
