"""Films predicted together or one by one, every second or every few: what the files say of either."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from beam_pipelines.contracts.curves.curves import from_csv
from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
from beam_pipelines.transforms import predict_curves
from beam_pipelines.transforms.predict_curves import FilmModelHandler, Inference
from tests.support.exported_models import expected_raw, write_model
from tests.support.feature_records import make_film_record
from tests.support.score_runs import contents, run, write_films

SECONDS = {f"film {number}": seconds for number, seconds in enumerate((1, 70, 12, 9, 33, 2, 25))}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("batches")
    write_model(root / "exports", "1")
    write_films(root / "features", SECONDS)
    code, _ = run(root / "features", root / "exports", root / "one by one", "--set", "batch_s=0")
    assert code == 0
    return root


@pytest.mark.parametrize("batch_s", [1, 40, 100_000])
def test_what_shares_the_call_makes_no_difference(place, tmp_path, batch_s):
    code, _ = run(place / "features", place / "exports", tmp_path / "out", "--set", f"batch_s={batch_s}")
    assert code == 0
    endings = (".csv", ".parquet")
    assert contents(tmp_path / "out", *endings) == contents(place / "one by one", *endings)


def test_the_handler_calls_the_model_once_a_batch(place, monkeypatch):
    reference = find_model(str(place / "exports"))
    model, calls = ExportedModel(reference), []
    predict = model.predict_films

    def counted(films, stride_s):
        calls.append([film.seconds for film in films])
        return predict(films, stride_s)

    monkeypatch.setattr(model, "predict_films", counted)
    batch = [(n, features_of(make_film_record("f", n, seed=n), reference.card)) for n in (5, 30, 1)]
    answers = list(FilmModelHandler(reference, Inference()).run_inference(batch, SimpleNamespace(loaded=model)))
    assert calls == [[5, 30, 1]]
    for (seconds, features), (film, raw, unlike, _) in zip(batch, answers, strict=True):
        assert film == seconds
        assert unlike is None
        np.testing.assert_array_equal(raw.valence, predict([features])[0].valence)


def test_a_process_without_films_loads_no_model(place, monkeypatch):
    loads = []
    monkeypatch.setattr(predict_curves, "start_tensorflow", lambda threads: loads.append(threads))
    monkeypatch.setattr(predict_curves, "ExportedModel", lambda reference, block_s: (reference, block_s))
    reference = find_model(str(place / "exports"))
    model = FilmModelHandler(reference, Inference(block_s=7)).load_model()
    assert loads == []
    assert [model.loaded for _ in range(2)] == [(reference, 7)] * 2
    assert loads == [1]


def test_batches_are_as_large_as_the_device_wants(monkeypatch):
    made = {}
    for gpu in (False, True):
        monkeypatch.setattr(predict_curves, "sees_gpu", lambda gpu=gpu: gpu)
        batching = predict_curves._BatchFilms(None)
        batching.setup()
        batching.start_bundle()
        films = [(number, SimpleNamespace(seconds=1024)) for number in range(16)]
        made[gpu] = [len(batch) for film in films for batch in batching.process(film)]
    assert made == {False: [2] * 8, True: [8, 8]}


def test_a_stride_asks_for_fewer_seconds_and_interpolates(place, tmp_path):
    arguments = (place / "features", place / "exports", tmp_path / "out")
    code, manifest = run(*arguments, "--set", "stride_s=4", "--set", "batch_s=50")
    assert code == 0
    assert manifest["configuration"]["stride_s"] == 4
    for number, (film_id, seconds) in enumerate(SECONDS.items()):
        at = sorted({*range(0, seconds, 4), seconds - 1})
        raw = expected_raw(make_film_record(film_id, seconds, seed=number))
        curve = from_csv((tmp_path / "out" / "curves" / f"{film_id}.csv").read_text(), film_id)
        for target in ("valence", "arousal"):
            expected = np.interp(np.arange(seconds), at, raw[target][at])
            np.testing.assert_allclose(getattr(curve, f"{target}_raw"), expected, atol=2e-6)
    alone = tmp_path / "alone"
    run(place / "features", place / "exports", alone, "--set", "stride_s=4", "--set", "batch_s=0")
    assert contents(alone, ".csv", ".parquet") == contents(tmp_path / "out", ".csv", ".parquet")

    _, manifest = run(*arguments, "--set", "stride_s=4")
    assert manifest["films"]["skipped"] == len(SECONDS)
    _, manifest = run(*arguments, "--set", "stride_s=3")
    assert manifest["films"]["done"] == len(SECONDS)
    _, manifest = run(*arguments)
    assert manifest["films"]["done"] == len(SECONDS)
    endings = (".csv", ".parquet")
    assert contents(tmp_path / "out", *endings) == contents(place / "one by one", *endings)


def test_a_model_that_answers_for_whole_films_only_takes_no_stride(place, tmp_path, capsys):
    directory = write_model(tmp_path / "exports", "1")
    card = json.loads((directory / "model_card.json").read_text())
    del card["signatures"]["films_at"]
    (directory / "model_card.json").write_text(json.dumps(card))
    code, _ = run(place / "features", tmp_path / "exports", tmp_path / "out", "--set", "stride_s=2")
    assert code == 2
    assert "score.stride_s: is 2, but model 1 has no signature 'films_at'" in capsys.readouterr().err
    code, _ = run(place / "features", tmp_path / "exports", tmp_path / "out")
    assert code == 0


@pytest.mark.parametrize("normalised", [True, False])
def test_a_model_with_film_statistics_takes_no_stride(place, tmp_path, capsys, normalised):
    directory = write_model(tmp_path / "exports", "1")
    card = json.loads((directory / "model_card.json").read_text())
    film = {"seed": 2, "batch_normalization": normalised, "batch_statistics_at_inference": "film", "window_s": 60}
    card["models"] = [{"seed": 1, "batch_statistics_at_inference": "population"}, film]
    (directory / "model_card.json").write_text(json.dumps(card))
    code, _ = run(place / "features", tmp_path / "exports", tmp_path / "out", "--set", "stride_s=2")
    assert code == (2 if normalised else 0)
    message = capsys.readouterr().err
    assert ("score.stride_s: is 2, but model 1 normalises by the statistics of all seconds" in message) == normalised
    if normalised:
        code, _ = run(place / "features", tmp_path / "exports", tmp_path / "out")
        assert code == 0
