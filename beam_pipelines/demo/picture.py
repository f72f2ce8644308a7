"""The moving picture of a demo film: a scene whose colours, shapes and faces follow valence and arousal.

Every frame must show both, because features come from one frame per second:

- valence: the colours go from a cold, dark blue to a warm, bright yellow, and faces are larger and warmer;
- arousal: bands in the background become narrow and high in contrast, shapes many and stark, and all moves faster.

Some differences between films mean nothing: the pattern of the background, the kind of shape and its path, brightness,
tint, and film grain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from beam_pipelines.demo.latent import Latent

WIDTH_PX, HEIGHT_PX = 320, 180
FRAMES_PER_S = 12
MOST_SHAPES = 26
PATTERN_PX = 512
"""The side of the background pattern, which repeats without a seam: a power of two above the picture's width."""

# Colours (RGB) at valence -1, 0 and +1, each as the dark and the light end of the background's bands.
_DARK = np.array([[12, 18, 58], [62, 74, 84], [166, 92, 30]], float)
_LIGHT = np.array([[48, 66, 138], [124, 136, 138], [255, 208, 112]], float)

# The photograph's head with hair and cap, around the face that MTCNN finds at (178, 110), 173 x 220 px.
_HEAD_LEFT, _HEAD_TOP, _HEAD_WIDTH, _HEAD_HEIGHT = 96, 34, 336, 400
_FACE_HEIGHT = 220

# Levels that film grain is added to; the margin below and above keeps the sum within a byte.
_BLACK, _WHITE = 8, 247
_GRAIN = 6

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """The random choices of one film.

    Attributes:
        pattern: uint8 [PATTERN_PX + HEIGHT_PX, PATTERN_PX + WIDTH_PX], the background's bands before colouring.
        grain: uint8 [PATTERN_PX, PATTERN_PX, 4], film grain modulo 256; each frame shows another part of it.
        gain: brightness of the film, about 1.
        tint: float64 [3], colour cast in levels (red, green, blue).
        shape: kind of the shapes: 0 disc, 1 square, 2 diamond.
        starts: float64 [MOST_SHAPES, 2], positions of shapes at the start (0 to 1, left to right and top to bottom).
        speeds: float64 [MOST_SHAPES, 2], picture widths and heights per second at full arousal.
        sizes: float64 [MOST_SHAPES], relative size, about 1.
        light: bool [MOST_SHAPES], light shapes; the others are dark.
        face_phase: float64 [2], phases of the faces' slow movement.
    """

    pattern: Image
    grain: Image
    gain: float
    tint: NDArray[np.float64]
    shape: int
    starts: NDArray[np.float64]
    speeds: NDArray[np.float64]
    sizes: NDArray[np.float64]
    light: NDArray[np.bool_]
    face_phase: NDArray[np.float64]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draws a film's scene."""
    return Scene(
        pattern=_draw_pattern(rng),
        grain=_draw_grain(rng),
        gain=rng.uniform(0.92, 1.06),
        tint=rng.uniform(-7, 7, 3),
        shape=int(rng.integers(3)),
        starts=rng.uniform(size=(MOST_SHAPES, 2)),
        speeds=rng.uniform(0.1, 0.5, (MOST_SHAPES, 2)) * rng.choice([-1.0, 1.0], (MOST_SHAPES, 2)),
        sizes=rng.uniform(0.7, 1.3, MOST_SHAPES),
        light=rng.permutation(np.arange(MOST_SHAPES) % 2 == 0),
        face_phase=rng.uniform(0, 2 * np.pi, 2),
    )


