"""The demo's films: they decode, show and sound what their labels say, and are made again to the byte."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from beam_pipelines.demo import picture
from beam_pipelines.demo.films import make_demo_films, plan_demo_films
from beam_pipelines.demo.picture import FRAMES_PER_S, HEIGHT_PX, WIDTH_PX
from beam_pipelines.demo.sound import SAMPLE_RATE_HZ

SIZE: dict = {"films": 3, "seconds": 24}
SMALL: dict = {"films": 2, "seconds": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made set of three films of about 24 seconds."""
    output = tmp_path_factory.mktemp("demo")
    make_demo_films(output, **SIZE)
    return output


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def frame_each_second(path: Path) -> np.ndarray:
    """The frame at each whole second, uint8 [T, height, width, 3]."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0) if frame.time % 1 == 0]
    return np.stack(frames)


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def remainder(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What linear regression on known columns leaves."""
    return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]


def read_labels(path: Path) -> np.ndarray:
    header, *rows = path.read_text().splitlines()
    assert header.split("\t") == ["Time", "Valence", "Arousal"]
    return np.array([[float(value) for value in row.split("\t")] for row in rows])


def test_manifest_names_every_film_with_split_and_labels(folder: Path) -> None:
    rows = list(csv.DictReader((folder / "manifest.csv").read_text().splitlines()))
    assert [row["film_id"] for row in rows] == ["MEDIAEVAL18_00", "MEDIAEVAL18_01", "MEDIAEVAL18_02"]
    assert [row["split"] for row in rows] == ["train", "validation", "test"]
    named = {row[column] for row in rows for column in ("path", "labels")}
    assert named | {"manifest.csv"} == content(folder).keys()


def test_films_have_the_planned_streams_and_length(folder: Path) -> None:
    for film in plan_demo_films(**SIZE):
        with av.open(str(folder / film.video)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height) == (WIDTH_PX, HEIGHT_PX)
            assert (audio.rate, audio.channels) == (SAMPLE_RATE_HZ, 1)
            packets = [packet for packet in container.demux(video) if packet.pts is not None]
            stamps = sorted((packet.pts or 0, packet.duration or 0) for packet in packets)
            assert video.time_base is not None
            span = (max(pts + duration for pts, duration in stamps) - stamps[0][0]) * video.time_base
        assert len(stamps) == film.seconds * FRAMES_PER_S
        assert span == film.seconds
        assert len(frame_each_second(folder / film.video)) == film.seconds
        assert sound_of(folder / film.video).size == pytest.approx(film.seconds * SAMPLE_RATE_HZ, abs=2048)


def test_labels_follow_the_truth_with_a_little_noise(folder: Path) -> None:
    for film in plan_demo_films(**SIZE):
        labels, latent = read_labels(folder / film.annotation), film.latent()
        np.testing.assert_array_equal(labels[:, 0], np.arange(film.seconds))
        truth = np.stack([latent.valence, latent.arousal], axis=1)
        assert 0.01 < np.std(labels[:, 1:] - truth) < 0.1
        assert np.abs(labels[:, 1:] - truth).max() < 0.3
        assert np.abs(labels[:, 1:]).max() <= 1


def test_truth_is_smooth_wide_and_unrelated() -> None:
    for film in plan_demo_films():
        latent = film.latent()
        for curve in (latent.valence, latent.arousal):
            assert np.ptp(curve) == pytest.approx(1.9)
            assert np.abs(np.diff(curve)).max() < 0.5
            # The constant mean is a poor answer for each single film.
            assert np.std(curve) > 0.35
        assert abs(np.corrcoef(latent.valence, latent.arousal)[0, 1]) < 1e-6
        assert set(latent.faces) == {0, 1, 2}
        assert latent.valence[latent.faces == 0].mean() < latent.valence[latent.faces > 0].mean() - 0.5


def test_picture_and_sound_follow_the_truth(folder: Path) -> None:
    for film in plan_demo_films(**SIZE):
        latent = film.latent()
        frames = frame_each_second(folder / film.video).astype(float)
        warmth = frames[..., 0].mean(axis=(1, 2)) - frames[..., 2].mean(axis=(1, 2))
        assert np.corrcoef(warmth, latent.valence)[0, 1] > 0.8
        edges = np.abs(np.diff(frames.mean(axis=-1), axis=2)).mean(axis=(1, 2))
        # Bright scenes and faces have edges as well; what arousal adds to them is looked at.
        others = np.stack([np.ones(film.seconds), latent.valence, latent.faces], axis=1)
        assert np.corrcoef(remainder(edges, others), remainder(latent.arousal, others))[0, 1] > 0.75
        track = sound_of(folder / film.video)
        windows = [track[t * SAMPLE_RATE_HZ :][: int(0.96 * SAMPLE_RATE_HZ)] for t in range(film.seconds)]
        loudness_db = [20 * np.log10(np.sqrt(np.mean(window**2)) + 1e-6) for window in windows]
        assert np.corrcoef(loudness_db, latent.arousal)[0, 1] > 0.8
        # Two observations with noise, so neither tells the whole truth.
        assert np.corrcoef(warmth, latent.valence)[0, 1] < 0.999
        assert np.abs(track).max() <= 1.1


