"""Signatures that Beam asks for are worked out once a test process: they are those of functions, which don't change.

For every transform Beam looks through all methods of its DoFn, several times. One `prepare` asks for 47,000 signatures,
a seventh of its time; of a small `score` they take a quarter.
"""

from __future__ import annotations

import functools
import types
from typing import Any


def keep_signatures() -> None:
    """From now on Beam's transforms get the signature of a method that they have asked for before."""
    from apache_beam.transforms import core

    work_out = core.get_signature

    @functools.cache
    def of_method(function: Any) -> Any:
        return work_out(types.MethodType(function, object()))

    def get_signature(function: Any) -> Any:
        return of_method(function.__func__) if isinstance(function, types.MethodType) else work_out(function)

    core.get_signature = get_signature
