"""What a network takes of a film each second: the whole picture, sound, the two largest faces, or what is spoken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.resize import resize_image

Resize = Literal["stretch", "shorter_side_then_crop", "pad"]


@dataclass(frozen=True)
class PictureInput:
    """A network takes the whole picture, uint8 [height_px, width_px, 3].

    Attributes:
        height_px, width_px: the size.
        resize: `stretch` ignores the aspect ratio. `shorter_side_then_crop` scales until the shorter side has
            `shorter_side_px`, and cuts the middle out. `pad` scales until all of it fits, on black.
        shorter_side_px: None for the size itself.
    """

    height_px: int
    width_px: int
    resize: Resize = "stretch"
    shorter_side_px: int | None = None

    def fit(self, image: np.ndarray, shape: PictureShape) -> np.ndarray:
        """A picture uint8 [height, width, 3] in the network's size; `shape` says how wide its pixels are."""
        if self.resize == "stretch":
            return resize_image(image, self.height_px, self.width_px)
        height, width = Fraction(image.shape[0]), image.shape[1] * shape.pixel_aspect
        if self.resize == "pad":
            top, left, *inner = self.inner(height, width)
            fitted = np.zeros((self.height_px, self.width_px, 3), np.uint8)
            fitted[top : top + inner[0], left : left + inner[1]] = resize_image(image, *inner)
            return fitted
        if self.shorter_side_px is None:
            scale = max(self.height_px / height, self.width_px / width)
        else:
            scale = self.shorter_side_px / min(height, width)
        # torchvision and CLIP round down; a side is never smaller than what is cut out.
        sides = (max(self.height_px, math.floor(height * scale)), max(self.width_px, math.floor(width * scale)))
        top, left = (sides[0] - self.height_px) // 2, (sides[1] - self.width_px) // 2
        scaled = resize_image(image, *sides)
        return np.ascontiguousarray(scaled[top : top + self.height_px, left : left + self.width_px])

    def inner(self, height: Fraction | int, width: Fraction | int) -> tuple[int, int, int, int]:
        """Where all of a picture lies in the network's, which `pad` and `stretch` show: top, left, height and width.

        Args:
            height, width: the picture's sides in square pixels; to `stretch` they make no difference.
        """
        if self.resize == "stretch":
            return 0, 0, self.height_px, self.width_px
        scale = min(self.height_px / Fraction(height), self.width_px / Fraction(width))
        height_px, width_px = max(1, round(height * scale)), max(1, round(width * scale))
        return (self.height_px - height_px) // 2, (self.width_px - width_px) // 2, height_px, width_px


@dataclass(frozen=True)
class SoundInput:
    """A network takes mono sound, float32 [samples] in [-1, 1].

    Attributes:
        rate_hz: its sampling rate.
        samples: length of a window.
        is_centred: whether the window's middle is that of the second; else the window begins with the second.
    """

    rate_hz: int
    samples: int
    is_centred: bool = False

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.samples / self.rate_hz


@dataclass(frozen=True)
class FaceInput:
    """A network takes the two largest faces, each uint8 [size_px, size_px, 3], cut out with a margin."""

    size_px: int
    margin: float


@dataclass(frozen=True)
class TextInput:
    """A network takes what is spoken, as tokens, int64 [2, tokens]: their numbers, and 1 where there is one.

    Attributes:
        window_s: the text is that of the cues on screen within so many seconds, up to the end of the second.
        tokens: the length of a row.
    """

    window_s: int
    tokens: int


NetworkInput = PictureInput | SoundInput | FaceInput | TextInput
