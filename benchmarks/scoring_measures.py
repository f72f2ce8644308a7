"""The measurements of `benchmarks.scoring`, each in its own process with one thread."""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

WINDOWS_FILM_S = 512
"""The film that sliding windows are made of: a window takes 768 KB."""


def measure_export(arguments: argparse.Namespace) -> dict[str, Any]:
    """Exports the network, or the mean of several."""
    from benchmarks import scoring_models

    target = Path(arguments.folder) / f"model{arguments.members}" / "1"
    if not target.exists():
        scoring_models.export(scoring_models.make_networks(arguments.members), target)
    return {}


def measure_predict(arguments: argparse.Namespace) -> dict[str, Any]:
    """Whole films, one a call."""
    from benchmarks.scoring_models import film_features

    model, film = _loaded(arguments), film_features(0, arguments.film_s)
    return _hours_a_second(lambda: model.predict(film), arguments.film_s, arguments.repeats)


def measure_clips(arguments: argparse.Namespace) -> dict[str, Any]:
    """Clips of 60 s, so many a call."""
    from benchmarks.scoring_models import film_features

    model, films = _loaded(arguments), [film_features(seed, 60) for seed in range(arguments.batch)]
    return _hours_a_second(lambda: model.predict_films(films), 60 * arguments.batch, 3 * arguments.repeats)


def measure_windows(arguments: argparse.Namespace) -> dict[str, Any]:
    """What Keras does by itself: the network on explicit windows, in batches of 256."""
    from benchmarks.scoring_models import explicit_windows, film_features, make_networks

    (network,) = make_networks(1)
    windows = explicit_windows(film_features(0, WINDOWS_FILM_S), network.config.window_s)
    return _hours_a_second(
        lambda: network.predict(windows, batch_size=256, verbose=0), WINDOWS_FILM_S, arguments.repeats
    )


def measure_floor(_: argparse.Namespace) -> dict[str, Any]:
    """The matrix products that can't be left out, at the speed of a large one."""
    from benchmarks.scoring_models import flop_per_second, make_networks, matmul_peak_flops

    return {"hours_a_second": matmul_peak_flops() / flop_per_second(make_networks(1)[0]) / 3600}


