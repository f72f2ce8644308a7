"""The section `train` of a trial: what is drawn, and what stays as the base says."""

from __future__ import annotations

import optuna

from trainer.foundation.config import TrainConfig
from trainer.tuning.config import SpaceConfig, TuneConfig, suggest
from trainer.tuning.search import Search


def test_a_drawn_encoder_keeps_what_no_draw_changes() -> None:
    model = {
        "modalities": ["image", "audio"],
        "lookahead_s": 20,
        "encoder": {"bidirectional": True, "units": 7},
        "encoders": {"audio": {"kind": "tcn", "kernel_s": 9, "causal": True}},
    }
    base = TrainConfig.model_validate({"model": model})
    search = Search("study", base, TuneConfig(), ())
    fixed = {"window_s": 10, "dropout": 0.1, "l2": 1e-5, "batch_normalization": False, "experts": 2}
    kinds = {"image.kind": "gru", "image.units": 40, "image.layers": 2, "audio.kind": "tcn", "audio.filters": 50}
    trial = optuna.trial.FixedTrial({**fixed, **kinds, "learning_rate": 1e-3})
    found = search.trial_config(suggest(trial, SpaceConfig(), base.model.modalities)).model
    image, audio = found.encoder_of("image"), found.encoder_of("audio")
    assert (image.kind, image.units, image.layers, image.bidirectional) == ("gru", 40, 2, True)
    assert (audio.kind, audio.filters, audio.kernel_s, audio.causal) == ("tcn", 50, 9, True)
    other = {"image.kind": "tcn", "image.filters": 33, "audio.kind": "lstm", "audio.units": 64, "audio.layers": 1}
    trial = optuna.trial.FixedTrial({**fixed, **other, "learning_rate": 1e-3})
    found = search.trial_config(suggest(trial, SpaceConfig(), base.model.modalities)).model
    assert (found.encoder_of("image").filters, found.encoder_of("image").bidirectional) == (33, False)
    assert (found.encoder_of("audio").units, found.encoder_of("audio").kernel_s) == (64, 15)
