"""The processes with which `benchmarks.job` compares the job: `python -m benchmarks.job_parts WHAT FILM …`.

    limit   only the networks on ready batches, and planned decoding
    plain   the script that a user would write
    stages  the job's own extraction of a film, with a clock on each stage

Each starts and warms up before its clock runs, and prints one line of JSON at its end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

MODALITIES = ("image", "audio", "face")
STARTED = "started"


class Clock:
    """Processor time (user and system, all threads) and wall time of this process, by stage."""

    def __init__(self) -> None:
        self.cpu_s: Counter[str] = Counter()
        self.wall_s: Counter[str] = Counter()

    def call(self, stage: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a function and counts its time."""
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            self.cpu_s[stage] += time.process_time() - cpu_s
            self.wall_s[stage] += time.perf_counter() - wall_s

    def words(self, film_s: float) -> dict[str, Any]:
        """What the process prints."""
        return {"film_s": film_s, "cpu_s": dict(self.cpu_s), "wall_s": sum(self.wall_s.values())}


def settings(
    engine: str = "onnxruntime",
    modalities: Sequence[str] = MODALITIES,
    precision: str = "float32",
    detector: str | None = None,
) -> Any:
    """The job's defaults with untrained networks: they compute as much as trained ones. `detector`: a configuration."""
    from beam_pipelines.extractors.config import ExtractConfig

    section = {} if detector is None else yaml.safe_load(Path(detector).read_text())["extract"]
    for modality in MODALITIES:
        section[modality] = {**section.get(modality, {}), "weights": "untrained", "precision": precision}
    return ExtractConfig.model_validate({**section, "engine": engine, "modalities": modalities})


def warm_networks(engine: str = "onnxruntime", precision: str = "float32", detector: str | None = None) -> Any:
    """The job's networks, built and run once."""
    from beam_pipelines.extractors.configured_networks import Networks

    networks = Networks(settings(engine, precision=precision, detector=detector))
    networks.network("image")(np.zeros((1, 299, 299, 3), np.uint8))
    networks.network("audio")(np.zeros((1, 15_360), np.float32))
    networks.detector(np.zeros((1, 270, 480, 3), np.uint8))
    networks.network("face")(np.zeros((1, 160, 160, 3), np.uint8))
    return networks