def draw_frames(scene: Scene, latent: Latent, rng: np.random.Generator) -> Iterator[Image]:
    """All frames of a film in order, each RGBA uint8 [HEIGHT_PX, WIDTH_PX, 4]; frame n begins at n / FRAMES_PER_S."""
    time_s = np.arange(latent.seconds * FRAMES_PER_S) / FRAMES_PER_S
    valence, arousal = latent.at(time_s)
    # Things move faster when arousal is higher: their path is the integral of their pace.
    way = np.cumsum(0.15 + 0.85 * (arousal + 1) / 2) / FRAMES_PER_S
    flicker = 1 + rng.uniform(-0.06, 0.06, time_s.size) * (arousal + 1) / 2
    grain_at = rng.integers(0, PATTERN_PX - max(WIDTH_PX, HEIGHT_PX), (time_s.size, 2))
    for n in range(time_s.size):
        frame = _draw_background(scene, valence[n], arousal[n], way[n], scene.gain * flicker[n])
        _draw_shapes(frame, scene, arousal[n], way[n])
        _draw_faces(frame, scene, valence[n], int(latent.faces[n // FRAMES_PER_S]), time_s[n])
        row, column = grain_at[n]
        frame += scene.grain[row : row + HEIGHT_PX, column : column + WIDTH_PX]
        yield frame


def _draw_pattern(rng: np.random.Generator) -> Image:
    """A field of a few waves. Each side has a whole number of waves, so the field repeats without a seam."""
    y, x = np.mgrid[0:PATTERN_PX, 0:PATTERN_PX] * (2 * np.pi / PATTERN_PX)
    field = np.zeros((PATTERN_PX, PATTERN_PX))
    for _ in range(4):
        waves_x, waves_y = rng.integers(-3, 4, 2)
        field += np.sin(waves_x * x + waves_y * y + rng.uniform(0, 2 * np.pi)) / (1 + abs(waves_x) + abs(waves_y))
    field = (field - field.min()) / max(np.ptp(field), 1e-9) * 255
    return np.pad(field.astype(np.uint8), ((0, HEIGHT_PX), (0, WIDTH_PX)), mode="wrap")


def _draw_grain(rng: np.random.Generator) -> Image:
    grain = rng.integers(-_GRAIN, _GRAIN + 1, (PATTERN_PX, PATTERN_PX, 1)).astype(np.uint8)
    return np.repeat(grain, 4, axis=-1)


def _draw_background(scene: Scene, valence: float, arousal: float, way: float, gain: float) -> Image:
    energy = (arousal + 1) / 2
    mood = valence + 1
    steps = np.arange(3)
    dark = np.array([np.interp(mood, steps, channel) for channel in _DARK.T])
    light = np.array([np.interp(mood, steps, channel) for channel in _LIGHT.T])
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (1 + 7 * energy) * (np.arange(256) / 256) + 2 * way)
    # With arousal the bands lose their soft edges and spread from the middle tone to both ends.
    weight = 0.5 + (bands - 0.5) * (0.35 + 0.65 * energy)
    colours = (dark + (light - dark) * weight[:, None]) * gain + scene.tint
    # One 32-bit word per colour (red, green, blue, alpha): words are looked up four times as fast as triples.
    table = np.full((256, 4), _WHITE, np.uint8)
    table[:, :3] = np.clip(colours, _BLACK, _WHITE)
    row, column = (int(offset) % PATTERN_PX for offset in (17 * way, 40 * way))
    words = table.view(np.uint32)[:, 0]
    visible = np.take(words, scene.pattern[row : row + HEIGHT_PX, column : column + WIDTH_PX])
    return visible.view(np.uint8).reshape(HEIGHT_PX, WIDTH_PX, 4)


def _draw_shapes(frame: Image, scene: Scene, arousal: float, way: float) -> None:
    energy = (arousal + 1) / 2
    count = round(1 + (MOST_SHAPES - 1) * energy)
    places = _bounce(scene.starts[:count] + scene.speeds[:count] * way)
    opacity = 0.35 + 0.6 * energy
    for place, size, light in zip(places, scene.sizes, scene.light, strict=False):
        half = max(3, round((6 + 6 * energy) * size))
        left = int(place[0] * (WIDTH_PX - 2 * half - 1))
        top = int(place[1] * (HEIGHT_PX - 2 * half - 1))
        under = frame[top : top + 2 * half + 1, left : left + 2 * half + 1]
        ink = _WHITE if light else _BLACK
        mask = _mask(scene.shape, half)
        under[mask] = (under[mask] * (1 - opacity) + ink * opacity).astype(np.uint8)


def _draw_faces(frame: Image, scene: Scene, valence: float, faces: int, time_s: float) -> None:
    for slot in range(faces):
        # Two faces share the picture and are smaller; sizes come in steps, so that few sizes must be scaled.
        face_px = 4 * round((48 + 28 * (valence + 1) / 2) * (1.0 if faces == 1 else 0.8) * (1 - 0.15 * slot) / 4)
        patch, opacity = _head(face_px, mirrored=slot == 1)
        height, width, _ = opacity.shape
        drift = np.sin(0.35 * time_s + scene.face_phase + slot)
        centre = 0.5 if faces == 1 else (0.28, 0.72)[slot]
        left = int(np.clip((centre + 0.08 * drift[0]) * WIDTH_PX - width / 2, 0, WIDTH_PX - width))
        top = int((0.5 + 0.3 * drift[1]) * (HEIGHT_PX - height))
        warmth = np.array([1 + 0.08 * valence, 1.0, 1 - 0.12 * valence]) * scene.gain * (0.92 + 0.1 * valence)
        table = np.clip(np.arange(256)[:, None] * warmth, _BLACK, _WHITE).astype(np.uint16)
        coloured = np.stack([table[:, channel][patch[..., channel]] for channel in range(3)], axis=-1)
        under = frame[top : top + height, left : left + width, :3]
        under[:] = (coloured * opacity + under * (256 - opacity)) >> 8


def _bounce(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Folds an unbounded path into [0, 1], like a ball between two walls."""
    return 1 - np.abs(1 - np.mod(position, 2.0))


@lru_cache(maxsize=128)
def _mask(shape: int, half: int) -> NDArray[np.bool_]:
    """The pixels of a disc, a square or a diamond, bool [2 half + 1, 2 half + 1]."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    if shape == 0:
        return x * x + y * y <= half * half
    return np.maximum(abs(x), abs(y)) <= 0.85 * half if shape == 1 else abs(x) + abs(y) <= half


@lru_cache(maxsize=64)
def _head(face_px: int, mirrored: bool) -> tuple[Image, NDArray[np.uint16]]:
    """The photograph's head with a face of that height: RGB, and its opacity (0 to 256) with soft edges."""
    scale = face_px / _FACE_HEIGHT
    width, height = 2 * round(_HEAD_WIDTH * scale / 2), 2 * round(_HEAD_HEIGHT * scale / 2)
    head = _photograph()[_HEAD_TOP : _HEAD_TOP + _HEAD_HEIGHT, _HEAD_LEFT : _HEAD_LEFT + _HEAD_WIDTH]
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(head), format="rgb24")
    patch = source.reformat(width=width, height=height, interpolation="AREA").to_ndarray().astype(np.uint8, copy=False)
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1)
    opacity = (np.clip((1.0 - distance) / 0.12, 0, 1) * 256).astype(np.uint16)[..., None]
    return (patch[:, ::-1], opacity[:, ::-1]) if mirrored else (patch, opacity)


@lru_cache(maxsize=1)
def _photograph() -> Image:
    """Rear Admiral Grace Hopper, a photograph of the US Navy (public domain) that comes with matplotlib; RGB."""
    from matplotlib import cbook, image

    return image.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
