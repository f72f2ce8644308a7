"""The tables of `network_or_ridge`: each arm's figures, differences from ridge regression, the primary test, widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.text_tables import aligned
from benchmarks.paired_runs import FIGURES, block_interval, detectable_effect, difference, drawn_out, holm, shift_null
from benchmarks.studyforrest_data import RUNS

OURS, THEIRS = "d", "b"
LEVEL = 0.05
PRIMARY = ("pcc", "rmse")
SEEDS, DRAWS = 10, 2000
"""The protocol's seeds of a network, and draws of intervals and nulls: with fewer, what is said is preliminary."""
SANITY = ("b shifted", "b reversed", "d shifted", "d reversed")
"""Arms that must find nothing; otherwise the folds leak, and no other figure counts."""
WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

Arms = Mapping[str, Sequence[Mapping[int, np.ndarray]]]
"""Arm -> for each seed test run -> smoothed curves, float64 [T, 2]."""


def figures_by_run(
    seeds: Sequence[Mapping[int, np.ndarray]], labels: Mapping[int, np.ndarray], column: int, name: str
) -> list[float]:
    """Each test run's figure, mean over the seeds: float list, in the order of the runs."""
    return [
        float(np.mean([FIGURES[name](one[run][:, column], true[:, column]) for one in seeds]))
        for run, true in labels.items()
    ]


def report_of(arms: Arms, labels: Mapping[int, np.ndarray], draws: int) -> str:
    """All tables that the arms that are there allow, as text."""
    parts = [_arms_table(arms, labels, draws)]
    if draws < DRAWS:
        parts.insert(0, f"PRELIMINARY: nulls and intervals are of {draws} draws, the protocol's of {DRAWS} (--draws)")
    if THEIRS in arms:
        parts.append(_differences_table(arms, labels, draws))
    if THEIRS in arms and OURS in arms:
        parts.append(_primary(arms, labels))
    parts += [_widths_table(arms, labels), _sanity(arms, labels, draws)]
    lacking = [name for name in (*"abcdefg", *SANITY) if name not in arms]
    if lacking:
        parts.append(f"not run on all test runs, so not here: arms {', '.join(lacking)}")
    return "\n\n".join(parts)


def _arms_table(arms: Arms, labels: Mapping[int, np.ndarray], draws: int) -> str:
    rows = [["arm", "seeds", *(f"{t} {f.upper()}" for t in TARGETS for f in FIGURES), *(f"{t} null" for t in TARGETS)]]
    for name, seeds in sorted(arms.items()):
        cells = [name, str(len(seeds))]
        for column in range(len(TARGETS)):
            cells += [f"{np.mean(figures_by_run(seeds, labels, column, figure)):.3f}" for figure in FIGURES]
        for column in range(len(TARGETS)):
            null = shift_null(_curves(seeds, labels, column), _labels(labels, column), draws=draws)
            cells.append(f"{np.quantile(null, 0.025):+.3f} … {np.quantile(null, 0.975):+.3f}")
        rows.append(cells)
    note = "mean over the runs; null: 95 % of the mean PCC with labels shifted circularly"
    return "\n".join([*aligned(rows), note])


def _differences_table(arms: Arms, labels: Mapping[int, np.ndarray], draws: int) -> str:
    rows = [["against b", "target", "figure", "better by", "sd over runs", "p, one-sided t", "90 %, blocks", ""]]
    for name, seeds in sorted(arms.items()):
        if name == THEIRS or " " in name:
            continue
        for column, target in enumerate(TARGETS):
            for figure in FIGURES:
                theirs = figures_by_run(arms[THEIRS], labels, column, figure)
                found = difference(figures_by_run(seeds, labels, column, figure), theirs, figure)
                curves = (_curves(each, labels, column) for each in (seeds, arms[THEIRS]))
                low, high = block_interval(*curves, _labels(labels, column), figure, draws=draws)
                said = "not distinguishable" if low <= 0.0 <= high else ""
                numbers = [f"{found.mean:+.3f}", f"{found.sd:.3f}", f"{found.p_value:.3f}", f"{low:+.3f} … {high:+.3f}"]
                rows.append([name, target, figure.upper(), *numbers, said])
    note = (
        "better by, sd and p: of each run's mean figure of all seeds; blocks: of the seeds' mean curve, which is "
        "better than they are, so with several seeds the interval needn't lie about the difference"
    )
    return "\n".join([*aligned(rows), note])


