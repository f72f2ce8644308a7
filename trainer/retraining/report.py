"""The report of a round's decision and its reasons: `report.json` for programs, `report.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from beam_pipelines.foundation import storage
from trainer.retraining.config import RetrainConfig
from trainer.retraining.promotion import Comparison

REPORT = "report.json"
_FEW_FILMS = 5


@dataclass(frozen=True)
class Decision:
    """The decision about a challenger.

    Attributes:
        version: its number.
        promoted: whether this round moved the pointer to it.
        champion: the version in use before; None if there was none.
        unscorable: why the champion can't be scored on today's records; empty if it can, or there is none.
        compared_with: `version N` or `constant mean`.
        comparison: the figures.
        films: the held-out films on which both were compared.
        failed: held-out film -> why it was left out on both sides.
        left_out: film of the manifest -> why the round doesn't use it.
        remarks: further notes for people.
    """

    version: int
    promoted: bool
    champion: int | None
    unscorable: str
    compared_with: str
    comparison: Comparison
    films: Sequence[str]
    failed: Mapping[str, str]
    left_out: Mapping[str, str]
    remarks: Sequence[str] = ()


def round_name(directory: str) -> str:
    """The last component of a round's directory."""
    return directory.rpartition("/")[2]


def write_report(directory: str, decision: Decision, config: RetrainConfig) -> str:
    """Writes both files, `report.json` last, which marks the round as decided. Returns the text for people."""
    content: dict[str, Any] = asdict(decision)
    content |= content.pop("comparison")
    content["configuration"] = config.model_dump(mode="json")
    text = _text(round_name(directory), decision, config)
    storage.write_text(storage.join(directory, "report.md"), text + "\n")
    storage.write_text(
        storage.join(directory, REPORT), json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )
    return text


def _text(name: str, decision: Decision, config: RetrainConfig) -> str:
    found, version = decision.comparison, decision.version
    lines = [
        f"# Round {name}: version {version} is {'promoted' if decision.promoted else 'not promoted'}",
        "",
        f"| {found.metric.upper()} on {len(decision.films)} held-out films | |",
        "|---|---|",
        f"| challenger, version {version} | {found.challenger:.4f} |",
        f"| {decision.compared_with} | {found.reference:.4f} |",
        f"| better by | {found.improvement:+.4f} |",
        f"| lower bound ({config.confidence:.0%}, must exceed {config.margin:g}) | {found.lower_bound:+.4f} |",
        "",
        f"Held out: {', '.join(decision.films)}.",
    ]
    if len(decision.films) < _FEW_FILMS:
        lines.append(f"The bound says little: it is drawn from {len(decision.films)} film(s).")
    if decision.unscorable:
        lines.append(f"Version {decision.champion} can't be scored on today's records: {decision.unscorable}.")
    lines += decision.remarks
    for title, films in (("Left out on both sides", decision.failed), ("Not used", decision.left_out)):
        if films:
            lines += ["", f"{title}:", *(f"- {film_id}: {reason}" for film_id, reason in films.items())]
    return "\n".join(lines)
