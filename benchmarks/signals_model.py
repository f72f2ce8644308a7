"""The builtin model on *Forrest Gump*'s ratings, and what was tried for valence (protocol: `signals_model.md`).

python -m benchmarks.signals_model --data ../shared/data/studyforrest
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines.builtin.arousal_formula import CUTS, CUTS_WINDOW_S, LOUDNESS, MODALITIES, MOTION
from beam_pipelines.contracts.models.exported_model import ExportedModel, FilmFeatures, find_model
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.extractors.signals.columns import PICTURE_COLUMNS, SOUND_COLUMNS
from beam_pipelines.foundation.text_tables import aligned
from benchmarks.paired_runs import shift_null
from benchmarks.studyforrest_data import RUNS, Recording, read_recording
from trainer.evaluation.metrics import pcc

DRAWS = 10_000
DECIBELS = 20.0
"""The file's log RMS is that to the base 10: as such the film's median is -30 dB, as the natural one -13 dB."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "builtin:signals": (MOTION, CUTS, LOUDNESS),
    "picture alone (motion, cuts)": (MOTION, CUTS),
    "sound alone": (LOUDNESS,),
    "motion alone": (MOTION,),
    "cuts alone": (CUTS,),
}
"""The model, and what it makes of a film of which it is given less: the other columns don't vary, or are absent."""
FOR_VALENCE = ("v_brmean_mean", "v_brmean_std", "v_brlr_mean", "m_words", "m_shotlen", "m_ext", "m_night")
"""Brightness and its spread, left-right balance, words, length of the shot, exterior, night."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/studyforrest", help="the folder of the ratings")
    recording = read_recording(parser.parse_args(argv).data)
    model = ExportedModel(find_model("builtin:signals"))
    arousal = {
        name: [model.predict(film_of(recording, run, parts)).arousal for run in RUNS] for name, parts in PARTS.items()
    }
    print(table(recording, "arousal", arousal))
    print("from the data's description: one human against the mean of the other eight .544; ridge of seven runs .37")
    tried = {"builtin:signals": arousal["builtin:signals"]}
    tried |= {column: [alone(recording, run, column, model) for run in RUNS] for column in FOR_VALENCE}
    print()
    print(table(recording, "valence", tried))
    return 0


def film_of(recording: Recording, run: int, parts: Sequence[str]) -> FilmFeatures:
    """A run as the model takes it; columns that aren't in `parts` don't vary, and sound that isn't is absent."""
    rows = recording.run == run
    cuts = _column(recording, "m_cuts", rows)
    counts = np.array([cuts[max(0, t - CUTS_WINDOW_S + 1) : t + 1].sum() for t in range(len(cuts))])
    return _film(
        {
            MOTION: _column(recording, "v_norm_diff_mean", rows) * (MOTION in parts),
            CUTS: counts * (CUTS in parts),
            LOUDNESS: DECIBELS * _column(recording, "a_logrms_mean", rows),
        },
        seen=MOTION in parts or CUTS in parts,
        heard=LOUDNESS in parts,
    )


def alone(recording: Recording, run: int, column: str, model: ExportedModel) -> np.ndarray:
    """A column by itself with the model's scale and smoothing: it takes the place of the loudness."""
    values = _column(recording, column, recording.run == run)
    deviation = values.std()
    # On the scale of loudness, so that no least deviation and no gate counts.
    scaled = -30 + 10 * (values - values.mean()) / (deviation if deviation else 1)
    film = _film({MOTION: 0 * values, CUTS: 0 * values, LOUDNESS: scaled}, seen=False, heard=True)
    return model.predict(film).arousal


def table(recording: Recording, target: str, curves: Mapping[str, Sequence[np.ndarray]]) -> str:
    """PCC of each run, their mean, and 95 % of the mean under circular shifts."""
    labels = [recording.labels[recording.run == run][:, TARGETS.index(target)] for run in RUNS]
    rows = [[f"PCC with {target}", *(f"run {run}" for run in RUNS), "mean", "null"]]
    for name, of_runs in curves.items():
        figures = [pcc(curve, true) for curve, true in zip(of_runs, labels, strict=True)]
        null = shift_null(of_runs, labels, draws=DRAWS)
        low, high = np.quantile(null, [0.025, 0.975])
        rows.append(
            [name, *(f"{figure:.2f}" for figure in figures), f"{np.mean(figures):.3f}", f"{low:+.2f} … {high:+.2f}"]
        )
    return "\n".join(aligned(rows))


def _column(recording: Recording, name: str, rows: np.ndarray) -> np.ndarray:
    return recording.values[rows, recording.columns.index(name)]


def _film(columns: Mapping[str, np.ndarray], seen: bool, heard: bool) -> FilmFeatures:
    seconds = len(columns[LOUDNESS])
    values = {}
    for modality, names in zip(MODALITIES, (PICTURE_COLUMNS, SOUND_COLUMNS), strict=True):
        values[modality] = np.zeros((seconds, len(names)), np.float32)
        for name in columns.keys() & set(names):
            values[modality][:, names.index(name)] = columns[name]
    present = {
        modality: np.full((seconds, 1), float(there), np.float32)
        for modality, there in zip(MODALITIES, (seen, heard), strict=True)
    }
    return FilmFeatures(values, present)


if __name__ == "__main__":
    raise SystemExit(main())
