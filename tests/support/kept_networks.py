"""One copy of each network a test process, for tests of what a job does with its networks' vectors.

An InceptionV3 takes 5 s of a core to build and to trace. A network depends on its settings and on nothing else, so that
a second job may as well use the first one's.
"""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Of all test files together, for a process with more of them grows beyond 3 GB.
KEPT = 3
_networks: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


def kept_network(key: tuple[Any, ...], build: Callable[[], Any]) -> Any:
    """The network of that key: the one that was built before, if it is among the three used last."""
    if key not in _networks:
        while len(_networks) >= KEPT:
            _networks.popitem(last=False)
        gc.collect()
        _networks[key] = build()
    _networks.move_to_end(key)
    return _networks[key]


def drop_networks() -> bool:
    """Keeps no network any more, nor do functions for single films: who asks has one built. Whether there was one."""
    single_films = sys.modules.get("beam_pipelines.extraction.single_films")
    some = bool(_networks) or bool(single_films and single_films._networks_of.cache_info().currsize)
    _networks.clear()
    if single_films:
        single_films._networks_of.cache_clear()
    return some


@contextmanager
def kept_networks() -> Iterator[None]:
    """Within the block, jobs of this process take a network that was built with the same settings before."""
    from beam_pipelines.extractors.configured_networks import Networks

    build = Networks._build

    def built_once(networks: Networks, network: Any, config: Any) -> Any:
        size = config.rows_a_batch(networks.gpu)
        key = (network, config.weights, config.seed, size, config.precision, networks.config.device.xla)
        key += (networks.engine, networks.config.threads_per_worker)
        key += (getattr(config, "scaling", None),)
        return kept_network(key, lambda: build(networks, network, config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Networks, "_build", built_once)
        yield
