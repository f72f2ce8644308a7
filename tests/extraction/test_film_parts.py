"""Parts of a film, joined, are the film, to the bit, through real networks; and no batch is wasted."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from beam_pipelines.extraction.film_parts import join_parts
from beam_pipelines.extractors import tracks
from beam_pipelines.extractors.config import OTHER_MODALITIES, ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, core_seconds, describe_tracks
from beam_pipelines.extractors.registry import registered_names
from beam_pipelines.extractors.tracks import FilmPart, extract_tracks
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.worker.decoding_process import DecodingProcess

SECONDS, RESTART_S = 10, 6
SETTINGS = {
    "modalities": ["image", "face"],
    "image": {"weights": "untrained", "batch_size": 4},
    "face": {"weights": "untrained", "batch_size": 4, "detector_batch_size": 3, "smallest_face": 0.2},
}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """A photograph of one person, a little further to the right in every second, brighter and darker."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        portrait = np.asarray(photograph.convert("RGB").resize((214, 254)))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
        for number in range(SECONDS):
            picture = np.full((256, 320, 3), 8 * number, np.uint8)
            picture[:254, 5 * number : 5 * number + 214] = portrait
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ExtractConfig.model_validate(SETTINGS))


@pytest.fixture
def extracted(film, networks, monkeypatch) -> Callable[..., FilmPart]:
    # 300 s of a film would take a minute; the rule is the same.
    monkeypatch.setattr(tracks, "BATCHES_RESTART_EVERY_S", RESTART_S)
    descriptions = describe_tracks(networks.config)

    def extract(seconds: range, modalities: tuple[str, ...] = ("image", "face")) -> FilmPart:
        described = {modality: descriptions[modality] for modality in modalities}
        with DecodingProcess() as decoder:
            return extract_tracks(film, probe_film(film), networks, described, MediaLimits(), decoder, seconds)

    return extract


def test_parts_joined_are_the_film_to_the_bit(extracted):
    whole = extracted(range(SECONDS))
    joined = join_parts([extracted(range(RESTART_S)), extracted(range(RESTART_S, SECONDS))])
    assert whole.tracks.keys() == joined.tracks.keys() == {"image", "face"}
    for modality, track in whole.tracks.items():
        for name in ("values", "present", "timestamps_us", "boxes", "scores"):
            one, other = getattr(track, name), getattr(joined.tracks[modality], name)
            assert (one is None and other is None) or one.tobytes() == other.tobytes(), (modality, name)
    present = whole.tracks["face"].present
    assert present[:, 0].sum() >= SECONDS - 2, "the detector finds the photograph's face"
    vectors = whole.tracks["face"].values.reshape(SECONDS, 2, -1)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), present, atol=1e-5)
    assert len(np.unique(whole.tracks["image"].values, axis=0)) == SECONDS


def test_faces_of_several_batches_of_pictures_fill_one_batch_of_faces(extracted, networks, monkeypatch):
    counts = []
    embed = networks.network("face")
    monkeypatch.setitem(networks._networks, "face", lambda crops: (counts.append(len(crops)), embed(crops))[1])
    faces = int(extracted(range(RESTART_S), ("face",)).tracks["face"].present.sum())
    assert faces > 4
    assert sum(counts) == faces
    assert all(count % 4 == 0 for count in counts[:-1])


def test_the_dry_run_knows_what_every_modality_costs():
    for modality in (*registered_names(), *OTHER_MODALITIES):
        assert 0.0005 < core_seconds(ExtractConfig(), modality) < 1
