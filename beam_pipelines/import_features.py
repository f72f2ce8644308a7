"""The import job: features that others computed in, feature records out, and a table of what was wrong with them.

files ──▶ ImportFilms ──▶ OUTPUT/<film_id>.tfrecord, OUTPUT/import-NAME/{defects.csv, failures.jsonl, run_manifest.json}
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_pipelines.contracts.records.records import fingerprint
from beam_pipelines.films import mediaeval2018
from beam_pipelines.films.catalogue import list_films
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.configuration import nearest
from beam_pipelines.foundation.errors import ConfigurationError, FilmError
from beam_pipelines.importing.feature_import import FilmImport, describe_csv, describe_kind
from beam_pipelines.importing.imported_features import AUDIO_KIND, KINDS, read_csv_columns
from beam_pipelines.launch import job
from beam_pipelines.launch.progress import watch
from beam_pipelines.transforms.import_films import DEFECTS, DEFECTS_TAG, OUTCOME_TAG, ImportFilms, WriteDefects
from beam_pipelines.transforms.outcomes import WriteOutcomes

EXAMPLES = """
examples:
  the organisers' features of MediaEval 2018, all kinds that are there:
    cineaffect import-features --mediaeval2018 data --output features
  those of the paper's baseline only:
    cineaffect import-features --mediaeval2018 data --kinds fc6,emobase2010 --output features
  features of your own: a folder of <film_id>.csv, one row a second, a header with their names (time_s: the second):
    cineaffect import-features --csv mine --name my_features --version 1 --output features

A record that is there keeps its length and its other features. Where there is none, name the films (--films, or the
films of the data set themselves): the record then knows its film, and `cineaffect extract` adds to it. Without them a
later extract begins a new record. Then: prepare, and train with --set model.modalities=[fc6,emobase2010].

The table of defects, failures.jsonl and run_manifest.json lie in OUTPUT/import-NAME/. A second run does only what is
missing or has changed. exit codes: 0 all done, 1 an outage (run it again), 2 configuration error, 3 some films failed,
4 too many failed.
"""

_OTHERS_NAMES = ("image", "audio", "face", "rgb", "clip", "cineaffect", "example", "vgg16", "opensmile_is10", *KINDS)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def define_pipeline(
    pipeline: beam.Pipeline,
    films: Sequence[FilmImport],
    output: str,
    run_folder: str,
    descriptions: Mapping[str, Mapping[str, Any]],
    failure_threshold: float,
) -> None:
    """Builds the graph of the job on `pipeline`.

    Args:
        pipeline: where the graph goes.
        films: what is to be imported, film ids unique.
        output: directory of records.
        run_folder: directory of the table of defects, failures and manifest.
        descriptions: modality -> what its track says of itself.
        failure_threshold: share of failed films above which the run fails with exit code 4.
    """
    imported = pipeline | "Films" >> beam.Create(films) | ImportFilms(output, descriptions)
    table = imported[DEFECTS_TAG] | WriteDefects(run_folder)
    about = {
        "job": "import-features",
        "versions": job.versions(),
        "fingerprints": {modality: fingerprint(description) for modality, description in descriptions.items()},
        "descriptions": descriptions,
    }
    imported[OUTCOME_TAG] | WriteOutcomes(run_folder, len(films), about, failure_threshold, after=[table])


def mediaeval_imports(
    directory: str, kinds: Sequence[str] = (), films: str = ""
) -> tuple[list[FilmImport], dict[str, dict[str, Any]]]:
    """What there is to import of a data set in the organisers' layout.

    Args:
        directory: the unpacked data set.
        kinds: which of `KINDS`; without any, all that some film has.
        films: where the films themselves lie, as `list_films` takes it; else their place in the data set is looked at.

    Returns:
        The films that have any of the kinds, and modality -> description.

    Raises:
        ConfigurationError: for an unknown kind, or where no film has any.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(f"--kinds: unknown kind '{kind}'{nearest(kind, KINDS)}")
    known = {film.film_id: film.uri for film in list_films(films)} if films else {}
    imports, found = [], set()
    for number in range(max(max(numbers) for numbers in mediaeval2018.SETS.values()) + 1):
        sources = {kind: storage.join(directory, _folder(number, kind)) for kind in kinds or KINDS}
        there = {kind: folder for kind, folder in sources.items() if storage.holds_files(folder)}
        found |= set(there)
        if there:
            name = mediaeval2018.film_name(number)
            video, labels = (
                storage.join(directory, path(number)) for path in (mediaeval2018.film_path, mediaeval2018.label_path)
            )
            film_uri = known.get(name, "") if films else (video if storage.stat(video) else "")
            imports.append(FilmImport(name, there, film_uri, labels if storage.stat(labels) else ""))
    if not imports:
        raise ConfigurationError(
            f"{directory}: holds no features in the layout of MediaEval 2018, for example {_folder(0, AUDIO_KIND)}; "
            "name the folder into which the archives were unpacked"
        )
    return imports, {kind: describe_kind(kind) for kind in kinds or KINDS if kind in found}


