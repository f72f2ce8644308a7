"""The file names of the MediaEval 2018 Emotional Impact of Movies data set, for its readers and for the demo's writer.

MEDIAEVAL18_{ID}.mp4                                                                        films
MEDIAEVAL18-{SET}-Valence_Arousal-annotations/annotations/MEDIAEVAL18_{ID}_Valence-Arousal.txt
MEDIAEVAL18-{SET}-Audio_features/audio_features/MEDIAEVAL18_{ID}/MEDIAEVAL18_{ID}_{SEC}.csv
MEDIAEVAL18-{SET}-Visual_features/visual_features/MEDIAEVAL18_{ID}/{FEAT}/MEDIAEVAL18_{ID}-{SEC}_{FEAT}.txt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError

SETS = {
    "DevSet-Part1": range(14),
    "DevSet-Part2": range(14, 44),
    "DevSet-Part3": range(44, 54),
    "TestSet": range(54, 66),
}
TEST_SET = "TestSet"
VISUAL_DIMENSIONS = {
    "acc": 256,
    "cedd": 144,
    "cl": 33,
    "eh": 80,
    "fcth": 192,
    "gabor": 60,
    "jcd": 168,
    "sc": 64,
    "tamura": 18,
    "lbp": 256,
    "fc6": 4096,
}
"""The organisers' visual features: the number of values per second of each."""
AUDIO_DIMENSION = 1582
AUDIO_KIND = "emobase2010"
KINDS: Mapping[str, int] = {AUDIO_KIND: AUDIO_DIMENSION, **VISUAL_DIMENSIONS}
"""The organisers' kinds of features, with the number of values per second."""

_FILM = re.compile(r"(MEDIAEVAL18_(\d{2}))\.mp4")
_LABELS = re.compile(r"(MEDIAEVAL18_(\d{2}))_Valence-Arousal\.txt")


@dataclass(frozen=True)
class LayoutFilm:
    """One film of the data set.

    Attributes:
        number: its id, 0 to 65.
        path: the film's file; empty if it is absent (features may suffice).
        labels: its label file; empty if there is none.
    """

    number: int
    path: str
    labels: str

    @property
    def film_id(self) -> str:
        """Its name in all files."""
        return film_name(self.number)

    @property
    def is_test(self) -> bool:
        """Whether it belongs to the test set."""
        return set_of(self.number) == TEST_SET


def film_name(number: int) -> str:
    """The name of a film."""
    return f"MEDIAEVAL18_{number:02d}"


def set_of(number: int) -> str:
    """The set that a film belongs to.

    Raises:
        ConfigurationError: if the data set has no film of this number.
    """
    for name, numbers in SETS.items():
        if number in numbers:
            return name
    raise ConfigurationError(f"film {number}: MediaEval 2018 has the films 0 to 65")


def label_path(number: int) -> str:
    """The path of a film's labels in the data set."""
    folder = f"MEDIAEVAL18-{set_of(number)}-Valence_Arousal-annotations/annotations"
    return f"{folder}/{film_name(number)}_Valence-Arousal.txt"


def film_path(number: int) -> str:
    """The path at which `cineaffect mediaeval-demo` writes a film; readers find films by name, in any folder."""
    return f"MEDIAEVAL18-{set_of(number)}-Data/data/{film_name(number)}.mp4"


def audio_path(number: int, second: int) -> str:
    """The path of the organisers' audio features of a second, counted from 1."""
    name = film_name(number)
    return f"MEDIAEVAL18-{set_of(number)}-Audio_features/audio_features/{name}/{name}_{second:05d}.csv"


def visual_path(number: int, second: int, feature: str, separator: str = "-") -> str:
    """The path of the organisers' visual features of a second, counted from 1. The separator is `-` or `_`."""
    name = film_name(number)
    folder = f"MEDIAEVAL18-{set_of(number)}-Visual_features/visual_features/{name}/{feature}"
    return f"{folder}/{name}{separator}{second:05d}_{feature}.txt"


def list_layout(directory: str) -> list[LayoutFilm]:
    """The films of a data set, sorted. Films and labels are found by name, in any folder below `directory`.

    Raises:
        ConfigurationError: if there is neither a film nor a label file, or two files have one name.
    """
    films: dict[int, str] = {}
    labels: dict[int, str] = {}
    for info in storage.list_files(directory):
        name = info.uri.rsplit("/", 1)[-1]
        for pattern, found in ((_FILM, films), (_LABELS, labels)):
            match = pattern.fullmatch(name)
            if not match:
                continue
            number = int(match.group(2))
            set_of(number)
            if number in found:
                raise ConfigurationError(f"{found[number]} and {info.uri}: the same file twice; remove one of them")
            found[number] = info.uri
    if not films and not labels:
        raise ConfigurationError(f"{directory}: holds no MEDIAEVAL18_*.mp4 and no labels; name the unpacked data set")
    return [LayoutFilm(n, films.get(n, ""), labels.get(n, "")) for n in sorted({*films, *labels})]
