"""How property tests draw: the same examples in every run; with `HYPOTHESIS_PROFILE=random` five times as many, anew.

A pytest plug-in. The random profile chooses a seed and prints it in the report's head and, of a test that fails, at its
end; `pytest --hypothesis-seed=SEED` with the same profile repeats the run.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
_TIMES_AS_MANY = {"default": 1, "random": 5}
_EXAMPLES = 100
# Examples take as long as a loaded machine makes them. A folder of pytest's that examples share is overwritten by each.
_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def examples(count: int) -> settings:
    """Settings of a test whose examples are costly: it gets `count`, five times as many in the random profile."""
    return settings(max_examples=count * _TIMES_AS_MANY[PROFILE])


def pytest_configure(config: pytest.Config) -> None:
    """Chooses the seed of the random profile, once for all test processes, which get this process's options."""
    if PROFILE == "random" and config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    """The profile, and what repeats it."""
    seed = config.getoption("--hypothesis-seed")
    again = f": HYPOTHESIS_PROFILE={PROFILE} pytest --hypothesis-seed={seed} repeats it" if seed is not None else ""
    return f"property tests: profile {PROFILE}{again}"


if PROFILE not in _TIMES_AS_MANY:
    raise pytest.UsageError(f"HYPOTHESIS_PROFILE={PROFILE}: there are {' and '.join(_TIMES_AS_MANY)}")
settings.register_profile("default", _ALWAYS, max_examples=_EXAMPLES, derandomize=True, database=None)
settings.register_profile(
    "random", _ALWAYS, max_examples=_TIMES_AS_MANY["random"] * _EXAMPLES, database=None, print_blob=True
)
settings.load_profile(PROFILE)
