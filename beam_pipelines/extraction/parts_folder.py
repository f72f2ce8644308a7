"""The hidden folder of parts of films that are not joined yet (see `film_parts`), and clearing it."""

from __future__ import annotations

from collections.abc import Collection

from beam_pipelines.foundation import storage

PARTS_FOLDER = ".parts"


def part_name(film_id: str, key: str, first_second: int) -> str:
    """The name of a part; the parts of a film sort by second."""
    return f"{film_id}-{key}-{first_second:06d}.npz"


def remove_parts(directory: str, but_of: Collection[str] = ()) -> None:
    """Removes all parts in a directory of records, except those of some films."""
    for info in storage.list_files(storage.join(directory, PARTS_FOLDER)):
        film_id = info.uri.rsplit("/", 1)[-1].rsplit("-", 2)[0]
        if film_id not in but_of:
            storage.remove(info.uri)
