"""The variants of a configuration that `cineaffect compare` compares.

Keys that a variant doesn't name keep the configuration's values: for example units and layers of the encoders if GRU is
compared with LSTM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.foundation.errors import ConfigurationError

if TYPE_CHECKING:
    from trainer.foundation.config import TrainConfig

COMPARISONS = {
    "features": "image and audio against the baseline: VGG16 and openSMILE (--baseline)",
    "faces": "image and audio with and without faces",
    "window": "10, 30 and 60 s",
    "encoder": "GRU, LSTM and TCN, for every modality",
    "smoothing": "raw, Butterworth and moving average, each the best on the validation films",
    "ensemble": "single runs against their mean",
}
BASE = "single runs"
"""The only variant of a comparison that trains one configuration."""
BASELINES = (("vgg16", "opensmile_is10"), ("fc6", "emobase2010"))
"""The modalities of the baseline: from our own extractors, and from the task's organisers."""
OWN = ("image", "audio")
WINDOWS_S = (10, 30, 60)
_RECURRENT = ("gru", "lstm")


def variants(
    what: str, config: TrainConfig, modalities: Sequence[str], baseline: Sequence[str] = ()
) -> dict[str, list[str]]:
    """The variants of a comparison: name -> `key=value` settings of the section `train`.

    Args:
        what: one of `COMPARISONS`.
        config: the configuration to vary.
        modalities: the modalities of the transform.
        baseline: modalities of the baseline; empty for the first of `BASELINES` that exists.

    Raises:
        ConfigurationError: if features of the comparison are absent; the text names those that exist.
    """
    if what == "features":
        chosen = tuple(baseline) or next((b for b in BASELINES if set(b) <= set(modalities)), BASELINES[0])
        _assert_there(what, (*OWN, *chosen), modalities)
        return {" + ".join(names): [_modalities(names)] for names in (OWN, chosen)}
    if what == "faces":
        _assert_there(what, (*OWN, "face"), modalities)
        return {"with faces": [_modalities((*OWN, "face"))], "without faces": [_modalities(OWN)]}
    if what == "window":
        return {f"{seconds} s": [f"model.window_s={seconds}"] for seconds in WINDOWS_S}
    if what == "encoder":
        return {kind.upper(): _of_kind(kind, config) for kind in (*_RECURRENT, "tcn")}
    return {BASE: []}


def _assert_there(what: str, wanted: Sequence[str], modalities: Sequence[str]) -> None:
    lacking = [modality for modality in wanted if modality not in modalities]
    if lacking:
        raise ConfigurationError(
            f"--what {what}: the records hold no {', '.join(lacking)}; they hold {', '.join(modalities)}. Extract them "
            "(`cineaffect extract`), import the organisers' (`cineaffect import-features`), or name others (--baseline)"
        )


def _modalities(names: Sequence[str]) -> str:
    return f"model.modalities=[{', '.join(names)}]"


def _of_kind(kind: str, config: TrainConfig) -> list[str]:
    encoders = {"model.encoder": config.model.encoder}
    encoders.update({f"model.encoders.{name}": encoder for name, encoder in config.model.encoders.items()})
    settings = []
    for key, encoder in encoders.items():
        same_keys = encoder.kind == kind or (encoder.kind in _RECURRENT and kind in _RECURRENT)
        # A TCN has other keys than a recurrent encoder: the old kind's keys are dropped, the new kind has its defaults.
        settings.append(f"{key}.kind={kind}" if same_keys else f"{key}={{kind: {kind}}}")
    return settings
