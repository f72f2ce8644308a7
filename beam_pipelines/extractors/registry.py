"""The registry of networks: the name of each one's modality and its class. A network that stays is a line here.

Other distributions add theirs by an entry point of the group `cineaffect.networks`: its name is the modality, its
object a class derived from `PublishedNetwork`. See docs/adding-a-network.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING

from beam_pipelines.foundation.errors import ConfigurationError

if TYPE_CHECKING:
    from beam_pipelines.extractors.networks.published_network import PublishedNetwork
    from beam_pipelines.extractors.weights.weights_table import Weights

_ROOM = "beam_pipelines.extractors.networks"
NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "image": f"{_ROOM}.inception_v3:InceptionV3Image",
        "vgg16": f"{_ROOM}.vgg16:VGG16Image",
        "audio": f"{_ROOM}.vggish:VGGishAudio",
        "face": f"{_ROOM}.inception_resnet_v1:InceptionResnetV1Face",
    }
)
"""Modality -> `module:class` of the project's own networks."""

ENTRY_POINTS = "cineaffect.networks"
"""The group of entry points by which other distributions add networks."""


@lru_cache(maxsize=1)
def _others() -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in NETWORKS or found.get(point.name, point).value != point.value:
            raise ConfigurationError(
                f"the entry point {ENTRY_POINTS}: {point.name} = {point.value} takes a name that another network has"
            )
        found[point.name] = point
    return found


def registered_names() -> tuple[str, ...]:
    """The modalities of all registered networks; none is imported."""
    return (*NETWORKS, *sorted(_others()))


def all_weights() -> Mapping[str, Weights]:
    """Every file of weights by name: those of the table, and those that registered networks bring."""
    from beam_pipelines.extractors.weights.weights_table import TABLE

    found = dict(TABLE)
    for name in registered_names():
        found |= network_class(name).table
    return found


def network_class(modality: str) -> type[PublishedNetwork]:
    """The class of a registered network.

    Raises:
        ConfigurationError: if there is none of that name, it can't be imported, or isn't what the registry takes.
    """
    from beam_pipelines.extractors.networks.published_network import PublishedNetwork

    if modality not in registered_names():
        raise ConfigurationError(
            f"extract: no network makes '{modality}': name a file for it under `networks`, or import its features"
        )
    where = NETWORKS[modality] if modality in NETWORKS else _others()[modality].value
    module, _, name = where.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the network {modality} = {where} can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, PublishedNetwork) and found.modality == modality):
        raise ConfigurationError(f"the network {modality} = {where} must be a PublishedNetwork of that modality")
    return found
