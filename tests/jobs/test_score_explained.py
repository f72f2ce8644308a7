"""`score --explain`: what the files say of modalities and columns, whatever shares a call; and models that can't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.models.exported_model import find_model
from beam_pipelines.contracts.records import records
from tests.support.exported_models import write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import contents, read_table, run

SECONDS = {"one": 1, "two": 40, "three": 75}
BUILTIN = Path("builtin:signals")
PARTS = ["arousal_base", "arousal_by_picture_signals", "arousal_by_sound_signals"]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of the signals, as made-up as their columns allow."""
    root, card = tmp_path_factory.mktemp("signals"), find_model("builtin:signals").card
    for number, (film_id, seconds) in enumerate(SECONDS.items()):
        record = make_film_record(film_id, seconds, card.dimensions, number)
        tracks = {m: replace(track, description=card.descriptions[m]) for m, track in record.tracks.items()}
        records.write_record(records.make_record(record.header, tracks), records.record_uri(str(root), film_id))
    return root


@pytest.fixture(scope="module")
def explained(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("explained")
    code, manifest = run(features, BUILTIN, output, "--explain", "--set", "batch_s=0")
    assert code == 0
    assert manifest["model"]["explained"] == "Shapley values of the modalities, exact"
    assert manifest["configuration"]["explain"] == "modalities"
    return output


def test_base_and_shares_are_columns_that_add_up_in_csv_and_table(explained):
    table = read_table(explained)
    assert [name for name in table if name.startswith("arousal_")] == ["arousal_raw", *PARTS]
    for film_id, seconds in SECONDS.items():
        curve = from_csv((explained / "curves" / f"{film_id}.csv").read_text(), film_id)
        assert list(curve.shares) == PARTS
        rows = [number for number, name in enumerate(table["film_id"]) if name == film_id]
        assert len(rows) == seconds
        for name, values in curve.shares.items():
            np.testing.assert_array_equal([table[name][row] for row in rows], values)
        np.testing.assert_allclose(sum(curve.shares.values()), curve.arousal_raw, atol=1e-5)
    assert np.abs(curve.shares["arousal_by_sound_signals"]).max() > 0.05


def test_what_shares_the_call_makes_no_difference_and_curves_are_those_of_a_run_without(explained, features, tmp_path):
    code, _ = run(features, BUILTIN, tmp_path / "together", "--explain", "--set", "batch_s=10000")
    assert code == 0
    assert contents(tmp_path / "together", ".csv", ".parquet") == contents(explained, ".csv", ".parquet")
    code, manifest = run(features, BUILTIN, tmp_path / "together")
    assert code == 0
    assert manifest["films"]["done"] == len(SECONDS), "without shares the files are others"
    for film_id in SECONDS:
        own, other = (
            from_csv((place / "curves" / f"{film_id}.csv").read_text(), film_id)
            for place in (explained, tmp_path / "together")
        )
        assert not other.shares
        np.testing.assert_array_equal(own.arousal_raw, other.arousal_raw)


def test_columns_of_signals_are_occluded_and_the_table_remembers_them_without_csv_files(features, tmp_path):
    arguments = (features, BUILTIN, tmp_path, "--explain", "columns", "--set", "csv=false")
    code, _ = run(*arguments)
    assert code == 0
    table = read_table(tmp_path)
    moved = {name.rpartition("/")[2] for name, values in table.items() if "/" in name and np.any(values)}
    assert moved == {"motion_difference", "cuts_30s", "loudness_momentary_lufs"}, "what the formula reads"
    assert sum("/" in name for name in table) == 23
    code, manifest = run(*arguments)
    assert manifest["films"]["skipped"] == len(SECONDS)
    assert read_table(tmp_path) == table


def test_an_export_without_the_signature_is_refused_before_anything_starts(features, tmp_path, capsys):
    write_model(tmp_path / "exports", "1")
    code, manifest = run(features, tmp_path / "exports", tmp_path / "out", "--explain")
    assert (code, manifest) == (2, None)
    said = capsys.readouterr().err
    assert "score.explain" in said
    assert "films_explained" in said
    assert "leave out --explain" in said
