"""Whether the curves of a run come from untrained networks, and the line that says so."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.foundation import storage


def untrained_of_run(scores: str) -> tuple[str, ...] | None:
    """The modalities whose features come from untrained networks, or None if the run doesn't say.

    A scoring run names them in `run_manifest.json`, a training run in the card of its newest model. Curves of other
    systems have neither.

    Raises:
        ConfigurationError: if the manifest is not JSON.
    """
    try:
        manifest = storage.read_json(storage.join(scores, RUN_MANIFEST), "run `cineaffect score` again")
        named = manifest.get("untrained")
    except FileNotFoundError:
        cards = exported_cards(scores)
        named = cards[max(cards)].get("untrained_networks") if cards else None
    return None if named is None else tuple(named)


def untrained_note(modalities: Sequence[str]) -> str:
    """The line under figures of untrained networks, which mean nothing beyond a demo."""
    return f"made from untrained networks ({', '.join(modalities)}): for demonstration only"
