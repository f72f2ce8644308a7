"""One copy of each network a test process, for tests of what a job does with its networks' vectors.

An InceptionV3 takes 5 s of a core to build and to trace. A network depends on its settings and on nothing else, so that
a second job may as well use the first one's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

KEPT = 3
_networks: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


@contextmanager
def kept_networks() -> Iterator[None]:
    """Within the block, jobs of this process take a network that was built with the same settings before."""
    from beam_pipelines.extractors.configured_networks import Networks

    build = Networks._build

    def built_once(networks: Networks, network: Any, config: Any) -> Any:
        size = config.rows_a_batch(networks.gpu)
        key = (network, config.weights, config.seed, size, config.precision, networks.config.device.xla)
        if key not in _networks:
            _networks[key] = build(networks, network, config)
        _networks.move_to_end(key)
        while len(_networks) > KEPT:
            _networks.popitem(last=False)
        return _networks[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Networks, "_build", built_once)
        yield
