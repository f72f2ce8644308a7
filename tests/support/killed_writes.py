"""A process that ends between two changes of a bucket, without a process: the changes are counted as they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beam_pipelines.foundation.storage import object_storage


class Killed(Exception):
    """Stands for the end of the process between two requests to the bucket."""


def kill_after(monkeypatch: pytest.MonkeyPatch, changes: int) -> list[tuple[str, str]]:
    """From now on so many changes of a bucket are made and the next one is not; (`write` or `remove`, address) each.

    Asking for the removal of what isn't there counts too. An export's claim isn't counted: it is renewed whenever time
    has passed. It is released at the end, so that nobody waits for it to expire.
    """
    made: list[tuple[str, str]] = []

    def counted(kind: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def do(target: Any, *further: Any) -> Any:
            address = target if isinstance(target, str) else target.uri
            if not address.endswith(".claim"):
                if len(made) == changes:
                    raise Killed
                made.append((kind, address))
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