def measure_parts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Core milliseconds a film of each step that the job takes with it; films batch by batch, one to warm up."""
    from beam_pipelines.contracts.records import records
    from benchmarks.scoring_models import write_film

    root = Path(arguments.folder) / f"parts{arguments.film_s}"
    uris = [records.record_uri(str(root), f"film{number}") for number in range(arguments.repeats + 1)]
    for seed, uri in enumerate(uris):
        write_film(uri, seed, arguments.film_s)
    steps, together = _Steps(_loaded(arguments), root), max(1, 2048 // arguments.film_s)
    steps.score(uris[:1])
    steps.spent_s.clear()
    for first in range(1, len(uris), together):
        steps.score(uris[first : first + together])
    return {step: 1000 * spent_s / arguments.repeats for step, spent_s in steps.spent_s.items()}


class _Steps:
    """The steps of the job by hand, and the core time of each."""

    def __init__(self, model: Any, root: Path):
        from beam_pipelines.scoring.curve_files import CurveFiles

        self.model, self.root = model, root
        self.spent_s: dict[str, float] = {}
        self.files = CurveFiles(str(root / "out"), True, False, 1, "scorer")

    def score(self, uris: Sequence[str]) -> None:
        """Everything that becomes of some records."""
        from beam_pipelines.contracts.curves import curve_table
        from beam_pipelines.contracts.curves.curves import smoothed_curve
        from beam_pipelines.contracts.curves.done_marker import DoneMarker, record_checksum
        from beam_pipelines.contracts.models.exported_model import features_of
        from beam_pipelines.contracts.records import records
        from beam_pipelines.report.plots import plot_film

        card = self.model.card
        with self._timed("reading"):
            checksums = [record_checksum(uri) for uri in uris]
            films = [features_of(records.read_record(uri, card.modalities), card) for uri in uris]
        with self._timed("inference"):
            raws = self.model.predict_films(films)
        with self._timed("unlike the training films"):
            for film in films:
                self.model.unlike(film)
        bands = card.half_widths(card.smoothing)
        with self._timed("smoothing and bands"):
            curves = {
                Path(uri).stem: smoothed_curve(
                    Path(uri).stem, raw.values, card.smoothing, (-1.0, 1.0), half_widths=bands
                )
                for uri, raw in zip(uris, raws, strict=True)
            }
        markers = [
            DoneMarker(curve.film_id, "scorer", checksum, curve.seconds, 0)
            for curve, checksum in zip(curves.values(), checksums, strict=True)
        ]
        with self._timed("CSV and done marker"):
            for marker in markers:
                self.files.write_film(marker, curves[marker.film_id])
        with self._timed("table"):
            part = str(self.root / "part.parquet")
            columns = next(iter(curves.values())).columns
            curve_table.write_part(part, markers, lambda marker: curves[marker.film_id], columns)
        with self._timed("plot"):
            for curve in curves.values():
                plot_film(self.files.plot_uri(curve.film_id), curve, card.label_range)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started_s = time.process_time()
        yield
        self.spent_s[step] = self.spent_s.get(step, 0.0) + time.process_time() - started_s


def measure_growth(arguments: argparse.Namespace) -> dict[str, Any]:
    """The job's own transforms over clips whose features are made where they are needed; `repeats` of them."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.contracts.models.exported_model import find_model
    from beam_pipelines.scoring.curve_files import CurveFiles
    from beam_pipelines.scoring.scored_film import SkippedFilm
    from beam_pipelines.transforms.outcomes import WriteOutcomes
    from beam_pipelines.transforms.predict_curves import FAILED_TAG, SCORED_TAG, Inference, PredictCurves
    from beam_pipelines.transforms.write_curves import OUTCOMES_TAG, TABLE_TAG, WriteCurves

    model = find_model(str(Path(arguments.folder) / arguments.name))
    with tempfile.TemporaryDirectory() as output:
        files = CurveFiles(output, False, False, 16, "scorer")
        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
            films = pipeline | beam.Create(range(arguments.repeats)) | beam.Reshuffle() | beam.Map(_made_film)
            scored = films | PredictCurves(model, model.card.smoothing, "scorer", Inference(batch_s=2048))
            none = pipeline | "None" >> beam.Create([]).with_output_types(SkippedFilm)
            written = (scored[SCORED_TAG], none) | WriteCurves(files)
            outcomes = (*written[OUTCOMES_TAG], scored[FAILED_TAG])
            outcomes | WriteOutcomes(output, arguments.repeats, {}, 0.0, after=[written[TABLE_TAG]])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    core_s = usage.ru_utime + usage.ru_stime - sum(_PRODUCTS_S)
    return {"core_s": core_s, "product_s": float(np.mean(_PRODUCTS_S)), "peak_mib": usage.ru_maxrss / 1024}


_PRODUCTS_S: list[float] = []
"""How long the products of matrices took that are taken between the films: as fast as the machine was just then."""


def _take_products(count: int) -> None:
    left, right = np.random.default_rng(0).random((2, 512, 512), np.float32)
    for _ in range(count):
        started_s = time.thread_time()
        left @ right
        _PRODUCTS_S.append(time.thread_time() - started_s)


def _made_film(number: int) -> Any:
    from beam_pipelines.scoring.scored_film import FilmToScore
    from benchmarks.scoring_models import film_features

    if number % 10 == 0:
        _take_products(40 if number == 0 else 4)
    return FilmToScore(f"film{number:06d}", "", "", f"{number:064x}"), film_features(number, 60)


