"""A long film in segments: the bytes of the whole, however it is cut; one failure a film; parts found again."""

from __future__ import annotations

import json
import logging
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from beam_pipelines.extraction.parts_folder import PARTS_FOLDER
from tests.support.synthetic_clips import Picture, Sound, regular_times, stored_packets, write_clip

pytestmark = pytest.mark.usefixtures("networks_kept")

SECONDS = 620
SETTINGS = ["--set=modalities=[audio,face]", "--set=audio.weights=untrained", "--set=face.weights=untrained"]
SETTINGS += ["--set=audio.batch_size=4", "--set=face.smallest_face=0.5"]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(3)
    # Sound only around the cuts: VGGish is spared where there is none.
    noise = [(Fraction(at_s), rng.uniform(-0.3, 0.3, (1, 16_000 * 12)).astype(np.float32)) for at_s in (294, 594)]
    picture = Picture(options={"preset": "ultrafast", "g": "20", "crf": "40"})
    sound = Sound(noise, 16_000, codec="aac")
    write_clip(folder / "long.mp4", regular_times(2 * SECONDS, 2), picture=picture, sound=sound, rate_hz=2)
    # Damage in the second segment that is met only in decoding: packets still say what they are.
    sound = Sound(noise[:1], 16_000, codec="aac")
    shorter = write_clip(folder / "damaged.mp4", regular_times(2 * 340, 2), picture=picture, sound=sound, rate_hz=2)
    content = bytearray(shorter.read_bytes())
    for packet in [packet for packet in stored_packets(shorter) if packet.is_keyframe][31:33]:
        place = content.find(bytes(packet))
        content[place + packet.size // 2 : place + packet.size] = b"\xff" * (packet.size - packet.size // 2)
    (folder / "damaged.mp4").write_bytes(content)
    write_clip(folder / "short.mp4", regular_times(50, 25))
    return folder


def run(films: Path, output: Path, segment_s: int, *arguments: str, workers: int = 1) -> int:
    common = ["--films", str(films), "--output", str(output), f"--workers={workers}", f"--set=segment_s={segment_s}"]
    return extract.main([*common, *SETTINGS, *arguments])


def contents(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.tfrecord"))}


def parts(output: Path) -> list[str]:
    return sorted(path.name for path in (output / PARTS_FOLDER).glob("*"))


@pytest.fixture(scope="module")
def whole(films, networks_kept, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    assert run(films, output, 900) == 0
    assert not (output / PARTS_FOLDER).exists()
    return output


@pytest.mark.parametrize(("segment_s", "workers"), [(300, 1), pytest.param(600, 2, marks=pytest.mark.slow)])
def test_records_are_those_of_whole_films_also_of_damaged_ones(films, whole, tmp_path, segment_s, workers, caplog):
    caplog.set_level(logging.INFO, "beam_pipelines.extraction")
    assert run(films, tmp_path, segment_s, workers=workers) == 0
    assert contents(tmp_path) == contents(whole)
    assert len(contents(whole)) == 3
    sound = records.read_record(str(whole / "long.mp4.tfrecord")).tracks["audio"]
    assert sound.values[300].any()
    assert sound.values[600].any()
    assert parts(tmp_path) == []
    if workers == 1:
        again = [entry.args[0] for entry in caplog.records if "again in one piece" in entry.msg]
        assert again == ["damaged.mp4"]
    quality = records.read_header(str(tmp_path / "damaged.mp4.tfrecord")).quality["picture"]
    assert quality["frames_corrupt"] + quality["packet_errors"] > 0
    manifest = json.loads((tmp_path / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 3, "done": 3, "skipped": 0, "failed": 0}
    taken = manifest["time_by_stage"]
    segments = {300: 3 + 2, 600: 2}[segment_s]
    # A film that is extracted again in one piece is counted again.
    again_s = 340 if segment_s == 300 else 0
    assert taken["picture decoding"]["items"] == taken["face detector"]["items"] == SECONDS + 340 + 2 + again_s
    assert taken["writing"]["items"] == segments + 3


def test_parts_of_a_killed_run_are_taken_and_damaged_ones_made_again(films, whole, tmp_path, monkeypatch):
    from beam_pipelines.extraction import joining as extraction
    from beam_pipelines.foundation.errors import DiskFullError, FilmError

    def no_room(cut, uris, extractor):
        raise FilmError("read", "disk_full", str(DiskFullError("no room")))

    # Stopped by the machine before the last stage: the parts stay.
    monkeypatch.setattr(extraction, "finish_film", no_room)
    assert run(films / "long.mp4", tmp_path, 300, "--set=failure_threshold=1") == 3
    monkeypatch.undo()
    names = parts(tmp_path)
    assert [name.rsplit("-", 1)[1] for name in names] == ["000000.npz", "000300.npz", "000600.npz"]
    assert contents(tmp_path) == {}
    kept, broken = (tmp_path / PARTS_FOLDER / name for name in (names[0], names[2]))
    broken.write_bytes(broken.read_bytes()[:100])
    os.utime(kept, (1, 1))
    written = []
    original = extraction.write_part
    monkeypatch.setattr(extraction, "write_part", lambda part, uri: (written.append(uri), original(part, uri)))
    assert run(films / "long.mp4", tmp_path, 300) == 0
    assert [Path(uri).name for uri in written] == [names[2]]
    assert contents(tmp_path) == {"long.mp4.tfrecord": contents(whole)["long.mp4.tfrecord"]}
    assert parts(tmp_path) == []


def test_a_film_whose_segments_fail_fails_once(films, tmp_path, monkeypatch):
    from beam_pipelines.extraction import one_film as extraction

    film = tmp_path / "films" / "long.mp4"
    film.parent.mkdir()
    film.write_bytes((films / "long.mp4").read_bytes())
    original = extraction.extract_film

    def changed_meanwhile(*arguments, **options):
        found = original(*arguments, **options)
        os.utime(film, (1, 1))
        return found

    monkeypatch.setattr(extraction, "extract_film", changed_meanwhile)
    assert run(film.parent, tmp_path / "out", 300, "--set=failure_threshold=1") == 3
    rows = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [(row["film_id"], row["step"], row["reason"]) for row in rows] == [("long.mp4", "read", "changed")]
    manifest = json.loads((tmp_path / "out" / "run_manifest.json").read_text())
    assert manifest["films"] == {"in": 1, "done": 0, "skipped": 0, "failed": 1}
    monkeypatch.undo()
    assert run(film.parent, tmp_path / "out", 300) == 0
