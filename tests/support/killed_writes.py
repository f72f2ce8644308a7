"""A process that ends between two changes of a bucket, without a process: the changes are counted as they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beam_pipelines.foundation.storage import object_storage
from trainer.exporting import export_directory


class Killed(Exception):
    """Stands for the end of the process between two requests to the bucket."""


def kill_after(monkeypatch: pytest.MonkeyPatch, changes: int) -> list[tuple[str, str]]:
    """From now on so many changes of a bucket are made and the next one is not; (`write` or `remove`, address) each.

    Asking for the removal of what isn't there counts too. A lock that is left behind expires soon.
    """
    monkeypatch.setattr(export_directory, "_CLAIM_EXPIRY_S", 0.5)
    made: list[tuple[str, str]] = []

    def counted(kind: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def do(target: Any, *further: Any) -> Any:
            if len(made) == changes:
                raise Killed
            made.append((kind, target if isinstance(target, str) else target.uri))
            return change(target, *further)

        return do

    for owner, name, kind in (
        (object_storage, "upload", "write"),
        (object_storage, "upload_bytes", "write"),
        (object_storage.Generation, "replace", "write"),
        (object_storage, "delete", "remove"),
    ):
        monkeypatch.setattr(owner, name, counted(kind, getattr(owner, name)))
    return made
