"""`cineaffect look`: films in, the page of their curves out, in one command."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from beam_pipelines.foundation.command_line import add_config_file, guarded, make_parser
from beam_pipelines.foundation.errors import EXIT_OK, EXIT_SOME_FILMS_FAILED, EXIT_TOO_MANY_FILMS_FAILED

if TYPE_CHECKING:
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.films.catalogue import Film

FOLDER = "cineaffect-look"
MODEL = "builtin:signals"

EXAMPLES = """
examples:
  the arousal of a film, without weights, labels or network:
    cineaffect look film.mp4
  all films of a folder, with a model of your own, into a folder of their own:
    cineaffect look ~/films --model run/exports --output evening

A second run does only what is new: other films join the page, unless another model makes their curves.
Films that failed are those of the last run.
The model builtin:signals is a formula of motion, cuts and loudness. It gives arousal only, and each film has its own
range.
exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed (see failures.jsonl),
4 too many failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cineaffect look`: extracts, scores, writes the page, opens it, and returns the exit code."""
    return guarded(_main, argv)


def _main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)

    from beam_pipelines.contracts.curves.score_config import ScoreConfig
    from beam_pipelines.extractors.config import ExtractConfig
    from beam_pipelines.foundation.configuration import load_section

    extract = load_section("extract", ExtractConfig, arguments.config)
    # The page draws the curves.
    config = load_section("score", ScoreConfig, arguments.config).model_copy(update={"plots": False})
    from beam_pipelines.commands import report
    from beam_pipelines.commands.score import run_scoring
    from beam_pipelines.contracts.models.exported_model import find_model
    from beam_pipelines.foundation import storage
    from beam_pipelines.foundation.logs.start_lines import without_start_lines
    from beam_pipelines.foundation.run_summary import as_steps_of_a_run
    from beam_pipelines.launch import job
    from beam_pipelines.score import source_of_films

    records = storage.join(arguments.output, "records")
    films, passed_over = list_all(arguments.films, extract, records)
    model = find_model(arguments.model)
    if "explain" not in config.model_fields_set and model.card.explains:  # the page says why
        config = config.model_copy(update={"explain": "modalities"})
    source = source_of_films(films, extract, model, records, passed_over)
    options = job.beam_options([], 0, one_process=lambda: job.films_share_batches(extract))
    with as_steps_of_a_run(), without_start_lines():
        code = run_scoring(source, model, config, arguments.output, options)
        if code not in (EXIT_OK, EXIT_SOME_FILMS_FAILED, EXIT_TOO_MANY_FILMS_FAILED):
            return code
        if wrote := report.main(["--scores", arguments.output, "--thumbnails"]):
            return wrote
    if untrained := model.card.untrained():
        print(f"made from untrained networks ({', '.join(untrained)}): for demonstration only")
    _open(storage.join(arguments.output, "report", "index.html"), films, arguments.output)
    return code


def list_all(sources: Sequence[str], config: ExtractConfig, records: str) -> tuple[list[Film], dict[str, int]]:
    """The films of files, folders, globs and manifests, each once, sorted by id, and the folders' other files.

    Films without an id of their own are called after their files, or as in an earlier look at the same file, whether
    that was named or its folder. Of two with one id, among these films or one of them with a record of an earlier look,
    the second gets one with a digest of its address.

    Args:
        sources: what the user names.
        config: the extract section.
        records: the directory of the records.

    Returns:
        The films, and suffix -> how many files are no films by it.

    Raises:
        ConfigurationError: if one of the sources has no films.
    """
    from collections import Counter
    from dataclasses import replace

    from beam_pipelines.contracts.film_ids import distinct_film_id
    from beam_pipelines.films.catalogue import list_catalogue
    from beam_pipelines.foundation.tables.reading import TABLE_SUFFIXES

    films: dict[str, Film] = {}
    made_of = _films_of_records(records)
    ids = {uri: film_id for film_id, uri in made_of.items() if uri}
    all_passed_over: Counter[str] = Counter()
    # What a manifest calls a film holds for a folder that has it too.
    for source in sorted(sources, key=lambda source: not source.lower().endswith(TABLE_SUFFIXES)):
        listed, passed_over = list_catalogue(source, config.suffixes, config.min_lines_px)
        all_passed_over.update(passed_over)
        names_films = source.lower().endswith(TABLE_SUFFIXES)
        for film in listed:
            if names_films:
                ids[film.uri] = film.film_id
            film = replace(film, film_id=ids.setdefault(film.uri, film.film_id))
            other = films.get(film.film_id, film).uri
            if other != film.uri or (not names_films and _is_of_another(film, made_of.get(film.film_id, ""))):
                film = replace(film, film_id=distinct_film_id(film.uri))
            films[film.film_id] = film
    return [films[film_id] for film_id in sorted(films)], dict(all_passed_over)


def _films_of_records(directory: str) -> dict[str, str]:
    """The address of the film that each record was made from, by film id; empty if the record doesn't say."""
    from beam_pipelines.contracts.records.records import list_records
    from beam_pipelines.extraction.missing import existing_header

    headers = {film_id: existing_header(uri) for film_id, uri in list_records(directory).items()}
    return {film_id: header.source_uri for film_id, header in headers.items() if header is not None}


def _is_of_another(film: Film, made_of: str) -> bool:
    """Whether the record of a film's id was made from another file, which is still there."""
    from beam_pipelines.foundation import storage

    if made_of in ("", film.uri):
        return False
    try:
        return storage.stat(made_of) is not None
    except OSError:  # it may not be looked at, but may well be there
        return True


def _open(page: str, films: Sequence[Film], output: str) -> None:
    """Opens the page, if there is a display, and says where it is."""
    where = page
    if "://" not in page:
        where = Path(page).resolve().as_uri() + (f"#film={quote(films[0].film_id)}" if len(films) == 1 else "")
        if _has_display():
            webbrowser.open(where)
    print(f"page: {where}")
    print(f"all files: {output}")


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("look", "Shows the curves of films: extracts, scores, and opens a page.", EXAMPLES)
    parser.add_argument("films", nargs="+", metavar="FILM", help="film, folder, quoted glob, or CSV manifest")
    parser.add_argument(
        "--model", default=MODEL, help=f"exported model, or the name of one that comes with it (default: {MODEL})"
    )
    parser.add_argument(
        "--output", default=FOLDER, help=f"folder of all files of this command (default: {FOLDER}, in this directory)"
    )
    add_config_file(parser, help="YAML file; its sections extract and score count")
    return parser
