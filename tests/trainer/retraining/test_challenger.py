"""One of a round's two models is compared with the champion: the better one on the validation films."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.retraining.version import choose_challenger, publish_challenger


def round_of(root: Path, figures: dict[str, list[float | None]]) -> Path:
    """A round that has trained version 3; `figures`: row -> valence's and arousal's, the same for every metric."""
    rows = [
        {"predictor": name, "target": target, "scope": scope, **dict.fromkeys(("mse", "pcc", "ccc"), value)}
        for name, values in figures.items()
        for target, value in zip(("valence", "arousal"), values, strict=True)
        for scope in ("pooled", "mean of films")
    ]
    for kind in ("", "ridge/"):
        model = root / "model" / f"{kind}exports" / "3"
        model.mkdir(parents=True)
        (model / "saved_model.pb").write_text(kind or "network")
        (model / "model_card.json").write_text(json.dumps({"validation_metrics": rows, "kind": kind}))
    return root


@pytest.mark.parametrize(
    ("metric", "network", "ridge", "chosen"),
    [
        ("mse", [0.2, 0.2], [0.1, 0.29], "ridge"),
        ("mse", [0.2, 0.2], [0.1, 0.31], "network"),
        ("mse", [0.2, 0.2], [0.2, 0.2], "network"),
        ("pcc", [0.2, 0.2], [0.1, 0.31], "ridge"),
        ("ccc", [0.2, 0.2], [0.1, 0.29], "network"),
        ("pcc", [None, 0.9], [0.1, 0.1], "ridge"),  # a constant curve has no correlation
    ],
)
def test_the_better_one_on_validation_is_chosen_and_published(tmp_path: Path, metric, network, ridge, chosen) -> None:
    root = round_of(tmp_path / "round", {"raw": [0.0, 9.0], "smoothed": network, "ridge, smoothed": ridge})
    challenger = choose_challenger(str(root), 3, metric)
    folder = root / "model" / ("ridge" if chosen == "ridge" else "") / "exports" / "3"
    assert (challenger.kind, Path(challenger.uri)) == (chosen, folder)
    if None not in network:
        expected = f"{metric.upper()} on the validation films: network {sum(network) / 2:.4f}, ridge regression "
        assert challenger.why == f"{expected}{sum(ridge) / 2:.4f}"
    publish_challenger(str(root), str(tmp_path / "exports"), 3)
    published = tmp_path / "exports" / "3" / "model_card.json"
    assert published.read_bytes() == (folder / "model_card.json").read_bytes()
    publish_challenger(str(root), str(tmp_path / "exports"), 3)  # a round that was killed after it


def test_without_validation_films_it_is_the_network(tmp_path: Path) -> None:
    challenger = choose_challenger(str(round_of(tmp_path, {})), 3, "mse")
    assert (challenger.kind, challenger.why) == ("network", "")
