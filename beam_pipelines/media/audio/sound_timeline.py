"""The sound of a film as one row of samples (or one a channel), counted from time 0; zeros where there is no sound.

audio frames (timestamps)         [----][----]      [----][----]
timeline, first pts = 0      0 0 0 x x x x x x 0 0 0 x x x x x x 0 0 0
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from beam_pipelines.media.audio.downmix import mono_samples
from beam_pipelines.media.audio.resample import resample_piece
from beam_pipelines.media.decode import RangeCounts

# Containers round timestamps (Matroska: 1 ms) and recorders jitter. A frame that is off by less than this continues
# where the one before ended; if it is off by more, its timestamp counts. ITU-R BT.1359-1: people begin to notice sound
# that is 45 ms early or 125 ms late.
_JITTER_S = Fraction(40, 1000)
# Outside this range a sampling rate is damage, not sound.
_RATES_HZ = range(1_000, 768_001)


@dataclass(frozen=True, eq=False)
class _Piece:
    begin: int
    samples: np.ndarray

    @property
    def end(self) -> int:
        return self.begin + int(self.samples.shape[-1])


class SoundTimeline:
    """Samples of decoded audio frames by position: sample n is n / `rate_hz` seconds after the film's time 0.

    It reads positions forwards only, and drops everything before the last `begin`, so memory stays constant.

    Args:
        frames: the decoded frames.
        time_base: the unit of their timestamps.
        first_pts_s: the film's time 0.
        counts: what counts frames that can't be used.
        first_is_priming: whether the first frame is the codec's own, and no sound of the film.
        samples_of: a frame's samples, float32 [..., n]; mono without it.
    """

    def __init__(
        self,
        frames: Iterator[Any],
        time_base: Fraction,
        first_pts_s: Fraction,
        counts: RangeCounts,
        first_is_priming: bool = False,
        samples_of: Callable[[Any], np.ndarray] = mono_samples,
    ):
        self._pieces = _placed(frames, time_base, first_pts_s, counts, first_is_priming, samples_of)
        self._held: deque[_Piece] = deque()
        first = next(self._pieces, None)
        self.rate_hz = 0
        self._channels: tuple[int, ...] = ()
        if first is not None:
            self.rate_hz, piece = first
            self._channels = piece.samples.shape[:-1]
            self._held.append(piece)
        self._ended = first is None

    @property
    def is_silent(self) -> bool:
        """Whether no frame of sound could be decoded."""
        return self.rate_hz == 0

    def read(self, begin: int, end: int) -> np.ndarray:
        """float32 [..., end - begin]: the samples of the half-open range, zero where the film has no sound."""
        self._advance(begin, end)
        samples = np.zeros((*self._channels, end - begin), dtype=np.float32)
        for piece in self._held:
            low, high = max(begin, piece.begin), min(end, piece.end)
            if low < high:
                samples[..., low - begin : high - begin] = piece.samples[..., low - piece.begin : high - piece.begin]
        return samples

    def covers(self, begin: int, end: int) -> bool:
        """Whether any sample in [begin, end), which must lie in the range last read, is real sound."""
        return any(max(begin, piece.begin) < min(end, piece.end) for piece in self._held)

    def _advance(self, begin: int, end: int) -> None:
        while not self._ended and (not self._held or self._held[-1].end < end):
            following = next(self._pieces, None)
            if following is None:
                self._ended = True
            else:
                self._held.append(following[1])
                self._forget_before(begin)
        self._forget_before(begin)

    def _forget_before(self, begin: int) -> None:
        while self._held and self._held[0].end <= begin:
            self._held.popleft()


def _placed(
    frames: Iterator[Any],
    time_base: Fraction,
    first_pts_s: Fraction,
    counts: RangeCounts,
    first_is_priming: bool,
    samples_of: Callable[[Any], np.ndarray],
) -> Iterator[tuple[int, _Piece]]:
    """The frames as pieces in ascending order without overlap, each with the timeline's rate: the first frame's."""
    rate_hz, expected = 0, 0
    for frame in frames:
        if frame.is_corrupt or frame.sample_rate not in _RATES_HZ or frame.samples == 0:
            continue
        try:
            samples = samples_of(frame)
        except (av.FFmpegError, ValueError):
            quality = counts.at(frame.pts)
            quality.frames_decoded -= 1
            quality.frames_corrupt += 1
            continue
        placed_before = rate_hz > 0
        rate_hz = rate_hz or frame.sample_rate
        if frame.sample_rate != rate_hz:
            samples = resample_piece(samples, frame.sample_rate, rate_hz)
        begin = expected
        if frame.pts is not None:
            begin = round((frame.pts * time_base - first_pts_s) * rate_hz)
            if placed_before and abs(begin - expected) <= _JITTER_S * rate_hz:
                begin = expected
        # Sound whose time has passed is dropped.
        samples = samples[..., max(expected - begin, 0) :] if placed_before else samples
        begin = max(begin, expected) if placed_before else begin
        count = samples.shape[-1]
        if count:
            expected = begin + count
        if count and (placed_before or not first_is_priming):
            yield rate_hz, _Piece(begin, samples)
