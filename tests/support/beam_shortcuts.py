"""Shortcuts through Beam for small jobs, of which these tests run hundreds in a process; results are the same.

For every transform Beam looks through all methods of its DoFn, several times: for their signatures, 47,000 in one
`prepare`, a seventh of its time, and for state and timers, a seventh of a small `score`. Functions and classes don't
change, so both are worked out once a process. Compressing what it pickles takes some 3 % of the jobs' tests, and as
much to measure values that a worker keeps for the next bundle, for which it looks at all imported modules.
"""

from __future__ import annotations

import bz2
import functools
import types
from typing import Any


def take_shortcuts() -> None:
    """From now on jobs of this process take them."""
    from apache_beam.internal import cloudpickle_pickler
    from apache_beam.runners.worker import statecache
    from apache_beam.transforms import core, userstate

    core.get_signature = _kept_signatures(core.get_signature)
    userstate.get_dofn_specs = _kept_specs(userstate.get_dofn_specs, core)
    quick = {"compress": lambda content, compresslevel: bz2.compress(content, 1), "decompress": bz2.decompress}
    cloudpickle_pickler.bz2 = types.SimpleNamespace(**quick)
    statecache.get_deep_size = lambda *_: 1


def _kept_signatures(work_out: Any) -> Any:
    @functools.cache
    def of_method(function: Any) -> Any:
        return work_out(types.MethodType(function, object()))

    def get_signature(function: Any) -> Any:
        return of_method(function.__func__) if isinstance(function, types.MethodType) else work_out(function)

    return get_signature


def _kept_specs(work_out: Any, core: Any) -> Any:
    of_class: dict[type, Any] = {}

    def get_dofn_specs(dofn: Any) -> Any:
        # Of a DoFn that wraps a function the function may ask for state.
        wrapped = core.get_function_arguments(dofn, "process")[1] if hasattr(dofn, "_inspect_process") else []
        if any(isinstance(default, core._DoFnParam) for default in wrapped):
            return work_out(dofn)
        if type(dofn) not in of_class:
            of_class[type(dofn)] = work_out(dofn)
        return of_class[type(dofn)]

    return get_dofn_specs
