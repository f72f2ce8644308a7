"""Which sound tracks are a film's sound: the rules, on descriptions of tracks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from av.stream import Disposition

from beam_pipelines.media.audio.sound_choice import SoundChoice, SoundTrack, choose_sound

NONE = Disposition(0)


def track(index: int, channels: int = 2, flags: Disposition = NONE, **more: object) -> SoundTrack:
    """A track that can be decoded."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    return replace(SoundTrack(index, "aac", 48_000, channels, layout, disposition=int(flags)), **more)


def mono(count: int, **more: object) -> list[SoundTrack]:
    """Mono tracks with the indices 1, 2, … and a length of 3 s; a list among `more` has a value for each."""
    return [
        track(place + 1, 1, **{"length_s": 3.0, **{k: v[place] if isinstance(v, list) else v for k, v in more.items()}})
        for place in range(count)
    ]


def indices(choice: SoundChoice) -> list[int]:
    return [each.index for each in choice.tracks]


@pytest.mark.parametrize(
    ("tracks", "chosen", "why"),
    [
        ([], [], "none"),
        ([track(1)], [1], "only"),
        ([track(1), track(2)], [1], "first"),
        ([track(1), track(2, 6)], [2], "most_channels"),
        ([track(1, 6), track(2, flags=Disposition.default)], [2], "default"),
        ([track(1, flags=Disposition.default), track(2, 6, Disposition.default)], [2], "most_channels"),
        ([track(1, decodable=False), track(2)], [2], "only"),
        ([track(1, 6, Disposition.default, same_programme=False), track(2), track(3)], [2], "first"),
        ([track(1, same_programme=False)], [1], "only"),
        ([track(1, rate_hz=0), track(2)], [2], "only"),
        ([track(1, rate_hz=0)], [1], "only"),
        ([track(1, decodable=False)], [], "none"),
        # A dub is left out beside an original, and only there.
        ([track(1, flags=Disposition.dub | Disposition.default), track(2, flags=Disposition.original)], [2], "only"),
        ([track(1, flags=Disposition.dub | Disposition.default), track(2)], [1], "default"),
    ],
)
def test_the_order_of_the_rules(tracks: list[SoundTrack], chosen: list[int], why: str):
    choice = choose_sound(tracks)
    assert (indices(choice), choice.why) == (chosen, why)
    assert choice.tracks_in_film == len(tracks)
    assert choice.not_decodable == sum(not each.decodable for each in tracks)


@pytest.mark.parametrize("flag", ["comment", "hearing_impaired", "visual_impaired", "karaoke", "clean_effects"])
def test_a_track_for_other_listeners_is_chosen_only_if_there_is_no_other(flag: str):
    beside = track(1, 6, Disposition[flag] | Disposition.default)
    assert indices(choose_sound([beside, track(2)])) == [2]
    assert indices(choose_sound([beside])) == [1]


def test_the_configuration_names_an_index_a_language_or_a_title():
    tracks = [
        track(1, 6, Disposition.default, language="ger"),
        track(2, flags=Disposition.comment, language="eng", title="Director's cut"),
        track(3, language="eng"),
        track(4, language="fre", decodable=False),
    ]
    for wanted, chosen in ((2, 2), (3, 3), ("eng", 3), ("ENG", 3), ("deu", 1), ("director's CUT", 2)):
        choice = choose_sound(tracks, wanted)
        assert (indices(choice), choice.why, choice.not_found) == ([chosen], "named", "")
    for wanted in (0, 7, 4, "fra", "fre", "ita", ""):
        choice = choose_sound(tracks, wanted)
        assert (indices(choice), choice.why, choice.not_found) == ([1], "default", str(wanted))


def test_an_index_names_a_track_of_another_programme_too():
    tracks = [track(1, language="eng"), track(2, same_programme=False, language="ger")]
    choice = choose_sound(tracks, 2)
    assert (indices(choice), choice.why, choice.not_found) == ([2], "named", "")
    assert (indices(choose_sound(tracks, "ger")), choose_sound(tracks, "ger").not_found) == ([1], "ger")


def test_mono_tracks_of_one_length_and_language_are_the_channels_of_one_sound():
    for count, channels in ((2, ["FL", "FR"]), (6, ["FL", "FR", "FC", "LFE", "SL", "SR"])):
        choice = choose_sound(mono(count))
        assert [each.channel for each in choice.tracks] == channels
        assert (indices(choice), choice.why) == (list(range(1, count + 1)), "only")
        assert (choice.layout, choice.mono_tracks_apart) == ({2: "stereo", 6: "5.1"}[count], 0)


def test_tags_say_which_mono_track_is_which_channel():
    titled = mono(6, title=["Left", "right", "Left Surround", "rear-right", "LFE", "Centre"])
    assert [each.channel for each in choose_sound(titled).tracks] == ["FL", "FR", "SL", "SR", "LFE", "FC"]
    stored = mono(2, channel=["FR", "FL"], title="Sound")
    assert [each.channel for each in choose_sound(stored).tracks] == ["FR", "FL"]
    assert [each.channel for each in choose_sound(mono(2, channel="FC")).tracks] == ["FL", "FR"]


@pytest.mark.parametrize(
    "tracks", [mono(3), mono(8), mono(2, length_s=[3.0, 2.5]), mono(2, title=["Dialogue", "Music"])]
)
def test_other_mono_tracks_stay_apart_and_the_choice_says_so(tracks: list[SoundTrack]):
    choice = choose_sound(tracks)
    assert (indices(choice), choice.mono_tracks_apart) == ([1], len(tracks))


def test_mono_tracks_of_several_languages_are_several_sounds():
    choice = choose_sound(mono(2, language=["eng", "fre"]))
    assert (indices(choice), choice.why, choice.mono_tracks_apart) == ([1], "first", 0)
    named = choose_sound(mono(4, language=["eng", "fre", "eng", "fre"]), "fre")
    assert (indices(named), [each.channel for each in named.tracks]) == ([2, 4], ["FL", "FR"])


def test_mono_tracks_beside_others_are_chosen_from_as_one_sound():
    first_default = [replace(each, disposition=int(Disposition.default)) for each in mono(1)] + mono(6)[1:]
    assert len(choose_sound([*first_default, track(7)]).tracks) == 6
    assert indices(choose_sound([*mono(2), track(7, 6)])) == [7]
    assert indices(choose_sound([*mono(3), track(7)])) == [7]
    assert choose_sound([*mono(3), track(7)]).mono_tracks_apart == 0
    assert indices(choose_sound(mono(6), 4)) == [4]
    assert choose_sound(mono(6), 4).mono_tracks_apart == 0
