"""Every kind of encoder, statistic and precision through training, export and a bare process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.contracts.records.records import read_record, record_uri, slots_of
from tests.support import numpy_reference as reference
from tests.support.bare_process import BareProcess
from tests.support.synthetic_films import DIMENSIONS, DataSet
from trainer.commands import train as task
from trainer.data.transform import load_transform
from trainer.evaluation.curve_files import RAW, read_curve
from trainer.exporting.export import export_model
from trainer.foundation.config import ModelConfig
from trainer.network.model import AffectModel, build_model

LSTM = {"kind": "lstm", "units": 4, "layers": 2, "states": "all"}
BOTH = {"kind": "gru", "units": 3, "bidirectional": True}
TCN = {"kind": "tcn", "filters": 4, "filters_step": 2, "kernel_s": 3}
FILM = {"batch_normalization": True, "batch_statistics_at_inference": "film"}
POPULATION = {"batch_normalization": True, "batch_statistics_at_inference": "population"}
MEMBERS: list[tuple[str, dict[str, Any]]] = [
    ("float32", {"window_s": 7, "lookahead_s": 4, "encoder": LSTM, "encoders": {"face": BOTH}, **FILM}),
    ("mixed_float16", {"window_s": 6, "encoder": TCN, "modalities": ("face", "image"), **FILM}),
    ("mixed_bfloat16", {"window_s": 5, "encoders": {"audio": {**TCN, "causal": True}, "image": LSTM}, **POPULATION}),
]
LENGTHS = [1, 29, 30, 44]


def make_members() -> list[AffectModel]:
    members = []
    for seed, (precision, options) in enumerate(MEMBERS):
        config = ModelConfig.model_validate({"encoder": {"units": 3}, **options})
        members.append(build_model(config, DIMENSIONS, seed, dtype=precision))
        reference.scatter_weights(members[-1], seed)
    return members


def raw_films() -> dict[str, np.ndarray]:
    """Raw rows of all films; the last has no sound at all, and NaN in its place."""
    generator, rows = np.random.default_rng(0), {}
    for modality, size in DIMENSIONS.items():
        rows[modality] = generator.normal(3.0, 1.0, (sum(LENGTHS), size)).astype(np.float32)
        present = generator.uniform(size=(sum(LENGTHS), slots_of(modality))) < 0.8
        rows[f"{modality}_present"] = present.astype(np.float32)
    rows["audio"][-LENGTHS[-1] :] = np.nan
    rows["audio_present"][-LENGTHS[-1] :] = 0.0
    return rows


@pytest.mark.slow
def test_the_mean_of_all_kinds_in_a_bare_process_is_that_of_the_formulas(
    dataset: DataSet, bare: BareProcess, tmp_path: Path
) -> None:
    members, rows = make_members(), raw_films()
    directory = export_model(members, dataset.transform, {}, str(tmp_path / "exports" / "1"), label_range=(0.0, 1.0))
    splits = np.cumsum([0, *LENGTHS])
    (tmp_path / "bare").mkdir()
    outputs = bare.curves(directory, rows, splits, tmp_path / "bare")
    transformed = {key: np.asarray(values) for key, values in load_transform(dataset.transform)(rows).items()}
    starts = np.repeat(splits[:-1], LENGTHS).astype(np.int32)
    own = [member.predict_rows(transformed, starts).numpy() for member in members]
    for member, predicted in zip(members, own, strict=True):
        np.testing.assert_allclose(predicted, reference.model_rows(member, transformed, starts), atol=1e-5, rtol=0)
        assert predicted.std() > 1e-3
    expected = np.mean(own, axis=0)
    for column, target in enumerate(("valence", "arousal")):
        np.testing.assert_allclose(outputs[f"films {target}"], expected[:, column], atol=1e-5, rtol=0)
        alone = np.concatenate([outputs[f"film {index} {target}"] for index in range(len(LENGTHS))])
        np.testing.assert_allclose(alone, expected[:, column], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def run(dataset: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cineaffect train` with a TCN, an LSTM and a GRU under film statistics, modality dropout and float16."""
    output = tmp_path_factory.mktemp("run")
    network = {"window_s": 6, "encoder": {"units": 6}, "encoders": {"image": TCN, "audio": LSTM}, **FILM}
    configuration = output / "experiment.yaml"
    section = {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "stride_s": 3, "precision": "mixed_float16"}
    model = {**network, "modality_dropout": 0.2, "dropout": 0.1}
    configuration.write_text(json.dumps({"train": {**section, "model": model}}))
    argv = ["--manifest", dataset.manifest, "--records", dataset.records, "--transform", dataset.transform]
    assert task.main([*argv, "--config", str(configuration), "--output", str(output)]) == 0
    return output


@pytest.mark.slow
def test_a_trained_model_scores_in_a_bare_process_what_the_trainer_predicted(
    dataset: DataSet, bare: BareProcess, run: Path, tmp_path: Path
) -> None:
    films = [path.stem for path in sorted((run / "curves").iterdir())]
    records = [read_record(record_uri(dataset.records, film)) for film in films]
    splits = np.cumsum([0, *(record.header.seconds for record in records)])
    rows = {}
    for modality in DIMENSIONS:
        rows[modality] = np.concatenate([record.tracks[modality].values for record in records])
        rows[f"{modality}_present"] = np.concatenate([record.tracks[modality].present for record in records])
    outputs = bare.curves(str(run / "exports" / "1"), rows, splits, tmp_path)
    own = np.concatenate([read_curve(str(run / "curves" / f"{film}.csv"))[RAW] for film in films])
    assert np.ptp(own, axis=0).min() > 0.02
    for column, target in enumerate(("valence", "arousal")):
        np.testing.assert_allclose(outputs[f"films {target}"], own[:, column], atol=1e-5, rtol=0)
        alone = np.concatenate([outputs[f"film {index} {target}"] for index in range(len(films))])
        np.testing.assert_allclose(alone, own[:, column], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_card_says_how_it_was_made(run: Path) -> None:
    card = json.loads((run / "exports" / "1" / "model_card.json").read_text())
    section = card["configuration"]["train"]
    assert (section["precision"], section["loss"], section["loss_seconds"]) == (
        "mixed_float16",
        "cross_entropy",
        "auto",
    )
    (member,) = card["models"]
    assert member["batch_statistics_at_inference"] == "film"
    assert member["encoders"]["image"]["kind"] == "tcn"
    assert member["encoders"]["audio"]["states"] == "all"
