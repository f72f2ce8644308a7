"""The weight files that a configuration needs, and one error that names all absent ones."""

from __future__ import annotations

from beam_pipelines.extractors.config import ExtractConfig
from beam_pipelines.extractors.registry import network_class, registered_names
from beam_pipelines.extractors.weights import weight_files as weights
from beam_pipelines.extractors.weights.weights_table import UNTRAINED, VGGISH_PCA, Weights
from beam_pipelines.foundation.errors import WeightsError


def needed_weights(config: ExtractConfig) -> dict[str, str]:
    """The needed names of the weights table and the modality that needs each, in the configuration's order.

    The face detector's weights come with its package; untrained networks have none, and users' own files no name.
    """
    needed: dict[str, str] = {}
    for modality in config.modalities:
        if modality not in registered_names():
            continue
        kind = network_class(modality)
        name = config.section_of(modality).weights or kind.published
        if name != UNTRAINED and not weights.is_own_file(name, kind.table):
            needed.setdefault(name, modality)
        if modality == "audio" and config.audio.postprocess == "youtube8m":
            needed.setdefault(VGGISH_PCA, modality)
    return needed


def require_weights(config: ExtractConfig) -> None:
    """Checks that all needed weight files exist; `weight_files.locate` checks each file's content.

    Raises:
        WeightsError: if a name is not in the table or files are absent; the text names every absent file, and says how
            to get it or how to try the job without it.
    """
    _require_own_files(config)
    wanted = [
        (modality, weights.entry_of(name, network_class(modality).table))
        for name, modality in needed_weights(config).items()
    ]
    directory = weights.cache_directory()
    absent = [(modality, entry) for modality, entry in wanted if not (directory / entry.file_name).is_file()]
    if not absent:
        return
    to_fetch = [entry.name for _, entry in absent if entry.url]
    fetch = [f"to get them: cineaffect weights fetch {' '.join(to_fetch)}"] if to_fetch else []
    untrained = ", ".join(f"{modality}: {_without(modality)}" for modality in dict.fromkeys(m for m, _ in absent))
    lines = (
        f"weights that this configuration needs are absent from {directory}:",
        *(line for modality, entry in absent for line in _describe(modality, entry)),
        *fetch,
        f"or put the files there by hand, or set {weights.DIRECTORY_VARIABLE} to the directory that holds them",
        f"to try the way without them, with random weights whose answers mean nothing, in the file of --config:\n"
        f"  extract: {{{untrained}}}",
    )
    raise WeightsError("\n".join(lines))


def _require_own_files(config: ExtractConfig) -> None:
    for modality in set(config.modalities) & set(registered_names()):
        name = config.section_of(modality).weights
        if weights.is_own_file(name, network_class(modality).table):
            try:
                weights.find_file(name)
            except WeightsError as error:
                raise WeightsError(f"extract.{modality}.weights: {error}") from error


def _without(modality: str) -> str:
    postprocess = ", postprocess: none" if modality == "audio" else ""
    return f"{{weights: {UNTRAINED}{postprocess}}}"


def _describe(modality: str, entry: Weights) -> tuple[str, ...]:
    return (
        f"  {modality}: {entry.name}",
        f"    file:    {entry.file_name}",
        f"    address: {entry.url or 'none: this file is published nowhere'}",
        f"    hash:    {' '.join(entry.published_hash)}",
    )
