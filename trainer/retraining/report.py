"""The report of a round's decision and its reasons: `report.json` for programs, `report.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_pipelines.contracts.curves.bands import LEVELS, films_needed, lines as band_lines
from beam_pipelines.foundation import storage
from trainer.evaluation.bands import Measured
from trainer.retraining.comparison import Comparison
from trainer.retraining.config import RetrainConfig
from trainer.retraining.version import NETWORK

REPORT = "report.json"
_TESTS = {"mse": "paired t over films", "pcc": "signs of the differences", "ccc": "signs of the differences"}


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
        held_out_sha256: the held-out films on which both were compared, film id -> SHA-256 of its file.
        failed: held-out film -> why it was left out on both sides.
        left_out: film of the manifest -> why the round doesn't use it.
        earlier_rounds: earlier rounds that were decided on any of the held-out films.
        remarks: further notes for people.
        challenger: `network` or `ridge`.
        chosen_by: the figures on the validation films that decided which; empty if there were none.
        bands: how well the challenger's bands hold on the held-out films; empty if it has none.
        calibration_films: the films that could calibrate them; None if no split does.
        unlike_percent: model -> the mean share of a held-out film's seconds that are unlike its training films.
        unlike_before: the same of each earlier round's challenger, oldest first: it rises as films drift away.
    """

    version: int
    promoted: bool
    champion: int | None
    unscorable: str
    compared_with: str
    comparison: Comparison
    held_out_sha256: Mapping[str, str]
    failed: Mapping[str, str]
    left_out: Mapping[str, str]
    earlier_rounds: int = 0
    remarks: Sequence[str] = ()
    challenger: str = NETWORK
    chosen_by: str = ""
    bands: Measured = field(default_factory=dict)
    calibration_films: int | None = None
    unlike_percent: Mapping[str, float] = field(default_factory=dict)
    unlike_before: Sequence[float] = ()


def round_name(directory: str) -> str:
    """The last component of a round's directory."""
    return directory.rpartition("/")[2]


def write_report(directory: str, decision: Decision, config: RetrainConfig) -> str:
    """Writes both files, `report.json` last, which marks the round as decided. Returns the text for people."""
    content: dict[str, Any] = asdict(decision)
    content |= content.pop("comparison") | {"films": list(decision.held_out_sha256)}
    content["configuration"] = config.model_dump(mode="json")
    text = _text(round_name(directory), decision, config)
    storage.write_text(storage.join(directory, "report.md"), text + "\n")
    storage.write_text(
        storage.join(directory, REPORT), json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )
    return text


def too_few(films: int, config: RetrainConfig) -> str:
    """The sentence about a round with fewer held-out films than can decide anything."""
    return (
        f"Nothing can be decided: {films} held-out films are fewer than {config.least_films} (retrain.least_films). "
        "Give more films to the held-out splits."
    )


def _text(name: str, decision: Decision, config: RetrainConfig) -> str:
    found, version, films = decision.comparison, decision.version, list(decision.held_out_sha256)
    lines = [
        f"# Round {name}: version {version} is {'promoted' if decision.promoted else 'not promoted'}",
        "",
        f"| {found.metric.upper()}, mean of {len(films)} held-out films | |",
        "|---|---|",
        f"| challenger, version {version} | {found.challenger:.4f} |",
        f"| {decision.compared_with} | {found.reference:.4f} |",
        f"| better by | {found.improvement:+.4f} |",
    ]
    if found.p_value is not None:
        beyond = f" beyond {config.margin:g}" if config.margin else ""
        lines.append(
            f"| chance of so much{beyond} without a true improvement, by {_TESTS[found.metric]} "
            f"(must be at most {1 - config.confidence:.1%}) | {found.p_value:.1%} |"
        )
    lines += ["", f"Held out: {', '.join(films)}."]
    if found.p_value is None:
        lines.append(too_few(len(films), config))
    elif decision.earlier_rounds:
        rounds = decision.earlier_rounds + 1
        lines.append(
            f"Earlier rounds decided on some of these films: {decision.earlier_rounds}. An equally good challenger is "
            f"promoted in {1 - config.confidence:.0%} of single rounds, but in any of {rounds} with a chance of about "
            f"{1 - config.confidence**rounds:.0%}. Hold out new films now and then."
        )
    if decision.unscorable:
        lines.append(f"Version {decision.champion} can't be scored on today's records: {decision.unscorable}.")
    if decision.chosen_by:
        name = "the network" if decision.challenger == NETWORK else "ridge regression"
        lines.append(f"The challenger is {name}, the better of the round's two models. {decision.chosen_by}.")
    lines += [f"{line}." for line in band_lines(decision.bands)]
    if decision.calibration_films is not None:
        lacking = [level for level in LEVELS if decision.calibration_films < films_needed(level)]
        lines += [
            f"There is no {level} % band: it needs {films_needed(level)} calibration films, there are "
            f"{decision.calibration_films}."
            for level in lacking
        ]
        if not decision.bands and LEVELS[0] not in lacking:
            lines.append(
                "How well the bands hold isn't known: they belong to the model's own filter and stride 1, and the file "
                "sets another (score.smoothing, score.stride_s)."
            )
    if decision.unlike_percent:
        shares = ", ".join(f"{name} {percent:.1f} %" for name, percent in decision.unlike_percent.items())
        before = ", ".join(f"{percent:.1f} %" for percent in decision.unlike_before)
        lines.append(
            f"Seconds of held-out films unlike a model's training films: {shares}."
            + (f" Of the challengers of earlier rounds, oldest first: {before}." if before else "")
        )
    lines += decision.remarks
    for title, reasons in (("Left out on both sides", decision.failed), ("Not used", decision.left_out)):
        if reasons:
            lines += ["", f"{title}:", *(f"- {film_id}: {reason}" for film_id, reason in reasons.items())]
    return "\n".join(lines)
