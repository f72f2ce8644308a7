"""The face detector against the package whose networks it uses, and the faces lost by detection on shrunk pictures.

    python -m benchmarks.faces FILM ...             # a picture a second of each; prints two tables
    python -m benchmarks.faces --every 3 FILM ...   # a picture every three seconds
    python -m benchmarks.faces --detector mine.yaml --look folder FILM ...    # another detector beside MTCNN

The first table compares batched detection with the package `mtcnn` called picture by picture, on the same pictures with
the same parameters. There are two comparisons, since the package works with few parameters only: its image pyramid
always has the steps for 20 px. With another smallest face it ends too early, or continues until a step is too small
for its first network, which it treats as "no face". So the package is compared unchanged with a smallest face of 20 px,
and with a pyramid that ends in time for the configured smallest face.

The second table shrinks pictures to some heights, with the same smallest face as a share of the height, and says which
of the two largest faces per picture at full size are found there too (IoU of at least 0.5), and how many others.

The third table, of `--detector`, does the same with the detectors of other configurations (`extract.face.detector`),
by turns. `judged_faces.csv` says where on the clips of the tests there are faces: somebody looked at every box that one
of seven detectors had found, however unsure. The table says how many of them are found, and how many boxes are on
none. What is unclear (heads turned away, animals' faces, heads of ten pixels) counts as neither. `--look` writes the
pictures on which detectors differ, MTCNN's boxes green.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.extractors.config import ExtractConfig, FaceConfig
from beam_pipelines.extractors.configured_networks import Networks
from beam_pipelines.extractors.faces import FaceBox, FaceDetector, smallest_face_px
from beam_pipelines.foundation.configuration import load_section
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import sample_frames

HEIGHTS_PX = (240, 360, 480, 720)
PACKAGE_SMALLEST_PX = 20
USED_FACES = 2
AGREE_IOU, FOUND_IOU = 0.9, 0.5
REQUIRED_SHARE = 0.99
JUDGED = Path(__file__).with_name("judged_faces.csv")


def pictures_of(path: Path, every: int) -> np.ndarray:
    """uint8 [n, H, W, 3]: the picture of every n-th second."""
    return np.stack([frame.image for frame in sample_frames(path, probe_film(path)) if frame.t % every == 0])


def shrunk(pictures: np.ndarray, height_px: int | None) -> np.ndarray:
    """The pictures as the extract job hands them to the detector; smaller ones stay as they are."""
    if height_px is None or pictures.shape[1] <= height_px:
        return pictures
    width_px = max(1, round(pictures.shape[2] * height_px / pictures.shape[1]))
    return np.stack([resize_image(picture, height_px, width_px) for picture in pictures])


def detector_with(smallest_face: float) -> FaceDetector:
    """The configured detector with another smallest face."""
    config = FaceConfig()
    return FaceDetector(config.thresholds, smallest_face, config.pyramid_factor, config.detector_batch_size)


def iou(one: FaceBox, other: FaceBox) -> float:
    """Intersection over union."""
    width = min(one.x_px + one.width_px, other.x_px + other.width_px) - max(one.x_px, other.x_px)
    height = min(one.y_px + one.height_px, other.y_px + other.height_px) - max(one.y_px, other.y_px)
    shared = max(width, 0) * max(height, 0)
    return shared / (one.area_px2 + other.area_px2 - shared)


def matched(ours: Sequence[FaceBox], theirs: Sequence[FaceBox], least_iou: float) -> int:
    """How many of `theirs` have one of `ours` of their own, best pairs first."""
    pairs = sorted(((iou(a, b), i, j) for i, a in enumerate(ours) for j, b in enumerate(theirs)), reverse=True)
    taken_ours, taken_theirs = set[int](), set[int]()
    for overlap, i, j in pairs:
        if overlap >= least_iou and i not in taken_ours and j not in taken_theirs:
            taken_ours.add(i)
            taken_theirs.add(j)
    return len(taken_theirs)


class Package:
    """The package `mtcnn`, called picture by picture."""

    def __init__(self) -> None:
        from mtcnn import MTCNN

        with tempfile.TemporaryDirectory() as empty, chdir(empty):
            # It would run weight files that lie in the working directory.
            self._detector = MTCNN()

    def __call__(self, picture: np.ndarray, smallest_px: int, ends_in_time: bool) -> list[FaceBox]:
        """The faces of a picture uint8 [H, W, 3]."""
        from mtcnn.stages import stage_pnet

        from beam_pipelines.extractors.networks.mtcnn.cascade import pyramid_scales

        own_pyramid = stage_pnet.build_scale_pyramid

        def pyramid(width: int, height: int, min_face_size: int, scale_factor: float) -> Any:
            return np.array(pyramid_scales(height, width, min_face_size, scale_factor))

        config = FaceConfig()
        stage_pnet.build_scale_pyramid = pyramid if ends_in_time else own_pyramid
        try:
            found = self._detector.detect_faces(
                picture,
                min_face_size=smallest_px,
                scale_factor=config.pyramid_factor,
                threshold_pnet=config.thresholds[0],
                threshold_rnet=config.thresholds[1],
                threshold_onet=config.thresholds[2],
            )
        finally:
            stage_pnet.build_scale_pyramid = own_pyramid
        return [FaceBox(*(int(side) for side in face["box"]), float(face["confidence"])) for face in found]


def agreeing(pictures: np.ndarray, package: Package, smallest_px: int, ends_in_time: bool) -> tuple[int, int]:
    """Pictures with the same faces, and faces that the package found in all."""
    same, faces = 0, 0
    for picture, ours in zip(pictures, detector_with(smallest_px / pictures.shape[1])(pictures), strict=True):
        theirs = package(picture, smallest_px, ends_in_time)
        same += len(ours) == len(theirs) == matched(ours, theirs, AGREE_IOU)
        faces += len(theirs)
    return same, faces


def print_agreement(films: dict[str, np.ndarray]) -> bool:
    """The first table; whether the package as it is agrees in enough seconds."""
    config, package = FaceConfig(), Package()
    print(
        "| film | pictures | faces | same, 20 px, package as it is | faces | same, as configured, its pyramid ended |"
    )
    print("|---|---|---|---|---|---|")
    total = np.zeros(5, int)
    for name, pictures in films.items():
        pictures = shrunk(pictures, config.detect_height_px)
        plain_same, plain = agreeing(pictures, package, PACKAGE_SMALLEST_PX, False)
        smallest_px = smallest_face_px(pictures.shape[1], config.smallest_face)
        same, faces = agreeing(pictures, package, smallest_px, True)
        row = np.array([len(pictures), plain, plain_same, faces, same])
        total += row
        print(f"| {name} | {' | '.join(str(cell) for cell in row)} |", flush=True)
    print(f"| all | {' | '.join(str(cell) for cell in total)} |")
    return min(total[2], total[4]) >= REQUIRED_SHARE * total[0]


def print_scales(films: dict[str, np.ndarray], shares: Sequence[float]) -> None:
    """The second table."""
    print("| smallest face | height | film | of the faces at full size | found | others | CPU s a picture |")
    print("|---|---|---|---|---|---|---|")
    for share in shares:
        detector = detector_with(share)
        for name, pictures in films.items():
            if pictures.shape[1] <= HEIGHTS_PX[0]:
                continue
            full: list[list[FaceBox]] = []
            for height_px in (None, *(height for height in reversed(HEIGHTS_PX) if height < pictures.shape[1])):
                detector(shrunk(pictures[:1], height_px))  # what is done once
                began_s = time.process_time()
                small = shrunk(pictures, height_px)
                found = [faces[:USED_FACES] for faces in detector(small)]
                taken_s = (time.process_time() - began_s) / len(pictures)
                factors = pictures.shape[2] / small.shape[2], pictures.shape[1] / small.shape[1]
                found = [[face.scaled(*factors) for face in faces] for faces in found]
                full = full or found
                again = sum(matched(a, b, FOUND_IOU) for a, b in zip(found, full, strict=True))
                wanted, others = sum(map(len, full)), sum(map(len, found)) - again
                height = f"{pictures.shape[1]} (full)" if height_px is None else str(height_px)
                print(f"| {share:g} | {height} | {name} | {wanted} | {again} | {others} | {taken_s:.3f} |", flush=True)


def judged_faces(film: str, verdict: str, seconds: range) -> list[list[FaceBox]]:
    """The boxes of a film's seconds on which a person said `verdict`."""
    found: dict[int, list[FaceBox]] = {t: [] for t in seconds}
    with JUDGED.open(newline="") as rows:
        for name, t, *sides, said in list(csv.reader(rows))[1:]:
            if name == film and said == verdict and int(t) in found:
                found[int(t)].append(FaceBox(*map(int, sides), 1.0))
    return list(found.values())


