"""Text for a network: tokens by the tokenizer's own file (`tokenizer.json`), all texts in one length."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from beam_pipelines.extractors.onnx_networks.config import TextConfig
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.errors import ConfigurationError

MOST_BYTES = 64_000_000
"""The largest tokenizer that is read (ours): that of 250,000 words in 100 languages has 17 MB."""

_PADDING = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


class Tokenizer:
    """From a text to a row of tokens, int64 [2, max_tokens]: their numbers, and 1 where there is one.

    Args:
        name: the modality, for errors.
        section: its section of `extract.networks`.

    Raises:
        ConfigurationError: if the file is absent, no tokenizer, or not the one with the section's hash.
    """

    def __init__(self, name: str, section: TextConfig):
        path, _ = checked_tokenizer(name, section)
        import tokenizers

        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library's errors have no other base
            raise ConfigurationError(
                f"extract.networks.{name}.tokenizer: {path} is no tokenizer.json ({error})"
            ) from error
        self._tokenizer.enable_truncation(section.max_tokens)
        self._tokenizer.no_padding()
        # Some networks count positions by what isn't padding, so it matters which number that has.
        own = [self._tokenizer.token_to_id(token) for token in _PADDING]
        self._padding = next((number for number in own if number is not None), 0)
        self._length = section.max_tokens

    def __call__(self, text: str) -> np.ndarray:
        """The row of a text; what is beyond the length is cut."""
        numbers = self._tokenizer.encode(text).ids
        row = np.zeros((2, self._length), np.int64)
        row[0] = self._padding
        row[0, : len(numbers)] = numbers
        row[1, : len(numbers)] = 1
        return row


def checked_tokenizer(name: str, section: TextConfig) -> tuple[Path, str]:
    """The tokenizer's file and its hash.

    Raises:
        ConfigurationError: if it is absent, too large, or another one; or if the package tokenizers isn't installed.
    """
    place = f"extract.networks.{name}.tokenizer"
    if util.find_spec("tokenizers") is None:
        raise ConfigurationError(f"{place}: text needs the package tokenizers: run pip install 'cineaffect[text]'")
    try:
        path = weight_files.find_file(section.tokenizer)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from error
    if path.stat().st_size > MOST_BYTES:
        raise ConfigurationError(f"{place}: {path} has more than {MOST_BYTES // 1_000_000} MB")
    found = weight_files.file_digest(path)
    if section.tokenizer_sha256 not in (None, found):
        raise ConfigurationError(f"{place}_sha256: {path} has the sha256 {found}, not {section.tokenizer_sha256}")
    return path, found
