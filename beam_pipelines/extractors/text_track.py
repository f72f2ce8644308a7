"""From the cues of a film to the track of a network that takes text.

second            t - 1     t
cues           [-- "No." --)[------ "Not now." ------)
window of 2 s  [------------------)                      "No. Not now." is the text of second t
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors.batching.film_rows import FilmRows
from beam_pipelines.media.audio.sound_entry import ENTRY_EVERY_S
from beam_pipelines.media.text.cues import Cue

_SECOND_US = 1_000_000


class TextAccumulator:
    """Turns cues into the track of a modality, float32 [T, D]. Seconds that show the same text share a row.

    A second without text is absent: its values are zero, and no network runs for it.

    Args:
        modality: the modality.
        rows: the object that takes tokens and returns their vectors.
        tokens: from a text to tokens.
        texts: the text of each second, empty where there is none.
        seconds: the seconds.
        start_us: the timestamp of second 0 on the container's clock.
    """

    def __init__(
        self,
        modality: str,
        rows: FilmRows,
        tokens: Callable[[str], np.ndarray],
        texts: Sequence[str],
        seconds: range,
        start_us: int,
    ):
        self._modality, self._rows = modality, rows
        self._timestamps_us = start_us + _SECOND_US * np.array(seconds, np.int64)
        self._row_of = np.full(len(seconds), -1)
        known: dict[str, int] = {}
        count = 0
        for place, (second, text) in enumerate(zip(seconds, texts, strict=True)):
            if second % ENTRY_EVERY_S == 0:
                # Batches restart here, so that a part of a film has those of the whole.
                rows.flush()
                known = {}
            if text and text not in known:
                rows.add(tokens(text))
                known[text], count = count, count + 1
            self._row_of[place] = known[text] if text else -1

    def finish(self, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureTrack]:
        """Runs the rest and returns the track."""
        vectors, there = self._rows.vectors(), self._row_of >= 0
        values = np.zeros((len(there), vectors.shape[1]), np.float32)
        values[there] = vectors[self._row_of[there]]
        present, description = there.astype(np.float32)[:, None], descriptions[self._modality]
        return {self._modality: FeatureTrack(values, present, self._timestamps_us, description)}


def texts_of_seconds(cues: Sequence[Cue], seconds: range, window_s: int) -> list[str]:
    """The text of each second: that of all cues on screen within [t + 1 - window_s, t + 1), in their order."""
    shown: list[list[str]] = [[] for _ in seconds]
    for cue in cues:
        first, stop = cue.start_us // _SECOND_US, -(-cue.end_us // _SECOND_US) + window_s - 1
        for second in range(max(first, seconds.start), min(stop, seconds.stop)):
            shown[second - seconds.start].append(cue.text)
    return [" ".join(texts) for texts in shown]
