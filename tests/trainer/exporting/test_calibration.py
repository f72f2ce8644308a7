"""`cineaffect calibrate`: the bands of an exported model, from the command to the columns, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_pipelines.contracts.curves.bands import half_width
from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig, smooth
from beam_pipelines.contracts.models.exported_model import ModelReference
from beam_pipelines.contracts.models.model_card import ModelCard
from beam_pipelines.contracts.records.records import record_uri, write_record
from beam_pipelines.foundation.errors import ConfigurationError
from tests.support import score_runs
from tests.support.exported_models import expected_raw, make_card, write_model
from tests.support.feature_records import make_film_record
from trainer.commands import calibrate, evaluate
from trainer.exporting.calibration import assert_new_films
from trainer.exporting.ensemble_members import Member

SPLITS = ["train", "validation", *["calibration"] * 4, "test", "test"]
FILTER = SmoothingConfig(order=2, cutoff_hz=0.08)


def write_labelled_films(root: Path) -> None:
    """Eight films of 20 to 34 seconds, whose labels are the model's curve and a film's own error."""
    rows = ["film_id,path,split,labels"]
    for number, split in enumerate(SPLITS):
        film_id, generator = f"film{number}", np.random.default_rng(number)
        made = make_film_record(film_id, 20 + 2 * number, seed=number)
        record = replace(made, header=replace(made.header, source_sha256=f"{number:064x}"))
        write_record(record, record_uri(str(root / "features"), film_id))
        raw = expected_raw(record)
        labels = np.stack([smooth(raw[target], FILTER) for target in ("valence", "arousal")], axis=1)
        labels += generator.normal(0, 0.05, 2) + generator.normal(0, 0.02, labels.shape)
        lines = [f"{t}\t{v:.6f}\t{a:.6f}" for t, (v, a) in enumerate(np.clip(labels, -1, 1))]
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{film_id}.txt").write_text("\n".join(["Time\tValence\tArousal", *lines, ""]))
        rows.append(f"{film_id},{film_id}.mp4,{split},labels/{film_id}.txt")
    (root / "films.csv").write_text("\n".join([*rows, ""]))


def run(root: Path, *further: str) -> int:
    common = ["--records", str(root / "features"), "--manifest", str(root / "films.csv")]
    return calibrate.main(["--model", str(root / "exports"), *common, *further])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, and a model whose second version is calibrated on four of them."""
    root = tmp_path_factory.mktemp("calibration")
    write_labelled_films(root)
    write_model(root / "exports", "1")
    card_file = root / "exports" / "1" / "model_card.json"
    data = {"train_films": ["film0"], "validation_films": ["film1"]}
    card_file.write_text(json.dumps({**json.loads(card_file.read_text()), "data": data}))
    assert run(root) == 0
    return root


def labels_of(root: Path, film_id: str) -> np.ndarray:
    return np.loadtxt(root / "labels" / f"{film_id}.txt", skiprows=1)[:, 1:]


def test_the_card_holds_the_quantile_over_the_calibration_films(root: Path):
    first, second = (json.loads((root / f"exports/{n}/model_card.json").read_text()) for n in (1, 2))
    calibration = second.pop("calibration")
    assert {**first, "version": "2"} == second
    assert calibration["films"] == ["film2", "film3", "film4", "film5"]
    for place, target in enumerate(("valence", "arousal")):
        errors = []
        for number in range(2, 6):
            raw = expected_raw(make_film_record(f"film{number}", 20 + 2 * number, seed=number))
            errors.append(np.abs(labels_of(root, f"film{number}")[:, place] - smooth(raw[target], FILTER)))
        assert calibration["half_widths"][target] == {"80": pytest.approx(half_width(errors, 80), abs=2e-6)}
        assert calibration["measured"][target]["80"]["films"] == 2


def test_curves_and_table_have_the_bands_and_evaluate_measures_them(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    split = ["--manifest", str(root / "films.csv"), "--splits", "test"]
    code, manifest = score_runs.run(root / "features", root / "exports", tmp_path, *split)
    assert code == 0
    assert manifest is not None
    assert "the 95 % band needs 19 films; this model was calibrated on 4" in capsys.readouterr().out
    card = json.loads((root / "exports/2/model_card.json").read_text())
    inside = []
    for film_id in ("film6", "film7"):
        curve = from_csv((tmp_path / f"curves/{film_id}.csv").read_text(), film_id)
        assert curve.levels == (80,)
        half = card["calibration"]["half_widths"]["valence"]["80"]
        np.testing.assert_allclose(curve.of("valence_low_80"), np.clip(curve.of("valence") - half, -1, 1), atol=2e-6)
        labels = labels_of(root, film_id)[:, 0]
        inside.append(np.mean((curve.of("valence_low_80") <= labels) & (labels <= curve.of("valence_high_80"))))
    table = pq.read_table(tmp_path / "curves.parquet")
    assert [name for name in table.column_names if "_80" in name] == [
        "valence_low_80", "arousal_low_80", "valence_high_80", "arousal_high_80"
    ]  # fmt: skip
    assert evaluate.main(["--scores", str(tmp_path), *split]) == 0
    assert f"80 % band of valence: holds {np.mean(inside):.1%} of a film's seconds" in capsys.readouterr().out
    bands = json.loads((tmp_path / "evaluation.json").read_text())["bands"]
    assert bands["valence"]["80"] == pytest.approx(card["calibration"]["measured"]["valence"]["80"], abs=1e-5)


def test_an_export_without_calibration_gives_no_columns_and_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["--manifest", str(root / "films.csv"), "--splits", "test"]
    assert score_runs.run(root / "features", root / "exports/1", tmp_path, *arguments)[0] == 0
    assert "no bands around the curves: the model isn't calibrated" in capsys.readouterr().out
    assert not any("_80" in name for name in pq.read_table(tmp_path / "curves.parquet").column_names)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--splits", "validation,calibration"], "'film1' can't calibrate or test.*chosen the model's epoch"),
        (["--splits", "train,calibration"], "'film0' can't calibrate or test.*has learned from it"),
        (["--splits", "test", "--test-splits", ""], "2 calibration films are too few.*80 % needs 4, 95 % needs 19"),
        (["--test-splits", "calibration"], "'film2' and 'film2' are the same"),
        (["--splits", "calibraton"], "did you mean 'calibration'"),
    ],
)
def test_it_refuses(root: Path, arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]):
    assert run(root, *arguments) == 2
    assert re.search(says, capfd.readouterr().err.replace("\n", " "))


def test_a_card_that_names_no_films_calibrates_on_none(tmp_path: Path):
    card = make_card("1")
    model = Member(ModelReference("exports/1", "", ModelCard.model_validate(card)), card)
    with pytest.raises(ConfigurationError, match="exports/1: its card doesn't name the films that it has learned from"):
        assert_new_films(model, [], [], str(tmp_path))


def test_a_formula_with_a_range_of_its_own_in_each_film_has_no_bands(root: Path, capfd: pytest.CaptureFixture[str]):
    common = ["--records", str(root / "features"), "--manifest", str(root / "films.csv")]
    assert calibrate.main(["--model", "builtin:signals", *common]) == 2
    assert "a range of its own" in capfd.readouterr().err
