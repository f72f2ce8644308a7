"""What the readers of H.264 and HEVC packets share: packaging, parameter sets, and the order of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from beam_pipelines.media.video.codecs.nal_units import annex_b_units, length_prefixed_units
from beam_pipelines.media.video.codecs.packet_role import UnsafeStream

# Between the orders of two IDR pictures; a picture order count is a 32-bit number.
_SEQUENCE_STEP = 1 << 33


class NalRoles(ABC):
    """Reads the packets of one stream, in decoding order.

    Args:
        length_bytes: bytes of each unit's length; 0 if units follow start codes.
        units: those of the decoder's configuration.

    Raises:
        UnsafeStream: from here and from `role`.
        ValueError, IndexError: likewise, if a header is damaged.
    """

    def __init__(self, length_bytes: int, units: Sequence[memoryview]):
        self._length_bytes = length_bytes
        self._parameter_sets: dict[tuple[int, int], bytes] = {}
        self._packets = 0
        self._previous_order = 0
        self._sequence_order = 0
        for unit in units:
            self._learn(unit)

    @abstractmethod
    def _learn(self, unit: memoryview) -> None:
        """Stores a parameter set."""

    def _units(self, packet: bytes) -> Iterator[memoryview]:
        if self._length_bytes:
            return length_prefixed_units(packet, self._length_bytes)
        return annex_b_units(packet)

    def _is_new(self, kind: int, number: int, content: bytes) -> bool:
        """Stores a parameter set of the first packet and returns True; later ones must be equal to it."""
        known = self._parameter_sets.get((kind, number))
        if known == content:
            return False
        if known is not None or self._packets:
            raise UnsafeStream("parameter sets change within the stream")
        self._parameter_sets[kind, number] = content
        return True

    def _order(self, low: int, bits: int, is_idr: bool, is_anchor: bool) -> int:
        """The picture order count (H.264 8.2.1.1, H.265 8.3.1), counted on from IDR to IDR.

        Args:
            low: its lowest bits, as the slice header has them.
            bits: how many those are; 0 if pictures are shown as they are decoded.
            is_idr: whether counting starts again.
            is_anchor: whether the next picture's count is relative to this one's.
        """
        if is_idr:
            self._sequence_order += _SEQUENCE_STEP
            self._previous_order = 0
        if not bits:
            self._sequence_order += 1
            return self._sequence_order
        span = 1 << bits
        previous_low = self._previous_order % span
        high = self._previous_order - previous_low
        if low < previous_low and previous_low - low >= span // 2:
            high += span
        elif low > previous_low and low - previous_low > span // 2:
            high -= span
        if is_anchor:
            self._previous_order = high + low
        return self._sequence_order + high + low