def _primary(arms: Arms, labels: Mapping[int, np.ndarray]) -> str:
    found = {}
    for column, target in enumerate(TARGETS):
        for figure in PRIMARY:
            ours, theirs = (figures_by_run(arms[name], labels, column, figure) for name in (OURS, THEIRS))
            found[f"{target} {figure.upper()}"] = difference(ours, theirs, figure)
    adjusted = holm({name: one.p_value for name, one in found.items()})
    lines = [f"primary: {OURS} against {THEIRS}, one-sided paired t over {len(labels)} runs, Holm over {len(found)}"]
    if len(arms[OURS]) < SEEDS:
        lines.append(f"  PRELIMINARY: {len(arms[OURS])} of the protocol's {SEEDS} seeds")
    for name, one in found.items():
        verdict = "better" if adjusted[name] <= LEVEL else "no difference found"
        lines.append(
            f"  {name}: better by {one.mean:+.3f} (sd {one.sd:.3f}), adjusted p {adjusted[name]:.3f}: {verdict}"
        )
    adds = min(adjusted.values()) <= LEVEL and all(one.mean >= 0.0 for one in found.values())
    effect = detectable_effect(len(RUNS), LEVEL / len(found), 0.8)
    lines.append(
        f"  the network {'adds' if adds else 'is not shown to add'} to ridge regression by the protocol's rule"
    )
    lines.append(f"  smallest detectable effect beforehand: {effect:.2f} standard deviations of the paired difference")
    return "\n".join(lines)


def _widths_table(arms: Arms, labels: Mapping[int, np.ndarray]) -> str:
    rows = [["CCC / RMSE at width", "target", *(f"{width:g}" for width in WIDTHS)]]
    for name, seeds in sorted(arms.items()):
        if " " in name:
            continue
        for column, target in enumerate(TARGETS):
            cells = []
            for width in WIDTHS:
                wide = [{run: drawn_out(curves, width) for run, curves in one.items()} for one in seeds]
                pair = (np.mean(figures_by_run(wide, labels, column, figure)) for figure in ("ccc", "rmse"))
                cells.append(" / ".join(f"{value:.3f}" for value in pair))
            rows.append([name, target, *cells])
    return "\n".join(aligned(rows))


def _sanity(arms: Arms, labels: Mapping[int, np.ndarray], draws: int) -> str:
    lines = ["sanity arms, PCC and 95 % of its null; outside of it the folds leak, and no other figure counts"]
    for name in (name for name in SANITY if name in arms):
        for column, target in enumerate(TARGETS):
            null = shift_null(_curves(arms[name], labels, column), _labels(labels, column), draws=draws)
            low, high = np.quantile(null, [0.025, 0.975])
            found = float(np.mean(figures_by_run(arms[name], labels, column, "pcc")))
            verdict = "nothing, as it must be" if low <= found <= high else "OUTSIDE"
            lines.append(f"  {name}, {target}: {found:+.3f} in {low:+.3f} … {high:+.3f}: {verdict}")
    return "\n".join(lines)


def _curves(
    seeds: Sequence[Mapping[int, np.ndarray]], labels: Mapping[int, np.ndarray], column: int
) -> list[np.ndarray]:
    """The mean curve of all seeds on each run, float64 [T]."""
    return [np.mean([one[run][:, column] for one in seeds], axis=0) for run in labels]


def _labels(labels: Mapping[int, np.ndarray], column: int) -> list[np.ndarray]:
    return [true[:, column] for true in labels.values()]
