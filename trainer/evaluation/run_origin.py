"""Whether the curves of a run come from untrained networks, and the line that says so."""

from __future__ import annotations

import json
from collections.abc import Sequence

from beam_pipelines.contracts.models.exported_cards import exported_cards
from beam_pipelines.contracts.runs import RUN_MANIFEST
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError


def untrained_of_run(scores: str) -> tuple[str, ...] | None:
    """The modalities whose features come from untrained networks, or None if the run doesn't say.

    A scoring run names them in `run_manifest.json`, a training run in the card of its newest model. Curves of other
    systems have neither.

    Raises:
        ConfigurationError: if the manifest is not JSON.
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
    """The line under figures of untrained networks, which mean nothing beyond a demo."""
    return f"made from untrained networks ({', '.join(modalities)}): for demonstration only"