def print_detectors(
    films: dict[str, np.ndarray], paths: Sequence[Path], every: int, turns: int, look: Path | None
) -> None:
    """The third table: MTCNN as it is by default, and other detectors."""
    configs = {"mtcnn": ExtractConfig()}
    configs |= {path.stem: load_section("extract", ExtractConfig, str(path)) for path in paths}
    detectors = {name: Networks(config, gpu=False).detector for name, config in configs.items()}
    print("| film | detector | pictures | MTCNN's | found | others | judged | found | on none | core ms a picture |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for film, pictures in films.items():
        found: dict[str, list[list[FaceBox]]] = {}
        taken_ms: dict[str, list[float]] = {name: [] for name in detectors}
        for turn in range(turns + 1):
            for name, detector in detectors.items():
                began_s = time.process_time()
                small = shrunk(pictures, configs[name].face.most_lines)
                faces = detector(small)
                if turn:  # the first one only warms up
                    taken_ms[name].append(1000 * (time.process_time() - began_s) / len(pictures))
                factors = pictures.shape[2] / small.shape[2], pictures.shape[1] / small.shape[1]
                found[name] = [[face.scaled(*factors) for face in each[:USED_FACES]] for each in faces]
        seconds = range(0, every * len(pictures), every)
        judged, unclear = (judged_faces(film, verdict, seconds) for verdict in ("face", "unclear"))
        for name, faces in found.items():
            again = [matched(a, b, FOUND_IOU) for a, b in zip(faces, found["mtcnn"], strict=True)]
            row = [film, name, len(pictures), sum(map(len, found["mtcnn"])), sum(again)]
            right = sum(matched(a, b, FOUND_IOU) for a, b in zip(faces, judged, strict=True))
            neither = sum(matched(a, b, FOUND_IOU) for a, b in zip(faces, unclear, strict=True))
            all_found = sum(map(len, faces))
            row += [all_found - sum(again), sum(map(len, judged)), right, all_found - right - neither]
            print(f"| {' | '.join(map(str, row))} | {statistics.median(taken_ms[name]):.1f} |", flush=True)
            for t, (a, b, same) in enumerate(zip(faces, found["mtcnn"], again, strict=True)):
                if look and not len(a) == len(b) == same:
                    write_boxes(look / f"{name}-{Path(film).stem}-{t * every:03}.png", pictures[t], a, b)


def write_boxes(path: Path, picture: np.ndarray, ours: Sequence[FaceBox], theirs: Sequence[FaceBox]) -> None:
    """Writes a picture with boxes: ours red, theirs green."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    draw, width = ImageDraw.Draw(image), max(1, image.height // 150)
    for boxes, colour in ((theirs, "lime"), (ours, "red")):
        for box in boxes:
            corners = (box.x_px, box.y_px, box.x_px + box.width_px, box.y_px + box.height_px)
            draw.rectangle(corners, outline=colour, width=width)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def main() -> int:
    """The command; gives 1 where the detector and the package agree in too few seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces", description=__doc__.split("\n")[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th second only")
    parser.add_argument("--shares", type=float, nargs="*", default=[FaceConfig().smallest_face])
    parser.add_argument("--only", choices=("agreement", "scales"))
    parser.add_argument("--detector", type=Path, action="append", help="the third table alone, of such a configuration")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--look", type=Path, help="a folder for the pictures on which detectors differ")
    arguments = parser.parse_args()
    films = {path.name: pictures_of(path, arguments.every) for path in arguments.films}
    if arguments.detector:
        print_detectors(films, arguments.detector, arguments.every, arguments.turns, arguments.look)
        return 0
    agrees = True
    if arguments.only != "scales":
        agrees = print_agreement(films)
        print(f"\n{'At least' if agrees else 'LESS THAN'} {REQUIRED_SHARE:.0%} of the pictures have the same faces.\n")
    if arguments.only != "agreement":
        print_scales(films, arguments.shares)
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
