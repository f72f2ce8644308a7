"""Films through a model of the trainer's own making, from the file to the curve: one second long; no face, no sound."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines import prepare, score
from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.records import records
from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.configured_networks import describe_tracks
from tests.support.feature_records import make_film_record
from tests.support.synthetic_clips import Sound, regular_times, write_clip

DIMENSIONS = {"audio": 128, "face": 1024}
SECONDS = {"one-second.mp4": 1, "nothing.mp4": 14}
EXTRACT = {"modalities": ["audio", "face"], "audio": {"weights": "untrained"}, "face": {"weights": "untrained"}}


def export(root: Path) -> None:
    """A network of the paper's kind with drawn weights, and statistics of two made-up films."""
    from trainer.exporting.export import export_model
    from trainer.foundation.config import ModelConfig
    from trainer.network.model import build_model

    descriptions = describe_tracks(ExtractConfig.model_validate(EXTRACT))
    for seed in range(2):
        record = make_film_record(f"film{seed}", 60, DIMENSIONS, seed)
        tracks = {
            modality: records.FeatureTrack(
                track.values, track.present, track.timestamps_us, descriptions[modality], track.boxes, track.scores
            )
            for modality, track in record.tracks.items()
        }
        made = records.make_record(record.header, tracks)
        records.write_record(made, records.record_uri(str(root / "features"), f"film{seed}"))
    (root / "films.csv").write_text("film_id,path,split\nfilm0,0.mp4,train\nfilm1,1.mp4,train\n")
    place = ["--records", str(root / "features"), "--manifest", str(root / "films.csv")]
    assert prepare.main([*place, "--output", str(root / "transform"), "--workers=1"]) == 0
    config = ModelConfig.model_validate(
        {"modalities": ("audio", "face"), "window_s": 5, "encoder": {"kind": "gru", "units": 3}}
    )
    card = {
        "fingerprints": {modality: records.fingerprint(d) for modality, d in descriptions.items()},
        "descriptions": descriptions,
        "smoothing": {"method": "butterworth", "order": 2, "cutoff_hz": 0.1},
    }
    model = build_model(config, DIMENSIONS, 1)
    export_model([model], str(root / "transform"), card, str(root / "exports" / "1"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("real")
    export(root)
    films = root / "films"
    films.mkdir()
    samples = (0.4 * np.sin(2 * np.pi * 440 * np.arange(40_000) / 48_000)).astype(np.float32)[None]
    write_clip(films / "one-second.mp4", regular_times(20, 25), sound=Sound([(Fraction(0), samples)]))
    write_clip(films / "nothing.mp4", regular_times(14 * 5, 5), rate_hz=5)
    (root / "config.yaml").write_text(json.dumps({"extract": EXTRACT}))
    code = score.main(
        ["--films", str(films), "--model", str(root / "exports"), "--output", str(root / "out"),
         "--config", str(root / "config.yaml"), "--workers=1"]
    )  # fmt: skip
    assert code == 0
    return root / "out"


@pytest.mark.parametrize("film_id", SECONDS)
def test_every_second_has_a_value_in_the_labels_range(scored, film_id):
    curve = from_csv((scored / "curves" / f"{film_id}.csv").read_text(), film_id)
    assert curve.seconds == SECONDS[film_id]
    assert curve.seconds_without_value == 0
    for values in (curve.valence, curve.arousal, curve.valence_raw, curve.arousal_raw):
        assert np.isfinite(values).all()
        assert (np.abs(values) <= 1).all()
    assert (scored / "plots" / f"{film_id}.png").stat().st_size > 1000


def test_what_is_absent_tells_the_model_nothing(scored):
    """Without a face and a sound all windows that lie within the film are alike."""
    tracks = records.read_record(str(scored / "records" / "nothing.mp4.tfrecord")).tracks
    assert not tracks["face"].present.any()
    assert not tracks["audio"].present.any()
    curve = from_csv((scored / "curves" / "nothing.mp4.csv").read_text(), "nothing.mp4")
    assert np.ptp(curve.valence_raw) == 0
    assert np.ptp(curve.arousal_raw) == 0


def test_a_film_too_short_for_a_filter_keeps_its_raw_value(scored):
    curve = from_csv((scored / "curves" / "one-second.mp4.csv").read_text(), "one-second.mp4")
    np.testing.assert_array_equal(curve.valence, curve.valence_raw)