def wait_for_the_other(folder: str) -> None:
    """Says that this process is warm, and waits until the file `go` lets all begin at once."""
    Path(folder, f"{STARTED}{os.getpid()}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)


def limit(paths: Sequence[str], folder: str) -> dict[str, Any]:
    """Decoding by plan without making pictures of the frames; networks on arrays as Keras takes them."""
    from beam_pipelines.media.audio.audio_windows import audio_windows
    from beam_pipelines.media.probe import probe_film
    from benchmarks.decoding import planned_decoding

    networks, clock, film_s = warm_networks(), Clock(), 0.0
    # Nothing of the preparation counts, so it comes before the other process's clock starts too.
    ready = [(path, probe_film(path), _ready(path, networks)) for path in paths]
    wait_for_the_other(folder)
    for path, probe, (pictures, sound, patches, faces) in ready:
        film_s += float(probe.duration_s)
        clock.call("picture decoding", planned_decoding, path, convert=False)
        clock.call("sound decoding", lambda path=path, probe=probe: [None for _ in audio_windows(path, probe)])
        for stage, network, batches in (
            ("image network", networks.network("image").network, pictures),
            ("audio network", networks.network("audio").network, sound),
            ("face network", networks.network("face").network, faces),
        ):
            clock.call(stage, lambda network=network, batches=batches: [*map(network.predict_on_batch, batches)])
        clock.call("face detector", lambda patches=patches: [*map(networks.detector, patches)])
    return clock.words(film_s)


def _ready(path: str, networks: Any) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Full batches of what the job gives its networks for this film."""
    from beam_pipelines.extractors.face_track import FACES
    from beam_pipelines.extractors.faces import crop_face
    from beam_pipelines.extractors.networks.log_mel import log_mel_patches
    from beam_pipelines.media.audio.audio_windows import audio_windows
    from beam_pipelines.media.probe import probe_film
    from beam_pipelines.media.video.resize import resize_image
    from beam_pipelines.media.video.sample_frames import sample_frames

    config, probe = networks.config, probe_film(path)
    lines_px = min(config.face.detect_height_px, probe.height_px)
    columns_px = round(probe.width_px * lines_px / probe.height_px)
    pictures, small = [], []
    for frame in sample_frames(path, probe):
        pictures.append(resize_image(frame.image, 299, 299))
        small.append(resize_image(frame.image, lines_px, columns_px))
    found = networks.detector(np.stack(small))
    crops = [crop_face(image, box) for image, boxes in zip(small, found, strict=True) for box in boxes[:FACES]]
    windows = [window.samples for window in audio_windows(path, probe) if window.present]
    standardised = [image.astype(np.float32) / 127.5 - 1 for image in pictures]
    faces = [(crop.astype(np.float32) - 127.5) / 128 for crop in crops]
    return (
        _batches(standardised, networks.batch_size("image")),
        _batches([log_mel_patches(window[None])[0] for window in windows], networks.batch_size("audio")),
        _batches(small, config.face.detector_batch_size),
        _batches(faces, networks.batch_size("face")),
    )


def _batches(rows: list[np.ndarray], size: int) -> list[np.ndarray]:
    """Batches of one size; what is left over fills the last one again and again."""
    return [np.stack([rows[min(at, len(rows) - 1)] for at in range(i, i + size)]) for i in range(0, len(rows), size)]


def plain(paths: Sequence[str], seconds: int) -> dict[str, Any]:
    """OpenCV reads every frame; one `predict` a frame and a window, the package `mtcnn` a frame at full size."""
    from beam_pipelines.foundation.tensorflow_start import start_tensorflow

    start_tensorflow()  # TensorFlow's own choice of threads, as in a script
    import cv2
    from mtcnn import MTCNN

    from beam_pipelines.extractors.configured_networks import Networks

    networks, detector, clock, film_s = Networks(settings("tensorflow")), MTCNN(), Clock(), 0.0

    def predict(network: Any, row: np.ndarray) -> None:
        network.network.predict(row[None], verbose=0)

    def faces(picture: np.ndarray) -> None:
        found = sorted(detector.detect_faces(picture), key=lambda face: face["box"][2] * face["box"][3])
        for face in found[-2:]:
            left, top, width, height = face["box"]
            crop = cv2.resize(picture[max(top, 0) : top + height, max(left, 0) : left + width], (160, 160))
            predict(networks.network("face"), (crop.astype(np.float32) - 127.5) / 128)

    def film(path: str, until_s: int) -> float:
        capture, second = cv2.VideoCapture(path), 0
        rate_hz, number = capture.get(cv2.CAP_PROP_FPS), 0
        while second < until_s:
            read, picture = clock.call("decoding", capture.read)
            if not read:
                break
            if number / rate_hz >= second:
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                image = cv2.resize(picture, (299, 299)).astype(np.float32) / 127.5 - 1
                clock.call("image network", predict, networks.network("image"), image)
                clock.call("faces", faces, picture)
                second += 1
            number += 1
        for patch in clock.call("decoding", _patches, path, second):
            clock.call("audio network", predict, networks.network("audio"), patch)
        return float(second)

    film(paths[0], 2)
    clock = Clock()
    for path in paths:
        film_s += film(path, seconds)
    return clock.words(film_s)


def _patches(path: str, seconds: int) -> list[np.ndarray]:
    """Log-mel patches of a film's first seconds, read at once with PyAV, the way a script would."""
    import av

    from beam_pipelines.extractors.networks.log_mel import log_mel_patches

    with av.open(path) as container:
        if not container.streams.audio:
            return []
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
        pieces: list[np.ndarray] = []
        for frame in container.decode(audio=0):
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            if frame.time is not None and frame.time > seconds + 1:
                break
    samples = np.concatenate(pieces)
    starts = range(0, min(seconds * 16_000, len(samples) - 15_360), 16_000)
    return [log_mel_patches(samples[None, start : start + 15_360])[0] for start in starts]


def stages(
    paths: Sequence[str], engine: str, with_signals: bool, precision: str, detector: str | None
) -> dict[str, Any]:
    """Processor time of each stage of the job's extraction, as the job itself counts it."""
    networks, film_s = warm_networks(engine, precision, detector), 0.0
    if with_signals:
        networks.config = settings(engine, (*MODALITIES, "picture_signals", "sound_signals"), detector=detector)
    from beam_pipelines.extractors import tracks
    from beam_pipelines.extractors.configured_networks import describe_tracks
    from beam_pipelines.foundation.stage_times import count_times, sum_of
    from beam_pipelines.media.probe import MediaLimits
    from beam_pipelines.media.worker.decoding_process import DecodingProcess

    descriptions, limits, began_s = describe_tracks(networks.config), MediaLimits(), time.perf_counter()
    taken = []
    for path in paths:
        with DecodingProcess() as decoder:
            decoder.probe(path, limits)
            with count_times() as times:
                probe = decoder.probe(path, limits)
                tracks.extract_tracks(path, probe, networks, descriptions, limits, decoder)
        taken.append(times)
        film_s += float(probe.duration_s)
    cpu_s = {stage: ms / 1000 for stage, (_, _, ms) in sum_of(taken).items()}
    return {"film_s": film_s, "cpu_s": cpu_s, "wall_s": time.perf_counter() - began_s}


def main(arguments: Iterable[str] | None = None) -> None:
    """Measures one of the three and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.job_parts", description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("limit", "plain", "stages"))
    parser.add_argument("films", nargs="+")
    parser.add_argument("--together", default=".", help="folder where processes wait for one another (limit)")
    parser.add_argument("--engine", choices=("onnxruntime", "tensorflow"), default="onnxruntime", help="of the stages")
    parser.add_argument("--precision", default="float32", help="of the stages' networks")
    parser.add_argument("--detector", help="configuration with another face detector, for the stages")
    parser.add_argument("--signals", action="store_true", help="the stages with both signals")
    parser.add_argument("--seconds", type=int, default=20, help="so much of each film (plain)")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.what == "limit":
        words = limit(given.films, given.together)
    elif given.what == "plain":
        words = plain(given.films, given.seconds)
    else:
        words = stages(given.films, given.engine, given.signals, given.precision, given.detector)
    print(json.dumps(words))


if __name__ == "__main__":
    main()
