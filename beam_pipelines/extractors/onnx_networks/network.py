"""An ONNX file as a function of raw rows, run by ONNX Runtime in batches of one size."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from beam_pipelines.extractors.batching.fixed_batch import vectors_in_batches
from beam_pipelines.extractors.onnx_networks.config import Configured, OnnxFile, TextConfig
from beam_pipelines.extractors.onnx_networks.detector_config import DetectorConfig
from beam_pipelines.extractors.onnx_networks.face_boxes import VALUES, WITHOUT_CHOICE, candidates
from beam_pipelines.extractors.onnx_networks.model_file import ModelFile, Tensor, read_model_file
from beam_pipelines.extractors.onnx_networks.preparation import (
    FLOATS,
    KINDS,
    MASK,
    PIXELS,
    TOKENS,
    preparation,
    row_shape,
    row_type,
    vectors_of,
)
from beam_pipelines.extractors.onnx_networks.session import start_session
from beam_pipelines.extractors.onnx_networks.tokens import Tokenizer, checked_tokenizer
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.foundation.errors import ConfigurationError, NotFiniteError, nearest

_QUANTISES_BATCHES = "DynamicQuantize"
"""How the operators begin that choose their scale by all of their input."""


F = TypeVar("F", bound=OnnxFile)


class OnnxNetwork:
    """A network by configuration: raw rows [n, …], any n -> float32 [n, D]; a face detector's D are its candidates.

    Its results don't depend on the other rows of a batch, as all batches have one size and are filled with zeros;
    the first batch (`first_batch`) shows whether a file mixes rows.

    Args:
        name: the modality, for errors.
        section: its section.
        threads: compute threads of an operation.
        gpu: whether it runs on a GPU.

    Raises:
        ConfigurationError: if the file is absent, not the one with the section's hash, or doesn't fit the section; the
            text shows its inputs and outputs.
    """

    def __init__(self, name: str, section: Configured | DetectorConfig, threads: int = 1, gpu: bool = False):
        self._name, self._section = name, section
        self.file = checked_file(name, section)
        self._inputs = _inputs_of(name, section, self.file)
        self._outputs = outputs_of(name, section, self.file)
        self.batch_size = batch_size(name, section, self.file, self._inputs[0], gpu)
        for tensor in self._inputs:
            self._check_input(tensor)
        self._prepare = {tensor.name: preparation(section, tensor) for tensor in self._inputs}
        self.tokens = Tokenizer(name, section) if isinstance(section, TextConfig) else None
        self._session = self._start(threads, gpu)
        self._candidates = 0

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows [n, …], any n: float32 [n, D].

        Raises:
            NotFiniteError: if a value is infinite or NaN.
        """
        wanted = row_shape(self._section)
        if rows.shape[1:] != wanted or rows.dtype != row_type(self._section):
            raise ValueError(f"{self._name}: rows of {rows.dtype} {list(rows.shape)}, wanted [n, {list(wanted)}]")
        try:
            return vectors_in_batches(self._run, rows, self.batch_size, lambda: self.dimensions)
        except FloatingPointError as error:
            raise NotFiniteError(f"{self._place()}: the network gives {error}") from error

    @cached_property
    def dimensions(self) -> int:
        """The length of a vector; found out once, by a batch of zeros, if the file doesn't say."""
        lengths = [self._static_length(output) for output in self._outputs]
        if all(lengths):
            return sum(lengths)
        zeros = np.zeros((self.batch_size, *row_shape(self._section)), row_type(self._section))
        return self._run(zeros).shape[1]

    def _static_length(self, output: Tensor) -> int:
        """The length of an output's vector by the file; 0 if it doesn't say."""
        section = self._section
        if isinstance(section, DetectorConfig) or (section.pool == "none" and len(output.axes) != 2):
            return 0
        axis = section.vector_axis if section.pool != "none" else -1
        length = output.axes[axis] if len(output.axes) > 1 else 0
        return length if isinstance(length, int) else 0

    def _run(self, batch: np.ndarray) -> np.ndarray:
        feeds = {name: prepare(batch) for name, prepare in self._prepare.items()}
        try:
            outputs = self._session.run([output.name for output in self._outputs], feeds)
        except Exception as error:  # as in `_start`
            raise self._error(f"the network doesn't run with what the section makes for it: {error}") from error
        for output, values in zip(self._outputs, outputs, strict=True):
            if values.ndim < 1 or len(values) != self.batch_size:
                raise self._error(
                    f"its output {output.name} has the shape {list(values.shape)} for {self.batch_size} rows"
                )
        try:
            if isinstance(self._section, DetectorConfig):
                return self._as_many_as_before(candidates(self._section, outputs))
            return vectors_of(self._section, outputs, batch)
        except ValueError as error:
            raise self._error(str(error)) from error

    def _as_many_as_before(self, found: np.ndarray) -> np.ndarray:
        self._candidates = self._candidates or found.shape[1]
        if found.shape[1] != self._candidates:
            numbers = f"{self._candidates // VALUES} boxes for some pictures and {found.shape[1] // VALUES} for others"
            raise ValueError(f"{numbers}: {WITHOUT_CHOICE}")
        return found

    def _start(self, threads: int, gpu: bool) -> Any:
        try:
            return start_session(self.file.path, threads, gpu)
        except ConfigurationError:  # says itself what to do
            raise
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            raise self._error(f"ONNX Runtime refuses the file: {error}") from error

    def _check_input(self, tensor: Tensor) -> None:
        section = self._section
        types = {"uint8": (*FLOATS, *PIXELS), "int64": TOKENS}.get(row_type(section), FLOATS)
        if tensor.type not in types:
            raise self._error(f"the input {tensor.name} has the type {tensor.type}, not one of {', '.join(types)}")
        if tensor.type in PIXELS and {"scaling", "mean", "deviation"} & section.preprocessing().keys():
            raise self._error(f"the input {tensor.name} takes bytes: scaling, mean and deviation don't apply")
        given = preparation(section, tensor)(np.zeros((1, *row_shape(section)), row_type(section))).shape
        fits = len(given) == len(tensor.axes) and all(
            not isinstance(axis, int) or axis == length
            for axis, length in zip(tensor.axes[1:], given[1:], strict=False)
        )
        if not fits:
            raise self._error(f"the section makes an input of [n, {', '.join(map(str, given[1:]))}]")

    def _place(self) -> str:
        return self._section.place(self._name)

    def _error(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self._place()}: {what}\n{self.file.shown()}")


