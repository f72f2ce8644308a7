"""The known curves that a demo film follows: smooth valence and arousal, and the seconds that show faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

TIME_SCALE_S = 6.0
"""Standard deviation of the Gaussian kernel that smooths the curves: a wave takes about 15 to 30 seconds."""
LABEL_NOISE = 0.05
PORTRAYAL_NOISE = 0.22
FACE_NOISE = 0.2
ONE_FACE_ABOVE = -0.2
TWO_FACES_ABOVE = 0.5


@dataclass(frozen=True)
class Latent:
    """The curves that a demo film follows, second by second.

    Attributes:
        valence: float64 [T] in [-1, 1].
        arousal: float64 [T] in [-1, 1].
        faces: int64 [T], the number of faces in the picture: 0, 1 or 2.
    """

    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def seconds(self) -> int:
        """The length T of the film in seconds."""
        return self.valence.size

    def at(self, time_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Valence and arousal at any times, linear between the seconds; float64, in the shape of `time_s`."""
        seconds = np.arange(self.seconds)
        return np.interp(time_s, seconds, self.valence), np.interp(time_s, seconds, self.arousal)


def draw_latent(rng: np.random.Generator, seconds: int) -> Latent:
    """Draws two unrelated smooth curves, and faces that appear with positive valence.

    The number of faces follows valence only roughly (it has its own slow noise), so that faces help to predict valence
    but don't suffice.
    """
    noise = [_smooth_noise(rng, seconds) for _ in range(3)]
    # In so short a film two independent curves may resemble each other; the common part is removed.
    noise[1] -= noise[0] * (noise[0] @ noise[1]) / max(float(noise[0] @ noise[0]), 1e-9)
    valence, arousal, whim = (_stretch(curve) for curve in noise)
    mood = valence + FACE_NOISE * whim
    faces = (mood > ONE_FACE_ABOVE).astype(np.int64) + (mood > TWO_FACES_ABOVE)
    return Latent(valence, arousal, faces)


def draw_portrayal(rng: np.random.Generator, latent: Latent) -> Latent:
    """The curves as one medium, picture or sound, shows them: with its own noise, and the same faces.

    The noise changes from second to second, so that two media together say more than one, and smoothing helps.
    """
    valence, arousal = (
        np.clip(curve + rng.normal(scale=PORTRAYAL_NOISE, size=latent.seconds), -1.0, 1.0)
        for curve in (latent.valence, latent.arousal)
    )
    return Latent(valence, arousal, latent.faces)


def draw_labels(rng: np.random.Generator, latent: Latent) -> NDArray[np.float64]:
    """Labels as raters would give them: the latent curves with a little noise, float64 [T, 2] in [-1, 1]."""
    truth = np.stack([latent.valence, latent.arousal], axis=1)
    return np.clip(truth + rng.normal(scale=LABEL_NOISE, size=truth.shape), -1.0, 1.0)


def _smooth_noise(rng: np.random.Generator, seconds: int) -> NDArray[np.float64]:
    # The curve is drawn longer than needed and cut, so that it neither begins nor ends at rest.
    margin = int(4 * TIME_SCALE_S)
    noise = gaussian_filter1d(rng.normal(size=seconds + 2 * margin), TIME_SCALE_S)[margin:-margin]
    return noise - noise.mean()


def _stretch(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    # Curves cover nearly the whole range: the constant mean must be a poor prediction for every film.
    middle, half_span = (curve.max() + curve.min()) / 2, np.ptp(curve) / 2
    return 0.95 * (curve - middle) / max(half_span, 1e-9)