def csv_imports(
    source: str, name: str, version: str, films: str = ""
) -> tuple[list[FilmImport], dict[str, dict[str, Any]]]:
    """What there is to import of features of one's own, one `<film_id>.csv` a film.

    Raises:
        ConfigurationError: for a name that can't be one, a version that isn't given, or where there is no such file.
    """
    if not _NAME.fullmatch(name) or name.endswith("_present") or name in _OTHERS_NAMES:
        raise ConfigurationError(
            f"--name '{name}': a modality's name is small letters, digits and _, begins with a letter, doesn't end in "
            f"_present, and is none of {', '.join(_OTHERS_NAMES)}"
        )
    if not version:
        raise ConfigurationError("--version: needed with --csv; change it whenever the features are computed otherwise")
    known = {film.film_id: film.uri for film in list_films(films)} if films else {}
    folder = source.rstrip("/") + "/"
    listed = [info.uri for info in storage.list_files(source) if info.uri.lower().endswith(".csv")]
    direct = [uri for uri in listed if not uri.startswith(folder) or "/" not in uri.removeprefix(folder)]
    if not direct:
        raise ConfigurationError(f"--csv {source}: holds no .csv file; name a folder of <film_id>.csv or a quoted glob")
    ids = [uri.rsplit("/", 1)[-1][: -len(".csv")] for uri in direct]
    for film_id in ids:
        if ids.count(film_id) > 1:
            raise ConfigurationError(f"--csv {source}: two files are called {film_id}.csv; a film has one")
    imports = [FilmImport(i, {name: uri}, known.get(i, "")) for i, uri in zip(ids, direct, strict=True)]
    for uri in direct:
        try:
            return imports, {name: describe_csv(name, version, read_csv_columns(uri))}
        except FilmError:
            continue  # the job itself reports this film as failed
    raise ConfigurationError(f"--csv {source}: none of its {len(direct)} files is a CSV with a header; see --help")


def _folder(number: int, kind: str) -> str:
    path = mediaeval2018.audio_path(number, 1) if kind == AUDIO_KIND else mediaeval2018.visual_path(number, 1, kind)
    return path.rpartition("/")[0]


def _print_defects(run_folder: str) -> None:
    rows = list(csv.DictReader(storage.read_text(storage.join(run_folder, DEFECTS)).splitlines()))
    for kind in sorted({row["kind"] for row in rows}):
        of_kind = [row for row in rows if row["kind"] == kind]
        found = []
        for defect in list(rows[0])[4:]:
            affected = [int(row[defect]) for row in of_kind if int(row[defect])]
            found += [f"{defect} {sum(affected)} (films: {len(affected)})"] if affected else []
        print(f"{kind:<16} {'; '.join(found) or 'no defect'}")
    print(f"defects by film: {storage.join(run_folder, DEFECTS)}")


def main(argv: Sequence[str] | None = None) -> int:
    """`cineaffect import-features`: parses the command line, runs the job and returns its exit code."""
    return job.guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cineaffect import-features",
        description="Puts features that others computed, one row a second, into feature records.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mediaeval2018", metavar="DIR", help="data set in the organisers' layout, local or gs://")
    source.add_argument("--csv", metavar="DIR", help="folder or quoted glob of <film_id>.csv")
    parser.add_argument(
        "--output", required=True, help="directory of feature records; those that are there are added to"
    )
    parser.add_argument("--films", default="", help="the films themselves: folder, quoted glob, or CSV manifest")
    parser.add_argument("--kinds", default="", help=f"with --mediaeval2018: some of {','.join(KINDS)}")
    parser.add_argument("--name", default="", help="with --csv: name of the modality")
    parser.add_argument("--version", default="", help="with --csv: how the features were made; part of the fingerprint")
    parser.add_argument("--failure-threshold", type=float, default=0.5, metavar="SHARE", help="as extract's (0.5)")
    parser.add_argument("--workers", type=int, default=0, help="local runner only: worker processes")
    return parser


def _main(argv: list[str]) -> int:
    arguments, beam_arguments = job.parse_known(_parser(), argv)
    options = job.beam_options(beam_arguments, arguments.workers)
    for given, needed in (("name", "csv"), ("version", "csv"), ("kinds", "mediaeval2018")):
        if getattr(arguments, given) and not getattr(arguments, needed):
            raise ConfigurationError(f"--{given} goes with --{needed}")
    if arguments.csv:
        films, descriptions = csv_imports(arguments.csv, arguments.name, arguments.version, arguments.films)
    else:
        kinds = job.comma_separated(arguments.kinds)
        films, descriptions = mediaeval_imports(arguments.mediaeval2018, kinds, arguments.films)
    run_folder = storage.join(arguments.output, f"import-{arguments.name or 'mediaeval2018'}")
    with watch(arguments.output, len(films), ".tfrecord"):
        code = job.run(
            lambda pipeline: define_pipeline(
                pipeline, films, arguments.output, run_folder, descriptions, arguments.failure_threshold
            ),
            options,
            run_folder,
            len(films),
        )
    _print_defects(run_folder)
    return code


if __name__ == "__main__":
    sys.exit(main())
