"""Marks of the films that have failed so far, for the progress display: `<output>/.failed/<film_id>`, empty files.

What became of a film is told by `failures.jsonl`, which the last stage writes; a run may take days until then. A mark
says only that there will be a line there. The folder is hidden, so that nothing takes it for a result, and is removed
with the end of the run. In a bucket there are no marks: nobody looks at them there.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from beam_pipelines.foundation import storage

FOLDER = ".failed"


def mark_failed(output: str, film_id: str) -> None:
    """Leaves the mark of a film; twice is the same as once."""
    if storage.is_remote(output):
        return
    folder = Path(output, FOLDER)
    # A disk that is full may be why the film failed; then the display counts one less.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / film_id).touch()


def remove_mark(output: str, film_id: str) -> None:
    """Takes the mark of a film back that was done after all, when its work began anew with another worker."""
    if not storage.is_remote(output):
        Path(output, FOLDER, film_id).unlink(missing_ok=True)


def count_failed(output: str) -> int:
    """How many films have a mark."""
    try:
        return sum(1 for _ in Path(output, FOLDER).iterdir())
    except FileNotFoundError:
        return 0


def remove_marks(output: str) -> None:
    """Removes all marks: what an earlier run has left, and in the end one's own."""
    if not storage.is_remote(output):
        shutil.rmtree(Path(output, FOLDER), ignore_errors=True)
