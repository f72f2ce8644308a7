"""The extract job on real films: T as contract 1 defines it, faces where there are faces, persons told apart."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records import records

pytestmark = pytest.mark.slow

CLIPS = [
    "big_buck_bunny_30s.webm",
    "big_buck_bunny_5s_51ch.mp4",
    "his_girl_friday_6s.mp4",
    "mdn_chroma_face_24s.mp4",
    "nasa_13013_17s.mp4",
    "sintel_trailer_52s.mp4",
    "tears_of_steel_17s_noaudio.webm",
]


@pytest.fixture(scope="module")
def extracted(shared_data, tmp_path_factory) -> Path:
    """Records of all clips: the published face network, the others untrained."""
    output = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEAFFECT_WEIGHTS", str(shared_data / "weights"))
        networks = ["image.weights=untrained", "audio.weights=untrained", "face.weights=facenet_vggface2_folded"]
        code = extract.main(
            ["--films", str(shared_data / "clips"), "--output", str(output), "--workers", "2"]
            + [f"--set={network}" for network in networks]
        )
    assert code == 0
    return output


def duration_s(path: Path) -> Fraction:
    """D by its definition, from all packets of the best video stream."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        packets = [(p.pts, p.duration) for p in container.demux(stream) if p.pts is not None and p.size]
        last_s = max((pts + (duration or 0)) * stream.time_base for pts, duration in packets)
        if not max(packets)[1]:  # the last frame says nothing of its length
            last_s = max(last_s, max(packets)[0] * stream.time_base + 1 / stream.average_rate)
        return last_s - min(pts for pts, _ in packets) * stream.time_base


@pytest.mark.parametrize("clip", CLIPS)
def test_every_clip_gives_a_record_of_t_seconds(extracted, shared_data, clip):
    record = records.read_record(records.record_uri(str(extracted), clip))
    exact_s = duration_s(shared_data / "clips" / clip)
    assert record.header.seconds == math.ceil(exact_s)
    assert record.header.duration_us == round(exact_s * 1_000_000)
    assert sorted(record.tracks) == ["audio", "face", "image"]
    image = record.tracks["image"]
    # The picture of second t is not younger than t, and as old as a frame lasts at most.
    age_us = record.header.start_us + 1_000_000 * np.arange(record.header.seconds) - image.timestamps_us
    assert age_us.min() >= -1
    assert age_us.max() < 50_000
    assert record.tracks["audio"].present.all() == (clip != "tears_of_steel_17s_noaudio.webm")


def test_faces_are_found_where_there_are_faces(extracted):
    face = records.read_record(records.record_uri(str(extracted), "his_girl_friday_6s.mp4")).tracks["face"]
    counts = face.present.sum(axis=1).astype(int).tolist()
    assert counts[0] == 0
    assert all(count >= 1 for count in counts[1:])
    assert (counts[3], counts[6]) == (2, 2)
    areas = (face.boxes[:, :, 2] - face.boxes[:, :, 0]) * (face.boxes[:, :, 3] - face.boxes[:, :, 1])
    assert (areas[:, 0] >= areas[:, 1]).all()
    assert face.boxes.min() >= 0
    assert face.boxes.max() <= 1
    assert not face.values.reshape(-1, 2, 512)[face.present == 0].any()


def test_the_same_person_is_closer_than_two_people(extracted):
    face = records.read_record(records.record_uri(str(extracted), "his_girl_friday_6s.mp4")).tracks["face"]
    # One woman stands on the right, the other sits left of the middle, throughout.
    people = [
        (t, face.boxes[t, slot, [0, 2]].mean() > 0.5, face.values.reshape(-1, 2, 512)[t, slot])
        for t, slot in np.argwhere(face.present)
    ]
    same, different = [], []
    for t, stands, vector in people:
        for other_t, other_stands, other in people:
            if stands == other_stands and other_t == t + 1:
                same.append(np.linalg.norm(vector - other))
            elif stands and not other_stands and other_t == t:
                different.append(np.linalg.norm(vector - other))
    assert len(same) >= 4
    assert len(different) == 2
    assert max(same) < min(different)


def test_the_large_film_has_faces_in_most_of_its_seconds(extracted):
    face = records.read_record(records.record_uri(str(extracted), "tears_of_steel_17s_noaudio.webm")).tracks["face"]
    assert face.present[:, 0].mean() > 0.4
