"""The hidden folder of parts of films that are not joined yet (see `film_parts`), and clearing it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

from beam_pipelines.contracts.runs import TRIED_AGAIN, read_failures
from beam_pipelines.foundation import storage

PARTS_FOLDER = ".parts"
_NAME = re.compile(r"(?P<film_id>.*)-[0-9a-f]+-(?P<segment_s>\d+)-\d+\.npz", re.DOTALL)


def part_name(film_id: str, key: str, segment_s: int, first_second: int) -> str:
    """The name of a part; the parts of a film sort by second."""
    return f"{film_id}-{key}-{segment_s}-{first_second:06d}.npz"


def kept_segment_s(directory: str, film_ids: Iterable[str], at_most_s: int) -> int | None:
    """The length in seconds of the segments of which a killed run has left parts, since only that run's cuts fit them.

    Args:
        directory: the directory of records.
        film_ids: the films whose parts count.
        at_most_s: the longest that may be.

    Returns:
        The length of most parts; None if there are none.
    """
    parts = [(film_id, segment_s) for _, film_id, segment_s in _parts(directory) if 0 < segment_s <= at_most_s]
    if not parts:
        return None
    films = set(film_ids)
    lengths = Counter(segment_s for film_id, segment_s in parts if film_id in films)
    return max(lengths, key=lambda segment_s: (lengths[segment_s], segment_s), default=None)


def remove_parts(directory: str, but_of: Collection[str] = (), only_of: Iterable[str] | None = None) -> None:
    """Removes parts in a directory of records: of all films, or of `only_of`, except those of `but_of`."""
    parts = _parts(directory)
    films = {film_id for _, film_id, _ in parts}.difference(but_of)
    if films and only_of is not None:
        films.intersection_update(only_of)
    for uri, film_id, _ in parts:
        if film_id in films:
            storage.remove(uri)


def remove_useless_parts(directory: str, run: str, only_of: Iterable[str] | None = None) -> None:
    """Removes parts that the films of a run have left: of another segment_s, or of a film that has changed.

    Films that will be tried again keep their parts.

    Args:
        directory: the directory of records.
        run: the directory of the run that has ended, with its failures.
        only_of: the run's films, where other runs may go on with the parts of others; by default all films.
    """
    failed = read_failures(run).values()
    remove_parts(directory, [film.film_id for film in failed if film.reason in TRIED_AGAIN], only_of)


def _parts(directory: str) -> list[tuple[str, str, int]]:
    """Address, film and segments' length of each part; a file of another name is one of no film."""
    uris = [info.uri for info in storage.list_files(storage.join(directory, PARTS_FOLDER))]
    names = [_NAME.fullmatch(uri.rsplit("/", 1)[-1]) for uri in uris]
    return [
        (uri, name["film_id"], int(name["segment_s"])) if name else (uri, "", 0)
        for uri, name in zip(uris, names, strict=True)
    ]
