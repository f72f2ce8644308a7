"""The version under which a run's model is exported, and when it is there already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trainer.exporting.run_results import export_next

NETWORK = {"weights_sha256": "aa", "smoothing": {}, "data": {"digest": "d"}, "fingerprints": {}}
RIDGE = {
    **NETWORK,
    "penalty": {"valence": 1.0, "arousal": 0.1},
    "configuration": {"train": {"ridge": {"penalties": [1.0, 0.1], "means_s": [5]}}},
    "code_version": "1",
}


def exported(root: Path, card: Mapping[str, Any], version: int | None) -> bool:
    """Whether the card's model was exported, and not found."""
    made = []
    directory = export_next(str(root), card, version, lambda card, place: made.append(place) or place)
    assert made in ([], [directory])
    return bool(made)


@pytest.mark.parametrize("there", [NETWORK, RIDGE])
@pytest.mark.parametrize("version", [None, 2])
def test_a_killed_training_that_goes_on_finds_its_ridge_regression_under_its_number(tmp_path: Path, there, version):
    assert exported(tmp_path, there, version)
    (tmp_path / "exports" / "2").mkdir(parents=True)
    (tmp_path / "exports" / "2" / "model_card.json").write_text(json.dumps(there, sort_keys=True))
    # A network is exported last, so a named version that is taken is somebody's mistake; `export` refuses it.
    assert exported(tmp_path, there, version) == (there is NETWORK and version == 2)
    assert exported(tmp_path, {**there, "data": {"digest": "other films"}}, version)
    assert exported(tmp_path, {**there, "weights_sha256": "bb"}, None) == (there is NETWORK)
    if there is RIDGE:
        assert exported(tmp_path, {**there, "penalty": {"valence": 1.0, "arousal": 1.0}}, version)
        assert exported(tmp_path, {**there, "configuration": {"train": {"ridge": {"means_s": []}}}}, version)
