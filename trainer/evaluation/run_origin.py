"""Whether the curves of a run come from untrained networks, and the line that says so."""

from __future__ import annotations

import json
from collections.abc import Sequence

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


def untrained_of_run(scores: str) -> tuple[str, ...] | None:
    """The modalities whose features come from untrained networks, by a run's own account; None where it has none.

    A scoring run says so in `run_manifest.json`, a training run in the card of its newest model; another system's
    curves come with neither.

    Raises:
        ConfigurationError: for a manifest that is not JSON.
    """
    uri = storage.join(scores, RUN_MANIFEST)
    try:
        named = json.loads(storage.read_text(uri)).get("untrained")
    except FileNotFoundError:
        cards = exported_cards(scores)
        named = cards[max(cards)].get("untrained_networks") if cards else None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{uri}: not readable as JSON ({error}); run `cineaffect score` again") from error
    return None if named is None else tuple(named)


def untrained_note(modalities: Sequence[str]) -> str:
    """The line that stands under figures which mean nothing beyond a demonstration."""
    return f"made from untrained networks ({', '.join(modalities)}): for demonstration only"
