"""The paper's baseline and the compact forms as modalities of extraction, from a film to a record read again."""

from __future__ import annotations

from fractions import Fraction
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.records import records
from beam_pipelines.contracts.records.feature_track import FeatureTrack, RecordHeader
from beam_pipelines.contracts.records.quantisation import dequantise, quantise
from beam_pipelines.extractors.batching.film_rows import Network
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import Networks, describe_tracks
from beam_pipelines.extractors.network_inputs import SoundInput
from beam_pipelines.extractors.networks import vgg16
from beam_pipelines.extractors.networks.vgg16 import VGG16Image
from beam_pipelines.extractors.networks.vggish import VGGishAudio
from beam_pipelines.extractors.sound_context import centred_windows, seconds_around
from beam_pipelines.extractors.tracks import extract_tracks
from beam_pipelines.media.audio.audio_windows import AudioWindow, audio_windows
from beam_pipelines.media.probe import MediaLimits, probe_film
from beam_pipelines.media.worker.decoding_process import DecodingProcess
from tests.support.synthetic_clips import Sound, regular_times, write_clip

needs_opensmile = pytest.mark.skipif(util.find_spec("opensmile") is None, reason="needs the extra opensmile")
SECONDS = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s of picture; sound from second 0 to 4 only."""
    path = tmp_path_factory.mktemp("clips") / "film.mp4"
    times = np.arange(4 * 48_000) / 48_000
    samples = (0.3 * np.sin(2 * np.pi * (200 + 40 * times) * times)).astype(np.float32)[None]
    write_clip(path, regular_times(SECONDS * 25, 25), sound=Sound([(Fraction(0), samples)]))
    return path


def extract(
    clip: Path, seconds: range | None = None, network: Network | None = None, **keys: object
) -> dict[str, FeatureTrack]:
    """Tracks of a film; `network` is used for the only modality instead of one built for it."""
    config = ExtractConfig.model_validate(keys)
    networks = Networks(config)
    if network is not None:
        networks._networks[config.modalities[0]] = network
    with DecodingProcess() as decoder:
        descriptions = describe_tracks(config)
        found = extract_tracks(clip, probe_film(clip), networks, descriptions, MediaLimits(), decoder, seconds)
    return dict(found.tracks)


def written_and_read(tracks: dict[str, FeatureTrack], folder: Path) -> records.FilmRecord:
    uri = records.record_uri(str(folder), "film")
    steps = len(next(iter(tracks.values())).values)
    header = RecordHeader("film", "film.mp4", 1, "0" * 64, steps, steps * 1_000_000, 0)
    records.write_record(records.make_record(header, tracks), uri)
    return records.read_record(uri)


def test_vgg16_is_a_modality_and_float16_is_half_its_bytes(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole network takes 15 s and 2 GB; with a quarter of its filters and units the way to the record is the same.
    monkeypatch.setattr(VGG16Image, "build", staticmethod(lambda: vgg16.build_network(narrowing=4)))
    monkeypatch.setattr(VGG16Image, "dimensions", 1024)
    keys = {"modalities": ["vgg16"], "vgg16": {"weights": "untrained", "batch_size": 4}}
    network = VGG16Image("untrained", batch_size=4, engine="tensorflow")
    plain, half = (
        extract(clip, None, network, **keys, encoding=encoding)["vgg16"] for encoding in ("float32", "float16")
    )
    assert plain.values.shape == (SECONDS, 1024)
    assert plain.values.any(axis=1).all()
    assert plain.untrained
    assert plain.description["network"] == "vgg16_fc1"
    assert plain.timestamps_us.tolist() == [1_000_000 * t for t in range(SECONDS)]
    assert half.fingerprint != plain.fingerprint
    np.testing.assert_array_equal(half.values, plain.values.astype(np.float16).astype(np.float32))
    sizes = []
    for name, track in (("plain", plain), ("half", half)):
        read = written_and_read({"vgg16": track}, tmp_path / name).tracks["vgg16"]
        np.testing.assert_array_equal(read.values, track.values)
        assert read.fingerprint == track.fingerprint
        sizes.append((tmp_path / name / "film.tfrecord").stat().st_size)
    assert sizes[1] < 0.52 * sizes[0]


@needs_opensmile
def test_opensmile_hears_five_seconds_and_is_absent_where_there_is_no_sound(clip: Path, caplog) -> None:
    track = extract(clip, modalities=["opensmile_is10"])["opensmile_is10"]
    assert "neither it nor features extracted with it may be used in a product" in caplog.text
    assert track.values.shape == (SECONDS, 1582)
    # The window of second t is [t - 2, t + 3): the last that reaches into the first four seconds is that of second 5.
    np.testing.assert_array_equal(track.present[:, 0], np.arange(SECONDS) < 6)
    np.testing.assert_array_equal(track.values.any(axis=1), np.arange(SECONDS) < 6)
    part = extract(clip, range(3, 5), modalities=["opensmile_is10"])["opensmile_is10"]
    np.testing.assert_array_equal(part.values, track.values[3:5])
    assert part.timestamps_us.tolist() == track.timestamps_us[3:5].tolist()


def test_windows_are_the_seconds_around_each_second_with_zeros_outside(clip: Path) -> None:
    probe = probe_film(clip)
    whole = np.concatenate([w.samples for w in audio_windows(clip, probe, window_s=1.0)])
    padded = np.concatenate([np.zeros(2 * 16_000, np.float32), whole, np.zeros(2 * 16_000, np.float32)])
    five = SoundInput(16_000, 80_000, is_centred=True)
    for seconds in (range(SECONDS), range(1, 4), range(SECONDS - 1, SECONDS), range(5, 5)):
        before, after = seconds_around(seconds, 2, SECONDS)
        pieces: list[AudioWindow] = []
        for part in (before, seconds, after):
            pieces += audio_windows(clip, probe, window_s=1.0, start=part.start, stop=part.stop) if part else []
        windows = list(centred_windows(pieces, seconds, five))
        assert [window.t for window in windows] == list(seconds)
        for window in windows:
            np.testing.assert_array_equal(window.samples, padded[window.t * 16_000 : (window.t + 5) * 16_000])


def test_youtube8m_s_form_of_the_sound_comes_back_from_the_record_bit_for_bit(
    clip: Path, tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, untrained_audio: VGGishAudio
) -> None:
    monkeypatch.setenv("CINEAFFECT_WEIGHTS", str(shared_data / "weights"))
    # What `Networks` would build, both times.
    monkeypatch.setattr(Networks, "_build", lambda self, network, config: untrained_audio)
    audio = {"weights": "untrained", "batch_size": 4}
    plain = extract(clip, modalities=["audio"], audio=audio)["audio"]
    track = extract(clip, modalities=["audio"], audio={**audio, "postprocess": "youtube8m"})["audio"]
    assert track.fingerprint != plain.fingerprint
    assert track.description["stored"] == "uint8_youtube8m"
    there = track.present[:, 0] > 0
    assert 0 < there.sum() < SECONDS
    np.testing.assert_array_equal(dequantise(quantise(track.values[there])), track.values[there])
    assert not track.values[~there].any()
    read = written_and_read({"audio": track}, tmp_path).tracks["audio"]
    np.testing.assert_array_equal(read.values, track.values)
