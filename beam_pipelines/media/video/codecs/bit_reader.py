"""Bits, and the variable-length numbers of H.264 and HEVC, from the first bytes of a header."""

from __future__ import annotations

# A Golomb number of more zeros than this is damage: no header field of these codecs is wider than 32 bits.
_MAX_LEADING_ZEROS = 32


class BitReader:
    """Reads a header, starting at its first bit.

    Args:
        data: the bytes; the reader removes emulation prevention bytes, and raises ValueError beyond their end.
    """

    def __init__(self, data: bytes):
        data = data.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        """The next `count` bits as a number, highest first.

        Raises:
            ValueError: if fewer bits are left.
        """
        if count > self._left:
            raise ValueError("a header ends too early")
        self._left -= count
        number = self._value >> self._left
        # Only the rest is kept, so that its length shows where its first 1 is.
        self._value -= number << self._left
        return number

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.bits(1))

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number, ue(v) (ITU-T H.264, 9.1).

        Raises:
            ValueError: if the number has more than 33 bits, or the data ends before it does.
        """
        zeros = self._left - self._value.bit_length()
        if zeros > _MAX_LEADING_ZEROS:
            raise ValueError("a header holds a number that is too large")
        return self.bits(2 * zeros + 1) - 1

    def signed_golomb(self) -> int:
        """A signed Exp-Golomb number, se(v)."""
        number = self.golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)
