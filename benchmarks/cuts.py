"""How many cuts `picture_signals` finds: on films edited from real clips, and on these clips as they are.

    python -m benchmarks.cuts

An edited film is a row of pieces of 0.6 s and more (log-normal, median 3.5 s) from shots of the clips, encoded as H.264
in two ways: by x264's defaults, which put key frames at cuts, and with key frames every 2 s alone, as streaming and
broadcast have them. A second counts as cut if a cut lies between its picture and the one before.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

from beam_pipelines.extractors.signals.cuts import is_cut, thumbnail_of
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames

RATE_HZ, SIDES_PX = 24, (160, 90)
CUTS_S = {
    "sintel_trailer_52s.mp4": (14.0, 16.583, 16.917, 17.125, 17.583, 23.875, 25.958, 27.5, 28.083),
    "big_buck_bunny_30s.webm": (11.792, 15.667, 22.958),
    "nasa_13013_17s.mp4": (8.008,),
    "tears_of_steel_17s_noaudio.webm": (1.833, 12.291),
    "big_buck_bunny_5s_51ch.mp4": (),
    "his_girl_friday_6s.mp4": (),
    "mdn_chroma_face_24s.mp4": (),
}
"""The clips' hard cuts, in seconds, looked at frame by frame; fades and dissolves are none."""
ENCODINGS = {"x264's defaults": {}, "a key frame every 2 s": {"g": "48", "sc_threshold": "0"}}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=Path("../shared/data/clips"))
    parser.add_argument("--cuts", type=int, default=110, help="cuts of an edited film")
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32])
    arguments = parser.parse_args()
    clips = {name: frames_of(arguments.clips / name) for name in CUTS_S}
    print("| film | seconds with a cut | found | precision | recall |\n|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for title, options in ENCODINGS.items():
            rows = []
            for seed in arguments.seeds:
                frames, cuts_s = edited(clips, arguments.cuts, np.random.default_rng(seed))
                path = write(Path(folder) / "film.mp4", frames, options)
                rows.append(compared(path, cuts_s))
            print_row(f"edited, {title}", np.sum(rows, axis=0))
    natural = [compared(arguments.clips / name, cuts_s) for name, cuts_s in CUTS_S.items()]
    for name, row in zip(CUTS_S, natural, strict=True):
        print_row(name, row)
    print_row("these clips together", np.sum(natural, axis=0))


def frames_of(path: Path) -> np.ndarray:
    """uint8 [frames, 90, 160, 3]: a clip's pictures, 24 a second."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.best("video")
        stream.codec_context.thread_count = 1
        kept: list[np.ndarray] = []
        first_s: float | None = None
        frame: Any
        for frame in container.decode(stream):
            first_s = frame.time if first_s is None else first_s
            while frame.time - first_s >= len(kept) / RATE_HZ:
                kept.append(frame.to_ndarray(format="rgb24", width=SIDES_PX[0], height=SIDES_PX[1]))
    return np.array(kept)


def shots_of(clips: dict[str, np.ndarray]) -> Iterator[tuple[str, int, int]]:
    """Clip, first frame and end of each shot of 1.5 s and more."""
    for name, frames in clips.items():
        edges = [0, *(round(cut_s * RATE_HZ) for cut_s in CUTS_S[name]), len(frames)]
        for begin, end in pairwise(edges):
            # A frame at a cut may be a mixture of both shots.
            if end - begin > 1.5 * RATE_HZ:
                yield name, begin + 2, end - 2


def edited(clips: dict[str, np.ndarray], cuts: int, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """A film's frames, and the times of its cuts."""
    shots, last = list(shots_of(clips)), -1
    pieces: list[np.ndarray] = []
    while len(pieces) <= cuts:
        number = int(rng.integers(len(shots)))
        name, begin, end = shots[number]
        if number == last:
            continue
        last = number
        length = min(end - begin, max(round(0.6 * RATE_HZ), round(rng.lognormal(np.log(3.5), 0.6) * RATE_HZ)))
        first = begin + int(rng.integers(end - begin - length + 1))
        pieces.append(clips[name][first : first + length])
    return np.concatenate(pieces), (np.cumsum([len(piece) for piece in pieces])[:-1] / RATE_HZ).tolist()


def write(path: Path, frames: np.ndarray, options: dict[str, str]) -> Path:
    """Encodes frames as H.264."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "veryfast", **options})
        stream.width, stream.height, stream.pix_fmt = *SIDES_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def compared(path: Path, cuts_s: Sequence[float]) -> np.ndarray:
    """Seconds with a cut, seconds that are said to have one, and those that both agree on."""
    frames = list(sample_frames(path, probe_film(path), pairs=True))
    found = is_cut(
        np.stack([thumbnail_of(frame.image) for frame in frames]), np.array([frame.key_gap_s for frame in frames])
    )
    true = np.zeros(len(frames), bool)
    true[[int(np.ceil(cut_s - 0.02)) for cut_s in cuts_s]] = True
    return np.array([true.sum(), found.sum(), (true & found).sum()])


def print_row(title: str, row: np.ndarray) -> None:
    """Prints a row of the table."""
    true, found, both = (int(value) for value in row)
    shares = [f"{both / whole:.2f}" if whole else "" for whole in (found, true)]
    print(f"| {title} | {true} | {found} | {shares[0]} | {shares[1]} |")


if __name__ == "__main__":
    main()
