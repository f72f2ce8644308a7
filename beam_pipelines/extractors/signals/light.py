"""What a single picture shows: light, colour and sharpness, of a small copy of it."""

from __future__ import annotations

import numpy as np

LINES = 240
"""Pictures with more lines are shrunk to so many: sharpness is that of details this fine, whatever a film's size."""

# BT.709's luma.
_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722


def luma_of(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3] RGB -> float32 [h, w]: BT.709's luma, from 0 (black) to 255."""
    red, green, blue = (image[:, :, channel].astype(np.float32) for channel in range(3))
    luma: np.ndarray = _RED * red + _GREEN * green + _BLUE * blue
    return luma


def light_and_colour(image: np.ndarray) -> tuple[float, ...]:
    """Luminance (mean, deviation), colourfulness, saturation, warmth and sharpness of uint8 [h, w, 3] RGB."""
    red, green, blue = planes = np.moveaxis(image, -1, 0).astype(np.float32, order="C")
    luma = _RED * red + _GREEN * green + _BLUE * blue
    highest = planes.max(axis=0)
    spread = highest - planes.min(axis=0)
    return (
        _mean(luma) / 255,
        _deviation(luma) / 255,
        colourfulness(red, green, blue),
        _mean(spread / np.maximum(highest, 1)),
        (_mean(red) - _mean(blue)) / 255,
        sharpness(luma),
    )


def colourfulness(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> float:
    """Hasler and Süsstrunk's M3 (2003): 0 for grey, 15 slightly, 45 averagely, 109 extremely colourful."""
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    deviation = np.hypot(_deviation(red_green), _deviation(yellow_blue))
    return float(deviation + 0.3 * np.hypot(_mean(red_green), _mean(yellow_blue)))


def sharpness(luma: np.ndarray) -> float:
    """log10(1 + the variance of the Laplacian) of luma from 0 to 255, without the border (Pech-Pacheco et al. 2000)."""
    if min(luma.shape) < 3:
        return 0.0
    middle = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * middle
    return float(np.log10(1 + _deviation(laplacian) ** 2))


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _deviation(values: np.ndarray) -> float:
    return float(values.std())
