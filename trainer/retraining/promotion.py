"""The exported version in use: the pointer `current` and its history.

    <exports>/<version>/          the models; promoting or rolling back removes none
    <exports>/current             the number of the version in use: one line, written whole
    <exports>/promotions.jsonl    one line per move, the newest last, written before the pointer moves

A kill between the two writes leaves the old version in use, and one line about the move that didn't happen. In a local
directory a lock lets one process move at a time. In object storage each object is written only if it is still the
generation that was read, so that of two processes that move at once one starts again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from beam_pipelines.contracts.models.current_version import (
    CURRENT,
    ChangedError,
    parse_pointer,
    read_current,
    read_generation,
)
from beam_pipelines.contracts.models.exported_cards import versions_of
from beam_pipelines.foundation import storage
from beam_pipelines.foundation.errors import EXIT_FAILED, CineAffectError, ConfigurationError

HISTORY = "promotions.jsonl"
_ATTEMPTS = 20


def read_history(exports: str) -> list[dict[str, Any]]:
    """The moves of the pointer, the oldest first."""
    try:
        return _parse_lines(storage.read_text(storage.join(exports, HISTORY)))
    except FileNotFoundError:
        return []


class MovedError(CineAffectError):
    """Another process has moved the pointer since it was read."""

    exit_code = EXIT_FAILED


ANY_VERSION = -1
"""The value of `expected` if the pointer may be moved from any version."""


def move_current(exports: str, version: int, why: Mapping[str, Any], expected: int | None = ANY_VERSION) -> None:
    """Moves the pointer to an existing version, and notes it with `why`; the same move twice is noted once.

    Args:
        exports: directory of exports, local or `gs://`.
        version: the new version.
        why: further keys of the line in the history.
        expected: the version that the pointer must name before, None for no pointer; it may already name `version`.

    Raises:
        ConfigurationError: if there is no such version.
        MovedError: if the pointer names another version than expected.
    """
    if version not in versions_of(exports):
        raise ConfigurationError(f"{exports}: has no whole version {version}; it has {versions_of(exports)}")
    if storage.is_remote(exports):
        _move_in_bucket(exports, version, why, expected)
        return
    with FileLock(Path(exports) / ".current.lock"):
        current = read_current(exports)
        if current == version:
            return  # a round that was killed after its move
        _assert_expected(exports, version, current, expected)
        history, entry = read_history(exports), {"from": current, "to": version, **why}
        if not history or history[-1] != entry:
            storage.write_text(storage.join(exports, HISTORY), _lines([*history, entry]))
        storage.write_text(storage.join(exports, CURRENT), f"{version}\n")


def _move_in_bucket(exports: str, version: int, why: Mapping[str, Any], expected: int | None) -> None:
    """Writes each of the two objects only if it hasn't changed since it was read; otherwise starts again."""
    pointer_uri, history_uri = (storage.join(exports, name) for name in (CURRENT, HISTORY))
    overtaken: list[dict[str, Any]] = []
    for attempt in range(_ATTEMPTS):
        time.sleep(random.uniform(0, 0.1) * attempt)
        pointer, noted = read_generation(pointer_uri), read_generation(history_uri)
        current = None if pointer.content is None else parse_pointer(pointer_uri, pointer.content.decode())
        if current == version:
            return
        history = _parse_lines((noted.content or b"").decode())
        for line in overtaken:
            if line in history:  # noted before, but another process's move came first
                del history[len(history) - 1 - history[::-1].index(line)]
        entry = {"from": current, "to": version, **why}
        try:
            if expected not in (ANY_VERSION, current):
                if overtaken:
                    noted.replace(_lines(history).encode())
                _assert_expected(exports, version, current, expected)
            if not history or history[-1] != entry:
                noted.replace(_lines([*history, entry]).encode())
                overtaken = [entry]
            pointer.replace(f"{version}\n".encode())
        except ChangedError:
            continue
        return
    raise MovedError(f"{pointer_uri}: is being moved by others all the time; try again")


def _assert_expected(exports: str, version: int, current: int | None, expected: int | None) -> None:
    if expected not in (ANY_VERSION, current):
        raise MovedError(
            f"{storage.join(exports, CURRENT)}: was moved from {expected} to {current} meanwhile, so nothing is "
            f"promoted; start again, and version {version} is compared with that one"
        )


def _lines(history: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in history)


def _parse_lines(text: str) -> list[dict[str, Any]]:
    # Not `splitlines`, which also splits at separators of lines and paragraphs that a text may hold.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def former_version(exports: str) -> int:
    """The version that was in use before the current one, according to the history.

    Raises:
        ConfigurationError: if the history names none.
    """
    current = read_current(exports)
    for entry in reversed(read_history(exports)):
        if entry["to"] == current and entry["from"] not in (None, current):
            return int(entry["from"])
    raise ConfigurationError(
        f"{storage.join(exports, HISTORY)}: names no version before {current}; name one with --to"
        f" (there are {versions_of(exports)})"
    )