def measure_why(arguments: argparse.Namespace) -> dict[str, Any]:
    """Core seconds, the median of calls, of predicting some films: alone, with shares, and with columns if any."""
    from beam_pipelines.contracts.models.explained import explain_films
    from beam_pipelines.contracts.models.exported_model import BUILTIN, ExportedModel, FilmFeatures, find_model
    from benchmarks.scoring_models import film_features

    if arguments.name.startswith(BUILTIN):
        model, generator, films = ExportedModel(find_model(arguments.name)), np.random.default_rng(0), []
        for _ in range(arguments.batch):
            values = {m: generator.random((arguments.film_s, d), np.float32) for m, d in model.card.dimensions.items()}
            films.append(FilmFeatures(values, {m: np.ones((arguments.film_s, 1), np.float32) for m in values}))
    else:
        model, films = _loaded(arguments), [film_features(seed, arguments.film_s) for seed in range(arguments.batch)]
    levels = ("nothing", "modalities", *(("columns",) if model.card.parts("columns") != model.card.modalities else ()))
    spent_s: dict[str, list[float]] = {level: [] for level in levels}
    for _ in range(arguments.repeats + 1):
        for level in levels:
            started_s = time.process_time()
            explain_films(model, films, model.predict_films(films), level)
            spent_s[level].append(time.process_time() - started_s)
    return {"core_s": [float(np.median(each[1:])) for each in spent_s.values()]}


def measure_stride(arguments: argparse.Namespace) -> dict[str, Any]:
    """Stride -> pooled PCC of the smoothed curves with the labels, with those of stride 1, and core seconds."""
    from beam_pipelines.contracts.curves.curves import smoothed_curve
    from beam_pipelines.contracts.models.exported_model import ExportedModel, features_of, find_model
    from beam_pipelines.contracts.records.records import read_record, record_uri
    from beam_pipelines.films.catalogue import films_of_splits, read_manifest
    from beam_pipelines.labels.annotations import align, read_labels
    from beam_pipelines.labels.config import LabelConfig
    from trainer.evaluation.metrics import pcc

    model = ExportedModel(find_model(arguments.model))
    films = films_of_splits(read_manifest(arguments.manifest), arguments.splits.split(","), arguments.manifest)
    features = [features_of(read_record(record_uri(arguments.records, f.film_id)), model.card) for f in films]
    labels = [align(read_labels(f.labels, LabelConfig()), t.seconds) for f, t in zip(films, features, strict=True)]
    known = np.concatenate([each for _, each in labels])
    truth = np.concatenate([values for values, _ in labels])[known]
    rows: dict[str, Any] = {}
    every_second: np.ndarray | None = None
    for stride in arguments.strides:
        for film in features:
            model.predict(film, stride)
        started, curves = time.process_time(), []
        raws = [model.predict(film, stride) for film in features]
        core_s = time.process_time() - started
        for raw in raws:
            curve = smoothed_curve("f", raw.values, model.card.smoothing, model.card.label_range)
            curves.append(np.stack([curve.valence, curve.arousal], axis=1))
        joined = np.concatenate(curves)
        every_second = joined if every_second is None else every_second
        rows[str(stride)] = [
            *(pcc(joined[known, target], truth[:, target]) for target in (0, 1)),
            *(pcc(joined[:, target], every_second[:, target]) for target in (0, 1)),
            core_s,
        ]
    return rows


def _loaded(arguments: argparse.Namespace) -> Any:
    from beam_pipelines.contracts.models.exported_model import ExportedModel, find_model

    return ExportedModel(find_model(os.path.join(arguments.folder, arguments.name)))


def _hours_a_second(call: Callable[[], Any], film_s: int, repeats: int) -> dict[str, Any]:
    for _ in range(2):
        call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return {"hours_a_second": film_s / 3600 / float(np.median(times))}


MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "export": measure_export,
    "predict": measure_predict,
    "clips": measure_clips,
    "windows": measure_windows,
    "floor": measure_floor,
    "parts": measure_parts,
    "growth": measure_growth,
    "stride": measure_stride,
    "why": measure_why,
}
