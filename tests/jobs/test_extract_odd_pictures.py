"""Real faces in anamorphic, HDR and interlaced films: `extract` finds those of the plain film, and says what it met.

The films are those of `make_anamorphic.sh`, `make_hdr.py` and `make_interlaced.sh` in ../shared/data/odd_films, with
one picture a second.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace, Interpolation

from beam_pipelines import extract
from beam_pipelines.contracts.records import records
from beam_pipelines.media.probe import probe_film
from beam_pipelines.media.video.sample_frames import sample_frames
from tests.support.picture_clips import BT2020, HLG, INTERLACED, PQ, Shown, hlg, pq, write_frames

pytestmark = pytest.mark.slow

TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.6780, 0.0593])
ANAMORPHIC = {"square": (1024, Fraction(1)), "pal": (720, Fraction(64, 45)), "two": (512, Fraction(2))}
FINE = {"preset": "veryfast", "crf": "12"}


def scaled(image: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return frame.reformat(width_px, height_px, interpolation=Interpolation.LANCZOS, threads=1).to_ndarray()


def in_hdr(image: np.ndarray, transfer: int) -> Any:
    """An SDR picture as a 10-bit HDR frame with white at 203 cd/m²."""
    nits = 203 * (image / 255.0) ** 2.4 @ TO_BT2020.T
    if transfer == PQ:
        signal = pq(nits.clip(0))
    else:  # HLG's gamma acts on the luminance, not on each colour
        luminance = np.maximum(nits @ LUMA, 1e-3)[..., None]
        signal = hlg((nits.clip(0) / luminance) ** 1.2 * luminance)
    codes = (signal.clip(0, 1) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
    frame = frame.reformat(format="yuv420p10le", dst_colorspace=Colorspace.BT2020, threads=1)
    frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = BT2020, BT2020, transfer, 1
    return frame


@pytest.fixture(scope="module")
def films(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    clip = shared_data / "clips" / "his_girl_friday_6s.mp4"
    pictures = [frame.image for frame in sample_frames(clip, probe_film(clip))]
    scene = [picture[40:400] for picture in pictures]
    for name, (width_px, aspect) in ANAMORPHIC.items():
        shown = Shown(options=FINE, sample_aspect=aspect)
        write_frames(folder / f"{name}.mp4", [scaled(each, width_px, 576) for each in scene], shown)
    square = [frame.image for frame in sample_frames(folder / "square.mp4", probe_film(folder / "square.mp4"))]
    for name, transfer in (("pq", PQ), ("hlg", HLG)):
        shown = Shown(options=FINE, transfer=transfer)
        write_frames(folder / f"{name}.mp4", [in_hdr(each, transfer) for each in square], shown)
    still = scaled(pictures[3], 2048, 1536)

    def pan(number: int) -> np.ndarray:
        left = 12 * number % 1000
        return still[300:876, left : left + 1024].copy()

    progressive, interlaced = [pan(60 * t) for t in range(6)], [pan(60 * t) for t in range(6)]
    for t, picture in enumerate(interlaced):
        picture[1::2] = pan(60 * t + 1)[1::2]
    write_frames(folder / "progressive.mp4", progressive, Shown(options=FINE))
    write_frames(folder / "interlaced.mp4", interlaced, Shown(options={**INTERLACED, "crf": "12"}))
    return folder


@pytest.fixture(scope="module")
def extracted(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, records.FilmRecord]:
    output = tmp_path_factory.mktemp("features")
    settings = ["--set=modalities=[face]", "--set=face.weights=untrained", "--workers=1"]
    assert extract.main(["--films", str(films), "--output", str(output), *settings]) == 0
    return {path.stem: records.read_record(records.record_uri(str(output), path.name)) for path in films.iterdir()}


def faces(record: records.FilmRecord) -> list[int]:
    return [int(count) for count in record.tracks["face"].present.sum(axis=1)]


def told(record: records.FilmRecord) -> dict[str, float]:
    return {each.code: each.number for each in record.header.warnings}


@pytest.mark.parametrize("name", ["pal", "two"])
def test_squeezed_films_have_the_faces_of_the_square_one(extracted: dict[str, records.FilmRecord], name: str):
    square, squeezed = extracted["square"], extracted[name]
    counts = faces(square)
    assert counts[0] == 0
    assert min(counts[1:]) >= 1
    assert (counts[3], counts[6]) == (2, 2)
    assert faces(squeezed) == counts
    np.testing.assert_allclose(squeezed.tracks["face"].boxes, square.tracks["face"].boxes, atol=0.02)
    assert told(squeezed) == {"pixels_not_square": round(float(ANAMORPHIC[name][1]), 3)}
    assert told(square) == {}


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_hdr_films_look_as_the_sdr_one_and_have_its_faces(
    extracted: dict[str, records.FilmRecord], films: Path, name: str
):
    square, hdr = extracted["square"], extracted[name]
    pictures = [
        np.stack([frame.image for frame in sample_frames(film, probe_film(film))]).astype(float)
        for film in (films / "square.mp4", films / f"{name}.mp4")
    ]
    sdr, shown = [(each.mean(), each.std(), np.percentile(each, 99)) for each in pictures]
    np.testing.assert_allclose(shown, sdr, atol=1.5)
    assert np.abs(pictures[0] - pictures[1]).mean() < 1.5
    assert faces(hdr) == faces(square)
    np.testing.assert_allclose(hdr.tracks["face"].boxes, square.tracks["face"].boxes, atol=0.02)
    assert told(hdr) == {"hdr": 203}


def test_an_interlaced_film_has_the_faces_of_the_progressive_one(extracted: dict[str, records.FilmRecord]):
    progressive, interlaced = extracted["progressive"], extracted["interlaced"]
    assert faces(progressive) == [1, 2, 2, 1, 1, 2]
    assert faces(interlaced) == faces(progressive)
    np.testing.assert_allclose(interlaced.tracks["face"].boxes, progressive.tracks["face"].boxes, atol=0.03)
    assert told(interlaced) == {"interlaced": 288}
    assert told(progressive) == {}
