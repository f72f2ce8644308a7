"""The builtin model on films whose motion, cuts and loudness are known: each alone follows a curve, or all three do.

python -m benchmarks.signals_generated
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from beam_pipelines import ExtractConfig, extract_features, load_model, score_features
from beam_pipelines.builtin.arousal_formula import CUTS, LOUDNESS, MODALITIES, MOTION
from beam_pipelines.foundation.text_tables import aligned
from trainer.evaluation.metrics import pcc

SECONDS, RATE_HZ, SIDES_PX = 240, 10, (96, 160)
SOUND_RATE_HZ, BLOCK = 16_000, 1024
FILMS = {
    "motion": (MOTION,),
    "cuts": (CUTS,),
    "loudness": (LOUDNESS,),
    "all three": (MOTION, CUTS, LOUDNESS),
    "none": (),
}


def main() -> int:
    """Generates, extracts and scores the films, and prints the correlation with the known curve."""
    model = load_model("builtin:signals")
    known = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SECONDS) / 120)
    rows = [["what follows the curve", "PCC", "largest |arousal|"]]
    with tempfile.TemporaryDirectory() as folder:
        for name, parts in FILMS.items():
            path = Path(folder) / f"{name}.mp4"
            write_film(
                path, {part: known if part in parts else np.full(SECONDS, 0.3) for part in (MOTION, CUTS, LOUDNESS)}
            )
            curve = score_features(extract_features(path, ExtractConfig(modalities=MODALITIES)), model).arousal
            rows.append([name, f"{pcc(curve, known):.2f}", f"{np.abs(curve).max():.2f}"])
    print("\n".join(aligned(rows)))
    return 0


def write_film(path: Path, shares: dict[str, np.ndarray]) -> None:
    """A texture that pans by up to 4 px a frame, is changed up to every 2 s, under noise of -50 to -10 dB."""
    random = np.random.default_rng(5)
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=RATE_HZ), container.add_stream("aac", rate=SOUND_RATE_HZ)
        video.width, video.height, video.pix_fmt, audio.layout = SIDES_PX[1], SIDES_PX[0], "yuv420p", "mono"
        texture, place, since_s = _texture(random), 0.0, 0.0
        for number in range(SECONDS * RATE_HZ):
            second = number // RATE_HZ
            place += 4 * shares[MOTION][second]
            since_s += 1 / RATE_HZ
            if since_s > 2 / max(shares[CUTS][second], 0.1):
                texture, since_s = _texture(random), 0.0
            picture = np.roll(texture, int(place), axis=1)[:, : SIDES_PX[1]]
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[:, :, None], 3, axis=2), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE_HZ)
            container.mux(video.encode(frame))
        level = np.repeat(10 ** ((-50 + 40 * shares[LOUDNESS]) / 20), SOUND_RATE_HZ)
        sound = (level * random.normal(0, 1, level.size)).clip(-1, 1).astype(np.float32)
        for first in range(0, sound.size - BLOCK, BLOCK):
            block = av.AudioFrame.from_ndarray(sound[None, first : first + BLOCK], format="fltp", layout="mono")
            block.sample_rate, block.pts = SOUND_RATE_HZ, first
            container.mux(audio.encode(block))
        for stream in (video, audio):
            container.mux(stream.encode(None))


def _texture(random: np.random.Generator) -> np.ndarray:
    """uint8 [height, 2 width] of blocks of 8 px, whose mean differs from texture to texture."""
    blocks = random.integers(0, 128, (SIDES_PX[0] // 8, SIDES_PX[1] // 4)) + random.integers(0, 128)
    return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(main())
