"""What a job prints at its end: counts, warnings, failures and their reasons, time, files, and what may follow."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

from beam_pipelines.contracts.curves.curve_table import TABLE
from beam_pipelines.contracts.curves.curves import CURVES, PLOTS
from beam_pipelines.contracts.film_ids import shown_name
from beam_pipelines.contracts.film_warnings import headline, line_of
from beam_pipelines.contracts.runs import FAILURES, STATISTICS, TRANSFORM_GRAPH, WARNINGS, failed_films, read_warnings
from beam_pipelines.films.passed_over import passed_over_line
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.run_summary import Places, next_steps_of_job, print_summary
from beam_pipelines.foundation.stage_times import largest_shares

_PLACES: dict[str, Places] = {
    "prepare": (("transform graph", TRANSFORM_GRAPH), ("statistics", STATISTICS)),
    "score": (("curves", CURVES), ("table", TABLE), ("plots", PLOTS)),
}
"""The files that a job leaves in its directory beside failures and manifest."""
_FILMS_PRINTED = 5
"""So many warnings and failures a summary spells out; the files have all."""


def places_of_job(job: str, output: str) -> Places:
    """The files that a job leaves in its directory; for a local directory only those that exist."""
    return [
        (what, storage.join(output, name))
        for what, name in _PLACES.get(job, ())
        if storage.is_remote(output) or os.path.exists(os.path.join(output, name))
    ]


def print_job_summary(manifest: dict[str, Any], output: str, records: str | None) -> None:
    """Prints what a run has done, what failed and why, where its files lie, and what may follow.

    Args:
        manifest: the run's manifest.
        output: the directory of the run.
        records: the directory of the records that the user named, for the commands that may follow.
    """
    films = manifest["films"]
    print(f"{films['done']} done, {films['skipped']} already done, {films['failed']} failed of {films['in']} films")
    if manifest.get("failures_carried_over"):
        print(f"{manifest['failures_carried_over']} of these failed before and were not tried again (--retry-failed)")
    if manifest.get("passed_over_by_suffix"):
        print(passed_over_line(manifest["passed_over_by_suffix"]))
    places = [("results", output), *places_of_job(manifest.get("job", ""), output)]
    if manifest.get("films_with_warnings"):
        print(headline(manifest["films_with_warnings"], manifest["warnings_by_code"]))
        for film_id, warning in islice(read_warnings(output), _FILMS_PRINTED):
            print(line_of(film_id, warning))
        places.append(("warnings", storage.join(output, WARNINGS)))
    if unlike := manifest.get("unlike_training"):
        shares = ", ".join(f"{name}: {count}" for name, count in unlike["films"].items() if count)
        print(f"films by their share of seconds unlike the model's training films: {shares}")
    if devices := manifest.get("films_decoded_on"):
        print("films by what decoded their pictures: " + ", ".join(f"{name}: {n}" for name, n in devices.items()))
    places += largest_shares(manifest.get("time_by_stage", {}), 3600 * manifest["film_hours"]["done"])
    if films["failed"]:
        for film in islice(failed_films(output), _FILMS_PRINTED):
            why = film.detail.removeprefix(f"{film.source_uri}: ")
            print(f"  {shown_name(film.film_id)}: {why} ({film.step}, {film.reason})")
        reasons = ", ".join(f"{reason}: {count}" for reason, count in manifest["failed_by_reason"].items())
        places.append((f"failures ({reasons})", storage.join(output, FAILURES)))
    name, known = manifest.get("job", ""), {"records": records} if records else {}
    may_follow = films["done"] + films["skipped"] > 0
    steps = next_steps_of_job(" --".join((name, *known)), output, **known) if may_follow else []
    print_summary(places, steps)
