"""The demo's data set: short generated films with labels and a manifest, made in a few seconds.

Each film has a moving picture, sound and at times the face of a real person. All of them follow known valence and
arousal curves with noise (`latent`, `picture`, `sound`), so that a model can learn them and a test knows the truth.
Labels have the layout of MediaEval 2018. A film depends only on the seed and its own number, never on how many films
there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from beam_pipelines.demo import picture, sound
from beam_pipelines.demo.latent import Latent, draw_labels, draw_latent, draw_portrayal
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.text_tables import csv_text

SPLITS = ("train", "validation", "test")
DESIGN = 1
"""The number of the films' design. Raise it when films of the same seed look or sound different."""
SHORTEST_S = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DemoFilm:
    """One film to generate.

    Attributes:
        index: number of the film, from 0.
        seconds: its length T.
        seed: seed of the whole set.
        split: `train`, `validation` or `test`.
    """

    index: int
    seconds: int
    seed: int
    split: str

    @property
    def film_id(self) -> str:
        """Its name, in the pattern of MediaEval 2018."""
        return f"MEDIAEVAL18_{self.index:02d}"

    @property
    def video(self) -> str:
        """The path of the film in the data set's folder."""
        return f"films/{self.film_id}.mp4"

    @property
    def annotation(self) -> str:
        """The path of the labels in the data set's folder."""
        return f"annotations/{self.film_id}_Valence-Arousal.txt"

    @property
    def digest(self) -> str:
        """The digest of all that decides how the film looks and sounds; the film has it as its comment."""
        return hashlib.sha256(f"{DESIGN} {self.seed} {self.index} {self.seconds}".encode()).hexdigest()[:16]

    def generators(self) -> list[np.random.Generator]:
        """Independent random generators for the latent curves, the labels, the picture, the frames and the sound."""
        return [np.random.default_rng(child) for child in np.random.SeedSequence([self.seed, self.index]).spawn(5)]

    def latent(self) -> Latent:
        """The curves that the film follows."""
        return draw_latent(self.generators()[0], self.seconds)

    def labels(self) -> NDArray[np.float64]:
        """The labels, float64 [T, 2] (valence, arousal)."""
        return draw_labels(self.generators()[1], self.latent())


def plan_demo_films(*, films: int = 14, seconds: int = 65, seed: int = 2018) -> list[DemoFilm]:
    """The films of the demo, in order: first those for training, then for validation, then those held out.

    About a fifth is held out and a seventh validates, at least one film each. Two films are one for training and one
    held out.

    Args:
        films: the number of films.
        seconds: typical length; films differ from it by up to a tenth.
        seed: seed of the set.

    Raises:
        ValueError: if there are fewer than 2 films, or they are shorter than `SHORTEST_S` seconds.
    """
    if films < 2 or seconds < SHORTEST_S:
        raise ValueError(f"demo films: at least 2 films of at least {SHORTEST_S} s, not {films} films of {seconds} s")
    test = max(1, round(films / 5))
    validation = max(1, round(films / 7)) if films > 2 else 0
    splits = (films - validation - test, validation, test)
    names = [name for name, count in zip(SPLITS, splits, strict=True) for _ in range(count)]
    spread = seconds // 10
    lengths = [seconds + (index * 7) % (2 * spread + 1) - spread for index in range(films)]
    return [
        DemoFilm(index, length, seed, name) for index, (length, name) in enumerate(zip(lengths, names, strict=True))
    ]


def make_demo_films(
    output: str | Path, *, films: int = 14, seconds: int = 65, seed: int = 2018, progress: Progress | None = None
) -> Path:
    """Writes films, labels and the manifest; existing films with the same parameters are kept.

    Args:
        output: local folder, to which `films/`, `annotations/` and `manifest.csv` are written.
        films: the number of films.
        seconds: typical length of a film.
        seed: seed of the set.
        progress: called with (films done, films in all) at the start and after each film.

    Returns:
        The path of the manifest: columns film_id, path, split, labels; paths relative to its folder.

    Raises:
        ValueError: as `plan_demo_films` raises it, before anything is written.
    """
    root = Path(output)
    planned = plan_demo_films(films=films, seconds=seconds, seed=seed)
    for done, film in enumerate(planned):
        if progress:
            progress(done, films)
        if not _is_made(film, root / film.video):
            with storage.whole_file(str(root / film.video)) as path:
                write_film(film, path)
        storage.write_text(str(root / film.annotation), annotation_text(film.labels()))
    manifest = root / "manifest.csv"
    storage.write_text(str(manifest), _manifest_text(planned))
    if progress:
        progress(films, films)
    return manifest


def _is_made(film: DemoFilm, path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with av.open(str(path)) as container:
            return container.metadata.get("comment") == film.digest
    except av.FFmpegError:
        return False


def write_film(film: DemoFilm, path: Path) -> None:
    """Draws and encodes a film as MP4 (H.264 and AAC), in one thread, so that the bytes are always the same."""
    _, _, scene_rng, frame_rng, sound_rng = film.generators()
    latent = film.latent()
    # The format is named because the temporary name has another suffix; bitexact omits version strings.
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", container_options=options) as container:
        container.metadata["title"] = film.film_id
        container.metadata["comment"] = film.digest
        video = container.add_stream("libx264", rate=picture.FRAMES_PER_S)
        video.width, video.height, video.pix_fmt = picture.WIDTH_PX, picture.HEIGHT_PX, "yuv420p"
        video.time_base = Fraction(1, picture.FRAMES_PER_S)
        video.thread_count = 1
        video.options = {"preset": "ultrafast", "crf": "24"}
        audio = container.add_stream("aac", rate=sound.SAMPLE_RATE_HZ, layout="mono")
        audio.bit_rate = 96_000
        audio.options = {"aac_coder": "fast"}
        track = sound.make_sound(draw_portrayal(sound_rng, latent), sound_rng)
        frames = picture.draw_frames(picture.draw_scene(scene_rng), draw_portrayal(frame_rng, latent), frame_rng)
        for second in range(latent.seconds):
            for n in range(picture.FRAMES_PER_S):
                frame = av.VideoFrame.from_ndarray(next(frames), format="rgba")
                frame.pts = second * picture.FRAMES_PER_S + n
                container.mux(video.encode(frame))
            start = second * sound.SAMPLE_RATE_HZ
            piece = track[None, start : start + sound.SAMPLE_RATE_HZ]
            samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = sound.SAMPLE_RATE_HZ, start
            container.mux(audio.encode(samples))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def annotation_text(labels: NDArray[np.float64]) -> str:
    """The label file of a film: tab-separated seconds and labels, float64 [T, 2], with six decimals."""
    rows = [f"{second}\t{valence:.6f}\t{arousal:.6f}" for second, (valence, arousal) in enumerate(labels)]
    return "\n".join(["Time\tValence\tArousal", *rows]) + "\n"


def _manifest_text(films: list[DemoFilm]) -> str:
    rows = [[film.film_id, film.video, film.split, film.annotation] for film in films]
    return csv_text(["film_id", "path", "split", "labels"], rows)