def checked_file(name: str, section: OnnxFile) -> ModelFile:
    """The file of a section, with the hashes that it names.

    Raises:
        ConfigurationError: if it is absent, no ONNX file, or another one.
    """
    place = section.place(name)
    try:
        file = read_model_file(weight_files.find_file(section.file))
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}.file: {error}") from error
    if section.sha256 not in (None, file.sha256):
        raise ConfigurationError(f"{place}.sha256: {file.path} has the sha256 {file.sha256}, not {section.sha256}")
    for other, wanted in section.external_sha256.items():
        if file.external.get(other) != wanted:
            found = file.external.get(other, "no such file")
            raise ConfigurationError(f"{place}.external_sha256.{other}: not {wanted} but {found}")
    return file


def pinned(name: str, section: F) -> F:
    """The section with the hashes of the files that this machine has.

    Raises:
        ConfigurationError: as `checked_file` does.
    """
    file = checked_file(name, section)
    hashes: dict[str, Any] = {"sha256": file.sha256, "external_sha256": dict(file.external)}
    if isinstance(section, TextConfig):
        hashes["tokenizer_sha256"] = checked_tokenizer(name, section)[1]
    return section.model_copy(update=hashes)


def batch_size(name: str, section: OnnxFile, file: ModelFile, tensor: Tensor, gpu: bool) -> int:
    """The size of every batch: the file's own, if it says one.

    A network that is quantised while it runs gets single rows, since it rounds by the largest value of a whole batch.

    Raises:
        ConfigurationError: if the section names another one than the file has, or the file has one that can't be.
    """
    own = tensor.axes[0] if tensor.axes else "?"
    if any(operator.startswith(_QUANTISES_BATCHES) for operator in file.operators):
        if own != 1 and isinstance(own, int):
            raise ConfigurationError(
                f"{section.place(name)}: it takes batches of {own} and rounds by the largest value of a whole batch "
                f"({_QUANTISES_BATCHES}…): export it with a batch of any size\n{file.shown()}"
            )
        own = 1
    if not isinstance(own, int):
        return section.batch_size or (section.gpu_batch_size if gpu else section.cpu_batch_size)
    if section.batch_size not in (None, own):
        place = section.place(name)
        raise ConfigurationError(
            f"{place}.batch_size: {section.batch_size}; the network takes batches of {own} only: leave it out"
        )
    return own


def _inputs_of(name: str, section: OnnxFile, file: ModelFile) -> tuple[Tensor, ...]:
    """The inputs that are fed: one, and those beside the tokens of a text."""
    place, known = f"{section.place(name)}.input", {each.name: each for each in file.inputs}
    beside = (
        tuple(known.pop(each) for each in (MASK, KINDS) if each in known) if isinstance(section, TextConfig) else ()
    )
    wanted = section.input or (next(iter(known)) if len(known) == 1 else None)
    if wanted is None:
        raise ConfigurationError(f"{place}: name one of {', '.join(known)}\n{file.shown()}")
    if wanted not in known:
        raise ConfigurationError(f"{place}: there is no '{wanted}'{nearest(wanted, known)}\n{file.shown()}")
    others = ", ".join(each for each in known if each != wanted)
    if others:
        raise ConfigurationError(
            f"{place}: the network needs {others} too; export only the part that computes the output\n{file.shown()}"
        )
    return (known[wanted], *beside)


def outputs_of(name: str, section: OnnxFile, file: ModelFile) -> tuple[Tensor, ...]:
    """The outputs that results are made of, in their order.

    Raises:
        ConfigurationError: if the section names none of several, or one that the file doesn't have.
    """
    place, known = section.place(name), {each.name: each for each in file.outputs}
    named = section.named_outputs()
    if not named and len(known) > 1:
        raise ConfigurationError(f"{place}.output: name one of {', '.join(known)}\n{file.shown()}")
    for each, key in named:
        if each not in known:
            raise ConfigurationError(f"{place}.{key}: there is no '{each}'{nearest(each, known)}\n{file.shown()}")
    return tuple(known[each] for each, _ in named) or tuple(known.values())
