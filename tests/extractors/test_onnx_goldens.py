"""Every kind of network by configuration against inputs made by NumPy and Pillow, run by another engine than ours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from beam_pipelines.contracts.records.feature_track import FeatureTrack
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
from beam_pipelines.extractors.faces import FaceBox
from beam_pipelines.extractors.onnx_networks import first_batch as first_batch_module
from beam_pipelines.extractors.onnx_networks.first_batch import FirstBatch
from beam_pipelines.extractors.onnx_networks.network import OnnxNetwork
from beam_pipelines.extractors.tracks import extract_tracks
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.video.sample_frames import sample_frames
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.extractors.test_log_mel import independent_log_mel
from tests.support.onnx_files import patches_network, pictures_network, quantised_network, reference, sounds_network
from tests.support.synthetic_clips import Sound, regular_times, write_clip

SECONDS, RATE_HZ = 5, 48_000
SOUND_S = 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """5 s of smooth pictures of 96 x 48, sound in the first 3 s only; and the sound's samples."""
    path = tmp_path_factory.mktemp("clips") / "film.mp4"
    rows, columns = np.mgrid[:64, :128]
    images = [
        np.stack([60 + 8 * number + rows, 250 - columns, 40 + rows + columns // 2], -1).astype(np.uint8)
        for number in range(SECONDS)
    ]
    times = np.arange(SOUND_S * RATE_HZ) / RATE_HZ
    samples = np.round(9000 * np.sin(2 * np.pi * (200 + 100 * times) * times)) / 32768
    sound = Sound([(Fraction(0), samples.astype(np.float32)[None])], RATE_HZ)
    write_clip(path, regular_times(SECONDS, 1), images=images, sound=sound, rate_hz=1)
    return path, samples.astype(np.float32)


@pytest.fixture(autouse=True)
def first_batches_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten child processes would cost 7 s of a core; tests/jobs/test_extract.py has a real one."""

    def run(name: str, section: Any, memory_mb: int) -> FirstBatch:
        return FirstBatch(OnnxNetwork(name, section).dimensions, 0.1)

    monkeypatch.setattr(first_batch_module, "first_batch", run)


def extract(clip: Path, detector: Any = None, **networks: Any) -> dict[str, FeatureTrack]:
    config = ExtractConfig.model_validate({"modalities": list(networks), "networks": networks})
    made = Networks(config)
    if detector is not None:
        vars(made)["detector"] = detector
    with DecodingProcess() as decoder:
        found = extract_tracks(clip, probe_film(clip), made, describe_tracks(config), MediaLimits(), decoder)
    return dict(found.tracks)


def pictures(clip: Path) -> list[np.ndarray]:
    return [frame.image for frame in sample_frames(clip, probe_film(clip))]


def test_pictures(clip: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path = pictures_network(tmp_path / "vision.onnx")
    mean, deviation = (0.48, 0.45, 0.4), (0.26, 0.27, 0.28)
    keys = {"takes": "picture", "file": str(path), "size_px": 24, "resize": "shorter_side_then_crop"}
    keys |= {"channels": "bgr", "mean": mean, "deviation": deviation}
    tracks = extract(
        clip[0],
        embeds={**keys, "output": "embeds"},
        tokens={**keys, "output": ["tokens", "embeds"], "pool": "mean", "batch_size": 2},
        largest={**keys, "output": "tokens", "pool": "max", "resize": "pad"},
    )
    cropped, padded = [], []
    for image in pictures(clip[0]):
        # 128 x 64 -> 48 x 24 -> the middle 24 x 24; -> 24 x 12 on black. Pillow's box is the mean of areas.
        whole = Image.fromarray(image)
        cropped.append(np.asarray(whole.resize((48, 24), Image.Resampling.BOX).crop((12, 0, 36, 24))))
        black = Image.new("RGB", (24, 24))
        black.paste(whole.resize((24, 12), Image.Resampling.BOX), (0, 6))
        padded.append(np.asarray(black))

    def answer(images: list[np.ndarray], output: str) -> np.ndarray:
        scaled = (np.stack(images)[..., ::-1] / 255 - mean) / deviation
        return reference(path, output, np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32))

    # Half a level of a pixel is 0.008 of a network's input here; vectors are about 5.
    near = {"rtol": 0.005, "atol": 0.05}
    np.testing.assert_allclose(tracks["embeds"].values, answer(cropped, "embeds"), **near)
    both = np.concatenate([answer(cropped, "tokens").mean(axis=1), answer(cropped, "embeds")], axis=1)
    np.testing.assert_allclose(tracks["tokens"].values, both, **near)
    np.testing.assert_allclose(tracks["largest"].values, answer(padded, "tokens").max(axis=1), **near)
    for other in (padded, cropped[1:] + cropped[:1]):
        assert np.abs(answer(other, "embeds") - answer(cropped, "embeds")).max() > 0.3, (
            "the tolerance must tell them apart"
        )
    assert len({track.fingerprint for track in tracks.values()}) == 3


def test_sound_of_another_rate_around_the_second(clip: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path = sounds_network(tmp_path / "sound.onnx", 2 * RATE_HZ, RATE_HZ // 4)
    keys = {"takes": "sound", "file": str(path), "rate_hz": RATE_HZ, "window_s": 2.0}
    tracks = extract(clip[0], mean={**keys, "pool": "mean"}, last={**keys, "pool": "last", "standardise": True})
    # The window of second t is [t - 0.5, t + 1.5).
    half = np.zeros(RATE_HZ // 2, np.float32)
    whole = np.concatenate([half, clip[1], np.zeros((SECONDS - SOUND_S) * RATE_HZ, np.float32), half])
    windows = np.stack([whole[t * RATE_HZ :][: 2 * RATE_HZ] for t in range(SECONDS)])
    present = np.array([1, 1, 1, 1, 0], np.float32)  # second 3 touches second 2, in which there is sound
    for name, given in (("mean", windows), ("last", (windows - windows.mean(1, keepdims=True)))):
        if name == "last":
            given = given / np.sqrt(windows.var(1, keepdims=True) + 1e-7)
        hidden = reference(path, "hidden", given.astype(np.float32))
        expected = hidden.mean(axis=1) if name == "mean" else hidden[:, -1]
        np.testing.assert_array_equal(tracks[name].present[:, 0], present)
        np.testing.assert_allclose(tracks[name].values, expected * present[:, None], rtol=0, atol=2e-5)
    assert tracks["mean"].values[0].any()


def test_log_mel_patches_with_other_bands_and_offset(clip: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path = patches_network(tmp_path / "patches.onnx", 64)
    network = {"takes": "log_mel", "file": str(path)}
    tracks = extract(clip[0], tones=network, louder={**network, "log_offset": 1.0})
    from scipy.signal import resample_poly

    at_16khz = resample_poly(clip[1].astype(np.float64), 1, 3)
    windows = np.zeros((SOUND_S, 15_600))
    windows[:, :15_360] = [at_16khz[t * 16_000 :][:15_360] for t in range(SOUND_S)]
    bands = np.exp([independent_log_mel(window) for window in windows]) - 0.01
    for name, offset in (("tones", 0.01), ("louder", 1.0)):
        expected = reference(path, "vectors", np.log(bands + offset)[:, None].astype(np.float32))
        # SciPy's own filter is another one at the edge of the band.
        np.testing.assert_allclose(tracks[name].values[:SOUND_S], expected, rtol=0, atol=0.02)
        np.testing.assert_array_equal(tracks[name].present[:, 0], [1, 1, 1, 0, 0])
    assert np.abs(tracks["tones"].values - tracks["louder"].values).max() > 0.5


class TwoFaces:
    """Finds two faces in every second picture, none in the others."""

    def __call__(self, images: np.ndarray) -> list[list[FaceBox]]:
        found = [FaceBox(20, 10, 40, 40, 0.9), FaceBox(90, 20, 20, 20, 0.8)]
        return [found if int(image[0, 0, 0]) // 8 % 2 else [] for image in images]


def test_faces_for_a_quantised_network(clip: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path = quantised_network(tmp_path / "face.onnx", 24)
    keys = {"takes": "face", "file": str(path), "size_px": 24, "margin": 0.2, "layout": "nhwc"}
    track = extract(clip[0], TwoFaces(), expression=keys)["expression"]
    crops = []
    for image in pictures(clip[0]):
        for left, top, side in ((20, 10, 40), (90, 20, 20)):
            border = round(side * 0.1)
            box = (left - border, top - border, left + side + border, top + side + border)
            crops.append(np.asarray(Image.fromarray(image).crop(box).resize((24, 24), Image.Resampling.BOX)))
    padded = np.stack([*crops, *crops[:2]])
    answers = np.concatenate([reference(path, "vectors", padded[k : k + 4]) for k in range(0, 12, 4)])[:10]
    found = np.array([bool(TwoFaces()(image[None])[0]) for image in pictures(clip[0])])
    assert 0 < found.sum() < SECONDS
    np.testing.assert_array_equal(track.present, np.repeat(found[:, None], 2, axis=1))
    expected = np.where(found[:, None], answers.reshape(SECONDS, 12), 0)
    # A level of 1,728 bytes with weights up to 0.5 is a few units; vectors are thousands.
    np.testing.assert_allclose(track.values, expected, rtol=0.01, atol=30)
    np.testing.assert_allclose(track.boxes[found][:, 0], [[20 / 128, 10 / 64, 60 / 128, 50 / 64]] * found.sum())


def test_half_precision_static_batches_and_arrays_in_another_file(
    clip: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    half = pictures_network(tmp_path / "half.onnx", type_="float16", batch=3)
    apart = {"save_as_external_data": True, "location": "arrays.bin", "size_threshold": 64}
    other = pictures_network(tmp_path / "apart.onnx", **apart)
    keys = {"takes": "picture", "size_px": 24, "output": "embeds"}
    tracks = extract(clip[0], half={**keys, "file": str(half)}, apart={**keys, "file": str(other)})
    assert list(tracks["apart"].description["external"]) == ["arrays.bin"]
    np.testing.assert_allclose(tracks["half"].values, tracks["apart"].values, rtol=0.02, atol=0.02)
    assert tracks["half"].values.dtype == np.float32
    before = tracks["apart"].fingerprint
    changed = bytearray((tmp_path / "arrays.bin").read_bytes())
    changed[3] ^= 1
    (tmp_path / "arrays.bin").write_bytes(changed)
    assert extract(clip[0], apart={**keys, "file": str(other)})["apart"].fingerprint != before