def test_faces_are_found_where_the_truth_has_them(folder: Path) -> None:
    mtcnn = pytest.importorskip("mtcnn")
    from mtcnn.stages import StageONet, StagePNet, StageRNet

    # Absolute paths: by default the package would unpickle files of these names in the working directory.
    weights = Path(mtcnn.__file__).parent / "assets" / "weights"
    networks = {StagePNet: "pnet.lz4", StageRNet: "rnet.lz4", StageONet: "onet.lz4"}
    detector = mtcnn.MTCNN(stages=[stage(weights=str(weights / name)) for stage, name in networks.items()])
    pictures, expected = [], []
    for film in plan_demo_films(**SIZE):
        frames, faces = frame_each_second(folder / film.video), film.latent().faces
        for count in np.unique(faces):
            second = int(np.flatnonzero(faces == count)[0])
            pictures.append(frames[second])
            expected.append(int(count))
    assert set(expected) == {0, 1, 2}
    found = detector.detect_faces(pictures, threshold_pnet=0.6, threshold_rnet=0.7, threshold_onet=0.8)
    assert [len(faces) for faces in found] == expected


def test_films_depend_on_seed_and_number_only(tmp_path: Path) -> None:
    make_demo_films(tmp_path / "one", **SMALL)
    make_demo_films(tmp_path / "more", films=3, seconds=8)
    one, more = content(tmp_path / "one"), content(tmp_path / "more")
    films = [name for name in one if name != "manifest.csv"]
    assert len(films) == 4
    assert all(one[name] == more[name] for name in films)
    make_demo_films(tmp_path / "other", seed=7, **SMALL)
    other = content(tmp_path / "other")
    assert all(one[name] != other[name] for name in films)


def test_made_films_are_kept_and_others_made_again(tmp_path: Path) -> None:
    make_demo_films(tmp_path, **SMALL)
    before = content(tmp_path)
    first, second = sorted((tmp_path / "films").iterdir())
    kept = first.stat().st_ino
    # A damaged film, and one of the same name but other parameters, don't count as made.
    second.write_bytes(b"no film")
    make_demo_films(tmp_path, **SMALL)
    assert content(tmp_path) == before
    assert first.stat().st_ino == kept
    make_demo_films(tmp_path, seed=1, **SMALL)
    assert first.stat().st_ino != kept
    assert content(tmp_path).keys() == before.keys()


def test_an_interrupted_run_leaves_whole_films_only_and_goes_on(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def stop_after_one(done: int, of: int) -> None:
        calls.append((done, of))
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo_films(tmp_path, progress=stop_after_one, **SMALL)
    assert calls == [(0, 2), (1, 2)]
    assert list(content(tmp_path)) == ["annotations/MEDIAEVAL18_00_Valence-Arousal.txt", "films/MEDIAEVAL18_00.mp4"]
    calls.clear()
    make_demo_films(tmp_path, progress=lambda done, of: calls.append((done, of)), **SMALL)
    assert calls == [(0, 2), (1, 2), (2, 2)]
    assert "manifest.csv" in content(tmp_path)


def test_a_film_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_frames = picture.draw_frames

    def draw_some_frames(*arguments: Any) -> Iterator[np.ndarray]:
        yield from itertools.islice(draw_frames(*arguments), 20)
        raise OSError("disk full")

    monkeypatch.setattr(picture, "draw_frames", draw_some_frames)
    with pytest.raises(OSError, match="disk full"):
        make_demo_films(tmp_path, **SMALL)
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_default_set_is_about_900_seconds_long() -> None:
    films = plan_demo_films()
    assert [sum(film.split == split for film in films) for split in ("train", "validation", "test")] == [9, 2, 3]
    assert 850 < sum(film.seconds for film in films) < 950
    assert all(55 <= film.seconds <= 90 for film in films)


@pytest.mark.parametrize("values", [{"seconds": 3}, {"films": 1}, {"films": -2}])
def test_sets_that_cannot_be_made_are_refused(tmp_path: Path, values: dict) -> None:
    with pytest.raises(ValueError, match="demo films"):
        make_demo_films(tmp_path, **values)
    assert not list(tmp_path.iterdir())
