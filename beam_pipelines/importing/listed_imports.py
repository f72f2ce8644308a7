"""The films and files to import: of a data set in the organisers' layout, or of a folder with a user's own CSVs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from beam_pipelines.contracts.film_ids import escape_film_id, unescape_film_id
from beam_pipelines.contracts.records.feature_track import PRESENT_SUFFIX
from beam_pipelines.extractors.signals.columns import COLUMNS
from beam_pipelines.films import mediaeval2018
from beam_pipelines.films.catalogue import list_films
from beam_pipelines.films.mediaeval2018 import AUDIO_KIND, KINDS
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import ConfigurationError, FilmError, nearest
from beam_pipelines.foundation.tables.reading import TABLE_SUFFIXES
from beam_pipelines.importing.feature_import import FilmImport, describe_csv, describe_kind
from beam_pipelines.importing.imported_features import read_csv_columns

_OTHERS_NAMES = (
    "image",
    "audio",
    "face",
    "rgb",
    "clip",
    "cineaffect",
    "example",
    "vgg16",
    "opensmile_is10",
    "speech_text",
    *COLUMNS,
    *KINDS,
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def mediaeval_imports(
    directory: str, kinds: Sequence[str] = (), films: str = ""
) -> tuple[list[FilmImport], dict[str, dict[str, Any]]]:
    """The films to import from a data set in the organisers' layout.

    Args:
        directory: the unpacked data set.
        kinds: some of `KINDS`; empty for all that any film has.
        films: the films themselves, as `list_films` takes them; empty to look for them in the data set.

    Returns:
        The films that have any of the kinds, and modality -> description.

    Raises:
        ConfigurationError: if a kind is unknown, or no film has any.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(f"--kinds: unknown kind '{kind}'{nearest(kind, KINDS)}")
    known = _films(films)
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
    source: str, name: str, version: str, films: str = "", rate_hz: Fraction | None = None
) -> tuple[list[FilmImport], dict[str, dict[str, Any]]]:
    """The films to import from a user's own features, one table `<film_id>.csv` (or `.tsv`) per film.

    Args:
        source: the folder, or a glob.
        name, version: of the modality.
        films: the films themselves, as `list_films` takes them; empty if they aren't at hand.
        rate_hz: how many frames, or rows where no column says when, are a second.

    Raises:
        ConfigurationError: if the name is invalid, the version is empty, or there is no such file.
    """
    if not _NAME.fullmatch(name) or name.endswith(PRESENT_SUFFIX) or name in _OTHERS_NAMES:
        raise ConfigurationError(
            f"--name '{name}': a modality's name is small letters, digits and _, begins with a letter, doesn't end in "
            f"{PRESENT_SUFFIX}, and is none of {', '.join(_OTHERS_NAMES)}"
        )
    if not version:
        raise ConfigurationError("--version: needed with --csv; change it whenever the features are computed otherwise")
    known = _films(films)
    source, files = storage.list_as_it_lies(source)
    folder = source.rstrip("/") + "/"
    listed = [info.uri for info in files if info.uri.lower().endswith(TABLE_SUFFIXES)]
    direct = [uri for uri in listed if not uri.startswith(folder) or "/" not in uri.removeprefix(folder)]
    if not direct:
        raise ConfigurationError(f"--csv {source}: holds no .csv file; name a folder of <film_id>.csv or a quoted glob")
    # A file may have the film's name or its id, which are the same but for escaped characters.
    ids = [escape_film_id(unescape_film_id(uri.rsplit("/", 1)[-1][: -len(".csv")])) for uri in direct]
    for film_id, count in Counter(ids).items():
        if count > 1:
            raise ConfigurationError(f"--csv {source}: two tables are called {film_id}; a film has one")
    imports = [FilmImport(i, {name: uri}, known.get(i, "")) for i, uri in zip(ids, direct, strict=True)]
    for uri in direct:
        try:
            return imports, {name: describe_csv(name, version, read_csv_columns(uri), rate_hz)}
        except FilmError:
            continue  # the job itself reports this film as failed
    raise ConfigurationError(f"--csv {source}: none of its {len(direct)} files is a table with a header; see --help")


def _films(source: str) -> dict[str, str]:
    """Film id -> address of the films that are at hand; a manifest for imported features needs no `path`."""
    return {film.film_id: film.uri for film in list_films(source, needs_path=False)} if source else {}


def _folder(number: int, kind: str) -> str:
    path = mediaeval2018.audio_path(number, 1) if kind == AUDIO_KIND else mediaeval2018.visual_path(number, 1, kind)
    return path.rpartition("/")[0]
