"""What Beam asks of a DoFn's methods is worked out once a test process: functions and classes don't change.

For every transform Beam looks through all methods of its DoFn, several times: for their signatures, 47,000 in one
`prepare`, a seventh of its time, and for state and timers, a quarter of a small `score`.
"""

from __future__ import annotations

import functools
import types
from typing import Any


def keep_signatures() -> None:
    """From now on Beam's transforms get the signature of a method, and the state of a class, that they had before."""
    from apache_beam.transforms import core, userstate

    work_out, work_out_specs = core.get_signature, userstate.get_dofn_specs
    of_class: dict[type, Any] = {}

    @functools.cache
    def of_method(function: Any) -> Any:
        return work_out(types.MethodType(function, object()))

    def get_signature(function: Any) -> Any:
        return of_method(function.__func__) if isinstance(function, types.MethodType) else work_out(function)

    def get_dofn_specs(dofn: Any) -> Any:
        # Of a DoFn that wraps a function the function may ask for state.
        wrapped = core.get_function_arguments(dofn, "process")[1] if hasattr(dofn, "_inspect_process") else []
        if any(isinstance(default, core._DoFnParam) for default in wrapped):
            return work_out_specs(dofn)
        if type(dofn) not in of_class:
            of_class[type(dofn)] = work_out_specs(dofn)
        return of_class[type(dofn)]

    core.get_signature = get_signature
    userstate.get_dofn_specs = get_dofn_specs
